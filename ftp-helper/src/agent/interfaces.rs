//! Interfaces that come, go, or change their name while the agent runs.

use anyhow::Result;
use tracing::{info, warn};

use super::{
    Settings,
    change_over::{attach, drop_others},
    links::Changes,
    settings::forget_gone,
};
use crate::{
    datapath::{Datapath, NewPins},
    device::Device,
    failure::one_line,
    metrics::Observer,
    pins::PinDirectory,
};

/// Looks again at the interfaces, attaches to those that are new, and forgets
/// those that went; leaves the others alone. What can not be attached to is tried again
/// with the next change, and now and then. True when something has changed.
pub(super) fn follow(
    settings: &mut Settings,
    datapath: &mut Datapath,
    pins: &PinDirectory,
    observer: &Observer,
    changes: &Changes,
) -> Result<bool> {
    let present = settings.selection.look()?;
    let is_disturbed = |device: &Device| changes.concern(device.index);
    if present == settings.present && !present.devices().iter().any(is_disturbed) {
        return Ok(false);
    }
    // It counts when all of it is done, so that an error leaves the rest to the next look.
    let before = settings.present.clone();
    let mut next = Settings {
        present,
        ..settings.clone()
    };
    forget_gone(&mut datapath.maps)?;
    next.apply_since(&before, &mut datapath.maps)?;
    let helped = before.devices();
    for device in next.present.devices() {
        let is_new = !helped.contains(&device) || is_disturbed(&device);
        if is_new && let Err(error) = attach_device(&next, datapath, &device, pins) {
            next.present.give_up(&device, &one_line(&error));
        }
    }
    for absent in &next.present.absent {
        if let Some(fault) = &absent.fault
            && !before.knows_fault(&absent.name, fault)
        {
            warn!("can not help {} now: {fault}", absent.name);
        }
    }
    drop_others(&next, pins)?;
    next.withdraw_since(&before, &mut datapath.maps)?;
    tell(&helped, &next.present.devices());
    settings.present = next.present;
    observer.select(settings.present.selected());
    // A fault that is still there is none.
    Ok(settings.present != before)
}

/// Attaches to each direction of an interface that a program works on.
fn attach_device(
    settings: &Settings,
    datapath: &Datapath,
    device: &Device,
    pins: &PinDirectory,
) -> Result<()> {
    let mut new = NewPins::default();
    for (selected, direction) in settings.present.attachments() {
        if selected == device {
            attach(settings, datapath, device, direction, pins, &mut new)?;
        }
    }
    new.keep();
    Ok(())
}

/// What has changed, for the log.
fn tell(before: &[Device], now: &[Device]) {
    for device in before {
        let known = now.iter().find(|other| other.index == device.index);
        match known {
            None => info!("interface {} is gone", device.name),
            Some(other) if other.name != device.name => {
                info!("interface {} is {} now", device.name, other.name);
            }
            Some(_) => {}
        }
    }
    for device in now {
        if before.iter().all(|other| other.index != device.index) {
            info!("interface {} is there: helping FTP on it", device.name);
        }
    }
}
