//! What is made for the packages and is no file of the repository: the stripped
//! binary, the manual pages, the completions.
//!
//! It lies in `target/release/package`, where the agent's manifest tells cargo-deb to
//! look for it, whatever profile the binary is of: cargo-deb packages that one only.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::{changelog, compressed, empty, epoch::Epoch, file_name};
use crate::{process, workspace};

/// The shells, and what a file of completions for each is called.
const SHELLS: [(&str, &str); 3] = [
    ("bash", "ftp-helper.bash"),
    ("zsh", "_ftp-helper"),
    ("fish", "ftp-helper.fish"),
];

/// A filled directory.
#[derive(Debug)]
pub(super) struct Staging {
    directory: PathBuf,
}

impl Staging {
    /// Fills it from the binary of this profile, which is built.
    pub(super) fn fill(release: bool, epoch: Epoch) -> Result<Self> {
        let built = workspace::artifact(release, "ftp-helper")?;
        let staging = Self {
            directory: empty(&workspace::artifact(true, "package")?)?,
        };
        process::step("Make manual pages and completions");
        staging.make_pages(&built)?;
        staging.make_completions(&built)?;
        let changes = staging.directory.join("changelog.Debian.gz");
        compressed::write(&changes, changelog::text(epoch)?.as_bytes())
            .with_context(|| format!("can not write {}", changes.display()))?;
        strip(&built, &staging.binary())?;
        Ok(staging)
    }

    pub(super) fn binary(&self) -> PathBuf {
        self.directory.join("ftp-helper")
    }

    pub(super) fn man(&self) -> PathBuf {
        self.directory.join("man")
    }

    pub(super) fn completions(&self) -> PathBuf {
        self.directory.join("completions")
    }

    fn make_pages(&self, agent: &Path) -> Result<()> {
        let directory = self.man();
        process::run(Command::new(agent).args(["man", "--dir"]).arg(&directory))?;
        let context = || format!("can not compress what is in {}", directory.display());
        // At once: the directory is added to below.
        let pages: Vec<_> = fs::read_dir(&directory)
            .and_then(Iterator::collect)
            .with_context(context)?;
        for page in pages {
            let page = page.path();
            let text = fs::read(&page).with_context(context)?;
            let packed = directory.join(format!("{}.gz", file_name(&page)));
            compressed::write(&packed, &text).with_context(context)?;
            fs::remove_file(&page).with_context(context)?;
        }
        Ok(())
    }

    fn make_completions(&self, agent: &Path) -> Result<()> {
        let directory = empty(&self.completions())?;
        for (shell, name) in SHELLS {
            let script = process::output(Command::new(agent).args(["completions", shell]))
                .with_context(|| format!("no completions for {shell}"))?;
            let path = directory.join(name);
            fs::write(&path, script)
                .with_context(|| format!("can not write {}", path.display()))?;
        }
        Ok(())
    }
}

/// Writes the binary without its symbols. The programs for the kernel are data in
/// there, and keep theirs.
fn strip(from: &Path, to: &Path) -> Result<()> {
    process::run(Command::new("strip").arg("-o").arg(to).arg(from))
        .context("the binary could not be stripped; strip belongs to binutils")
}
