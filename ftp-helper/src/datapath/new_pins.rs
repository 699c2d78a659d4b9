//! What a start has pinned so far.

use std::{fs, path::PathBuf};

use super::detach;
use crate::pins::{AttachmentPin, PinDirectory};

/// Pins of a start that is not complete yet. Unless [`keep`](Self::keep) is
/// called, they are removed again: a start that fails leaves nothing new.
#[derive(Debug, Default)]
pub struct NewPins {
    directory: Option<PinDirectory>,
    maps: Vec<PathBuf>,
    attachments: Vec<AttachmentPin>,
}

impl NewPins {
    /// Remembers the directory that was made.
    pub fn directory(&mut self, pins: &PinDirectory) {
        self.directory = Some(pins.clone());
    }

    /// Remembers a map that is about to be pinned.
    pub(super) fn map(&mut self, path: impl Into<PathBuf>) {
        self.maps.push(path.into());
    }

    /// Remembers an attachment that was made.
    pub(super) fn attachment(&mut self, pin: AttachmentPin) {
        self.attachments.push(pin);
    }

    /// The start is complete.
    pub fn keep(mut self) {
        self.directory = None;
        self.maps.clear();
        self.attachments.clear();
    }
}

impl Drop for NewPins {
    fn drop(&mut self) {
        // An error has nowhere to go from here; what is left is taken over by the
        // next start.
        for pin in &self.attachments {
            let _ = detach(pin);
        }
        for path in &self.maps {
            let _ = fs::remove_file(path);
        }
        if let Some(pins) = &self.directory {
            let _ = pins.remove();
        }
    }
}
