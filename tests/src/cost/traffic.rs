//! What goes through a gateway: connections that are none of FTP's, sessions, files,
//! large transfers.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{
    amount::Amount,
    effort,
    load::{Tally, Until, client::Mode},
    peer::Peer,
    rig::{FTP, Rig, WEB, rig, words},
    samples::Samples,
};
use crate::{
    process::Daemon,
    setup::{Inside, Offloads},
};

/// What [`note_own`] tells apart.
pub(super) const PROGRAMS: &str = "programs";
/// See [`PROGRAMS`].
pub(super) const AGENT: &str = "agent";

/// Clients that load the gateway while that is measured.
const OWN_CLIENTS: usize = 8;

/// Everything is cut on the way into the wire.
pub(super) const WITHOUT_TSO: Offloads = Offloads {
    tx_checksum: true,
    tso: false,
    gso: false,
    gro: false,
};

/// A kind of session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    /// Its name.
    pub(super) name: &'static str,
    /// Who is inside.
    pub(super) inside: Inside,
    /// Who opens data connections.
    pub(super) mode: Mode,
    /// Whether the data connection comes without help.
    pub(super) is_plain: bool,
}

/// All of them.
pub(super) const KINDS: [Kind; 3] = [
    Kind {
        name: "active, client inside",
        inside: Inside::Client,
        mode: Mode::Active,
        is_plain: false,
    },
    Kind {
        name: "passive, server inside",
        inside: Inside::Server,
        mode: Mode::Passive,
        is_plain: false,
    },
    Kind {
        name: "passive, client inside",
        inside: Inside::Client,
        mode: Mode::Passive,
        is_plain: true,
    },
];

/// Those that are compared closely: the anchor, ftp-helper, and the anchor once more.
const RIVALS: [Peer; 3] = [Peer::Kernel, Peer::Ours, Peer::KernelAgain];

impl Kind {
    /// Those who are measured with this kind.
    fn peers(self) -> Vec<Peer> {
        let mut peers = vec![Peer::Kernel, Peer::Ours, Peer::Routing, Peer::Masquerade];
        if self.inside == Inside::Client {
            peers.push(Peer::OpenVswitch);
        }
        peers.push(Peer::Conntrackd);
        peers
    }

    /// Why `peer` can not have it, if that is so.
    fn obstacle(self, peer: Peer) -> Option<&'static str> {
        (!self.is_plain && peer == Peer::Masquerade)
            .then_some("nobody helps: the data connection does not come")
    }

    fn mode(self) -> &'static str {
        match self.mode {
            Mode::Active => "active",
            Mode::Passive => "passive",
        }
    }
}

/// Lets everybody have a turn in each round, in one order and then in the other, so that
/// nobody always comes behind the same one. `turn` is told the round and who has the
/// gateway. Who can not be set up, or fails, is asked once more in the next round and
/// then left out; they are returned, with the reason. Behind the budget no further round
/// begins.
pub(super) fn rounds(
    rig: &mut Rig,
    peers: &[Peer],
    (rounds, budget): (usize, Duration),
    mut turn: impl FnMut(&mut Rig, usize, Peer) -> Result<()>,
) -> Vec<(Peer, String)> {
    /// Failures after which it is no use.
    const ENOUGH: usize = 2;

    let mut refused = Vec::new();
    let mut order: Vec<(Peer, usize)> = peers.iter().map(|peer| (*peer, 0)).collect();
    let begin = Instant::now();
    for round in 0..rounds {
        if round > 0 && begin.elapsed() > budget {
            eprintln!("  {round} rounds are done in time, {rounds} were wanted");
            break;
        }
        for (peer, failures) in &mut order {
            if *failures >= ENOUGH {
                continue;
            }
            let outcome = rig.give(*peer).and_then(|()| turn(rig, round, *peer));
            if let Err(error) = outcome {
                *failures += 1;
                let reason = format!("{error:#}");
                eprintln!("  {}: {reason}", peer.name());
                refused.push((*peer, reason));
            }
        }
        order.reverse();
    }
    refused
}

