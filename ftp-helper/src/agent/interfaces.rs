//! Interfaces that come, go, or change their name while the agent runs.

use anyhow::Result;
use tracing::{info, warn};

use super::{
    Settings,
    change_over::{attach, drop_others},
    links::Changes,
};
use crate::{
    cli::one_line,
    datapath::{Datapath, NewPins},
    device::Device,
    metrics::Observer,
    pins::PinDirectory,
};

/// Looks again at the interfaces, attaches to those that are new, and forgets
/// those that went. What can not be attached to is tried again with the next
/// change, and now and then. True when something has changed.
pub(super) fn follow(
    settings: &mut Settings,
    datapath: &mut Datapath,
    pins: &PinDirectory,
    observer: &Observer,
    changes: &Changes,
) -> Result<bool> {
    let present = settings.selection.look()?;
    let mut attachments = present.attachments();
    let disturbed = attachments.any(|(device, _)| changes.concern(device.index));
    drop(attachments);
    if present == settings.present && !disturbed {
        return Ok(false);
    }
    let before = std::mem::replace(&mut settings.present, present);
    tell(&before.devices(), &settings.present.devices());
    settings.apply(&mut datapath.maps)?;
    let mut failed: Vec<(Device, String)> = Vec::new();
    for (device, direction) in settings.present.attachments() {
        let mut new = NewPins::default();
        match attach(settings, datapath, device, direction, pins, &mut new) {
            Ok(()) => new.keep(),
            Err(error) => failed.push((device.clone(), one_line(&error))),
        }
    }
    for (device, fault) in failed {
        settings.present.give_up(&device, &fault);
    }
    for absent in &settings.present.absent {
        if let Some(fault) = &absent.fault
            && !before.knows_fault(&absent.name, fault)
        {
            warn!("can not help {} now: {fault}", absent.name);
        }
    }
    drop_others(settings, pins)?;
    settings.withdraw(&mut datapath.maps)?;
    observer.select(settings.present.selected());
    Ok(true)
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
