//! What becomes of each packet of one direction.

use std::{
    collections::VecDeque,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use super::{Counts, frame};
use crate::setup::{ControlPort, Impairment};

/// A packet that nothing overtakes goes on after this time.
const PATIENCE: Duration = Duration::from_millis(10);

/// So many packets in a row get lost at most. TCP doubles its timers with each.
const LOST_IN_A_ROW: usize = 2;

/// One direction of a wire.
pub(super) struct Direction {
    impairment: Impairment,
    ports: ControlPort,
    state: u64,
    lost_in_a_row: usize,
    waiting: VecDeque<Waiting>,
}

/// A packet that is to be overtaken.
struct Waiting {
    frame: Vec<u8>,
    /// So many packets still have to go by.
    left: usize,
    since: Instant,
}

impl Direction {
    pub(super) fn new(impairment: Impairment, ports: ControlPort, number: u64) -> Self {
        let seed = impairment.seed.wrapping_mul(2).wrapping_add(number + 1);
        Self {
            impairment,
            ports,
            // Any state but zero; the constant spreads small seeds.
            state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            lost_in_a_row: 0,
            waiting: VecDeque::new(),
        }
    }

    /// What is to be sent after this frame has come.
    pub(super) fn take(&mut self, frame: &[u8], counts: &Counts) -> Vec<Vec<u8>> {
        if !frame::is_tcp(frame) {
            return vec![frame.to_owned()];
        }
        let pieces = self
            .impairment
            .pieces
            .and_then(|size| frame::cut(frame, size, self.ports));
        let pieces = match pieces {
            Some(pieces) => {
                counts.cut.fetch_add(1, Ordering::Relaxed);
                pieces
            }
            None => vec![frame.to_owned()],
        };
        let mut out = Vec::new();
        for piece in pieces {
            self.one(piece, counts, &mut out);
        }
        out
    }

    fn one(&mut self, frame: Vec<u8>, counts: &Counts, out: &mut Vec<Vec<u8>>) {
        // All are drawn each time: what happens to a packet then depends on its
        // number alone.
        let lost = self.chance(self.impairment.loss);
        let doubled = self.chance(self.impairment.duplication);
        let overtaken = self.chance(self.impairment.reordering);
        if lost && self.lost_in_a_row < LOST_IN_A_ROW {
            self.lost_in_a_row += 1;
            counts.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.lost_in_a_row = 0;
        if overtaken {
            counts.overtaken.fetch_add(1, Ordering::Relaxed);
            self.waiting.push_back(Waiting {
                frame,
                left: self.impairment.distance,
                since: Instant::now(),
            });
            return;
        }
        if doubled {
            counts.doubled.fetch_add(1, Ordering::Relaxed);
            out.push(frame.clone());
        }
        out.push(frame);
        for waiting in &mut self.waiting {
            waiting.left = waiting.left.saturating_sub(1);
        }
        self.release(out, |waiting| waiting.left == 0);
    }

    /// How long until a waiting packet has to go on.
    pub(super) fn wait(&self) -> Option<Duration> {
        let first = self.waiting.front()?;
        Some(PATIENCE.saturating_sub(first.since.elapsed()))
    }

    /// The packets that have waited long enough.
    pub(super) fn overdue(&mut self) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        self.release(&mut out, |waiting| waiting.since.elapsed() >= PATIENCE);
        out
    }

    fn release(&mut self, out: &mut Vec<Vec<u8>>, may: impl Fn(&Waiting) -> bool) {
        while self.waiting.front().is_some_and(&may) {
            out.extend(self.waiting.pop_front().map(|waiting| waiting.frame));
        }
    }

    /// xorshift64*.
    fn chance(&mut self, thousandths: u32) -> bool {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let number = self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        number % 1000 < u64::from(thousandths)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chances_are_what_they_say_and_repeat() {
        let impairment = Impairment {
            seed: 7,
            ..Impairment::default()
        };
        let draw = || {
            let mut direction = Direction::new(impairment, ControlPort::default(), 0);
            (0..10_000)
                .map(|_| direction.chance(100))
                .collect::<Vec<_>>()
        };
        let (one, two) = (draw(), draw());
        assert_eq!(one, two);
        let hits = one.iter().filter(|hit| **hit).count();
        assert!((850..1150).contains(&hits), "{hits}");
    }
}
