//! The programs that the lab and the tests run; the agent needs none of them.

use std::process::Command;

use anyhow::Result;

use super::debian;
use crate::process;

/// The interpreter that runs the Python FTP server and client: the distribution's,
/// whose packages apt-get installs, not another one that comes first on the `PATH`.
pub(super) const PYTHON: &str = "/usr/bin/python3";

/// Something that has to be there.
#[derive(Debug)]
pub(super) struct Tool {
    /// What to look for.
    need: Need,
    /// Debian's package of it.
    package: &'static str,
    /// What it is for.
    purpose: &'static str,
}

#[derive(Debug)]
enum Need {
    Program(&'static str),
    PythonModule(&'static str),
}

const fn program(name: &'static str, package: &'static str, purpose: &'static str) -> Tool {
    Tool {
        need: Need::Program(name),
        package,
        purpose,
    }
}

const TOOLS: [Tool; 15] = [
    program("ip", "iproute2", "network namespaces"),
    program("nft", "nftables", "masquerade and firewall"),
    program(
        "iptables-legacy",
        "iptables",
        "firewalls of both older kinds",
    ),
    program("sysctl", "procps", "forwarding"),
    program("ethtool", "ethtool", "offload settings"),
    program("conntrack", "conntrack", "the kernel's connection table"),
    program("tcpdump", "tcpdump", "captures of a failed scenario"),
    program("wg", "wireguard-tools", "a tunnel as outside interface"),
    program("vsftpd", "vsftpd", "FTP server"),
    program("curl", "curl", "FTP client"),
    program("lftp", "lftp", "FTP client"),
    program("systemctl", "systemd", "a system to install the package on"),
    program("man", "man-db", "the manual pages of the package"),
    program("crun", "crun", "a container as Kubernetes makes it"),
    Tool {
        need: Need::PythonModule("pyftpdlib"),
        package: "python3-pyftpdlib",
        purpose: "FTP server and client",
    },
];

impl Tool {
    fn is_present(&self) -> bool {
        match self.need {
            Need::Program(name) => process::find(name).is_some(),
            Need::PythonModule(module) => {
                process::succeeds(Command::new(PYTHON).args(["-c", &format!("import {module}")]))
            }
        }
    }

    fn name(&self) -> String {
        match self.need {
            Need::Program(name) => name.to_owned(),
            Need::PythonModule(module) => format!("module {module} of {PYTHON}"),
        }
    }
}

/// Installs what is missing and returns whether all is there then; says what is not.
pub(super) fn provide() -> Result<bool> {
    let mut missing = missing();
    if !missing.is_empty() && debian::is_present() {
        install(&missing)?;
        missing = self::missing();
    }
    report(&missing);
    Ok(missing.is_empty())
}

/// What is missing.
pub(super) fn missing() -> Vec<&'static Tool> {
    TOOLS.iter().filter(|tool| !tool.is_present()).collect()
}

/// Says what is missing and who needs it.
pub(super) fn report(missing: &[&Tool]) {
    for tool in missing {
        println!(
            "Missing: {} ({}), Debian package {}",
            tool.name(),
            tool.purpose,
            tool.package
        );
    }
    if !missing.is_empty() {
        println!(
            "Only `cargo xtask run --lab` and `cargo xtask test` need these programs; the agent does not."
        );
    }
}

fn install(missing: &[&Tool]) -> Result<()> {
    let packages: Vec<_> = missing.iter().map(|it| it.package.to_owned()).collect();
    debian::install("the programs of the lab and the tests", &packages)?;
    if packages.iter().any(|package| package == "vsftpd") {
        debian::disable("vsftpd")?;
    }
    Ok(())
}
