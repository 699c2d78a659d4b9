//! What to do about a refusal.

use ftp_helper_common::reason::Reason;

/// What the operator can do; nothing where there is nothing to be done, or the
/// reason stands for normal work.
pub const fn advice(reason: Reason) -> Option<&'static str> {
    match reason {
        Reason::BadSyntax => Some("correct or replace the program that announces like that"),
        Reason::BadPort => Some("correct or replace the program that announces such a port"),
        Reason::LowPort => Some(
            "have the client or server use data ports from 1024 on: lower ones are those of other \
             services, and are never opened",
        ),
        Reason::DeniedPort => Some(
            "have the client or server use other data ports, or take the port off the list \
             (`deny-ports`)",
        ),
        Reason::ThirdParty => Some(
            "when the host behind this address is meant to take part in transfers, put its network \
             on the list (`fxp`); when the server announces an address of its own choice \
             (`pasv_address` and the like), remove that there",
        ),
        Reason::WrongFamily => {
            Some("have the client use EPRT or EPSV of the control connection's own family")
        }
        Reason::Unsolicited => Some(
            "nothing: a server that announces without being asked is out of step with its client, \
             or somebody tries to open a hole",
        ),
        Reason::NotGreeted => Some(
            "have the client wait for the server's greeting; where something answers in its place, \
             look at what that is",
        ),
        Reason::NotLoggedIn => Some("log in first, or turn `require-login` off"),
        Reason::LineTooLong => Some("correct or replace the program that sends such a line"),
        Reason::Unsupported => Some("have the client use EPRT and EPSV in place of LPRT and LPSV"),
        Reason::EpsvAll => Some("have the client keep to EPSV after its own EPSV ALL"),
        Reason::NotApproved => {
            Some("nothing, unless the server is right to hurry: then turn `strict` off")
        }
        Reason::ClientLimit => Some("raise `client-limit`, or look at what the client does"),
        Reason::NotFtp => Some(
            "nothing: this was no FTP client, perhaps a browser that a page has misled; when it \
             was one, look at what it says first",
        ),
        Reason::Unseen => Some(
            "connect again: what was said meanwhile is not known; and keep the interface selected",
        ),
        Reason::SessionTableFull => Some("raise `session-limit`"),
        Reason::ExpectationTableFull => {
            Some("raise `session-limit`, by which this table grows too")
        }
        Reason::NoFreePort => {
            Some("widen `port-range`, and see `ftp-helper nat list` for who has the ports")
        }
        Reason::ConntrackMissing => Some(
            "see that connections on the control port are tracked (no `notrack`) in the zone \
             that is looked in (`ct-zone`), and that the connection table is not full (`ftp-helper \
             doctor`)",
        ),
        Reason::ConntrackInsertFailed => Some(
            "see whether the connection table is full, or has the same connection already: \
             `ftp-helper doctor`, `conntrack -L`",
        ),
        Reason::OverlapMismatch => Some(
            "look for what else rewrites the control connection on its way, and at who sends it",
        ),
        Reason::Fragment | Reason::Malformed => {
            Some("look for a wrong MTU between the inside host and the gateway")
        }
        Reason::OutOfOrder
        | Reason::Contended
        | Reason::RewriteFailed
        | Reason::TooManyRewrites
        | Reason::EventLost
        | Reason::SessionOpened
        | Reason::SessionPickedUp
        | Reason::SessionClosed
        | Reason::AnnouncementRewritten
        | Reason::AnnouncementAccepted
        | Reason::ExpectationCreated
        | Reason::ExpectationMatched
        | Reason::ExpectationExpired
        | Reason::ExpectationReplaced
        | Reason::ExpectationTornDown
        | Reason::RewriteRepeated
        | Reason::LineHeld
        | Reason::LineReleased
        | Reason::SegmentSplit
        | Reason::Opaque
        | Reason::Reordered
        | Reason::SessionDetected
        | Reason::Cleared
        | Reason::FxpAccepted
        | Reason::Multipath => None,
    }
}

#[cfg(test)]
mod tests {
    use ftp_helper_common::reason::Class;

    use super::*;

    #[test]
    fn every_refusal_has_an_advice() {
        for reason in Reason::ALL {
            let wants = reason.class() == Class::Refusal;
            assert!(!wants || advice(*reason).is_some(), "{}", reason.word());
        }
    }
}
