//! conntrackd's helper: the kernel sends the packets of control connections to a
//! process (`nfnetlink_cthelper`, `nfnetlink_queue`).

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, Result, bail};

use super::rig::FTP;
use crate::{
    lab::{FILES, Lab},
    process::Daemon,
    wait::wait_for,
};

/// Longest wait for its start.
const LIMIT: Duration = Duration::from_secs(10);

/// Gives it the control connections of the gateway, which translates already.
pub(super) fn start(lab: &Lab) -> Result<Daemon> {
    let gateway = &lab.gateway;
    let added = gateway
        .run("nfct", ["helper", "add", "ftp", "inet", "tcp"])
        .context("nfct is not installed")?;
    if !added.status.success() {
        let said = added.stderr.trim().rsplit(": ").next().unwrap_or_default();
        bail!("the kernel has no nfnetlink_cthelper (CONFIG_NF_CT_NETLINK_HELPER): {said}");
    }
    let file = Path::new(FILES).join("conntrackd.conf");
    fs::write(&file, configuration()).context("no configuration for conntrackd")?;
    let mut command = gateway.command("conntrackd");
    let mut daemon = Daemon::start(
        command.arg("-C").arg(&file),
        &lab.logs().join("conntrackd.log"),
    )?;
    let socket = Path::new(FILES).join("conntrackd.ctl");
    wait_for("conntrackd's start", LIMIT, || {
        if let Some(status) = daemon.ended()? {
            bail!("conntrackd ended with {status}: {}", daemon.log()?);
        }
        Ok(fs::exists(&socket)?.then_some(()))
    })?;
    let rules = Path::new(FILES).join("conntrackd.nft");
    fs::write(&rules, rule_text()).context("no rules for conntrackd")?;
    gateway.must(&format!("nft -f {}", rules.display()))?;
    Ok(daemon)
}

fn configuration() -> String {
    format!(
        "Helper {{
    Setup yes
    Type ftp inet tcp {{
        QueueNum 0
        QueueLen 10240
        Policy ftp {{
            ExpectMax 1
            ExpectTimeout 300
        }}
    }}
}}
General {{
    LockFile {FILES}/conntrackd.lock
    UNIX {{
        Path {FILES}/conntrackd.ctl
    }}
    Systemd off
}}
"
    )
}

fn rule_text() -> String {
    format!(
        "
table ip helper {{
    ct helper ftp {{
        type \"ftp\" protocol tcp
    }}
    chain prerouting {{
        type filter hook prerouting priority filter
        tcp dport {FTP} ct helper set \"ftp\"
    }}
}}
"
    )
}
