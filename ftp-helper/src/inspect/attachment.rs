//! Where our programs run, and what runs before and behind them.

use anyhow::Result;
use ftp_helper_common::session::Direction;
use serde::Serialize;

use crate::{
    datapath::chain,
    device::Device,
    doctor::probe::stops::{self, Stop},
    failure::one_line,
    output::Tone,
    pins::{AttachmentPin, direction_word},
};

/// A program on one side of an interface.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Attachment {
    /// The direction.
    pub direction: &'static str,
    /// How it is attached.
    pub technique: &'static str,
    /// Whether it is; `None` when that could not be seen.
    pub attached: Option<bool>,
    /// Number of the program.
    pub program: Option<u32>,
    /// Its place, counted from 1 in the order in which packets meet programs.
    pub position: Option<usize>,
    /// What packets meet before it.
    pub before: Vec<String>,
    /// What packets meet behind it.
    pub behind: Vec<String>,
    /// What is wrong, or why it could not be seen.
    pub fault: Option<String>,
}

impl Attachment {
    /// What the kernel says about a pinned attachment.
    pub fn look(pin: &AttachmentPin) -> Self {
        let blank = Self {
            direction: direction_word(pin.direction),
            technique: pin.technique.word(),
            ..Self::default()
        };
        if !Device::exists(pin.device.index) {
            return Self {
                attached: Some(false),
                fault: Some("the interface is gone".to_owned()),
                ..blank
            };
        }
        match seen(pin) {
            Ok((program, stops)) => blank.among(program, &stops),
            Err(error) => Self {
                fault: Some(format!("not seen (root can): {}", one_line(&error))),
                ..blank
            },
        }
    }

    fn among(self, program: u32, stops: &[Stop]) -> Self {
        let names = |stops: &[Stop]| stops.iter().map(|stop| stop.name.clone()).collect();
        let at = stops.iter().position(|stop| stop.program == Some(program));
        let program = Some(program);
        match at {
            Some(at) => Self {
                attached: Some(true),
                program,
                position: Some(at + 1),
                before: names(&stops[..at]),
                behind: names(&stops[at + 1..]),
                ..self
            },
            None => Self {
                attached: Some(false),
                program,
                fault: Some("it is pinned, but somebody detached it".to_owned()),
                ..self
            },
        }
    }

    /// The cells of a table: direction, technique, program, position, and what is
    /// to be said about it.
    pub fn cells(&self, interface: &str) -> (Vec<String>, Tone) {
        let number = |number: Option<String>| number.unwrap_or_else(|| "-".to_owned());
        let total = 1 + self.before.len() + self.behind.len();
        let position = self.position.map(|at| format!("{at} of {total}"));
        let others = |what: &str, names: &[String]| match names {
            [] => None,
            names => Some(format!("{what} {}", names.join(", "))),
        };
        let notes: Vec<String> = [
            self.fault.clone(),
            others("behind", &self.before),
            others("before", &self.behind),
        ]
        .into_iter()
        .flatten()
        .collect();
        let cells = vec![
            interface.to_owned(),
            self.direction.to_owned(),
            self.technique.to_owned(),
            match self.attached {
                Some(true) => "yes",
                Some(false) => "no",
                None => "?",
            }
            .to_owned(),
            number(self.program.map(|id| id.to_string())),
            number(position),
            if notes.is_empty() {
                "-".to_owned()
            } else {
                notes.join("; ")
            },
        ];
        let tone = match self.attached {
            Some(false) => Tone::Bad,
            _ => Tone::Plain,
        };
        (cells, tone)
    }

    /// Heads of the columns of [`cells`](Self::cells).
    pub const HEADER: [&'static str; 7] = [
        "INTERFACE",
        "DIRECTION",
        "TECHNIQUE",
        "ATTACHED",
        "PROGRAM",
        "POSITION",
        "NOTE",
    ];
}

/// The pinned program, and everything that is attached there.
fn seen(pin: &AttachmentPin) -> Result<(u32, Vec<Stop>)> {
    let program = chain::pinned_program(pin)?;
    let device = Device {
        name: Device::name_of(pin.device.index),
        index: pin.device.index,
    };
    Ok((program, stops::look(&device, pin.direction)?))
}

/// Ingress before egress, as packets that answer others come.
pub const fn order(direction: Direction) -> u8 {
    match direction {
        Direction::Ingress => 0,
        Direction::Egress => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stop(program: u32, name: &str) -> Stop {
        Stop {
            program: Some(program),
            name: name.to_owned(),
            is_own_name: false,
        }
    }

    fn blank() -> Attachment {
        Attachment {
            direction: "ingress",
            technique: "tcx",
            ..Attachment::default()
        }
    }

    #[test]
    fn its_place_among_others() {
        let stops = [stop(7, "a"), stop(8, "ours"), stop(9, "b"), stop(10, "c")];
        let (cells, tone) = blank().among(8, &stops).cells("wan0");
        assert_eq!(
            cells,
            [
                "wan0",
                "ingress",
                "tcx",
                "yes",
                "8",
                "2 of 4",
                "behind a; before b, c"
            ]
        );
        assert_eq!(tone, Tone::Plain);
    }

    #[test]
    fn one_that_was_detached() {
        let (cells, tone) = blank().among(8, &[stop(7, "a")]).cells("wan0");
        assert_eq!(cells[3..6], ["no", "8", "-"]);
        assert!(cells[6].contains("somebody detached it"));
        assert_eq!(tone, Tone::Bad);
    }

    #[test]
    fn one_that_can_not_be_seen() {
        let pin = crate::pins::PinDirectory::new("/nowhere").attachment(
            &Device::find("lo").unwrap(),
            Direction::Ingress,
            crate::pins::Technique::Tcx,
        );
        let attachment = Attachment::look(&pin);
        assert_eq!(attachment.attached, None);
        let (cells, tone) = attachment.cells("lo");
        assert_eq!(cells[3..6], ["?", "-", "-"]);
        assert!(cells[6].starts_with("not seen (root can)"), "{}", cells[6]);
        assert_eq!(tone, Tone::Plain);
    }
}
