//! One network, from its start to its end.

use std::{
    fs::{self, OpenOptions},
    path::Path,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use super::{
    amount::Amount,
    gauge::{Tables, conntrack, counters, growth, memory, process_of},
    report::Wing as Report,
    traffic::{
        content,
        drive::Outcome,
        kind::Kind,
        task::{Driven, Starter, words},
    },
    wing::Wing,
};
use crate::{
    agent::{Agent, RunningAgent},
    lab::{FILES, Lab},
    relay::Relay,
    server::{DOWNLOADS, Server},
    setup::{Family, Inside, Setup},
    wait::patient,
};

/// Port of the load's own server, beside that of a real one.
const PORT: u16 = 2121;
/// Where encrypted sessions' data connections go to: the firewall lets them in.
const PASSIVE: &str = "30000-30999";
/// Sizes of files.
const SIZES: [u64; 3] = [500, 8000, 60_000];
/// Sessions of a load at once.
const CLIENTS: usize = 24;
/// Of so many sessions one goes to a real server, where there is one.
const REAL: u64 = 5;
/// Longest wait of a session's ends for anything.
const PATIENCE: Duration = Duration::from_secs(120);
/// So many warnings are quoted.
const QUOTED: usize = 5;
/// Behind the time in which sessions begin, the last one has this long.
const SPARE: Duration = Duration::from_secs(300);
/// Behind the last session everything is over within this time: closed sessions are kept
/// for two minutes, as conntrack keeps TIME_WAIT.
const SETTLED: Duration = Duration::from_secs(240);

/// Makes the wing's part of the sessions.
pub(super) fn run(
    wing: &Wing,
    amount: &Amount,
    seed: u64,
    starter: &Starter,
    agent: &Path,
) -> Result<Report> {
    let lab = Lab::new(wing.setup(seed))?;
    open_ports(&lab)?;
    let agent = Agent::new(&lab, agent);
    let running = agent.start_for("wan0", &[21, PORT])?;
    let certificate = Path::new(FILES).join("certificate.der");
    let server = words([
        &PORT,
        &"--certificate",
        &certificate.display(),
        &"--passive-ports",
        &PASSIVE,
        &"--patience",
        &patient(PATIENCE).as_secs(),
    ]);
    let _server = starter.serve(&lab, &server)?;
    let real = wing
        .real
        .map(|kind| Server::start(&lab, kind))
        .transpose()?;
    for size in SIZES {
        if let Some(server) = &real {
            content::make(&server.file(DOWNLOADS), size)?;
        }
    }
    let mut report = Report {
        name: wing.name.to_owned(),
        before: Tables::of(&lab, &agent)?,
        ..Report::default()
    };
    let loads = start(wing, amount, seed, starter, &lab)?;
    let mut watch = Watch {
        lab: &lab,
        agent: &agent,
        running: &running,
        process: process_of(&agent)?,
        warnings: 0,
    };
    let outcome = watch.until_over(loads, amount, &mut report)?;
    report.seconds = outcome.seconds;
    report.kinds = outcome.kinds;
    report.real = real.map(|server| (server.kind.name().to_owned(), part(wing, amount).1));
    watch.settle(amount, &mut report)?;
    report.counters = counters(&agent)?;
    let relays = [&lab.inside_relay, &lab.outside_relay];
    report.impaired_packets = relays.into_iter().flatten().map(Relay::work).sum();
    judge(wing, amount, &mut report);
    Ok(report)
}

/// Sessions to the load's own server, and to a real one.
fn part(wing: &Wing, amount: &Amount) -> (u64, u64) {
    let all = amount.sessions * wing.share / 100;
    let real = if wing.real.is_some() { all / REAL } else { 0 };
    (all - real, real)
}

fn start(
    wing: &Wing,
    amount: &Amount,
    seed: u64,
    starter: &Starter,
    lab: &Lab,
) -> Result<Vec<Driven>> {
    let (own, real) = part(wing, amount);
    let sizes = SIZES.map(|size| size.to_string()).join(",");
    let certificate = Path::new(FILES).join("certificate.der");
    let mut loads = Vec::new();
    for (name, port, kinds, sessions) in [
        ("load", PORT, wing.kinds(), own),
        ("real-load", 21, wing.real_kinds(), real),
    ] {
        if sessions == 0 {
            continue;
        }
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52 sessions")]
        let rate = sessions as f64 / patient(amount.time).as_secs_f64();
        let kinds: Vec<_> = kinds.iter().copied().map(Kind::word).collect();
        let server = std::net::SocketAddr::new(lab.setup.dialled().ip(), port);
        let mut words = words([
            &server,
            &"--kinds",
            &kinds.join(","),
            &"--sessions",
            &sessions,
            &"--rate",
            &rate,
            &"--clients",
            &CLIENTS,
            &"--sizes",
            &sizes,
            &"--seed",
            &seed,
            &"--patience",
            &patient(PATIENCE).as_secs(),
        ]);
        if port == PORT {
            words.push("--stores".to_owned());
            words.push("--certificate".to_owned());
            words.push(certificate.display().to_string());
        } else {
            words.push("--directory".to_owned());
            words.push(format!("{DOWNLOADS}/"));
        }
        loads.push(starter.drive(lab, &lab.client, name, &words)?);
    }
    Ok(loads)
}

/// Lets clients outside in, to the load's server inside: to its port, and to those that
/// encrypted sessions use, which nobody can help.
fn open_ports(lab: &Lab) -> Result<()> {
    let Setup {
        inside, addresses, ..
    } = &lab.setup;
    if *inside == Inside::Client {
        return Ok(());
    }
    let word = match lab.setup.family() {
        Family::V4 => "ip",
        Family::V6 => "ip6",
    };
    let (server, known) = (addresses.server, lab.setup.known_as());
    let ports = format!("tcp dport {{ {PORT}, {PASSIVE} }}");
    for line in [
        format!(
            "nft insert rule inet filter forward iifname wan0 {word} daddr {server} {ports} ct \
             state new accept"
        ),
        format!(
            "nft add rule {word} nat prerouting iifname wan0 {word} daddr {known} {ports} dnat to \
             {server}"
        ),
    ] {
        lab.gateway.must(&line)?;
    }
    Ok(())
}

/// Looks on.
struct Watch<'a> {
    lab: &'a Lab,
    agent: &'a Agent,
    running: &'a RunningAgent,
    process: std::path::PathBuf,
    /// Of the agent's, so far.
    warnings: usize,
}

