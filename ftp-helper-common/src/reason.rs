//! The one list of reasons: counter index, log word and CLI row.

macro_rules! reasons {
    ($($(#[$meta:meta])* $name:ident = $value:literal, $word:literal, $class:ident, $help:literal;)*) => {
        /// Why something happened to a packet, a line or an expectation.
        ///
        /// Numbers are part of the map layout: append only, never reuse one.
        #[repr(u8)]
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub enum Reason {
            $(#[doc = $help] $name = $value,)*
        }

        impl Reason {
            /// Every reason, in the order of its number.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The word used in logs, JSON and metrics.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// One sentence for operators.
            pub const fn help(self) -> &'static str {
                match self { $(Self::$name => $help,)* }
            }

            /// What kind of thing this reason stands for.
            pub const fn class(self) -> Class {
                match self { $(Self::$name => Class::$class,)* }
            }

            /// The reason with this number, as found in a map.
            pub const fn from_number(number: u8) -> Option<Self> {
                match number { $($value => Some(Self::$name),)* _ => None }
            }
        }
    };
}

/// How a [`Reason`] is to be read.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Class {
    /// Normal work.
    Work,
    /// An announcement was not helped; it went on untouched.
    Refusal,
    /// A packet was dropped, because passing it would be wrong.
    Drop,
    /// A limit or a fault of the machinery.
    Fault,
}

impl Class {
    /// The word used in JSON and metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Work => "work",
            Self::Refusal => "refusal",
            Self::Drop => "drop",
            Self::Fault => "fault",
        }
    }
}

