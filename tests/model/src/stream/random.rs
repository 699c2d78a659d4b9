//! Numbers from a seed or from a fuzzer, the same on every machine.

/// A generator (SplitMix64: every seed is a good one).
#[derive(Clone, Debug)]
pub struct Random {
    /// Bytes that are used up first, so that a fuzzer has every choice in its hands.
    given: Vec<u8>,
    used: usize,
    state: u64,
}

impl Random {
    /// A generator that starts at `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            given: Vec::new(),
            used: 0,
            state: seed,
        }
    }

    /// A generator whose first choices are these bytes, and that goes on from a seed
    /// which follows from them.
    pub fn from_bytes(given: &[u8]) -> Self {
        let state = given.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self {
            given: given.to_vec(),
            used: 0,
            state,
        }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// The next given bytes, as many as a number below `limit` needs.
    fn take(&mut self, limit: u64) -> Option<u64> {
        let len = if limit <= 0x100 { 1 } else { 4 };
        let bytes = self.given.get(self.used..self.used + len)?;
        self.used += len;
        Some(
            bytes
                .iter()
                .fold(0, |number, byte| number << 8 | u64::from(*byte)),
        )
    }

    /// A number below `limit`, which is not 0.
    pub fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit).expect("a usize fits");
        let number = self.take(limit).unwrap_or_else(|| self.next());
        usize::try_from(number % limit).expect("it was one before")
    }

    /// A number from `first` to `last`.
    pub fn between(&mut self, first: usize, last: usize) -> usize {
        first + self.below(last - first + 1)
    }

    /// True in `percent` of a hundred cases.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// Any number.
    pub fn word(&mut self) -> u32 {
        let number = self.take(u64::MAX);
        let number = number.unwrap_or_else(|| self.next() >> 32);
        u32::try_from(number).expect("32 bits")
    }

    /// One of several.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_bytes_are_the_first_choices() {
        let mut random = Random::from_bytes(&[7, 250, 0, 0, 1, 2]);
        assert_eq!(random.below(10), 7);
        assert!(!random.chance(50), "250 modulo 100 is 50");
        assert_eq!(random.word(), 0x0102);
        let (first, second) = (random.word(), random.word());
        assert_ne!(first, second);
        let mut again = Random::from_bytes(&[7, 250, 0, 0, 1, 2]);
        again.used = 6;
        assert_eq!((again.word(), again.word()), (first, second));
    }
}
