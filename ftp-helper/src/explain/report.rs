//! Everything about a control connection, and what keeps its data away.

use anyhow::Result;
use ftp_helper_common::{
    address::Endpoint,
    expectation::Expectation,
    interface::{ControlPort, Interface},
    session::{Direction, Session, SessionKey, flags},
};
use serde::Serialize;

use super::{
    absence::checked,
    cause::{Cause, Facts, Progress, causes, server_port},
    data::{Data, Outcome},
    line::Line,
};
use crate::{
    clock,
    datapath::maps::{
        ADVERTISED, Advertised, CONTROL_PORTS, EXPECTATIONS, Expectations, INTERFACES, Interfaces,
        Ports, settings_of,
    },
    device::Device,
    doctor::probe::{Patience, conntrack},
    inspect::{
        mode::Mode,
        session::{State, is_client_inside},
    },
    output::{Fact, Object, Section, Tone, endpoint, known_endpoint, layout::Grid, or_dash},
    pins::{PinDirectory, direction_word},
};

/// How long the kernel may take to show its connection table.
const PATIENCE: Patience = Patience::Each(std::time::Duration::from_secs(5));

/// `TCP_CONNTRACK_ESTABLISHED`; everything behind it was established once.
const ESTABLISHED: u8 = 3;

/// Checks of the doctor that concern every session: who else has its packets.
const ALWAYS: &[&str] = &["attachment", "kernel-helper", "flow-offload"];

/// Those that concern what lies behind the outside interface.
const BEHIND: &[&str] = &["forwarding", "rp-filter", "firewall"];

/// A control connection, explained.
#[derive(Debug, Serialize)]
pub struct Report {
    outside: String,
    peer: String,
    inside: Option<String>,
    client: &'static str,
    interface: String,
    state: State,
    lines: Vec<Line>,
    directions: [Way; 2],
    data: Announced,
    causes: Vec<Cause>,
    #[serde(skip)]
    age: String,
    #[serde(skip)]
    idle: String,
}

/// One direction of it.
#[derive(Debug, Serialize)]
struct Way {
    direction: &'static str,
    /// What is added to the sequence numbers of what comes now.
    sequence_delta: i32,
    rewrites: u32,
}

/// The last data connection that was announced.
#[derive(Debug, Serialize)]
struct Announced {
    #[serde(flatten)]
    outcome: Outcome,
    mode: Option<Mode>,
    inside: Option<String>,
    outside: Option<String>,
    /// Whether its SYN came; nothing where nobody waits for it.
    syn_came: Option<bool>,
}

impl Report {
    /// What the maps say about it, and a few looks around.
    pub fn new(pins: &PinDirectory, key: &SessionKey, session: &Session) -> Result<Self> {
        let now = clock::now()?;
        let expectation = live_expectation(pins, key, session)?;
        let data = Data::of(session, expectation.as_ref(), now);
        let interface = Interfaces::open(pins, INTERFACES)?.get(&session.ifindex)?;
        let advertised = |it: &Endpoint| Advertised::open(pins, ADVERTISED)?.get(it);
        let interface = interface
            .map(|interface| settings_of(interface, &key.outside, advertised))
            .transpose()?;
        let port = ControlPort {
            ifindex: session.ifindex,
            port: server_port(key, session),
            reserved: 0,
        };
        let mut causes = causes(&Facts {
            key,
            session,
            data: &data,
            interface: interface.as_ref(),
            port: Ports::open(pins, CONTROL_PORTS)?.get(&port)?,
            progress: progress(&data),
            now,
        });
        causes.extend(checked(pins, ALWAYS));
        let hangs = causes
            .iter()
            .any(|cause| cause.cause == "admitted_unanswered");
        if hangs {
            causes.extend(checked(pins, BEHIND));
        }
        Ok(Self::with(
            key,
            session,
            interface.as_ref(),
            &data,
            causes,
            now,
        ))
    }

