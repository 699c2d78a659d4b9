//! Attachment of the programs to devices.
//!
//! Both programs run next to the wire: the ingress program before all others,
//! the egress program behind all others. So both see packets with the addresses
//! that the far side sees, also when another program translates them. A program
//! before ours that ends the chain (`TCX_PASS`) hides the packet from us; one
//! that wants both has to return `TCX_NEXT`.

use anyhow::{Context as _, Result};
use ftp_helper_common::session::Direction;

use super::{Datapath, NewPins, clsact, error::os_error, tcx};
use crate::{
    device::Device,
    pins::{AttachmentPin, PinDirectory, Technique, direction_word},
};

/// An attachment that was made or taken over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Attached {
    /// How it is made.
    pub technique: Technique,
    /// A program of an earlier start was replaced.
    pub replaced: bool,
}

impl Datapath {
    /// Attaches the program of this direction, or lets it take the place of the
    /// one of an earlier start, with no packet in between that meets none or
    /// both.
    ///
    /// An attachment that is there keeps its technique. For a new one, `wanted`
    /// counts, and without it TCX where the kernel has that.
    pub fn attach(
        &mut self,
        device: &Device,
        direction: Direction,
        wanted: Option<Technique>,
        pins: &PinDirectory,
        new: &mut NewPins,
    ) -> Result<Attached> {
        self.try_attach(device, direction, wanted, pins, new)
            .with_context(|| {
                let word = direction_word(direction);
                format!("can not attach to {word} of interface {}", device.name)
            })
    }

    fn try_attach(
        &mut self,
        device: &Device,
        direction: Direction,
        wanted: Option<Technique>,
        pins: &PinDirectory,
        new: &mut NewPins,
    ) -> Result<Attached> {
        let program = self.program_mut(direction)?;

        for pin in pins.read()?.attachments {
            if pin.device.index != device.index || pin.direction != direction {
                continue;
            }
            let replaced = match pin.technique {
                Technique::Tcx => tcx::replace(program, &pin)?,
                Technique::Clsact => clsact::replace(program, &pin)?,
            };
            if replaced {
                return Ok(Attached {
                    technique: pin.technique,
                    replaced,
                });
            }
            // The device of a link is gone, or somebody removed a filter.
            detach(&pin)?;
        }

        if wanted != Some(Technique::Clsact) {
            // A filter whose pin was lost would work on every packet again.
            clsact::remove(&device.name, direction)?;
            let pin = pins.attachment(device, direction, Technique::Tcx);
            match tcx::attach(program, &pin) {
                Ok(()) => {
                    new.attachment(pin);
                    return Ok(Attached {
                        technique: Technique::Tcx,
                        replaced: false,
                    });
                }
                // The kernel does not know this type of attachment.
                Err(error) if wanted.is_none() && os_error(&error) == Some(libc::EINVAL) => {}
                Err(error) => return Err(error),
            }
        }
        let pin = pins.attachment(device, direction, Technique::Clsact);
        new.attachment(pin.clone());
        clsact::attach(program, &pin)?;
        Ok(Attached {
            technique: Technique::Clsact,
            replaced: false,
        })
    }
}

/// Removes an attachment, alive or not, and its pin.
pub fn detach(pin: &AttachmentPin) -> Result<()> {
    match pin.technique {
        Technique::Tcx => tcx::detach(&pin.path),
        Technique::Clsact => clsact::detach(pin),
    }
}
