//! Announcements that counted once, and do so no more; and others than those who were
//! meant by them.

use std::{
    io::{ErrorKind, Read as _},
    net::SocketAddr,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};

use super::super::{
    Attack, Stage, Way,
    spoof::{Forged, What},
    stage::{command, pause},
    trap::Trap,
};
use crate::{duet::accept, setup::Inside};

/// Longest wait for what should come.
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) const ATTACKS: &[Attack] = &[
    Attack::new(
        "refused",
        "a port whose announcement the server refuses",
        "Kadlecsik, paranoid FTP (2001)",
        Inside::Client,
        refused,
    ),
    Attack::new(
        "replaced",
        "a port in whose place another one was announced",
        "expectations that stay",
        Inside::Client,
        replaced,
    ),
    Attack::new(
        "ended",
        "a port whose control connection has ended",
        "expectations that stay",
        Inside::Client,
        ended,
    ),
    Attack::new(
        "again",
        "a second connection to a port, also from where the first one came",
        "expectations that serve twice (Open vSwitch)",
        Inside::Client,
        again,
    )
    .crowded(),
    Attack::new(
        "repeated",
        "an announcement that is repeated when its data connection has come",
        "retransmissions read again (nf_conntrack_ftp)",
        Inside::Client,
        repeated,
    ),
    Attack::new(
        "overlap",
        "other bytes at the place of an announcement",
        "overlapping segments (Ptacek and Newsham 1998)",
        Inside::Client,
        overlap,
    ),
    Attack::new(
        "race",
        "another host connects to an announced port before the server does",
        "theft of data connections (RFC 2577)",
        Inside::Client,
        race,
    )
    .crowded(),
    Attack::new(
        "reset",
        "forged resets of the control connection, in the window but not at its edge",
        "RFC 5961",
        Inside::Client,
        reset,
    )
    .only_v4(),
];

fn refused(stage: &Stage<'_>) -> Result<()> {
    for answer in ["500 no\r\n", "425 no\r\n", "501-no\r\n501 no\r\n"] {
        let trap = stage.trap(0)?;
        let mut duet = stage.login()?;
        duet.client.write(&command(trap.at()))?;
        let to = Stage::named(stage.lab, &duet.server.line()?)?;
        duet.server_says(answer)?;
        let ways = [Way::new(stage.lab.outside(), to)];
        stage.tempt_by(&trap, &ways, &format!("after {answer:?}"))?;
    }
    Ok(())
}

fn replaced(stage: &Stage<'_>) -> Result<()> {
    let (first, second) = (stage.trap(0)?, stage.trap(0)?);
    let mut duet = stage.login()?;
    let old = Stage::announce(stage.lab, &mut duet, first.listener())?;
    duet.server_says("200 done\r\n")?;
    let new = Stage::announce(stage.lab, &mut duet, second.listener())?;
    duet.server_says("200 done\r\n")?;
    let ways = [Way::new(stage.lab.outside(), old)];
    stage.tempt_by(&first, &ways, "after another announcement")?;
    if let Err(error) = duet.active_data(new, second.listener()) {
        stage.is_hurt("the announcement that counts", &error);
    }
    Ok(())
}

fn ended(stage: &Stage<'_>) -> Result<()> {
    let lab = stage.lab;
    let trap = stage.trap(0)?;
    let mut duet = stage.login()?;
    let to = Stage::announce(lab, &mut duet, trap.listener())?;
    duet.end()?;
    let ways = [Way::new(lab.outside(), to)];
    stage.tempt_by(&trap, &ways, "after the end of the control connection")?;
    Ok(())
}

fn again(stage: &Stage<'_>) -> Result<()> {
    let lab = stage.lab;
    let trap = stage.trap(0)?;
    let mut duet = stage.login()?;
    let to = Stage::announce(lab, &mut duet, trap.listener())?;
    duet.server_says("200 done\r\n")?;
    let first = Way {
        port: 20,
        ..Way::new(lab.outside(), to)
    };
    let open = first.open(PATIENCE)?;
    let mut far = accept(trap.listener(), PATIENCE).context("not at the trap")?;
    // From another port, and from another host, while it is open.
    let stranger = &stage.others()?.stranger;
    let others = [Way::new(lab.outside(), to), Way::new(stranger, to)];
    stage.tempt_by(&trap, &others, "beside its data connection")?;
    // A reset leaves no end in TIME_WAIT, which would keep the port.
    nix::sys::socket::setsockopt(
        &open,
        nix::sys::socket::sockopt::Linger,
        &libc::linger {
            l_onoff: 1,
            l_linger: 0,
        },
    )?;
    drop(open);
    far.set_read_timeout(Some(PATIENCE))?;
    let end = far.read(&mut [0]);
    ensure!(
        end.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset),
        "its data connection goes on"
    );
    stage.tempt_by(&trap, &[first], "from the port of its data connection")?;
    stage.tempt_by(&trap, &others, "behind its data connection")
}

