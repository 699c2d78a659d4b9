//! A port that nobody may reach, and what tells that somebody did.

use std::{
    net::{SocketAddr, TcpListener},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use super::dial::{Attempt, Way};
use crate::{
    duet::{accept, listen},
    host::Host,
    lab::Lab,
    setup::Family,
    wait::patient,
};

/// Longest wait for a packet that must not come: those that may come take less
/// than a millisecond.
const BLOCKED: Duration = Duration::from_millis(250);

/// The rule that opens the gateway for a moment goes in front of all others.
const BEFORE_ALL: &str = "nft --echo --handle insert rule inet filter forward";

/// The rules that count what arrives, and those that open the gateway.
const COUNTS: &str = "trap";
const OPENED: &str = "opened";

/// A listener of the victim's, with a rule that counts every attempt that reaches its
/// port, whether or not it becomes a connection.
#[derive(Debug)]
pub struct Trap {
    victim: Host,
    listener: TcpListener,
    at: SocketAddr,
    ways: Vec<Way>,
}

/// What reached a trap.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Caught {
    /// SYNs to its port. What belongs to a connection that was let in before is none of
    /// them.
    pub syns: u64,
    /// Connections that its listener accepted.
    pub connections: u64,
}

impl Caught {
    /// Nothing at all.
    pub const NOTHING: Self = Self {
        syns: 0,
        connections: 0,
    };
}

impl Trap {
    /// Sets a trap on `at` of the `victim`, which attempts will be made at by these
    /// `ways`. It is tried first: with the gateway opened by a rule, each way has to
    /// lead to it, and without the rule none of them.
    pub fn set(lab: &Lab, victim: &Host, at: SocketAddr, ways: Vec<Way>) -> Result<Self> {
        let listener = listen(victim, at)?;
        let at = listener.local_addr()?;
        let trap = Self {
            victim: victim.clone(),
            listener,
            at,
            ways: ways
                .into_iter()
                .map(|way| Way {
                    to: SocketAddr::new(way.to.ip(), at.port()),
                    ..way
                })
                .collect(),
        };
        trap.count()?;
        trap.is_good(lab)
            .with_context(|| format!("the trap on {at} is of no use"))?;
        Ok(trap)
    }

    /// Where it listens.
    pub fn at(&self) -> SocketAddr {
        self.at
    }

    /// Its listener.
    pub fn listener(&self) -> &TcpListener {
        &self.listener
    }

    /// The ways that attempts are made by.
    pub fn ways(&self) -> &[Way] {
        &self.ways
    }

    /// Makes an attempt by each of these ways, and returns what arrived.
    pub fn spring_by(&self, ways: &[Way]) -> Result<Caught> {
        let before = self.syns()?;
        let attempts = ways
            .iter()
            .map(Attempt::start)
            .collect::<Result<Vec<_>>>()?;
        let end = Instant::now() + patient(BLOCKED);
        for attempt in &attempts {
            attempt.is_decided(end.saturating_duration_since(Instant::now()))?;
        }
        let mut connections = 0;
        for attempt in &attempts {
            if attempt.is_decided(Duration::ZERO)? && attempt.is_open()? {
                // Its last segment may be on its way to the victim.
                connections += u64::from(accept(&self.listener, BLOCKED).is_ok());
            }
        }
        while self.listener.accept().is_ok() {
            connections += 1;
        }
        Ok(Caught {
            syns: self.syns()? - before,
            connections,
        })
    }

    fn count(&self) -> Result<()> {
        let rules = format!(
            "
table inet {COUNTS}{port} {{
    chain prerouting {{
        type filter hook prerouting priority raw
        tcp dport {port} tcp flags & (fin | syn | rst | ack) == syn counter
    }}
}}
",
            port = self.at.port()
        );
        let file = Lab::file("trap.nft", &rules)?;
        self.victim.must(&format!("nft -f {}", file.display()))?;
        Ok(())
    }

    fn syns(&self) -> Result<u64> {
        let port = self.at.port();
        let rules = self
            .victim
            .must(&format!("nft list table inet {COUNTS}{port}"))?;
        rules
            .split_once("packets ")
            .and_then(|(_, rest)| rest.split(' ').next()?.parse().ok())
            .with_context(|| format!("no counter in\n{rules}"))
    }

    fn is_good(&self, lab: &Lab) -> Result<()> {
        let family = match lab.setup.family() {
            Family::V4 => "ip",
            Family::V6 => "ip6",
        };
        let port = self.at.port();
        let translated: Vec<_> = self
            .ways
            .iter()
            .map(|way| way.to.ip())
            .filter(|to| *to != self.at.ip())
            .map(|to| {
                format!(
                    "        {family} daddr {to} tcp dport {port} dnat {family} to {}\n",
                    self.at
                )
            })
            .collect();
        let translated = translated.concat();
        let rules = format!(
            "
table inet {OPENED} {{
    chain prerouting {{
        type nat hook prerouting priority -110
{translated}    }}
}}
"
        );
        let file = Lab::file("opened.nft", &rules)?;
        let gateway = &lab.gateway;
        gateway.must(&format!("nft -f {}", file.display()))?;
        let rule = gateway.must(&format!("{BEFORE_ALL} tcp dport {port} accept"))?;
        let handle = rule
            .split_once("# handle ")
            .and_then(|(_, rest)| rest.split_whitespace().next())
            .with_context(|| format!("no handle in {rule:?}"))?;
        for way in &self.ways {
            let caught = self.spring_by(std::slice::from_ref(way))?;
            ensure!(
                caught.syns > 0 && caught.connections == 1,
                "with the gateway open, {caught:?} from the {} by {}",
                way.from.name(),
                way.to
            );
        }
        gateway.must(&format!(
            "nft delete rule inet filter forward handle {handle}"
        ))?;
        gateway.must(&format!("nft delete table inet {OPENED}"))?;
        let caught = self.spring_by(&self.ways)?;
        ensure!(
            caught == Caught::NOTHING,
            "{caught:?} before anything was tried"
        );
        Ok(())
    }
}
