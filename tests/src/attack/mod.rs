//! Attempts to have the gateway let something in that nobody asked for.
//!
//! An attack has succeeded when a packet arrived where it must not, whatever any log
//! says: at a [`Trap`], a listener with a rule that counts what reaches its port.
//! That nothing arrived means something only where it would be seen, so each trap is
//! first reached with the gateway opened by hand, and each attack begins with a
//! transfer as it should be. It ends with another one: an attack that keeps the
//! helper from helping others has hurt them, even if it opened nothing.
//!
//! * [`Attack`], [`all`]: what is tried.
//! * [`Stage`]: a lab while it is tried; [`Others`]: hosts that take no part.
//! * [`Trap`], [`Way`]: what must not be reached, and from where it is tried.
//! * [`table`]: what becomes of it, with ftp-helper and with the kernel's helper.

mod dial;
mod others;
mod scenarios;
mod spoof;
mod stage;
pub mod table;
mod trap;

use std::sync::Mutex;

use anyhow::{Context as _, Result};

pub use self::{
    dial::Way,
    others::Others,
    spoof::{Forged, What},
    stage::{Found, Stage},
    trap::{Caught, Trap},
};
use crate::{
    lab::Lab,
    scenario::{agent_scenario, scenario},
    setup::{ControlPort, Egress, Family, Helper, Inside, Setup, Translation},
};

/// Something that is tried.
#[derive(Clone, Copy, Debug)]
pub struct Attack {
    /// For the command line, and the name of its test.
    pub name: &'static str,
    /// What it tries, as a table of results says it.
    pub title: &'static str,
    /// Where it is known from.
    pub known: &'static str,
    /// Who is behind the gateway.
    pub inside: Inside,
    /// The families that it makes sense with.
    pub families: &'static [Family],
    /// Further arguments of the agent.
    pub arguments: &'static [&'static str],
    /// The server's port.
    pub port: u16,
    /// What inside hosts may open by themselves.
    pub egress: Egress,
    /// Whether it needs [`Others`].
    pub crowded: bool,
    /// Whether the kernel's helper has the like at all.
    pub kernel: bool,
    /// An error says that it could not be tried.
    run: fn(&Stage<'_>) -> Result<()>,
}

const V4: &[Family] = &[Family::V4];
const BOTH: &[Family] = &Family::ALL;

impl Attack {
    const fn new(
        name: &'static str,
        title: &'static str,
        known: &'static str,
        inside: Inside,
        run: fn(&Stage<'_>) -> Result<()>,
    ) -> Self {
        Self {
            name,
            title,
            known,
            inside,
            families: BOTH,
            arguments: &[],
            port: 21,
            egress: Egress::Everything,
            crowded: false,
            kernel: true,
            run,
        }
    }

    const fn crowded(self) -> Self {
        Self {
            crowded: true,
            ..self
        }
    }

    const fn only_v4(self) -> Self {
        Self {
            families: V4,
            ..self
        }
    }

    fn setup(&self, family: Family, helper: Helper) -> Setup {
        Setup {
            helper,
            egress: self.egress,
            control_port: ControlPort {
                served: self.port,
                dialled: self.port,
            },
            spares: if self.crowded { others::COUNT } else { 0 },
            ..Setup::new(self.inside, family, Translation::Nat)
        }
    }

    /// Makes the attack in a lab of its own; an error says that it could not be tried.
    /// `None` where that needs root and there is none.
    pub fn run(&self, family: Family, helper: Helper) -> Result<Option<Found>> {
        let outcome = Mutex::new(None);
        let setup = self.setup(family, helper);
        let body = |lab: &Lab| {
            let result = self.attack(lab).context(self.name);
            if let Ok(mut outcome) = outcome.lock() {
                *outcome = Some(result);
            }
            Ok(())
        };
        match helper {
            Helper::Nobody => agent_scenario(setup, |lab, agent| {
                let arguments = [&["run", "-i", "wan0"], self.arguments].concat();
                let _running = agent.start_with(&arguments)?;
                body(lab)
            }),
            Helper::Kernel => scenario(setup, body),
        }
        outcome.into_inner().ok().flatten().transpose()
    }

    fn attack(&self, lab: &Lab) -> Result<Found> {
        know_the_inside(lab)?;
        let others = self.crowded.then(|| Others::join(lab)).transpose()?;
        Stage::transfer(lab).context("nothing is helped before anything was tried")?;
        let stage = Stage::new(lab, others);
        (self.run)(&stage)?;
        if let Err(error) = Stage::transfer(lab) {
            stage.is_hurt("a transfer afterwards", &error);
        }
        Ok(stage.found())
    }
}

/// Tells the host outside the way to the inside networks: a neighbour of the gateway's
/// can take it, whatever addresses are translated.
pub fn know_the_inside(lab: &Lab) -> Result<()> {
    let networks = match lab.setup.family() {
        Family::V4 => "10.0.0.0/16",
        Family::V6 => "fd00::/16",
    };
    let gateway = lab.setup.addresses.wan;
    lab.outside()
        .must(&format!("ip route add {networks} via {gateway}"))?;
    Ok(())
}

/// Every attack, in the order of the table.
pub fn all() -> impl Iterator<Item = &'static Attack> {
    scenarios::ALL.iter().copied().flatten()
}

/// The attack with this name.
pub fn find(name: &str) -> Option<&'static Attack> {
    all().find(|attack| attack.name == name)
}
