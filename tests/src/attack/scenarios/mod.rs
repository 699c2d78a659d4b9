//! What is tried.

mod announcements;
mod browser;
mod crowd;
mod lifetime;
mod replies;

use super::Attack;

/// Every attack, in the order of the table.
pub(super) const ALL: &[&[Attack]] = &[
    announcements::ATTACKS,
    browser::ATTACKS,
    lifetime::ATTACKS,
    replies::ATTACKS,
    crowd::ATTACKS,
];
