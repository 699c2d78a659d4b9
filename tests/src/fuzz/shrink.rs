//! The smallest part of a case that still fails.

use super::case::Case;

/// Most tries.
const TRIES: usize = 3000;

/// Leaves out what is not needed for `fails` to be true: packets first, in ever smaller
/// groups, then the ends of those that are left.
pub fn smallest(case: &Case, mut fails: impl FnMut(&Case) -> bool) -> Case {
    let mut best = case.clone();
    let mut tries = 0;
    let mut try_on = |best: &mut Case, candidate: Case| {
        tries += 1;
        let is_smaller = tries <= TRIES && fails(&candidate);
        if is_smaller {
            *best = candidate;
        }
        is_smaller
    };
    let mut group = best.steps.len().div_ceil(2);
    while group > 0 {
        let mut at = 0;
        let mut any = false;
        while at < best.steps.len() {
            let mut candidate = best.clone();
            let end = (at + group).min(candidate.steps.len());
            candidate.steps.drain(at..end);
            if candidate.steps.is_empty() || !try_on(&mut best, candidate) {
                at += group;
            } else {
                any = true;
            }
        }
        if group == 1 && any {
            continue;
        }
        group /= 2;
    }
    best
}

#[cfg(test)]
mod tests {
    use ftp_helper_common::session::Direction;
    use ftp_helper_model::gateway::rules::Rules;

    use super::*;
    use crate::{fuzz::case::Step, packets::flow::Flow};

    #[test]
    fn only_what_is_needed_is_left() {
        let step = |number| Step {
            direction: Direction::Egress,
            merged: 0,
            packet: vec![number],
        };
        let case = Case {
            flow: Flow::client_inside(1),
            is_known: true,
            flags: 0,
            rules: Rules::default(),
            mtu: 1500,
            steps: (0..100).map(step).collect(),
        };
        let has = |case: &Case, number| case.steps.contains(&step(number));
        let small = smallest(&case, |case| has(case, 17) && has(case, 80));
        assert_eq!(small.steps, [step(17), step(80)]);
    }
}
