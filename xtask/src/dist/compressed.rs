//! Files that Debian wants compressed; their bytes depend on the text alone.

use std::{
    fs::File,
    io::{Result, Write as _},
    path::Path,
};

use flate2::{Compression, GzBuilder};

/// Writes `text`, compressed with gzip.
pub(super) fn write(path: &Path, text: &[u8]) -> Result<()> {
    let mut file = GzBuilder::new().write(File::create(path)?, Compression::best());
    file.write_all(text)?;
    file.finish()?.flush()
}
