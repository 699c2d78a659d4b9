//! The Debian package's own list of changes, which has to be there and is about the
//! packaging: it names the version and leads to the project's list.

use std::process::Command;

use anyhow::{Context as _, Result};

use super::{VERSION, deb::REVISION, epoch::Epoch};
use crate::process;

/// What it says.
pub(super) fn text(epoch: Epoch) -> Result<String> {
    let mut date = Command::new("date");
    date.env("LC_ALL", "C")
        .args(["--utc", "--rfc-email", "--date"])
        .arg(format!("@{}", epoch.0));
    let date = process::output(&mut date).context("`date` does not tell the date")?;
    Ok(format!(
        "ftp-helper ({VERSION}-{REVISION}) unstable; urgency=medium

  * The changes are in /usr/share/doc/ftp-helper/changelog.gz.

 -- The ftp-helper authors <ftp-helper@invalid>  {}
",
        date.trim()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_has_version_and_time() {
        let text = text(Epoch(1_700_000_000)).unwrap();
        let first = format!("ftp-helper ({VERSION}-{REVISION}) ");
        assert!(text.starts_with(&first), "{text}");
        assert!(
            text.ends_with("  Tue, 14 Nov 2023 22:13:20 +0000\n"),
            "{text}"
        );
    }
}
