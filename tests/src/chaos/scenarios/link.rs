//! What happens to interfaces.

use std::{cell::Cell, thread::sleep, time::Duration};

use anyhow::{Result, ensure};

use crate::chaos::stage::{Load, Stage};

/// A gateway that translates to an address of its own for good, and drops what it has no
/// way for. Masquerading would forget all connections of an interface that goes down, and
/// an ICMP message would end a connection that begins; both whoever helps.
fn stand_still(stage: &Stage<'_>) -> Result<()> {
    let gateway = &stage.lab.gateway;
    let wan = stage.lab.setup.addresses.wan;
    gateway.must("nft flush chain ip nat postrouting")?;
    gateway.must(&format!(
        "nft add rule ip nat postrouting oifname wan0 snat to {wan}"
    ))?;
    gateway.must("ip route add blackhole default metric 9999")?;
    Ok(())
}

/// An interface goes down for a moment.
pub(super) fn down_and_up(stage: &Stage<'_>) -> Result<()> {
    const UP: Duration = Duration::from_millis(1500);
    const DOWN: Duration = Duration::from_millis(400);

    stand_still(stage)?;
    let _running = stage.start_agent(&["run", "-i", "wan0"])?;
    let load = Load {
        sessions: stage.amount.sessions / 4,
        rate: 10,
        ..Load::default()
    };
    let times = Cell::new(0_u64);
    let outcome = stage.while_under_way(&load, || {
        sleep(stage.moment(UP));
        let device = if stage.below(2) == 0 { "wan0" } else { "lan0" };
        let gateway = &stage.lab.gateway;
        gateway.must(&format!("ip link set {device} down"))?;
        sleep(stage.moment(DOWN));
        gateway.must(&format!("ip link set {device} up"))?;
        times.set(times.get() + 1);
        Ok(())
    })?;
    ensure!(times.get() > 0, "no interface went down");
    stage.did(format!("down and up {} times", times.get()));
    stage.all_were_admitted(&outcome)?;
    let few = Load {
        sessions: 20,
        rate: 0,
        ..Load::default()
    };
    stage.is_fine(&few, "behind it")?;
    stage.nothing_is_left();
    Ok(())
}
