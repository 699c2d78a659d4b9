//! A wire that loses, repeats, delays and cuts what goes over it.
//!
//! A lab with a relay has one more host, the *wire*, with two devices for each
//! impaired connection. A thread takes every frame from one of them and puts it
//! out on the other, or does to it what the [`Impairment`] says. What it does
//! depends on the seed and on the order of the packets only.

mod fate;
mod frame;
mod socket;

use std::{
    fs::File,
    io::{ErrorKind, Read as _, Write as _},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context as _, Result};

use self::fate::Direction;
use crate::setup::{ControlPort, Impairment};

pub(crate) use self::socket::open;

/// Longest sleep while no frame comes: how soon an end is noticed.
const IDLE: Duration = Duration::from_millis(50);

/// Longest frame, with room for what nobody sends here.
const FRAME: usize = 1 << 16;

/// What a relay has done so far.
#[derive(Debug, Default)]
pub struct Counts {
    /// Packets that got lost.
    pub lost: AtomicU64,
    /// Packets that were sent twice.
    pub doubled: AtomicU64,
    /// Packets that were overtaken.
    pub overtaken: AtomicU64,
    /// Control segments that were cut into pieces.
    pub cut: AtomicU64,
}

/// A running relay; ends with this value.
#[derive(Debug)]
pub struct Relay {
    /// What it has done.
    pub counts: Arc<Counts>,
    ends: Sender<[File; 2]>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// Starts the thread, which waits for its two ends. To be called before the
    /// lab is made: its thread can not start others.
    pub(crate) fn start(impairment: Impairment, ports: ControlPort) -> Self {
        let (ends, awaited) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let counts = Arc::new(Counts::default());
        let thread = {
            let (stop, counts) = (Arc::clone(&stop), Arc::clone(&counts));
            let worker = Worker {
                impairment,
                ports,
                counts,
                stop,
            };
            std::thread::spawn(move || worker.run(&awaited))
        };
        Self {
            counts,
            ends,
            stop,
            thread: Some(thread),
        }
    }

    /// Gives it the two ends of the wire.
    pub(crate) fn connect(&self, ends: [File; 2]) -> Result<()> {
        self.ends.send(ends).ok().context("the relay has ended")
    }

    /// Everything it has done to packets, added up.
    pub fn work(&self) -> u64 {
        let Counts {
            lost,
            doubled,
            overtaken,
            cut,
        } = &*self.counts;
        [lost, doubled, overtaken, cut]
            .iter()
            .map(|count| count.load(Ordering::Relaxed))
            .sum()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of the relay's shows as a scenario that fails.
            let _ = thread.join();
        }
    }
}

struct Worker {
    impairment: Impairment,
    ports: ControlPort,
    counts: Arc<Counts>,
    stop: Arc<AtomicBool>,
}

impl Worker {
    fn run(&self, awaited: &Receiver<[File; 2]>) {
        let ends = loop {
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            if let Ok(ends) = awaited.recv_timeout(IDLE) {
                break ends;
            }
        };
        let direction = |number| Direction::new(self.impairment, self.ports, number);
        let mut directions = [direction(0), direction(1)];
        let mut buffer = vec![0; FRAME];
        while !self.stop.load(Ordering::Relaxed) {
            let wait = directions
                .iter()
                .filter_map(Direction::wait)
                .fold(IDLE, Duration::min);
            socket::wait(&ends, wait);
            for (from, direction) in directions.iter_mut().enumerate() {
                let out = &ends[1 - from];
                while let Some(frame) = receive(&ends[from], &mut buffer) {
                    for frame in direction.take(frame, &self.counts) {
                        send(out, &frame);
                    }
                }
                for frame in direction.overdue() {
                    send(out, &frame);
                }
            }
        }
    }
}

fn receive<'a>(mut from: &File, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    let length = from.read(buffer).ok()?;
    buffer.get(..length)
}

/// A full queue is a loss like any other, and TCP's to repair.
fn send(mut to: &File, frame: &[u8]) {
    if let Err(error) = to.write_all(frame)
        && error.kind() != ErrorKind::WouldBlock
    {
        eprintln!(
            "relay: a frame of {} bytes was not sent: {error}",
            frame.len()
        );
    }
}
