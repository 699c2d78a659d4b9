//! Rebuilds when the linker changes, which cargo does not know about, and tells it how.

use std::env;

use which::which;

fn main() {
    if let Ok(linker) = which("bpf-linker") {
        println!("cargo:rerun-if-changed={}", linker.display());
    }
    if env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "bpf") {
        // In order, LLVM makes a call of every `memset` and `memmove`, however small, and
        // the verifier walks through their loops byte by byte.
        println!("cargo:rustc-link-arg-bins=--disable-expand-memcpy-in-order");
    }
}
