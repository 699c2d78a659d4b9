//! Removal of what has expired.
//!
//! The programs never trust an entry because it is there: they look at its times
//! and flags. So this only keeps the tables from filling up, and nothing goes
//! wrong while no agent runs.

use std::fs;

use anyhow::Result;
use ftp_helper_common::{
    reason::Reason,
    session::{Session, flags},
};
use tracing::{debug, info};

use crate::{
    clock::seconds,
    datapath::maps::{Expectations, Sessions},
    output::endpoint,
};

/// A closed session is kept for as long as TCP keeps a closed connection
/// (conntrack's `TIME_WAIT`): its last segments may still be repeated.
const CLOSED: u64 = seconds(120);

const ESTABLISHED_SYSCTL: &str = "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established";
/// The kernel's default: five days.
const ESTABLISHED_DEFAULT: u64 = 432_000;

/// Removes the expectations whose time is over.
pub(super) fn expectations(table: &mut Expectations, now: u64) -> Result<()> {
    for (key, expectation) in table.entries()? {
        // The programs put a new one in the place of one that expired; look again,
        // so as not to remove that.
        let expired = expectation.expires <= now;
        if expired && table.get(&key)? == Some(expectation) && table.remove(&key)? {
            info!(
                outside = %endpoint(&key.outside),
                inside = %endpoint(&expectation.inside),
                "{}",
                Reason::ExpectationExpired.word()
            );
        }
    }
    Ok(())
}

/// Removes the sessions that are over.
pub(super) fn sessions(table: &mut Sessions, limits: Limits, now: u64) -> Result<()> {
    for (key, session) in table.entries()? {
        if limits.is_over(&session, now) && table.remove(&key)? {
            debug!(
                outside = %endpoint(&key.outside),
                peer = %endpoint(&key.peer),
                "session removed"
            );
        }
    }
    Ok(())
}

/// How long sessions are kept without a packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Open ones; nanoseconds.
    established: u64,
}

impl Limits {
    /// Open sessions live as long without a packet as their connections do in
    /// conntrack: without that entry the connection has no translation either.
    pub(super) fn following_conntrack() -> Self {
        let configured = fs::read_to_string(ESTABLISHED_SYSCTL).ok();
        let configured = configured.and_then(|text| text.trim().parse().ok());
        Self {
            established: seconds(configured.unwrap_or(ESTABLISHED_DEFAULT)),
        }
    }

    fn is_over(self, session: &Session, now: u64) -> bool {
        // A packet may come while we look: then last_seen is ahead of us.
        let idle = now.saturating_sub(session.last_seen);
        let limit = if session.flags & flags::CLOSED != 0 {
            CLOSED
        } else {
            self.established
        };
        idle > limit
    }
}

#[cfg(test)]
mod tests {
    use zerocopy::FromZeros as _;

    use super::*;

    const LIMITS: Limits = Limits {
        established: seconds(1000),
    };

    fn session(closed: bool, last_seen: u64) -> Session {
        let mut session = Session::new_zeroed();
        session.flags = if closed { flags::CLOSED } else { 0 };
        session.last_seen = seconds(last_seen);
        session
    }

    #[test]
    fn closed_sessions_go_after_two_minutes() {
        assert!(!LIMITS.is_over(&session(true, 100), seconds(220)));
        assert!(LIMITS.is_over(&session(true, 100), seconds(221)));
    }

    #[test]
    fn open_sessions_live_as_long_as_in_conntrack() {
        assert!(!LIMITS.is_over(&session(false, 100), seconds(1100)));
        assert!(LIMITS.is_over(&session(false, 100), seconds(1101)));
    }

    #[test]
    fn a_packet_from_the_future_keeps_a_session() {
        assert!(!LIMITS.is_over(&session(true, 500), seconds(100)));
    }
}
