//! Measurements on their way into a table.

use super::{
    NET,
    report::{Better, Cell, Outcome, Row, Table},
    statistics::{Spread, ratios},
};

/// What was measured of one thing, for one table.
#[derive(Debug, Default)]
pub struct Samples {
    rows: Vec<Series>,
}

#[derive(Debug)]
struct Series {
    what: String,
    subject: String,
    /// By round.
    values: Vec<Option<f64>>,
    refusal: Option<String>,
}

/// What a table says beside its numbers.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// See [`Table::name`].
    pub name: &'a str,
    /// See [`Table::title`].
    pub title: &'a str,
    /// See [`Table::unit`].
    pub unit: &'a str,
    /// See [`Table::digits`].
    pub digits: usize,
    /// See [`Table::better`].
    pub better: Better,
    /// See [`Table::anchor`].
    pub anchor: &'a str,
}

impl Samples {
    /// Notes what `subject` took for `what` in this round: values of one round were
    /// measured next to each other.
    pub fn add(&mut self, round: usize, what: &str, subject: &str, value: f64) {
        let values = &mut self.series(what, subject).values;
        if values.len() <= round {
            values.resize(round + 1, None);
        }
        if let Some(place) = values.get_mut(round) {
            *place = Some(value);
        }
    }

    /// Notes why there is no value. Values that there are stay.
    pub fn refuse(&mut self, what: &str, subject: &str, reason: &str) {
        self.series(what, subject).refusal = Some(one_line(reason));
    }

    /// Notes a value, or why there is none.
    pub fn note(&mut self, round: usize, what: &str, subject: &str, value: anyhow::Result<f64>) {
        match value {
            Ok(value) => self.add(round, what, subject, value),
            Err(error) => {
                let reason = format!("{error:#}");
                eprintln!("  {what}, {subject}: {reason}");
                self.refuse(what, subject, &reason);
            }
        }
    }

    fn series(&mut self, what: &str, subject: &str) -> &mut Series {
        let found = self
            .rows
            .iter()
            .position(|it| it.what == what && it.subject == subject);
        let at = found.unwrap_or_else(|| {
            self.rows.push(Series {
                what: what.to_owned(),
                subject: subject.to_owned(),
                values: Vec::new(),
                refusal: None,
            });
            self.rows.len() - 1
        });
        &mut self.rows[at]
    }

    /// All of it.
    pub fn table(&self, head: Head<'_>) -> Table {
        let mut rows: Vec<Row> = Vec::new();
        for series in &self.rows {
            let cell = Cell {
                subject: series.subject.clone(),
                outcome: self.outcome(series, head.anchor),
            };
            match rows.iter_mut().find(|row| row.what == series.what) {
                Some(row) => row.cells.push(cell),
                None => rows.push(Row {
                    what: series.what.clone(),
                    cells: vec![cell],
                }),
            }
        }
        Table {
            name: head.name.to_owned(),
            title: head.title.to_owned(),
            unit: head.unit.to_owned(),
            digits: head.digits,
            better: head.better,
            anchor: head.anchor.to_owned(),
            rows,
        }
    }

    fn outcome(&self, series: &Series, anchor: &str) -> Outcome {
        let Some(value) = Spread::of(series.values.iter().copied().flatten()) else {
            let reason = series.refusal.clone();
            return Outcome::NotMeasured(reason.unwrap_or_else(|| "nothing came of it".to_owned()));
        };
        let anchor = self
            .rows
            .iter()
            .find(|it| it.what == series.what && it.subject == anchor)
            // A difference is no multiple of anything.
            .filter(|it| it.subject != series.subject && series.subject != NET);
        let ratio = anchor.and_then(|anchor| Spread::of(ratios(&series.values, &anchor.values)));
        Outcome::Measured { value, ratio }
    }
}

/// An error on one line, for a cell.
pub(super) fn one_line(text: &str) -> String {
    /// Longest text that a cell has room for.
    const LONGEST: usize = 160;

    let text = text.replace('|', " ");
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: Head<'_> = Head {
        name: "rates",
        title: "Rates",
        unit: "1/s",
        digits: 0,
        better: Better::Higher,
        anchor: "theirs",
    };

    #[test]
    #[expect(clippy::float_cmp, reason = "all of these numbers are exact")]
    fn ratios_are_taken_round_by_round() {
        let mut samples = Samples::default();
        for (round, speed) in [1.0, 10.0, 100.0].into_iter().enumerate() {
            // The machine got ten times faster each round; the ratio stays.
            samples.add(round, "it", "theirs", speed);
            samples.add(round, "it", "ours", speed * 1.5);
        }
        let table = samples.table(HEAD);
        assert_eq!(table.subjects(), ["theirs", "ours"]);
        let ratio = table.outcome("it", "ours").unwrap().ratio().unwrap();
        assert_eq!((ratio.median, ratio.low, ratio.high), (1.5, 1.5, 1.5));
        assert_eq!(table.outcome("it", "theirs").unwrap().ratio(), None);
        assert_eq!(
            table.outcome("it", "ours").unwrap().value().unwrap().median,
            15.0
        );
    }

    #[test]
    fn who_failed_says_why_and_the_others_count() {
        let mut samples = Samples::default();
        samples.add(0, "it", "theirs", 1.0);
        samples.note(
            0,
            "it",
            "ours",
            Err(anyhow::anyhow!("no | such thing\nat all")),
        );
        // One round that failed takes nothing from the others.
        samples.note(1, "it", "theirs", Err(anyhow::anyhow!("once")));
        let table = samples.table(HEAD);
        let ours = table.outcome("it", "ours").unwrap();
        assert_eq!(
            *ours,
            Outcome::NotMeasured("no such thing at all".to_owned())
        );
        assert_eq!(
            table
                .outcome("it", "theirs")
                .unwrap()
                .value()
                .unwrap()
                .count,
            1
        );
    }

    #[test]
    fn a_missing_round_of_the_anchor_pairs_with_nothing() {
        let mut samples = Samples::default();
        samples.add(0, "it", "ours", 8.0);
        samples.add(1, "it", "ours", 4.0);
        samples.add(1, "it", "theirs", 2.0);
        let table = samples.table(HEAD);
        let ratio = table.outcome("it", "ours").unwrap().ratio().unwrap();
        assert_eq!((ratio.count, ratio.median), (1, 2.0));
    }
}
