//! `ftp-helper run`

use std::{env, net::IpAddr, num::NonZeroU16, path::PathBuf, str::FromStr};

use anyhow::{Context as _, Result, bail};
use clap::{ArgAction, Args, Command, value_parser};

use super::{Cli, misconfigured};
use crate::{
    admin::RunDirectory,
    agent::{self, OnOtherVersion, Pattern, Selection, Settings},
    datapath::{DirectedOrder, Orders, Refused, SESSION_LIMIT},
    doctor::{OnConflict, start},
    kubernetes::{Discovered, Options},
    mark::Mark,
    metrics::Listen,
    network::Network,
    pins::{PinDirectory, Technique},
    ports::{PortRange, PortSet},
    preflight,
    readers::Group,
};

#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "switches of the command line"
)]
pub(super) struct Arguments {
    /// Read settings from this file, whose keys are the flags of this command;
    /// flags win. SIGHUP reads it again
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Outside interface, by its name or a glob like eth*; with ! in front, one to
    /// leave out (!eth3). It may come, go and come back while everything runs. May
    /// be given several times
    #[arg(short, long = "interface", value_name = "IFACE")]
    interfaces: Vec<Pattern>,

    /// Inside interface, where a firewall lets inside hosts open control
    /// connections only: data connections that they open are admitted there, and
    /// leave from the address of the control connection; a name or glob as above,
    /// may be given several times
    #[arg(long = "inside", value_name = "IFACE")]
    insides: Vec<Pattern>,

    /// Port of FTP servers, on every interface or on this one; may be given
    /// several times
    #[arg(
        long = "control-port",
        value_name = "[IFACE=]PORT",
        default_value = "21",
        value_parser = control_port
    )]
    control_ports: Vec<Placed>,

    /// Outside ports, from 1024 on, for data connections whose announced port is
    /// taken
    #[arg(long, value_name = "FIRST-LAST", default_value_t = PortRange::DYNAMIC)]
    port_range: PortRange,

    /// Seconds that an announced data connection may take to come, from 1 to 3600
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

    /// Most control connections at once, from 16 to 1048576; those beyond go on
    /// without help. Each takes 2 KiB of the kernel's memory. The table of counted
    /// clients has the same size, that of awaited data connections four times as many
    /// places. Another number takes effect at the next start, which moves everything
    /// that is known to tables of the new size
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = SESSION_LIMIT,
        value_parser = value_parser!(u32).range(16..=1_048_576)
    )]
    session_limit: u32,

    /// Most control connections of one client, 0 for no limit
    #[arg(long, value_name = "NUMBER", default_value_t = 1024)]
    client_limit: u32,

    /// Network of third parties that may take part in transfers between two
    /// servers (FXP), like 192.0.2.0/24; may be given several times
    #[arg(long, value_name = "NETWORK")]
    fxp: Vec<Network>,

    /// Read control connections again that leave encryption with CCC
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_value_t = false, default_missing_value = "true", hide_default_value = true,
        action = ArgAction::Set)]
    ccc: bool,

    /// Also help connections on other ports on which both sides speak FTP
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_value_t = false, default_missing_value = "true", hide_default_value = true,
        action = ArgAction::Set)]
    detect: bool,

    /// Help no announcement before the server said 230 (logged in)
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_value_t = false, default_missing_value = "true", hide_default_value = true,
        action = ArgAction::Set)]
    require_login: bool,

    /// Admit the connection of a PORT or EPRT only after the server said 2xx
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_value_t = false, default_missing_value = "true", hide_default_value = true,
        action = ArgAction::Set)]
    strict: bool,

    /// Announce this address on the interface, in place of the one that packets
    /// leave with (a 1:1 translation further out). It stands for addresses of its
    /// own IP version; connections of the other one are announced as they are. Of
    /// several that fit an interface the last one counts; may be given several
    /// times
    #[arg(long, value_name = "IFACE=ADDRESS")]
    advertise: Vec<Advertise>,

    /// The connections through the interfaces, or through this one, are in this zone of
    /// conntrack, as rules with `ct zone set` say. Of several that fit an interface the
    /// last one counts; may be given several times
    #[arg(long = "ct-zone", value_name = "[IFACE=]ZONE", value_parser = ct_zone)]
    ct_zones: Vec<Placed>,

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

    /// What to do when the kernel's helper, or a flow table that takes them past
    /// the programs, works on the same control connections
    #[arg(long, value_enum, value_name = "WHAT", default_value_t)]
    on_conflict: OnConflict,

    /// What to do when the programs of a version with other types of maps are at work.
    /// To replace them costs open control connections their help, and those in which
    /// a line got another length do not survive it; transfers do
    #[arg(long, value_enum, value_name = "WHAT", default_value_t)]
    on_other_version: OnOtherVersion,

    /// Where the programs run among other TC programs of the interface: `wire`
    /// (next to it: first on the way in, last on the way out), `first`, `last`,
    /// and with TCX `before:PROGRAM` or `after:PROGRAM`, an id or a name; for one
    /// direction as `ingress=ORDER` or `egress=ORDER`. Counts for new attachments
    /// [default: wire]
    #[arg(long = "order", value_name = "[DIRECTION=]ORDER")]
    orders: Vec<DirectedOrder>,

    /// Serve metrics for Prometheus, and /healthz and /readyz, at this address; a
    /// port alone is one of 127.0.0.1. `--metrics` without a value means
    /// 127.0.0.1:21021; a file names the address
    #[arg(
        long,
        value_name = "[ADDRESS:]PORT",
        num_args = 0..=1,
        default_value_t = Listen::OFF,
        default_missing_value = "21021"
    )]
    metrics: Listen,

    /// Group whose members may read what is loaded, with `session list` and the
    /// like, without being root
    #[arg(long, value_name = "NAME")]
    group: Option<Group>,

    /// Watch the Services of Kubernetes: those annotated with
    /// ftp-helper.io/control-ports make their ports control ports. Takes a pod with
    /// the token of a ServiceAccount, or a file that KUBECONFIG names
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_value_t = false, default_missing_value = "true", hide_default_value = true,
        action = ArgAction::Set)]
    kubernetes: bool,

    /// This node's name in Kubernetes [default: the host's name]
    #[arg(long, value_name = "NAME", env = "NODE_NAME")]
    node_name: Option<String>,
}

