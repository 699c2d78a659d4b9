//! Debian's packages.

use std::process::Command;

use anyhow::{Context as _, Result};

use crate::process;

/// Installs packages as root without a question, without starting a service that
/// one of them brings, and without removing a package that stands in the way.
///
/// A `policy-rc.d` that says no is the way to keep services from starting that works
/// under every init system. One shell both makes and removes it, so that an
/// interrupt does not leave it behind; one that the administrator made is kept.
const INSTALL: &str = r#"set -eu
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 130' INT HUP TERM
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
apt-get -q -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 \
    install --yes --no-install-recommends --no-remove "$@"
"#;

/// Whether this system has Debian's package manager.
pub(crate) fn is_present() -> bool {
    process::find("apt-get").is_some() && process::find("dpkg-query").is_some()
}

/// Installs those of `packages` that are not installed; `what` says what for. True when
/// that was any of them.
pub(crate) fn install(what: &str, packages: &[String]) -> Result<bool> {
    let missing: Vec<_> = packages
        .iter()
        .map(String::as_str)
        .filter(|name| !is_installed(name))
        .collect();
    if missing.is_empty() {
        return Ok(false);
    }
    let failed = || format!("can not install the Debian packages {}", missing.join(" "));
    let mut apt = process::as_root("sh").with_context(failed)?;
    refresh_lists();
    process::step(&format!(
        "Install {what} with apt-get: {}",
        missing.join(" ")
    ));
    process::run(apt.args(["-c", INSTALL, "apt-get-install"]).args(&missing))
        .with_context(failed)?;
    Ok(true)
}

/// Keeps a service that came with a package from starting with the system.
pub(crate) fn disable(service: &str) -> Result<()> {
    process::step(&format!(
        "Keep the {service} service from starting with the system"
    ));
    process::run(process::as_root("update-rc.d")?.args([service, "disable"]))
}

/// Whether a package can be had; the lists have to be fresh for that.
pub(super) fn is_available(package: &str) -> bool {
    is_installed(package) || has_candidate(package) || {
        refresh_lists();
        has_candidate(package)
    }
}

fn has_candidate(package: &str) -> bool {
    process::output(Command::new("apt-cache").args(["policy", package])).is_some_and(|policy| {
        policy
            .lines()
            .filter_map(|line| line.trim().strip_prefix("Candidate: "))
            .any(|version| version != "(none)")
    })
}

fn is_installed(package: &str) -> bool {
    process::output(Command::new("dpkg-query").args(["-W", "-f=${db:Status-Status}", package]))
        .is_some_and(|status| status == "installed")
}

/// Fetches the package lists, once. A mirror that does not answer is no error yet:
/// the old lists may do.
pub(crate) fn refresh_lists() {
    static DONE: std::sync::Once = std::sync::Once::new();
    DONE.call_once(|| {
        process::step("Fetch the package lists");
        let updated = process::as_root("apt-get").and_then(|mut apt| {
            process::run(apt.args(["-q", "-o", "DPkg::Lock::Timeout=120", "update"]))
        });
        if let Err(error) = updated {
            println!("  not fetched, going on with the old ones: {error:#}");
        }
    });
}
