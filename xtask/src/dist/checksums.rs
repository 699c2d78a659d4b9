//! `SHA256SUMS`, as `sha256sum --check` reads it.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use super::file_name;

pub(super) fn write(path: &Path, files: &[PathBuf]) -> Result<()> {
    let mut files: Vec<_> = files.iter().collect();
    files.sort();
    let mut text = String::new();
    for file in files {
        let content = fs::read(file).with_context(|| format!("can not read {}", file.display()))?;
        for byte in Sha256::digest(content) {
            write!(text, "{byte:02x}")?;
        }
        writeln!(text, "  {}", file_name(file))?;
    }
    fs::write(path, text).with_context(|| format!("can not write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_of_a_known_text() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("abc");
        fs::write(&file, "abc").unwrap();
        let sums = place.path().join("SHA256SUMS");
        write(&sums, &[file]).unwrap();
        assert_eq!(
            fs::read_to_string(sums).unwrap(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  abc\n"
        );
    }
}
