//! Everything at a glance.

use anyhow::Result;
use ftp_helper_common::{
    SCHEMA_VERSION,
    expectation::{Expectation, ExpectationKey},
    interface::{ControlPort, Interface, control_port, flags},
    session::{Handshake, Session, SessionKey},
};
use serde::Serialize;

use super::{
    attachment::{self, Attachment},
    discovery::{self, Discovery},
    expectation::State,
    mapping::{self, Advertised, Outside, Ports},
};
use crate::{
    admin::RunDirectory,
    at_work::{AtWork, at_work},
    clock,
    datapath::maps::{
        CLIENTS, CONTROL_PORTS, Census, EXPECTATIONS, HANDSHAKES, INTERFACES,
        Interfaces as InterfaceTable, Ports as PortTable, SESSIONS,
    },
    device::Device,
    doctor::{CHECKS, Finding, Gateway, Status as Verdict},
    failure::one_line,
    metrics::snapshot::Sessions,
    output::{Fact, Object, Section, Tone, layout::Grid, or_dash},
    pins::{PinDirectory, Pins},
};

/// Share of a table from which on it deserves attention; percent.
const NEARLY_FULL: u64 = 75;

/// Everything at a glance.
#[derive(Debug, Serialize)]
pub struct Status {
    version: &'static str,
    map_schema: u32,
    pin_dir: String,
    loaded: bool,
    agent: Agent,
    interfaces: Vec<InterfaceStatus>,
    sessions: SessionCounts,
    expectations: ExpectationCounts,
    tables: Vec<Table>,
    kernel_helper: KernelHelper,
    /// Nothing where Services of Kubernetes are not watched, or no agent tells.
    kubernetes: Option<Discovery>,
}

#[derive(Debug, Serialize)]
struct Agent {
    running: bool,
    process: Option<u32>,
}

#[derive(Debug, Serialize)]
struct InterfaceStatus {
    name: String,
    index: u32,
    role: Role,
    present: bool,
    advertised: Option<Advertised>,
    control_ports: Vec<u16>,
    draining_ports: Vec<u16>,
    ports: Option<Ports>,
    attachments: Vec<Attachment>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Role {
    Outside,
    Inside,
}

#[derive(Debug, Default, Serialize)]
struct SessionCounts {
    open: u64,
    encrypted: u64,
    candidate: u64,
    closed: u64,
}

#[derive(Debug, Default, Serialize)]
struct ExpectationCounts {
    waiting: u64,
    unapproved: u64,
    expired: u64,
}

#[derive(Debug, Serialize)]
struct Table {
    name: &'static str,
    entries: u64,
    capacity: u64,
    percent: u64,
}

/// The kernel's own helper on the same control connections.
#[derive(Debug, Default, Serialize)]
struct KernelHelper {
    /// Whether there is a conflict; `None` when that could not be seen.
    conflict: Option<bool>,
    findings: Vec<Finding>,
}

impl Status {
    /// Looks at everything.
    pub fn look(pins: &PinDirectory, run: &RunDirectory) -> Result<Self> {
        let agent = match at_work(pins)? {
            AtWork::Nobody => Agent {
                running: false,
                process: None,
            },
            AtWork::Process(process) => Agent {
                running: true,
                process,
            },
        };
        let pinned = pins.read()?;
        let mut status = Self {
            version: env!("CARGO_PKG_VERSION"),
            map_schema: SCHEMA_VERSION,
            pin_dir: pins.path().display().to_string(),
            loaded: !pinned.maps.is_empty(),
            agent,
            interfaces: Vec::new(),
            sessions: SessionCounts::default(),
            expectations: ExpectationCounts::default(),
            tables: Vec::new(),
            kernel_helper: KernelHelper::default(),
            kubernetes: None,
        };
        if status.loaded {
            PinDirectory::check_version(&pinned)?;
            status.interfaces = interfaces(pins, &pinned)?;
            status.count(pins)?;
            status.kernel_helper = kernel_helper(pins)?;
            if status.agent.running {
                status.kubernetes = discovery::ask(run, pins);
            }
        }
        Ok(status)
    }

