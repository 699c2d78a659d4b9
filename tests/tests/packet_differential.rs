//! The grammar in the kernel reads every line as the host's build of it does.
//!
//! The same cases every time; `PROPTEST_CASES` and `PROPTEST_RNG_SEED` choose
//! more and others, for a longer search.

use anyhow::{Context as _, Result};
use ftp_helper_common::{grammar::Role, session::Direction};
use ftp_helper_tests::{
    differential::{
        case::{Before, Case, Cuts, Place},
        corpus::{Entry, entries},
        generate::{damaged_corpus, generated, own},
        kernel::prepare,
        run::{cases, compare},
    },
    packets::bench::{Bench, bench},
};

/// Cases of generated lines, for each role.
const GENERATED: u32 = 2500;
/// Cases of lines of the corpus with some bytes changed.
const DAMAGED: u32 = 1500;

/// Every entry as it is, in every place, cut everywhere on its way out, where parts
/// of lines are held; what comes in is never changed.
fn compare_corpus(role: Role) {
    bench(|bench| {
        prepare(bench)?;
        for entry in entries(role)? {
            for place in Place::TRANSLATED {
                if place.role == role {
                    let cuts = match place.direction {
                        Direction::Egress => everywhere(entry.bytes.len()),
                        Direction::Ingress => vec![Cuts::Lines, Cuts::Every(1)],
                    };
                    compare_entry(bench, &entry, place, &cuts)?;
                }
            }
        }
        Ok(())
    });
}

fn compare_entry(bench: &mut Bench, entry: &Entry, place: Place, cuts: &[Cuts]) -> Result<()> {
    // The announced address is the sender's, and is not.
    let mut owns = vec![own(entry, place), None];
    owns.dedup();
    for own in owns {
        for cuts in cuts {
            let case = Case {
                place,
                own,
                outside: None,
                before: Before::READY,
                stream: entry.bytes.clone(),
                cuts: *cuts,
            };
            compare(bench, &case).with_context(|| format!("{}\n{case:?}", entry.seen))?;
        }
    }
    Ok(())
}

/// In one segment, in segments of one byte, and cut in two at every place.
fn everywhere(len: usize) -> Vec<Cuts> {
    let two = (1..len).map(Cuts::At);
    [Cuts::None, Cuts::Every(1)]
        .into_iter()
        .chain(two)
        .collect()
}

#[test]
fn commands_of_the_corpus() {
    compare_corpus(Role::Client);
}

#[test]
fn replies_of_the_corpus() {
    compare_corpus(Role::Server);
}

#[test]
fn damaged_commands_of_the_corpus() {
    cases(DAMAGED, || damaged_corpus(&entries(Role::Client).unwrap()));
}

#[test]
fn damaged_replies_of_the_corpus() {
    cases(DAMAGED, || damaged_corpus(&entries(Role::Server).unwrap()));
}

#[test]
fn generated_commands() {
    cases(GENERATED, || generated(Role::Client));
}

#[test]
fn generated_replies() {
    cases(GENERATED, || generated(Role::Server));
}
