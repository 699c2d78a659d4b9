//! The clock of the maps.

use std::{
    fs,
    sync::LazyLock,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result};
use nix::time::{ClockId, clock_gettime};

const NANOSECONDS: u64 = 1_000_000_000;

/// Nanoseconds by which this process's time namespace is ahead of the machine: a
/// container may have one, and the programs know nothing of it.
static AHEAD: LazyLock<i64> = LazyLock::new(|| {
    let offsets = fs::read_to_string("/proc/self/timens_offsets");
    // Without the file there are no time namespaces.
    offsets.map_or(0, |text| ahead(&text))
});

/// `CLOCK_BOOTTIME` in nanoseconds, as the programs stamp it: it runs on while
/// the machine sleeps, like the time-outs of the far side do.
pub fn now() -> Result<u64> {
    let time = clock_gettime(ClockId::CLOCK_BOOTTIME).context("can not read CLOCK_BOOTTIME")?;
    let seconds = u64::try_from(time.tv_sec()).unwrap_or_default();
    let nanoseconds = u64::try_from(time.tv_nsec()).unwrap_or_default();
    Ok((seconds * NANOSECONDS + nanoseconds).saturating_add_signed(-*AHEAD))
}

/// The nanoseconds in a line like `boottime        86400         0`.
fn ahead(offsets: &str) -> i64 {
    offsets
        .lines()
        .find_map(|line| {
            let mut words = line.strip_prefix("boottime")?.split_whitespace();
            let seconds: i64 = words.next()?.parse().ok()?;
            let nanoseconds: i64 = words.next()?.parse().ok()?;
            seconds.checked_mul(1_000_000_000)?.checked_add(nanoseconds)
        })
        .unwrap_or_default()
}

/// A time of this clock as a date (RFC 3339, UTC), for people and JSON.
pub fn to_timestamp(time: u64) -> String {
    let ago = now().map_or(0, |now| now.saturating_sub(time));
    let then = SystemTime::now().checked_sub(Duration::from_nanos(ago));
    let then = then.unwrap_or(SystemTime::UNIX_EPOCH);
    humantime::format_rfc3339_micros(then).to_string()
}

/// Whole seconds as nanoseconds.
pub const fn seconds(seconds: u64) -> u64 {
    seconds.saturating_mul(NANOSECONDS)
}

/// Nanoseconds as seconds with three places, for JSON.
pub fn to_seconds(nanoseconds: u64) -> f64 {
    // Milliseconds stay exact in an f64 for longer than any machine is up.
    #[expect(clippy::cast_precision_loss, reason = "exact below 2^53 milliseconds")]
    let milliseconds = (nanoseconds / 1_000_000) as f64;
    milliseconds / 1_000.0
}

/// Nanoseconds as a short text of at most two units, for tables.
pub fn to_words(nanoseconds: u64) -> String {
    let seconds = nanoseconds / NANOSECONDS;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    if days > 0 {
        format!("{days}d{:02}h", hours % 24)
    } else if hours > 0 {
        format!("{hours}h{:02}m", minutes % 60)
    } else if minutes > 0 {
        format!("{minutes}m{:02}s", seconds % 60)
    } else {
        format!("{seconds}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_of_a_time_namespace_is_read() {
        for (text, nanoseconds) in [
            (
                "monotonic  5  6\nboottime        86400         7\n",
                86_400_000_000_007,
            ),
            ("monotonic  0  0\nboottime  -2  500000000\n", -1_500_000_000),
            ("monotonic  0  0\n", 0),
            ("", 0),
        ] {
            assert_eq!(ahead(text), nanoseconds, "{text}");
        }
    }

    #[test]
    fn words_have_at_most_two_units() {
        for (second, words) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m00s"),
            (3599, "59m59s"),
            (3600, "1h00m"),
            (86399, "23h59m"),
            (90000, "1d01h"),
        ] {
            assert_eq!(to_words(seconds(second)), words);
        }
    }

    #[test]
    fn json_seconds_keep_milliseconds() {
        assert!((to_seconds(1_234_567_890) - 1.234).abs() < f64::EPSILON);
    }

    #[test]
    fn timestamps_are_of_the_time_that_is_meant() {
        let second = |time| humantime::parse_rfc3339(&to_timestamp(time)).unwrap();
        let now = now().unwrap();
        let gone = second(now).duration_since(second(now - seconds(1)));
        let gone = gone.unwrap().as_secs_f64();
        assert!((0.9..1.1).contains(&gone), "{gone}");
        let off = SystemTime::now().duration_since(second(now)).unwrap();
        assert!(off < Duration::from_secs(5), "{off:?}");
    }

    #[test]
    fn the_clock_runs() {
        let first = now().unwrap();
        assert!(first > 0);
        assert!(now().unwrap() >= first);
    }
}
