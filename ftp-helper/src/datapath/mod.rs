//! The programs and maps in the kernel. aya is used here and nowhere else, so
//! that moving to another release of it stays a change of this module.

mod attach;
mod btf;
mod clsact;
mod error;
mod events;
mod kernel_log;
mod kfunc;
pub mod maps;
mod new_pins;
mod object;
mod refused;
mod tcx;
mod test_run;
#[cfg(test)]
pub(crate) mod tests;

use anyhow::{Context as _, Result};
use aya::{
    Ebpf, EbpfLoader,
    programs::{SchedClassifier, TcAttachType},
};
use ftp_helper_common::session::Direction;

use self::refused::refusal;
pub use self::{
    attach::{Attached, detach},
    events::EventRing,
    kernel_log::KernelLog,
    maps::Maps,
    new_pins::NewPins,
    refused::Refused,
    test_run::{Context, Outcome},
};
use crate::pins::PinDirectory;

const DIRECTIONS: [Direction; 2] = [Direction::Ingress, Direction::Egress];

/// Offset of `nf_conn.tuplehash`, read-only for the programs.
const TUPLEHASH: &str = "NF_CONN_TUPLEHASH";

/// Offset of `nf_conn.mark`, 0 for none; read-only as well.
const MARK: &str = "NF_CONN_MARK";

/// The programs and maps, loaded.
pub struct Datapath {
    object: Ebpf,
    /// The maps.
    pub maps: Maps,
    /// The kernel's conntrack entries have marks.
    pub has_marks: bool,
}

impl Datapath {
    /// Loads programs and maps. Nothing is pinned or attached: everything is gone
    /// when the value is dropped.
    ///
    /// `log_level` is the most verbose level at which the programs log: 0 for
    /// nothing, 5 for everything.
    pub fn load(log_level: u8) -> Result<Self> {
        Self::build(log_level, None)
    }

    /// Loads the programs on the pinned maps; those that are missing are made and
    /// pinned, and noted in `new`.
    pub fn load_pinned(log_level: u8, pins: &PinDirectory, new: &mut NewPins) -> Result<Self> {
        Self::build(log_level, Some((pins, new)))
    }

    fn build(log_level: u8, pins: Option<(&PinDirectory, &mut NewPins)>) -> Result<Self> {
        let prepared = object::prepare()?;
        let bytes = prepared.object.bytes();
        let mut loader = EbpfLoader::new();
        loader
            .override_global(TUPLEHASH, &prepared.tuplehash, true)
            .override_global(MARK, &prepared.mark, true)
            .override_global(aya_log::LEVEL, &log_level, false);
        if let Some((pins, new)) = pins {
            let definitions = aya_obj::Object::parse(bytes).context("can not parse the object")?;
            for name in maps::check_pinned(&definitions, pins)? {
                new.map(pins.map(name));
            }
            for name in maps::PINNED {
                loader.map_pin_path(name, pins.map(name));
            }
        }
        let mut object = loader.load(bytes).context("can not make the maps")?;
        let maps = Maps::take(&mut object)?;
        let mut datapath = Self {
            object,
            maps,
            has_marks: prepared.mark != 0,
        };
        for direction in DIRECTIONS {
            let program = datapath.program_mut(direction)?;
            program
                .load()
                .map_err(|error| refusal(program_name(direction), error))?;
        }
        Ok(datapath)
    }

    /// The log of the programs; once.
    pub fn kernel_log(&mut self) -> Result<KernelLog> {
        KernelLog::new(&mut self.object)
    }

    /// Instructions that the verifier went through, which is what its limit is
    /// about. `None` when the kernel does not say (before 5.16).
    pub fn verified_instructions(&self, direction: Direction) -> Result<Option<u32>> {
        let info = self.program(direction)?.info();
        Ok(info
            .context("can not ask about the program")?
            .verified_instruction_count())
    }

    fn program(&self, direction: Direction) -> Result<&SchedClassifier> {
        let name = program_name(direction);
        let program = self.object.program(name);
        let program = program.with_context(|| format!("there is no program {name}"))?;
        program
            .try_into()
            .with_context(|| format!("program {name} is not of the right type"))
    }

    fn program_mut(&mut self, direction: Direction) -> Result<&mut SchedClassifier> {
        let name = program_name(direction);
        let program = self.object.program_mut(name);
        let program = program.with_context(|| format!("there is no program {name}"))?;
        program
            .try_into()
            .with_context(|| format!("program {name} is not of the right type"))
    }
}

const fn program_name(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "ftp_helper_ingress",
        Direction::Egress => "ftp_helper_egress",
    }
}

const fn attach_type(direction: Direction) -> TcAttachType {
    match direction {
        Direction::Ingress => TcAttachType::Ingress,
        Direction::Egress => TcAttachType::Egress,
    }
}