    /// True when there is anything of ours.
    pub const fn is_loaded(&self) -> bool {
        self.loaded
    }

    fn count(&mut self, pins: &PinDirectory) -> Result<()> {
        let now = clock::now()?;
        let sessions: Census<SessionKey, Session> = Census::open(pins, SESSIONS)?;
        let mut counts = Sessions::default();
        let entries = sessions.visit(|_, session| counts.add(session))?;
        self.sessions = SessionCounts {
            open: counts.open,
            encrypted: counts.opaque,
            candidate: counts.candidate,
            closed: counts.closed,
        };
        self.tables
            .push(Table::new("sessions", entries, sessions.capacity()));

        let expectations: Census<ExpectationKey, Expectation> = Census::open(pins, EXPECTATIONS)?;
        let counts = &mut self.expectations;
        let entries = expectations.visit(|_, expectation| {
            *match State::of(expectation, now) {
                State::Waiting => &mut counts.waiting,
                State::Unapproved => &mut counts.unapproved,
                State::Expired => &mut counts.expired,
            } += 1;
        })?;
        self.tables
            .push(Table::new("expectations", entries, expectations.capacity()));

        let handshakes: Census<SessionKey, Handshake> = Census::open(pins, HANDSHAKES)?;
        let clients: Census<[u8; 16], u32> = Census::open(pins, CLIENTS)?;
        let interfaces: Census<u32, Interface> = Census::open(pins, INTERFACES)?;
        let ports: Census<ControlPort, u8> = Census::open(pins, CONTROL_PORTS)?;
        self.tables.extend([
            Table::new("handshakes", handshakes.count()?, handshakes.capacity()),
            Table::new("clients", clients.count()?, clients.capacity()),
            Table::new("interfaces", interfaces.count()?, interfaces.capacity()),
            Table::new("control_ports", ports.count()?, ports.capacity()),
        ]);
        Ok(())
    }
}

impl Table {
    fn new(name: &'static str, entries: u64, capacity: u32) -> Self {
        let capacity = u64::from(capacity);
        Self {
            name,
            entries,
            capacity,
            percent: (entries * 100).checked_div(capacity).unwrap_or_default(),
        }
    }

    fn cells(&self) -> (Vec<String>, Tone) {
        let cells = vec![
            self.name.to_owned(),
            self.entries.to_string(),
            self.capacity.to_string(),
            format!("{}%", self.percent),
        ];
        // The handshakes push each other out; a full table is as it should be.
        let is_full = self.percent >= NEARLY_FULL && self.name != "handshakes";
        (cells, if is_full { Tone::Warn } else { Tone::Plain })
    }
}

fn interfaces(pins: &PinDirectory, pinned: &Pins) -> Result<Vec<InterfaceStatus>> {
    let settings = InterfaceTable::open(pins, INTERFACES)?.entries()?;
    let ports = PortTable::open(pins, CONTROL_PORTS)?.entries()?;
    let mut found: Vec<InterfaceStatus> = mapping::outsides(pins)?
        .into_iter()
        .map(|outside| InterfaceStatus::outside(outside, &ports))
        .collect();
    let insides = settings
        .iter()
        .filter(|(_, settings)| settings.flags & flags::INSIDE != 0);
    found.extend(insides.map(|(index, _)| InterfaceStatus::of(*index, Role::Inside)));
    // Programs on an interface without settings do nothing, but are there.
    for pin in &pinned.attachments {
        if found.iter().all(|one| one.index != pin.device.index) {
            let mut one = InterfaceStatus::of(pin.device.index, Role::Outside);
            one.name.clone_from(&pin.device.name);
            found.push(one);
        }
    }
    for one in &mut found {
        let pins = pinned.attachments.iter();
        let mut pins: Vec<_> = pins.filter(|pin| pin.device.index == one.index).collect();
        pins.sort_by_key(|pin| attachment::order(pin.direction));
        one.attachments = pins.into_iter().map(Attachment::look).collect();
    }
    Ok(found)
}

impl InterfaceStatus {
    fn of(index: u32, role: Role) -> Self {
        Self {
            present: Device::exists(index),
            name: Device::name_of(index),
            index,
            role,
            advertised: None,
            control_ports: Vec::new(),
            draining_ports: Vec::new(),
            ports: None,
            attachments: Vec::new(),
        }
    }

