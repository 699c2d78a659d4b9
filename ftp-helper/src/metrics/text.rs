//! What a scrape gets: OpenMetrics, and the older text form for those who do not
//! ask for it.

use std::{
    collections::HashSet,
    fmt::{self, Write as _},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, text},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::{Registry, Unit},
};

use super::snapshot::Snapshot;

/// In front of every name.
const PREFIX: &str = "ftp_helper";

/// A form of the text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Form {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// The text form of Prometheus, 0.0.4.
    Classic,
}

impl Form {
    /// The form for a request that accepts these types.
    pub fn accepted(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") {
            Self::OpenMetrics
        } else {
            Self::Classic
        }
    }

    /// The content type.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Classic => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// Writes a snapshot in OpenMetrics.
pub fn render(snapshot: Snapshot) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register_collector(Box::new(snapshot));
    let mut rendered = String::new();
    text::encode(&mut rendered, &registry)?;
    Ok(rendered)
}

/// The older form: counters are described under the names of their samples, and
/// there is neither a unit nor an end.
pub fn classic(rendered: &str) -> Result<String, fmt::Error> {
    let counters: HashSet<&str> = rendered
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let mut text = String::with_capacity(rendered.len());
    for line in rendered.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("UNIT" | "EOF"), ..) => {}
            (Some("#"), Some(what), Some(name), Some(rest)) if counters.contains(name) => {
                writeln!(text, "# {what} {name}_total {rest}")?;
            }
            _ => writeln!(text, "{line}")?,
        }
    }
    Ok(text)
}

