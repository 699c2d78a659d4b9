//! Data connections pass a firewall that lets established connections through, with
//! no rule of ours: nftables, iptables on top of it, and iptables of old.

use std::time::Duration;

use anyhow::{Context as _, Result};
use ftp_helper_tests::{
    check::{exchange, nothing_arrives, passes_firewall},
    client::{ClientKind, Mode},
    conntrack,
    control::Control,
    firewall::Counts,
    lab::Lab,
    scenario::{agent_scenario, helped_scenario, scenario},
    server::{Server, ServerKind},
    setup::{Backend, ControlPort, Family, Inside, Ruleset, Setup, Source, Translation},
    transfers::Transfers,
    wait::wait_for,
};

const IPTABLES_NFT: Ruleset = Ruleset::Iptables(Backend::Nft);

const IPTABLES_LEGACY: Ruleset = Ruleset::Iptables(Backend::Legacy);

/// A client inside in active mode, a server inside in passive mode: what the
/// rules would drop.
fn modes(setup: &Setup) -> Vec<Mode> {
    Mode::ALL
        .into_iter()
        .filter(|mode| mode.is_active() == (setup.inside == Inside::Client))
        // With IPv6 there is no other form than the extended one.
        .filter(|mode| !mode.is_extended() || setup.family() == Family::V4)
        .collect()
}

/// Transfers that need help, with everything that tells how they went: the lines
/// that arrived, the bytes, the connection table, and the counters of the rules.
fn passes(setup: Setup) {
    passes_with(setup, |_| Ok(()));
}

/// [`passes`] with rules changed by `prepare`.
fn passes_with(setup: Setup, prepare: impl FnOnce(&Lab) -> Result<()> + Send) {
    helped_scenario(setup, |lab, agent, _| {
        prepare(lab)?;
        passes_firewall(lab, agent, |_, _| modes(&lab.setup))
    });
}

/// The same rules without help: nothing arrives. Where no address is translated, the
/// data connection is on its way and meets the rule that drops it.
fn fails(setup: Setup) {
    scenario(setup, |lab| {
        let server = Server::start(lab, ServerKind::Vsftpd)?;
        for mode in modes(&lab.setup) {
            is_refused(lab, &server, mode)
                .with_context(|| format!("{}, {mode:?}", lab.setup.name()))?;
        }
        Ok(())
    });
}

fn is_refused(lab: &Lab, server: &Server, mode: Mode) -> Result<()> {
    let before = Counts::of(lab)?;
    nothing_arrives(lab, server, mode)?;
    if lab.setup.translation == Translation::None
        && lab.setup.addresses.server != lab.setup.addresses.wan
    {
        assert!(Counts::of(lab)?.refused > before.refused, "{mode:?}");
    }
    Ok(())
}

fn both_families(ruleset: Ruleset, inside: Inside, translation: Translation, of: fn(Setup)) {
    for family in Family::ALL {
        of(Setup {
            ruleset,
            ..Setup::new(inside, family, translation)
        });
    }
}

#[test]
fn nftables_client_behind_masquerade() {
    both_families(Ruleset::Nftables, Inside::Client, Translation::Nat, passes);
}

#[test]
fn iptables_nft_client_behind_masquerade() {
    both_families(IPTABLES_NFT, Inside::Client, Translation::Nat, passes);
}

#[test]
fn iptables_legacy_client_behind_masquerade() {
    both_families(IPTABLES_LEGACY, Inside::Client, Translation::Nat, passes);
}

#[test]
fn nftables_server_behind_dnat() {
    both_families(Ruleset::Nftables, Inside::Server, Translation::Nat, passes);
}

#[test]
fn iptables_nft_server_behind_dnat() {
    both_families(IPTABLES_NFT, Inside::Server, Translation::Nat, passes);
}

#[test]
fn iptables_legacy_server_behind_dnat() {
    both_families(IPTABLES_LEGACY, Inside::Server, Translation::Nat, passes);
}

#[test]
fn nftables_client_behind_a_plain_firewall() {
    both_families(Ruleset::Nftables, Inside::Client, Translation::None, passes);
}

