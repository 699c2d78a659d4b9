//! The terminal: taken over, and left as it was found however the end comes.

use std::{
    io::{self, IsTerminal as _, stdin, stdout},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use ratatui::{
    DefaultTerminal,
    crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers},
};

use super::{
    render::draw,
    sample::Source,
    state::{Key, State, Wish},
};
use crate::failure::{Failure, one_line};

/// Puts the terminal back when it goes away.
struct Restore;

impl Drop for Restore {
    fn drop(&mut self) {
        restore();
    }
}

/// Puts the terminal back as it was found; nothing happens to one that was not
/// taken over.
pub fn restore() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        // There is nothing to be done when the terminal is gone.
        let _ = ratatui::try_restore();
    }
}

/// The terminal is ours.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Shows what happens until the user has seen enough.
pub fn run(source: &Source, every: Duration) -> Result<()> {
    if !stdin().is_terminal() || !stdout().is_terminal() {
        return Err(Failure::usage(
            "top needs a terminal: `ftp-helper stats` and `ftp-helper session list` print the same \
             without one",
        )
        .into());
    }
    TAKEN.store(true, Ordering::SeqCst);
    // A panic restores it too, before its message.
    let terminal = ratatui::try_init().context("can not take over the terminal");
    let _restore = Restore;
    go_on(&mut terminal?, source, every)
}

fn go_on(terminal: &mut DefaultTerminal, source: &Source, every: Duration) -> Result<()> {
    let mut state = State::default();
    loop {
        let started = Instant::now();
        state.update(source.read().map_err(|error| one_line(&error)));
        show(terminal, &state)?;
        while let Some(left) = every.checked_sub(started.elapsed()) {
            let Some(event) = next_event(left)? else {
                break;
            };
            match event {
                Event::Key(key) if key.kind != KeyEventKind::Release => {
                    match state.key(meaning(key)) {
                        Wish::Quit => return Ok(()),
                        Wish::Redraw => show(terminal, &state)?,
                        Wish::Nothing => {}
                    }
                }
                Event::Resize(..) => show(terminal, &state)?,
                _ => {}
            }
        }
    }
}

fn show(terminal: &mut DefaultTerminal, state: &State) -> Result<()> {
    terminal
        .draw(|frame| draw(frame, state))
        .context("can not write to the terminal")?;
    Ok(())
}

/// What the user does within this time.
fn next_event(limit: Duration) -> Result<Option<Event>> {
    let wait = || -> io::Result<Option<Event>> {
        Ok(if event::poll(limit)? {
            Some(event::read()?)
        } else {
            None
        })
    };
    wait().context("can not read from the terminal")
}

fn meaning(key: KeyEvent) -> Key {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Esc => Key::End,
        KeyCode::Char('c') if control => Key::End,
        KeyCode::Char(letter) => Key::Letter(letter),
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        _ => Key::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_matter() {
        let plain = |code| meaning(KeyEvent::new(code, KeyModifiers::NONE));
        assert_eq!(plain(KeyCode::Esc), Key::End);
        assert_eq!(plain(KeyCode::Char('c')), Key::Letter('c'));
        let control = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(meaning(control), Key::End);
        assert_eq!(plain(KeyCode::Up), Key::Up);
        assert_eq!(plain(KeyCode::F(1)), Key::Other);
    }
}
