//! A reader of the kernel's BTF: ids of functions, and where a member of a
//! structure lies.
//!
//! The BTF of a module is split: its type ids and its string offsets go on where
//! those of the kernel itself end, and it uses both.
//!
//! aya-obj reads BTF too, but keeps the members of structures to itself and does
//! not know split BTF. The format is described in the kernel's
//! Documentation/bpf/btf.rst.

use std::{fs, path::Path, rc::Rc};

use anyhow::{Context as _, Result, bail};

const MAGIC: u16 = 0xeb9f;

/// Words of the part that all types have: name, info, size or type.
const TYPE: usize = 3;
/// Words of a member: name, type, offset.
const MEMBER: usize = 3;

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
    /// What this BTF continues, if it is that of a module.
    base: Option<Rc<Self>>,
    /// The type section, which consists of words. The kernel has hundreds of
    /// thousands, and each start looks through them.
    types: Vec<u32>,
    /// The string section.
    strings: Vec<u8>,
    /// Where in `types` each one begins.
    offsets: Vec<usize>,
}

impl Btf {
    /// Reads a file as they lie in `/sys/kernel/btf`: that of the kernel itself, or
    /// with that as its base the one of a module.
    pub(super) fn read(path: &Path, base: Option<Rc<Self>>) -> Result<Self> {
        let bytes = fs::read(path)
            .with_context(|| format!("can not read the kernel's types from {}", path.display()))?;
        Self::parse(&bytes, base).with_context(|| {
            format!(
                "can not understand the kernel's types in {}",
                path.display()
            )
        })
    }

    fn parse(bytes: &[u8], base: Option<Rc<Self>>) -> Result<Self> {
        let magic = bytes.get(..2).and_then(|magic| magic.try_into().ok());
        if magic.map(u16::from_ne_bytes) != Some(MAGIC) {
            bail!("this is no BTF of this machine's byte order");
        }
        let header = word(bytes, 4)? as usize;
        let section = |offset_at: usize| -> Result<&[u8]> {
            let start = header + word(bytes, offset_at)? as usize;
            let end = start + word(bytes, offset_at + 4)? as usize;
            bytes.get(start..end).context("a section is cut off")
        };
        let (words, rest) = section(8)?.as_chunks();
        if !rest.is_empty() {
            bail!("the types are no words");
        }
        let types: Vec<u32> = words.iter().map(|word| u32::from_ne_bytes(*word)).collect();
        let strings = section(16)?.to_vec();

        let mut offsets = Vec::new();
        let mut offset = 0;
        while offset < types.len() {
            offsets.push(offset);
            let info = *types.get(offset + 1).context("a type is cut off")?;
            offset += TYPE + extra(info)?;
        }
        // Then every word of the common parts and the members is there.
        if offset != types.len() {
            bail!("a type is cut off");
        }
        Ok(Self {
            base,
            types,
            strings,
            offsets,
        })
    }

    /// The id of the type of this kind and name. Types of the base are not looked
    /// at.
    pub(super) fn find(&self, kind: Kind, name: &str) -> Option<u32> {
        let index = self.position(kind, name)?;
        u32::try_from(self.first_id() + index).ok()
    }

    /// The id of the first type. Id 0 is void, which is in no section.
    fn first_id(&self) -> usize {
        self.base
            .as_ref()
            .map_or(1, |base| base.first_id() + base.offsets.len())
    }

    fn position(&self, kind: Kind, name: &str) -> Option<usize> {
        self.offsets.iter().position(|offset| {
            kind_of(self.types[*offset + 1]) == kind as u32
                && self.is_name(self.types[*offset], name)
        })
    }

    /// Offset in bytes of a member of a structure. `None` when there is no such
    /// structure or member, or when it does not start at a byte.
    pub(super) fn member_offset(&self, structure: &str, member: &str) -> Option<u32> {
        let offset = self.offsets[self.position(Kind::Struct, structure)?];
        let info = self.types[offset + 1];
        let members = &self.types[offset + TYPE..][..members(info) * MEMBER];
        let member = members
            .chunks_exact(MEMBER)
            .find(|words| self.is_name(words[0], member))?;
        let bits = member[2];
        // With the kind flag, the upper eight bits are the size of a bit field.
        let bits = if has_kind_flag(info) {
            bits & 0x00ff_ffff
        } else {
            bits
        };
        bits.is_multiple_of(8).then_some(bits / 8)
    }

