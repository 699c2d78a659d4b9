//! Tests that load and attach the programs: they need root, and a kernel that
//! has what the programs need. Each has network and pins of its own.

use std::{
    env, fs,
    os::fd::{AsFd as _, OwnedFd},
    panic::{self, AssertUnwindSafe},
    path::Path,
    process::Command,
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
    thread,
};

use aya::programs::tc::qdisc_add_clsact;
use ftp_helper_common::{
    SCHEMA_VERSION,
    address::{Address, Endpoint},
    expectation::{Expectation, ExpectationKey},
    interface::{Interface, flags::FROZEN},
    session::SessionKey,
};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    unistd::geteuid,
};

use super::{sys::Place, *};
use crate::{
    device::Device,
    pins::{PinDirectory, Technique},
};

const BOTH: [Direction; 2] = [Direction::Ingress, Direction::Egress];

/// False, and said so, without the rights that loading takes.
pub(super) fn privileged() -> bool {
    let root = geteuid().is_root();
    assert!(root || env::var_os("CI").is_none(), "these tests need root");
    if !root {
        eprintln!("skipped: needs root");
    }
    root
}

/// Runs a test on the maps of programs that are loaded and attached nowhere. Each
/// test has to clean up what it puts in.
pub(crate) fn with_maps(test: impl FnOnce(&mut Maps)) {
    if privileged() {
        test(&mut loaded().maps);
    }
}

/// Runs a test on a thread with its own network (`wan0` and its far end) and its
/// own bpffs. Both end with the thread.
fn sandboxed(test: impl FnOnce(&PinDirectory) + Send) {
    if !privileged() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let outcome = thread::scope(|scope| {
        scope
            .spawn(|| {
                unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).unwrap();
                let none: Option<&str> = None;
                let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
                mount(none, "/", none, private, none).unwrap();
                mount(none, place.path(), Some("bpf"), MsFlags::empty(), none).unwrap();
                ip("link add wan0 type veth peer name far0");
                ip("link set wan0 up");
                let pins = PinDirectory::new(place.path().join("pins"));
                panic::catch_unwind(AssertUnwindSafe(|| test(&pins)))
            })
            .join()
            .unwrap()
    });
    if let Err(panic) = outcome {
        panic::resume_unwind(panic);
    }
}

/// The same for what takes TCX.
fn sandboxed_with_tcx(test: impl FnOnce(&PinDirectory) + Send) {
    sandboxed(|pins| {
        let device = Device::find("wan0").unwrap();
        match sys::programs_of(device.index, tcx::hook(Direction::Ingress)) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                eprintln!("skipped: this kernel has no TCX");
            }
            _ => test(pins),
        }
    });
}

/// A datapath that is not pinned, shared by the tests: the verifier takes its
/// time.
fn loaded() -> MutexGuard<'static, Datapath> {
    static LOADED: LazyLock<Mutex<Datapath>> =
        LazyLock::new(|| Mutex::new(Datapath::load(0).unwrap()));
    LOADED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn ip(arguments: &str) {
    let status = Command::new("ip")
        .args(arguments.split(' '))
        .status()
        .unwrap();
    assert!(status.success(), "ip {arguments}");
}

fn tc(arguments: &str) -> String {
    tc_words(&arguments.split(' ').collect::<Vec<_>>())
}