    fn with(
        key: &SessionKey,
        session: &Session,
        interface: Option<&Interface>,
        data: &Data,
        causes: Vec<Cause>,
        now: u64,
    ) -> Self {
        let entries = session.journal.iter();
        Self {
            outside: endpoint(&key.outside),
            peer: endpoint(&key.peer),
            inside: known_endpoint(&session.inside),
            client: if is_client_inside(session) {
                "inside"
            } else {
                "outside"
            },
            interface: Device::name_of(session.ifindex),
            state: State::of(session),
            lines: entries
                .map(|entry| Line::new(entry, interface, now))
                .collect(),
            directions: [Direction::Egress, Direction::Ingress].map(|way| Way::new(session, way)),
            data: Announced::new(data),
            causes,
            age: clock::to_words(now.saturating_sub(session.created)),
            idle: clock::to_words(now.saturating_sub(session.last_seen)),
        }
    }
}

impl Way {
    fn new(session: &Session, direction: Direction) -> Self {
        let rewrites = session.rewrites_of(direction);
        Self {
            direction: direction_word(direction),
            sequence_delta: rewrites.map_or(0, |rewrites| rewrites.delta().cast_signed()),
            rewrites: rewrites.map_or(0, |rewrites| rewrites.done),
        }
    }

    fn cells(&self) -> (Vec<String>, Tone) {
        let cells = vec![
            self.direction.to_owned(),
            self.rewrites.to_string(),
            format!("{:+}", self.sequence_delta),
        ];
        (cells, Tone::Plain)
    }
}

impl Announced {
    fn new(data: &Data) -> Self {
        Self {
            outcome: data.outcome,
            mode: data.mode,
            inside: known_endpoint(&data.inside),
            outside: known_endpoint(&data.outside),
            syn_came: match data.outcome {
                Outcome::Admitted | Outcome::NotAdmitted => Some(true),
                Outcome::Waiting
                | Outcome::Unapproved
                | Outcome::Expired
                | Outcome::RefusedByServer
                | Outcome::Ended => Some(false),
                Outcome::NotAnnounced | Outcome::Refused | Outcome::Untouched | Outcome::Gone => {
                    None
                }
            },
        }
    }

    fn words(&self) -> String {
        let what = match self.outcome {
            Outcome::NotAnnounced => "none was announced lately",
            Outcome::Refused => "the announcement was not helped",
            Outcome::Untouched => "announced, and left alone",
            Outcome::Waiting => "awaited",
            Outcome::Unapproved => "awaited, once the server approves",
            Outcome::Admitted => "came and was admitted",
            Outcome::NotAdmitted => "came and could not be admitted",
            Outcome::Expired => "did not come in time",
            Outcome::RefusedByServer => "refused by the server",
            Outcome::Ended => "ended with the control connection",
            Outcome::Gone => "not awaited any more",
        };
        let ends = match (&self.inside, &self.outside) {
            (Some(inside), Some(outside)) => format!(", {inside} announced as {outside}"),
            (Some(inside), None) => format!(", {inside}"),
            _ => String::new(),
        };
        let mode = self.mode.map(|mode| format!(" ({}{ends})", mode.word()));
        format!("{what}{}", mode.unwrap_or_default())
    }
}

impl Object for Report {
    const KIND: &'static str = "explanation";

    fn sections(&self, _: bool) -> Vec<Section> {
        let syn = self
            .data
            .syn_came
            .map(|came| if came { "yes" } else { "no" });
        let facts = vec![
            Fact::new("session", format!("{}<->{}", self.outside, self.peer)),
            Fact::new("inside", or_dash(self.inside.as_deref())),
            Fact::new("client", self.client),
            Fact::new("interface", &self.interface),
            Fact::new("state", self.state.word()),
            Fact::new("age", format!("{}, idle {}", self.age, self.idle)),
            Fact::new("last data", self.data.words()),
            Fact::new("data SYN came", or_dash(syn)),
        ];
        let lines = Grid {
            header: Line::HEADER.to_vec(),
            rows: self.lines.iter().map(Line::cells).collect(),
        };
        let ways = Grid {
            header: vec!["DIRECTION", "REWRITES", "SEQUENCE DELTA"],
            rows: self.directions.iter().map(Way::cells).collect(),
        };
        let causes = Grid {
            header: vec!["CAUSE", "WHAT WAS SEEN", "WHAT TO DO"],
            rows: self.causes.iter().map(cells).collect(),
        };
        vec![
            Section::Facts(facts),
            Section::Table("LAST LINES", lines),
            Section::Table("DIRECTIONS", ways),
            Section::Table("LIKELY CAUSE", causes),
        ]
    }
}

