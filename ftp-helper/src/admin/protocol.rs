//! What goes over the socket, one JSON object a line.
//!
//! The client sends one request:
//!
//! ```json
//! {"request":"watch"}
//! {"request":"reload"}
//! {"request":"discovery"}
//! ```
//!
//! and gets messages until the agent has no more to say. The first answer to
//! `watch` is `hello`, then come `event`, `counted` and `lost`; the answer to `reload` is
//! `reloaded`, that to `discovery` is `discovery`. Whatever is not understood is answered by `error`.

use serde::{Deserialize, Serialize};

use super::{notice::Notice, word::Word};
use crate::kubernetes::Report;

/// A request longer than this is none.
pub const LONGEST_REQUEST: usize = 4096;

/// What a client asks for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// Everything that happens from now on.
    Watch,
    /// Read the settings again. For root and the agent's own user only.
    Reload,
    /// What is known of Services of Kubernetes.
    Discovery,
}

/// Where events were lost.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// The programs had more to report than the ring to the agent takes.
    Ring,
    /// The client read too slowly.
    Client,
}

impl Place {
    /// What is to be said about it.
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::Ring => "the agent did not keep up with the programs",
            Self::Client => "this reader did not keep up with the agent",
        }
    }
}

/// What became of a request to read the settings again.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Reloaded {
    /// Why the settings stay as they are; nothing when they were taken.
    pub error: Option<String>,
    /// The interfaces that are helped.
    pub interfaces: String,
    /// Settings that are others now, by their keys in the configuration file.
    pub changed: Vec<String>,
    /// Settings that take effect later only, and when.
    pub later: Vec<String>,
}

/// What the agent says.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "message", rename_all = "snake_case")]
pub enum Message {
    /// From now on everything is told.
    Hello {
        /// The agent's version.
        version: String,
    },
    /// Something happened.
    Event(Notice),
    /// Something happened that is counted, and no event is made of.
    Counted {
        /// In one word.
        event: Word,
        /// Word of the reason.
        reason: String,
        /// How often, since the last time.
        count: u64,
    },
    /// Something happened that can not be told any more.
    Lost {
        /// How many events that were.
        count: u64,
        /// Where they were lost.
        place: Place,
    },
    /// The settings were read again, or could not be.
    Reloaded(Reloaded),
    /// What is known of Services of Kubernetes.
    Discovery {
        /// Nothing when they are not watched.
        report: Option<Report>,
    },
    /// The request can not be answered.
    Error {
        /// Why.
        error: String,
    },
}

impl Message {
    /// As a line. A message is always one; if it were not, the client is told.
    pub fn line(&self) -> String {
        let mut text = serde_json::to_string(self)
            .unwrap_or_else(|_| r#"{"message":"error","error":"unprintable"}"#.to_owned());
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_as_they_are_documented() {
        let parse = serde_json::from_str::<Request>;
        assert_eq!(parse(r#"{"request":"watch"}"#).unwrap(), Request::Watch);
        assert_eq!(parse(r#"{"request":"reload"}"#).unwrap(), Request::Reload);
        let discovery = parse(r#"{"request":"discovery"}"#).unwrap();
        assert_eq!(discovery, Request::Discovery);
        assert!(parse(r#"{"request":"stop"}"#).is_err());
    }

    #[test]
    fn a_message_is_a_line() {
        let lost = Message::Lost {
            count: 3,
            place: Place::Client,
        };
        assert_eq!(
            lost.line(),
            "{\"message\":\"lost\",\"count\":3,\"place\":\"client\"}\n"
        );
        let error = Message::Error {
            error: "two\nlines".to_owned(),
        };
        assert_eq!(error.line().lines().count(), 1);
    }
}
