//! `ftp-helper expect add`: an expectation that no line announced.
//!
//! It is written straight into the map, so it works with and without an agent,
//! and it is held to the rules that the programs hold announcements to.

use std::{
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use anyhow::{Result, bail, ensure};
use clap::{Args, value_parser};
use ftp_helper_common::{
    address::Address,
    expectation::{Expectation, ExpectationKey},
    interface::{Interface, flags},
    session::SessionKey,
};
use nix::{
    errno::Errno,
    sys::socket::{
        AddressFamily, SockFlag, SockType, SockaddrStorage, bind, setsockopt, socket, sockopt,
    },
};
use std::os::fd::AsRawFd as _;

use super::{endpoint, entry};
use crate::{
    cli::Output,
    clock,
    datapath::maps::{
        AWAITED_PORTS, Counters, DENIED_PORTS, EXPECTATIONS, Expectations, INTERFACES, Interfaces,
        PortBits, RESERVED_PORTS, SESSIONS, Sessions,
    },
    device::{Device, Names},
    failure::Failure,
    inspect::{expectation::ANYBODY, mode::Mode},
    output,
    pins::PinDirectory,
};

/// First port that is not a privileged one.
const FIRST: u16 = 1024;

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// Outside interface; without it, the only one that is helped
    #[arg(short, long = "interface", value_name = "IFACE")]
    interface: Option<String>,

    /// Who opens the connection; `any` stands for the networks of --fxp
    #[arg(long, value_name = "ADDRESS")]
    src: Source,

    /// Where it is awaited, as its opener sees that
    #[arg(long, value_name = "ADDRESS:PORT")]
    dst: SocketAddr,

    /// Where it leads: the inside host, or with --outgoing the peer; without it, to
    /// where it is awaited
    #[arg(long, value_name = "ADDRESS:PORT")]
    to: Option<SocketAddr>,

    /// Let the other end see this address in place of the opener's
    #[arg(long, value_name = "ADDRESS")]
    seen_as: Option<IpAddr>,

    /// The inside host opens it, through an inside interface
    #[arg(long)]
    outgoing: bool,

    /// The announcement that it stands for
    #[arg(
        long,
        value_name = "MODE",
        value_enum,
        ignore_case = true,
        default_value = "PORT"
    )]
    mode: Mode,

    /// Seconds that it may take to come; without it, those of the interface
    #[arg(long, value_name = "SECONDS", value_parser = value_parser!(u32).range(1..=3600))]
    timeout: Option<u32>,

    #[command(flatten)]
    output: Output,
}

/// An address, or anybody.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Source(Option<IpAddr>);

impl FromStr for Source {
    type Err = std::net::AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == ANYBODY {
            return Ok(Self(None));
        }
        text.parse().map(|address| Self(Some(address)))
    }
}

pub(super) fn run(arguments: &Arguments, pins: &PinDirectory) -> Result<()> {
    let interfaces = Interfaces::open(pins, INTERFACES)?.entries()?;
    let (ifindex, interface) = outside(&interfaces, arguments.interface.as_deref())?;
    let denied = PortBits::open(pins, DENIED_PORTS)?;
    let reserved = PortBits::open(pins, RESERVED_PORTS)?;
    let rules = Rules {
        interface: &interface,
        is_denied: &|port| denied.contains(port),
        is_reserved: &|port| reserved.contains(port),
        has_listener: &has_listener,
    };
    rules.check(arguments)?;

    let now = clock::now()?;
    let seconds = arguments.timeout.unwrap_or(interface.expectation_timeout);
    let (key, value) = arguments.expectation(ifindex, now, seconds);
    let mut table = Expectations::open_to_change(pins, EXPECTATIONS)?;
    let mut counters = Counters::open_to_change(pins)?;
    // One that has expired is in nobody's way.
    if let Some(found) = table.get(&key)?
        && found.expires <= now
        && table.remove(&key)?
    {
        counters.add_expired()?;
    }
    PortBits::open_to_change(pins, AWAITED_PORTS)?.add_with_neighbours(key.destination.port)?;
    if !table.insert_new(&key, &value)? {
        bail!(
            "a data connection is awaited there already: choose another port, or remove it with \
             `ftp-helper expect delete {} {}`",
            output::endpoint(&key.destination),
            IpAddr::from(key.source)
        );
    }
    counters.add_created()?;
    let sessions = Sessions::open(pins, SESSIONS)?;
    output::print_object(
        &entry(&sessions, &key, &value, &mut Names::default(), now)?,
        arguments.output.output,
    )
}

impl Arguments {
    fn to(&self) -> SocketAddr {
        self.to.unwrap_or(self.dst)
    }

