//! The Debian package from its installation to its removal, on a Debian system with
//! systemd, with transfers through it.
//!
//! `cargo xtask test` makes the package and says where it is, in the environment variable
//! `FTP_HELPER_PACKAGE`; by hand that is
//!
//! ```text
//! cargo xtask dist --debug
//! FTP_HELPER_PACKAGE=$PWD/target/dist-debug/ftp-helper_0.1.0-1_amd64.deb \
//!     cargo test --package ftp-helper-tests --test packaging
//! ```

use std::{
    collections::BTreeSet,
    env, fs,
    path::{self, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use ftp_helper_tests::{
    check::{exchange, is_helped},
    client::{ClientKind, Mode},
    container::{self, Cgroup, Container},
    lab::Lab,
    ongoing::{Large, Ongoing},
    scenario::{has_root, scenario, skip},
    server::{DOWNLOADS, Server, ServerKind},
    setup::Setup,
    transfers::Transfers,
};
use serde_json::Value;

const UNIT: &str = "ftp-helper.service";
const SETTINGS: &str = "/etc/ftp-helper/ftp-helper.toml";
const PINS: &str = "/sys/fs/bpf/ftp-helper";
const METRICS: &str = "http://127.0.0.1:21021";

/// How exposed `systemd-analyze security` may call the unit, in tenths; root with
/// networking and BPF, and nothing else, is about 2.6.
const EXPOSURE: &str = "30";

/// The settings; and that the service was enabled, for the next installation, with a mask
/// that keeps it from starting until then. This is how Debian's packages do it.
const AFTER_REMOVAL: &[&str] = &[
    "etc/ftp-helper",
    "etc/ftp-helper/ftp-helper.toml",
    "etc/systemd/system/ftp-helper.service",
    "etc/systemd/system/multi-user.target.wants/ftp-helper.service",
];

/// What installing and removing packages leaves anywhere, none of it this package's.
const OF_THE_TOOLS: &[&str] = &[
    "etc/group-",
    "etc/gshadow-",
    "etc/ld.so.cache",
    "run",
    "tmp",
    "usr/share/info/dir",
    "var/backups",
    "var/cache",
    "var/lib/dpkg/info",
    "var/lib/dpkg/lock",
    "var/lib/dpkg/lock-frontend",
    "var/lib/dpkg/status",
    "var/lib/dpkg/status-old",
    "var/lib/dpkg/triggers",
    "var/lib/dpkg/updates",
    "var/lib/systemd",
    "var/lib/private",
    "var/log",
    "var/tmp",
];

#[test]
fn from_installation_to_removal() {
    packaged(|lab, container| {
        let server = Server::start(lab, ServerKind::Vsftpd)?;
        let before = container.changes()?;
        container.must(&["dpkg", "--install", "/ftp-helper.deb"])?;
        waits_for_an_interface(container)?;
        ensure!(!is_helped(lab, &server)?, "helped before the start");

        set(container, "interface = \"wan0\"\n")?;
        container.must(&["systemctl", "enable", "--now", UNIT])?;
        is_confined(container)?;
        helps(lab, &server, container)?;
        reloads(container)?;
        upgrades(lab, &server, container)?;

        container.must(&["dpkg", "--remove", "ftp-helper"])?;
        nothing_runs(container)?;
        ensure!(!is_helped(lab, &server)?, "still helped");
        let left = left(container, &before)?;
        ensure!(
            left == AFTER_REMOVAL,
            "after the removal there are {left:?}"
        );
        container.must(&["dpkg", "--purge", "ftp-helper"])?;
        let left = self::left(container, &before)?;
        ensure!(left.is_empty(), "after the purge there are {left:?}");
        let group = container.run(&["getent", "group", "ftp-helper"])?;
        ensure!(!group.status.success(), "left a group: {}", group.stdout);
        Ok(())
    });
}

/// Members of a group look without being root, with the drop-in of the examples.
#[test]
fn members_of_the_group_may_look() {
    packaged(|_, container| {
        container.must(&["dpkg", "--install", "/ftp-helper.deb"])?;
        set(container, "interface = \"wan0\"\n")?;
        container.must(&["systemctl", "start", UNIT])?;
        let look = || {
            container.run(&[
                "setpriv",
                "--reuid=nobody",
                "--regid=nogroup",
                "--groups=ftp-helper",
                "ftp-helper",
                "session",
                "list",
            ])
        };
        ensure!(!look()?.status.success(), "everybody may look");

        let place = format!("/etc/systemd/system/{UNIT}.d");
        let example = "/usr/share/doc/ftp-helper/examples/readers.conf";
        container.must(&["mkdir", &place])?;
        container.must(&["cp", example, &place])?;
        set(container, "interface = \"wan0\"\ngroup = \"ftp-helper\"\n")?;
        container.must(&["systemctl", "daemon-reload"])?;
        container.must(&["systemctl", "restart", UNIT])?;
        look()?.success("session list as a member of the group")?;
        Ok(())
    });
}

/// Runs `body` with a booted system that has the package as `/ftp-helper.deb`, and sees
/// that nothing of it stays.
fn packaged(body: impl FnOnce(&Lab, &Container) -> Result<()> + Send) {
    if !has_root() {
        return;
    }
    if let Some(why) = container::missing() {
        skip(&why);
        return;
    }
    let package = package().unwrap_or_else(|error| panic!("{error:#}"));
    let Some(cgroup) = Cgroup::new().unwrap_or_else(|error| panic!("{error:#}")) else {
        skip("no cgroup2 hierarchy is mounted that may be written to");
        return;
    };
    scenario(Setup::default(), |lab| {
        let container = Container::boot(lab, &cgroup, &package, "ftp-helper.deb")?;
        body(lab, &container).with_context(|| container.journal())
    });
    cgroup.remove().unwrap_or_else(|error| panic!("{error:#}"));
}

fn package() -> Result<PathBuf> {
    let Some(package) = env::var_os("FTP_HELPER_PACKAGE") else {
        bail!(
            "FTP_HELPER_PACKAGE names no package: make one with `cargo xtask dist --debug`, or use \
             `cargo xtask test`"
        );
    };
    // Tests run in the directory of their crate.
    let package = path::absolute(package)?;
    ensure!(package.is_file(), "there is no {}", package.display());
    Ok(package)
}

/// Replaces the settings by these and the usual place of the metrics.
fn set(container: &Container, settings: &str) -> Result<()> {
    let text = format!("{settings}metrics = \"127.0.0.1:21021\"\n");
    container.write(SETTINGS, &text)?;
    container.must(&["ftp-helper", "config", "check", SETTINGS])?;
    Ok(())
}

/// What a property of the unit is.
fn property(container: &Container, name: &str) -> Result<String> {
    let value = container.must(&["systemctl", "show", "--value", "--property", name, UNIT])?;
    Ok(value.trim().to_owned())
}

/// As it is installed: nothing runs, and a start says once what is missing.
fn waits_for_an_interface(container: &Container) -> Result<()> {
    let verified = container.run(&["systemd-analyze", "verify", UNIT])?;
    let verified = verified.success("systemd-analyze verify")?;
    ensure!(verified.stderr.is_empty(), "{}", verified.stderr);
    container.must(&[
        "systemd-analyze",
        "security",
        "--no-pager",
        &format!("--threshold={EXPOSURE}"),
        UNIT,
    ])?;
    let enabled = container.run(&["systemctl", "is-enabled", UNIT])?;
    ensure!(enabled.stdout == "disabled\n", "it is {}", enabled.stdout);
    ensure!(property(container, "ActiveState")? == "inactive");

    let start = container.run(&["systemctl", "start", UNIT])?;
    ensure!(!start.status.success(), "it starts without an interface");
    // Longer than it would wait to try again.
    std::thread::sleep(Duration::from_secs(6));
    ensure!(property(container, "ActiveState")? == "failed");
    ensure!(property(container, "NRestarts")? == "0", "it tries again");
    ensure!(property(container, "ExecMainStatus")? == "2");
    let said = container.must(&["journalctl", "--unit", UNIT, "--output=cat"])?;
    let said = said
        .lines()
        .filter(|line| line.contains("no outside interface"));
    ensure!(said.count() == 1);
    container.must(&["systemctl", "reset-failed", UNIT])?;
    Ok(())
}

/// The process has what the unit gives it, and no more.
fn is_confined(container: &Container) -> Result<()> {
    let pid = property(container, "MainPID")?;
    let status = container.must(&["cat", &format!("/proc/{pid}/status")])?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.map(|value| value.trim().to_owned())
            .with_context(|| format!("no {name} in {status}"))
    };
    ensure!(
        field("NoNewPrivs:")? == "1" && field("Seccomp:")? == "2",
        "{status}"
    );
    let effective = field("CapEff:")?;
    // CAP_NET_ADMIN (12), CAP_PERFMON (38), CAP_BPF (39).
    let wanted = format!("{:016x}", 1_u64 << 12 | 1 << 38 | 1 << 39);
    ensure!(
        effective == wanted,
        "it has capabilities {effective}, not {wanted}"
    );
    Ok(())
}

/// Transfers pass, and the package's commands tell of them.
fn helps(lab: &Lab, server: &Server, container: &Container) -> Result<()> {
    let mut transfers = Transfers::new();
    transfers.list(lab, server, "listed")?;
    transfers.download(lab, server, 1_000_000)?;
    transfers.upload(lab, server, 1_000_000)?;
    let rewrites = exchange(lab, server, ClientKind::Curl, Mode::Active, &transfers)?;

    let matched = count(container, "expectation_matched")?;
    ensure!(matched == rewrites.len() as u64, "{matched} matched");
    let sessions = container.must(&["ftp-helper", "session", "list"])?;
    ensure!(sessions.contains("203.0.113.2"), "{sessions}");
    let status = container.must(&["ftp-helper", "status"])?;
    ensure!(status.contains("wan0"), "{status}");
    let ready = format!("{METRICS}/readyz");
    container.must(&["curl", "--silent", "--fail", &ready])?;
    for page in ["ftp-helper", "ftp-helper-run", "ftp-helper-session-list"] {
        let shown = container.run(&["man", "--warnings", page])?;
        let shown = shown.success(page)?;
        ensure!(shown.stderr.is_empty(), "{page}: {}", shown.stderr);
        ensure!(shown.stdout.contains("OPTIONS"), "{page}: {}", shown.stdout);
    }
    for (shell, file) in [
        ("bash", "bash-completion/completions/ftp-helper"),
        ("zsh", "zsh/vendor-completions/_ftp-helper"),
        ("fish", "fish/vendor_completions.d/ftp-helper.fish"),
    ] {
        let made = container.must(&["ftp-helper", "completions", shell])?;
        let installed = container.must(&["cat", &format!("/usr/share/{file}")])?;
        ensure!(made == installed, "completions for {shell} are others");
    }
    Ok(())
}

/// The number that `stats` shows for a reason.
fn count(container: &Container, reason: &str) -> Result<u64> {
    let stats = container.must(&["ftp-helper", "stats", "--output", "json"])?;
    let stats: Value = serde_json::from_str(&stats)?;
    find_count(&stats, reason).with_context(|| format!("no {reason} in {stats}"))
}

/// Wherever in the document the row is.
fn find_count(value: &Value, reason: &str) -> Option<u64> {
    match value {
        Value::Array(rows) => rows.iter().find_map(|row| find_count(row, reason)),
        Value::Object(fields) if fields.get("reason").is_some_and(|it| it == reason) => {
            fields.get("count")?.as_u64()
        }
        Value::Object(fields) => fields.values().find_map(|it| find_count(it, reason)),
        _ => None,
    }
}

/// `systemctl reload` takes new settings, and fails where they are refused.
fn reloads(container: &Container) -> Result<()> {
    let pid = property(container, "MainPID")?;
    set(
        container,
        "interface = \"wan0\"\ncontrol-port = [21, 2121]\n",
    )?;
    container.must(&["systemctl", "reload", UNIT])?;
    let ports = container.must(&["ftp-helper", "port", "list"])?;
    ensure!(ports.contains("2121"), "{ports}");

    let wrong = "interface = \"wan0\"\ncontrol-prot = 21\n";
    container.write(SETTINGS, wrong)?;
    let reload = container.run(&["systemctl", "reload", UNIT])?;
    ensure!(!reload.status.success(), "a refused reload looks well");
    container.must(&["journalctl", "--sync"])?;
    let said = container.must(&["journalctl", "--unit", UNIT, "--output=cat"])?;
    ensure!(said.contains("did you mean `control-port`?"), "{said}");
    let ports = container.must(&["ftp-helper", "port", "list"])?;
    ensure!(ports.contains("2121"), "the old settings are gone: {ports}");

    set(container, "interface = \"wan0\"\n")?;
    container.must(&["systemctl", "reload", UNIT])?;
    ensure!(property(container, "ActiveState")? == "active");
    ensure!(property(container, "MainPID")? == pid, "it was restarted");
    Ok(())
}

/// Installing the package over itself is an upgrade for all that takes part. A
/// transfer goes on meanwhile, and the settings stay.
fn upgrades(lab: &Lab, server: &Server, container: &Container) -> Result<()> {
    const SIZE: u64 = 50_000_000;

    let old = property(container, "MainPID")?;
    let remote = format!("{DOWNLOADS}/large");
    let large = Large::make(&lab.server, &server.file(&remote), SIZE)?;
    let ongoing = Ongoing::start(&lab.client, server.endpoint(), Mode::Active, &remote)?;
    container.must(&["dpkg", "--install", "/ftp-helper.deb"])?;
    ensure!(ongoing.arrived() < SIZE, "the transfer was too short");
    let new = property(container, "MainPID")?;
    ensure!(old != new && new != "0", "the agent is {old}, then {new}");
    ensure!(property(container, "ActiveState")? == "active");
    ongoing.finish(&large)?;
    let settings = container.must(&["cat", SETTINGS])?;
    ensure!(settings.starts_with("interface = \"wan0\"\n"), "{settings}");
    ensure!(is_helped(lab, server)?, "not helped after the upgrade");
    Ok(())
}

fn nothing_runs(container: &Container) -> Result<()> {
    let processes = container.must(&["ps", "-e", "-o", "args="])?;
    ensure!(!processes.contains("ftp-helper"), "{processes}");
    let pins = container.run(&["ls", PINS])?;
    ensure!(!pins.status.success(), "pins are left: {}", pins.stdout);
    Ok(())
}

/// What there is now and was not before.
fn left(container: &Container, before: &BTreeSet<String>) -> Result<Vec<String>> {
    let is_a_tools = |path: &str| {
        OF_THE_TOOLS.iter().any(|known| {
            path.strip_prefix(known)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    };
    // The copy of a directory above a change is no news.
    let after = container.changes()?;
    let mut left = Vec::new();
    for path in after.difference(before) {
        if !is_a_tools(path) && !path::Path::new("/").join(path).exists() {
            left.push(path.clone());
        }
    }
    Ok(left)
}
