//! A set of transfers, and whether everything arrived.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::{
    client::Step,
    lab::Lab,
    payload::{self, Digest},
    server::{DOWNLOADS, Server, UPLOADS},
};

/// A set of transfers over one control connection, with what has to arrive.
#[derive(Debug, Default)]
pub struct Transfers {
    /// For [`ClientKind::run`](crate::client::ClientKind::run).
    pub steps: Vec<Step>,
    arrivals: Vec<(PathBuf, Digest)>,
    listings: Vec<(PathBuf, String)>,
    used: Vec<PathBuf>,
}

impl Transfers {
    /// No transfer yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the listing of [`DOWNLOADS`], where a file of this name has to show.
    pub fn list(&mut self, lab: &Lab, server: &Server, name: &str) -> Result<()> {
        let file = server.file(&format!("{DOWNLOADS}/{name}"));
        fs::write(&file, name).with_context(|| format!("{} not made", file.display()))?;
        let local = lab
            .client_files()
            .join(format!("listing-{}", self.steps.len()));
        self.steps.push(Step::List {
            remote: DOWNLOADS.to_owned(),
            local: local.clone(),
        });
        self.listings.push((local.clone(), name.to_owned()));
        self.used.extend([file, local]);
        Ok(())
    }

    /// Adds the download of a file of `size` bytes, made here.
    pub fn download(&mut self, lab: &Lab, server: &Server, size: usize) -> Result<()> {
        let name = format!("download-{}-{size}", self.steps.len());
        let remote = format!("{DOWNLOADS}/{name}");
        let file = server.file(&remote);
        let digest = payload::write(&file, size, self.seed())?;
        let local = lab.client_files().join(name);
        self.steps.push(Step::Download {
            remote,
            local: local.clone(),
        });
        self.arrivals.push((local.clone(), digest));
        self.used.extend([file, local]);
        Ok(())
    }

    /// Adds the upload of a file of `size` bytes, made here.
    pub fn upload(&mut self, lab: &Lab, server: &Server, size: usize) -> Result<()> {
        let name = format!("upload-{}-{size}", self.steps.len());
        let remote = format!("{UPLOADS}/{name}");
        let local = lab.client_files().join(name);
        let digest = payload::write(&local, size, self.seed())?;
        let file = server.file(&remote);
        self.steps.push(Step::Upload {
            local: local.clone(),
            remote,
        });
        self.arrivals.push((file.clone(), digest));
        self.used.extend([file, local]);
        Ok(())
    }

    /// How many transfers these are.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// An error unless everything has arrived, byte for byte.
    pub fn arrived(&self) -> Result<()> {
        for (path, expected) in &self.arrivals {
            let found = payload::digest(path)?;
            ensure!(
                found == *expected,
                "{} arrived as {found:?}, was {expected:?}",
                path.display()
            );
        }
        for (path, name) in &self.listings {
            let listing = fs::read_to_string(path)
                .with_context(|| format!("{} not there", path.display()))?;
            ensure!(
                listing.lines().any(|line| line.ends_with(name)),
                "the listing has no {name}:\n{listing}"
            );
        }
        Ok(())
    }

    /// Different content for every file.
    fn seed(&self) -> u64 {
        self.steps.len() as u64
    }
}

impl Drop for Transfers {
    /// Frees the memory that the files take; large ones would add up.
    fn drop(&mut self) {
        for path in &self.used {
            // One that never arrived is not there to be removed.
            let _ = fs::remove_file(path);
        }
    }
}