    fn expectation(&self, ifindex: u32, now: u64, seconds: u32) -> (ExpectationKey, Expectation) {
        let address = |address: Option<IpAddr>| address.map_or(Address::UNSPECIFIED, Address::from);
        let key = ExpectationKey {
            source: address(self.src.0),
            destination: endpoint(self.dst),
        };
        let value = Expectation {
            // None: that is how it is known to be made by hand.
            master: SessionKey::default(),
            target: endpoint(self.to()),
            new_source: address(self.seen_as),
            kind: self.mode.kind().0,
            outgoing: self.outgoing.into(),
            ifindex,
            created: now,
            expires: now.saturating_add(clock::seconds(seconds.into())),
            ..Expectation::default()
        };
        (key, value)
    }
}

/// The outside interface of this name, or the only one.
fn outside(interfaces: &[(u32, Interface)], name: Option<&str>) -> Result<(u32, Interface)> {
    let outsides: Vec<&(u32, Interface)> = interfaces
        .iter()
        .filter(|(_, interface)| interface.flags & flags::INSIDE == 0)
        .collect();
    if let Some(name) = name {
        let index = Device::find(name)?.index;
        return match outsides.iter().find(|(ifindex, _)| *ifindex == index) {
            Some(found) => Ok(**found),
            None => Err(Failure::not_found(format!(
                "{name} is not helped: add `-i {name}` to `ftp-helper run`"
            ))
            .into()),
        };
    }
    match outsides[..] {
        [only] => Ok(*only),
        [] => Err(Failure::not_running(
            "no outside interface is helped: start with `ftp-helper run -i IFACE`",
        )
        .into()),
        _ => {
            let names: Vec<String> = outsides
                .iter()
                .map(|(index, _)| Device::name_of(*index))
                .collect();
            Err(Failure::usage(format!(
                "several interfaces are helped: choose one of {} with -i",
                names.join(", ")
            ))
            .into())
        }
    }
}

type IsPort<'a> = &'a dyn Fn(u16) -> Result<bool>;

/// What the programs ask of an announcement.
struct Rules<'a> {
    interface: &'a Interface,
    is_denied: IsPort<'a>,
    is_reserved: IsPort<'a>,
    has_listener: &'a dyn Fn(SocketAddr) -> Result<bool>,
}

impl Rules<'_> {
    fn check(&self, arguments: &Arguments) -> Result<()> {
        let (dst, to) = (arguments.dst, arguments.to());
        for at in [dst, to] {
            ensure!(
                at.port() >= FIRST,
                "{at} has a port below {FIRST}: no data connection is admitted there (low_port)"
            );
            usable(at.ip())?;
        }
        let others = [arguments.src.0, arguments.seen_as].into_iter().flatten();
        for other in others.clone() {
            usable(other)?;
        }
        for address in others.chain([to.ip()]) {
            ensure!(
                address.is_ipv4() == dst.is_ipv4(),
                "{address} and {dst} are of different families: choose one for all (wrong_family)"
            );
        }
        let has = |flag: u16| self.interface.flags & flag != 0;
        ensure!(
            arguments.src.0.is_some() || has(flags::FXP),
            "third parties take part on interfaces with --fxp only: name an address with --src"
        );
        ensure!(
            !arguments.outgoing || has(flags::OUTGOING),
            "no inside interface is watched: add `--inside IFACE` to `ftp-helper run`"
        );
        ensure!(
            !(self.is_denied)(to.port())?,
            "port {} is denied: take it off --deny-ports, or choose another one (denied_port)",
            to.port()
        );
        // The gateway's own ports; without translation the inside host gets it.
        if !arguments.outgoing && dst != to {
            ensure!(
                !(self.is_reserved)(dst.port())?,
                "port {} is reserved (net.ipv4.ip_local_reserved_ports): choose another one",
                dst.port()
            );
            ensure!(
                !(self.has_listener)(dst)?,
                "a server of this host listens on {dst}: choose another port"
            );
        }
        Ok(())
    }
}

/// An address that a data connection may come from or lead to.
fn usable(address: IpAddr) -> Result<()> {
    ensure!(
        !address.is_unspecified() && !address.is_loopback() && !address.is_multicast(),
        "{address} is no address that anybody can connect to: choose one of a host"
    );
    Ok(())
}

