//! The gateway's rules for `iptables-restore` or `ip6tables-restore`.

use super::{Egress, INVALID, REFUSED, Source, forwards_port};
use crate::setup::{Helper, Inside, Setup, Translation};

/// The rules of a router as people run it. All four tables are in use: raw checks
/// where packets come from before conntrack sees them, mangle comes directly
/// behind it.
pub(super) fn rules(setup: &Setup) -> String {
    let mut text = table("raw", "", &raw(setup));
    text += &table("mangle", "", &mangle());
    text += &table("filter", ":FORWARD DROP [0:0]\n", &filter(setup));
    if setup.translation == Translation::Nat {
        text += &table("nat", "", &nat(setup));
    }
    text
}

fn table(name: &str, policies: &str, rules: &[String]) -> String {
    let rules: Vec<_> = rules.iter().map(|rule| format!("-A {rule}\n")).collect();
    let rules = rules.concat();
    format!("*{name}\n{policies}{rules}COMMIT\n")
}

fn raw(setup: &Setup) -> Vec<String> {
    let mut rules = vec!["PREROUTING -m rpfilter --invert -j DROP".to_owned()];
    if setup.helper == Helper::Kernel {
        let port = setup.control_port.dialled;
        rules.push(format!(
            "PREROUTING -p tcp --dport {port} -j CT --helper ftp"
        ));
    }
    rules
}

fn mangle() -> Vec<String> {
    vec![
        format!("PREROUTING -m conntrack --ctstate INVALID -m comment --comment {INVALID}"),
        "FORWARD -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu".to_owned(),
    ]
}

/// Lets only what started inside, and its answers, through; and control
/// connections to a server inside.
fn filter(setup: &Setup) -> Vec<String> {
    let served = setup.control_port.served;
    let new = format!("-p tcp --dport {served} -m conntrack --ctstate NEW -j ACCEPT");
    let mut rules = vec!["FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT".to_owned()];
    rules.push(match setup.egress {
        Egress::Everything => "FORWARD -i lan0 -j ACCEPT".to_owned(),
        Egress::ControlOnly => format!("FORWARD -i lan0 {new}"),
    });
    if setup.inside == Inside::Server {
        // The control port and nothing else.
        let to = setup.addresses.server;
        rules.push(format!("FORWARD -i wan0 -d {to} {new}"));
    }
    rules.push(format!("FORWARD -m comment --comment {REFUSED} -j DROP"));
    rules
}

fn nat(setup: &Setup) -> Vec<String> {
    let ports = setup.control_port;
    let mut rules = Vec::new();
    if forwards_port(setup) {
        rules.push(format!(
            "PREROUTING -i wan0 -d {} -p tcp --dport {} -j DNAT --to-destination {}",
            setup.known_as(),
            ports.dialled,
            setup.served_at()
        ));
    }
    if setup.source == Source::SecondAddress {
        rules.push(format!(
            "POSTROUTING -o wan0 -p tcp --dport {} -j SNAT --to-source {}",
            ports.served,
            setup.second_wan()
        ));
    }
    rules.push(match (setup.ports, setup.source) {
        (Some((first, last)), _) => {
            format!("POSTROUTING -o wan0 -p tcp -j MASQUERADE --to-ports {first}-{last}")
        }
        (None, Source::RandomPort) => "POSTROUTING -o wan0 -j MASQUERADE --random-fully".to_owned(),
        (None, _) => "POSTROUTING -o wan0 -j MASQUERADE".to_owned(),
    });
    rules
}
