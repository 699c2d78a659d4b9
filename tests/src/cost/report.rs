//! What a run has measured, as it is kept: the JSON of `cargo xtask bench --json`.

use serde::{Deserialize, Serialize};

use super::{machine::Machine, statistics::Spread};

/// Version of these types.
pub const SCHEMA: u32 = 1;

/// A run.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema_version: u32,
    /// How much was measured: `full`, `quick` or `tiny`.
    pub amount: String,
    /// Where.
    pub machine: Machine,
    /// How long it took.
    pub seconds: f64,
    /// Instructions that the verifier went through, by program.
    pub verified_instructions: Vec<Verified>,
    /// What was measured.
    pub sections: Vec<Section>,
}

/// What the verifier did with a program.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Verified {
    /// `ingress` or `egress`.
    pub program: String,
    /// Instructions; the kernel gives up at a million.
    pub instructions: u32,
}

/// One question.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Section {
    /// What `--only` calls it.
    pub name: String,
    /// Its heading.
    pub title: String,
    /// How it was measured, a paragraph each.
    pub method: Vec<String>,
    /// What was measured.
    pub tables: Vec<Table>,
    /// What has to be known beside the numbers.
    pub remarks: Vec<String>,
    /// How long it took.
    pub seconds: f64,
}

/// Numbers of one kind.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Table {
    /// Distinct in its section; the plot's file has it in its name.
    pub name: String,
    /// Its heading.
    pub title: String,
    /// What is counted.
    pub unit: String,
    /// Digits behind the point.
    pub digits: usize,
    /// Which numbers are good ones.
    pub better: Better,
    /// The one that the others are compared with.
    pub anchor: String,
    /// What was measured.
    pub rows: Vec<Row>,
}

/// Which numbers are good ones.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// Small ones.
    Lower,
    /// Large ones.
    Higher,
}

/// The same thing done by several.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Row {
    /// What was done.
    pub what: String,
    /// By whom, and what came of it.
    pub cells: Vec<Cell>,
}

/// What one of them took.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Cell {
    /// Who did it.
    pub subject: String,
    /// What it took.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What came of it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A number.
    Measured {
        /// In the table's unit.
        value: Spread,
        /// Over what the anchor took in the same round; `None` for the anchor itself.
        ratio: Option<Spread>,
    },
    /// None, for this reason.
    NotMeasured(String),
}

impl Report {
    /// The section of this name.
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }
}

impl Section {
    /// The table of this name.
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.name == name)
    }
}

impl Table {
    /// Everybody, in the order of first appearance.
    pub fn subjects(&self) -> Vec<&str> {
        let mut subjects: Vec<&str> = Vec::new();
        for cell in self.rows.iter().flat_map(|row| &row.cells) {
            if !subjects.contains(&&*cell.subject) {
                subjects.push(&cell.subject);
            }
        }
        subjects
    }

    /// Whether `subject` was measured at all.
    pub fn has_value(&self, subject: &str) -> bool {
        let mut outcomes = self.rows.iter().filter_map(|row| row.outcome(subject));
        outcomes.any(|outcome| outcome.value().is_some())
    }

    /// What `subject` took for `what`.
    pub fn outcome(&self, what: &str, subject: &str) -> Option<&Outcome> {
        let row = self.rows.iter().find(|row| row.what == what)?;
        row.outcome(subject)
    }
}

impl Row {
    /// What `subject` took.
    pub fn outcome(&self, subject: &str) -> Option<&Outcome> {
        let cell = self.cells.iter().find(|cell| cell.subject == subject)?;
        Some(&cell.outcome)
    }
}

impl Outcome {
    /// The value, if it was measured.
    pub fn value(&self) -> Option<&Spread> {
        match self {
            Self::Measured { value, .. } => Some(value),
            Self::NotMeasured(_) => None,
        }
    }

    /// The value over the anchor's.
    pub fn ratio(&self) -> Option<&Spread> {
        match self {
            Self::Measured { ratio, .. } => ratio.as_ref(),
            Self::NotMeasured(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cost::sample::report;

    #[test]
    fn json_there_and_back() {
        let report = report();
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
    }

    /// What other programs read: names change only together with the version.
    #[test]
    fn json_has_its_schema() {
        let json = serde_json::to_value(report()).unwrap();
        assert_eq!(json["schema_version"], SCHEMA);
        let cells = &json["sections"][2]["tables"][0]["rows"][0]["cells"];
        assert_eq!(
            cells[1],
            json!({
                "subject": "ftp-helper",
                "measured": {
                    "value": {
                        "count": 6, "median": 2500.0, "first_quartile": 2500.0,
                        "third_quartile": 2500.0, "low": 2500.0, "high": 2500.0,
                    },
                    "ratio": {
                        "count": 6, "median": 1.25, "first_quartile": 1.25,
                        "third_quartile": 1.25, "low": 1.25, "high": 1.25,
                    },
                },
            })
        );
        assert_eq!(
            cells[2],
            json!({"subject": "masquerade", "not_measured": "nobody helps"})
        );
        let table = &json["sections"][2]["tables"][0];
        let keys: Vec<&str> = table.as_object().unwrap().keys().map(|it| &**it).collect();
        let wanted = [
            "anchor", "better", "digits", "name", "rows", "title", "unit",
        ];
        assert_eq!(keys, wanted);
        assert_eq!(table["better"], "higher");
    }
}
