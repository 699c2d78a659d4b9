//! The image as an archive in OCI's image layout, with one layer. Its bytes depend on
//! nothing but what is in it.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, Write},
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use anyhow::{Context as _, Result};
use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

use super::metadata::{ENTRYPOINT, LABELS, SEARCH_PATH};

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// The time of everything: it says nothing, and is the same in each build.
const CREATED: &str = "1970-01-01T00:00:00Z";

/// Writes the archive of an image that has the files of `rootfs`.
pub(super) fn write(path: &Path, rootfs: &Path, tag: &str) -> Result<()> {
    let layout = Layout::new(rootfs, tag)?;
    let context = || format!("can not write {}", path.display());
    let file = fs::File::create(path).with_context(context)?;
    let mut tar = Builder::new(file);
    for (name, content) in &layout.0 {
        append(&mut tar, name, 0o644, content).with_context(context)?;
    }
    let mut file = tar.into_inner().with_context(context)?;
    file.flush().with_context(context)
}

/// The files of an image layout, by their paths.
struct Layout(BTreeMap<String, Vec<u8>>);

impl Layout {
    fn new(rootfs: &Path, tag: &str) -> Result<Self> {
        let mut layout = Self(BTreeMap::new());
        let mut layer = Builder::new(Vec::new());
        add(&mut layer, rootfs, "")?;
        let layer = layer.into_inner()?;
        let unpacked = digest(&layer);
        let mut packed = GzBuilder::new().write(Vec::new(), Compression::best());
        packed.write_all(&layer)?;
        let layer = layout.blob(LAYER, packed.finish()?);

        let labels: BTreeMap<_, _> = LABELS.into_iter().collect();
        let config = layout.blob(
            CONFIG,
            serde_json::to_vec(&json!({
                "created": CREATED,
                "architecture": architecture(),
                "os": "linux",
                "config": {
                    "Env": [format!("PATH={SEARCH_PATH}")],
                    "Entrypoint": [ENTRYPOINT],
                    "Labels": labels,
                },
                "rootfs": {"type": "layers", "diff_ids": [unpacked]},
                "history": [{"created": CREATED, "created_by": "cargo xtask image"}],
            }))?,
        );
        let mut manifest = layout.blob(
            MANIFEST,
            serde_json::to_vec(&json!({
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": config,
                "layers": [layer],
            }))?,
        );
        // The first is the name in OCI's own terms, the second containerd's.
        manifest["annotations"] = json!({
            "org.opencontainers.image.ref.name": tag,
            "io.containerd.image.name": tag,
        });
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [manifest]});
        layout
            .0
            .insert("index.json".to_owned(), serde_json::to_vec(&index)?);
        let version = json!({"imageLayoutVersion": "1.0.0"});
        layout
            .0
            .insert("oci-layout".to_owned(), serde_json::to_vec(&version)?);
        Ok(layout)
    }

    /// Adds a blob and returns its descriptor.
    fn blob(&mut self, media_type: &str, content: Vec<u8>) -> Value {
        let digest = digest(&content);
        let descriptor = json!({"mediaType": media_type, "digest": digest, "size": content.len()});
        self.0
            .insert(format!("blobs/{}", digest.replace(':', "/")), content);
        descriptor
    }
}

/// Adds what is in a directory, in the order of the names, as root's.
fn add(tar: &mut Builder<Vec<u8>>, directory: &Path, below: &str) -> Result<()> {
    let context = || format!("can not read {}", directory.display());
    let mut entries: Vec<_> = fs::read_dir(directory)
        .and_then(Iterator::collect)
        .with_context(context)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = format!("{below}{}", entry.file_name().to_string_lossy());
        let about = entry.metadata().with_context(context)?;
        if about.is_dir() {
            let mut header = header(EntryType::Directory, 0o755, 0);
            tar.append_data(&mut header, format!("{name}/"), &[][..])?;
            add(tar, &entry.path(), &format!("{name}/"))?;
        } else {
            let bytes = fs::read(entry.path()).with_context(context)?;
            append(tar, &name, about.mode() & 0o777, &bytes)?;
        }
    }
    Ok(())
}

fn append<W: Write>(tar: &mut Builder<W>, name: &str, mode: u32, content: &[u8]) -> io::Result<()> {
    let mut header = header(EntryType::Regular, mode, content.len() as u64);
    tar.append_data(&mut header, name, content)
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header
}

fn digest(content: &[u8]) -> String {
    format!("sha256:{:x}", Sha256::digest(content))
}

/// The processor as registries call it.
fn architecture() -> &'static str {
    match env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, fs::Permissions, os::unix::fs::PermissionsExt as _};

    use flate2::read::GzDecoder;
    use tar::Archive;

    use super::*;

    fn layout(content: &str) -> Layout {
        let place = tempfile::tempdir().unwrap();
        let program = place.path().join("usr/bin/ftp-helper");
        fs::create_dir_all(program.parent().unwrap()).unwrap();
        fs::write(&program, content).unwrap();
        fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
        Layout::new(place.path(), "ftp-helper:1").unwrap()
    }

    fn json(layout: &Layout, name: &str) -> Value {
        serde_json::from_slice(&layout.0[name]).unwrap()
    }

    fn blob(layout: &Layout, descriptor: &Value) -> String {
        let digest = descriptor["digest"].as_str().unwrap();
        let name = format!("blobs/{}", digest.replace(':', "/"));
        assert_eq!(layout.0[&name].len() as u64, descriptor["size"]);
        assert_eq!(super::digest(&layout.0[&name]), digest);
        name
    }

    #[test]
    fn every_file_is_found_from_the_index() {
        let layout = layout("program");
        assert_eq!(json(&layout, "oci-layout")["imageLayoutVersion"], "1.0.0");
        let index = json(&layout, "index.json");
        let manifest = blob(&layout, &index["manifests"][0]);
        let about = json(&layout, &manifest);
        let config = blob(&layout, &about["config"]);
        let layer = blob(&layout, &about["layers"][0]);
        let known = HashSet::from(["oci-layout", "index.json", &manifest, &config, &layer]);
        let there: HashSet<_> = layout.0.keys().map(String::as_str).collect();
        assert_eq!(there, known);

        let config = json(&layout, &config);
        assert_eq!(config["config"]["Entrypoint"][0], ENTRYPOINT);
        let mut unpacked = Vec::new();
        io::copy(&mut GzDecoder::new(&*layout.0[&layer]), &mut unpacked).unwrap();
        assert_eq!(config["rootfs"]["diff_ids"][0], digest(&unpacked));
        let mut archive = Archive::new(&*unpacked);
        let entries = archive.entries().unwrap().map(|entry| {
            let entry = entry.unwrap();
            let header = entry.header();
            assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
            let path = entry.path().unwrap().display().to_string();
            (path, header.mode().unwrap())
        });
        let expected = ["usr/", "usr/bin/", "usr/bin/ftp-helper"].map(|it| (it.to_owned(), 0o755));
        assert!(entries.eq(expected));
    }

    #[test]
    fn the_same_content_gives_the_same_bytes() {
        assert!(layout("program").0 == layout("program").0);
        assert!(layout("program").0 != layout("another").0);
    }
}