/// Connections a second that have nothing to do with FTP, throughput, and what of such a
/// connection is ftp-helper's.
pub(super) fn others(amount: &Amount) -> Result<[Samples; 3]> {
    const PEERS: [Peer; 6] = [
        Peer::Masquerade,
        Peer::Ours,
        Peer::MasqueradeAgain,
        Peer::Attached,
        Peer::Kernel,
        Peer::Routing,
    ];
    /// Those that are compared closely differ in attached programs at most, so turns of
    /// theirs can follow each other at once.
    const CLOSE: usize = 4;

    rig(Inside::Client, |rig| {
        let [mut requests, mut bulk, mut own] = <[Samples; 3]>::default();
        let iperf = start_iperf(rig);
        if let Err(error) = &iperf {
            for (what, _) in BULK {
                bulk.refuse(what, Peer::Ours.name(), &format!("{error:#}"));
            }
        }
        let refused = rounds(
            rig,
            &PEERS,
            (amount.rounds, amount.budget),
            |rig, round, peer| {
                note_requests(rig, amount, &mut requests, round, peer);
                for (what, offloads) in BULK {
                    if iperf.is_ok() {
                        rig.set_offloads(offloads)?;
                        let rate = iperf_rate(rig, amount);
                        bulk.note(round, what, peer.name(), rate);
                    }
                }
                rig.set_offloads(Offloads::default())
            },
        );
        note_own(rig, amount.rounds, &mut own, "a connection", |rig| {
            web(rig, OWN_CLIENTS, Until::Done(amount.own))
        });
        rig.keep()?;
        let refused_later = rounds(
            rig,
            &PEERS[..CLOSE],
            (amount.fine_rounds, amount.budget * 11),
            |rig, round, peer| {
                note_requests(rig, amount, &mut requests, amount.rounds + round, peer);
                Ok(())
            },
        );
        for (peer, reason) in refused.into_iter().chain(refused_later) {
            requests.refuse("1 at a time", peer.name(), &reason);
        }
        Ok([requests, bulk, own])
    })
}

const BULK: [(&str, Offloads); 2] = [
    (
        "TSO on",
        Offloads {
            tx_checksum: true,
            tso: true,
            gso: true,
            gro: false,
        },
    ),
    ("TSO off", WITHOUT_TSO),
];

fn note_requests(rig: &Rig, amount: &Amount, samples: &mut Samples, round: usize, peer: Peer) {
    for clients in [1, 8] {
        let what = format!("{clients} at a time");
        let tally = web(rig, clients, Until::Elapsed(amount.fine_turn));
        samples.note(round, &what, peer.name(), tally.and_then(|it| it.rate()));
    }
}

fn web(rig: &Rig, clients: usize, until: Until) -> Result<Tally> {
    let server = rig.server(WEB);
    let words = words([&"web", &server, &clients]);
    load(rig, words, until)
}

/// Has a client do something until then.
fn load(rig: &Rig, mut words: Vec<String>, until: Until) -> Result<Tally> {
    let (option, number, time) = match until {
        Until::Elapsed(time) => ("--milliseconds", time.as_millis().to_string(), time),
        Until::Done(count) => ("--count", count.to_string(), Duration::ZERO),
    };
    words.extend([option.to_owned(), number]);
    rig.load(&words, time)
}

/// Notes what ftp-helper takes of each of `what`, in microseconds.
fn note_own(
    rig: &mut Rig,
    rounds: usize,
    samples: &mut Samples,
    what: &str,
    work: impl Fn(&Rig) -> Result<Tally>,
) {
    for round in 0..rounds {
        let measured = effort::of(rig, &work).and_then(|(tally, effort)| {
            let count = tally.count()?;
            Ok([effort.programs, effort.agent].map(|it| it.as_secs_f64() * 1e6 / count))
        });
        match measured {
            Ok([programs, agent]) => {
                samples.add(round, what, PROGRAMS, programs);
                samples.add(round, what, AGENT, agent);
            }
            Err(error) => {
                for part in [PROGRAMS, AGENT] {
                    samples.refuse(what, part, &format!("{error:#}"));
                }
            }
        }
    }
}

/// Port of iperf3.
const IPERF: u16 = 5201;

fn start_iperf(rig: &Rig) -> Result<Daemon> {
    let mut command = rig.lab.server.command("iperf3");
    command.args(["--server", "--port", &IPERF.to_string()]);
    Daemon::start(&mut command, &rig.lab.logs().join("iperf3.log"))
        .context("iperf3 is not installed")
}

/// Gigabits a second, as the receiver counts.
fn iperf_rate(rig: &Rig, amount: &Amount) -> Result<f64> {
    let server = rig.server(IPERF);
    let line = format!(
        "iperf3 --client {} --port {IPERF} {} --json",
        server.ip(),
        amount.bulk.join(" ")
    );
    let text = rig.lab.client.must(&line)?;
    let json: Value = serde_json::from_str(&text).context("iperf3 printed no JSON")?;
    let bits = json["end"]["sum_received"]["bits_per_second"].as_f64();
    Ok(bits.context("iperf3 told no rate")? / 1e9)
}

