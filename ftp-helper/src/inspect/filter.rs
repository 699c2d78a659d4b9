//! What of a list is asked for.

use anyhow::{Context as _, Result};
use clap::{Args, value_parser};
use ftp_helper_common::address::{Address, Endpoint};

use super::mode::Mode;
use crate::network::Network;

/// Where filters stand in the help of a command.
pub const HEADING: &str = "Filters";

/// What of a list is asked for; everything where nothing is said.
#[derive(Clone, Debug, Default, Args)]
pub struct Filter {
    /// Only connections that come from this address or network, as seen inside or
    /// outside
    #[arg(long, help_heading = HEADING, value_name = "NETWORK")]
    src: Option<Network>,

    /// Only connections that lead to this address or network, as seen inside or
    /// outside
    #[arg(long, help_heading = HEADING, value_name = "NETWORK")]
    dst: Option<Network>,

    /// Only those with this port, as seen inside or outside
    #[arg(long, help_heading = HEADING, value_name = "PORT", value_parser = value_parser!(u16).range(1..))]
    port: Option<u16>,

    /// Only those of this interface, like wan0 or 'wan*'
    #[arg(long, help_heading = HEADING, value_name = "GLOB", value_parser = glob)]
    iface: Option<glob::Pattern>,

    /// Only those whose data connection is announced like this; of sessions the
    /// last announcement counts
    #[arg(long, help_heading = HEADING, value_name = "MODE", value_enum, ignore_case = true)]
    mode: Option<Mode>,
}

/// What a filter looks at.
#[derive(Clone, Debug, Default)]
pub struct Subject<'a> {
    /// The end that opens the connection, under all its names. Without an address
    /// it is anybody.
    pub source: Vec<Endpoint>,
    /// The end that it leads to.
    pub destination: Vec<Endpoint>,
    /// Name of the interface.
    pub interface: &'a str,
    /// How the data connection is announced.
    pub mode: Option<Mode>,
}

impl Filter {
    /// True when this is asked for.
    pub fn admits(&self, subject: &Subject<'_>) -> bool {
        let Subject {
            source,
            destination,
            interface,
            mode,
        } = subject;
        let is_port = |port: u16| source.iter().chain(destination).any(|at| at.port == port);
        self.src.is_none_or(|network| is_among(&network, source))
            && self
                .dst
                .is_none_or(|network| is_among(&network, destination))
            && self.port.is_none_or(is_port)
            && self
                .iface
                .as_ref()
                .is_none_or(|glob| glob.matches(interface))
            && self.mode.is_none_or(|wanted| *mode == Some(wanted))
    }
}

/// True when one of the names, or anybody, is in the network.
fn is_among(network: &Network, names: &[Endpoint]) -> bool {
    let known = || names.iter().filter(|name| !is_nobody(&name.address));
    known().next().is_none() || known().any(|name| network.contains(&name.address))
}

fn is_nobody(address: &Address) -> bool {
    address.is_unspecified()
}

fn glob(text: &str) -> Result<glob::Pattern> {
    glob::Pattern::new(text).with_context(|| format!("`{text}` is no pattern like wan0 or wan*"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        filter: Filter,
    }

    fn at(last: u8, port: u16) -> Endpoint {
        Endpoint::new(Address::from_v4([10, 0, 0, last]), port)
    }

    fn admits(words: &[&str]) -> bool {
        let words = ["list"].iter().chain(words);
        let subject = Subject {
            source: vec![at(1, 40000), at(101, 50000)],
            destination: vec![at(2, 21), Endpoint::default()],
            interface: "wan0",
            mode: Some(Mode::Port),
        };
        Only::try_parse_from(words).unwrap().filter.admits(&subject)
    }

    #[test]
    fn without_a_filter_everything_is_shown() {
        assert!(admits(&[]));
        assert!(Filter::default().admits(&Subject::default()));
    }

    #[test]
    fn each_filter_counts_alone() {
        for (words, wanted) in [
            (["--src", "10.0.0.1"], true),
            (["--src", "10.0.0.101"], true),
            (["--src", "10.0.0.2"], false),
            (["--src", "10.0.0.0/24"], true),
            (["--src", "::/0"], false),
            (["--dst", "10.0.0.2"], true),
            (["--dst", "10.0.0.1"], false),
            (["--port", "21"], true),
            (["--port", "50000"], true),
            (["--port", "22"], false),
            (["--iface", "wan0"], true),
            (["--iface", "wan*"], true),
            (["--iface", "lan*"], false),
            (["--mode", "port"], true),
            (["--mode", "EPRT"], false),
        ] {
            assert_eq!(admits(&words), wanted, "{words:?}");
        }
    }

    #[test]
    fn all_of_them_count_together() {
        assert!(admits(&["--src", "10.0.0.1", "--port", "21"]));
        assert!(!admits(&["--src", "10.0.0.1", "--port", "22"]));
    }

    #[test]
    fn anybody_is_in_every_network() {
        let subject = Subject {
            source: vec![Endpoint::default()],
            ..Subject::default()
        };
        let only = Only::try_parse_from(["list", "--src", "192.0.2.0/24"]).unwrap();
        assert!(only.filter.admits(&subject));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for words in [
            ["--src", "10.0.0.1/8"],
            ["--port", "0"],
            ["--iface", "[a"],
            ["--mode", "SPSV"],
        ] {
            let words = ["list"].iter().chain(&words);
            assert!(Only::try_parse_from(words).is_err());
        }
    }
}
