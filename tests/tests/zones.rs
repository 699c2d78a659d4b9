//! On a gateway whose rules put connections into a zone of conntrack other than 0.

use anyhow::{Result, ensure};
use ftp_helper_tests::{
    check::{helped_mode, modes, nothing_arrives, transfer},
    client::{ClientKind, Mode},
    conntrack::data_connection,
    kernel::is_before,
    lab::Lab,
    scenario::{agent_scenario, scenario, skip},
    server::{Server, ServerKind},
    setup::{Egress, Family, Helper, Inside, Setup, Translation},
};

/// Where the rules below put everything that arrives.
const ZONE: u16 = 7;

const RULES: &str = "table inet zones {
    chain prerouting { type filter hook prerouting priority raw; ct zone set 7; }
}";

/// Gives the gateway its zone. False if the kernel has none.
fn zoned(lab: &Lab) -> Result<bool> {
    if !lab.gateway.run("nft", [RULES])?.status.success() {
        skip("this kernel has no zones (CONFIG_NF_CONNTRACK_ZONES)");
        return Ok(false);
    }
    Ok(true)
}

/// [`zoned`] where programs can name a zone too.
fn helped_in_zones(lab: &Lab) -> Result<bool> {
    if is_before(6, 11)? {
        skip("BPF programs of this kernel know one zone only (before Linux 6.11)");
        return Ok(false);
    }
    zoned(lab)
}

/// Transfers in every mode that needs help, with `options`: the lines and the bytes arrive,
/// the entry of each data connection was made for it, in the zone of its control connection.
fn passes(setup: Setup, options: &[&str]) {
    agent_scenario(setup, |lab, agent| {
        if !helped_in_zones(lab)? {
            return Ok(());
        }
        let arguments = [&["run", "-i", "wan0"], options].concat();
        let _running = agent.start_with(&arguments)?;
        let (kind, client) = match setup.family() {
            Family::V4 => (ServerKind::Vsftpd, ClientKind::Curl),
            Family::V6 => (ServerKind::Pyftpdlib, ClientKind::Lftp),
        };
        let server = Server::start(lab, kind)?;
        let mut done = 0;
        for mode in modes(setup.family(), client).filter(|mode| needs_help(&setup, *mode)) {
            for rewrite in transfer(lab, &server, client, mode)? {
                let entry = data_connection(lab, mode, &rewrite)?;
                ensure!(entry.zone == ZONE, "{mode:?}: {entry:?}");
                done += 1;
            }
        }
        let matched = agent.count("expectation_matched")?;
        ensure!(matched == done, "{matched} of {done} were matched");
        let missing = agent.count("conntrack_missing")?;
        ensure!(missing == 0, "{missing} control connections were not found");
        Ok(())
    });
}

/// Whether the rules would drop the data connection: one that comes from outside, or any
/// where hosts inside may open control connections only.
fn needs_help(setup: &Setup, mode: Mode) -> bool {
    setup.egress == Egress::ControlOnly || mode.is_active() == helped_mode(setup.inside).is_active()
}

/// The zone of all interfaces, and of the only one there is.
const OPTIONS: [&[&str]; 2] = [&["--ct-zone", "7"], &["--ct-zone", "wan0=7"]];

#[test]
fn a_client_inside() {
    for options in OPTIONS {
        passes(
            Setup::new(Inside::Client, Family::V4, Translation::Nat),
            options,
        );
    }
}

#[test]
fn a_server_inside() {
    for options in OPTIONS {
        passes(
            Setup::new(Inside::Server, Family::V4, Translation::Nat),
            options,
        );
    }
}

#[test]
fn a_client_inside_ipv6() {
    passes(
        Setup::new(Inside::Client, Family::V6, Translation::Nat),
        OPTIONS[0],
    );
}

/// A firewall that translates nothing.
#[test]
fn a_server_inside_ipv6() {
    passes(
        Setup::new(Inside::Server, Family::V6, Translation::None),
        OPTIONS[0],
    );
}

/// Hosts inside may open control connections and nothing else: entries are made for data
/// connections that come from inside, too.
#[test]
fn behind_strict_egress_rules() {
    for inside in Inside::ALL {
        for options in [
            ["--ct-zone", "7"].as_slice(),
            &["--ct-zone", "wan0=7", "--ct-zone", "lan0=7"],
        ] {
            let setup = Setup {
                egress: Egress::ControlOnly,
                ..Setup::new(inside, Family::V4, Translation::Nat)
            };
            passes(setup, &[&["--inside", "lan0"], options].concat());
        }
    }
}

/// Nobody gets a data connection through that needs help, as the control connection is not
/// found where it is looked for.
fn is_not_found(options: &[&str]) {
    for inside in Inside::ALL {
        let setup = Setup::new(inside, Family::V4, Translation::Nat);
        agent_scenario(setup, |lab, agent| {
            let is_zoned = if options.is_empty() {
                zoned(lab)?
            } else {
                helped_in_zones(lab)?
            };
            if !is_zoned {
                return Ok(());
            }
            let arguments = [&["run", "-i", "wan0"], options].concat();
            let _running = agent.start_with(&arguments)?;
            let server = Server::start(lab, ServerKind::Vsftpd)?;
            nothing_arrives(lab, &server, helped_mode(inside))?;
            let missing = agent.count("conntrack_missing")?;
            ensure!(missing > 0, "the control connection was found");
            let matched = agent.count("expectation_matched")?;
            ensure!(matched == 0, "{matched} data connections were matched");
            Ok(())
        });
    }
}

#[test]
fn without_the_option_it_is_not_found() {
    is_not_found(&[]);
}

#[test]
fn it_is_not_found_in_another_zone() {
    is_not_found(&["--ct-zone", "8"]);
}

/// Programs that look in the wrong zone would help nobody.
#[test]
fn a_kernel_that_can_not_be_asked_refuses_the_option() {
    let setup = Setup::new(Inside::Client, Family::V4, Translation::Nat);
    agent_scenario(setup, |_, agent| {
        if !is_before(6, 11)? {
            skip("this kernel can be asked about zones (Linux 6.11 or newer)");
            return Ok(());
        }
        let output = agent.cli(&["run", "-i", "wan0", "--ct-zone", "7"])?;
        ensure!(output.status.code() == Some(1), "{output:?}");
        ensure!(output.stderr.contains("leave --ct-zone out"), "{output:?}");
        Ok(())
    });
}

/// What people have at present works there: the zone is the connection's, and the helper
/// belongs to the connection.
#[test]
fn the_kernels_helper_needs_no_option() {
    for inside in Inside::ALL {
        let setup = Setup {
            helper: Helper::Kernel,
            ..Setup::new(inside, Family::V4, Translation::Nat)
        };
        scenario(setup, |lab| {
            if !zoned(lab)? {
                return Ok(());
            }
            let server = Server::start(lab, ServerKind::Vsftpd)?;
            let mode = helped_mode(inside);
            for rewrite in transfer(lab, &server, ClientKind::Curl, mode)? {
                let entry = data_connection(lab, mode, &rewrite)?;
                ensure!(entry.zone == ZONE, "{entry:?}");
            }
            Ok(())
        });
    }
}