fn tc_words(arguments: &[&str]) -> String {
    let output = Command::new("tc").args(arguments).output().unwrap();
    assert!(output.status.success(), "tc {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Two programs on each hook of `wan0` that are not ours, as long as the value
/// lives.
struct Foreign {
    /// In the order in which they run, by direction as in [`BOTH`].
    ids: [[u32; 2]; 2],
    _links: Vec<OwnedFd>,
}

/// Their names.
const FOREIGN: [&str; 2] = ["ftp_helper_ingress", "ftp_helper_egress"];

impl Foreign {
    fn attach() -> Self {
        let other = loaded();
        let device = Device::find("wan0").unwrap().index;
        let mut links = Vec::new();
        for direction in BOTH {
            for program in BOTH.map(|program| other.program(program).as_fd()) {
                let hook = tcx::hook(direction);
                links.push(sys::create_link(program, device, hook, Place::Last).unwrap());
            }
        }
        let ids = BOTH.map(|direction| programs(direction).try_into().unwrap());
        Self { ids, _links: links }
    }

    /// Where our program runs among them; those have to be there in their order.
    fn places_of_ours(&self) -> [usize; 2] {
        [0, 1].map(|index| {
            let mut all = programs(BOTH[index]);
            let ours = all.iter().position(|id| !self.ids[index].contains(id));
            let ours = ours.unwrap();
            all.remove(ours);
            assert_eq!(all, self.ids[index]);
            ours
        })
    }
}

/// Ids of the programs that TCX runs on `wan0`; none where there is no TCX.
fn programs(direction: Direction) -> Vec<u32> {
    let device = Device::find("wan0").unwrap();
    match sys::programs_of(device.index, tcx::hook(direction)) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Vec::new(),
        result => result.unwrap(),
    }
}

fn names(path: &Path, prefix: &str) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(prefix))
        .collect();
    names.sort();
    names
}

/// Loads and attaches both programs, and ends as an agent does that is killed.
fn start(pins: &PinDirectory, technique: Option<Technique>) -> Vec<Attached> {
    let (datapath, mut new) = load(pins);
    let wanted = Wanted {
        technique,
        ..Wanted::default()
    };
    let attached = attach(&datapath, pins, &wanted, &mut new).unwrap();
    new.keep();
    attached
}

fn load(pins: &PinDirectory) -> (Datapath, NewPins) {
    pins.create().unwrap();
    let mut new = NewPins::default();
    let datapath = Datapath::load_pinned(0, SESSION_LIMIT, pins, &mut new).unwrap();
    (datapath, new)
}

fn attach(
    datapath: &Datapath,
    pins: &PinDirectory,
    wanted: &Wanted,
    new: &mut NewPins,
) -> Result<Vec<Attached>> {
    let device = Device::find("wan0").unwrap();
    BOTH.into_iter()
        .map(|direction| datapath.attach(&device, direction, wanted, pins, new))
        .collect()
}

fn detach_all(pins: &PinDirectory) {
    for pin in pins.read().unwrap().attachments {
        detach(&pin).unwrap();
    }
}

const fn made(technique: Technique, replaced: bool) -> Attached {
    Attached {
        technique,
        replaced,
        in_order: true,
    }
}

#[test]
fn a_second_start_takes_the_place_of_the_first_and_keeps_its_maps() {
    sandboxed_with_tcx(|pins| {
        assert_eq!(start(pins, None), [made(Technique::Tcx, false); 2]);
        let first = BOTH.map(programs);
        let mut table = maps::Expectations::open_to_change(pins, maps::EXPECTATIONS).unwrap();
        table
            .insert(&ExpectationKey::default(), &Expectation::default())
            .unwrap();

        assert_eq!(start(pins, None), [made(Technique::Tcx, true); 2]);
        for (direction, first) in BOTH.into_iter().zip(first) {
            let second = programs(direction);
            assert_eq!((first.len(), second.len()), (1, 1));
            assert_ne!(first, second);
        }
        let table = maps::Expectations::open(pins, maps::EXPECTATIONS).unwrap();
        assert_eq!(table.entries().unwrap().len(), 1);
    });
}

#[test]
fn a_device_that_was_made_anew_gets_new_links() {
    sandboxed_with_tcx(|pins| {
        start(pins, None);
        ip("link del wan0");
        ip("link add wan0 type veth peer name far0");
        assert_eq!(start(pins, None), [made(Technique::Tcx, false); 2]);
        assert_eq!(names(pins.path(), "link_").len(), 4);
        for direction in BOTH {
            assert_eq!(programs(direction).len(), 1);
        }
        // The dead ones can be removed like live ones.
        detach_all(pins);
        assert_eq!(names(pins.path(), "link_"), [""; 0]);
        assert!(programs(Direction::Egress).is_empty());
    });
}