#[test]
fn iptables_nft_client_behind_a_plain_firewall() {
    both_families(IPTABLES_NFT, Inside::Client, Translation::None, passes);
}

#[test]
fn iptables_legacy_client_behind_a_plain_firewall() {
    both_families(IPTABLES_LEGACY, Inside::Client, Translation::None, passes);
}

#[test]
fn nftables_server_behind_a_plain_firewall() {
    both_families(Ruleset::Nftables, Inside::Server, Translation::None, passes);
}

#[test]
fn iptables_nft_server_behind_a_plain_firewall() {
    both_families(IPTABLES_NFT, Inside::Server, Translation::None, passes);
}

#[test]
fn iptables_legacy_server_behind_a_plain_firewall() {
    both_families(IPTABLES_LEGACY, Inside::Server, Translation::None, passes);
}

fn without_help(ruleset: Ruleset) {
    for inside in Inside::ALL {
        for translation in Translation::ALL {
            both_families(ruleset, inside, translation, fails);
        }
    }
}

#[test]
fn nftables_without_help() {
    without_help(Ruleset::Nftables);
}

#[test]
fn iptables_nft_without_help() {
    without_help(IPTABLES_NFT);
}

#[test]
fn iptables_legacy_without_help() {
    without_help(IPTABLES_LEGACY);
}

/// `masquerade fully-random`, `MASQUERADE --random-fully`: the control connection
/// leaves from another port than the client's.
#[test]
fn masquerade_with_random_ports() {
    for ruleset in Ruleset::ALL {
        passes(Setup {
            ruleset,
            source: Source::RandomPort,
            ..Setup::new(Inside::Client, Family::V4, Translation::Nat)
        });
    }
}

/// The gateway has two outside addresses, and FTP has the second one.
#[test]
fn the_inside_host_has_the_second_outside_address() {
    for (ruleset, family) in [
        (Ruleset::Nftables, Family::V4),
        (Ruleset::Nftables, Family::V6),
        (IPTABLES_NFT, Family::V4),
        (IPTABLES_LEGACY, Family::V4),
    ] {
        for inside in Inside::ALL {
            passes(Setup {
                ruleset,
                source: Source::SecondAddress,
                ..Setup::new(inside, family, Translation::Nat)
            });
        }
    }
}

/// Other ways to lead clients to a server inside: every port of the outside address,
/// and the port of the packet as it is.
#[test]
fn other_translations_of_the_destination() {
    let setup = |ruleset| Setup {
        ruleset,
        ..Setup::new(Inside::Server, Family::V4, Translation::Nat)
    };
    let addresses = Setup::new(Inside::Server, Family::V4, Translation::Nat).addresses;
    let (wan, server) = (addresses.wan, addresses.server);
    for (backend, program) in [
        (Backend::Nft, "iptables-nft"),
        (Backend::Legacy, "iptables-legacy"),
    ] {
        for rules in [
            vec![format!(
                "-R PREROUTING 1 -d {wan} -p tcp --dport 21 -j DNAT --to-destination {server}"
            )],
            vec![
                format!("-R PREROUTING 1 -d {wan} -j NETMAP --to {server}/32"),
                format!("-R POSTROUTING 1 -s {server} -o wan0 -j NETMAP --to {wan}/32"),
            ],
        ] {
            passes_with(setup(Ruleset::Iptables(backend)), move |lab| {
                for rule in rules {
                    lab.gateway.must(&format!("{program} -t nat {rule}"))?;
                }
                Ok(())
            });
        }
    }
    for rule in [
        format!("ip daddr {wan} tcp dport 21 dnat to {server}"),
        format!("ip daddr {wan} dnat to {server}"),
    ] {
        passes_with(setup(Ruleset::Nftables), move |lab| {
            lab.gateway.must("nft flush chain ip nat prerouting")?;
            lab.gateway
                .must(&format!("nft add rule ip nat prerouting {rule}"))?;
            Ok(())
        });
    }
}

