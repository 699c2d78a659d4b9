//! A few ports in one word: what the ports of a packet are compared with first.
//!
//! A gateway seldom has more than four control ports. A word that names them is asked in
//! a handful of instructions, and is in the cache whenever there is traffic; a bitmap of
//! all ports has a cache line for each 512 of them, and clients have any port.

/// Ports that have room.
const PLACES: usize = 4;

/// The word does not say: there are no ports, too many, or 0 is one of them.
pub const UNKNOWN: u64 = 0;

/// The lowest bit of each place.
const LOWEST: u64 = u64::MAX / 0xffff;

/// The word for `ports` (host byte order), which come in any order, or [`UNKNOWN`].
pub fn pack(ports: impl IntoIterator<Item = u16>) -> u64 {
    let mut places = [0; PLACES];
    for (count, port) in ports.into_iter().enumerate() {
        if count >= PLACES || port == 0 {
            return UNKNOWN;
        }
        // Places that nobody needs repeat the last one.
        places[count..].fill(port);
    }
    let mut word = UNKNOWN;
    for port in places {
        word = word << 16 | u64::from(port);
    }
    word
}

/// Whether `port` (host byte order) is one of those in the word, which has to say.
#[inline(always)]
pub const fn contains(word: u64, port: u16) -> bool {
    let zero_where_equal = word ^ (LOWEST * port as u64);
    // The highest bit of the first place that is zero, and perhaps of others above it.
    zero_where_equal.wrapping_sub(LOWEST) & !zero_where_equal & (LOWEST << 15) != 0
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[test]
    fn what_does_not_fit_is_left_to_the_bitmap() {
        assert_eq!(pack([]), UNKNOWN);
        assert_eq!(pack([0]), UNKNOWN);
        assert_eq!(pack([21, 0]), UNKNOWN);
        assert_eq!(pack([21, 2121, 8021, 990, 991]), UNKNOWN);
        assert_eq!(pack([21]), 0x0015_0015_0015_0015);
        assert_eq!(pack([21, 2121]), 0x0015_0849_0849_0849);
    }

    proptest! {
        #[test]
        fn a_word_knows_its_ports_and_no_others(
            ports in vec(1..=u16::MAX, 1..=PLACES),
            others in vec(any::<u16>(), 32),
        ) {
            let word = pack(ports.iter().copied());
            // Neighbours carry and borrow.
            let near = ports.iter().flat_map(|port| [port.wrapping_sub(1), port.wrapping_add(1)]);
            let ends = [0, 1, 0x7fff, 0x8000, u16::MAX];
            for port in ports.iter().copied().chain(near).chain(others).chain(ends) {
                prop_assert_eq!(contains(word, port), ports.contains(&port), "{}", port);
            }
        }
    }
}
