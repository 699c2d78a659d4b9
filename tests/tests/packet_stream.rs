//! Whole conversations on a bad network: what the peer receives is what the
//! inside host said, with every announcement replaced, and nobody is told that
//! something arrived that did not.

use std::{
    env,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
};

use anyhow::{Context as _, Result};
use ftp_helper_common::reason::Reason;
use ftp_helper_tests::packets::{
    bench::{Bench, bench},
    flow::Flow,
    programs::Programs,
    stream::{
        network::{Network, Weather},
        random::Random,
        script::Script,
    },
};

/// Conversations per test. The environment variable of this name sets another
/// number, for a longer search.
const FTP_HELPER_CONVERSATIONS: u64 = 100;

/// Most lines in a conversation.
const LINES: usize = 25;

/// One conversation, with everything that is random in it from `seed`.
fn conversation(bench: &mut Bench, seed: u64, flow: Flow) -> Result<()> {
    let mut random = Random::new(seed);
    let mut flow = Flow {
        egress_start: random.word(),
        ingress_start: random.word(),
        ..flow
    };
    if random.chance(30) {
        // The numbers wrap around soon.
        flow.egress_start = u32::MAX - u32::try_from(random.below(200))?;
    }
    bench.open(&flow)?;
    let (script, said) = if flow.client_inside {
        (Script::commands(&mut random, &flow, LINES), String::new())
    } else {
        // The client asks for a passive connection as often as can be answered.
        (
            Script::replies(&mut random, &flow, LINES),
            "PASV\r\n".repeat(LINES),
        )
    };
    bench.unchanged(&flow.ingress(0, &said));
    let weather = Weather::random(&mut random);
    let mut network = Network::new(&flow, &script, u32::try_from(said.len())?);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        network.run(&mut Programs { bench, flow: &flow }, &mut random, weather)
    }));
    if !matches!(outcome, Ok(Ok(()))) {
        eprintln!("seed {seed}, {weather:?}, {flow:?}\n{}", network.history());
    }
    outcome
        .unwrap_or_else(|panic| resume_unwind(panic))
        .with_context(|| format!("seed {seed}"))?;
    let session = bench.session(&flow)?;
    assert_eq!(session.rewrites.hold_len, 0, "seed {seed}");
    let replaced = bench.count(Reason::AnnouncementRewritten)?;
    assert_eq!(usize::try_from(replaced)?, script.helped(), "seed {seed}");
    for reason in [
        Reason::Contended,
        Reason::EventLost,
        Reason::LineTooLong,
        Reason::Malformed,
        Reason::OverlapMismatch,
        Reason::RewriteFailed,
    ] {
        assert_eq!(bench.count(reason)?, 0, "seed {seed}: {}", reason.word());
    }
    Ok(())
}

fn conversations(first: u64, flow: Flow) {
    let count = match env::var("FTP_HELPER_CONVERSATIONS") {
        Ok(count) => count.parse().expect("a number of conversations"),
        Err(_) => FTP_HELPER_CONVERSATIONS,
    };
    bench(|bench| {
        for seed in first..first + count {
            conversation(bench, seed, flow)?;
        }
        Ok(())
    });
}

#[test]
fn commands_that_get_longer() {
    let flow = Flow::client_inside(0).addresses("10.0.0.2", "203.0.113.1");
    conversations(1_000_000, flow);
}

#[test]
fn commands_that_get_shorter() {
    let flow = Flow::client_inside(0).addresses("192.168.100.200", "192.0.2.1");
    conversations(2_000_000, flow);
}

#[test]
fn commands_that_keep_their_length() {
    let flow = Flow::client_inside(0).addresses("10.10.10.10", "192.0.2.10");
    conversations(3_000_000, flow);
}

#[test]
fn replies_that_get_longer() {
    let flow = Flow::server_inside(0).addresses("10.0.0.3", "203.0.113.1");
    conversations(4_000_000, flow);
}

#[test]
fn replies_that_get_shorter() {
    let flow = Flow::server_inside(0).addresses("192.168.100.200", "192.0.2.1");
    conversations(5_000_000, flow);
}
