//! What is pinned, and whether somebody else has pins too.

use std::{fs, path::PathBuf};

use ftp_helper_common::SCHEMA_VERSION;

use super::Check;
use crate::{
    doctor::{Finding, Gateway},
    pins::PinDirectory,
};

pub(super) const CHECK: Check = Check {
    name: "pins",
    looks_at: "the version of what is pinned, and pins of a second ftp-helper",
    quick: false,
    run: |gateway| Ok(run(gateway)),
};

fn run(gateway: &Gateway) -> Vec<Finding> {
    let subject = gateway.pins.path().display().to_string();
    let pinned = &gateway.pinned;
    let mut findings = Vec::new();
    if let Some(version) = pinned.other_version() {
        findings.push(Finding::fail(
            &subject,
            format!(
                "its maps have schema version {version}, this ftp-helper needs {SCHEMA_VERSION}: it \
                 can neither take them over nor read them"
            ),
            "start this version with `--on-other-version replace` (live sessions lose their help)",
        ));
    }
    if !pinned.foreign.is_empty() {
        findings.push(Finding::warn(
            &subject,
            format!(
                "it holds what is not ftp-helper's ({}): `ftp-helper detach` refuses to remove it",
                pinned.foreign.join(", ")
            ),
            "move it away, or check --pin-dir",
        ));
    }
    for other in others(gateway) {
        let path = other.path().display().to_string();
        findings.push(Finding::warn(
            &path,
            "a second ftp-helper has its pins here: two on one interface both change the lines",
            format!("ftp-helper --pin-dir {path} detach"),
        ));
    }
    if findings.is_empty() {
        let what = if pinned.is_empty() {
            "nothing is pinned, and there is no second ftp-helper".to_owned()
        } else {
            format!("everything has schema version {SCHEMA_VERSION}, and nobody else has pins")
        };
        findings.push(Finding::ok(subject, what));
    }
    findings
}

/// Directories beside ours that hold attachments of ours.
fn others(gateway: &Gateway) -> Vec<PinDirectory> {
    let own = gateway.pins.path();
    let Some(Ok(entries)) = own.parent().map(fs::read_dir) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path != own && path.is_dir());
    paths.sort();
    paths
        .into_iter()
        .map(PinDirectory::new)
        .filter(|other| {
            let pins = other.read().unwrap_or_default();
            !pins.attachments.is_empty() && !pins.maps.is_empty()
        })
        .collect()
}
