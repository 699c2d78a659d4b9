//! How much later a data connection comes because of what the gateway does.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::{
    amount::Amount,
    load::Tally,
    peer::Peer,
    report::{Better, Section},
    rig::{FTP, Rig, rig, words},
    samples::{Head, Samples},
    stamps::Passage,
    statistics::Spread,
    traffic::rounds,
};
use crate::{
    setup::{Inside, Offloads},
    wait::wait_for,
};

/// The name for `--only`.
pub const NAME: &str = "latency";

const PEERS: [Peer; 5] = [
    Peer::Kernel,
    Peer::Ours,
    Peer::Routing,
    Peer::OpenVswitch,
    Peer::Conntrackd,
];

const WHOLE: &str = "from its arrival to the departure of the first data packet";

/// Measures.
pub fn measure(amount: &Amount) -> Result<Section> {
    let mut samples = Samples::default();
    rig(Inside::Client, |rig| {
        let refused = rounds(
            rig,
            &PEERS,
            (amount.rounds, amount.budget),
            |rig, round, peer| {
                if peer == Peer::OpenVswitch {
                    rig.set_offloads(Offloads::NONE)?;
                }
                let passages = passages(rig, amount);
                rig.set_offloads(Offloads::default())?;
                let passages = passages?;
                for (what, of) in [
                    (
                        "PORT, through the gateway",
                        (|it| it.announcement) as fn(&Passage) -> f64,
                    ),
                    ("first data packet, through the gateway", |it| {
                        it.first_packet
                    }),
                    ("both together", |it| it.announcement + it.first_packet),
                    (WHOLE, |it| it.whole),
                ] {
                    let median = Spread::of(passages.iter().map(of)).context("no passage")?;
                    samples.add(round, what, peer.name(), median.median / 1e3);
                }
                Ok(())
            },
        );
        for (peer, why) in refused {
            samples.refuse("both together", peer.name(), &why);
        }
        Ok(())
    })?;
    let head = Head {
        name: NAME,
        title: "On the way through the gateway",
        unit: "µs",
        digits: 1,
        better: Better::Lower,
        anchor: Peer::Kernel.name(),
    };
    Ok(Section {
        name: NAME.to_owned(),
        title: "Latency added to the data connection".to_owned(),
        method: vec![format!(
            "A packet socket on the gateway hears all devices, with the kernel's time stamps: a \
             `PORT` as it comes from the client and as it leaves to the server, and the SYN of \
             the data connection as it comes from the server and as it leaves to the client. \
             The stamps are taken before ftp-helper sees what comes in, and after it has seen \
             what goes out. One client, {} announcements a turn; the value of a turn is their \
             median. *Both together* is what the gateway adds; the last row has the answers of \
             client and server in it, too.",
            amount.announcements
        )],
        tables: vec![samples.table(head)],
        ..Section::default()
    })
}

/// One turn.
fn passages(rig: &Rig, amount: &Amount) -> Result<Vec<Passage>> {
    /// Longest pause between two packets, in milliseconds.
    const PATIENCE: u64 = 2000;

    let count = amount.announcements;
    let limit = Duration::from_secs(10);
    let listen = words([&"stamps", &count, &PATIENCE, &limit.as_millis()]);
    let log = "stamps.log";
    let before = std::fs::read(rig.lab.logs().join(log)).map_or(0, |text| text.len());
    let mut listener = rig.start_task(&listen, log)?;
    let text = |listener: &crate::process::Daemon| {
        let text = listener.log()?;
        anyhow::Ok(text.get(before..).unwrap_or_default().to_owned())
    };
    wait_for("the packet socket", limit, || {
        if let Some(status) = listener.ended()? {
            anyhow::bail!("it ended with {status}: {}", text(&listener)?);
        }
        Ok(text(&listener)?.contains("ready").then_some(()))
    })?;
    let server = rig.server(FTP);
    let load = words([&"ftp", &"files", &server, &"active", &"--count", &count]);
    let tally: Tally = rig.load(&load, limit)?;
    tally.count()?;
    listener.wait(limit)?;
    let text = text(&listener)?;
    let last = text.lines().last().unwrap_or_default();
    let passages: Vec<Passage> =
        serde_json::from_str(last).with_context(|| format!("the packet socket said {text:?}"))?;
    ensure!(
        passages.len() * 2 > count,
        "only {} of {count} announcements were seen at both sides",
        passages.len()
    );
    Ok(passages)
}
