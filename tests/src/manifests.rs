//! The manifests for Kubernetes, rendered and checked with the tools of its own.
//!
//! These are packages of Python, which `cargo xtask setup` puts into a virtual
//! environment in the target directory: kubectl, Helm, and the schemas of many versions.

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// Oldest and newest version whose schemas are asked, and some between.
pub const VERSIONS: [&str; 5] = ["1.30", "1.32", "1.34", "1.36", "1.37"];

const TOOL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/manifests/tool.py");

/// A directory of the repository.
pub fn directory(path: &str) -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests).join(path)
}

/// What is needed, found.
#[derive(Debug)]
pub struct Tools {
    /// The programs of the virtual environment.
    programs: PathBuf,
}

/// Manifests that were looked at.
#[derive(Debug)]
pub struct Checked {
    /// Each of them.
    pub documents: Vec<Value>,
    /// What the schemas object to.
    pub faults: Vec<String>,
    /// Kinds of which there is no schema.
    pub unchecked: Vec<String>,
}

impl Tools {
    /// Looks for them; says why they can not be had.
    pub fn find() -> Result<Self> {
        let own = env::current_exe().context("path of the running program")?;
        let programs = own
            .ancestors()
            .map(|target| target.join("xtask/manifests/bin"))
            .find(|programs| programs.join("kubernetes-validate").exists());
        let programs = programs.context(
            "there is nothing to render and check manifests with: `cargo xtask setup` installs it",
        )?;
        Ok(Self { programs })
    }

    /// What `kubectl kustomize` makes of a directory of the repository.
    pub fn kustomize(&self, path: &str) -> Result<String> {
        let kubectl = self.programs.join("kubectl");
        printed(Command::new(kubectl).arg("kustomize").arg(directory(path)))
    }

    /// What Helm makes of the chart with these values and this name of the release.
    pub fn chart(&self, values: &Value, name: &str) -> Result<String> {
        let input = Scratch::new("values.json", &serde_json::to_vec(values)?)?;
        let mut command = self.tool("chart");
        command
            .arg(directory("deploy/helm/ftp-helper"))
            .arg(name)
            .stdin(File::open(&input.0)?);
        printed(&mut command)
    }

    /// What Helm has to say about the chart, as severities and texts.
    pub fn lint(&self) -> Result<Value> {
        let mut command = self.tool("lint");
        let text = printed(command.arg(directory("deploy/helm/ftp-helper")))?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Checks manifests against the schemas of [`VERSIONS`].
    pub fn check(&self, manifests: &str) -> Result<Checked> {
        let input = Scratch::new("manifests.yaml", manifests.as_bytes())?;
        let mut command = self.tool("check");
        let text = printed(command.arg(&input.0).args(VERSIONS))?;
        let mut found: Value = serde_json::from_str(&text)?;
        Ok(Checked {
            documents: serde_json::from_value(found["documents"].take())?,
            faults: serde_json::from_value(found["faults"].take())?,
            unchecked: serde_json::from_value(found["unchecked"].take())?,
        })
    }

    fn tool(&self, what: &str) -> Command {
        let mut command = Command::new(self.programs.join("python"));
        command.arg(TOOL).arg(what);
        command
    }
}

/// What a command prints; it has to succeed.
fn printed(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("`{}` does not start", command.get_program().display()))?;
    if !output.status.success() {
        bail!(
            "{command:?}: {}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// A file that goes with this value.
#[derive(Debug)]
pub struct Scratch(pub PathBuf);

impl Scratch {
    /// Makes one whose name ends like this.
    pub fn new(name: &str, content: &[u8]) -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);

        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("ftp-helper-{}-{number}-{name}", std::process::id());
        let path = env::temp_dir().join(name);
        fs::write(&path, content).with_context(|| format!("can not write {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A file that stays in the directory for them does no harm.
        let _ = fs::remove_file(&self.0);
    }
}
