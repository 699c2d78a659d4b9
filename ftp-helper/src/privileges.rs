//! The rights that the agent goes on with once everything is loaded.
//!
//! The start may need more than what stays: where conntrack is a module,
//! CAP_SYS_ADMIN opens its types, and a group gets its access with CAP_CHOWN. From
//! then on three capabilities are enough, for new interfaces, for other settings
//! and for the next years.

use anyhow::{Context as _, Result};
use caps::{CapSet, Capability, CapsHashSet};
use nix::sys::prctl::set_no_new_privs;
use tracing::debug;

use crate::preflight::NEEDED;

/// Gives up every capability that is not needed any more, for this thread and
/// those that it starts, and the way to get new ones by starting a program.
///
/// To be called before other threads are started: the kernel keeps capabilities
/// for each one.
pub fn drop_others() -> Result<()> {
    let context = "can not give up capabilities";
    let needed: CapsHashSet = NEEDED.into_iter().collect();
    drop_bounds(&needed);
    caps::clear(None, CapSet::Ambient).context(context)?;
    caps::clear(None, CapSet::Inheritable).context(context)?;
    // The effective ones are always among the permitted ones.
    for set in [CapSet::Effective, CapSet::Permitted] {
        let held = caps::read(None, set).context(context)?;
        let kept = held.intersection(&needed).copied().collect();
        caps::set(None, set, &kept).context(context)?;
    }
    set_no_new_privs().context("can not give up the way to new privileges")
}

/// What a program could be started with at most: a kubeconfig may name one. It takes
/// CAP_SETPCAP; without it, there are no bounds to gain from, as no new privileges can be
/// had by starting anything.
fn drop_bounds(needed: &CapsHashSet) {
    let dropped = caps::read(None, CapSet::Bounding).and_then(|bounds| {
        let others = bounds.difference(needed).copied();
        others
            .collect::<Vec<Capability>>()
            .into_iter()
            .try_for_each(|capability| caps::drop(None, CapSet::Bounding, capability))
    });
    if let Err(error) = dropped {
        debug!("the bounding set of capabilities stays: {error}");
    }
}
