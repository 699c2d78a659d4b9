//! Why the API does not tell anything, and what to do about it.

use std::error::Error;

use kube::{core::Status, runtime::watcher};

/// HTTP's words for it.
const UNAUTHORIZED: u16 = 401;
const FORBIDDEN: u16 = 403;
const GONE: u16 = 410;

/// What became of a watch.
#[derive(Debug, Eq, PartialEq)]
pub enum Trouble {
    /// It ended, and goes on from where it was, or from the start: nothing is lost.
    Over(String),
    /// It can not be had.
    Failed(String),
}

impl Trouble {
    /// What an error of the watch of `resource` (`services`) means.
    pub fn of(error: watcher::Error, resource: &str) -> Self {
        use watcher::Error as E;
        match error {
            // Too far behind, as after a long time without connection.
            E::WatchError(status) if status.code == GONE => Self::Over(status.message),
            E::WatchError(status) => Self::Failed(refusal(&status, resource)),
            E::WatchFailed(error) => Self::Over(told(error, resource)),
            E::InitialListFailed(error) | E::WatchStartFailed(error) => {
                Self::Failed(told(error, resource))
            }
            E::NoResourceVersion => Self::Failed(format!(
                "the list of {resource} has no version: is it the API of Kubernetes that answers?"
            )),
        }
    }
}

fn told(error: kube::Error, resource: &str) -> String {
    match error {
        kube::Error::Api(status) => refusal(&status, resource),
        error => chain(&error),
    }
}

/// An error with its causes, on one line. Many of these errors quote their cause, which
/// is not said twice.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = one_line(&error.to_string());
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = one_line(&error.to_string());
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}

fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ")
}

fn refusal(status: &Status, resource: &str) -> String {
    // Written by somebody else, for a line of the log.
    let message = one_line(&status.message);
    match status.code {
        FORBIDDEN => format!(
            "the API refuses: {message}; a ClusterRole with the verbs get, list and watch for the \
             resource {resource} has to be bound to the agent's ServiceAccount (component \
             service-discovery, or serviceDiscovery.enabled of the chart)"
        ),
        UNAUTHORIZED => format!(
            "the API does not know the agent's token ({message}): it has to be that of a \
             ServiceAccount of this cluster, mounted into the pod"
        ),
        code => format!("the API answers {code}: {message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16, message: &str) -> Box<Status> {
        Box::new(Status {
            code,
            message: message.to_owned(),
            ..Status::default()
        })
    }

    #[test]
    fn a_cause_is_told_once() {
        let error = anyhow::anyhow!("refused")
            .context("no\nconnection: refused")
            .context("it failed");
        assert_eq!(chain(error.as_ref()), "it failed: no connection: refused");
    }

    #[test]
    fn what_is_over_goes_on() {
        let error = watcher::Error::WatchError(status(410, "too old resource version"));
        let over = Trouble::Over("too old resource version".to_owned());
        assert_eq!(Trouble::of(error, "services"), over);
        let error = watcher::Error::WatchError(status(500, "broken\nhere"));
        let failed = Trouble::Failed("the API answers 500: broken here".to_owned());
        assert_eq!(Trouble::of(error, "services"), failed);
    }

    #[test]
    fn a_refusal_names_what_is_missing() {
        let error = kube::Error::Api(status(403, "nodes is forbidden"));
        let Trouble::Failed(text) = Trouble::of(watcher::Error::WatchStartFailed(error), "nodes")
        else {
            panic!("it goes on");
        };
        for part in [
            "nodes is forbidden",
            "get, list and watch",
            "resource nodes",
        ] {
            assert!(text.contains(part), "{text}");
        }
        let error = kube::Error::Api(status(401, "Unauthorized"));
        let failed = Trouble::of(watcher::Error::InitialListFailed(error), "nodes");
        assert!(format!("{failed:?}").contains("token"));
    }
}
