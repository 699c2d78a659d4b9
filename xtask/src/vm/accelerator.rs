//! Whether the machine runs on the processor or is emulated.

use std::{
    fmt,
    fs::{self, OpenOptions},
    process::Command,
};

/// How the machine is run.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum Accelerator {
    /// On the processor.
    Kvm,
    /// Emulated, which works everywhere and is several times slower.
    Tcg,
}

impl Accelerator {
    /// What works here.
    pub(super) fn find() -> Self {
        let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        // The device alone says little: some hosts have it and can not run anything.
        let device = || OpenOptions::new().read(true).write(true).open("/dev/kvm");
        if has_virtualisation(&processors) && device().is_ok() {
            Self::Kvm
        } else {
            Self::Tcg
        }
    }

    /// Adds its options to the emulator's.
    pub(super) fn configure(self, qemu: &mut Command) {
        match self {
            Self::Kvm => qemu.args(["-accel", "kvm", "-cpu", "host"]),
            // Five levels of page tables cost the emulator time and bring nothing.
            Self::Tcg => qemu.args(["-accel", "tcg,thread=multi", "-cpu", "max,la57=off"]),
        };
    }

    /// How much longer than usual a test may have to wait.
    pub(super) fn patience(self) -> u32 {
        match self {
            Self::Kvm => 1,
            Self::Tcg => 8,
        }
    }
}

impl fmt::Display for Accelerator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kvm => "KVM",
            Self::Tcg => "emulated",
        })
    }
}

/// Whether the processor's flags have Intel's or AMD's virtualisation.
fn has_virtualisation(processors: &str) -> bool {
    processors
        .lines()
        .filter(|line| line.starts_with("flags"))
        .flat_map(str::split_whitespace)
        .any(|flag| flag == "vmx" || flag == "svm")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processors_flags_tell() {
        assert!(has_virtualisation(
            "model name\t: x\nflags\t\t: fpu vmx sse\n"
        ));
        assert!(has_virtualisation("flags\t\t: fpu svm\n"));
        assert!(!has_virtualisation(
            "flags\t\t: fpu vmxx\nmodel name: vmx\n"
        ));
        assert!(!has_virtualisation(""));
    }
}
