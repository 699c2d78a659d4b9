//! Whether the programs are where they should be.

use ftp_helper_common::session::Direction;

use super::{Check, no_interface};
use crate::{
    datapath::chain,
    device::Device,
    doctor::{Finding, Gateway, probe::tc},
    pins::{AttachmentPin, Technique, direction_word},
};

pub(super) const CHECK: Check = Check {
    name: "attachment",
    looks_at: "whether the pinned programs are attached to their interfaces",
    quick: false,
    run: |gateway| Ok(run(gateway)),
};

fn run(gateway: &Gateway) -> Vec<Finding> {
    let mut findings = Vec::new();
    for pin in &gateway.pinned.attachments {
        findings.push(judge(pin));
    }
    for outside in &gateway.outsides {
        let name = &outside.device.name;
        let mut pins = gateway.pinned.attachments.iter();
        let egress = |pin: &AttachmentPin| {
            pin.device.index == outside.device.index && pin.direction == Direction::Egress
        };
        if !pins.any(egress) {
            findings.push(Finding::warn(
                name,
                "no program is attached: FTP is not helped on it",
                format!("ftp-helper run -i {name}"),
            ));
        }
    }
    if findings.is_empty() {
        findings.push(no_interface());
    }
    findings
}

fn judge(pin: &AttachmentPin) -> Finding {
    let name = &pin.device.name;
    let word = direction_word(pin.direction);
    let subject = format!("{name} {word}");
    let again = format!("start again: ftp-helper run -i {name}");
    let present = Device::name_of(pin.device.index);
    if Device::find(&present).is_err() {
        return Finding::fail(
            subject,
            "its interface is gone, or was made anew with another index",
            again,
        );
    }
    let attached = chain::pinned_program(pin).and_then(|program| {
        Ok(match pin.technique {
            Technique::Tcx => chain::tcx(&pin.device, pin.direction)?
                .is_some_and(|programs| programs.iter().any(|other| other.id == program)),
            Technique::Clsact => tc::filters(&pin.device, pin.direction)?
                .iter()
                .any(|filter| filter.program == Some(program)),
        })
    });
    match attached {
        Ok(true) => Finding::ok(
            subject,
            format!("the program is attached with {}", pin.technique.word()),
        ),
        Ok(false) => Finding::fail(
            subject,
            format!(
                "the program is pinned but not attached with {}: somebody removed it",
                pin.technique.word()
            ),
            again,
        ),
        Err(error) => Finding::skip(subject, format!("it can not be looked at: {error:#}")),
    }
}
