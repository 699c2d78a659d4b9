//! What came of all faults.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::outcome::{Found, Row};
use crate::document::Part;

/// Of [`Report`].
pub const SCHEMA: u32 = 1;

/// Where it is in docs/security.md.
pub const PART: Part = Part {
    begin: "<!-- chaos -->",
    end: "<!-- end of chaos -->",
};

/// Everything.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Report {
    /// Of these types.
    pub schema_version: u32,
    /// What was drawn follows from it.
    pub seed: u64,
    /// The kernel's version: `6.18`.
    pub kernel: String,
    /// The faults.
    pub rows: Vec<Row>,
}

impl Report {
    /// Everything that is not as it has to be, with the name of the fault.
    pub fn faults(&self) -> Vec<String> {
        let rows = self.rows.iter();
        rows.flat_map(|row| row.faults.iter().map(|it| format!("{}: {it}", row.name)))
            .collect()
    }

    /// The table.
    pub fn table(&self) -> String {
        let mut text = format!(
            "| fault | what is done | ftp-helper: kept, lost | `nf_nat_ftp`, Linux {}: kept, lost \
             | what happened, and what was counted |\n| --- | --- | --- | --- | --- |\n",
            self.kernel
        );
        for row in &self.rows {
            // Writing to a `String` can not fail.
            let _ = writeln!(
                text,
                "| `{}` | {} | {} | {} | {} |",
                row.name,
                row.title,
                numbers(row.ours.as_ref(), "could not be made"),
                numbers(row.kernels.as_ref(), "–"),
                row.ours.as_ref().map_or_else(String::new, words),
            );
        }
        text
    }
}

fn numbers(found: Option<&Found>, without: &str) -> String {
    found.map_or_else(
        || without.to_owned(),
        |found| format!("{}, {}", found.kept, found.lost),
    )
}

fn words(found: &Found) -> String {
    let counted = found.counted.iter();
    let counted = counted.map(|(reason, count)| format!("`{reason}` {count}"));
    let all: Vec<_> = found.done.iter().cloned().chain(counted).collect();
    all.join("; ")
}