/// True when a socket of this host would take a connection to the endpoint.
fn has_listener(at: SocketAddr) -> Result<bool> {
    let family = if at.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    };
    let socket = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    // With it, only sockets that listen are in the way.
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    match bind(socket.as_raw_fd(), &SockaddrStorage::from(at)) {
        Err(Errno::EADDRINUSE) => Ok(true),
        // An address of another host, as of one that is not the gateway's own.
        Ok(()) | Err(Errno::EADDRNOTAVAIL) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use clap::Parser;

    use super::*;
    use crate::failure;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn parse(words: &[&str]) -> Arguments {
        let words = ["add"].iter().chain(words);
        Only::try_parse_from(words).unwrap().arguments
    }

    const GOOD: [&str; 6] = [
        "--src",
        "203.0.113.2",
        "--dst",
        "203.0.113.1:40000",
        "--to",
        "10.0.0.2:40000",
    ];

    fn check_on(interface_flags: u16, words: &[&str]) -> Result<()> {
        let interface = Interface {
            flags: interface_flags,
            ..Interface::default()
        };
        let rules = Rules {
            interface: &interface,
            is_denied: &|port| Ok(port == 3389),
            is_reserved: &|port| Ok(port == 8080),
            has_listener: &|at| Ok(at.port() == 2121),
        };
        rules.check(&parse(words))
    }

    fn refusal(words: &[&str]) -> String {
        check_on(0, words).unwrap_err().to_string()
    }

    #[test]
    fn a_good_one() {
        check_on(0, &GOOD).unwrap();
        let (key, value) = parse(&GOOD).expectation(7, 1_000, 2);
        assert_eq!(output::endpoint(&key.destination), "203.0.113.1:40000");
        assert_eq!(IpAddr::from(key.source).to_string(), "203.0.113.2");
        assert_eq!(output::endpoint(&value.target), "10.0.0.2:40000");
        assert_eq!(value.master, SessionKey::default());
        assert_eq!((value.ifindex, value.outgoing, value.unapproved), (7, 0, 0));
        assert_eq!((value.created, value.expires), (1_000, 2_000_001_000));
        assert!(value.new_source.is_unspecified());
    }

    #[test]
    fn the_rules_of_announcements_hold() {
        let mut words = GOOD;
        for (at, word, reason) in [
            (3, "203.0.113.1:1023", "low_port"),
            (5, "10.0.0.2:21", "low_port"),
            (5, "10.0.0.2:3389", "denied_port"),
            (5, "[2001:db8::2]:40000", "wrong_family"),
            (1, "2001:db8::2", "wrong_family"),
            (1, "0.0.0.0", "no address"),
            (5, "127.0.0.1:4000", "no address"),
            (3, "224.0.0.1:4000", "no address"),
            (3, "203.0.113.1:8080", "reserved"),
            (3, "203.0.113.1:2121", "listens"),
            (1, "any", "--fxp"),
        ] {
            words[at] = word;
            let text = refusal(&words);
            assert!(text.contains(reason), "{word}: {text}");
            words = GOOD;
        }
    }

    #[test]
    fn without_translation_the_ports_of_the_gateway_do_not_count() {
        let words = ["--src", "203.0.113.2", "--dst", "203.0.113.1:8080"];
        check_on(0, &words).unwrap();
    }

    #[test]
    fn some_need_what_the_interface_does_not_have() {
        let outgoing = [&GOOD[..], &["--outgoing"]].concat();
        assert!(refusal(&outgoing).contains("--inside"));
        check_on(flags::OUTGOING, &outgoing).unwrap();
        let mut anybody = GOOD;
        anybody[1] = "any";
        check_on(flags::FXP, &anybody).unwrap();
        assert!(
            parse(&anybody)
                .expectation(7, 0, 1)
                .0
                .source
                .is_unspecified()
        );
    }

    #[test]
    fn the_interface_has_to_be_clear() {
        let lo = Device::find("lo").unwrap().index;
        let helped = |index, flags| {
            let interface = Interface {
                flags,
                ..Interface::default()
            };
            (index, interface)
        };
        let inside = helped(4711, flags::INSIDE);
        assert_eq!(outside(&[inside, helped(lo, 0)], None).unwrap().0, lo);
        assert_eq!(outside(&[helped(lo, 0)], Some("lo")).unwrap().0, lo);
        for (interfaces, name, code) in [
            (vec![inside], None, failure::NOT_RUNNING),
            (vec![inside], Some("lo"), failure::NOT_FOUND),
            (vec![helped(lo, 0), helped(9, 0)], None, failure::USAGE),
        ] {
            let error = outside(&interfaces, name).unwrap_err();
            assert_eq!(failure::exit_code(&error), code, "{error}");
        }
    }

    #[test]
    fn a_listener_is_in_the_way_on_its_address_and_as_a_wildcard() {
        for address in ["127.0.0.1:0", "0.0.0.0:0"] {
            let listener = TcpListener::bind(address).unwrap();
            let port = listener.local_addr().unwrap().port();
            let at = SocketAddr::new("127.0.0.1".parse().unwrap(), port);
            assert!(has_listener(at).unwrap(), "{address}");
            drop(listener);
            assert!(!has_listener(at).unwrap(), "{address}");
        }
        assert!(!has_listener("203.0.113.7:4000".parse().unwrap()).unwrap());
    }
}
