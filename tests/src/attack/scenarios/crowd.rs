//! One client against the others.

use std::{
    fs,
    io::Write as _,
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::super::{
    Attack, Stage, Way, others,
    stage::{command, pause},
};
use crate::{
    duet::{accept, listen},
    lab::Lab,
    setup::Inside,
    wait::portion,
};

/// Longest wait for what should come.
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) const ATTACKS: &[Attack] = &[
    Attack::new(
        "same_port",
        "another client announces the port that a client announced",
        "one client evicts what another awaits",
        Inside::Client,
        same_port,
    )
    .crowded(),
    Attack::new(
        "gateways_port",
        "a user of the gateway itself announces that port",
        "one client evicts what another awaits",
        Inside::Client,
        gateways_port,
    ),
    Attack {
        arguments: &["--session-limit", "2048"],
        ..Attack::new(
            "exhaustion",
            "one client has more control connections announce than the tables take",
            "`nf_conntrack_expect_max`",
            Inside::Client,
            exhaustion,
        )
        .crowded()
    },
    Attack::new(
        "all_ports",
        "one client announces the same port until others are hard to find",
        "exhaustion of ports",
        Inside::Client,
        all_ports,
    )
    .crowded(),
];

/// The other client's data connection is the victim's.
fn taken(stage: &Stage<'_>, other: &Lab) -> Result<()> {
    let lab = stage.lab;
    let trap = stage.trap(0)?;
    let mut victim = stage.login()?;
    let to = Stage::announce(lab, &mut victim, trap.listener())?;
    victim.server_says("200 done\r\n")?;

    // The other one's listener has the number of the victim's outside port.
    let mut attacker = Stage::login_of(other)?;
    let at = SocketAddr::new(other.setup.addresses.client, to.port());
    let listener = listen(&other.client, at)?;
    attacker.client.write(&command(at))?;
    let told = attacker.server.line()?;
    attacker.server_says("200 done\r\n")?;
    let way = Way::new(lab.outside(), to);
    let opened = way.open(PATIENCE);
    let theirs = listener.accept().is_ok();
    if theirs {
        stage.is_hole(&format!("{to} leads to the other client, after {told:?}"));
    }
    if let Err(error) = opened.and_then(|_| accept(trap.listener(), Duration::from_millis(300))) {
        stage.is_hurt("what the first client awaits", &error);
    }
    Ok(())
}

fn same_port(stage: &Stage<'_>) -> Result<()> {
    let other = stage.others()?.as_client(stage.lab);
    taken(stage, &other)
}

fn gateways_port(stage: &Stage<'_>) -> Result<()> {
    let lab = stage.lab;
    let own = others::client(lab, &lab.gateway, lab.setup.addresses.wan);
    taken(stage, &own)
}

/// Opens control connections that each announce a port, as many as there are numbers.
fn flood(lab: &Lab, ports: impl Iterator<Item = u16>) -> Result<Vec<(TcpStream, TcpStream)>> {
    let setup = &lab.setup;
    let listener = listen(&lab.server, setup.served_at())?;
    let address = setup.addresses.client;
    let mut pairs = Vec::new();
    for port in ports {
        let mut client = lab
            .client
            .enter(|| Ok(TcpStream::connect_timeout(&setup.dialled(), PATIENCE)?))
            .with_context(|| format!("after {} connections", pairs.len()))?;
        let mut server = accept(&listener, PATIENCE)?;
        client.set_nodelay(true)?;
        server.write_all(b"220 ready\r\n")?;
        client.write_all(b"NOOP\r\n")?;
        client.write_all(command(SocketAddr::new(address, port)).as_bytes())?;
        pairs.push((client, server));
    }
    pause();
    Ok(pairs)
}

/// Both ends of every connection are this process's, which may have other labs as well.
fn allow_files(count: usize) -> Result<()> {
    let needed = u64::try_from(count)?;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if hard < needed {
        return setrlimit(Resource::RLIMIT_NOFILE, needed, needed)
            .with_context(|| format!("{needed} open files are needed, {hard} allowed"));
    }
    setrlimit(Resource::RLIMIT_NOFILE, soft.max(hard), hard).context("limit of open files")
}

fn others_are_helped(stage: &Stage<'_>, what: &str) -> Result<()> {
    let other = stage.others()?.as_client(stage.lab);
    if let Err(error) = Stage::transfer(&other) {
        stage.is_hurt(what, &error);
    }
    Ok(())
}

fn exhaustion(stage: &Stage<'_>) -> Result<()> {
    let limit = "/proc/sys/net/netfilter/nf_conntrack_expect_max";
    let limit: usize = fs::read_to_string(limit)
        .context(limit)?
        .trim()
        .parse()
        .context(limit)?;
    let count = portion(limit.min(20_000) + 100);
    allow_files(2 * count + 200)?;
    let first = 20_000;
    let ports = (first..).take(count);
    let pairs = flood(stage.lab, ports)?;
    ensure!(pairs.len() == count, "only {} connections", pairs.len());
    others_are_helped(stage, "another client")
}

fn all_ports(stage: &Stage<'_>) -> Result<()> {
    /// Not many numbers are larger.
    const PORT: u16 = 65_500;
    let pairs = flood(stage.lab, std::iter::repeat_n(PORT, 100))?;
    let other = stage.others()?.as_client(stage.lab);
    let mut duet = Stage::login_of(&other)?;
    let at = SocketAddr::new(other.setup.addresses.client, PORT);
    let listener = listen(&other.client, at)?;
    let result = Stage::announce(&other, &mut duet, &listener).and_then(|to| {
        duet.server_says("200 done\r\n")?;
        duet.active_data(to, &listener)
    });
    if let Err(error) = result {
        stage.is_hurt("another client that announces the port", &error);
    }
    drop(pairs);
    Ok(())
}
