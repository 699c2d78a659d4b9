//! Files to transfer, and how it is told that they arrived whole.

use std::{
    fs::File,
    io::{BufWriter, Read as _, Write as _},
    path::Path,
};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

/// SHA-256 of a file's content.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Digest([u8; 32]);

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Makes a file of `size` bytes that repeat nowhere and returns its digest;
/// files made with different `seed`s differ from the first byte on.
pub fn write(path: &Path, size: usize, seed: u64) -> Result<Digest> {
    let file = File::create(path).with_context(|| format!("{} not made", path.display()))?;
    let mut file = BufWriter::with_capacity(1 << 16, file);
    let mut hasher = Sha256::new();
    let mut generator = Generator::new(seed);
    let mut block = [0; 4096];
    let mut left = size;
    while left > 0 {
        let block = &mut block[..left.min(4096)];
        generator.fill(block);
        hasher.update(&block);
        file.write_all(block)
            .with_context(|| format!("writing {}", path.display()))?;
        left -= block.len();
    }
    file.flush()
        .with_context(|| format!("writing {}", path.display()))?;
    Ok(Digest(hasher.finalize().into()))
}

/// `size` bytes in memory, different for every `seed`.
pub fn bytes(size: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; size];
    Generator::new(seed).fill(&mut bytes);
    bytes
}

/// The digest of a file.
pub fn digest(path: &Path) -> Result<Digest> {
    let mut file = File::open(path).with_context(|| format!("{} not there", path.display()))?;
    let mut hasher = Sha256::new();
    let mut block = vec![0; 1 << 16];
    loop {
        match file
            .read(&mut block)
            .with_context(|| format!("reading {}", path.display()))?
        {
            0 => return Ok(Digest(hasher.finalize().into())),
            length => hasher.update(&block[..length]),
        }
    }
}

/// The digest of bytes in memory.
pub fn digest_of(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

/// xorshift64: fast, and good enough that no two blocks are alike.
struct Generator(u64);

impl Generator {
    fn new(seed: u64) -> Self {
        // Any state but zero will do; the constant spreads small seeds.
        Self(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn fill(&mut self, block: &mut [u8]) {
        for word in block.chunks_mut(8) {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            word.copy_from_slice(&self.0.to_ne_bytes()[..word.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_do_not_repeat_and_seeds_differ() {
        let (mut one, mut two) = ([0; 64], [0; 64]);
        Generator::new(1).fill(&mut one);
        Generator::new(2).fill(&mut two);
        assert_ne!(one, two);
        assert_ne!(one[..8], one[8..16]);
    }

    #[test]
    fn digest_is_sha256() {
        let hex = format!("{:?}", digest_of(b"abc"));
        assert!(hex.starts_with("ba7816bf8f01cfea"), "{hex}");
    }
}
