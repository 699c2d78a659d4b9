//! Attachment of the programs to devices.
//!
//! Unless it is asked for otherwise, both programs run next to the wire: the
//! ingress program before all others, the egress program behind all others. So
//! both see packets with the addresses that the far side sees, also when another
//! program translates them. A program before ours that ends the chain
//! (`TCX_PASS`) hides the packet from us; one that wants both has to return
//! `TCX_NEXT`.

use std::fs;

use anyhow::{Context as _, Result};
use ftp_helper_common::session::Direction;

use super::{Datapath, NewPins, clsact, error::os_error, order::Order, tcx};
use crate::{
    device::Device,
    pins::{AttachmentPin, PinDirectory, Technique},
};

/// What is asked of an attachment.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// How it is made; left to the kernel's abilities when not given.
    pub technique: Option<Technique>,
    /// Where the program runs.
    pub order: Order,
}

/// An attachment that was made or taken over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Attached {
    /// How it is made.
    pub technique: Technique,
    /// A program of an earlier start was replaced.
    pub replaced: bool,
    /// The program runs where it is wanted.
    pub in_order: bool,
}

impl Datapath {
    /// Attaches the program of this direction, or lets it take the place of the
    /// one of an earlier start, with no packet in between that meets none or
    /// both.
    ///
    /// What is there keeps its technique and its place among other programs: to
    /// change them, there would have to be such packets. For a new attachment what
    /// is wanted counts.
    pub fn attach(
        &self,
        device: &Device,
        direction: Direction,
        wanted: &Wanted,
        pins: &PinDirectory,
        new: &mut NewPins,
    ) -> Result<Attached> {
        let program = self.program(direction);

        for pin in pins.read()?.attachments {
            if pin.device.index != device.index || pin.direction != direction {
                continue;
            }
            let replaced = self.replace_in_order(&pin, &wanted.order)?;
            if let Some(in_order) = replaced {
                rename(&pin, &pins.attachment(device, direction, pin.technique))?;
                return Ok(Attached {
                    technique: pin.technique,
                    replaced: true,
                    in_order,
                });
            }
            // The device of a link is gone, or somebody removed a filter.
            detach(&pin)?;
        }

        if wanted.technique != Some(Technique::Clsact) {
            // A filter whose pin was lost would work on every packet again.
            clsact::remove(&device.name, direction)?;
            let pin = pins.attachment(device, direction, Technique::Tcx);
            match tcx::attach(program, &pin, &wanted.order) {
                Ok(()) => {
                    new.attachment(pin);
                    return Ok(Attached {
                        technique: Technique::Tcx,
                        replaced: false,
                        in_order: true,
                    });
                }
                // The kernel does not know this type of attachment.
                Err(error)
                    if wanted.technique.is_none() && os_error(&error) == Some(libc::EINVAL) => {}
                Err(error) => return Err(error),
            }
        }
        let pin = pins.attachment(device, direction, Technique::Clsact);
        new.attachment(pin.clone());
        let in_order = clsact::attach(program, &pin, &wanted.order)?;
        Ok(Attached {
            technique: Technique::Clsact,
            replaced: false,
            in_order,
        })
    }
}

impl Datapath {
    /// Lets our program take the place of the one of an attachment, if that is
    /// still there.
    pub fn replace(&self, pin: &AttachmentPin) -> Result<()> {
        self.replace_in_order(pin, &Order::default())?;
        Ok(())
    }

    fn replace_in_order(&self, pin: &AttachmentPin, order: &Order) -> Result<Option<bool>> {
        let program = self.program(pin.direction);
        match pin.technique {
            Technique::Tcx => tcx::replace(program, pin, order),
            Technique::Clsact => clsact::replace(program, pin, order),
        }
    }
}

/// Lets a pin go by the name that its device has now.
fn rename(from: &AttachmentPin, to: &AttachmentPin) -> Result<()> {
    if from.path == to.path {
        return Ok(());
    }
    fs::rename(&from.path, &to.path).with_context(|| {
        format!(
            "can not rename the pin {} to {}",
            from.path.display(),
            to.path.display()
        )
    })
}

/// Removes an attachment, alive or not, and its pin.
pub fn detach(pin: &AttachmentPin) -> Result<()> {
    match pin.technique {
        Technique::Tcx => tcx::detach(&pin.path),
        Technique::Clsact => clsact::detach(pin),
    }
}