    fn outside(outside: Outside, ports: &[(ControlPort, u8)]) -> Self {
        let with = |is_open: bool| {
            let ports = ports.iter();
            let mut ports: Vec<u16> = ports
                .filter(|(key, value)| {
                    key.ifindex == outside.index && control_port::is_open(*value) == is_open
                })
                .map(|(key, _)| key.port)
                .collect();
            ports.sort_unstable();
            ports
        };
        Self {
            control_ports: with(true),
            draining_ports: with(false),
            advertised: Some(outside.advertised),
            ports: Some(outside.ports),
            ..Self::of(outside.index, Role::Outside)
        }
    }

    fn cells(&self) -> (Vec<String>, Tone) {
        let advertised = self.advertised.as_ref();
        let ports = self.ports.as_ref();
        let mut control: Vec<String> = self.control_ports.iter().map(u16::to_string).collect();
        let draining = self.draining_ports.iter();
        control.extend(draining.map(|port| format!("{port} (draining)")));
        let cells = vec![
            self.name.clone(),
            match self.role {
                Role::Outside => "outside",
                Role::Inside => "inside",
            }
            .to_owned(),
            if self.present { "yes" } else { "no" }.to_owned(),
            or_dash(advertised.map(Advertised::text).as_deref()),
            or_dash(advertised.map(|of| of.origin.word())),
            or_dash(
                Some(control.join(","))
                    .as_deref()
                    .filter(|it| !it.is_empty()),
            ),
            or_dash(
                ports
                    .map(|of| format!("{}-{}", of.first, of.last))
                    .as_deref(),
            ),
            or_dash(
                ports
                    .map(|of| format!("{}/{}", of.used, of.size))
                    .as_deref(),
            ),
        ];
        let is_helped = self.present && !self.attachments.is_empty();
        (cells, if is_helped { Tone::Plain } else { Tone::Bad })
    }
}

/// What the check of `doctor` says.
fn kernel_helper(pins: &PinDirectory) -> Result<KernelHelper> {
    let Some(check) = CHECKS.iter().find(|check| check.name == "kernel-helper") else {
        return Ok(KernelHelper::default());
    };
    let gateway = Gateway::new(pins, &[])?;
    let findings = (check.run)(&gateway).unwrap_or_else(|error| {
        vec![Finding::skip(
            "-",
            format!("not seen: {}", one_line(&error)),
        )]
    });
    Ok(KernelHelper::new(
        findings
            .into_iter()
            .map(|finding| Finding {
                check: check.name,
                ..finding
            })
            .collect(),
    ))
}

impl KernelHelper {
    fn new(findings: Vec<Finding>) -> Self {
        let conflict = if findings.iter().any(|finding| finding.conflict) {
            Some(true)
        } else if findings
            .iter()
            .any(|finding| finding.status == Verdict::Skip)
        {
            None
        } else {
            Some(false)
        };
        Self { conflict, findings }
    }

    fn fact(&self) -> Fact {
        const NAME: &str = "kernel helper";
        match self.conflict {
            Some(true) => {
                let mut findings = self.findings.iter().filter(|finding| finding.conflict);
                let first = findings.next().map(|finding| finding.subject.as_str());
                let text = format!(
                    "conflict ({}): see `ftp-helper doctor --checks kernel-helper`",
                    or_dash(first)
                );
                Fact::new(NAME, text).tone(Tone::Bad)
            }
            Some(false) => Fact::new(NAME, "no conflict"),
            None => Fact::new(NAME, "not seen (root can)"),
        }
    }
}

impl Object for Status {
    const KIND: &'static str = "status";