#[test]
fn a_dead_link_of_the_same_index_is_replaced() {
    sandboxed_with_tcx(|pins| {
        start(pins, None);
        let index = Device::find("wan0").unwrap().index;
        ip("link del wan0");
        ip(&format!(
            "link add wan0 index {index} type veth peer name far0"
        ));
        assert_eq!(start(pins, None), [made(Technique::Tcx, false); 2]);
        assert_eq!(names(pins.path(), "link_").len(), 2);
        assert_eq!(programs(Direction::Ingress).len(), 1);
    });
}

#[test]
fn detaching_takes_effect_at_once() {
    sandboxed_with_tcx(|pins| {
        start(pins, None);
        for pin in pins.read().unwrap().attachments {
            detach(&pin).unwrap();
            assert!(programs(pin.direction).is_empty());
            assert!(!pin.path.exists());
        }
    });
}

#[test]
fn clsact_replaces_its_own_filter_and_leaves_the_qdisc_and_other_filters() {
    sandboxed(|pins| {
        qdisc_add_clsact("wan0").unwrap();
        let foreign = "filter add dev wan0 egress pref 9 protocol all bpf direct-action bytecode";
        // One instruction of classic BPF: TC_ACT_UNSPEC.
        let bytecode = "1,6 0 0 4294967295,";
        let mut words: Vec<&str> = foreign.split(' ').collect();
        words.push(bytecode);
        tc_words(&words);

        let clsact = Some(Technique::Clsact);
        assert_eq!(start(pins, clsact), [made(Technique::Clsact, false); 2]);
        // What is there keeps its technique.
        assert_eq!(start(pins, None), [made(Technique::Clsact, true); 2]);
        assert!(programs(Direction::Egress).is_empty());
        let filters = tc("filter show dev wan0 egress");
        assert_eq!(filters.matches("direct-action").count(), 2, "{filters}");
        assert_eq!(filters.matches("0x46545048").count(), 1, "{filters}");

        detach_all(pins);
        assert!(names(pins.path(), "filter_").is_empty());
        let filters = tc("filter show dev wan0 egress");
        assert_eq!(filters.matches("direct-action").count(), 1, "{filters}");
        assert!(filters.contains("pref 9 "), "{filters}");
        assert!(tc("qdisc show dev wan0").contains("clsact"));
    });
}

#[test]
fn a_filter_whose_pin_was_lost_does_not_run_beside_a_link() {
    sandboxed_with_tcx(|pins| {
        start(pins, Some(Technique::Clsact));
        for name in names(pins.path(), "filter_") {
            fs::remove_file(pins.path().join(name)).unwrap();
        }
        assert_eq!(start(pins, None), [made(Technique::Tcx, false); 2]);
        let filters = tc("filter show dev wan0 egress");
        assert!(!filters.contains("ftp_helper"), "{filters}");
    });
}

#[test]
fn the_programs_are_next_to_the_wire() {
    sandboxed_with_tcx(|pins| {
        let foreign = Foreign::attach();
        start(pins, None);
        assert_eq!(foreign.places_of_ours(), [0, 2]);
    });
}

fn in_order(technique: Technique, order: Order) -> Wanted {
    Wanted {
        technique: Some(technique),
        order,
    }
}

#[test]
fn the_programs_are_where_they_are_asked_for_and_others_stay() {
    sandboxed_with_tcx(|pins| {
        let foreign = Foreign::attach();
        let (datapath, mut new) = load(pins);
        let name = |index: usize| Neighbour::Name(FOREIGN[index].to_owned());
        for (order, place) in [
            (Order::First, 0),
            (Order::Last, 2),
            (Order::Before(name(1)), 1),
            (Order::After(name(0)), 1),
            (Order::After(name(1)), 2),
            // The same two programs are on both hooks.
            (Order::Before(Neighbour::Id(foreign.ids[0][1])), 1),
        ] {
            let wanted = in_order(Technique::Tcx, order);
            // The second time as an agent does that starts again.
            for replaced in [false, true] {
                let attached = attach(&datapath, pins, &wanted, &mut new).unwrap();
                assert_eq!(attached, [made(Technique::Tcx, replaced); 2], "{wanted:?}");
                assert_eq!(foreign.places_of_ours(), [place; 2], "{wanted:?}");
            }
            detach_all(pins);
            assert_eq!(BOTH.map(programs), foreign.ids);
        }
    });
}

