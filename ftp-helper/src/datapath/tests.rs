//! Tests that load and attach the programs: they need root, and a kernel that
//! has what the programs need. Each has network and pins of its own.

use std::{
    env, fs,
    panic::{self, AssertUnwindSafe},
    path::Path,
    process::Command,
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
    thread,
};

use aya::programs::tc::{NlOptions, TcAttachOptions, qdisc_add_clsact};
use ftp_helper_common::{
    address::{Address, Endpoint},
    expectation::{Expectation, ExpectationKey},
    interface::Interface,
    session::SessionKey,
};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    unistd::geteuid,
};

use super::*;
use crate::{
    device::Device,
    pins::{PinDirectory, Technique},
};

const BOTH: [Direction; 2] = [Direction::Ingress, Direction::Egress];

/// False, and said so, without the rights that loading takes.
fn privileged() -> bool {
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
    let output = Command::new("tc")
        .args(arguments.split(' '))
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Ids of the programs that TCX runs.
fn attached(device: &str, direction: Direction) -> Vec<u32> {
    let (_, programs) = SchedClassifier::query_tcx(device, attach_type(direction)).unwrap();
    programs
        .iter()
        .map(aya::programs::ProgramInfo::id)
        .collect()
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
    let device = Device::find("wan0").unwrap();
    pins.create().unwrap();
    let mut new = NewPins::default();
    let mut datapath = Datapath::load_pinned(0, pins, &mut new).unwrap();
    let attached = BOTH
        .map(|direction| {
            datapath
                .attach(&device, direction, technique, pins, &mut new)
                .unwrap()
        })
        .to_vec();
    new.keep();
    attached
}

const fn made(technique: Technique, replaced: bool) -> Attached {
    Attached {
        technique,
        replaced,
    }
}

#[test]
fn a_second_start_takes_the_place_of_the_first_and_keeps_its_maps() {
    sandboxed(|pins| {
        assert_eq!(start(pins, None), [made(Technique::Tcx, false); 2]);
        let first = BOTH.map(|direction| attached("wan0", direction));
        let mut table = maps::Expectations::open(pins, maps::EXPECTATIONS).unwrap();
        table
            .insert(&ExpectationKey::default(), &Expectation::default())
            .unwrap();

        assert_eq!(start(pins, None), [made(Technique::Tcx, true); 2]);
        for (direction, first) in BOTH.into_iter().zip(first) {
            let second = attached("wan0", direction);
            assert_eq!((first.len(), second.len()), (1, 1));
            assert_ne!(first, second);
        }
        let table = maps::Expectations::open(pins, maps::EXPECTATIONS).unwrap();
        assert_eq!(table.entries().unwrap().len(), 1);
    });
}

#[test]
fn a_device_that_was_made_anew_gets_new_links() {
    sandboxed(|pins| {
        start(pins, None);
        ip("link del wan0");
        ip("link add wan0 type veth peer name far0");
        assert_eq!(start(pins, None), [made(Technique::Tcx, false); 2]);
        assert_eq!(names(pins.path(), "link_").len(), 4);
        for direction in BOTH {
            assert_eq!(attached("wan0", direction).len(), 1);
        }
        // The dead ones can be removed like live ones.
        for pin in pins.read().unwrap().attachments {
            detach(&pin).unwrap();
        }
        assert_eq!(names(pins.path(), "link_"), [""; 0]);
        assert!(attached("wan0", Direction::Egress).is_empty());
    });
}

#[test]
fn a_dead_link_of_the_same_index_is_replaced() {
    sandboxed(|pins| {
        start(pins, None);
        let index = Device::find("wan0").unwrap().index;
        ip("link del wan0");
        ip(&format!(
            "link add wan0 index {index} type veth peer name far0"
        ));
        assert_eq!(start(pins, None), [made(Technique::Tcx, false); 2]);
        assert_eq!(names(pins.path(), "link_").len(), 2);
        assert_eq!(attached("wan0", Direction::Ingress).len(), 1);
    });
}

#[test]
fn detaching_takes_effect_at_once() {
    sandboxed(|pins| {
        start(pins, None);
        for pin in pins.read().unwrap().attachments {
            detach(&pin).unwrap();
            assert!(attached("wan0", pin.direction).is_empty());
            assert!(!pin.path.exists());
        }
    });
}

#[test]
fn clsact_replaces_its_own_filter_and_leaves_the_qdisc_and_other_filters() {
    sandboxed(|pins| {
        qdisc_add_clsact("wan0").unwrap();
        let mut other = loaded();
        let program = other.program_mut(Direction::Egress).unwrap();
        let options = NlOptions {
            priority: 9,
            ..NlOptions::default()
        };
        let options = TcAttachOptions::Netlink(options);
        program
            .attach_with_options("wan0", TcAttachType::Egress, options)
            .unwrap();

        let clsact = Some(Technique::Clsact);
        assert_eq!(start(pins, clsact), [made(Technique::Clsact, false); 2]);
        // What is there keeps its technique.
        assert_eq!(start(pins, None), [made(Technique::Clsact, true); 2]);
        assert!(attached("wan0", Direction::Egress).is_empty());
        let filters = tc("filter show dev wan0 egress");
        assert_eq!(filters.matches("direct-action").count(), 2, "{filters}");
        assert_eq!(filters.matches("0x46545048").count(), 1, "{filters}");

        for pin in pins.read().unwrap().attachments {
            detach(&pin).unwrap();
        }
        assert!(names(pins.path(), "filter_").is_empty());
        let filters = tc("filter show dev wan0 egress");
        assert_eq!(filters.matches("direct-action").count(), 1, "{filters}");
        assert!(filters.contains("pref 9 "), "{filters}");
        assert!(tc("qdisc show dev wan0").contains("clsact"));
    });
}

#[test]
fn a_filter_whose_pin_was_lost_does_not_run_beside_a_link() {
    sandboxed(|pins| {
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
    sandboxed(|pins| {
        let mut other = loaded();
        let others = BOTH.map(|direction| {
            let program = other.program_mut(direction).unwrap();
            program.attach("wan0", attach_type(direction)).unwrap();
            attached("wan0", direction)[0]
        });
        start(pins, None);
        let [ingress, egress] = BOTH.map(|direction| attached("wan0", direction));
        assert_eq!((ingress.len(), egress.len()), (2, 2));
        assert_eq!(ingress[1], others[0]);
        assert_eq!(egress[0], others[1]);
    });
}

#[test]
fn a_start_that_fails_leaves_nothing() {
    sandboxed(|pins| {
        let device = Device::find("wan0").unwrap();
        pins.create().unwrap();
        let mut new = NewPins::default();
        new.directory(pins.path());
        let mut datapath = Datapath::load_pinned(0, pins, &mut new).unwrap();
        datapath
            .attach(&device, Direction::Ingress, None, pins, &mut new)
            .unwrap();
        assert_eq!(attached("wan0", Direction::Ingress).len(), 1);
        drop(new);
        assert!(attached("wan0", Direction::Ingress).is_empty());
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
        let loaded = Datapath::load_pinned(0, pins, &mut new).map(|_| ());
        let error = loaded.unwrap_err().to_string();
        assert!(error.contains("map_SESSIONS_v1"), "{error}");
        assert!(error.contains("ftp-helper detach"), "{error}");
        drop(new);
        assert_eq!(names(pins.path(), "map_"), ["map_SESSIONS_v1"]);
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
            let outcome = datapath.test_run(direction, &packet, &context).unwrap();
            // TC_ACT_UNSPEC, which is TCX_NEXT.
            assert_eq!(outcome.verdict, u32::MAX);
            assert_eq!(outcome.packet, packet);
            assert_eq!(outcome.mark, 7);
        }
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