impl Watch<'_> {
    fn until_over(
        &mut self,
        mut loads: Vec<Driven>,
        amount: &Amount,
        report: &mut Report,
    ) -> Result<Outcome> {
        let begin = Instant::now();
        let limit = patient(amount.time + SPARE);
        loop {
            sleep(amount.interval);
            self.look(report)?;
            let mut are_over = true;
            for load in &mut loads {
                are_over &= load.is_over()?;
            }
            if are_over {
                break;
            }
            let over: u64 = loads.iter().map(Driven::over).sum();
            ensure!(
                begin.elapsed() < limit,
                "only {over} sessions are over after {} s",
                limit.as_secs()
            );
        }
        let mut sum = Outcome::default();
        for load in loads {
            sum.add(&load.finish(Duration::from_secs(10))?);
        }
        Ok(sum)
    }

    /// Takes a sample.
    fn look(&mut self, report: &mut Report) -> Result<()> {
        report.memory.push(memory(&self.process)?);
        report.most.conntrack = report.most.conntrack.max(conntrack(self.lab)?);
        // A machine that has too much to do for a command may miss one look.
        if let Ok(tables) = Tables::of(self.lab, self.agent) {
            for (name, entries) in tables.entries {
                let most = report.most.entries.entry(name).or_default();
                *most = entries.max(*most);
            }
            report.most.open = report.most.open.max(tables.open);
        }
        self.read_logs(report)
    }

    /// Looks for warnings, and keeps logs from filling the memory.
    fn read_logs(&mut self, report: &mut Report) -> Result<()> {
        for line in self.running.log()?.lines() {
            if line.contains(" WARN ") || line.contains(" ERROR ") {
                self.warnings += 1;
                if self.warnings <= QUOTED {
                    report.faults.push(format!("the agent said: {line}"));
                }
            }
        }
        self.shorten_logs()
    }

    /// What is in them has been read. All writers append, so they go on from the start.
    fn shorten_logs(&self) -> Result<()> {
        for entry in fs::read_dir(self.lab.logs())?.flatten() {
            let path = entry.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            // The load's words at its end, and marks for it.
            if name.contains("load") {
                continue;
            }
            let file = OpenOptions::new().write(true).open(&path);
            file.and_then(|file| file.set_len(0))
                .with_context(|| format!("{} not shortened", path.display()))?;
        }
        Ok(())
    }

    /// Waits until what is over is forgotten.
    fn settle(&mut self, amount: &Amount, report: &mut Report) -> Result<()> {
        let begin = Instant::now();
        loop {
            report.after = Tables::of(self.lab, self.agent)?;
            let after = &report.after;
            let is_empty = after.open == 0 && after.of_name("expectations") == 0;
            let is_as_before = after.is_empty_as(&report.before);
            if is_empty && (is_as_before || !amount.settles) {
                return Ok(());
            }
            if begin.elapsed() > patient(SETTLED) {
                return Ok(());
            }
            sleep(Duration::from_secs(1));
            self.read_logs(report)?;
        }
    }
}

/// What is not as it has to be.
fn judge(wing: &Wing, amount: &Amount, report: &mut Report) {
    let faults = &mut report.faults;
    let mut sessions = 0;
    let mut helped = 0;
    for (kind, count) in &report.kinds {
        sessions += count.done + count.failed;
        if wing.is_helped(kind) {
            helped += count.kept;
        }
        if count.failed > 0 {
            faults.push(format!(
                "{} of {} sessions with {kind} failed: {}",
                count.failed,
                count.done + count.failed,
                count.why.join("; ")
            ));
        }
    }
    let (own, real) = part(wing, amount);
    if sessions != own + real {
        faults.push(format!("{sessions} sessions instead of {}", own + real));
    }
    let of = |reason: &str| report.counters.get(reason).map_or(0, |it| it.count);
    for (reason, counter) in &report.counters {
        if counter.class == "refusal" || counter.class == "fault" {
            faults.push(format!("{reason} was counted {} times", counter.count));
        }
    }
    let matched = of("expectation_matched");
    if matched != helped {
        faults.push(format!(
            "{helped} transfers needed help, {matched} data connections were admitted"
        ));
    }
    if wing.is_impaired && report.impaired_packets == 0 {
        faults.push("the wires did nothing to any packet".to_owned());
    }
    let after = &report.after;
    if after.open > 0 || after.of_name("expectations") > 0 {
        faults.push(format!("something is left of what is over: {after:?}"));
    }
    if amount.settles && !after.is_empty_as(&report.before) {
        faults.push(format!(
            "the tables were {:?}, and are {after:?}",
            report.before
        ));
    }
    report.growth = growth(&report.memory);
    match report.growth {
        Some(growth) if growth <= i64::try_from(amount.growth).unwrap_or(i64::MAX) => {}
        Some(growth) => faults.push(format!("the agent's memory grew by {growth} KiB")),
        None => faults.push("too few looks at the agent's memory".to_owned()),
    }
}
