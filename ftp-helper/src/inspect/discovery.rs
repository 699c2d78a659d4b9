//! What the agent knows of Services of Kubernetes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use humantime::{format_duration, format_rfc3339_seconds};
use serde::Serialize;

use crate::{
    admin::{
        RunDirectory,
        client::Client,
        protocol::{Message, Request},
    },
    kubernetes::{Report, report::State},
    output::{Fact, Section, Tone, layout::Grid, list_or_dash},
    pins::PinDirectory,
};

/// The agent's loop answers at once.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the agent knows of Services of Kubernetes.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Discovery(Report);

/// Asks the agent. Whatever keeps it from an answer keeps nobody from the rest of what
/// there is to see.
pub fn ask(run: &RunDirectory, pins: &PinDirectory) -> Option<Discovery> {
    let mut client = Client::ask(run, pins, Request::Discovery).ok()?;
    client.set_patience(PATIENCE).ok()?;
    match client.message().ok()?? {
        Message::Discovery { report } => report.map(Discovery),
        _ => None,
    }
}

impl Discovery {
    /// In one line.
    pub fn fact(&self) -> Fact {
        let Report {
            node,
            connection,
            complete,
            services,
            faults,
            ..
        } = &self.0;
        let since = UNIX_EPOCH + Duration::from_secs(connection.since);
        let age = SystemTime::now().duration_since(since).unwrap_or_default();
        let age = format_duration(Duration::from_secs(age.as_secs()));
        let since = format_rfc3339_seconds(since);
        let mut parts = vec![
            format!("{} since {since} ({age})", connection.state.word()),
            format!("node {node}"),
        ];
        parts.push(if *complete {
            format!("{} annotated Services", services.len())
        } else {
            "no Service seen yet: what was learned before counts".to_owned()
        });
        if !faults.is_empty() {
            parts.push(format!("{} faults", faults.len()));
        }
        let mut text = parts.join(", ");
        if let Some(error) = &connection.error {
            text = format!("{text}: {error}");
        }
        let tone = match connection.state {
            State::Away => Tone::Bad,
            State::Connecting => Tone::Warn,
            State::Connected if !faults.is_empty() => Tone::Warn,
            State::Connected => Tone::Plain,
        };
        Fact::new("kubernetes", text).tone(tone)
    }

    /// What was learned from which Service, and what is wrong.
    pub fn sections(&self) -> Vec<Section> {
        let mut sections = Vec::new();
        let services = self.0.services.iter().map(|service| {
            let words =
                |all: &mut dyn Iterator<Item = String>| list_or_dash(&all.collect::<Vec<String>>());
            let cells = vec![
                service.name.clone(),
                words(&mut service.control_ports.iter().map(ToString::to_string)),
                words(&mut service.addresses.iter().map(ToString::to_string)),
                words(&mut service.advertise.iter().map(ToString::to_string)),
            ];
            (cells, Tone::Plain)
        });
        let services: Vec<_> = services.collect();
        if !services.is_empty() {
            sections.push(Section::Table(
                "SERVICES",
                Grid {
                    header: vec!["SERVICE", "CONTROL PORTS", "ADDRESSES", "ADVERTISED"],
                    rows: services,
                },
            ));
        }
        let faults = self.0.faults.iter().map(|fault| {
            let cells = vec![
                fault.service.clone(),
                fault.annotation.clone(),
                fault.problem.clone(),
            ];
            (cells, Tone::Warn)
        });
        let faults: Vec<_> = faults.collect();
        if !faults.is_empty() {
            sections.push(Section::Table(
                "FAULTS OF ANNOTATIONS",
                Grid {
                    header: vec!["SERVICE", "ANNOTATION", "PROBLEM"],
                    rows: faults,
                },
            ));
        }
        sections
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        kubernetes::report::{Connection, Fault, Known},
        output::{Format, Object, render_object},
    };

    #[derive(Serialize)]
    struct Shown(Discovery);

    impl Object for Shown {
        const KIND: &'static str = "discovery";

        fn sections(&self, _: bool) -> Vec<Section> {
            let mut sections = vec![Section::Facts(vec![self.0.fact()])];
            sections.extend(self.0.sections());
            sections
        }
    }

    fn shown(report: Report) -> String {
        render_object(&Shown(Discovery(report)), Format::Table).unwrap()
    }

    #[test]
    fn what_is_known_is_shown_with_its_source() {
        let text = shown(Report {
            node: "node-a".to_owned(),
            connection: Connection {
                state: State::Away,
                since: 1_700_000_000,
                error: Some("nobody answers".to_owned()),
            },
            complete: true,
            services: vec![Known {
                name: "default/ftp".to_owned(),
                control_ports: vec![21, 30021],
                addresses: ["192.0.2.1".parse().unwrap()].into(),
                advertise: Vec::new(),
            }],
            faults: vec![Fault {
                service: "default/ftp".to_owned(),
                annotation: "ftp-helper.io/advertise".to_owned(),
                problem: "`x` is no IP address".to_owned(),
            }],
            ..Report::default()
        });
        for part in [
            "away since 2023-11-14T22:13:20Z (",
            "node node-a, 1 annotated Services, 1 faults: nobody answers",
            "default/ftp  21,30021       192.0.2.1  -",
            "`x` is no IP address",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }

    #[test]
    fn what_was_not_seen_yet_is_not_called_nothing() {
        let text = shown(Report::default());
        assert!(text.contains("connecting since"), "{text}");
        assert!(text.contains("what was learned before counts"), "{text}");
        assert!(!text.contains("SERVICES"), "{text}");
    }
}
