//! One word for what happened.

use std::fmt;

use clap::ValueEnum;
use ftp_helper_common::reason::Reason;
use serde::{Deserialize, Serialize};

/// What happened, in one word; the [`Reason`] says more.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "UPPERCASE")]
pub enum Word {
    /// A control connection was taken on
    Open,
    /// A control connection ended
    Close,
    /// An announcement was rewritten
    Rewrite,
    /// An announcement was right as it was
    Accepted,
    /// A data connection is awaited from now on
    New,
    /// The awaited data connection came and was admitted
    Used,
    /// The awaited data connection did not come in time
    Expired,
    /// It is not awaited any more: the next announcement, a refusal by the server,
    /// or the end of the control connection
    Evicted,
    /// An announcement was not helped
    Rejected,
    /// A control connection is encrypted from now on
    Tls,
    /// A control connection can be read again
    Clear,
    /// A packet was dropped
    Dropped,
    /// A limit or a fault of the machinery
    Failed,
    /// Work on the segments of a control connection
    Stream,
    /// Events that nobody was told of
    Lost,
}

impl Word {
    /// The word for a reason.
    pub const fn of(reason: Reason) -> Self {
        match reason {
            Reason::SessionOpened | Reason::SessionPickedUp | Reason::SessionDetected => Self::Open,
            Reason::SessionClosed => Self::Close,
            Reason::AnnouncementRewritten => Self::Rewrite,
            Reason::AnnouncementAccepted | Reason::FxpAccepted => Self::Accepted,
            Reason::ExpectationCreated => Self::New,
            Reason::ExpectationMatched => Self::Used,
            Reason::ExpectationExpired => Self::Expired,
            Reason::ExpectationReplaced | Reason::ExpectationTornDown => Self::Evicted,
            Reason::RewriteRepeated
            | Reason::LineHeld
            | Reason::LineReleased
            | Reason::SegmentSplit
            | Reason::Reordered
            | Reason::Multipath => Self::Stream,
            Reason::Opaque => Self::Tls,
            Reason::Cleared => Self::Clear,
            Reason::BadSyntax
            | Reason::BadPort
            | Reason::LowPort
            | Reason::DeniedPort
            | Reason::ThirdParty
            | Reason::WrongFamily
            | Reason::Unsolicited
            | Reason::NotGreeted
            | Reason::NotLoggedIn
            | Reason::LineTooLong
            | Reason::Unsupported
            | Reason::EpsvAll
            | Reason::NotApproved
            | Reason::ClientLimit
            | Reason::NotFtp
            | Reason::Unseen => Self::Rejected,
            Reason::OutOfOrder
            | Reason::OverlapMismatch
            | Reason::Fragment
            | Reason::Malformed
            | Reason::Contended
            | Reason::RewriteFailed
            | Reason::TooManyRewrites => Self::Dropped,
            Reason::SessionTableFull
            | Reason::ExpectationTableFull
            | Reason::NoFreePort
            | Reason::ConntrackMissing
            | Reason::ConntrackInsertFailed => Self::Failed,
            Reason::EventLost => Self::Lost,
        }
    }

    /// Refusals, drops and faults that the programs count, but report no event of:
    /// there may be one with every packet.
    pub const COUNTED: &[Reason] = &[
        Reason::Unsupported,
        Reason::NotApproved,
        Reason::ClientLimit,
        Reason::OutOfOrder,
        Reason::OverlapMismatch,
        Reason::Fragment,
        Reason::Malformed,
        Reason::Contended,
        Reason::RewriteFailed,
        Reason::TooManyRewrites,
        Reason::SessionTableFull,
        Reason::ConntrackMissing,
    ];

    /// True when the reason says something that the word alone does not.
    pub const fn needs_reason(self, reason: Reason) -> bool {
        match self {
            Self::Evicted | Self::Rejected | Self::Dropped | Self::Failed | Self::Stream => true,
            Self::Open => !matches!(reason, Reason::SessionOpened),
            Self::Accepted => matches!(reason, Reason::FxpAccepted),
            Self::Close
            | Self::Rewrite
            | Self::New
            | Self::Used
            | Self::Expired
            | Self::Tls
            | Self::Clear
            | Self::Lost => false,
        }
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "OPEN",
            Self::Close => "CLOSE",
            Self::Rewrite => "REWRITE",
            Self::Accepted => "ACCEPTED",
            Self::New => "NEW",
            Self::Used => "USED",
            Self::Expired => "EXPIRED",
            Self::Evicted => "EVICTED",
            Self::Rejected => "REJECTED",
            Self::Tls => "TLS",
            Self::Clear => "CLEAR",
            Self::Dropped => "DROPPED",
            Self::Failed => "FAILED",
            Self::Stream => "STREAM",
            Self::Lost => "LOST",
        })
    }
}

#[cfg(test)]
mod tests {
    use ftp_helper_common::reason::Class;

    use super::*;

    #[test]
    fn words_agree_with_the_class_of_the_reason() {
        for reason in Reason::ALL {
            let word = Word::of(*reason);
            let class = match word {
                Word::Rejected => Class::Refusal,
                Word::Dropped => Class::Drop,
                Word::Failed | Word::Lost => Class::Fault,
                _ => Class::Work,
            };
            assert_eq!(reason.class(), class, "{}", reason.word());
        }
    }

    #[test]
    fn what_is_only_counted_is_no_work() {
        let mut reasons = Word::COUNTED.iter();
        assert!(reasons.all(|reason| reason.class() != Class::Work));
    }

    #[test]
    fn the_word_on_the_line_is_the_one_in_json() {
        for word in Word::value_variants() {
            let json = serde_json::to_string(word).unwrap();
            assert_eq!(json, format!("\"{word}\""));
        }
    }
}
