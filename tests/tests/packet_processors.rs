//! Two processors work on one session at the same time.

use std::{
    hint::spin_loop,
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use ftp_helper_common::{reason::Reason, session::flags as session_flags};
use ftp_helper_tests::packets::{
    bench::{Bench, bench},
    flow::{Flow, STARTS},
    segment::{Segment, flags},
};
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::{Pid, gettid},
};

/// So often, but not for longer than this.
const ROUNDS: u32 = 20_000;
const TIME: Duration = Duration::from_secs(5);

/// Processors that this test may use.
fn processors() -> Result<Vec<usize>> {
    // The bench stays on one of them; the process as a whole does not.
    let all = sched_getaffinity(Pid::this())?;
    let numbers = (0..CpuSet::count()).filter(|number| all.is_set(*number).unwrap_or_default());
    Ok(numbers.collect())
}

/// Runs both segments at the same moment, each on a processor of its own.
fn at_once(bench: &Bench, processors: [usize; 2], segments: &[Segment; 2]) -> Result<()> {
    let ready = AtomicU32::new(0);
    thread::scope(|scope| {
        let runs = [0, 1].map(|number| {
            let (ready, segment) = (&ready, &segments[number]);
            scope.spawn(move || -> Result<()> {
                let mut own = CpuSet::new();
                own.set(processors[number])?;
                let pinned = sched_setaffinity(gettid(), &own);
                let packet = segment.bytes();
                ready.fetch_add(1, Ordering::AcqRel);
                while ready.load(Ordering::Acquire) < 2 {
                    spin_loop();
                }
                // Not before: the other one waits.
                pinned?;
                bench.run(segment.direction, &packet).map(drop)
            })
        });
        for run in runs {
            run.join().expect("it does not panic")?;
        }
        Ok(())
    })
}

/// Client and server close at the same moment: the session is over.
#[test]
fn both_sides_end_at_once() {
    let processors = processors().expect("this process runs somewhere");
    let [first, second, ..] = processors[..] else {
        println!("SKIP: there is one processor");
        return;
    };
    bench(|bench| {
        let flow = Flow::client_inside(STARTS[0]);
        let ends = [flow.egress(0, ""), flow.ingress(0, "")]
            .map(|segment| segment.flags(flags::FIN | flags::ACK));
        bench.open(&flow)?;
        let begin = Instant::now();
        let mut rounds = 0;
        while rounds < ROUNDS && begin.elapsed() < TIME {
            rounds += 1;
            bench.set_session(&flow, &flow.session())?;
            at_once(bench, [first, second], &ends)?;
            bench.events();
            let session = bench.session(&flow)?;
            ensure!(
                session.flags & session_flags::CLOSED != 0,
                "round {rounds}: the session stays open; marks {:?}",
                session.streams.map(|stream| stream.flags)
            );
        }
        println!("{rounds} rounds");
        bench.counted(&[(Reason::SessionClosed, rounds.into())]);
        Ok(())
    });
}