#[test]
fn another_order_moves_nothing_but_is_noticed() {
    sandboxed_with_tcx(|pins| {
        let foreign = Foreign::attach();
        let (datapath, mut new) = load(pins);
        let first = in_order(Technique::Tcx, Order::First);
        attach(&datapath, pins, &first, &mut new).unwrap();
        // Nor is a start refused for a program that is gone.
        let gone = Order::Before(Neighbour::Id(u32::MAX));
        for order in [Order::Last, gone] {
            let wanted = in_order(Technique::Tcx, order);
            let attached = attach(&datapath, pins, &wanted, &mut new).unwrap();
            assert!(attached.iter().all(|attached| attached.replaced));
            assert!(attached.iter().all(|attached| !attached.in_order));
            assert_eq!(foreign.places_of_ours(), [0, 0]);
        }
    });
}

#[test]
fn a_neighbour_that_is_not_there_is_named_and_nothing_is_attached() {
    sandboxed_with_tcx(|pins| {
        let foreign = Foreign::attach();
        let (datapath, mut new) = load(pins);
        let wanted = Wanted {
            technique: None,
            order: "before:nobody".parse().unwrap(),
        };
        let error = attach(&datapath, pins, &wanted, &mut new).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("no program nobody"), "{error}");
        let there = foreign.ids[0].map(|id| id.to_string()).join(", ");
        assert!(error.contains(&there), "{error}");
        assert_eq!(BOTH.map(programs), foreign.ids);
        assert!(names(pins.path(), "link_").is_empty());
        assert!(!tc("qdisc show dev wan0").contains("clsact"));
    });
}

#[test]
fn filters_have_a_first_and_a_last_place() {
    sandboxed(|pins| {
        let (datapath, mut new) = load(pins);
        for (order, priority) in [(Order::First, "2"), (Order::Last, "65534")] {
            let wanted = in_order(Technique::Clsact, order);
            for replaced in [false, true] {
                let attached = attach(&datapath, pins, &wanted, &mut new).unwrap();
                assert_eq!(attached, [made(Technique::Clsact, replaced); 2]);
                for word in ["ingress", "egress"] {
                    let filters = tc(&format!("filter show dev wan0 {word}"));
                    let own = format!("pref {priority} bpf chain 0 handle 0x46545048");
                    assert_eq!(filters.matches(&own).count(), 1, "{filters}");
                    assert_eq!(filters.matches("0x46545048").count(), 1, "{filters}");
                }
            }
            let wire = in_order(Technique::Clsact, Order::Wire);
            let attached = attach(&datapath, pins, &wire, &mut new).unwrap();
            let in_order = attached.iter().filter(|attached| attached.in_order);
            assert_eq!(in_order.count(), 1);
            detach_all(pins);
            for word in ["ingress", "egress"] {
                assert_eq!(tc(&format!("filter show dev wan0 {word}")), "");
            }
        }
    });
}

#[test]
fn an_ingress_qdisc_in_the_place_of_clsact_is_refused() {
    sandboxed(|pins| {
        tc("qdisc add dev wan0 ingress");
        let (datapath, mut new) = load(pins);
        let wanted = in_order(Technique::Clsact, Order::Wire);
        let error = attach(&datapath, pins, &wanted, &mut new).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("no clsact"), "{error}");
        assert_eq!(tc("filter show dev wan0 ingress"), "");
        assert!(tc("qdisc show dev wan0").contains("ingress"));
    });
}

#[test]
fn filters_have_no_neighbours() {
    sandboxed(|pins| {
        let (datapath, mut new) = load(pins);
        let wanted = in_order(Technique::Clsact, Order::After(Neighbour::Id(7)));
        let error = attach(&datapath, pins, &wanted, &mut new).unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains("TCX") && error.contains("--order first"),
            "{error}"
        );
        assert!(!tc("qdisc show dev wan0").contains("clsact"));
    });
}