    fn is_name(&self, at: u32, name: &str) -> bool {
        let rest = self.string_at(at as usize).unwrap_or_default();
        rest.strip_prefix(name.as_bytes())
            .is_some_and(|rest| rest.first() == Some(&0))
    }

    fn string_at(&self, at: usize) -> Option<&[u8]> {
        let Some(base) = &self.base else {
            return self.strings.get(at..);
        };
        match at.checked_sub(base.strings_end()) {
            Some(at) => self.strings.get(at..),
            None => base.string_at(at),
        }
    }

    fn strings_end(&self) -> usize {
        let before = self.base.as_ref().map_or(0, |base| base.strings_end());
        before + self.strings.len()
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

/// Words behind the common part of a type.
fn extra(info: u32) -> Result<usize> {
    let members = members(info);
    Ok(match kind_of(info) {
        // Pointer, forward, typedef, volatile, const, restrict, function, float,
        // type tag.
        2 | 7..=12 | 16 | 18 => 0,
        // Integer, variable, declaration tag.
        1 | 14 | 17 => 1,
        // Array.
        3 => 3,
        // Structure, union, data section, 64-bit enumeration.
        4 | 5 | 15 | 19 => members * MEMBER,
        // Enumeration, prototype.
        6 | 13 => members * 2,
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
        file(&types, b"\0s\0a\0b\0f\0")
    }

    /// Split BTF on top of that: a structure `t` of `a` at byte 0 and `c` at byte
    /// 4, then a function `g`. The base's strings are nine bytes.
    fn split_sample() -> Vec<u8> {
        let types = [9, (4 << 24) | 2, 8, 3, 0, 0, 11, 0, 32, 13, 12 << 24, 0];
        file(&types, b"t\0c\0g\0")
    }

    fn file(types: &[u32], strings: &[u8]) -> Vec<u8> {
        let mut bytes = MAGIC.to_ne_bytes().to_vec();
        bytes.extend([1, 0]);
        let types_len = u32::try_from(types.len() * 4).unwrap();
        let strings_len = u32::try_from(strings.len()).unwrap();
        for word in [24, 0, types_len, types_len, strings_len]
            .iter()
            .chain(types)
        {
            bytes.extend(word.to_ne_bytes());
        }
        bytes.extend(strings);
        bytes
    }

    #[test]
    fn members_and_functions_are_found() {
        for kind_flag in [false, true] {
            let btf = Btf::parse(&sample(kind_flag), None).unwrap();
            assert_eq!(btf.member_offset("s", "a"), Some(0));
            assert_eq!(btf.member_offset("s", "b"), Some(8));
            assert_eq!(btf.find(Kind::Struct, "s"), Some(1));
            assert_eq!(btf.find(Kind::Func, "f"), Some(2));
        }
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        let btf = Btf::parse(&sample(false), None).unwrap();
        assert_eq!(btf.find(Kind::Func, "s"), None);
        assert_eq!(btf.find(Kind::Func, ""), None);
        assert_eq!(btf.member_offset("s", "c"), None);
        assert_eq!(btf.member_offset("f", "a"), None);
    }

    #[test]
    fn split_types_continue_ids_and_strings_of_their_base() {
        let base = Rc::new(Btf::parse(&sample(false), None).unwrap());
        let split = Btf::parse(&split_sample(), Some(base)).unwrap();
        assert_eq!(split.find(Kind::Struct, "t"), Some(3));
        assert_eq!(split.find(Kind::Func, "g"), Some(4));
        assert_eq!(split.member_offset("t", "a"), Some(0));
        assert_eq!(split.member_offset("t", "c"), Some(4));
        // The base's own types have to be asked for there.
        assert_eq!(split.find(Kind::Func, "f"), None);
        assert_eq!(split.member_offset("s", "a"), None);
    }

    #[test]
    fn cut_off_anywhere_is_an_error_and_never_a_panic() {
        let whole = sample(false);
        for length in 0..whole.len() {
            assert!(Btf::parse(&whole[..length], None).is_err(), "{length}");
        }
    }

    #[test]
    fn the_running_kernel() {
        let btf = Btf::read(Path::new(VMLINUX_BTF), None).unwrap();
        // `struct list_head` has looked like this for ever.
        assert_eq!(btf.member_offset("list_head", "next"), Some(0));
        let pointer = u32::try_from(size_of::<usize>()).unwrap();
        assert_eq!(btf.member_offset("list_head", "prev"), Some(pointer));
        assert!(btf.find(Kind::Func, "netif_receive_skb").is_some());
    }
}