/// Whole sessions a second, and files a second; and what of each is ftp-helper's.
pub(super) fn sessions(amount: &Amount) -> Result<[Samples; 3]> {
    let mut samples = <[Samples; 2]>::default();
    let mut own = Samples::default();
    for kind in KINDS {
        rig(kind.inside, |rig| {
            let mut note = |rig: &Rig, round, peer: Peer, turn| {
                for clients in amount.clients {
                    for (samples, unit) in samples.iter_mut().zip(["sessions", "files"]) {
                        let tally = ftp(rig, unit, kind, *clients, Until::Elapsed(turn));
                        let rate = tally.and_then(|it| it.rate());
                        samples.note(round, &row(kind, *clients), peer.name(), rate);
                    }
                }
            };
            for (unit, one) in [("sessions", "a session"), ("files", "a file")] {
                let what = format!("{one}, {}", kind.name);
                note_own(rig, amount.rounds, &mut own, &what, |rig| {
                    ftp(rig, unit, kind, OWN_CLIENTS, Until::Done(amount.own))
                });
            }
            rig.keep()?;
            let refused_first = rounds(
                rig,
                &RIVALS,
                (amount.close_rounds, amount.budget * 3),
                |rig, round, peer| {
                    note(rig, round, peer, amount.close_turn);
                    Ok(())
                },
            );
            let mut others = kind.peers();
            others.retain(|peer| *peer != Peer::Ours && kind.obstacle(*peer).is_none());
            let refused = rounds(
                rig,
                &others,
                (amount.rounds, amount.budget),
                |rig, round, peer| {
                    if peer == Peer::OpenVswitch {
                        rig.set_offloads(Offloads::NONE)?;
                    }
                    note(rig, amount.close_rounds + round, peer, amount.turn);
                    rig.set_offloads(Offloads::default())
                },
            );
            for (peer, why) in refused_first.into_iter().chain(refused) {
                refuse_all(&mut samples, kind, amount, peer, &why);
            }
            for peer in kind.peers() {
                if let Some(why) = kind.obstacle(peer) {
                    refuse_all(&mut samples, kind, amount, peer, why);
                }
            }
            Ok(())
        })?;
    }
    let [sessions, files] = samples;
    Ok([sessions, files, own])
}

fn row(kind: Kind, clients: usize) -> String {
    let plural = if clients == 1 { "" } else { "s" };
    format!("{}, {clients} client{plural}", kind.name)
}

fn refuse_all(samples: &mut [Samples], kind: Kind, amount: &Amount, peer: Peer, why: &str) {
    for samples in samples {
        for clients in amount.clients {
            samples.refuse(&row(kind, *clients), peer.name(), why);
        }
    }
}

pub(super) fn ftp(
    rig: &Rig,
    unit: &str,
    kind: Kind,
    clients: usize,
    until: Until,
) -> Result<Tally> {
    let server = rig.server(FTP);
    let words = words([&"ftp", &unit, &server, &kind.mode(), &"--clients", &clients]);
    load(rig, words, until)
}

/// Megabytes a second of one large file.
pub(super) fn transfers(amount: &Amount) -> Result<Samples> {
    let mut samples = Samples::default();
    for kind in KINDS {
        rig(kind.inside, |rig| {
            let refused = rounds(
                rig,
                &kind.peers(),
                (amount.transfer_rounds, amount.budget),
                |rig, round, peer| {
                    for (what, offloads) in BULK {
                        let what = format!("{}, {what}", kind.name);
                        if let Some(why) = kind.obstacle(peer) {
                            samples.refuse(&what, peer.name(), why);
                            continue;
                        }
                        // Its datapath completes no checksums and takes no packet that
                        // is larger than the wire's.
                        let offloads = match peer {
                            Peer::OpenVswitch if offloads.tso => {
                                let why = "packets larger than the wire's are dropped";
                                samples.refuse(&what, peer.name(), why);
                                continue;
                            }
                            Peer::OpenVswitch => Offloads::NONE,
                            _ => offloads,
                        };
                        rig.set_offloads(offloads)?;
                        samples.note(round, &what, peer.name(), transfer(rig, kind, amount));
                    }
                    rig.set_offloads(Offloads::default())
                },
            );
            for (peer, why) in refused {
                for (what, _) in BULK {
                    samples.refuse(&format!("{}, {what}", kind.name), peer.name(), &why);
                }
            }
            Ok(())
        })?;
    }
    Ok(samples)
}

fn transfer(rig: &Rig, kind: Kind, amount: &Amount) -> Result<f64> {
    let limit = amount.transfer;
    let server = rig.server(FTP);
    let words = words([
        &"transfer",
        &server,
        &kind.mode(),
        &amount.file,
        &limit.as_millis(),
    ]);
    let tally: Tally = rig.load(&words, limit)?;
    Ok(tally.rate()? / 1e6)
}
