//! The gateway's rules, written with nftables or with either kind of iptables.

mod iptables;
mod loss;
mod nftables;

use std::{process::Command, thread};

use anyhow::{Context as _, Result, bail};
use nix::sched::{CloneFlags, unshare};

use crate::{
    docker::{Engine, bridges_without_iptables},
    lab::Lab,
    node::Proxy,
    setup::{Family, Inside, Setup, Translation},
};

pub(crate) use loss::{ANNOUNCEMENT_LOSS, loss};

/// Comment of the rule that drops what no other rule has accepted.
const REFUSED: &str = "refused";

/// Comment of the rule that counts packets in conntrack's state INVALID.
const INVALID: &str = "invalid";

/// What the gateway's rules are written with.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Ruleset {
    /// `nft`.
    #[default]
    Nftables,
    /// `iptables` and `ip6tables`.
    Iptables(Backend),
    /// What Docker writes with, once the lab is made a
    /// [`Docker`](crate::docker::Docker) host.
    Docker(Engine),
    /// What kube-proxy and the network plugins write with, once the lab is made a
    /// [`Node`](crate::node::Node) of Kubernetes.
    Node(Proxy),
}

/// What is behind `iptables` and `ip6tables`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Backend {
    /// The kernel's nftables.
    Nft,
    /// The kernel's own tables for them.
    Legacy,
}

impl Ruleset {
    /// Everything that routers have.
    pub const ALL: [Self; 3] = [
        Self::Nftables,
        Self::Iptables(Backend::Nft),
        Self::Iptables(Backend::Legacy),
    ];

    /// The program for `family`, if it is one of iptables; its companions end in
    /// `-save` and `-restore`.
    pub(crate) fn iptables(self, family: Family) -> Option<&'static str> {
        let backend = match self {
            Self::Nftables => None,
            Self::Iptables(backend) => Some(backend),
            Self::Docker(engine) => engine.backend(),
            Self::Node(proxy) => proxy.backend(),
        };
        Some(match (backend?, family) {
            (Backend::Nft, Family::V4) => "iptables-nft",
            (Backend::Nft, Family::V6) => "ip6tables-nft",
            (Backend::Legacy, Family::V4) => "iptables-legacy",
            (Backend::Legacy, Family::V6) => "ip6tables-legacy",
        })
    }

    /// Loads rules on the lab's gateway, written in the words of this one.
    pub(crate) fn load(self, lab: &Lab, rules: &str) -> Result<()> {
        let loader = match self.iptables(lab.setup.family()) {
            Some(program) => format!("{program}-restore"),
            None => "nft -f".to_owned(),
        };
        let file = Lab::file("gateway.rules", rules)?;
        lab.gateway.must(&format!("{loader} {}", file.display()))?;
        Ok(())
    }

    /// Why there can be no such rules on this machine, if that is so. To be
    /// called before a lab is made.
    pub(crate) fn missing(self) -> Option<String> {
        if matches!(self, Self::Docker(_) | Self::Node(_))
            && let Some(why) = bridges_without_iptables()
        {
            return Some(why);
        }
        for family in Family::ALL {
            let program = self.iptables(family)?;
            match thread::spawn(move || probe(program)).join() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Some(format!("{error:#}")),
                Err(_) => return Some(format!("{program}: the attempt to use it failed")),
            }
        }
        None
    }
}

/// Writes a rule in a network namespace that ends with the thread.
fn probe(program: &'static str) -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNET).context("no network namespace of its own")?;
    let output = Command::new(program)
        .args(["-t", "nat", "-A", "POSTROUTING", "-j", "MASQUERADE"])
        .output()
        .with_context(|| format!("`{program}` does not start; is iptables installed?"))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        bail!(
            "this kernel has no {program}: {}",
            text.trim().replace('\n', " ")
        );
    }
    Ok(())
}

/// What hosts inside may open by themselves.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Egress {
    /// Everything.
    #[default]
    Everything,
    /// Control connections and nothing else.
    ControlOnly,
}

/// What a translating gateway makes of the source of connections to the outside.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Source {
    /// Its own address, and the same port if that is free.
    #[default]
    Masquerade,
    /// Its own address, and a random port.
    RandomPort,
    /// For control connections its second address, the one by which the inside
    /// host is known; its first one for all others.
    SecondAddress,
}

/// Packets that the gateway's rules have counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Counts {
    /// Dropped on their way through the gateway, as nothing had accepted them.
    pub refused: u64,
    /// Belonging to no connection, as conntrack judged.
    pub invalid: u64,
}

impl Counts {
    /// All went through, and all belonged to connections.
    pub const NONE: Self = Self {
        refused: 0,
        invalid: 0,
    };

    /// What the gateway of `lab` has counted so far.
    pub fn of(lab: &Lab) -> Result<Self> {
        let setup = &lab.setup;
        let rules = match setup.ruleset.iptables(setup.family()) {
            Some(program) => lab.gateway.must(&format!("{program}-save -c"))?,
            None => lab.gateway.must("nft list table inet filter")?,
        };
        Ok(Self {
            refused: packets(&rules, REFUSED)?,
            invalid: packets(&rules, INVALID)?,
        })
    }
}

/// The packets that the rule with this comment has met: `... packets 1 bytes 2 ...`
/// in nft's words, and a line that begins with `[1:2]` in those of iptables.
fn packets(rules: &str, comment: &str) -> Result<u64> {
    rules
        .lines()
        .filter(|line| line.contains("comment"))
        .find(|line| line.contains(comment))
        .and_then(|line| {
            let number = match line.strip_prefix('[') {
                Some(rest) => rest.split(':').next()?,
                None => line.split_once(" packets ")?.1.split(' ').next()?,
            };
            number.parse().ok()
        })
        .with_context(|| format!("no rule with the comment {comment:?} in\n{rules}"))
}

/// Gives the gateway the rules of a router as people run it.
pub(crate) fn install(lab: &Lab) -> Result<()> {
    let setup = &lab.setup;
    let rules = match setup.ruleset {
        Ruleset::Nftables => nftables::rules(setup),
        Ruleset::Iptables(_) => iptables::rules(setup),
        Ruleset::Docker(_) | Ruleset::Node(_) => return Ok(()),
    };
    setup.ruleset.load(lab, &rules)
}

/// Whether clients outside reach the inside host under the gateway's address.
fn forwards_port(setup: &Setup) -> bool {
    setup.inside == Inside::Server && setup.translation == Translation::Nat
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_read_from_both_kinds_of_rules() {
        let nft = "\t\tct state established,related accept\n\
                   \t\tcounter packets 12 bytes 720 drop comment \"refused\"\n";
        assert_eq!(packets(nft, REFUSED).unwrap(), 12);
        let iptables = "[9:540] -A FORWARD -i lan0 -j ACCEPT\n\
                        [3:180] -A FORWARD -m comment --comment refused -j DROP\n";
        assert_eq!(packets(iptables, REFUSED).unwrap(), 3);
        assert!(packets(nft, INVALID).is_err());
    }
}
