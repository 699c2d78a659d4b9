//! Whether the programs are attached where they have to be, looked at in the
//! kernel each time: what the agent remembers says nothing about what somebody
//! has detached since.

use std::fmt;

use anyhow::Result;
use ftp_helper_common::session::Direction;

use super::observer::Selected;
use crate::{
    datapath::{chain, runs_on_tcx},
    device::Device,
    doctor::probe::tc,
    failure::one_line,
    pins::{AttachmentPin, PinDirectory, Technique, direction_word},
};

/// What a direction of an interface looks like.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Attachment {
    /// Name of the interface.
    pub interface: String,
    /// The direction.
    pub direction: Direction,
    /// Why no program runs there, if none does.
    pub fault: Option<String>,
}

impl Attachment {
    /// The word for the direction.
    pub const fn direction_word(&self) -> &'static str {
        direction_word(self.direction)
    }
}

impl fmt::Display for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: ", self.interface, self.direction_word())?;
        match &self.fault {
            None => f.write_str("attached"),
            Some(fault) => f.write_str(fault),
        }
    }
}

/// Looks at everything that is selected.
pub fn look(pins: &PinDirectory, selected: &[Selected]) -> Result<Vec<Attachment>> {
    let pinned = pins.read()?.attachments;
    let looked = selected.iter().map(|(device, direction)| Attachment {
        interface: device.name.clone(),
        direction: *direction,
        fault: fault(&pinned, device, *direction),
    });
    Ok(looked.collect())
}

fn fault(pinned: &[AttachmentPin], device: &Device, direction: Direction) -> Option<String> {
    if device.index == 0 {
        return Some("there is no such interface now, or it can not be helped".to_owned());
    }
    if !Device::exists(device.index) {
        return Some("the interface is gone".to_owned());
    }
    let here =
        |pin: &&AttachmentPin| pin.device.index == device.index && pin.direction == direction;
    let mut pins = pinned.iter().filter(here).peekable();
    if pins.peek().is_none() {
        return Some("no program is pinned for it".to_owned());
    }
    let mut fault = None;
    for pin in pins {
        match runs(pin) {
            Ok(true) => return None,
            Ok(false) => {
                fault = Some(format!(
                    "the program is not attached with {} any more",
                    pin.technique.word()
                ));
            }
            Err(error) => fault = Some(format!("it can not be looked at: {}", one_line(&error))),
        }
    }
    fault
}

fn runs(pin: &AttachmentPin) -> Result<bool> {
    match pin.technique {
        Technique::Tcx => runs_on_tcx(pin),
        Technique::Clsact => {
            let program = chain::pinned_program(pin)?;
            let filters = tc::filters(&pin.device, pin.direction)?;
            Ok(filters.iter().any(|filter| filter.program == Some(program)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let place = tempfile::tempdir().unwrap();
        let pins = PinDirectory::new(place.path().join("none"));
        let lo = Device::find("lo").unwrap();
        let gone = Device {
            name: "wan7".to_owned(),
            index: 0x7fff_0000,
        };
        let awaited = Device {
            name: "ppp0".to_owned(),
            index: 0,
        };
        let selected = [
            (lo, Direction::Ingress),
            (gone, Direction::Egress),
            (awaited, Direction::Ingress),
        ];
        let looked = look(&pins, &selected).unwrap();
        let said: Vec<String> = looked.iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                "lo ingress: no program is pinned for it",
                "wan7 egress: the interface is gone",
                "ppp0 ingress: there is no such interface now, or it can not be helped",
            ]
        );
    }
}