/// A server on the gateway itself, which lets in nothing but control connections to
/// a port that it redirects.
#[test]
fn a_server_on_the_gateway_behind_a_redirected_port() {
    for ruleset in Ruleset::ALL {
        let setup = Setup {
            ruleset,
            ..Setup::new(Inside::Server, Family::V4, Translation::Nat)
        };
        agent_scenario(setup, |lab, agent| {
            let lab = redirect(lab)?;
            let server = Server::start(&lab, ServerKind::Vsftpd)?;
            is_refused(&lab, &server, Mode::Passive).context("without help")?;
            let _running = agent.start_with(&["run", "-i", "wan0", "--control-port", "2121"])?;
            for mode in modes(&lab.setup) {
                let mut transfers = Transfers::new();
                transfers.download(&lab, &server, 300_000)?;
                transfers.upload(&lab, &server, 300_000)?;
                let rewrites = exchange(&lab, &server, ClientKind::Curl, mode, &transfers)?;
                conntrack::finished(&lab, mode, &rewrites)?;
            }
            Ok(())
        });
    }
}

/// Lets the gateway serve, and protect itself.
fn redirect(lab: &Lab) -> Result<Lab> {
    let lines = match lab.setup.ruleset {
        Ruleset::Nftables => vec![
            "nft add chain inet filter input { type filter hook input priority 0 ; policy drop ; }"
                .to_owned(),
            "nft add rule inet filter input iifname lo accept".to_owned(),
            "nft add rule inet filter input ct state established,related accept".to_owned(),
            "nft add rule inet filter input tcp dport 21 ct state new accept".to_owned(),
            "nft insert rule ip nat prerouting iifname wan0 tcp dport 2121 redirect to :21"
                .to_owned(),
        ],
        Ruleset::Iptables(backend) => {
            let program = match backend {
                Backend::Nft => "iptables-nft",
                Backend::Legacy => "iptables-legacy",
            };
            [
                "-P INPUT DROP",
                "-A INPUT -i lo -j ACCEPT",
                "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
                "-A INPUT -p tcp --dport 21 -m conntrack --ctstate NEW -j ACCEPT",
                "-t nat -I PREROUTING 1 -i wan0 -p tcp --dport 2121 -j REDIRECT --to-ports 21",
            ]
            .map(|rule| format!("{program} {rule}"))
            .to_vec()
        }
        Ruleset::Docker(_) | Ruleset::Node(_) => Vec::new(),
    };
    for line in lines {
        lab.gateway.must(&line)?;
    }
    let mut setup = lab.setup;
    setup.translation = Translation::None;
    setup.addresses.server = setup.addresses.wan;
    setup.control_port = ControlPort {
        served: 21,
        dialled: 2121,
    };
    Ok(lab.with_server(setup, &lab.gateway))
}

/// The counters that are at zero above do count: a connection that conntrack has
/// forgotten, and may not pick up again, is one that it finds invalid.
#[test]
fn packets_of_no_connection_are_counted() {
    for (ruleset, family) in [
        (Ruleset::Nftables, Family::V4),
        (IPTABLES_NFT, Family::V4),
        (IPTABLES_NFT, Family::V6),
        (IPTABLES_LEGACY, Family::V4),
        (IPTABLES_LEGACY, Family::V6),
    ] {
        let setup = Setup {
            ruleset,
            ..Setup::new(Inside::Server, family, Translation::None)
        };
        scenario(setup, |lab| {
            let server = Server::start(lab, ServerKind::Vsftpd)?;
            let mut control = Control::login(&lab.client, server.endpoint())?;
            assert_eq!(Counts::of(lab)?, Counts::NONE);
            lab.gateway
                .must("sysctl -w net.netfilter.nf_conntrack_tcp_loose=0")?;
            lab.gateway.must("conntrack -F")?;
            control.send("NOOP")?;
            wait_for("the counters", Duration::from_secs(5), || {
                let counts = Counts::of(lab)?;
                Ok((counts.invalid > 0 && counts.refused > 0).then_some(()))
            })
        });
    }
}
