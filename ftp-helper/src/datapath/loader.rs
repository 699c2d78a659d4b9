//! From the object file to programs in the kernel.
//!
//! aya makes the maps, as it knows how to take over pinned ones. It has no way to
//! name the kernel modules whose functions a program calls, so the programs are
//! put together here, with aya's own object reader, and loaded without it. It is
//! the same way on a kernel that needs no module.

use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd, RawFd};

use anyhow::{Context as _, Result, bail};
use aya::{Ebpf, maps::Map};
use ftp_helper_common::session::Direction;

use super::{
    kernel::Kernel,
    program::Program,
    program_name,
    refused::Refused,
    sys::{self, Image, Records},
};

/// Programs that are ready to be loaded.
pub(super) struct Loader<'a> {
    object: aya_obj::Object,
    types: OwnedFd,
    kernel: &'a Kernel,
}

impl<'a> Loader<'a> {
    /// Puts the programs of an object together that use these maps.
    pub(super) fn new(bytes: &[u8], maps: &Ebpf, kernel: &'a Kernel) -> Result<Self> {
        let mut object = aya_obj::Object::parse(bytes).context("can not parse the object")?;
        let types = load_types(&mut object)?;
        relocate(&mut object, maps).context("can not link the programs")?;
        Ok(Self {
            object,
            types,
            kernel,
        })
    }

    /// Loads the program of this direction.
    pub(super) fn load(&self, direction: Direction) -> Result<Program> {
        let name = program_name(direction);
        let program = self.object.programs.get(name);
        let program = program.with_context(|| format!("there is no program {name}"))?;
        let function = self.object.functions.get(&program.function_key());
        let function = function.with_context(|| format!("program {name} is empty"))?;
        let image = Image {
            name,
            license: &program.license,
            instructions: &function.instructions,
            types: self.types.as_fd(),
            functions: Records {
                bytes: &function.func_info.func_info_bytes(),
                size: function.func_info_rec_size,
            },
            lines: Records {
                bytes: &function.line_info.line_info_bytes(),
                size: function.line_info_rec_size,
            },
            modules: &self.kernel.descriptors(),
        };
        Program::load(&image)
            .map_err(|refused| Refused::new(name, refused.error, refused.log).into())
    }
}

/// The programs' own types. Programs with callbacks can not be loaded without.
fn load_types(object: &mut aya_obj::Object) -> Result<OwnedFd> {
    let types = match aya::features().btf() {
        Some(features) => object.fixup_and_sanitize_btf(features),
        None => bail!("this kernel takes no types (BTF) with programs"),
    };
    let types = types
        .context("the programs' types can not be used")?
        .context("the programs have no types")?;
    sys::load_types(&types.to_bytes()).context("the kernel refused the programs' types")
}

fn relocate(object: &mut aya_obj::Object, maps: &Ebpf) -> Result<()> {
    let definitions = std::mem::take(&mut object.maps);
    let descriptors = definitions
        .iter()
        .map(|(name, definition)| {
            let map = maps.map(name);
            let map = map.with_context(|| format!("there is no map {name}"))?;
            Ok((name.as_str(), descriptor(map)?, definition))
        })
        .collect::<Result<Vec<_>>>()?;
    let sections = object
        .functions
        .keys()
        .map(|(section, _)| *section)
        .collect();
    object.relocate_maps(descriptors.into_iter(), &sections)?;
    object.relocate_calls(&sections)?;
    object.sanitize_functions(aya::features());
    Ok(())
}

fn descriptor(map: &Map) -> Result<RawFd> {
    match map {
        Map::Array(data)
        | Map::HashMap(data)
        | Map::LpmTrie(data)
        | Map::LruHashMap(data)
        | Map::PerCpuArray(data)
        | Map::PerCpuHashMap(data)
        | Map::PerCpuLruHashMap(data)
        | Map::RingBuf(data) => Ok(data.fd().as_fd().as_raw_fd()),
        _ => bail!("a map is of a type that is not expected"),
    }
}
