//! Connections whose beginning was seen, and which are therefore never picked up in the
//! middle as those that are older than the programs.
//!
//! A table of them could be filled, or turned over, by whoever sends SYNs. This is a
//! Bloom filter of bytes: nothing that was noted is ever forgotten, and a flood only
//! makes others look as if they had been noted, which costs the help for connections
//! that really are older. A byte is stored at once, so processors do not disturb each
//! other as they would with bits.

use ftp_helper_common::session::SessionKey;

use crate::maps::{BEGUN, BEGUN_PAGE};

/// Bits of a place in the map: a page, and a byte of it.
const PLACE: u32 = 20;
const _: () = assert!(1 << PLACE == crate::maps::BEGUN_PAGES as usize * BEGUN_PAGE);

/// The two places of a connection.
#[inline(always)]
fn places(key: &SessionKey) -> [u32; 2] {
    let digest = key.digest();
    let mask = (1 << PLACE) - 1;
    [digest as u32 & mask, (digest >> 32) as u32 & mask]
}

#[inline(always)]
fn byte(place: u32) -> Option<*mut u8> {
    let page = BEGUN.get_ptr_mut(place / BEGUN_PAGE as u32)?;
    let at = place as usize & (BEGUN_PAGE - 1);
    // SAFETY: inside the page.
    Some(unsafe { page.cast::<u8>().add(at) })
}

/// Notes that a connection between these ends begins.
#[inline(never)]
pub(crate) fn note(key: &SessionKey) {
    for place in places(key) {
        if let Some(byte) = byte(place) {
            // SAFETY: a byte of a map that is never freed while the program runs.
            unsafe { byte.write_volatile(1) };
        }
    }
}

/// Whether that was noted of these ends, or looks like it.
#[inline(never)]
pub(crate) fn is_noted(key: &SessionKey) -> bool {
    let mut noted = true;
    for place in places(key) {
        if let Some(byte) = byte(place) {
            // SAFETY: as in `note`.
            noted &= unsafe { byte.read_volatile() } != 0;
        }
    }
    noted
}
