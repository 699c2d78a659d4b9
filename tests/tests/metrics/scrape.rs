//! Requests to the agent, and what a scrape says.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use ftp_helper_tests::{host::Host, wait::patient};

/// The usual address.
pub(crate) const ADDRESS: &str = "127.0.0.1:21021";

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) body: String,
}

/// Connects to the agent and says `words`, which need not be all of a request.
pub(crate) fn say(host: &Host, words: &str) -> Result<TcpStream> {
    let address: SocketAddr = ADDRESS.parse()?;
    let limit = patient(Duration::from_secs(10));
    let mut stream = host.enter(|| Ok(TcpStream::connect_timeout(&address, limit)?))?;
    stream.set_read_timeout(Some(limit))?;
    stream.write_all(words.as_bytes())?;
    Ok(stream)
}

/// Asks for a path.
pub(crate) fn get(host: &Host, path: &str) -> Result<Answer> {
    request(host, "GET", path, "*/*")
}

/// Asks in a certain way.
pub(crate) fn request(host: &Host, method: &str, path: &str, accept: &str) -> Result<Answer> {
    let words = format!("{method} {path} HTTP/1.1\r\nHost: gateway\r\nAccept: {accept}\r\n\r\n");
    let mut text = String::new();
    say(host, &words)?
        .read_to_string(&mut text)
        .with_context(|| format!("no answer to {method} {path}"))?;
    let (head, body) = text
        .split_once("\r\n\r\n")
        .context("an answer has a head")?;
    let status = head.split(' ').nth(1).context("an answer has a status")?;
    let content_type = head
        .lines()
        .find_map(|line| line.strip_prefix("content-type: "))
        .unwrap_or_default();
    Ok(Answer {
        status: status.parse()?,
        content_type: content_type.to_owned(),
        body: body.to_owned(),
    })
}

/// The samples of a scrape, by name and labels as they are written.
#[derive(Clone, Debug)]
pub(crate) struct Scrape {
    pub(crate) text: String,
    samples: BTreeMap<String, f64>,
}

impl Scrape {
    /// A scrape that is not one of a moment ago.
    pub(crate) fn new(host: &Host) -> Result<Self> {
        // The agent does not walk its maps again within a second.
        std::thread::sleep(Duration::from_millis(1100));
        let answer = get(host, "/metrics")?;
        ensure!(answer.status == 200, "{answer:?}");
        Self::parse(answer.body)
    }

    /// The samples of a text.
    pub(crate) fn parse(text: String) -> Result<Self> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let samples = lines.map(|line| {
            let (name, value) = line.rsplit_once(' ').context("a sample has a value")?;
            Ok((name.to_owned(), value.parse()?))
        });
        let samples = samples.collect::<Result<_>>()?;
        Ok(Self { text, samples })
    }

    /// The value of a sample.
    pub(crate) fn value(&self, name: &str) -> f64 {
        match self.samples.get(name) {
            Some(value) => *value,
            None => panic!("no sample {name} in\n{}", self.text),
        }
    }

    /// What the counters of reasons grew by since an earlier scrape.
    pub(crate) fn events_since(&self, earlier: &Self) -> BTreeMap<String, f64> {
        let events = self
            .samples
            .iter()
            .filter(|(name, _)| name.starts_with("ftp_helper_events_total{"));
        events
            .map(|(name, value)| {
                let reason = labels_of(name).remove("reason").unwrap_or_default();
                (reason, value - earlier.value(name))
            })
            .filter(|(_, difference)| *difference != 0.0)
            .collect()
    }

    /// Names of samples, with the values of each label.
    pub(crate) fn names(&self) -> BTreeMap<String, BTreeMap<String, BTreeSet<String>>> {
        let mut names: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
        for sample in self.samples.keys() {
            let name = sample.split('{').next().unwrap_or_default();
            let labels = names.entry(name.to_owned()).or_default();
            for (label, value) in labels_of(sample) {
                labels.entry(label).or_default().insert(value);
            }
        }
        names
    }
}

/// No value of ours has a comma or a quote.
fn labels_of(sample: &str) -> BTreeMap<String, String> {
    let labels = sample.split_once('{').map_or("", |(_, labels)| labels);
    labels
        .trim_end_matches('}')
        .split(',')
        .filter_map(|label| {
            let (name, value) = label.split_once('=')?;
            Some((name.to_owned(), value.trim_matches('"').to_owned()))
        })
        .collect()
}
