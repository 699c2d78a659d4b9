//! `ftp-helper run`

use std::{net::IpAddr, str::FromStr};

use anyhow::{Context as _, Result, bail};
use clap::{Args, value_parser};

use crate::{
    agent::{self, Outside, Settings},
    datapath::Refused,
    device::Device,
    mark::Mark,
    network::Network,
    pins::{PinDirectory, Technique},
    ports::{PortRange, PortSet},
};

#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "switches of the command line"
)]
pub(super) struct Arguments {
    /// Outside interface; may be given several times
    #[arg(short, long = "interface", value_name = "IFACE", required = true)]
    interfaces: Vec<String>,

    /// Inside interface, where a firewall lets inside hosts open control
    /// connections only: data connections that they open are admitted there, and
    /// leave from the address of the control connection; may be given several
    /// times
    #[arg(long = "inside", value_name = "IFACE")]
    insides: Vec<String>,

    /// Port of FTP servers; may be given several times
    #[arg(
        long = "control-port",
        value_name = "PORT",
        default_value = "21",
        value_parser = value_parser!(u16).range(1..)
    )]
    control_ports: Vec<u16>,

    /// Outside ports for data connections whose announced port is taken
    #[arg(long, value_name = "FIRST-LAST", default_value_t = PortRange::DYNAMIC)]
    port_range: PortRange,

    /// Seconds that an announced data connection may take to come
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 60,
        value_parser = value_parser!(u32).range(1..=3600)
    )]
    expectation_timeout: u32,

    /// Ports that nobody may announce, like 3389,6000-6063
    #[arg(
        long,
        value_name = "LIST",
        default_value = "",
        hide_default_value = true
    )]
    deny_ports: PortSet,

    /// Most control connections of one client, 0 for no limit
    #[arg(long, value_name = "NUMBER", default_value_t = 1024)]
    client_limit: u32,

    /// Network of third parties that may take part in transfers between two
    /// servers (FXP), like 192.0.2.0/24; may be given several times
    #[arg(long, value_name = "NETWORK")]
    fxp: Vec<Network>,

    /// Read control connections again that leave encryption with CCC
    #[arg(long)]
    ccc: bool,

    /// Also help connections on other ports on which both sides speak FTP
    #[arg(long)]
    detect: bool,

    /// Help no announcement before the server said 230 (logged in)
    #[arg(long)]
    require_login: bool,

    /// Admit the connection of a PORT or EPRT only after the server said 2xx
    #[arg(long)]
    strict: bool,

    /// Announce this address on the interface, in place of the one that packets
    /// leave with (a 1:1 translation further out)
    #[arg(long, value_name = "IFACE=ADDRESS")]
    advertise: Vec<Advertise>,

    /// Set this mark on the conntrack entries of data connections, like 0x15 or
    /// 0x10/0xf0, so that rules can match them
    #[arg(long, value_name = "MARK[/MASK]")]
    ct_mark: Option<Mark>,

    /// Set this mark on the packets that open data connections
    #[arg(long, value_name = "MARK[/MASK]")]
    skb_mark: Option<Mark>,

    /// How programs are attached, if not with TCX where the kernel has it and
    /// with clsact elsewhere
    #[arg(long, value_enum, value_name = "TECHNIQUE")]
    attach: Option<Technique>,
}

/// `IFACE=ADDRESS`
#[derive(Clone, Debug, Eq, PartialEq)]
struct Advertise {
    interface: String,
    address: IpAddr,
}

impl FromStr for Advertise {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (interface, address) = text
            .split_once('=')
            .context("it looks like wan0=203.0.113.1")?;
        let address: IpAddr = address
            .parse()
            .with_context(|| format!("`{address}` is no IP address"))?;
        if address.is_unspecified() || address.is_loopback() || address.is_multicast() {
            bail!("{address} is no address that anybody can connect to");
        }
        Ok(Self {
            interface: interface.to_owned(),
            address,
        })
    }
}

pub(super) fn run(arguments: &Arguments, pins: &PinDirectory) -> Result<()> {
    agent::run(&settings(arguments)?, pins).inspect_err(|error| {
        if let Some(refused) = error.downcast_ref::<Refused>() {
            tracing::debug!("the verifier's log:\n{}", refused.log);
        }
    })
}