/// Labels of a sample.
type Labels = Vec<(&'static str, String)>;

/// Writes metrics one by one.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn counter(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels, u64)>,
    ) -> fmt::Result {
        let samples = samples.into_iter();
        let samples = samples.map(|(labels, value)| (labels, ConstCounter::new(value)));
        self.family(name, help, samples)
    }

    fn gauge(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels, u64)>,
    ) -> fmt::Result {
        let samples = samples.into_iter();
        let samples = samples.map(|(labels, value)| (labels, ConstGauge::new(value)));
        self.family(name, help, samples)
    }

    /// A metric without labels.
    fn single(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        metric: &impl EncodeMetric,
    ) -> fmt::Result {
        let kind = metric.metric_type();
        metric.encode(self.0.encode_descriptor(name, help, unit, kind)?)
    }

    fn family<M: EncodeMetric>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels, M)>,
    ) -> fmt::Result {
        let mut samples = samples.into_iter().peekable();
        let Some((_, first)) = samples.peek() else {
            return Ok(());
        };
        let kind = first.metric_type();
        let mut encoder = self.0.encode_descriptor(name, help, None, kind)?;
        for (labels, metric) in samples {
            metric.encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

impl Collector for Snapshot {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        page.counter(
            "events",
            "What happened to packets, control lines and expectations, since the maps were made.",
            self.events.iter().map(|(reason, count)| {
                let labels = [("class", reason.class().word()), ("reason", reason.word())];
                (owned(labels), *count)
            }),
        )?;
        page.gauge(
            "sessions",
            "Control connections by state.",
            self.sessions
                .states()
                .map(|(state, count)| (owned([("state", state)]), count)),
        )?;
        page.gauge(
            "expectations",
            "Awaited data connections by the kind of their announcement.",
            self.expectations
                .kinds()
                .map(|(kind, count)| (owned([("kind", kind)]), count)),
        )?;
        self.sizes(&mut page)?;
        self.ports(&mut page)?;
        page.gauge(
            "program_attached",
            "1 where a program is attached that has to be, 0 where it is not.",
            self.attachments.iter().map(|attachment| {
                let labels = [
                    ("interface", attachment.interface.as_str()),
                    ("direction", attachment.direction_word()),
                ];
                (owned(labels), attachment.fault.is_none().into())
            }),
        )?;
        page.single(
            "expectation_match",
            "Time from an announcement to the SYN of its data connection.",
            Some(&Unit::Seconds),
            &self.times.matched,
        )?;
        page.single(
            "expectation_match_untimed",
            "Data connections that came and whose announcement this agent did not see.",
            None,
            &self.times.untimed,
        )?;
        self.kubernetes(&mut page)?;
        self.agent(&mut page)
    }
}

impl Snapshot {
    fn sizes(&self, page: &mut Page<'_>) -> fmt::Result {
        let entries = |name: &str| {
            let mut tables = self.tables.iter();
            let table = tables.find(|table| table.name == name);
            ConstGauge::new(table.map_or(0, |table| table.entries))
        };
        page.single(
            "handshakes",
            "TCP handshakes of control connections that are remembered; the oldest give way.",
            None,
            &entries("handshakes"),
        )?;
        page.single(
            "clients",
            "Clients with control connections.",
            None,
            &entries("clients"),
        )?;
        let tables = || self.tables.iter();
        page.gauge(
            "map_entries",
            "Entries of a map.",
            tables().map(|table| (owned([("map", table.name)]), table.entries)),
        )?;
        page.gauge(
            "map_max_entries",
            "Entries that a map takes.",
            tables().map(|table| (owned([("map", table.name)]), table.capacity)),
        )
    }

    fn ports(&self, page: &mut Page<'_>) -> fmt::Result {
        page.gauge(
            "control_ports",
            "Ports of FTP servers by interface; draining ones are taken on no more.",
            self.control_ports
                .iter()
                .map(|((interface, state), count)| {
                    let labels = [("interface", interface.as_str()), ("state", state)];
                    (owned(labels), *count)
                }),
        )?;
        let pools = || self.pools.iter();
        page.gauge(
            "port_pool_size",
            "Outside ports that data connections may be given.",
            pools().map(|pool| (owned([("interface", pool.interface.as_str())]), pool.size)),
        )?;
        page.gauge(
            "port_pool_used",
            "Ports of the pool at which a data connection is awaited.",
            pools().map(|pool| (owned([("interface", pool.interface.as_str())]), pool.used)),
        )
    }

    /// Nothing where Services are not watched.
    fn kubernetes(&self, page: &mut Page<'_>) -> fmt::Result {
        let Some(kubernetes) = self.kubernetes else {
            return Ok(());
        };
        for (name, help, value) in [
            (
                "kubernetes_connected",
                "1 while the agent watches Services, 0 while what it has learned last counts.",
                kubernetes.connected.into(),
            ),
            (
                "kubernetes_services",
                "Services of Kubernetes with annotations for ftp-helper.",
                kubernetes.services,
            ),
            (
                "kubernetes_faults",
                "Things that are wrong with these annotations; `ftp-helper status` names them.",
                kubernetes.faults,
            ),
        ] {
            page.single(name, help, None, &ConstGauge::new(value))?;
        }
        Ok(())
    }

    fn agent(&self, page: &mut Page<'_>) -> fmt::Result {
        page.gauge(
            "last_cleanup_timestamp_seconds",
            "When the agent last removed what is over, in seconds since 1970.",
            self.cleanups
                .iter()
                .map(|(cleanup, time)| (owned([("table", cleanup.word())]), *time)),
        )?;
        page.single(
            "start_time_seconds",
            "When the agent started, in seconds since 1970.",
            None,
            &ConstGauge::new(self.started),
        )?;
        page.gauge(
            "build_info",
            "1, with the version of the agent.",
            [(owned([("version", env!("CARGO_PKG_VERSION"))]), 1)],
        )
    }
}

fn owned<const N: usize>(labels: [(&'static str, &str); N]) -> Labels {
    labels.map(|(name, value)| (name, value.to_owned())).into()
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs, path::Path};

    use ftp_helper_common::{reason::Reason, session::Direction};

    use super::*;
    use crate::metrics::{
        attachments::Attachment,
        observer::Cleanup,
        snapshot::{Kubernetes, Pool, Table},
    };

    /// With at least one sample of everything.
    fn snapshot() -> Snapshot {
        let table = |name| Table {
            name,
            entries: 3,
            capacity: 16384,
        };
        let snapshot = Snapshot {
            events: (0..)
                .zip(Reason::ALL)
                .map(|(count, reason)| (*reason, count))
                .collect(),
            tables: ["sessions", "handshakes", "clients"].map(table).into(),
            control_ports: BTreeMap::from([(("wan0".to_owned(), "open"), 2)]),
            pools: vec![Pool {
                interface: "wan0".to_owned(),
                size: 16384,
                used: 5,
            }],
            attachments: vec![Attachment {
                interface: "wan0".to_owned(),
                direction: Direction::Egress,
                fault: Some("gone".to_owned()),
            }],
            started: 1_700_000_000,
            cleanups: vec![(Cleanup::Sessions, 1_700_000_001)],
            kubernetes: Some(Kubernetes {
                connected: true,
                services: 2,
                faults: 1,
            }),
            ..Snapshot::default()
        };
        snapshot.times.matched.observe(0.02);
        snapshot
    }

    #[test]
    fn every_reason_is_there_with_its_class_and_count() {
        let rendered = render(snapshot()).unwrap();
        for (count, reason) in (0..).zip(Reason::ALL) {
            let (class, word) = (reason.class().word(), reason.word());
            let line =
                format!("ftp_helper_events_total{{class=\"{class}\",reason=\"{word}\"}} {count}");
            assert!(rendered.lines().any(|other: &str| other == line), "{line}");
        }
    }

    #[test]
    fn samples_as_they_are_read() {
        let rendered = render(snapshot()).unwrap();
        for line in [
            "# TYPE ftp_helper_events counter",
            "# TYPE ftp_helper_expectation_match_seconds histogram",
            "# UNIT ftp_helper_expectation_match_seconds seconds",
            "ftp_helper_sessions{state=\"open\"} 0",
            "ftp_helper_expectations{kind=\"227\"} 0",
            "ftp_helper_clients 3",
            "ftp_helper_map_max_entries{map=\"sessions\"} 16384",
            "ftp_helper_control_ports{interface=\"wan0\",state=\"open\"} 2",
            "ftp_helper_port_pool_used{interface=\"wan0\"} 5",
            "ftp_helper_program_attached{interface=\"wan0\",direction=\"egress\"} 0",
            "ftp_helper_expectation_match_seconds_bucket{le=\"0.01\"} 0",
            "ftp_helper_expectation_match_seconds_bucket{le=\"0.025\"} 1",
            "ftp_helper_expectation_match_seconds_bucket{le=\"+Inf\"} 1",
            "ftp_helper_expectation_match_untimed_total 0",
            "ftp_helper_last_cleanup_timestamp_seconds{table=\"sessions\"} 1700000001",
            "ftp_helper_kubernetes_connected 1",
            "ftp_helper_kubernetes_services 2",
            "ftp_helper_kubernetes_faults 1",
            "ftp_helper_start_time_seconds 1700000000",
        ] {
            assert!(
                rendered.lines().any(|other| other == line),
                "{line}\n{rendered}"
            );
        }
        assert!(rendered.ends_with("# EOF\n"));
    }

    #[test]
    fn where_services_are_not_watched_nothing_is_said_about_them() {
        let off = Snapshot {
            kubernetes: None,
            ..snapshot()
        };
        assert!(!render(off).unwrap().contains("kubernetes"));
    }

    #[test]
    fn the_older_form_describes_counters_by_their_samples() {
        let text = classic(&render(snapshot()).unwrap()).unwrap();
        assert!(text.contains("# TYPE ftp_helper_events_total counter\n"));
        assert!(text.contains("# HELP ftp_helper_events_total What"));
        assert!(text.contains("# TYPE ftp_helper_sessions gauge\n"));
        assert!(!text.contains("# UNIT") && !text.contains("# EOF"));
        assert!(text.ends_with('\n') && !text.ends_with("\n\n"));
    }

    #[test]
    fn who_asks_for_open_metrics_gets_it() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3";
        assert_eq!(Form::accepted(prometheus), Form::OpenMetrics);
        assert_eq!(Form::accepted("*/*"), Form::Classic);
    }

    /// The table of docs/metrics.md, made of what a scrape shows.
    fn table() -> String {
        let text = classic(&render(snapshot()).unwrap()).unwrap();
        let mut table = String::from("| metric | type | labels | meaning |\n|---|---|---|---|\n");
        let kinds: Vec<(&str, &str)> = text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
            .collect();
        for (name, kind) in kinds {
            let help = text
                .lines()
                .find_map(|line| line.strip_prefix("# HELP ")?.strip_prefix(name))
                .unwrap();
            let sample = text
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix('{'))
                .and_then(|line| line.split_once('}'));
            let labels: Vec<String> = sample
                .into_iter()
                .flat_map(|(labels, _)| labels.split(','))
                .filter_map(|label| Some(format!("`{}`", label.split_once('=')?.0)))
                .collect();
            let labels = labels.join(", ");
            let help = help.trim();
            writeln!(table, "| `{name}` | {kind} | {labels} | {help} |").unwrap();
        }
        table
    }

    /// The table of what is counted.
    fn reasons() -> String {
        let mut table = String::from("| reason | class | meaning |\n|---|---|---|\n");
        for reason in Reason::ALL {
            let (word, class, help) = (reason.word(), reason.class().word(), reason.help());
            writeln!(table, "| `{word}` | `{class}` | {help} |").unwrap();
        }
        table
    }

    #[test]
    fn the_documentation_has_every_metric_and_reason_as_it_is() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
        let documentation = fs::read_to_string(path).unwrap();
        for table in [table(), reasons()] {
            assert!(
                documentation.contains(&table),
                "docs/metrics.md has another table; this is what it has to be:\n{table}"
            );
        }
    }
}
