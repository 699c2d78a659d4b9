//! What may be written in an annotation.
//!
//! Both are lists, with commas or blanks between the words. Who may write Services
//! may write anything there, so what is quoted of it is short and printable.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// In front of the names of our annotations.
pub const PREFIX: &str = "ftp-helper.io/";

/// Ports of the Service on which it speaks FTP.
pub const CONTROL_PORTS: &str = "ftp-helper.io/control-ports";

/// The address that clients know the Service by.
pub const ADVERTISE: &str = "ftp-helper.io/advertise";

/// All that there are.
pub const ALL: [&str; 2] = [CONTROL_PORTS, ADVERTISE];

/// Characters of a word that are quoted.
const QUOTED: usize = 40;

/// A word of [`CONTROL_PORTS`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PortWord {
    /// A number that clients connect to.
    Number(u16),
    /// The name of one of the Service's ports.
    Name(String),
}

/// Addresses to announce, at most one of each family.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Advertise {
    /// For clients that use IPv4.
    pub v4: Option<Ipv4Addr>,
    /// For clients that use IPv6.
    pub v6: Option<Ipv6Addr>,
}

impl Advertise {
    /// The one to announce in place of this address.
    pub fn instead_of(&self, address: IpAddr) -> Option<IpAddr> {
        match address {
            IpAddr::V4(_) => self.v4.map(IpAddr::V4),
            IpAddr::V6(_) => self.v6.map(IpAddr::V6),
        }
    }

    /// Both.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let v4 = self.v4.map(IpAddr::V4);
        v4.into_iter().chain(self.v6.map(IpAddr::V6))
    }
}

/// What could be understood, and what is wrong with the rest.
pub type Read<T> = (T, Vec<String>);

/// Reads [`CONTROL_PORTS`].
pub fn control_ports(text: &str) -> Read<Vec<PortWord>> {
    let mut ports = Vec::new();
    let mut faults = Vec::new();
    for word in words(text) {
        match port(word) {
            Ok(port) => ports.push(port),
            Err(fault) => faults.push(fault),
        }
    }
    if ports.is_empty() && faults.is_empty() {
        faults.push("it names no port: it looks like `21` or `ftp,2121`".to_owned());
    }
    (ports, faults)
}

fn port(word: &str) -> Result<PortWord, String> {
    if !word.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(PortWord::Name(word.to_owned()));
    }
    match word.parse() {
        Ok(number) if number > 0 => Ok(PortWord::Number(number)),
        _ => Err(format!("{} is no port from 1 to 65535", quote(word))),
    }
}

/// Reads [`ADVERTISE`].
pub fn advertise(text: &str) -> Read<Advertise> {
    let mut advertise = Advertise::default();
    let mut faults = Vec::new();
    let mut is_empty = true;
    for word in words(text) {
        is_empty = false;
        let taken = match address(word) {
            Ok(IpAddr::V4(address)) => advertise.v4.replace(address).map(IpAddr::V4),
            Ok(IpAddr::V6(address)) => advertise.v6.replace(address).map(IpAddr::V6),
            Err(fault) => {
                faults.push(fault);
                continue;
            }
        };
        // The first one counts.
        match taken {
            Some(IpAddr::V4(first)) => advertise.v4 = Some(first),
            Some(IpAddr::V6(first)) => advertise.v6 = Some(first),
            None => continue,
        }
        faults.push(format!(
            "{} is a second address of its family: only the first one is announced",
            quote(word)
        ));
    }
    if is_empty {
        faults.push("it names no address: it looks like `203.0.113.5`".to_owned());
    }
    (advertise, faults)
}

fn address(word: &str) -> Result<IpAddr, String> {
    let address: IpAddr = word
        .parse()
        .map_err(|_| format!("{} is no IP address", quote(word)))?;
    let address = address.to_canonical();
    let is_broadcast = address == IpAddr::V4(Ipv4Addr::BROADCAST);
    if address.is_unspecified() || address.is_loopback() || address.is_multicast() || is_broadcast {
        return Err(format!(
            "{address} is no address that anybody can connect to"
        ));
    }
    Ok(address)
}

/// What is not an annotation of ours although it looks like one.
pub fn unknown(name: &str) -> Option<String> {
    if !name.starts_with(PREFIX) || ALL.contains(&name) {
        return None;
    }
    let near = ALL
        .map(|known| (strsim::jaro_winkler(known, name), known))
        .into_iter()
        .max_by(|one, other| one.0.total_cmp(&other.0));
    let near = near.map_or(CONTROL_PORTS, |(_, known)| known);
    Some(format!(
        "there is no annotation of this name: did you mean {near}?"
    ))
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|letter: char| letter == ',' || letter.is_whitespace());
    words.filter(|word| !word.is_empty())
}

