//! What a host's TCP had to repeat, and what of Multipath TCP it met.

use anyhow::{Context as _, Result};

use crate::host::Host;

/// Counters of all TCP connections of a host.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct TcpCounters {
    /// Segments that were sent again, for whatever reason.
    pub repeated: u64,
    /// Retransmission time-outs.
    pub timeouts: u64,
    /// Time-outs behind which the last segment, or a new one, is sent to find out
    /// whether anything was lost (RFC 8985 section 7). A receiver that takes its time
    /// is enough for one.
    pub probes: u64,
}

impl TcpCounters {
    /// The counters of `host` as they are.
    pub fn of(host: &Host) -> Result<Self> {
        let text = host.must("cat /proc/net/snmp /proc/net/netstat")?;
        Ok(Self {
            repeated: counter(&text, "Tcp:", "RetransSegs")?,
            timeouts: counter(&text, "TcpExt:", "TCPTimeouts")?,
            probes: counter(&text, "TcpExt:", "TCPLossProbes")?,
        })
    }

    /// What has been added since `earlier`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            repeated: self.repeated - earlier.repeated,
            timeouts: self.timeouts - earlier.timeouts,
            probes: self.probes - earlier.probes,
        }
    }

    /// True when something was sent again but for probes: what they ask for may only have
    /// been late.
    pub fn has_losses(self) -> bool {
        self.timeouts > 0 || self.repeated > self.probes
    }
}

/// Counters of a host's handshakes of Multipath TCP (RFC 8684). Their first SYN asks
/// whether the other end has it too.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct MultipathCounters {
    /// SYNs that it has sent and that ask.
    pub asked: u64,
    /// SYNs that asked when they arrived.
    pub was_asked: u64,
    /// Connections that became plain TCP since the SYN-ACK did not say yes.
    pub unanswered: u64,
}

impl MultipathCounters {
    /// The counters of `host` as they are.
    pub fn of(host: &Host) -> Result<Self> {
        let text = host.must("cat /proc/net/netstat")?;
        let counter = |name| counter(&text, "MPTcpExt:", name);
        Ok(Self {
            asked: counter("MPCapableSYNTX")?,
            was_asked: counter("MPCapableSYNRX")?,
            unanswered: counter("MPCapableFallbackSYNACK")?,
        })
    }
}

/// Two lines belong together: the first has the names, the second the numbers.
fn counter(text: &str, group: &str, name: &str) -> Result<u64> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(group));
    let (names, numbers) = (lines.next(), lines.next());
    let (names, numbers) = names
        .zip(numbers)
        .with_context(|| format!("no {group} in\n{text}"))?;
    names
        .split_whitespace()
        .zip(numbers.split_whitespace())
        .find(|(word, _)| *word == name)
        .and_then(|(_, number)| number.parse().ok())
        .with_context(|| format!("no {group} {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found_by_name() {
        let text = "Tcp: A RetransSegs B\nTcp: 1 22 3\nTcpExt: X TCPTimeouts\nTcpExt: 4 5\n";
        assert_eq!(counter(text, "Tcp:", "RetransSegs").unwrap(), 22);
        assert_eq!(counter(text, "TcpExt:", "TCPTimeouts").unwrap(), 5);
        assert!(counter(text, "TcpExt:", "Other").is_err());
    }
}