/// Flags that are about one command line and make no sense in a file.
pub(super) const NOT_IN_FILES: &[&str] = &["config"];

/// The flags alone.
pub(super) fn command() -> Command {
    Arguments::augment_args(Command::new("run"))
}

/// A number of an interface, or without one of all of them.
type Placed = (Option<Pattern>, u16);

/// Splits `[IFACE=]VALUE`.
fn placed(text: &str) -> Result<(Option<Pattern>, &str)> {
    Ok(match text.split_once('=') {
        Some((interface, value)) => (Some(interface.parse()?), value),
        None => (None, text),
    })
}

/// `[IFACE=]PORT`
fn control_port(text: &str) -> Result<Placed> {
    let (interface, port) = placed(text)?;
    let port: NonZeroU16 = port
        .parse()
        .with_context(|| format!("`{port}` is no port from 1 to 65535"))?;
    Ok((interface, port.get()))
}

/// `[IFACE=]ZONE`
fn ct_zone(text: &str) -> Result<Placed> {
    let (interface, zone) = placed(text)?;
    let zone = zone
        .parse()
        .with_context(|| format!("`{zone}` is no zone from 0 to 65535"))?;
    Ok((interface, zone))
}

/// `IFACE=ADDRESS`
#[derive(Clone, Debug, Eq, PartialEq)]
struct Advertise {
    interface: Pattern,
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
            interface: interface.parse()?,
            address,
        })
    }
}

pub(super) fn run(
    arguments: &Arguments,
    pins: &PinDirectory,
    run_directory: &RunDirectory,
) -> Result<()> {
    let settings = settings(arguments).map_err(|error| misconfigured(&error))?;
    // Before the look around, which is of no use where nothing can start.
    preflight::check(pins)?;
    start::look_around(&settings, pins, arguments.on_conflict)?;
    let on_other_version = arguments.on_other_version;
    agent::run(settings, on_other_version, &read_again, pins, run_directory).inspect_err(|error| {
        if let Some(refused) = error.downcast_ref::<Refused>() {
            tracing::debug!("the verifier's log:\n{}", refused.log);
        }
    })
}

/// The settings as the command line of this process and its configuration file
/// are now.
fn read_again() -> Result<Settings> {
    match Cli::read(env::args_os())?.command {
        super::Command::Run(arguments) => settings(&arguments),
        _ => bail!("this process does not run the agent"),
    }
}

