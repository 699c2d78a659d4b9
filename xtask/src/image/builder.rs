//! The programs that build from a Containerfile.

use std::process::Command;

use anyhow::{Result, bail};

use crate::{process, workspace};

/// Each with a command that only works when it can build.
const BUILDERS: [(&str, &[&str]); 3] = [
    ("buildah", &["info"]),
    ("podman", &["info"]),
    // Prints something also without a daemon, so its exit code is asked for.
    ("docker", &["info"]),
];

/// Builds it with the first one that works.
pub(super) fn build(tag: &str, more: &[String]) -> Result<()> {
    let mut obstacles = Vec::new();
    for (name, question) in BUILDERS {
        if process::find(name).is_none() {
            obstacles.push(format!("there is no {name}"));
            continue;
        }
        if !process::succeeds(Command::new(name).args(question)) {
            obstacles.push(format!("`{name} {}` fails", question.join(" ")));
            continue;
        }
        process::step(&format!("Build {tag} with {name}"));
        let mut command = Command::new(name);
        command
            .current_dir(workspace::root())
            .args(["build", "--file", "deploy/Containerfile", "--tag", tag])
            .args(more)
            .arg(".");
        return process::run(&mut command);
    }
    bail!(
        "no container builder works here ({}): install buildah, or build without one with \
         `cargo xtask image --oci FILE`",
        obstacles.join(", ")
    )
}