#[test]
fn a_start_that_fails_leaves_nothing() {
    sandboxed_with_tcx(|pins| {
        let device = Device::find("wan0").unwrap();
        pins.create().unwrap();
        let mut new = NewPins::default();
        new.directory(pins);
        let datapath = Datapath::load_pinned(0, SESSION_LIMIT, pins, &mut new).unwrap();
        datapath
            .attach(
                &device,
                Direction::Ingress,
                &Wanted::default(),
                pins,
                &mut new,
            )
            .unwrap();
        assert_eq!(programs(Direction::Ingress).len(), 1);
        drop(new);
        assert!(programs(Direction::Ingress).is_empty());
        assert!(!pins.path().exists());
    });
}

#[test]
fn a_pinned_map_of_another_shape_is_refused() {
    sandboxed(|pins| {
        pins.create().unwrap();
        let other = aya::maps::HashMap::<_, SessionKey, u64>::create(16, 0).unwrap();
        other.pin(pins.map(maps::SESSIONS)).unwrap();
        let mut new = NewPins::default();
        let loaded = Datapath::load_pinned(0, SESSION_LIMIT, pins, &mut new).map(|_| ());
        let error = loaded.unwrap_err().to_string();
        assert!(
            error.contains(&format!("map_SESSIONS_v{SCHEMA_VERSION}")),
            "{error}"
        );
        assert!(error.contains("ftp-helper detach"), "{error}");
        drop(new);
        assert_eq!(
            names(pins.path(), "map_"),
            [format!("map_SESSIONS_v{SCHEMA_VERSION}")]
        );
    });
}

#[test]
fn tables_of_another_size_take_the_place_of_pinned_ones() {
    const INTERFACE: u32 = 7;
    let load = |pins: &PinDirectory, sessions| {
        let mut new = NewPins::default();
        let datapath = Datapath::load_pinned(0, sessions, pins, &mut new).unwrap();
        new.keep();
        datapath
    };
    let pinned = |pins: &PinDirectory| maps::Expectations::open(pins, maps::EXPECTATIONS).unwrap();
    let is_frozen = |datapath: &Datapath| {
        let interface = datapath.maps.interfaces.get(&INTERFACE).unwrap();
        interface.unwrap().flags & FROZEN != 0
    };
    sandboxed(|pins| {
        pins.create().unwrap();
        let mut old = load(pins, 100);
        assert!(!old.has_to_move());
        let maps = &mut old.maps;
        let interface = Interface::default();
        maps.interfaces.insert(&INTERFACE, &interface).unwrap();
        let key = |port| ExpectationKey {
            source: Address::from_v4([203, 0, 113, 2]),
            destination: Endpoint::new(Address::from_v4([203, 0, 113, 1]), port),
        };
        let expectation = Expectation {
            created: 4711,
            ..Expectation::default()
        };
        for port in 0..400 {
            maps.expectations.insert(&key(port), &expectation).unwrap();
        }
        // What an earlier attempt has left, ended in the middle.
        let leftover = pins.next_map(maps::CLIENTS);
        fs::hard_link(pins.map(maps::CLIENTS), leftover).unwrap();

        let mut next = load(pins, 300);
        assert!(next.has_to_move());
        assert!(pins.read().unwrap().leftovers.is_empty());
        next.move_tables().unwrap();
        assert!(is_frozen(&old) && is_frozen(&next));
        assert_eq!(
            next.maps.expectations.get(&key(99)).unwrap(),
            Some(expectation)
        );
        assert_eq!(pins.read().unwrap().leftovers.len(), 3);
        // Given up: everything is as it was, once it is thawed.
        next.thaw().unwrap();
        drop(next);
        assert!(!is_frozen(&old));
        assert!(pins.read().unwrap().leftovers.is_empty());
        assert_eq!(pinned(pins).capacity(), 400);

        let mut next = load(pins, 300);
        next.move_tables().unwrap();
        next.keep_tables().unwrap();
        next.thaw().unwrap();
        assert!(!is_frozen(&next));
        let table = pinned(pins);
        assert_eq!((table.capacity(), table.count().unwrap()), (1200, 400));
        assert_eq!(table.get(&key(0)).unwrap(), Some(expectation));
        assert!(pins.read().unwrap().leftovers.is_empty());
        assert!(!next.has_to_move());

        // And with too little room nothing begins.
        let mut small = load(pins, 99);
        let error = small.move_tables().unwrap_err().to_string();
        assert!(error.contains("400 entries of EXPECTATIONS"), "{error}");
        assert!(error.contains("at least 100,"), "{error}");
        assert!(!is_frozen(&next));
    });
}