pub(super) fn settings(arguments: &Arguments) -> Result<Settings> {
    let selection = Selection {
        outsides: arguments.interfaces.clone(),
        insides: arguments.insides.clone(),
        control_ports: arguments.control_ports.clone(),
        advertise: arguments
            .advertise
            .iter()
            .map(|Advertise { interface, address }| (interface.clone(), *address))
            .collect(),
        ct_zones: arguments.ct_zones.clone(),
        detect: arguments.detect,
    };
    selection.check()?;
    let present = selection.look()?;
    for absent in &present.absent {
        if let Some(fault) = &absent.fault {
            bail!("can not help {}: {fault}", absent.name);
        }
    }
    let kubernetes = arguments
        .kubernetes
        .then(|| Options::new(arguments.node_name.as_deref()));
    Ok(Settings {
        selection,
        present,
        ports: arguments.port_range,
        expectation_timeout: arguments.expectation_timeout,
        denied_ports: arguments.deny_ports.clone(),
        session_limit: arguments.session_limit,
        client_limit: arguments.client_limit,
        fxp: arguments.fxp.clone(),
        ccc: arguments.ccc,
        require_login: arguments.require_login,
        strict: arguments.strict,
        ct_mark: arguments.ct_mark.unwrap_or_default(),
        skb_mark: arguments.skb_mark.unwrap_or_default(),
        technique: arguments.attach,
        orders: Orders::default().with(&arguments.orders),
        metrics: arguments.metrics,
        group: arguments.group.clone(),
        discovered: match kubernetes {
            Some(_) => Discovered::Unknown,
            None => Discovered::Off,
        },
        kubernetes,
    })
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

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
        assert_eq!(settings.present.to_string(), "lo");
        assert!(settings.present.outsides[0].control_ports.iter().eq(&[21]));
        assert_eq!(settings.ports, PortRange::DYNAMIC);
        assert_eq!(settings.expectation_timeout, 60);
        assert_eq!(settings.denied_ports, PortSet::default());
        assert_eq!(settings.client_limit, 1024);
        assert!(!settings.require_login && !settings.strict && !settings.selection.detect);
        assert_eq!(settings.technique, None);
        assert!(settings.present.outsides[0].advertise.is_none());
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
            "lo=21",
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
            "--ct-zone",
            "lo=7",
            "--ct-zone",
            "9",
            "--ct-zone",
            "lo=65535",
        ])
        .unwrap();
        assert_eq!(settings.present.to_string(), "lo");
        let ports = &settings.present.outsides[0].control_ports;
        assert!(ports.iter().eq(&[21, 2121]));
        assert_eq!(settings.ports.to_string(), "2000-3000");
        assert_eq!(settings.expectation_timeout, 5);
        assert_eq!(settings.technique, Some(Technique::Clsact));
        assert!(settings.denied_ports.contains(3389) && settings.denied_ports.contains(6063));
        assert_eq!(settings.client_limit, 0);
        assert!(settings.require_login && settings.strict && settings.selection.detect);
        assert_eq!(settings.ct_mark.value, 21);
        assert_eq!(settings.skb_mark.mask, 0xf0);
        assert_eq!(settings.selection.ct_zone("lo"), 65535);
        assert_eq!(settings.selection.ct_zone("other"), 9);
        let address = "203.0.113.1".parse().unwrap();
        assert_eq!(settings.present.outsides[0].advertise, Some(address));
    }

    /// Reads a whole command line with a file.
    fn with_file(text: &str, flags: &[&str]) -> Result<Settings> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("ftp-helper.toml");
        std::fs::write(&path, text)?;
        let path = path.to_string_lossy();
        let words = ["ftp-helper", "run", "--config", &path];
        let words = words.iter().chain(flags).map(OsString::from);
        match Cli::read(words)?.command {
            super::super::Command::Run(arguments) => settings(&arguments),
            _ => unreachable!("the second word is `run`"),
        }
    }

    #[test]
    fn flags_win_over_the_file() {
        let file = "interface = 'lo'\ncontrol-port = [21, 'lo=2121']\nstrict = true\ndetect = true\n\
                    expectation-timeout = 7\nadvertise = ['lo=203.0.113.1']\n";
        let settings = with_file(file, &[]).unwrap();
        assert_eq!(settings.present.to_string(), "lo");
        let outside = &settings.present.outsides[0];
        assert!(outside.control_ports.iter().eq(&[21, 2121]));
        assert_eq!(outside.advertise, Some("203.0.113.1".parse().unwrap()));
        assert!(settings.strict && settings.selection.detect && !settings.ccc);
        assert_eq!(settings.expectation_timeout, 7);

        let flags = ["--strict=false", "--control-port", "990", "--ccc"];
        let settings = with_file(file, &flags).unwrap();
        assert!(settings.present.outsides[0].control_ports.iter().eq(&[990]));
        assert!(!settings.strict && settings.selection.detect && settings.ccc);
        assert_eq!(settings.expectation_timeout, 7);
    }

    #[test]
    fn a_broken_file_is_refused_with_its_line() {
        let error = with_file("interface = 'lo'\nexpectation-timeot = 7\n", &[]).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("line 2"), "{text}");
        assert!(
            text.contains("did you mean `expectation-timeout`?"),
            "{text}"
        );
        let error = with_file("strict = true\n", &[]).unwrap_err();
        assert!(
            error.to_string().contains("no outside interface"),
            "{error:#}"
        );
    }

    /// The list of settings in the documentation, made from the flags.
    fn documented() -> String {
        let mut rows =
            String::from("| Key | Value | Default | Meaning |\n| --- | --- | --- | --- |\n");
        for flag in command().get_arguments() {
            let long = flag.get_long().unwrap_or_default();
            if NOT_IN_FILES.contains(&long) {
                continue;
            }
            let values = flag.get_value_names().unwrap_or_default();
            let values: Vec<String> = values.iter().map(|name| format!("`{name}`")).collect();
            let defaults: Vec<String> = flag
                .get_default_values()
                .iter()
                .map(|value| value.to_string_lossy().into_owned())
                .filter(|value| !value.is_empty())
                .map(|value| format!("`{value}`"))
                .collect();
            let help = flag.get_long_help().or(flag.get_help());
            let help = help.map(ToString::to_string).unwrap_or_default();
            let words: Vec<&str> = help.split_whitespace().collect();
            let row = format!(
                "| `{long}` | {} | {} | {} |\n",
                values.join(" "),
                defaults.join(", "),
                words.join(" ").replace('|', "\\|")
            );
            rows.push_str(&row);
        }
        rows
    }

    /// `UPDATE_DOCS=1` writes it there.
    #[test]
    fn the_documentation_has_every_setting() {
        const START: &str = "<!-- settings -->\n";
        const END: &str = "<!-- end of settings -->\n";
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
        let text = std::fs::read_to_string(path).unwrap();
        let (before, rest) = text.split_once(START).unwrap();
        let (_, after) = rest.split_once(END).unwrap();
        let wanted = format!("{before}{START}{}{END}{after}", documented());
        if env::var("UPDATE_DOCS").as_deref() == Ok("1") {
            std::fs::write(path, wanted).unwrap();
        } else {
            assert!(
                text == wanted,
                "docs/configuration.md is not as the flags are: run the tests with UPDATE_DOCS=1"
            );
        }
    }

    #[test]
    fn an_interface_that_is_not_there_is_waited_for() {
        let settings = parse(&["-i", "lo", "-i", "missing0", "--inside", "missing1"]).unwrap();
        assert_eq!(
            settings.present.to_string(),
            "lo; waiting for missing0, missing1"
        );
        let settings = parse(&["-i", "missing*", "--control-port", "missing7=21"]).unwrap();
        assert_eq!(settings.present.to_string(), "no interface yet");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for words in [
            &["--control-port", "21"][..],
            &["-i", "too long for a name"],
            &["-i", "!lo"],
            &["-i", "lo", "--control-port", "0"],
            &["-i", "lo", "--session-limit", "0"],
            &["-i", "lo", "--control-port", "wan0=21"],
            &["-i", "lo", "--control-port", "=21"],
            &["-i", "lo", "--port-range", "1-2"],
            &["-i", "lo", "--expectation-timeout", "0"],
            &["-i", "lo", "--advertise", "lo"],
            &["-i", "lo", "--inside", "lo"],
            &["-i", "lo", "--ct-mark", "0x11/0xf0"],
            &["-i", "lo", "--ct-zone", "65536"],
            &["-i", "lo", "--ct-zone", "wan0=1"],
            &["-i", "lo", "--ct-zone", "!lo=1"],
            &["-i", "lo", "--advertise", "lo=0.0.0.0"],
            &["-i", "lo", "--advertise", "wan0=203.0.113.1"],
        ] {
            assert!(parse(words).is_err(), "{words:?}");
        }
    }
}
