//! A connection table with room for nothing.
//!
//! Its limit is the machine's, not that of a network namespace, but what is counted
//! against it is what is in the namespace. So the limit stays as it is, and the gateway's
//! own table is filled up to it, with connections that have been answered: those are not
//! thrown out for new ones.

use std::{fmt::Write as _, fs, time::Duration};

use anyhow::{Context as _, Result, ensure};

use crate::{lab::Lab, process::run, soak::gauge::conntrack};

/// More than this takes too long, and too much memory.
const MOST: u64 = 1 << 20;

/// Longest time for all of them.
const LIMIT: Duration = Duration::from_secs(180);

/// How many entries the table takes.
pub(super) fn limit(lab: &Lab) -> Result<u64> {
    let path = "/proc/sys/net/netfilter/nf_conntrack_max";
    let text = lab
        .gateway
        .enter(|| fs::read_to_string(path).with_context(|| path.to_owned()))?;
    let limit = text.trim().parse().context("no limit")?;
    ensure!(
        (1..=MOST).contains(&limit),
        "a connection table of {limit} entries is not filled here: lower \
         net.netfilter.nf_conntrack_max to {MOST}"
    );
    Ok(limit)
}

/// Connections that nobody has.
pub(super) struct Crowd<'a> {
    lab: &'a Lab,
    next: u32,
}

impl<'a> Crowd<'a> {
    pub(super) fn new(lab: &'a Lab) -> Self {
        Self { lab, next: 0 }
    }

    /// Adds so many, as far as there is room.
    pub(super) fn add(&mut self, count: u64) -> Result<()> {
        let count = u32::try_from(count)?;
        let mut lines = String::new();
        for number in self.next..self.next + count {
            // Of the network for benchmarks, with 32 connections of each address.
            let [_, second, third, fourth] = (number / 32).to_be_bytes();
            let port = 1000 + number % 32;
            // Writing to a `String` can not fail.
            let _ = writeln!(
                lines,
                "-I -p udp -s 198.{}.{third}.{fourth} -d 192.0.2.1 --sport {port} --dport 9 \
                 --timeout 3600 --status ASSURED,SEEN_REPLY",
                18 + second
            );
        }
        self.next += count;
        let file = self.lab.logs().join("crowd");
        fs::write(&file, lines).with_context(|| format!("{} not written", file.display()))?;
        let mut command = self.lab.gateway.command("conntrack");
        let output = run(command.arg("-R").arg(&file), LIMIT)?;
        let _ = fs::remove_file(&file);
        // The first that does not fit ends it.
        ensure!(
            output.status.success() || output.stderr.contains("not enough memory"),
            "conntrack does not fill the table: {}",
            output.stderr
        );
        Ok(())
    }

    /// Fills the table to the brim.
    pub(super) fn fill(&mut self) -> Result<()> {
        let limit = limit(self.lab)?;
        let there = conntrack(self.lab)?;
        // One more than the limit, and some that do not fit.
        self.add((limit + 1).saturating_sub(there) + 32)?;
        let there = conntrack(self.lab)?;
        ensure!(there >= limit, "only {there} of {limit} entries");
        Ok(())
    }

    /// Makes room for some.
    pub(super) fn thin_out(&self) -> Result<()> {
        // 32 connections of each.
        for last in 1..=16 {
            let host = &self.lab.gateway;
            host.must(&format!("conntrack -D -p udp -s 198.18.0.{last}"))?;
        }
        Ok(())
    }
}