/// A word for a line of the log.
pub fn quote(word: &str) -> String {
    let mut letters = word.chars();
    let mut quoted: String = letters
        .by_ref()
        .take(QUOTED)
        .flat_map(char::escape_debug)
        .collect();
    if letters.next().is_some() {
        quoted.push_str("...");
    }
    format!("`{quoted}`")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(number: u16) -> PortWord {
        PortWord::Number(number)
    }

    #[test]
    fn ports_are_numbers_and_names() {
        let name = |text: &str| PortWord::Name(text.to_owned());
        for text in ["21,2121", "21, 2121", " 21 2121 ", "21,\n\t,2121,"] {
            assert_eq!(
                control_ports(text),
                (vec![number(21), number(2121)], vec![])
            );
        }
        let (ports, faults) = control_ports("ftp,0021");
        assert_eq!((ports, faults), (vec![name("ftp"), number(21)], vec![]));
        // No sign: the word is a name then, which no port has.
        assert_eq!(control_ports("+21").0, [name("+21")]);
    }

    #[test]
    fn a_bad_port_does_not_take_the_others_with_it() {
        let (ports, faults) = control_ports("0,21,65536,99999999999999999999");
        assert_eq!(ports, [number(21)]);
        assert_eq!(
            faults,
            [
                "`0` is no port from 1 to 65535",
                "`65536` is no port from 1 to 65535",
                "`99999999999999999999` is no port from 1 to 65535",
            ]
        );
        for text in ["", " , ,\n"] {
            let (ports, faults) = control_ports(text);
            assert!(ports.is_empty() && faults.len() == 1, "{faults:?}");
        }
    }

    #[test]
    fn one_address_of_each_family() {
        let (addresses, faults) = advertise("203.0.113.5, 2001:db8::5");
        assert!(faults.is_empty());
        let addresses: Vec<String> = addresses.addresses().map(|it| it.to_string()).collect();
        assert_eq!(addresses, ["203.0.113.5", "2001:db8::5"]);

        let (addresses, faults) = advertise("203.0.113.5 203.0.113.6");
        assert_eq!(addresses.v4, Some([203, 0, 113, 5].into()));
        assert!(faults[0].contains("203.0.113.6"), "{faults:?}");
        // The same address in another form.
        assert_eq!(
            advertise("::ffff:203.0.113.5").0.v4,
            Some([203, 0, 113, 5].into())
        );
    }

    #[test]
    fn an_address_that_nobody_can_connect_to_is_refused() {
        for text in [
            "0.0.0.0",
            "::",
            "127.0.0.1",
            "::1",
            "224.0.0.1",
            "ff02::1",
            "255.255.255.255",
            "::ffff:127.0.0.1",
            "203.0.113",
            "203.0.113.5:21",
            "203.0.113.5/32",
            "ftp.example.com",
            "",
        ] {
            let (addresses, faults) = advertise(text);
            assert_eq!(addresses, Advertise::default(), "{text}");
            assert_eq!(faults.len(), 1, "{text}");
        }
    }

    #[test]
    fn the_address_is_of_the_family_that_it_stands_for() {
        let (addresses, _) = advertise("203.0.113.5");
        let v4 = "192.0.2.1".parse().unwrap();
        let v6 = "2001:db8::1".parse().unwrap();
        assert_eq!(
            addresses.instead_of(v4),
            Some("203.0.113.5".parse().unwrap())
        );
        assert_eq!(addresses.instead_of(v6), None);
    }

    #[test]
    fn a_mistyped_name_is_told() {
        assert_eq!(unknown(CONTROL_PORTS), None);
        assert_eq!(unknown("example.com/control-port"), None);
        let told = unknown("ftp-helper.io/control-port").unwrap();
        assert!(told.ends_with("ftp-helper.io/control-ports?"), "{told}");
        let told = unknown("ftp-helper.io/adverise").unwrap();
        assert!(told.ends_with("ftp-helper.io/advertise?"), "{told}");
    }

    #[test]
    fn what_is_quoted_is_short_and_printable() {
        assert_eq!(quote("x\x1b[31m\ny"), r"`x\u{1b}[31m\ny`");
        let long = quote(&"x".repeat(100_000));
        assert_eq!(long.len(), 2 + QUOTED + 3);
    }

    proptest! {
        /// Whatever is written there, each word is either understood or complained about.
        #[test]
        fn nothing_is_passed_over(text in "\\PC{0,60}|[0-9a-z,. \\n:+-]{0,60}") {
            let count = words(&text).count().max(1);
            let (ports, faults) = control_ports(&text);
            prop_assert_eq!(ports.len() + faults.len(), count);
            let (addresses, faults) = advertise(&text);
            prop_assert_eq!(addresses.addresses().count() + faults.len(), count);
            for fault in faults {
                prop_assert!(fault.chars().all(|letter| !letter.is_control()));
                prop_assert!(fault.len() < 1000);
            }
        }

        /// What is written is what is read, however it is put together.
        #[test]
        fn a_list_comes_back(
            ports in prop::collection::vec(1..=u16::MAX, 1..8),
            separator in "[ \\t]{0,2},[ \\n]{0,2}|[ \\n]{1,3}",
        ) {
            let text: Vec<String> = ports.iter().map(u16::to_string).collect();
            let (read, faults) = control_ports(&text.join(&separator));
            let wanted: Vec<PortWord> = ports.into_iter().map(PortWord::Number).collect();
            prop_assert_eq!(read, wanted);
            prop_assert!(faults.is_empty());
        }

        #[test]
        fn addresses_come_back(v4: u32, v6: u128) {
            let (v4, v6) = (Ipv4Addr::from(v4), Ipv6Addr::from(v6));
            let (read, faults) = advertise(&format!("{v6},{v4}"));
            prop_assert!(read.v4.is_none_or(|it| it == v4 || Some(it) == v6.to_ipv4_mapped()));
            prop_assert!(read.v6.is_none_or(|it| it == v6));
            prop_assert_eq!(read.addresses().count() + faults.len(), 2);
        }
    }
}
