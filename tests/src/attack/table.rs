//! What became of each attack, as a part of a document.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, ensure};

use super::{Attack, Found, all};
use crate::{
    document::Part,
    setup::{Family, Helper, Inside},
};

/// Where it is in docs/security.md.
pub const PART: Part = Part {
    begin: "<!-- attacks -->",
    end: "<!-- end of attacks -->",
};

/// What became of an attack.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Outcome {
    /// The helper has nothing that could be attacked that way.
    Absent,
    /// Nothing arrived, and others were helped as before.
    Closed,
    /// Nothing arrived, but an honest user was not helped any more.
    Hurt,
    /// Something arrived.
    Hole,
    /// It could not be tried to the end.
    Unknown,
}

impl Outcome {
    /// The word in the table.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Absent => "–",
            Self::Closed => "no hole",
            Self::Hurt => "no hole, others not helped",
            Self::Hole => "**hole**",
            Self::Unknown => "could not be tried",
        }
    }

    fn of(found: &Found) -> Self {
        if !found.holes.is_empty() {
            Self::Hole
        } else if !found.hurt.is_empty() {
            Self::Hurt
        } else {
            Self::Closed
        }
    }
}

/// Makes the attack with each family that it makes sense with, and says what came of
/// the worst.
pub fn attempt(attack: &Attack, helper: Helper) -> Outcome {
    if helper == Helper::Kernel && !attack.kernel {
        return Outcome::Absent;
    }
    let outcome = |family: &Family| match attack.run(*family, helper) {
        Ok(Some(found)) => {
            for text in found.holes.iter().chain(&found.hurt) {
                eprintln!("{}, {family:?}, {helper:?}: {text}", attack.name);
            }
            Outcome::of(&found)
        }
        Ok(None) => Outcome::Unknown,
        Err(error) => {
            eprintln!("{family:?}, {helper:?}: {error:#}");
            Outcome::Unknown
        }
    };
    let worst = attack.families.iter().map(outcome).max();
    worst.unwrap_or(Outcome::Unknown)
}

/// The first columns of the attack's row.
pub fn head(attack: &Attack) -> String {
    let inside = match attack.inside {
        Inside::Client => "client",
        Inside::Server => "server",
    };
    format!(
        "| `{}` | {} | {} | {inside} |",
        attack.name, attack.title, attack.known
    )
}

/// The table.
pub fn table(rows: &[(&Attack, Outcome, Outcome)], release: &str) -> String {
    let mut text = format!(
        "| name | what is tried | known from | inside | ftp-helper | `nf_nat_ftp`, Linux {release} |\n\
         | --- | --- | --- | --- | --- | --- |\n"
    );
    for (attack, ours, kernels) in rows {
        // Writing to a `String` can not fail.
        let _ = writeln!(
            text,
            "{} {} | {} |",
            head(attack),
            ours.word(),
            kernels.word()
        );
    }
    text
}

/// An error unless the table in the document has every attack, and says of each that
/// ftp-helper lets nothing in.
pub fn check(document: &str) -> Result<()> {
    let rows: Vec<_> = PART
        .of(document)?
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    let count = all().count();
    ensure!(
        rows.len() == count,
        "{} rows for {count} attacks: run `cargo xtask attack --write`",
        rows.len()
    );
    for (row, attack) in rows.iter().zip(all()) {
        let rest = row
            .strip_prefix(&head(attack))
            .with_context(|| format!("{row:?} is not the row of {}", attack.name))?;
        let ours = rest.split('|').next().unwrap_or_default().trim();
        ensure!(ours == Outcome::Closed.word(), "{row}");
    }
    Ok(())
}