fn cells(cause: &Cause) -> (Vec<String>, Tone) {
    let cells = vec![
        cause.cause.to_owned(),
        cause.text.clone(),
        or_dash(cause.fix.as_deref()),
    ];
    (cells, cause.tone())
}

/// What the session still waits for.
fn live_expectation(
    pins: &PinDirectory,
    key: &SessionKey,
    session: &Session,
) -> Result<Option<Expectation>> {
    if session.flags & flags::EXPECTING == 0 {
        return Ok(None);
    }
    let found = Expectations::open(pins, EXPECTATIONS)?.get(&session.expectation)?;
    Ok(found.filter(|expectation| expectation.master == *key))
}

/// How far an admitted data connection got, if the kernel says so: not every user
/// may ask.
fn progress(data: &Data) -> Progress {
    if data.outcome != Outcome::Admitted {
        return Progress::Unknown;
    }
    let entries = conntrack::to_port(data.outside.port, PATIENCE).unwrap_or_default();
    let states: Vec<u8> = entries.iter().filter_map(|entry| entry.state).collect();
    match states.iter().max() {
        None => Progress::Unknown,
        Some(state) if *state >= ESTABLISHED => Progress::Established,
        Some(_) => Progress::Unanswered,
    }
}

#[cfg(test)]
mod tests {
    use ftp_helper_common::reason::Reason;

    use super::{
        super::data::tests::{at, port, server, session},
        *,
    };
    use crate::output::{Format, render_object};

    fn report() -> Report {
        let key = SessionKey {
            outside: at(1, 40000),
            peer: at(2, 21),
        };
        let mut session = session(&[port(Reason::AnnouncementRewritten), server(200)]);
        session.flags = flags::CLIENT_INSIDE | flags::EXPECTING | flags::GREETED;
        session.ifindex = 0x7fff_0000;
        let expectation = Expectation {
            expires: clock::seconds(60),
            ..Expectation::default()
        };
        let now = clock::seconds(50);
        let data = Data::of(&session, Some(&expectation), now);
        let causes = vec![Cause::new("no_syn", "nothing came").fix("look at the peer")];
        Report::with(&key, &session, None, &data, causes, now)
    }

    #[test]
    fn for_people() {
        assert_eq!(
            render_object(&report(), Format::Table).unwrap(),
            "session        203.0.113.1:40000<->203.0.113.2:21\n\
             inside         -\n\
             client         inside\n\
             interface      if2147418112\n\
             state          greeted\n\
             age            50s, idle 50s\n\
             last data      awaited (PORT, 203.0.113.9:45678 announced as 203.0.113.1:45678)\n\
             data SYN came  no\n\
             \n\
             LAST LINES\n\
             AGO  FROM    LINE  INSIDE             OUTSIDE            DECISION                MEANING\n\
             49s  client  PORT  203.0.113.9:45678  203.0.113.1:45678  announcement_rewritten  an announced endpoint was replaced by its outside form\n\
             49s  server  200   -                  -                  -                       -\n\
             \n\
             DIRECTIONS\n\
             DIRECTION  REWRITES  SEQUENCE DELTA\n\
             egress     0         +0\n\
             ingress    0         +0\n\
             \n\
             LIKELY CAUSE\n\
             CAUSE   WHAT WAS SEEN  WHAT TO DO\n\
             no_syn  nothing came   look at the peer\n"
        );
    }

    #[test]
    fn for_programs() {
        let text = render_object(&report(), Format::Json).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["kind"], "explanation");
        let item = &value["item"];
        assert_eq!(item["data"]["state"], "waiting");
        assert_eq!(item["data"]["syn_came"], false);
        assert_eq!(item["lines"][0]["decision"], "announcement_rewritten");
        assert_eq!(item["causes"][0]["cause"], "no_syn");
        assert_eq!(item["directions"][0]["sequence_delta"], 0);
    }
}
