//! What runs inside the machine: `cargo xtask vm-guest`, started by its init script.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read as _, Write as _},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use super::{
    facts, libtest,
    record::{Finished, LOG_PORT, Plan, RECORD_PORT, Record, TestBinary},
};

/// Modules that no program loads by itself: the kernel's own helper, which the tests
/// compare with.
const MODULES: [&str; 1] = ["nf_nat_ftp"];

const POLL: Duration = Duration::from_millis(20);

/// Run the tests inside of a machine that `vm-test` has started.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// What to do
    plan: PathBuf,
}

/// Runs the command.
pub(crate) fn run(options: &Options) -> Result<()> {
    let plan = fs::read(&options.plan)
        .with_context(|| format!("can not read {}", options.plan.display()))?;
    let plan: Plan = serde_json::from_slice(&plan).context("the plan is not understood")?;
    let mut report = Report {
        records: port(RECORD_PORT)?,
        log: port(LOG_PORT)?,
    };
    report.send(&Record::Ready)?;
    report.send(&Record::Facts(facts::find(&plan.agent)))?;
    for module in MODULES {
        if !crate::process::succeeds(Command::new("modprobe").arg(module)) {
            report.tell(&format!("module {module} is not loaded"))?;
        }
    }
    for binary in &plan.binaries {
        report.send(&Record::Started(binary.name.clone()))?;
        let finished = report.try_run(binary, &plan)?;
        report.send(&Record::Finished(finished))?;
    }
    report.send(&Record::Done)
}

/// A serial port by its name; there is no udev that would make a file for it.
fn port(name: &str) -> Result<File> {
    let ports = Path::new("/sys/class/virtio-ports");
    for entry in fs::read_dir(ports).context("there are no serial ports")? {
        let entry = entry?;
        let found = fs::read_to_string(entry.path().join("name")).unwrap_or_default();
        if found.trim() == name {
            let path = Path::new("/dev").join(entry.file_name());
            return OpenOptions::new()
                .write(true)
                .open(&path)
                .with_context(|| format!("can not open {}", path.display()));
        }
    }
    bail!("there is no serial port {name}")
}

/// The way out of the machine.
struct Report {
    records: File,
    log: File,
}

impl Report {
    fn send(&mut self, record: &Record) -> Result<()> {
        let mut line = serde_json::to_string(record)?;
        line.push('\n');
        self.records
            .write_all(line.as_bytes())
            .context("no record gets out")
    }

    fn tell(&mut self, text: &str) -> Result<()> {
        writeln!(self.log, "==> {text}").context("no log gets out")
    }

    /// Runs a test binary to its end, or to the end of its time.
    fn try_run(&mut self, binary: &TestBinary, plan: &Plan) -> Result<Finished> {
        self.tell(&binary.name)?;
        let started = Instant::now();
        let (reader, writer) = std::io::pipe().context("no pipe")?;
        let mut command = Command::new(&binary.path);
        command
            .args(&binary.filters)
            .args(binary.exact.then_some("--exact"))
            .args(["--test-threads", &plan.threads.to_string()])
            .envs(&plan.environment)
            .env("FTP_HELPER_BIN", &plan.agent)
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer);
        let child = command.spawn();
        // It holds the pipe's writing end.
        drop(command);
        let mut finished = match child {
            Ok(child) => self.attend(child, reader.into(), &binary.name, plan.limit)?,
            Err(error) => Finished {
                name: binary.name.clone(),
                trouble: Some(format!("does not start: {error}")),
                ..Finished::default()
            },
        };
        finished.seconds = started.elapsed().as_secs_f64();
        Ok(finished)
    }

    fn attend(
        &mut self,
        mut child: Child,
        output: OwnedFd,
        name: &str,
        limit: u64,
    ) -> Result<Finished> {
        let log = self.log.try_clone()?;
        let reader = thread::spawn(move || forward(output.into(), log));
        let started = Instant::now();
        let limit = Duration::from_secs(limit);
        let (status, late) = loop {
            if let Some(status) = child.try_wait()? {
                break (status, false);
            }
            if started.elapsed() > limit {
                child.kill()?;
                break (child.wait()?, true);
            }
            thread::sleep(POLL);
        };
        let Ok(printed) = reader.join() else {
            bail!("the output of {name} was not read");
        };
        let mut finished = libtest::read(name, &printed, status.success());
        if late {
            finished.trouble = Some(format!("ended after {} seconds", limit.as_secs()));
        }
        Ok(finished)
    }
}

/// Sends all output on as it comes, and collects it.
fn forward(mut output: File, mut log: File) -> String {
    let mut collected = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match output.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(length) => {
                collected.extend_from_slice(&buffer[..length]);
                // Without a log the records still tell what failed.
                let _ = log.write_all(&buffer[..length]);
            }
        }
    }
    String::from_utf8_lossy(&collected).into_owned()
}
