//! `ftp-helper reload`

use std::time::Duration;

use anyhow::{Result, bail};

use crate::{
    admin::{
        RunDirectory,
        client::Client,
        protocol::{Message, Reloaded, Request},
    },
    output,
    pins::PinDirectory,
};

/// Attaching takes the kernel a moment on each interface.
const PATIENCE: Duration = Duration::from_secs(60);

/// Has the agent read its settings again, and prints what became of it.
pub(super) fn run(pins: &PinDirectory, run_directory: &RunDirectory) -> Result<()> {
    let mut client = Client::ask(run_directory, pins, Request::Reload)?;
    client.set_patience(PATIENCE)?;
    match client.message()? {
        Some(Message::Reloaded(reloaded)) => match &reloaded.error {
            None => output::write(&text(&reloaded)),
            Some(error) => bail!(
                "the settings stay as they are: {error} (helping FTP on {} as before; correct \
                 them and run `ftp-helper reload` again)",
                reloaded.interfaces
            ),
        },
        Some(_) => bail!("the agent gave another answer than was asked for"),
        None => bail!("the agent ended before it answered: see its log"),
    }
}

fn text(reloaded: &Reloaded) -> String {
    let changed = if reloaded.changed.is_empty() {
        "no setting is another one than before".to_owned()
    } else {
        format!("changed: {}", reloaded.changed.join(", "))
    };
    let mut lines = vec![
        format!(
            "settings read again: helping FTP on {}",
            reloaded.interfaces
        ),
        changed,
    ];
    let later = reloaded.later.iter();
    lines.extend(later.map(|line| format!("not yet: {line}")));
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_applied_and_what_was_not() {
        let mut reloaded = Reloaded {
            interfaces: "wan0".to_owned(),
            ..Reloaded::default()
        };
        assert_eq!(
            text(&reloaded),
            "settings read again: helping FTP on wan0\nno setting is another one than before\n"
        );
        reloaded.changed = vec!["strict".to_owned(), "metrics".to_owned()];
        reloaded.later = vec!["metrics stay where they are".to_owned()];
        assert_eq!(
            text(&reloaded),
            "settings read again: helping FTP on wan0\nchanged: strict, metrics\n\
             not yet: metrics stay where they are\n"
        );
    }
}
