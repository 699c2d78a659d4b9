//! Calls of kernel functions (kfuncs).
//!
//! The programs declare kfuncs as plain `extern "C"` functions, so their calls
//! are relocations against undefined symbols. The kernel wants the BTF id of the
//! function in the call instruction in place of an offset. [`patch`] does that
//! before the object is loaded.

use anyhow::{Context as _, Result, bail};
use object::{
    Object as _, ObjectSection as _, ObjectSymbol as _, RelocationTarget, SectionKind,
    read::elf::ElfFile64,
};

use super::module;
use crate::preflight::kernel_release;

/// Size of an instruction.
const INSTRUCTION: usize = 8;
/// `BPF_JMP | BPF_CALL`
const CALL: u8 = 0x85;
/// `BPF_PSEUDO_KFUNC_CALL`, the source register of a call of a kfunc.
const PSEUDO_KFUNC_CALL: u8 = 2;

const _: () = assert!(
    cfg!(target_endian = "little"),
    "registers share a byte whose halves are swapped on big-endian machines"
);

/// A kernel function that programs may call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Kfunc {
    /// BTF id of the function.
    pub(super) btf_id: u32,
    /// 0 for the kernel itself; for a module, the index of its BTF in the array
    /// of descriptors that is given along with the program.
    pub(super) descriptor: i16,
}

/// Where kfuncs are looked up.
pub(super) trait Kfuncs {
    /// The kfunc of this name.
    fn find(&self, name: &str) -> Option<Kfunc>;
}

/// A call of an undefined function.
struct Call {
    /// Where the instruction is in the file.
    at: usize,
    /// Name of the function.
    name: String,
}

/// Names of the kfuncs that a BPF object file calls.
pub(super) fn names(object: &[u8]) -> Result<Vec<String>> {
    let mut names: Vec<String> = calls(object)?.into_iter().map(|call| call.name).collect();
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// Fills in every call of a kfunc in a BPF object file.
pub(super) fn patch(object: &mut [u8], kfuncs: &impl Kfuncs) -> Result<()> {
    let calls = calls(object)?;
    let mut missing: Vec<&str> = Vec::new();
    for call in &calls {
        let instruction = object
            .get_mut(call.at..call.at + INSTRUCTION)
            .with_context(|| format!("the call of {} is outside of the object", call.name))?;
        if instruction[0] != CALL {
            bail!("{} is used in another way than to call it", call.name);
        }
        match kfuncs.find(&call.name) {
            Some(kfunc) => {
                instruction[1] = PSEUDO_KFUNC_CALL << 4;
                instruction[2..4].copy_from_slice(&kfunc.descriptor.to_ne_bytes());
                instruction[4..8].copy_from_slice(&kfunc.btf_id.to_ne_bytes());
            }
            None if missing.contains(&call.name.as_str()) => {}
            None => missing.push(&call.name),
        }
    }
    if !missing.is_empty() {
        bail!(unavailable(&missing));
    }
    Ok(())
}

fn calls(object: &[u8]) -> Result<Vec<Call>> {
    let file: ElfFile64<'_> = ElfFile64::parse(object).context("the object is no ELF file")?;
    let mut calls = Vec::new();
    for section in file
        .sections()
        .filter(|section| section.kind() == SectionKind::Text)
    {
        let Some((start, _)) = section.file_range() else {
            continue;
        };
        for (offset, relocation) in section.relocations() {
            let RelocationTarget::Symbol(index) = relocation.target() else {
                continue;
            };
            let symbol = file.symbol_by_index(index).context("a symbol is missing")?;
            if !symbol.is_undefined() {
                continue;
            }
            let name = symbol.name().context("a symbol has no name")?;
            calls.push(Call {
                at: usize::try_from(start + offset).context("the object is too large")?,
                name: name.to_owned(),
            });
        }
    }
    Ok(calls)
}

/// The Linux release that brought a kfunc.
fn since(kfunc: &str) -> &'static str {
    match kfunc {
        "bpf_skb_ct_lookup" | "bpf_xdp_ct_lookup" | "bpf_ct_release" => "5.18",
        "bpf_skb_ct_alloc"
        | "bpf_ct_insert_entry"
        | "bpf_ct_set_timeout"
        | "bpf_ct_change_timeout"
        | "bpf_ct_set_status"
        | "bpf_ct_change_status" => "6.0",
        "bpf_ct_set_nat_info" => "6.1",
        _ => "a later release",
    }
}

/// The refusal for a kernel that lacks something of conntrack.
fn unavailable(missing: &[&str]) -> String {
    let list: Vec<String> = missing
        .iter()
        .map(|name| format!("{name} (Linux {})", since(name)))
        .collect();
    format!(
        "this kernel ({}) does not offer {} to programs: {}",
        kernel_release(),
        list.join(", "),
        module::advice()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datapath::object::embedded;

    struct Fixed;

    impl Kfuncs for Fixed {
        fn find(&self, name: &str) -> Option<Kfunc> {
            (name != "bpf_ct_release").then_some(Kfunc {
                btf_id: 0x0102_0304,
                descriptor: 5,
            })
        }
    }

    struct All;

    impl Kfuncs for All {
        fn find(&self, _name: &str) -> Option<Kfunc> {
            Some(Kfunc {
                btf_id: 0x0102_0304,
                descriptor: 5,
            })
        }
    }

    #[test]
    fn calls_carry_the_id_and_the_descriptor_and_nothing_else_changes() {
        let mut object = embedded();
        let before = object.bytes().to_vec();
        let calls = calls(object.bytes()).unwrap();
        assert!(calls.iter().any(|call| call.name == "bpf_skb_ct_lookup"));
        patch(object.bytes_mut(), &All).unwrap();

        let mut expected = before;
        for call in &calls {
            expected[call.at..call.at + INSTRUCTION]
                .copy_from_slice(&[CALL, 0x20, 5, 0, 0x04, 0x03, 0x02, 0x01]);
        }
        assert!(object.bytes() == expected);
    }

    #[test]
    fn a_missing_function_is_named_with_the_release_that_has_it() {
        let mut object = embedded();
        let error = patch(object.bytes_mut(), &Fixed).unwrap_err().to_string();
        assert!(error.contains("bpf_ct_release (Linux 5.18)"), "{error}");
        assert!(!error.contains("bpf_skb_ct_lookup"), "{error}");
    }

    #[test]
    fn releases_of_the_functions() {
        assert_eq!(since("bpf_skb_ct_lookup"), "5.18");
        assert_eq!(since("bpf_ct_insert_entry"), "6.0");
        assert_eq!(since("bpf_ct_set_nat_info"), "6.1");
    }

    #[test]
    fn what_is_no_object_is_refused() {
        assert!(patch(&mut [0; 64], &All).is_err());
    }
}
