//! Interfaces that come, go, or change their name while the agent runs.

use anyhow::Result;
use tracing::{info, warn};

use super::{
    Present, Settings,
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
    let before = settings.present.clone();
    // What went may be back, as another device. And what an error leaves undone has to be
    // news to the next look.
    let is_there = |device: &Device| !changes.gone.contains(&device.index);
    settings.present.retain(is_there);
    let present = settings.selection.look()?;
    if present == before && settings.present == before && !changes.unknown {
        return Ok(false);
    }
    let mut next = Settings {
        present,
        ..settings.clone()
    };
    let result = change(settings, &mut next, datapath, pins, (&before, changes));
    let now = next.present.devices();
    if let Err(error) = result {
        settings.present.retain(|device| now.contains(device));
        return Err(error);
    }
    tell(&before.devices(), &now);
    settings.present = next.present;
    observer.select(settings.present.selected());
    // A fault that is still there is none.
    Ok(settings.present != before)
}

/// Changes over to the interfaces of `next`; gives up those that can not be attached to.
fn change(
    settings: &Settings,
    next: &mut Settings,
    datapath: &mut Datapath,
    pins: &PinDirectory,
    (before, changes): (&Present, &Changes),
) -> Result<()> {
    forget_gone(&mut datapath.maps)?;
    next.apply_since(&settings.present, &mut datapath.maps)?;
    let helped = settings.present.devices();
    for device in next.present.devices() {
        let is_new = !helped.contains(&device) || changes.unknown;
        if is_new && let Err(error) = attach_device(next, datapath, &device, pins) {
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
    drop_others(next, pins)?;
    next.withdraw_since(&settings.present, &mut datapath.maps)
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
