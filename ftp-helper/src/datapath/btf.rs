//! A reader of the kernel's BTF: ids of functions, and where a member of a
//! structure lies.
//!
//! aya-obj reads BTF too, but keeps the members of structures to itself. The
//! format is described in the kernel's Documentation/bpf/btf.rst.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, bail};

const MAGIC: u16 = 0xeb9f;

/// Size of the part that all types have: name, info, size or type.
const TYPE: usize = 12;
const MEMBER: usize = 12;

/// Kinds of type, as far as they are looked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(super) enum Kind {
    /// A structure.
    Struct = 4,
    /// A function.
    Func = 12,
}

/// Parsed BTF.
#[derive(Debug)]
pub(super) struct Btf {
    /// The type section.
    types: Vec<u8>,
    /// The string section.
    strings: Vec<u8>,
    /// Offset of each type in `types`; the first one has id 1.
    offsets: Vec<usize>,
}

impl Btf {
    /// Reads a file as they lie in `/sys/kernel/btf`.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path)
            .with_context(|| format!("can not read the kernel's types from {}", path.display()))?;
        Self::parse(&bytes).with_context(|| {
            format!(
                "can not understand the kernel's types in {}",
                path.display()
            )
        })
    }

    fn parse(bytes: &[u8]) -> Result<Self> {
        let magic = bytes.get(..2).and_then(|magic| magic.try_into().ok());
        if magic.map(u16::from_ne_bytes) != Some(MAGIC) {
            bail!("this is no BTF of this machine's byte order");
        }
        let header = word(bytes, 4)? as usize;
        let section = |offset_at: usize| -> Result<Vec<u8>> {
            let start = header + word(bytes, offset_at)? as usize;
            let end = start + word(bytes, offset_at + 4)? as usize;
            let section = bytes.get(start..end).context("a section is cut off")?;
            Ok(section.to_vec())
        };
        let (types, strings) = (section(8)?, section(16)?);

        let mut offsets = Vec::new();
        let mut offset = 0;
        while offset < types.len() {
            offsets.push(offset);
            offset += TYPE + extra(word(&types, offset + 4)?)?;
        }
        Ok(Self {
            types,
            strings,
            offsets,
        })
    }

    /// The id of the type of this kind and name.
    pub(super) fn find(&self, kind: Kind, name: &str) -> Option<u32> {
        let index = self.offsets.iter().position(|offset| {
            word(&self.types, offset + 4).is_ok_and(|info| kind_of(info) == kind as u32)
                && word(&self.types, *offset).is_ok_and(|at| self.is_name(at, name))
        })?;
        // Id 0 is void, which is not in the section.
        u32::try_from(index + 1).ok()
    }

    /// Offset in bytes of a member of a structure. `None` when there is no such
    /// structure or member, or when it does not start at a byte.
    pub(super) fn member_offset(&self, structure: &str, member: &str) -> Option<u32> {
        let id = self.find(Kind::Struct, structure)?;
        let offset = *self.offsets.get(id as usize - 1)?;
        let info = word(&self.types, offset + 4).ok()?;
        let bits = (0..members(info))
            .map(|index| offset + TYPE + index * MEMBER)
            .find(|at| word(&self.types, *at).is_ok_and(|name| self.is_name(name, member)))
            .and_then(|at| word(&self.types, at + 8).ok())?;
        // With the kind flag, the upper eight bits are the size of a bit field.
        let bits = if has_kind_flag(info) {
            bits & 0x00ff_ffff
        } else {
            bits
        };
        bits.is_multiple_of(8).then_some(bits / 8)
    }

    fn is_name(&self, at: u32, name: &str) -> bool {
        let rest = self.strings.get(at as usize..).unwrap_or_default();
        rest.strip_prefix(name.as_bytes())
            .is_some_and(|rest| rest.first() == Some(&0))
    }
}

const fn kind_of(info: u32) -> u32 {
    (info >> 24) & 0x1f
}

const fn members(info: u32) -> usize {
    (info & 0xffff) as usize
}

const fn has_kind_flag(info: u32) -> bool {
    info >> 31 != 0
}

/// Bytes behind the common part of a type.
fn extra(info: u32) -> Result<usize> {
    let members = members(info);
    Ok(match kind_of(info) {
        // Pointer, forward, typedef, volatile, const, restrict, function, float,
        // type tag.
        2 | 7..=12 | 16 | 18 => 0,
        // Integer, variable, declaration tag.
        1 | 14 | 17 => 4,
        // Array.
        3 => 12,
        // Structure, union, data section, 64-bit enumeration.
        4 | 5 | 15 | 19 => members * 12,
        // Enumeration, prototype.
        6 | 13 => members * 8,
        kind => bail!("type kind {kind} is not known: this kernel is newer than this ftp-helper"),
    })
}

fn word(bytes: &[u8], at: usize) -> Result<u32> {
    let word = bytes.get(at..at + 4).and_then(|word| word.try_into().ok());
    word.map(u32::from_ne_bytes).context("it is cut off")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preflight::VMLINUX_BTF;

    /// A structure `s` of `a` at byte 0 and `b` at byte 8 (with the kind flag: a
    /// size in the upper bits), then a function `f`.
    fn sample(kind_flag: bool) -> Vec<u8> {
        let strings = b"\0s\0a\0b\0f\0";
        let flag = u32::from(kind_flag) << 31;
        let bits = if kind_flag { 64 | (3 << 24) } else { 64 };
        let types = [
            1,
            flag | (4 << 24) | 2,
            16,
            3,
            0,
            0,
            5,
            0,
            bits,
            7,
            12 << 24,
            0,
        ];
        let mut bytes = MAGIC.to_ne_bytes().to_vec();
        bytes.extend([1, 0]);
        let types_len = u32::try_from(types.len() * 4).unwrap();
        let strings_len = u32::try_from(strings.len()).unwrap();
        for word in [24, 0, types_len, types_len, strings_len]
            .iter()
            .chain(&types)
        {
            bytes.extend(word.to_ne_bytes());
        }
        bytes.extend(strings);
        bytes
    }

    #[test]
    fn members_and_functions_are_found() {
        for kind_flag in [false, true] {
            let btf = Btf::parse(&sample(kind_flag)).unwrap();
            assert_eq!(btf.member_offset("s", "a"), Some(0));
            assert_eq!(btf.member_offset("s", "b"), Some(8));
            assert_eq!(btf.find(Kind::Struct, "s"), Some(1));
            assert_eq!(btf.find(Kind::Func, "f"), Some(2));
        }
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        let btf = Btf::parse(&sample(false)).unwrap();
        assert_eq!(btf.find(Kind::Func, "s"), None);
        assert_eq!(btf.find(Kind::Func, ""), None);
        assert_eq!(btf.member_offset("s", "c"), None);
        assert_eq!(btf.member_offset("f", "a"), None);
    }

    #[test]
    fn cut_off_anywhere_is_an_error_and_never_a_panic() {
        let whole = sample(false);
        for length in 0..whole.len() {
            assert!(Btf::parse(&whole[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn the_running_kernel() {
        let btf = Btf::read(Path::new(VMLINUX_BTF)).unwrap();
        // `struct list_head` has looked like this for ever.
        assert_eq!(btf.member_offset("list_head", "next"), Some(0));
        let pointer = u32::try_from(size_of::<usize>()).unwrap();
        assert_eq!(btf.member_offset("list_head", "prev"), Some(pointer));
        assert!(btf.find(Kind::Func, "netif_receive_skb").is_some());
    }
}