fn settings(arguments: &Arguments) -> Result<Settings> {
    let mut outsides: Vec<Outside> = Vec::new();
    for name in &arguments.interfaces {
        let device = Device::find(name)?;
        if outsides.iter().all(|outside| outside.device != device) {
            outsides.push(Outside {
                device,
                advertise: None,
            });
        }
    }
    for advertise in &arguments.advertise {
        let name = &advertise.interface;
        let mut places = outsides.iter_mut();
        let Some(outside) = places.find(|outside| outside.device.name == *name) else {
            bail!("--advertise names {name}, which is not helped: add `-i {name}`");
        };
        outside.advertise = Some(advertise.address);
    }
    let mut insides: Vec<Device> = Vec::new();
    for name in &arguments.insides {
        let device = Device::find(name)?;
        if outsides.iter().any(|outside| outside.device == device) {
            bail!("{name} is given as outside and as inside interface: it is one of them");
        }
        if !insides.contains(&device) {
            insides.push(device);
        }
    }
    Ok(Settings {
        outsides,
        insides,
        control_ports: arguments.control_ports.iter().copied().collect(),
        ports: arguments.port_range,
        expectation_timeout: arguments.expectation_timeout,
        denied_ports: arguments.deny_ports.clone(),
        client_limit: arguments.client_limit,
        fxp: arguments.fxp.clone(),
        detect: arguments.detect,
        ccc: arguments.ccc,
        require_login: arguments.require_login,
        strict: arguments.strict,
        ct_mark: arguments.ct_mark.unwrap_or_default(),
        skb_mark: arguments.skb_mark.unwrap_or_default(),
        technique: arguments.attach,
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn parse(words: &[&str]) -> Result<Settings> {
        let words = ["run"].iter().chain(words);
        settings(&Only::try_parse_from(words)?.arguments)
    }

    #[test]
    fn defaults() {
        let settings = parse(&["-i", "lo"]).unwrap();
        assert_eq!(settings.names(), "lo");
        assert!(settings.control_ports.iter().eq(&[21]));
        assert_eq!(settings.ports, PortRange::DYNAMIC);
        assert_eq!(settings.expectation_timeout, 60);
        assert_eq!(settings.denied_ports, PortSet::default());
        assert_eq!(settings.client_limit, 1024);
        assert!(!settings.require_login && !settings.strict && !settings.detect);
        assert_eq!(settings.technique, None);
        assert!(settings.outsides[0].advertise.is_none());
    }

    #[test]
    fn everything_given() {
        let settings = parse(&[
            "-i",
            "lo",
            "--interface",
            "lo",
            "--control-port",
            "2121",
            "--control-port",
            "21",
            "--control-port",
            "21",
            "--port-range",
            "2000-3000",
            "--expectation-timeout",
            "5",
            "--advertise",
            "lo=203.0.113.1",
            "--attach",
            "clsact",
            "--deny-ports",
            "3389,6000-6063",
            "--client-limit",
            "0",
            "--require-login",
            "--detect",
            "--strict",
            "--ct-mark",
            "21",
            "--skb-mark",
            "0x10/0xf0",
        ])
        .unwrap();
        assert_eq!(settings.names(), "lo");
        assert!(settings.control_ports.iter().eq(&[21, 2121]));
        assert_eq!(settings.ports.to_string(), "2000-3000");
        assert_eq!(settings.expectation_timeout, 5);
        assert_eq!(settings.technique, Some(Technique::Clsact));
        assert!(settings.denied_ports.contains(3389) && settings.denied_ports.contains(6063));
        assert_eq!(settings.client_limit, 0);
        assert!(settings.require_login && settings.strict && settings.detect);
        assert_eq!(settings.ct_mark.value, 21);
        assert_eq!(settings.skb_mark.mask, 0xf0);
        let address = "203.0.113.1".parse().unwrap();
        assert_eq!(settings.outsides[0].advertise, Some(address));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for words in [
            &["--control-port", "21"][..],
            &["-i", "missing0"],
            &["-i", "lo", "--control-port", "0"],
            &["-i", "lo", "--port-range", "1-2"],
            &["-i", "lo", "--expectation-timeout", "0"],
            &["-i", "lo", "--advertise", "lo"],
            &["-i", "lo", "--inside", "lo"],
            &["-i", "lo", "--inside", "missing0"],
            &["-i", "lo", "--ct-mark", "0x11/0xf0"],
            &["-i", "lo", "--advertise", "lo=0.0.0.0"],
            &["-i", "lo", "--advertise", "wan0=203.0.113.1"],
        ] {
            assert!(parse(words).is_err(), "{words:?}");
        }
    }
}
