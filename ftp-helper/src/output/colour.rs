//! Which lines deserve a colour, and whether there may be any.

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};

/// Whether a line deserves attention.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Tone {
    /// A line like others.
    #[default]
    Plain,
    /// Something may be wrong.
    Warn,
    /// Something is wrong.
    Bad,
}

impl Tone {
    const fn style(self) -> Option<Style> {
        match self {
            Self::Plain => None,
            Self::Warn => Some(AnsiColor::Yellow.on_default()),
            Self::Bad => Some(AnsiColor::Red.on_default()),
        }
    }
}

/// True when standard output is a terminal that has colours and nobody asked for
/// none (`NO_COLOR`, `CLICOLOR`).
pub fn on_stdout() -> bool {
    AutoStream::choice(&std::io::stdout()) != ColorChoice::Never
}

/// A line as it is shown.
pub fn line(text: &str, tone: Tone, coloured: bool) -> String {
    match tone.style().filter(|_| coloured) {
        Some(style) => format!("{style}{text}{style:#}"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_deserves_it_has_a_colour() {
        assert_eq!(line("a", Tone::Plain, true), "a");
        assert_eq!(line("a", Tone::Bad, false), "a");
        assert_eq!(line("a", Tone::Bad, true), "\u{1b}[31ma\u{1b}[0m");
        assert_eq!(line("a", Tone::Warn, true), "\u{1b}[33ma\u{1b}[0m");
    }
}
