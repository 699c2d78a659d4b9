//! The machine: an emulator that boots a kernel with the root file system of the host.
//!
//! The emulator writes into files that have no name, and it dies with the process
//! that started it: nothing is left behind, however that ends.

use std::{
    fs::{self, File, OpenOptions},
    io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _},
    os::{
        fd::AsRawFd as _,
        unix::process::{CommandExt as _, parent_id},
    },
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use nix::{
    errno::Errno,
    sys::{prctl::set_pdeathsig, signal::Signal},
};

use super::{
    accelerator::Accelerator,
    record::{LOG_PORT, RECORD_PORT},
    tools::Tools,
};
use crate::workspace;

const MEMORY: &str = "2G";
pub(super) const PROCESSORS: usize = 2;

/// The console shows warnings of the kernel. A kernel that is broken ends. What guards
/// against attacks only costs time here, and what checks timers fails on a busy host.
const COMMAND_LINE: &str = "console=ttyS0 quiet loglevel=5 panic=-1 oops=panic \
     mitigations=off nokaslr init_on_alloc=0 no_timer_check nowatchdog";

/// A machine that runs.
pub(super) struct Machine {
    emulator: Child,
    lines: Receiver<String>,
    console: File,
    log: File,
    complaints: File,
    /// The emulator opens it some time after it has started.
    _initramfs: File,
}

/// What to start a machine with.
pub(super) struct Boot<'a> {
    pub(super) tools: &'a Tools,
    pub(super) accelerator: Accelerator,
    /// The kernel.
    pub(super) image: &'a Path,
    /// Its first root file system.
    pub(super) initramfs: &'a [u8],
    /// A directory for console and log, if they are wanted.
    pub(super) keep: Option<&'a Path>,
}

/// What was heard from a machine.
pub(super) enum Heard {
    /// A line.
    Line(String),
    /// Nothing in all the time.
    Nothing,
    /// It has ended.
    End,
}

impl Machine {
    /// Starts the machine.
    pub(super) fn boot(boot: &Boot<'_>) -> Result<Self> {
        let mut initramfs = unnamed()?;
        initramfs
            .write_all(boot.initramfs)
            .context("no room for the initial root file system")?;
        let console = output(boot.keep, "console.log")?;
        let log = output(boot.keep, "tests.log")?;
        let complaints = unnamed()?;
        let mut command = boot.tools.qemu();
        boot.accelerator.configure(&mut command);
        command
            .args(["-machine", "q35", "-m", MEMORY])
            .args(["-smp", &PROCESSORS.to_string()])
            .args(["-nodefaults", "-no-user-config", "-no-reboot"])
            .args(["-display", "none"])
            .arg("-kernel")
            .arg(boot.image)
            .args(["-initrd", &name_of(&initramfs)])
            .args(["-append", COMMAND_LINE])
            .args(["-serial", &format!("file:{}", name_of(&console))])
            .args(["-device", "virtio-serial-pci"])
            // Not `stdio`, which is disconnected when its input has ended.
            .args(["-chardev", "file,id=records,path=/dev/stdout"])
            .arg("-device")
            .arg(format!("virtserialport,chardev=records,name={RECORD_PORT}"))
            .arg("-chardev")
            .arg(format!("file,id=log,path={}", name_of(&log)))
            .arg("-device")
            .arg(format!("virtserialport,chardev=log,name={LOG_PORT}"))
            .arg("-fsdev")
            .arg("local,id=host,path=/,security_model=none,readonly=on,multidevs=remap")
            .args(["-device", "virtio-9p-pci,fsdev=host,mount_tag=host"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(complaints.try_clone()?);
        die_with_parent(&mut command);
        let mut emulator = command.spawn().context("the emulator does not start")?;
        let output = emulator.stdout.take().context("the emulator is mute")?;
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self {
            emulator,
            lines,
            console,
            log,
            complaints,
            _initramfs: initramfs,
        })
    }

    /// Waits for the next line.
    pub(super) fn hear(&self, limit: Duration) -> Heard {
        match self.lines.recv_timeout(limit) {
            Ok(line) => Heard::Line(line),
            Err(RecvTimeoutError::Timeout) => Heard::Nothing,
            Err(RecvTimeoutError::Disconnected) => Heard::End,
        }
    }

    /// Everything on the console so far, and what the emulator had to say.
    pub(super) fn console(&mut self) -> String {
        content(&mut self.console) + &content(&mut self.complaints)
    }

    /// Everything that the tests have printed so far.
    pub(super) fn log(&mut self) -> String {
        content(&mut self.log)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Both fail only for a process that is gone, which is what is wanted.
        let _ = self.emulator.kill();
        let _ = self.emulator.wait();
    }
}

/// Lets the kernel kill the command with the thread that starts it.
fn die_with_parent(command: &mut Command) {
    let parent = std::process::id();
    // SAFETY: between fork and exec only system calls are made, nothing allocates.
    unsafe {
        command.pre_exec(move || {
            set_pdeathsig(Signal::SIGKILL)?;
            // It may have ended before that.
            if parent_id() != parent {
                return Err(Errno::ESRCH.into());
            }
            Ok(())
        });
    }
}

fn unnamed() -> Result<File> {
    tempfile::tempfile_in(workspace::scratch()?).context("can not make an unnamed file")
}

fn output(keep: Option<&Path>, name: &str) -> Result<File> {
    let Some(directory) = keep else {
        return unnamed();
    };
    fs::create_dir_all(directory)
        .with_context(|| format!("can not make {}", directory.display()))?;
    let path = directory.join(name);
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&path)
        .with_context(|| format!("can not make {}", path.display()))
}

/// A name by which another process of this user opens the file.
fn name_of(file: &File) -> String {
    format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd())
}

fn content(file: &mut File) -> String {
    let mut bytes = Vec::new();
    // What can not be read is missing in a message about a failure, no more.
    let _ = file.seek(SeekFrom::Start(0));
    let _ = file.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}
