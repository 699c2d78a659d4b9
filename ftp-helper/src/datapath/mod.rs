//! The programs and maps in the kernel. aya is used here and nowhere else, so
//! that moving to another release of it stays a change of this module.
//!
//! aya makes maps and clsact filters and reads the object file; programs are loaded,
//! and links made, by `loader` and `sys`, as aya 0.14 can not call functions of
//! kernel modules. `kernel` tells which function is where.

mod attach;
mod attached;
mod autoload;
mod btf;
pub mod chain;
mod clsact;
mod error;
mod events;
mod kernel;
mod kernel_log;
mod kfunc;
mod loader;
pub mod maps;
mod module;
mod netlink;
mod new_pins;
mod object;
mod order;
mod program;
mod refused;
mod resize;
pub mod sys;
mod tcx;
mod test_run;
#[cfg(test)]
pub(crate) mod tests;

use anyhow::{Context as _, Result};
use aya::{Ebpf, EbpfLoader, programs::TcAttachType};
use ftp_helper_common::session::Direction;

pub use self::{
    attach::{Attached, Wanted, detach},
    attached::runs_on_tcx,
    events::EventRing,
    kernel_log::KernelLog,
    maps::Maps,
    new_pins::NewPins,
    order::{DirectedOrder, Neighbour, Order, Orders},
    refused::Refused,
    test_run::{Context, Outcome},
};
use self::{loader::Loader, program::Program, resize::Resize};
use crate::pins::PinDirectory;

/// Offset of `nf_conn.tuplehash`, read-only for the programs.
const TUPLEHASH: &str = "NF_CONN_TUPLEHASH";

/// Offset of `nf_conn.proto`, read-only for the programs.
const PROTO: &str = "NF_CONN_PROTO";

/// Offset of `nf_conn.mark`, 0 for none; read-only as well.
const MARK: &str = "NF_CONN_MARK";

/// Bytes of the options with which conntrack is asked; read-only as well.
const OPTIONS: &str = "NF_CT_OPTIONS_SIZE";

/// Most control connections at once, unless something else is asked for.
pub const SESSION_LIMIT: u32 = 16384;

/// The programs and maps, loaded.
pub struct Datapath {
    object: Ebpf,
    ingress: Program,
    egress: Program,
    /// The maps.
    pub maps: Maps,
    /// The kernel's conntrack entries have marks.
    pub has_marks: bool,
    /// Conntrack can be asked about connections in a zone.
    pub has_zones: bool,
    resize: Option<Resize>,
}

/// How many sessions the tables have room for.
#[derive(Clone, Copy, Debug)]
enum Room {
    /// So many.
    For(u32),
    /// As many as the pinned ones.
    AsPinned,
}

impl Datapath {
    /// Loads programs and maps. Nothing is pinned or attached: everything is gone
    /// when the value is dropped.
    ///
    /// `log_level` is the most verbose level at which the programs log: 0 for
    /// nothing, 5 for everything.
    pub fn load(log_level: u8) -> Result<Self> {
        Self::build(log_level, Room::For(SESSION_LIMIT), None)
    }

    /// Loads the programs on the pinned maps; those that are missing are made and
    /// pinned, and noted in `new`. There is room for `sessions` of them: pinned maps
    /// of another size are replaced by [`move_tables`](Self::move_tables).
    pub fn load_pinned(
        log_level: u8,
        sessions: u32,
        pins: &PinDirectory,
        new: &mut NewPins,
    ) -> Result<Self> {
        Self::build(log_level, Room::For(sessions), Some((pins, new)))
    }

    /// True when entries have to be moved before programs are attached.
    pub fn has_to_move(&self) -> bool {
        self.resize.is_some()
    }

    /// Fills the new tables in the place of pinned ones of another size. From then
    /// on packets of control connections wait, until [`thaw`](Self::thaw) is called.
    pub fn move_tables(&mut self) -> Result<()> {
        match &self.resize {
            Some(resize) => resize.copy(&mut self.maps),
            None => Ok(()),
        }
    }

    /// Keeps the tables that were filled; for when the programs are attached.
    pub fn keep_tables(&mut self) -> Result<()> {
        match self.resize.take() {
            Some(resize) => resize.keep(),
            None => Ok(()),
        }
    }

    /// Lets packets pass again.
    pub fn thaw(&mut self) -> Result<()> {
        resize::set_frozen(&mut self.maps.interfaces, false)
    }

    /// Programs on the tables that are pinned, for when those that were to take
    /// their place do not.
    pub fn load_again(log_level: u8, pins: &PinDirectory) -> Result<Self> {
        let mut new = NewPins::default();
        let datapath = Self::build(log_level, Room::AsPinned, Some((pins, &mut new)))?;
        new.keep();
        Ok(datapath)
    }

    fn build(
        log_level: u8,
        room: Room,
        pins: Option<(&PinDirectory, &mut NewPins)>,
    ) -> Result<Self> {
        let prepared = object::prepare()?;
        let bytes = prepared.object.bytes();
        let mut loader = EbpfLoader::new();
        loader
            .override_global(TUPLEHASH, &prepared.tuplehash, true)
            .override_global(PROTO, &prepared.proto, true)
            .override_global(MARK, &prepared.mark, true)
            .override_global(OPTIONS, &prepared.options, true)
            .override_global(aya_log::LEVEL, &log_level, false);
        let mut definitions = aya_obj::Object::parse(bytes).context("can not parse the object")?;
        for name in maps::PER_SESSION {
            let sessions = match (room, &pins) {
                (Room::For(sessions), _) => maps::room(name, sessions),
                (Room::AsPinned, Some((pins, _))) => maps::pinned_capacity(pins, name)?,
                (Room::AsPinned, None) => maps::room(name, SESSION_LIMIT),
            };
            loader.map_max_entries(name, sessions);
            if let Some(definition) = definitions.maps.get_mut(name) {
                definition.set_max_entries(sessions);
            }
        }
        let mut resize = None;
        if let Some((pins, new)) = pins {
            resize::remove_leftovers(pins)?;
            let pinned = maps::check_pinned(&definitions, pins)?;
            for name in pinned.absent {
                new.map(pins.map(name));
            }
            for name in maps::PINNED {
                if !pinned.resized.contains(&name) {
                    loader.map_pin_path(name, pins.map(name));
                }
            }
            resize = Resize::new(&pinned.resized, pins)?;
        }
        let mut object = loader.load(bytes).context("can not make the maps")?;
        let programs = Loader::new(bytes, &object, &prepared.kernel)?;
        Ok(Self {
            ingress: programs.load(Direction::Ingress)?,
            egress: programs.load(Direction::Egress)?,
            maps: Maps::take(&mut object)?,
            object,
            has_marks: prepared.mark != 0,
            has_zones: prepared.has_zones(),
            resize,
        })
    }

    /// The log of the programs; once.
    pub fn kernel_log(&mut self) -> Result<KernelLog> {
        KernelLog::new(&mut self.object)
    }

    /// Instructions that the verifier went through, which is what its limit is
    /// about. `None` when the kernel does not say (before 5.16).
    pub fn verified_instructions(&self, direction: Direction) -> Result<Option<u32>> {
        self.program(direction).verified_instructions()
    }

    fn program(&self, direction: Direction) -> &Program {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
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