reasons! {
    SessionOpened = 0, "session_opened", Work,
        "a control connection was taken on from its handshake";
    SessionPickedUp = 1, "session_picked_up", Work,
        "a control connection was taken on in the middle; the next line end synchronises it";
    SessionClosed = 2, "session_closed", Work,
        "a control connection ended";
    AnnouncementRewritten = 3, "announcement_rewritten", Work,
        "an announced endpoint was replaced by its outside form";
    AnnouncementAccepted = 4, "announcement_accepted", Work,
        "an announced endpoint was already right and only needed an expectation";
    ExpectationCreated = 5, "expectation_created", Work,
        "a data connection is awaited";
    ExpectationMatched = 6, "expectation_matched", Work,
        "the awaited data connection arrived and was admitted";
    ExpectationExpired = 7, "expectation_expired", Work,
        "an awaited data connection did not come in time";
    ExpectationReplaced = 8, "expectation_replaced", Work,
        "a later announcement of the same session took the place of this one";
    ExpectationTornDown = 9, "expectation_torn_down", Work,
        "the server refused the announcement, or the session ended, before data came";
    RewriteRepeated = 10, "rewrite_repeated", Work,
        "a retransmission was rewritten to the same bytes as before";
    LineHeld = 11, "line_held", Work,
        "part of an announcement was held back until the rest of its line came";
    LineReleased = 12, "line_released", Work,
        "a held line turned out not to need a rewrite and was passed on as it was";
    SegmentSplit = 13, "segment_split", Work,
        "a segment grew too large, or brought many announcements, and went on in pieces";
    Opaque = 14, "opaque", Work,
        "the control connection changed to TLS or GSSAPI; no more help is possible";
    Reordered = 15, "reordered", Work,
        "a segment arrived before the one that precedes it, and went on together with that one";
    SessionDetected = 16, "session_detected", Work,
        "a connection on another port turned out to be a control connection";
    Cleared = 17, "cleared", Work,
        "an encrypted control connection became readable again (CCC)";
    FxpAccepted = 18, "fxp_accepted", Work,
        "an announcement named a third party of the FXP list; it went on untouched";
    Multipath = 19, "multipath", Work,
        "a control connection was to be Multipath TCP; its options were taken out, and it is plain TCP";

    BadSyntax = 20, "bad_syntax", Refusal,
        "an announcement was complete but does not follow the grammar";
    BadPort = 21, "bad_port", Refusal,
        "an announced port is 0, or does not fit into 16 bits";
    LowPort = 22, "low_port", Refusal,
        "an announced port is below 1024";
    DeniedPort = 23, "denied_port", Refusal,
        "an announced port is on the deny-list";
    ThirdParty = 24, "third_party", Refusal,
        "the announced address is not the sender's own (FTP bounce)";
    WrongFamily = 25, "wrong_family", Refusal,
        "the announced address is of another family than the control connection";
    Unseen = 26, "unseen", Refusal,
        "part of a control connection passed unseen and has arrived; it goes on without help";
    Unsolicited = 27, "unsolicited", Refusal,
        "a 227 or 229 came without a PASV or EPSV that asked for it";
    NotGreeted = 28, "not_greeted", Refusal,
        "an announcement came before the server's 220 greeting";
    NotLoggedIn = 29, "not_logged_in", Refusal,
        "an announcement came before the server's 230, and the configuration demands one";
    LineTooLong = 30, "line_too_long", Refusal,
        "a line grew beyond what is held or parsed";
    Unsupported = 31, "unsupported", Refusal,
        "LPRT, LPSV and 228 (RFC 1639) are passed on without help";
    EpsvAll = 32, "epsv_all", Refusal,
        "PORT, EPRT or PASV after EPSV ALL (RFC 2428 section 4)";
    NotApproved = 33, "not_approved", Refusal,
        "a data connection came before the server's 2xx, and the configuration demands one";
    ClientLimit = 34, "client_limit", Refusal,
        "the client has as many control connections as one may have";
    NotFtp = 35, "not_ftp", Refusal,
        "a client speaks HTTP, TLS or another protocol on a control port; the connection goes on without help";

    OutOfOrder = 40, "out_of_order", Drop,
        "a segment arrived before the one that precedes it and could not be kept; the sender repeats it";
    OverlapMismatch = 41, "overlap_mismatch", Drop,
        "a retransmission carried other bytes at the place of a rewrite";
    Fragment = 42, "fragment", Drop,
        "a fragment of a control connection can not be inspected";
    Malformed = 43, "malformed", Drop,
        "a control packet contradicts its own header lengths";
    Contended = 44, "contended", Drop,
        "two processors handled one direction of a session at once; the sender repeats it";
    RewriteFailed = 45, "rewrite_failed", Drop,
        "the kernel refused to change the packet; the sender repeats it";
    TooManyRewrites = 46, "too_many_rewrites", Drop,
        "more announcements are on their way than can be remembered; the sender repeats this one";

    SessionTableFull = 60, "session_table_full", Fault,
        "the session map is full; the connection went on without help";
    ExpectationTableFull = 61, "expectation_table_full", Fault,
        "the expectation map is full; the announcement was not helped";
    NoFreePort = 62, "no_free_port", Fault,
        "no free outside port was found; the announcement was not helped";
    ConntrackMissing = 63, "conntrack_missing", Fault,
        "the control connection has no conntrack entry; its own addresses were taken";
    ConntrackInsertFailed = 64, "conntrack_insert_failed", Fault,
        "the kernel refused the conntrack entry of a data connection";
    EventLost = 65, "event_lost", Fault,
        "the event ring was full; counters are right, the log lacks an entry";
}

/// Number of slots in the counter map; larger than every reason's number.
pub const COUNTERS: u32 = 128;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn numbers_and_words_are_unique_and_round_trip() {
        let mut words = HashSet::new();
        for reason in Reason::ALL {
            assert_eq!(Reason::from_number(*reason as u8), Some(*reason));
            assert!(u32::from(*reason as u8) < COUNTERS);
            assert!(
                words.insert(reason.word()),
                "{} is used twice",
                reason.word()
            );
            assert!(!reason.help().is_empty());
        }
        assert_eq!(Reason::from_number(255), None);
    }
}
