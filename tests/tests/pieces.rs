//! Segments that are too large, or bring too much, for one run of the programs go
//! on in pieces: every byte arrives, in order, and nobody waits for a time-out.

use std::{net::Shutdown, thread::sleep, time::Duration};

use anyhow::{Result, ensure};
use ftp_helper_tests::{
    agent::Agent,
    counters::TcpCounters,
    duet::{Duet, Manner},
    lab::Lab,
    scenario::helped_scenario,
    setup::{Family, Inside, Setup, Translation},
};

/// What the client says in one write, and what the server has to hear.
struct Speech {
    said: String,
    heard: String,
}

impl Speech {
    /// Announcements of distinct ports with other commands in front of them. Their
    /// length changes on the way. Behind them come `tail` lines that stay what they are.
    fn new(lab: &Lab, announcements: u16, filler: usize, tail: usize) -> Self {
        let (client, wan) = (lab.setup.addresses.client, lab.setup.addresses.wan);
        assert_ne!(client.to_string().len(), wan.to_string().len());
        let filler = format!("SITE {}\r\n", "x".repeat(filler));
        let (mut said, mut heard) = (String::new(), String::new());
        for number in 0..announcements {
            let port = 50_000 + number;
            for (address, text) in [(client, &mut said), (wan, &mut heard)] {
                *text += &filler;
                let line = match lab.setup.family() {
                    Family::V4 => {
                        let octets = address.to_string().replace('.', ",");
                        format!("PORT {octets},{},{}\r\n", port >> 8, port & 255)
                    }
                    Family::V6 => format!("EPRT |2|{address}|{port}|\r\n"),
                };
                text.push_str(&line);
            }
        }
        let tail = format!("SITE {}\r\n", "y".repeat(90)).repeat(tail);
        said += &tail;
        heard += &tail;
        Self { said, heard }
    }
}

/// Segments are merged on their way through the gateway as they are on one with
/// two ports, also small ones.
fn in_one_write(
    setup: Setup,
    segment: Option<u16>,
    announcements: u16,
    filler: usize,
    tail: usize,
) {
    helped_scenario(setup, |lab, agent, _| {
        let manner = Manner {
            segment,
            ..Manner::default()
        };
        let mut duet = Duet::login(lab, manner)?;
        let speech = Speech::new(lab, announcements, filler, tail);
        let before = TcpCounters::of(&lab.client)?;
        duet.client.write(&speech.said)?;
        duet.server.expect(&speech.heard)?;
        // Numbers are right in both directions, up to the end.
        duet.server_says("200 all of it\r\n")?;
        duet.client_says("NOOP\r\n")?;
        let repeated = TcpCounters::of(&lab.client)?.since(before);
        ensure!(!repeated.has_losses(), "{repeated:?}");
        assert_eq!(
            agent.count("announcement_rewritten")?,
            u64::from(announcements)
        );
        assert!(was_split(agent)?, "the test is about pieces");
        Ok(())
    });
}

fn was_split(agent: &Agent) -> Result<bool> {
    Ok(agent.count("segment_split")? > 0)
}

fn ipv6() -> Setup {
    Setup::new(Inside::Client, Family::V6, Translation::Nat)
}

#[test]
fn eight_announcements() {
    in_one_write(Setup::default(), None, 8, 3, 0);
}

#[test]
fn eight_announcements_ipv6() {
    in_one_write(ipv6(), None, 8, 3, 0);
}

#[test]
fn a_full_segment() {
    in_one_write(Setup::default(), None, 1, 1418, 0);
}

#[test]
fn much_more_than_a_segment() {
    in_one_write(Setup::default(), None, 3, 1500, 0);
}

#[test]
fn much_more_than_a_segment_ipv6() {
    in_one_write(ipv6(), None, 3, 1500, 0);
}

#[test]
fn small_segments() {
    in_one_write(Setup::default(), Some(88), 4, 401, 0);
}

/// What is left behind the last rewrite is larger than a frame, and changes no more.
#[test]
fn a_long_tail() {
    in_one_write(Setup::default(), None, 1, 3, 400);
}

#[test]
fn a_long_tail_of_small_segments() {
    in_one_write(Setup::default(), Some(600), 4, 3, 40);
}

/// The end of the stream stands behind the last piece.
#[test]
fn the_last_words() {
    helped_scenario(Setup::default(), |lab, agent, _| {
        let mut duet = Duet::login(lab, Manner::default())?;
        let speech = Speech::new(lab, 8, 50, 0);
        let before = TcpCounters::of(&lab.client)?;
        duet.client.write(&speech.said)?;
        duet.client.stream().shutdown(Shutdown::Write)?;
        duet.server.expect(&speech.heard)?;
        let error = duet.server.line().expect_err("nothing comes behind it");
        ensure!(error.to_string().contains("met the end"), "{error:#}");
        // The other direction goes on.
        duet.server_says("221 bye\r\n")?;
        sleep(Duration::from_millis(50));
        let repeated = TcpCounters::of(&lab.client)?.since(before);
        ensure!(!repeated.has_losses(), "{repeated:?}");
        assert!(was_split(agent)?, "the test is about pieces");
        Ok(())
    });
}
