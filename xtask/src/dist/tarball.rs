//! A tarball whose bytes depend on nothing but what is in it: files in the order of
//! their names, of root, with one time and one of two modes.

use std::{collections::BTreeSet, fs, io::Write, path::Path};

use anyhow::{Context as _, Result};
use flate2::{Compression, GzBuilder};
use tar::{Builder, EntryType, Header};

use super::{epoch::Epoch, files::File};

/// Writes it; everything is below the directory `top`.
pub(super) fn write(path: &Path, top: &str, files: &[File], epoch: Epoch) -> Result<()> {
    let context = || format!("can not write {}", path.display());
    let file = fs::File::create(path).with_context(context)?;
    let compressed = GzBuilder::new()
        .mtime(epoch.0)
        .write(file, Compression::best());
    let compressed = fill(Builder::new(compressed), top, files, epoch).with_context(context)?;
    compressed
        .finish()
        .and_then(|mut file| file.flush())
        .with_context(context)
}

fn fill<W: Write>(mut tar: Builder<W>, top: &str, files: &[File], epoch: Epoch) -> Result<W> {
    let mut paths: Vec<(String, &File)> = files
        .iter()
        .map(|file| (format!("{top}/{}", file.path), file))
        .collect();
    paths.sort();
    let mut directories = BTreeSet::new();
    for (path, file) in paths {
        for (at, _) in path.match_indices('/') {
            let directory = &path[..=at];
            if directories.insert(directory.to_owned()) {
                let mut header = header(EntryType::Directory, 0o755, 0, epoch);
                tar.append_data(&mut header, directory, &[][..])?;
            }
        }
        let content = fs::read(&file.source)
            .with_context(|| format!("can not read {}", file.source.display()))?;
        let mode = if file.is_executable { 0o755 } else { 0o644 };
        let size = u64::try_from(content.len())?;
        let mut header = header(EntryType::Regular, mode, size, epoch);
        tar.append_data(&mut header, path, content.as_slice())?;
    }
    Ok(tar.into_inner()?)
}

fn header(kind: EntryType, mode: u32, size: u64, epoch: Epoch) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(epoch.0.into());
    header.set_size(size);
    header
}

#[cfg(test)]
mod tests {
    use std::{
        fs::Permissions,
        os::unix::fs::PermissionsExt as _,
        time::{Duration, SystemTime},
    };

    use flate2::read::GzDecoder;
    use tar::Archive;

    use super::*;

    /// Two files, of an age and with modes that do not matter.
    fn files(place: &Path, age: u64, mode: u32) -> Vec<File> {
        let mut files = Vec::new();
        for (name, path) in [("two", "b/two"), ("one", "a/c/one")] {
            let source = place.join(name);
            let file = fs::File::create(&source).unwrap();
            (&file).write_all(name.as_bytes()).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(age))
                .unwrap();
            fs::set_permissions(&source, Permissions::from_mode(mode)).unwrap();
            files.push(File {
                path: path.to_owned(),
                source,
                is_executable: name == "two",
            });
        }
        files
    }

    #[test]
    fn the_same_content_gives_the_same_bytes() {
        let place = tempfile::tempdir().unwrap();
        let mut tarballs = Vec::new();
        for (age, mode) in [(10, 0o600), (90_000, 0o777)] {
            let mut files = files(place.path(), age, mode);
            if age > 10 {
                files.reverse();
            }
            let path = place.path().join("x.tar.gz");
            write(&path, "top", &files, Epoch(1_700_000_000)).unwrap();
            tarballs.push(fs::read(path).unwrap());
        }
        assert!(tarballs[0] == tarballs[1]);
    }

    #[test]
    fn files_are_roots_and_sorted_with_their_directories_first() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("x.tar.gz");
        let files = files(place.path(), 10, 0o600);
        write(&path, "top", &files, Epoch(1_700_000_000)).unwrap();
        let mut archive = Archive::new(GzDecoder::new(fs::File::open(path).unwrap()));
        let entries: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let header = entry.header();
                assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
                assert_eq!(header.mtime().unwrap(), 1_700_000_000);
                let path = entry.path().unwrap().display().to_string();
                (path, header.mode().unwrap())
            })
            .collect();
        let entries: Vec<_> = entries
            .iter()
            .map(|(path, mode)| (path.as_str(), *mode))
            .collect();
        assert_eq!(
            entries,
            [
                ("top/", 0o755),
                ("top/a/", 0o755),
                ("top/a/c/", 0o755),
                ("top/a/c/one", 0o644),
                ("top/b/", 0o755),
                ("top/b/two", 0o755),
            ]
        );
    }
}
