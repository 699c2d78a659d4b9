//! `ftp-helper explain`

use anyhow::Result;
use clap::Args;
use ftp_helper_common::session::{Session, SessionKey};

use super::Output;
use crate::{
    datapath::maps::{EXPECTATIONS, Expectations, SESSIONS, Sessions},
    explain::{absence, cause::Cause, report::Report, target::Target},
    failure::Failure,
    output::{self, endpoint},
    pins::PinDirectory,
};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A control connection: both ends, as seen inside or outside (quote the
    /// arrow), one end of it or of one of its data connections, or the address of
    /// its client
    #[arg(value_name = "ADDRESS:PORT[<->ADDRESS:PORT]")]
    target: Target,

    #[command(flatten)]
    output: Output,
}

pub(super) fn run(arguments: &Arguments, pins: &PinDirectory) -> Result<()> {
    let target = &arguments.target;
    let mut found = find(pins, target)?;
    if found.len() > 1 {
        return Err(several(target, &mut found).into());
    }
    let Some((key, session)) = found.first() else {
        return Err(nothing(target, &absence::causes(pins, target)).into());
    };
    let report = Report::new(pins, key, session)?;
    output::print_object(&report, arguments.output.output)
}

/// The control connections that are meant: those that go by the name themselves;
/// where there are none, those with such a data connection.
fn find(pins: &PinDirectory, target: &Target) -> Result<Vec<(SessionKey, Session)>> {
    let sessions = Sessions::open(pins, SESSIONS)?.entries()?;
    let named: Vec<_> = sessions
        .iter()
        .filter(|(key, session)| target.is(key, session))
        .copied()
        .collect();
    if !named.is_empty() {
        return Ok(named);
    }
    let mut awaited = Expectations::open(pins, EXPECTATIONS)?.entries()?;
    awaited.retain(|(key, expectation)| target.is_awaited(key, expectation));
    let mut announcing = sessions;
    announcing.retain(|(key, session)| {
        let is_awaited = awaited
            .iter()
            .any(|(_, expectation)| expectation.master == *key);
        is_awaited || target.is_announced_by(session)
    });
    Ok(announcing)
}

/// All of them are listed: the newest first, as it is the likeliest.
fn several(target: &Target, found: &mut [(SessionKey, Session)]) -> Failure {
    found.sort_by_key(|(_, session)| std::cmp::Reverse(session.created));
    let names: Vec<String> = found
        .iter()
        .map(|(key, _)| format!("'{}<->{}'", endpoint(&key.outside), endpoint(&key.peer)))
        .collect();
    Failure::usage(format!(
        "{} sessions go by {target}, the newest first: {}; name one of them",
        found.len(),
        names.join(", ")
    ))
}

fn nothing(target: &Target, causes: &[Cause]) -> Failure {
    let causes: Vec<String> = causes
        .iter()
        .map(|cause| match &cause.fix {
            Some(fix) => format!("{} ({fix})", cause.text),
            None => cause.text.clone(),
        })
        .collect();
    Failure::not_found(format!(
        "there is no session {target}; likely causes: {}",
        causes.join("; or ")
    ))
}

#[cfg(test)]
mod tests {
    use ftp_helper_common::address::{Address, Endpoint};
    use zerocopy::FromZeros as _;

    use super::*;

    #[test]
    fn several_are_listed_and_none_has_causes() {
        let target: Target = "10.0.0.2".parse().unwrap();
        let session = |port, created| {
            let outside = Endpoint::new(Address::from_v4([203, 0, 113, 1]), port);
            let peer = Endpoint::new(Address::from_v4([203, 0, 113, 2]), 21);
            let mut session = Session::new_zeroed();
            session.created = created;
            (SessionKey { outside, peer }, session)
        };
        assert_eq!(
            several(&target, &mut [session(40000, 1), session(40001, 2)]),
            Failure::usage(
                "2 sessions go by 10.0.0.2, the newest first: \
                 '203.0.113.1:40001<->203.0.113.2:21', '203.0.113.1:40000<->203.0.113.2:21'; name \
                 one of them"
            )
        );
        let causes = [
            Cause::new("one", "it is so").fix("do this"),
            Cause::new("two", "it is over"),
        ];
        assert_eq!(
            nothing(&target, &causes),
            Failure::not_found(
                "there is no session 10.0.0.2; likely causes: it is so (do this); or it is over"
            )
        );
    }
}
