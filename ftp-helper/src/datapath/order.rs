//! Where among the programs of a hook ours run.

use std::{fmt, str::FromStr};

use anyhow::{Context as _, Error, Result, bail, ensure};
use ftp_helper_common::session::Direction;

/// Where the program of one direction runs.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Order {
    /// Next to the wire: first of all at ingress, last of all at egress.
    #[default]
    Wire,
    /// Before all others.
    First,
    /// Behind all others.
    Last,
    /// Before that program.
    Before(Neighbour),
    /// Behind that program.
    After(Neighbour),
}

/// Another program of the same hook.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Neighbour {
    /// By its id.
    Id(u32),
    /// By its name, of which the kernel keeps 15 bytes.
    Name(String),
}

/// Where the programs of both directions run.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Orders {
    /// On the way in.
    pub ingress: Order,
    /// On the way out.
    pub egress: Order,
}

impl Orders {
    /// That of one direction.
    pub const fn of(&self, direction: Direction) -> &Order {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }

    /// With what a command line says; later words win.
    #[must_use]
    pub fn with(mut self, words: &[DirectedOrder]) -> Self {
        for DirectedOrder { direction, order } in words {
            if *direction != Some(Direction::Egress) {
                self.ingress = order.clone();
            }
            if *direction != Some(Direction::Ingress) {
                self.egress = order.clone();
            }
        }
        self
    }
}

/// `[ingress=|egress=]ORDER`, without a direction for both.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DirectedOrder {
    direction: Option<Direction>,
    order: Order,
}

impl FromStr for DirectedOrder {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (direction, order) = if let Some(order) = text.strip_prefix("ingress=") {
            (Some(Direction::Ingress), order)
        } else if let Some(order) = text.strip_prefix("egress=") {
            (Some(Direction::Egress), order)
        } else {
            (None, text)
        };
        let order = order.parse()?;
        Ok(Self { direction, order })
    }
}

impl FromStr for Order {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Ok(match text.split_once(':') {
            None if text == "wire" => Self::Wire,
            None if text == "first" => Self::First,
            None if text == "last" => Self::Last,
            Some(("before", program)) => Self::Before(program.parse()?),
            Some(("after", program)) => Self::After(program.parse()?),
            _ => bail!("it is wire, first, last, before:PROGRAM or after:PROGRAM"),
        })
    }
}

impl FromStr for Neighbour {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        ensure!(!text.is_empty(), "the program's id or name is missing");
        Ok(match text.parse() {
            Ok(id) => Self::Id(id),
            Err(_) => Self::Name(text.to_owned()),
        })
    }
}

/// Bytes that the kernel keeps of a name.
const NAME: usize = 15;

impl Neighbour {
    /// The id of this one among the programs of a hook, whose names are asked for
    /// only when they matter.
    pub(super) fn find(
        &self,
        programs: &[u32],
        name_of: impl Fn(u32) -> Result<String>,
    ) -> Result<u32> {
        let found = match self {
            Self::Id(id) => programs
                .iter()
                .copied()
                .filter(|other| other == id)
                .collect(),
            Self::Name(name) => {
                let short = &name.as_bytes()[..name.len().min(NAME)];
                let mut found = Vec::new();
                for id in programs {
                    let other = name_of(*id)
                        .with_context(|| format!("can not look up program {self}; give its id"))?;
                    if other.as_bytes() == short {
                        found.push(*id);
                    }
                }
                found
            }
        };
        match found[..] {
            [id] => Ok(id),
            [] => bail!(
                "there is no program {self} to run before or behind; programs there: {}",
                list(programs)
            ),
            _ => bail!(
                "program {self} is there more than once: give the id, one of {}",
                list(&found)
            ),
        }
    }
}

impl fmt::Display for Neighbour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "{id}"),
            Self::Name(name) => write!(f, "{name}"),
        }
    }
}

fn list(ids: &[u32]) -> String {
    if ids.is_empty() {
        return "none".to_owned();
    }
    let ids: Vec<String> = ids.iter().map(u32::to_string).collect();
    ids.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name_of(id: u32) -> Result<String> {
        Ok(match id {
            7 => "cil_from_netdev".to_owned(),
            8 | 9 => "twin".to_owned(),
            _ => bail!("not permitted"),
        })
    }

    #[test]
    fn orders_of_a_command_line() {
        let words: Vec<DirectedOrder> =
            ["last", "ingress=after:cil_from_netdev", "egress=before:12"]
                .iter()
                .map(|word| word.parse().unwrap())
                .collect();
        assert_eq!(Orders::default().with(&[]).ingress, Order::Wire);
        let orders = Orders::default().with(&words[..1]);
        assert_eq!((orders.ingress, orders.egress), (Order::Last, Order::Last));
        let orders = Orders::default().with(&words);
        let name = Neighbour::Name("cil_from_netdev".to_owned());
        assert_eq!(*orders.of(Direction::Ingress), Order::After(name));
        assert_eq!(
            *orders.of(Direction::Egress),
            Order::Before(Neighbour::Id(12))
        );
    }

    #[test]
    fn what_is_no_order_is_refused() {
        for text in [
            "",
            "middle",
            "before",
            "before:",
            "first:7",
            "lan=first",
            "ingress=",
        ] {
            assert!(text.parse::<DirectedOrder>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_neighbour_is_found_by_id_without_asking_for_names() {
        let find = |text: &str| text.parse::<Neighbour>().unwrap().find(&[7, 40], name_of);
        assert_eq!(find("40").unwrap(), 40);
        let error = find("41").unwrap_err().to_string();
        assert!(
            error.contains("no program 41") && error.contains("7, 40"),
            "{error}"
        );
    }

    #[test]
    fn a_neighbour_is_found_by_as_much_of_its_name_as_there_is() {
        let find = |text: &str| text.parse::<Neighbour>().unwrap().find(&[7, 8, 9], name_of);
        assert_eq!(find("cil_from_netdev").unwrap(), 7);
        assert_eq!(find("cil_from_netdev_and_more").unwrap(), 7);
        assert!(find("cil_from").is_err());
        let error = find("twin").unwrap_err().to_string();
        assert!(error.contains("8, 9"), "{error}");
    }

    #[test]
    fn without_the_right_to_ask_for_names_the_id_is_the_way() {
        let twin = Neighbour::Name("twin".to_owned());
        let error = twin.find(&[40], name_of).unwrap_err().to_string();
        assert!(error.contains("give its id"), "{error}");
    }
}
