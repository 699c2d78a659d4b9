//! The rules of iptables, as `iptables-save` prints them.
//!
//! There are two implementations, on nftables and on the older tables of the
//! kernel, and each has its rules; a host may use both.

use std::fs;

use anyhow::Result;

use super::{
    Patience,
    command::{self, Outcome},
};

/// A rule.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rule {
    /// Its table.
    pub table: String,
    /// Its chain.
    pub chain: String,
    /// The words behind the chain.
    pub words: Vec<String>,
    /// The text behind the chain, as it was printed.
    pub text: String,
}

/// The rules that one tool shows.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Save {
    /// The tool that changes them: `iptables-nft`, `ip6tables-legacy` ...
    pub tool: String,
    /// Table, chain and policy of the chains with one.
    pub policies: Vec<(String, String, String)>,
    /// The rules in their order.
    pub rules: Vec<Rule>,
}

impl Rule {
    /// The word behind one of these options.
    pub fn option(&self, names: &[&str]) -> Option<&str> {
        let at = self
            .words
            .iter()
            .position(|word| names.contains(&word.as_str()))?;
        self.words.get(at + 1).map(String::as_str)
    }

    /// True when there is `!` in front of one of these options.
    fn is_negated(&self, names: &[&str]) -> bool {
        let at = self
            .words
            .iter()
            .position(|word| names.contains(&word.as_str()));
        at.is_some_and(|at| at > 0 && self.words[at - 1] == "!")
    }

    /// Where it jumps to.
    pub fn target(&self) -> Option<&str> {
        self.option(&["-j", "-g", "--jump", "--goto"])
    }

    /// True when a TCP connection to `port` may match.
    pub fn may_match(&self, port: u16) -> bool {
        const PORTS: &[&str] = &["--dport", "--dports", "--destination-port"];
        const PROTOCOL: &[&str] = &["-p", "--protocol"];
        let is_tcp = self
            .option(PROTOCOL)
            .is_none_or(|word| matches!(word, "tcp" | "6" | "all") != self.is_negated(PROTOCOL));
        let has_port = self.option(PORTS).is_none_or(|list| {
            list.split(',').any(|item| is_in(item, port)) != self.is_negated(PORTS)
        });
        is_tcp && has_port
    }

    /// The command that removes it.
    pub fn removal(&self, tool: &str) -> String {
        format!("{tool} -t {} -D {} {}", self.table, self.chain, self.text)
    }
}

/// `21` or `3000:3010`; what is not understood may match.
fn is_in(item: &str, port: u16) -> bool {
    let (first, last) = item.split_once(':').unwrap_or((item, item));
    let first = if first.is_empty() { "0" } else { first };
    let last = if last.is_empty() { "65535" } else { last };
    match (first.parse::<u16>(), last.parse::<u16>()) {
        (Ok(first), Ok(last)) => (first..=last).contains(&port),
        _ => true,
    }
}

/// Reads the rules of this network namespace, one result for each tool that is
/// there.
pub fn read(patience: Patience) -> Vec<Result<Save>> {
    let mut saves = Vec::new();
    for (family, names) in [
        ("iptables", "/proc/net/ip_tables_names"),
        ("ip6tables", "/proc/net/ip6_tables_names"),
    ] {
        let before = saves.len();
        saves.extend(save(&format!("{family}-nft"), patience));
        // Without this look the tool itself would load the tables' modules.
        let has_legacy = fs::read_to_string(names).is_ok_and(|names| !names.trim().is_empty());
        if has_legacy {
            saves.extend(save(&format!("{family}-legacy"), patience));
        }
        if saves.len() == before {
            saves.extend(save(family, patience));
        }
    }
    saves
}

fn save(tool: &str, patience: Patience) -> Option<Result<Save>> {
    match command::run(&format!("{tool}-save"), &[], patience) {
        Ok(Outcome::Missing) => None,
        Ok(Outcome::Printed(text)) => Some(Ok(parse(tool, &text))),
        Err(error) => Some(Err(error)),
    }
}