fn repeated(stage: &Stage<'_>) -> Result<()> {
    let lab = stage.lab;
    let trap = stage.trap(0)?;
    let mut duet = stage.login_raw(20_022)?;
    let line = command(trap.at());
    let start = duet.client.next;
    duet.client.send(line.as_bytes())?;
    let to = Stage::named(lab, &duet.server.line()?)?;
    let way = Way::new(lab.outside(), to);
    let _open = way.open(PATIENCE).context("its data connection")?;
    accept(trap.listener(), PATIENCE).context("not at the trap")?;
    duet.client.send_at(start, line.as_bytes())?;
    pause();
    stage.tempt_by(&trap, &[way], "after a repeated announcement")
}

/// The first one reaches the server, which the attacker's second one must not do.
fn overlap(stage: &Stage<'_>) -> Result<()> {
    let lab = stage.lab;
    let address = lab.setup.inside_address();
    // Lines of the same length, and ports that no connection has of its own accord.
    let trap_at = |port| {
        let at = SocketAddr::new(address, port);
        let ways = [lab.setup.known_as(), address]
            .map(|to| Way::new(lab.outside(), SocketAddr::new(to, port)));
        Trap::set(lab, &lab.client, at, ways.to_vec())
    };
    let (first, second) = (trap_at(20_678)?, trap_at(20_679)?);
    let mut duet = stage.login_raw(20_023)?;
    let start = duet.client.next;
    duet.client.send(command(first.at()).as_bytes())?;
    let to = Stage::named(lab, &duet.server.line()?)?;
    duet.client
        .send_at(start, command(second.at()).as_bytes())?;
    pause();
    stage.tempt_by(
        &second,
        second.ways(),
        "after other bytes at the place of an announcement",
    )?;
    // What counted before counts on.
    duet.client.send_at(start, command(first.at()).as_bytes())?;
    pause();
    if let Err(error) = Way::new(lab.outside(), to).open(PATIENCE) {
        stage.is_hurt("the first announcement", &error);
    }
    Ok(())
}

fn race(stage: &Stage<'_>) -> Result<()> {
    let (lab, others) = (stage.lab, stage.others()?);
    let trap = stage.trap(0)?;
    let mut duet = stage.login()?;
    let to = Stage::announce(lab, &mut duet, trap.listener())?;
    duet.server_says("200 done\r\n")?;
    let straight = SocketAddr::new(trap.at().ip(), trap.at().port());
    let ways = [to, straight].map(|to| Way::new(&others.stranger, to));
    stage.tempt_by(&trap, &ways, "from another host, in front of the server")?;
    if let Err(error) = duet.active_data(to, trap.listener()) {
        stage.is_hurt("the server's own connection", &error);
    }
    Ok(())
}

/// Nobody who does not see the connection knows its numbers, but a window is a large
/// target.
fn reset(stage: &Stage<'_>) -> Result<()> {
    let lab = stage.lab;
    let trap = stage.trap(0)?;
    let mut duet = stage.login_raw(20_024)?;
    duet.client.send(command(trap.at()).as_bytes())?;
    let to = Stage::named(lab, &duet.server.line()?)?;
    duet.server_says("200 done\r\n")?;
    let client = SocketAddr::new(lab.setup.known_as(), 20_024);
    for beyond in [1, 100, 10_000, 60_000] {
        for what in [What::Reset, What::Syn] {
            let forged = Forged {
                source: lab.setup.served_at(),
                destination: client,
                sequence: duet.client.expected.wrapping_add(beyond),
                what,
            };
            forged.send(lab.outside())?;
        }
    }
    pause();
    if let Err(error) = Way::new(lab.outside(), to).open(PATIENCE) {
        stage.is_hurt("the data connection", &error);
    }
    Ok(())
}
