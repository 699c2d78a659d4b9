//! What a run was measured on, without anything that tells whose machine it is.

use std::{fs, num::NonZeroUsize, path::Path, thread};

use serde::{Deserialize, Serialize};

/// What a run was measured on.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Machine {
    /// Version of the kernel, without what its builder has added: `6.18`.
    pub kernel: String,
    /// Architecture.
    pub architecture: String,
    /// The processor's name.
    pub processor: String,
    /// How many of them may be used.
    pub processors: usize,
    /// Memory, in GiB.
    pub memory: u64,
    /// Whether it is a virtual machine, as the processor says.
    pub is_virtual: bool,
    /// Whether BPF programs are translated to machine code.
    pub has_jit: bool,
    /// Other programs' share of the processors when the run began: the load average
    /// of a minute.
    pub load: f64,
}

impl Machine {
    /// This one. To be called before a lab is made, which hides the machine's files.
    pub fn here() -> Self {
        let processor = text("/proc/cpuinfo");
        Self {
            kernel: release(&text("/proc/sys/kernel/osrelease")),
            architecture: std::env::consts::ARCH.to_owned(),
            processor: field(&processor, "model name").unwrap_or_default(),
            processors: thread::available_parallelism().map_or(1, NonZeroUsize::get),
            memory: field(&text("/proc/meminfo"), "MemTotal")
                .and_then(|value| value.split(' ').next()?.parse::<u64>().ok())
                .map_or(0, |kibibytes| (kibibytes + (1 << 19)) >> 20),
            is_virtual: field(&processor, "flags")
                .is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor")),
            has_jit: text("/proc/sys/net/core/bpf_jit_enable").trim() != "0",
            load: text("/proc/loadavg")
                .split(' ')
                .next()
                .and_then(|value| value.parse().ok())
                .unwrap_or_default(),
        }
    }
}

fn text(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn field(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim().to_owned())
    })
}

/// The first two numbers.
fn release(text: &str) -> String {
    text.split('.')
        .take(2)
        .map(|part| {
            let end = part.find(|letter: char| !letter.is_ascii_digit());
            &part[..end.unwrap_or(part.len())]
        })
        .collect::<Vec<_>>()
        .join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_builder_is_in_the_release() {
        assert_eq!(release("6.18.44-somebodys-build+\n"), "6.18");
        assert_eq!(release("7.0-rc1"), "7.0");
    }

    #[test]
    fn this_machine_has_a_kernel_and_processors() {
        let machine = Machine::here();
        assert!(machine.kernel.contains('.'), "{machine:?}");
        assert!(machine.processors > 0 && machine.memory > 0, "{machine:?}");
    }
}
