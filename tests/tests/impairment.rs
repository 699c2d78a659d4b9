//! Wires that lose, repeat, delay and cut what goes over them.

use std::time::Duration;

use anyhow::{Context as _, Result};
use ftp_helper_tests::{
    cases,
    check::exchange,
    client::{ClientKind, Mode},
    lab::Lab,
    relay::Relay,
    scenario::helped_scenario,
    server::{Server, ServerKind},
    setup::{Family, Impairment, Inside, Setup, Translation},
    transfers::Transfers,
};

/// For a reply that has been lost a few times.
const PATIENCE: Duration = Duration::from_secs(20);

/// The same on both sides of the gateway, with other packets hit.
fn impaired(setup: Setup, impairment: Impairment) -> Setup {
    Setup {
        inside_wire: Some(impairment),
        outside_wire: Some(Impairment {
            seed: impairment.seed + 100,
            ..impairment
        }),
        ..setup
    }
}

/// The modes in which the inside host announces.
fn mode(setup: &Setup) -> Mode {
    match setup.inside {
        Inside::Client => Mode::Active,
        Inside::Server => Mode::Passive,
    }
}

/// Transfers of real programs in the mode that needs help, with and without SACK.
fn transfers_work(setup: Setup) {
    transfers_of_a_size_work(setup, 50_000, &[true, false]);
}

fn transfers_of_a_size_work(setup: Setup, size: usize, sacks: &[bool]) {
    helped_scenario(setup, |lab, agent, _| {
        let server = Server::start(lab, ServerKind::Vsftpd)?;
        let mut done = 0;
        for &sack in sacks {
            lab.set_sack(sack)?;
            let mut transfers = Transfers::new();
            transfers.download(lab, &server, size)?;
            transfers.upload(lab, &server, size)?;
            exchange(lab, &server, ClientKind::Ftplib, mode(&setup), &transfers)
                .with_context(|| format!("{}, SACK {sack}", setup.name()))?;
            done += transfers.len() as u64;
        }
        assert_eq!(agent.count("expectation_created")?, done);
        assert_eq!(agent.count("overlap_mismatch")?, 0);
        was_impaired(lab);
        Ok(())
    });
}

/// Of few packets, one wire may have let all pass.
fn was_impaired(lab: &Lab) {
    let relays = [&lab.inside_relay, &lab.outside_relay];
    let work: u64 = relays.into_iter().flatten().map(Relay::work).sum();
    assert!(work > 0, "{relays:?}");
}

fn every_shape(impairment: Impairment) {
    for (number, (inside, family)) in [
        (Inside::Client, Family::V4),
        (Inside::Server, Family::V6),
        (Inside::Client, Family::V6),
        (Inside::Server, Family::V4),
    ]
    .into_iter()
    .enumerate()
    {
        let setup = Setup::new(inside, family, Translation::Nat);
        let seed = impairment.seed + number as u64;
        transfers_work(impaired(setup, Impairment { seed, ..impairment }));
    }
}

fn lossy(seed: u64, loss: u32) -> Impairment {
    Impairment {
        seed,
        loss,
        ..Impairment::default()
    }
}

#[test]
fn one_packet_of_a_hundred_gets_lost() {
    every_shape(lossy(1, 10));
}

#[test]
fn five_packets_of_a_hundred_get_lost() {
    every_shape(lossy(2, 50));
}

/// Ten on the whole way.
#[test]
fn ten_packets_of_a_hundred_get_lost() {
    let quiet = Impairment {
        // Only so that both wires are made the same way.
        duplication: 50,
        ..Impairment::default()
    };
    for (number, (inside_wire, inside, family)) in [
        (true, Inside::Client, Family::V4),
        (true, Inside::Server, Family::V6),
        (false, Inside::Client, Family::V6),
        (false, Inside::Server, Family::V4),
    ]
    .into_iter()
    .enumerate()
    {
        let lossy = lossy(3 + 10 * number as u64, 100);
        let (near, far) = if inside_wire {
            (lossy, quiet)
        } else {
            (quiet, lossy)
        };
        transfers_work(Setup {
            inside_wire: Some(near),
            outside_wire: Some(far),
            ..Setup::new(inside, family, Translation::Nat)
        });
    }
}

/// Ten before the gateway and ten behind it; what is repeated gets lost as well, so a
/// small file takes long enough.
#[test]
fn ten_packets_of_a_hundred_get_lost_on_each_wire() {
    for (number, (inside, family)) in [(Inside::Client, Family::V6), (Inside::Server, Family::V4)]
        .into_iter()
        .enumerate()
    {
        let setup = Setup::new(inside, family, Translation::Nat);
        let impairment = lossy(9 + number as u64, 100);
        transfers_of_a_size_work(impaired(setup, impairment), 15_000, &[true]);
    }
}

#[test]
fn packets_overtake_each_other() {
    every_shape(Impairment {
        seed: 4,
        reordering: 150,
        distance: 3,
        ..Impairment::default()
    });
}

#[test]
fn packets_come_twice() {
    every_shape(Impairment {
        seed: 5,
        duplication: 200,
        ..Impairment::default()
    });
}

#[test]
fn everything_at_once() {
    every_shape(Impairment {
        seed: 6,
        loss: 20,
        duplication: 50,
        reordering: 50,
        distance: 2,
        pieces: Some(5),
    });
}

/// Every dialogue, with both ends' segments cut into pieces that come late and
/// twice. Nothing that has to stay closed opens.
fn every_case(inside: Inside, family: Family, impairment: Impairment) -> Result<()> {
    let mut failed = Vec::new();
    helped_scenario(
        impaired(cases::setup(inside, family), impairment),
        |lab, agent, _| {
            for case in cases::of(inside, family) {
                let start = std::time::Instant::now();
                if let Err(error) = case.run(lab, PATIENCE) {
                    failed.push(format!("{error:#}"));
                }
                println!("{}: {:?}", case.name, start.elapsed());
            }
            was_impaired(lab);
            for reason in ["overlap_mismatch", "malformed", "rewrite_failed"] {
                assert_eq!(agent.count(reason)?, 0, "{reason}");
            }
            Ok(())
        },
    );
    anyhow::ensure!(failed.is_empty(), "{failed:#?}");
    Ok(())
}

#[test]
fn dialogues_in_pieces_with_a_client_inside() -> Result<()> {
    every_case(Inside::Client, Family::V4, confused(7))
}

#[test]
fn dialogues_in_pieces_with_a_server_inside() -> Result<()> {
    every_case(Inside::Server, Family::V6, confused(8))
}

fn confused(seed: u64) -> Impairment {
    Impairment {
        seed,
        loss: 0,
        duplication: 50,
        reordering: 30,
        distance: 1,
        pieces: Some(7),
    }
}
