//! Open vSwitch as the gateway: its datapath in user space (`datapath_type=netdev`)
//! with its own connection tracking, translation and FTP helper. The kernel's
//! datapath would use the kernel's helper.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, Result, bail};

use super::rig::FTP;
use crate::{
    host::Host,
    lab::{FILES, Lab},
    process::Daemon,
    setup::Inside,
    wait::wait_for,
};

/// Its bridge.
const BRIDGE: &str = "ovs0";

/// What it writes to, in the lab's own directory.
const DIRECTORY: &str = "openvswitch";

/// The devices belong to the switch, and the kernel goes on receiving what arrives
/// there: it may answer for addresses of links, and nothing else.
const SILENCE: &str = "
table ip silence {
    chain prerouting {
        type filter hook prerouting priority raw; policy drop
    }
}
";

/// It, running.
pub(super) struct Switch {
    _daemon: Daemon,
    _database: Daemon,
}

impl Switch {
    /// Lets it take the gateway over.
    pub(super) fn start(lab: &Lab) -> Result<Self> {
        if lab.setup.inside != Inside::Client {
            bail!("only set up for a client inside");
        }
        let gateway = &lab.gateway;
        for program in ["ovsdb-server", "ovs-vswitchd", "ovsdb-tool", "ovs-vsctl"] {
            gateway
                .run(program, ["--version"])
                .with_context(|| format!("{program} is not installed"))?;
        }
        let silence = Path::new(FILES).join("silence.nft");
        fs::write(&silence, SILENCE).context("no rules for the switch")?;
        gateway.must(&format!("nft -f {}", silence.display()))?;

        let directory = Path::new(FILES).join(DIRECTORY);
        // What an earlier turn has left.
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).context("no directory for the switch")?;
        let at = |name: &str| format!("{}/{name}", directory.display());
        let (file, socket) = (at("conf.db"), at("db.sock"));
        gateway.must(&format!(
            "ovsdb-tool create {file} /usr/share/openvswitch/vswitch.ovsschema"
        ))?;
        let command = |program: &str| {
            let mut command = gateway.command(program);
            for variable in ["OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR"] {
                command.env(variable, &directory);
            }
            command
        };
        let database = Daemon::start(
            command("ovsdb-server")
                .arg(&file)
                .arg(format!("--remote=punix:{socket}"))
                .arg(format!("--unixctl={}", at("db.ctl"))),
            &lab.logs().join("ovsdb-server.log"),
        )?;
        wait_for("the database of Open vSwitch", LIMIT, || {
            Ok(fs::exists(&socket)?.then_some(()))
        })?;
        let database_is = format!("--db=unix:{socket}");
        gateway.must(&format!("ovs-vsctl {database_is} --no-wait init"))?;
        let mut daemon = Daemon::start(
            command("ovs-vswitchd")
                .arg(format!("unix:{socket}"))
                .arg(format!("--unixctl={}", at("switch.ctl"))),
            &lab.logs().join("ovs-vswitchd.log"),
        )?;
        let vsctl = format!("ovs-vsctl {database_is} --timeout=15");
        gateway
            .must(&format!(
                "{vsctl} add-br {BRIDGE} -- set bridge {BRIDGE} datapath_type=netdev fail_mode=secure \
                 -- add-port {BRIDGE} lan0 -- set interface lan0 ofport_request=1 \
                 -- add-port {BRIDGE} wan0 -- set interface wan0 ofport_request=2"
            ))
            .with_context(|| match daemon.ended() {
                Ok(None) => "the bridge is not made".to_owned(),
                _ => format!(
                    "ovs-vswitchd has ended: {}",
                    daemon.log().unwrap_or_default()
                ),
            })?;
        let flows = Path::new(FILES).join("flows");
        fs::write(&flows, flow_rules(lab)?).context("no flows for the switch")?;
        let management = at(&format!("{BRIDGE}.mgmt"));
        gateway.must(&format!(
            "ovs-ofctl add-flows unix:{management} {}",
            flows.display()
        ))?;
        Ok(Self {
            _daemon: daemon,
            _database: database,
        })
    }

    /// Gives the gateway back to the kernel.
    pub(super) fn stop(self, lab: &Lab) -> Result<()> {
        drop(self);
        // The devices stay; the bridge's own goes with the process.
        let lines = lab.gateway.must("ip -brief link")?;
        if lines.lines().any(|line| line.starts_with("ovs-netdev")) {
            lab.gateway.must("ip link delete ovs-netdev")?;
        }
        Ok(())
    }
}

/// Longest wait for a start.
const LIMIT: Duration = Duration::from_secs(15);

/// A router that translates, filters and helps FTP, for two hosts that are known.
fn flow_rules(lab: &Lab) -> Result<String> {
    let (lan, wan) = (link(&lab.gateway, "lan0")?, link(&lab.gateway, "wan0")?);
    let (inside, outside) = (link(lab.inside(), "eth0")?, link(lab.outside(), "eth0")?);
    let out = format!("mod_dl_src:{wan},mod_dl_dst:{outside},dec_ttl,output:2");
    let into = format!("mod_dl_src:{lan},mod_dl_dst:{inside},dec_ttl,output:1");
    let source = lab.setup.addresses.wan;
    let source = format!("nat(src={source})");
    Ok(format!(
        "table=0,priority=10,in_port=1,ip,actions=ct(table=1,zone=1,nat)
table=0,priority=10,in_port=2,ip,actions=ct(table=1,zone=1,nat)
table=0,priority=0,actions=drop
table=1,priority=30,in_port=1,ct_state=+trk+est,ip,actions={out}
table=1,priority=30,in_port=2,ct_state=+trk+est,ip,actions={into}
table=1,priority=20,in_port=2,ct_state=+trk+new+rel,tcp,actions=ct(commit,zone=1,nat),{into}
table=1,priority=20,in_port=1,ct_state=+trk+new+rel,tcp,actions=ct(commit,zone=1,nat),{out}
table=1,priority=10,in_port=1,ct_state=+trk+new,tcp,tp_dst={FTP},actions=ct(commit,zone=1,alg=ftp,{source}),{out}
table=1,priority=5,in_port=1,ct_state=+trk+new,ip,actions=ct(commit,zone=1,{source}),{out}
table=1,priority=0,actions=drop
"
    ))
}

/// The link address of a device.
fn link(host: &Host, device: &str) -> Result<String> {
    let text = host.must(&format!("ip -brief link show {device}"))?;
    let word = text.split_whitespace().nth(2);
    word.map(str::to_owned)
        .with_context(|| format!("no link address of {device} in {text:?}"))
}