    fn sections(&self, _: bool) -> Vec<Section> {
        let agent = match self.agent {
            Agent {
                running: true,
                process: Some(process),
            } => Fact::new("agent", format!("running, process {process}")),
            Agent { running: true, .. } => Fact::new("agent", "running"),
            Agent { .. } if self.loaded => {
                Fact::new("agent", "not running; the programs go on").tone(Tone::Warn)
            }
            Agent { .. } => Fact::new("agent", "not running").tone(Tone::Warn),
        };
        let mut facts = vec![
            Fact::new(
                "version",
                format!("{} (map schema {})", self.version, self.map_schema),
            ),
            Fact::new("pins", &self.pin_dir),
            agent,
        ];
        if !self.loaded {
            facts.push(Fact::new("programs", "none are loaded").tone(Tone::Bad));
            return vec![Section::Facts(facts)];
        }
        let SessionCounts {
            open,
            encrypted,
            candidate,
            closed,
        } = self.sessions;
        let ExpectationCounts {
            waiting,
            unapproved,
            expired,
        } = self.expectations;
        facts.extend([
            Fact::new(
                "sessions",
                format!(
                    "{open} open, {encrypted} encrypted, {candidate} candidates, {closed} closed"
                ),
            ),
            Fact::new(
                "expectations",
                format!("{waiting} waiting, {unapproved} unapproved, {expired} expired"),
            ),
            self.kernel_helper.fact(),
        ]);
        facts.extend(self.kubernetes.as_ref().map(Discovery::fact));
        let attachments = self.interfaces.iter().flat_map(|one| {
            let name = &one.name;
            one.attachments.iter().map(move |it| it.cells(name))
        });
        let mut sections = vec![
            Section::Facts(facts),
            Section::Table(
                "INTERFACES",
                Grid {
                    header: vec![
                        "INTERFACE",
                        "ROLE",
                        "PRESENT",
                        "ADVERTISED",
                        "ORIGIN",
                        "CONTROL PORTS",
                        "DATA PORTS",
                        "USED",
                    ],
                    rows: self.interfaces.iter().map(InterfaceStatus::cells).collect(),
                },
            ),
            Section::Table(
                "PROGRAMS",
                Grid {
                    header: Attachment::HEADER.to_vec(),
                    rows: attachments.collect(),
                },
            ),
            Section::Table(
                "TABLES",
                Grid {
                    header: vec!["TABLE", "ENTRIES", "CAPACITY", "FULL"],
                    rows: self.tables.iter().map(Table::cells).collect(),
                },
            ),
        ];
        sections.extend(self.kubernetes.iter().flat_map(Discovery::sections));
        sections
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_that_are_nearly_full_deserve_attention() {
        let (cells, tone) = Table::new("sessions", 12, 16).cells();
        assert_eq!(cells, ["sessions", "12", "16", "75%"]);
        assert_eq!(tone, Tone::Warn);
        assert_eq!(Table::new("sessions", 11, 16).cells().1, Tone::Plain);
        assert_eq!(Table::new("handshakes", 16, 16).cells().1, Tone::Plain);
        assert_eq!(Table::new("sessions", 0, 0).percent, 0);
    }

    #[test]
    fn a_conflict_is_known_only_when_everything_was_seen() {
        let ok = || Finding::ok("port 21", "nothing");
        let skip = || Finding::skip("nftables", "not permitted");
        let bad = || Finding::warn("nft x", "a rule", "delete it").conflict();
        assert_eq!(KernelHelper::new(vec![ok()]).conflict, Some(false));
        assert_eq!(KernelHelper::new(vec![ok(), skip()]).conflict, None);
        assert_eq!(KernelHelper::new(vec![skip(), bad()]).conflict, Some(true));
    }

    #[test]
    fn nothing_is_loaded_where_there_is_no_directory() {
        let place = tempfile::tempdir().unwrap();
        let pins = PinDirectory::new(place.path().join("pins"));
        let run = RunDirectory::new(place.path().join("run"));
        let status = Status::look(&pins, &run).unwrap();
        assert!(!status.is_loaded());
        let item = serde_json::to_value(&status).unwrap();
        assert_eq!(item["loaded"], false);
        assert_eq!(item["agent"]["running"], false);
    }
}
