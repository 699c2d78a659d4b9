//! The figures as text, and as a part of the documentation.

use std::fmt::Write as _;

use super::report::{Report, Wing};
use crate::document::Part;

/// Where it is in docs/security.md.
pub const PART: Part = Part {
    begin: "<!-- soak -->",
    end: "<!-- end of soak -->",
};

/// The figures.
pub fn figures(report: &Report) -> String {
    let sum = report.sum();
    let machine = &report.machine;
    let mut text = format!(
        "{} sessions in {:.0} minutes on Linux {}, {} processors{}: {} failed, {} transfers came \
         whole, {} did not. Seed {}.\n\n",
        sum.done + sum.failed,
        longest(report) / 60.0,
        machine.kernel,
        machine.processors,
        if machine.is_virtual {
            " of a virtual machine"
        } else {
            ""
        },
        sum.failed,
        sum.kept,
        sum.lost,
        report.seed,
    );
    text += "| network | sessions (failed) | to a real server | longest session | data \
             connections admitted | sessions known: before, most, after | expectations: most, \
             after | conntrack: before, most, after | agent's memory: first, last, growth behind \
             the warm-up | events lost |\n\
             | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n";
    for wing in &report.wings {
        text += &row(wing);
    }
    text += "\n| network | sessions of each kind |\n| --- | --- |\n";
    for wing in &report.wings {
        let kinds = wing.kinds.iter();
        let kinds: Vec<_> = kinds
            .map(|(kind, count)| format!("{kind} {}", count.done + count.failed))
            .collect();
        // Writing to a `String` can not fail.
        let _ = writeln!(text, "| {} | {} |", wing.name, kinds.join(", "));
    }
    text
}

fn longest(report: &Report) -> f64 {
    let wings = report.wings.iter().map(|wing| wing.seconds);
    wings.fold(0.0, f64::max)
}

fn row(wing: &Wing) -> String {
    let mut sum = super::traffic::drive::Count::default();
    for count in wing.kinds.values() {
        sum.add(count);
    }
    let real = match &wing.real {
        Some((name, sessions)) => format!("{sessions}, {name}"),
        None => "–".to_owned(),
    };
    let of = |reason: &str| wing.counters.get(reason).map_or(0, |it| it.count);
    let three = |name: &str| {
        [&wing.before, &wing.most, &wing.after]
            .map(|tables| tables.of_name(name).to_string())
            .join(", ")
    };
    let memory = |sample: Option<&u64>| sample.map_or("–".to_owned(), |it| format!("{it} KiB"));
    let growth = wing.growth.map_or("–".to_owned(), |it| format!("{it} KiB"));
    format!(
        "| {} | {} ({}) | {real} | {:.1} s | {} | {} | {}, {} | {}, {}, {} | {}, {}, {growth} | \
         {} |\n",
        wing.name,
        sum.done + sum.failed,
        sum.failed,
        sum.longest,
        of("expectation_matched"),
        three("sessions"),
        wing.most.of_name("expectations"),
        wing.after.of_name("expectations"),
        wing.before.conntrack,
        wing.most.conntrack,
        wing.after.conntrack,
        memory(wing.memory.first()),
        memory(wing.memory.last()),
        of("event_lost"),
    )
}
