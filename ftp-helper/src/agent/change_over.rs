//! From one state of the datapath to another, while packets flow.

use anyhow::{Context as _, Result, bail};
use ftp_helper_common::session::Direction;
use tracing::{debug, info, warn};

use super::{Settings, settings::forget_gone};
use crate::{
    datapath::{Datapath, NewPins, Wanted, detach},
    device::Device,
    failure::one_line,
    logging,
    pins::{AttachmentPin, PinDirectory, direction_word},
};

/// Fills the maps, attaches, and then removes what is not wanted any more, in
/// this order: there is no moment without a program, nor one with a program that
/// lacks its settings.
pub(super) fn change_over(
    settings: &Settings,
    datapath: &mut Datapath,
    pins: &PinDirectory,
    mut new: NewPins,
) -> Result<()> {
    if settings.ct_mark.value != 0 && !datapath.has_marks {
        bail!(
            "this kernel's conntrack entries have no marks (CONFIG_NF_CONNTRACK_MARK): use \
             --skb-mark, or leave --ct-mark out"
        );
    }
    let zones = &settings.selection.ct_zones;
    if !datapath.has_zones && zones.iter().any(|(_, zone)| *zone != 0) {
        bail!(
            "this kernel's conntrack can not be asked about connections in a zone: Linux 6.11 or \
             newer can; leave --ct-zone out, or FTP in the default zone"
        );
    }
    forget_gone(&mut datapath.maps)?;
    settings.apply(&mut datapath.maps)?;
    if datapath.has_to_move() {
        // No longer than it takes: packets of control connections wait.
        let moved = move_over(settings, datapath, pins, &mut new);
        let thawed = datapath.thaw();
        moved.and(thawed)?;
    } else {
        attach_all(settings, datapath, pins, &mut new)?;
    }
    new.keep();
    drop_others(settings, pins)?;
    settings.withdraw(&mut datapath.maps)?;
    Ok(())
}

/// Attaches programs that use tables of another size, and fills those.
fn move_over(
    settings: &Settings,
    datapath: &mut Datapath,
    pins: &PinDirectory,
    new: &mut NewPins,
) -> Result<()> {
    datapath.move_tables()?;
    attach_all(settings, datapath, pins, new)
        .and_then(|()| datapath.keep_tables())
        .inspect_err(|_| {
            // Some of the programs may work on the new tables already.
            if let Err(error) = put_back(pins) {
                warn!(
                    "the programs can not be put back on the tables as they were, start again: {}",
                    one_line(&error)
                );
            }
        })
}

/// Replaces all programs that are attached by ones on the pinned tables.
fn put_back(pins: &PinDirectory) -> Result<()> {
    let datapath = Datapath::load_again(logging::kernel_level(), pins)?;
    let attachments = pins.read()?.attachments;
    // One that does not work must not keep the others from it.
    let results: Vec<Result<()>> = attachments
        .iter()
        .map(|pin| datapath.replace(pin))
        .collect();
    results.into_iter().collect()
}

fn attach_all(
    settings: &Settings,
    datapath: &Datapath,
    pins: &PinDirectory,
    new: &mut NewPins,
) -> Result<()> {
    let mut attachments = settings.present.attachments();
    attachments.try_for_each(|(device, direction)| {
        match attach(settings, datapath, device, direction, pins, new) {
            // It went after it was looked for, which the kernel tells.
            Err(_) if !Device::exists(device.index) => Ok(()),
            attached => attached,
        }
    })
}

/// Attaches to one direction of an interface.
pub(super) fn attach(
    settings: &Settings,
    datapath: &Datapath,
    device: &Device,
    direction: Direction,
    pins: &PinDirectory,
    new: &mut NewPins,
) -> Result<()> {
    let word = direction_word(direction);
    let wanted = Wanted {
        technique: settings.technique,
        order: settings.orders.of(direction).clone(),
    };
    let attached = datapath
        .attach(device, direction, &wanted, pins, new)
        .with_context(|| format!("can not attach to {word} of interface {}", device.name))?;
    debug!(
        interface = device.name,
        direction = word,
        technique = attached.technique.word(),
        replaced = attached.replaced,
        "attached"
    );
    if !attached.in_order {
        warn!(
            interface = device.name,
            direction = word,
            "not in the order that is asked for: programs that are attached keep their place; to \
             move them, run `ftp-helper detach` before the next start"
        );
    }
    Ok(())
}

/// Detaches from the interfaces that an earlier start helped and this one does
/// not.
pub(super) fn drop_others(settings: &Settings, pins: &PinDirectory) -> Result<()> {
    for pin in pins.read()?.attachments {
        if !settings.present.selects(pin.device.index, pin.direction) {
            detach_and_tell(&pin)?;
        }
    }
    Ok(())
}

/// Detaches a program, with a line in the log.
pub fn detach_and_tell(pin: &AttachmentPin) -> Result<()> {
    detach(pin)?;
    let word = direction_word(pin.direction);
    if Device::exists(pin.device.index) {
        info!("detached from {word} of interface {}", pin.device.name);
    } else {
        debug!(
            "forgot {word} of interface {}, which is gone",
            pin.device.name
        );
    }
    Ok(())
}
