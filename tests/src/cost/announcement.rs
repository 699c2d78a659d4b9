//! What one announcement costs.

use anyhow::Result;

use super::{
    NET,
    amount::Amount,
    empty::Empty,
    packet::announcements,
    report::{Better, Section},
    samples::{Head, Samples},
    tax::on_bench,
};

/// The name for `--only`.
pub const NAME: &str = "announcement";

/// The table.
pub const TABLE: &str = "announcements";

/// Another line of the same length.
const NOT_OURS: &str = "a line that is not ours";
/// The announcement.
pub const ANNOUNCEMENT: &str = "announcement";

/// Measures.
pub fn measure(amount: &Amount) -> Result<Section> {
    let mut samples = Samples::default();
    on_bench(|bench| {
        let empty = Empty::load()?;
        for [announcement, other] in announcements() {
            let what = &announcement.what;
            for round in 0..amount.singles {
                let (theirs, nothing) = other.single(bench, &empty)?;
                samples.add(round, what, NOT_OURS, theirs - nothing);
                let (ours, nothing) = announcement.single(bench, &empty)?;
                samples.add(round, what, ANNOUNCEMENT, ours - nothing);
                samples.add(round, what, NET, ours - theirs);
            }
        }
        Ok(())
    })?;
    let head = Head {
        name: TABLE,
        title: "One announcement, and a line of the same length that is none",
        unit: "ns",
        digits: 0,
        better: Better::Lower,
        anchor: NOT_OURS,
    };
    Ok(Section {
        name: NAME.to_owned(),
        title: "Cost of one announcement".to_owned(),
        method: vec![
            "`BPF_PROG_TEST_RUN` with one run a call, so the packet and the session are as new \
             each time: the line is the first of its session, which was put into the table just \
             before. An announcement is read, judged, given an outside port, entered in the \
             table of expectations and the journal, reported to the agent and rewritten. In \
             turns with it comes a line of the same length that announces nothing."
                .to_owned(),
            "Taken off is what a single run of a program that does nothing takes at the same \
             place, which is mostly the kernel's look at the clock. Each run comes after some \
             others of the same program on another packet of the session."
                .to_owned(),
        ],
        tables: vec![samples.table(head)],
        ..Section::default()
    })
}
