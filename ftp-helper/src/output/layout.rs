//! Tables, and the facts of a single thing.

use comfy_table::{ContentArrangement, Table, presets};

use super::{
    Row,
    colour::{self, Tone},
};

/// A table.
#[derive(Clone, Debug, Default)]
pub struct Grid {
    /// Heads of the columns.
    pub header: Vec<&'static str>,
    /// The lines.
    pub rows: Vec<(Vec<String>, Tone)>,
}

impl Grid {
    /// A list as a table.
    pub fn of<R: Row>(rows: &[R], wide: bool) -> Self {
        let mut header = R::HEADER.to_vec();
        if wide {
            header.extend(R::WIDE);
        }
        let cells = |row: &R| {
            let mut cells = row.cells();
            if wide {
                cells.extend(row.wide_cells());
            }
            cells
        };
        Self {
            header,
            rows: rows.iter().map(|row| (cells(row), row.tone())).collect(),
        }
    }

    /// The table as text, with a line end.
    pub fn render(&self, coloured: bool) -> String {
        let mut table = Table::new();
        table
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Disabled)
            .set_header(&self.header);
        for (cells, _) in &self.rows {
            // A cell is one line, so that a row is.
            table.add_row(cells.iter().map(|cell| cell.replace('\n', " ")));
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        let text = table.trim_fmt();
        let tones = self.rows.iter().map(|(_, tone)| *tone);
        let tones = std::iter::once(Tone::Plain).chain(tones);
        let lines = text.lines().zip(tones);
        lines
            .map(|(text, tone)| colour::line(text, tone, coloured) + "\n")
            .collect()
    }
}

/// A fact about a single thing.
#[derive(Clone, Debug)]
pub struct Fact {
    name: &'static str,
    value: String,
    tone: Tone,
}

impl Fact {
    /// A fact.
    pub fn new(name: &'static str, value: impl Into<String>) -> Self {
        Self {
            name,
            value: value.into(),
            tone: Tone::Plain,
        }
    }

    /// One that deserves attention.
    #[must_use]
    pub fn tone(self, tone: Tone) -> Self {
        Self { tone, ..self }
    }
}

/// A part of what is shown about a single thing.
#[derive(Clone, Debug)]
pub enum Section {
    /// One line each, the values below each other.
    Facts(Vec<Fact>),
    /// A table under a title; left out when it has no lines.
    Table(&'static str, Grid),
}

/// Sections as text, with a line end and an empty line between them.
pub fn sections(sections: &[Section], coloured: bool) -> String {
    let texts: Vec<String> = sections
        .iter()
        .filter_map(|section| match section {
            Section::Facts(facts) => Some(lines(facts, coloured)),
            Section::Table(_, grid) if grid.rows.is_empty() => None,
            Section::Table(title, grid) => Some(format!("{title}\n{}", grid.render(coloured))),
        })
        .collect();
    texts.join("\n")
}

fn lines(facts: &[Fact], coloured: bool) -> String {
    let widths = facts.iter().map(|fact| fact.name.len());
    let width = widths.max().unwrap_or_default();
    facts
        .iter()
        .map(|Fact { name, value, tone }| {
            let text = format!("{name:width$}  {value}");
            colour::line(text.trim_end(), *tone, coloured) + "\n"
        })
        .collect()
}

#[cfg(test)]
pub(super) mod tests {
    use serde::Serialize;

    use super::*;
    use crate::output::{Format, render, render_with};

    #[derive(Serialize)]
    pub(in crate::output) struct Pair {
        pub(in crate::output) name: &'static str,
        pub(in crate::output) count: u32,
    }

    impl Row for Pair {
        const KIND: &'static str = "pairs";
        const HEADER: &'static [&'static str] = &["NAME", "COUNT"];
        const WIDE: &'static [&'static str] = &["TWICE"];

        fn cells(&self) -> Vec<String> {
            vec![self.name.to_owned(), self.count.to_string()]
        }

        fn wide_cells(&self) -> Vec<String> {
            vec![(2 * self.count).to_string()]
        }

        fn tone(&self) -> Tone {
            if self.count > 10 {
                Tone::Bad
            } else {
                Tone::Plain
            }
        }
    }

    pub(in crate::output) const PAIRS: &[Pair] = &[
        Pair {
            name: "first",
            count: 1,
        },
        Pair {
            name: "second one",
            count: 20,
        },
    ];

    #[test]
    fn tables_are_aligned_and_have_no_blanks_at_the_end() {
        assert_eq!(
            render(PAIRS, Format::Table).unwrap(),
            "NAME        COUNT\n\
             first       1\n\
             second one  20\n"
        );
    }

    #[test]
    fn wide_tables_have_more_columns() {
        assert_eq!(
            render(PAIRS, Format::Wide).unwrap(),
            "NAME        COUNT  TWICE\n\
             first       1      2\n\
             second one  20     40\n"
        );
    }

    #[test]
    fn an_empty_table_is_its_header() {
        assert_eq!(render::<Pair>(&[], Format::Table).unwrap(), "NAME  COUNT\n");
    }

    #[test]
    fn the_lines_that_deserve_it_have_a_colour() {
        let text = render_with(PAIRS, Format::Table, true).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], "first       1");
        assert_eq!(lines[2], "\u{1b}[31msecond one  20\u{1b}[0m");
    }

    #[test]
    fn a_row_is_one_line() {
        let pair = Pair {
            name: "a\nb",
            count: 1,
        };
        assert_eq!(
            render(&[pair], Format::Table).unwrap(),
            "NAME  COUNT\na b   1\n"
        );
    }

    #[test]
    fn sections_of_a_single_thing() {
        let facts = vec![Fact::new("name", "x"), Fact::new("number", "")];
        let grid = Grid::of(&PAIRS[..1], false);
        let text = sections(
            &[
                Section::Facts(facts),
                Section::Table("nothing", Grid::default()),
                Section::Table("pairs", grid),
            ],
            false,
        );
        assert_eq!(text, "name    x\nnumber\n\npairs\nNAME   COUNT\nfirst  1\n");
    }
}
