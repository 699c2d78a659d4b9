//! Which Python to use.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::{host::Host, process::run};

/// The first interpreter that can import `module`. The distribution's comes
/// last: a `python3` that was put before it in the path has been put there on
/// purpose, but may lack modules that are installed as packages.
pub(crate) fn interpreter(host: &Host, module: &str) -> Result<&'static str> {
    for python in ["python3", "/usr/bin/python3"] {
        let mut probe = host.command(python);
        probe.args(["-c", &format!("import {module}")]);
        if run(&mut probe, Duration::from_secs(20)).is_ok_and(|output| output.status.success()) {
            return Ok(python);
        }
    }
    bail!("no python3 that has the module {module}; install it (Debian: python3-{module})")
}
