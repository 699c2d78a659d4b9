//! Transfers between two servers (FXP): the data connection has an end that is
//! not on the control connection. Refused, but for networks on a list.

use aya_ebpf::maps::lpm_trie::Key;
use ftp_helper_common::{
    address::Address,
    interface::{Interface, flags},
};

use crate::maps::FXP_NETWORKS;

/// True when this interface allows third parties at all.
#[inline(always)]
pub(crate) fn is_on(interface: &Interface) -> bool {
    interface.flags & flags::FXP != 0
}

/// True for an address on the list.
#[inline(always)]
pub(crate) fn allows(address: &Address) -> bool {
    FXP_NETWORKS
        .get(Key::new(128, *address.as_bytes()))
        .is_some()
}
