//! What is transferred: a file's name is its size, and its bytes follow from that.

use std::{
    fs,
    io::{Read, Write},
    path::Path,
};

use anyhow::{Context as _, Result, ensure};

/// Bytes that are written at a time.
const BLOCK: usize = 1 << 14;

/// The byte at this place of every file. The period is a prime, so no piece that is
/// lost or repeated on the way leaves the rest in place.
fn byte(place: u64) -> u8 {
    (place % 251) as u8
}

fn block(place: u64, length: usize) -> Vec<u8> {
    (place..).take(length).map(byte).collect()
}

/// Writes a file of this size.
pub fn send(out: &mut impl Write, size: u64) -> Result<()> {
    let mut done = 0;
    while done < size {
        let length = usize::try_from(size - done).map_or(BLOCK, |left| left.min(BLOCK));
        out.write_all(&block(done, length))
            .context("data connection")?;
        done += u64::try_from(length)?;
    }
    out.flush().context("data connection")
}

/// Reads such a file to its end; an error unless it is whole and every byte right.
pub fn receive(from: &mut impl Read, size: u64) -> Result<()> {
    let mut buffer = vec![0; BLOCK];
    let mut came = 0;
    loop {
        let count = from.read(&mut buffer).context("data connection")?;
        if count == 0 {
            break;
        }
        ensure!(
            buffer[..count] == block(came, count),
            "other bytes than were sent, between {came} and {}",
            came + u64::try_from(count)?
        );
        came += u64::try_from(count)?;
    }
    ensure!(came == size, "{came} bytes came of {size}");
    Ok(())
}

/// Makes such a file in a directory, for servers that have files.
pub fn make(directory: &Path, size: u64) -> Result<()> {
    let path = directory.join(size.to_string());
    let mut bytes = Vec::new();
    send(&mut bytes, size)?;
    fs::write(&path, bytes).with_context(|| format!("{} not made", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_arrives_has_to_be_what_was_sent() {
        for size in [0, 1, 250, 251, 40_000] {
            let mut bytes = Vec::new();
            send(&mut bytes, size).unwrap();
            assert_eq!(bytes.len() as u64, size);
            receive(&mut &bytes[..], size).unwrap();
            assert!(receive(&mut &bytes[..], size + 1).is_err());
            if let Some(last) = bytes.last_mut() {
                *last ^= 1;
                assert!(receive(&mut &bytes[..], size).is_err());
            }
        }
    }
}