#[test]
fn reading_where_nothing_is_loaded_says_how_to_start() {
    sandboxed(|pins| {
        let error = maps::Sessions::open(pins, maps::SESSIONS)
            .map(|_| ())
            .unwrap_err();
        let error = error.to_string();
        assert!(error.contains("ftp-helper run -i IFACE"), "{error}");
    });
}

#[test]
fn tables_hold_what_was_put_in() {
    with_maps(|maps| {
        let table = &mut maps.expectations;
        let key = |port| ExpectationKey {
            source: Address::from_v4([203, 0, 113, 2]),
            destination: Endpoint::new(Address::from_v4([203, 0, 113, 1]), port),
        };
        for port in 0..200 {
            table.insert(&key(port), &Expectation::default()).unwrap();
        }
        let mut ports: Vec<u16> = table
            .entries()
            .unwrap()
            .iter()
            .map(|(key, _)| key.destination.port)
            .collect();
        ports.sort_unstable();
        assert!(ports.into_iter().eq(0..200));
        assert_eq!(table.get(&key(7)).unwrap(), Some(Expectation::default()));
        assert!(table.remove(&key(7)).unwrap());
        assert!(!table.remove(&key(7)).unwrap());
        assert_eq!(table.get(&key(7)).unwrap(), None);
        for port in 0..200 {
            table.remove(&key(port)).unwrap();
        }
        assert!(table.entries().unwrap().is_empty());
    });
}

#[test]
fn port_maps_become_equal_to_a_set() {
    with_maps(|maps| {
        let bits = &mut maps.reserved_ports;
        for set in ["21,1000-2000,65535", "22", ""] {
            let set = set.parse().unwrap();
            bits.store(&set).unwrap();
            for port in [0, 21, 22, 999, 1000, 2000, 2001, 65535] {
                assert_eq!(bits.contains(port).unwrap(), set.contains(port), "{port}");
            }
        }
    });
}

#[test]
fn expired_expectations_of_the_agent_are_counted() {
    with_maps(|maps| {
        let counters = &mut maps.counters;
        let expired = ftp_helper_common::reason::Reason::ExpectationExpired;
        let before = counters.get(expired).unwrap();
        counters.add_expired().unwrap();
        counters.add_expired().unwrap();
        assert_eq!(counters.get(expired).unwrap(), before + 2);
    });
}

#[test]
fn a_packet_that_is_not_ours_passes_unchanged() {
    sandboxed(|_| {
        let mut datapath = loaded();
        let ifindex = Device::find("wan0").unwrap().index;
        datapath
            .maps
            .interfaces
            .insert(&ifindex, &Interface::default())
            .unwrap();
        let mut packet = Vec::new();
        etherparse::PacketBuilder::ethernet2([2; 6], [4; 6])
            .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
            .udp(53, 53)
            .write(&mut packet, b"not for us")
            .unwrap();
        let context = Context {
            ifindex,
            mark: 7,
            ..Context::default()
        };
        for direction in BOTH {
            let outcome = datapath.test_run(direction, &packet, &context, 1).unwrap();
            // TC_ACT_UNSPEC, which is TCX_NEXT.
            assert_eq!(outcome.verdict, u32::MAX);
            assert_eq!(outcome.packet, packet);
            assert_eq!(outcome.mark, 7);
        }
    });
}

#[test]
fn asking_for_conntrack_leaves_no_entry() {
    sandboxed(|_| {
        // Refused for what it asks, not for how it is written.
        let refusal = autoload::conntrack().unwrap();
        assert_eq!(refusal.raw_os_error(), Some(libc::ERANGE));
        let entries = fs::read_to_string("/proc/thread-self/net/nf_conntrack").unwrap();
        assert_eq!(entries, "");
    });
}

#[test]
fn the_verifier_has_room_left() {
    sandboxed(|_| {
        let datapath = loaded();
        for direction in BOTH {
            if let Some(count) = datapath.verified_instructions(direction).unwrap() {
                // The kernel's limit is a million.
                assert!(count < 900_000, "{direction:?}: {count}");
            }
        }
    });
}