/// Understands what `iptables-save` prints.
pub fn parse(tool: &str, text: &str) -> Save {
    let mut save = Save {
        tool: tool.to_owned(),
        ..Save::default()
    };
    let mut table = String::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('*') {
            name.trim().clone_into(&mut table);
        } else if let Some(chain) = line.strip_prefix(':') {
            if let [name, policy, ..] = chain.split_whitespace().collect::<Vec<_>>().as_slice() {
                save.policies
                    .push((table.clone(), (*name).to_owned(), (*policy).to_owned()));
            }
        } else if let Some(rule) = line.strip_prefix("-A ") {
            let (chain, text) = rule.split_once(' ').unwrap_or((rule, ""));
            save.rules.push(Rule {
                table: table.clone(),
                chain: chain.to_owned(),
                words: split(text),
                text: text.to_owned(),
            });
        }
    }
    save
}

/// Words, of which some are in double quotes with backslashes in them.
fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = None::<String>;
    let mut quoted = false;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            '\\' if quoted => {
                let next = characters.next();
                word.get_or_insert_default().extend(next);
            }
            ' ' if !quoted => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Printed by iptables-nft-save 1.8.9.
    const NFT: &str = include_str!("captured/iptables-nft-save.txt");
    /// Printed by iptables-legacy-save 1.8.9.
    const LEGACY: &str = include_str!("captured/iptables-legacy-save.txt");

    #[test]
    fn rules_and_policies() {
        let save = parse("iptables-nft", NFT);
        let forward = ("filter", "FORWARD", "DROP");
        assert!(
            save.policies
                .iter()
                .any(|(table, chain, policy)| (&**table, &**chain, &**policy) == forward)
        );
        let helped: Vec<_> = save
            .rules
            .iter()
            .filter(|rule| rule.option(&["--helper"]) == Some("ftp"))
            .collect();
        assert_eq!(helped.len(), 2);
        assert_eq!(helped[0].target(), Some("CT"));
        assert!(helped[0].may_match(21) && !helped[0].may_match(22));
        assert_eq!(
            helped[0].removal("iptables-nft"),
            "iptables-nft -t raw -D PREROUTING -i lan0 -p tcp -m tcp --dport 21 -j CT --helper ftp"
        );
        // The comment has ` -j "x"` in it.
        assert_eq!(helped[1].target(), Some("CT"));
        for (port, matches) in [(2121, true), (3000, true), (3010, true), (21, false)] {
            assert_eq!(helped[1].may_match(port), matches, "{port}");
        }
        let established = save.rules.iter().find(|rule| rule.table == "filter");
        let states = established.unwrap().option(&["--ctstate"]);
        assert_eq!(states, Some("RELATED,ESTABLISHED"));
    }

    #[test]
    fn rules_of_the_older_tables() {
        let save = parse("iptables-legacy", LEGACY);
        assert_eq!(save.rules.len(), 1);
        assert_eq!(save.rules[0].table, "raw");
        assert_eq!(save.rules[0].option(&["--helper"]), Some("ftp"));
        assert!(save.rules[0].may_match(21));
    }

    #[test]
    fn negated_and_open_matches() {
        let rule = |text: &str| Rule {
            table: String::new(),
            chain: String::new(),
            words: split(text),
            text: text.to_owned(),
        };
        assert!(!rule("-p tcp -m tcp ! --dport 21 -j CT --helper ftp").may_match(21));
        assert!(rule("-p tcp -m tcp ! --dport 22 -j CT --helper ftp").may_match(21));
        assert!(rule("-p tcp -m tcp --dport 20: -j CT --helper ftp").may_match(21));
        assert!(!rule("-p udp -m udp --dport 21 -j CT --helper ftp").may_match(21));
        assert!(rule("-j CT --helper ftp").may_match(21));
        assert!(!rule("! -p tcp -j CT --helper ftp").may_match(21));
    }
}
