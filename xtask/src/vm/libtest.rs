//! What Rust's test harness prints.

use super::record::Finished;

/// Reads what a test binary has printed; `succeeded` is how its process ended.
pub(super) fn read(name: &str, printed: &str, succeeded: bool) -> Finished {
    let mut finished = Finished {
        name: name.to_owned(),
        ..Finished::default()
    };
    let mut summary = None;
    for line in printed.lines() {
        if let Some(rest) = line.strip_prefix("test result: ") {
            summary = Some(rest);
        } else if let Some(rest) = line.strip_prefix("test ")
            && let Some((test, outcome)) = rest.rsplit_once(" ... ")
        {
            // A test that is ignored may tell why behind the word.
            match outcome.split([',', ' ']).next() {
                Some("ok") => finished.passed += 1,
                Some("ignored") => finished.ignored += 1,
                Some("FAILED") => finished.failed.push(test.to_owned()),
                _ => {}
            }
        }
    }
    finished.trouble = match summary {
        None => Some("ended without a result".to_owned()),
        // Both have to say the same, or the lines above were not understood.
        Some(summary) if counts(summary) != Some(counted(&finished)) => {
            Some(format!("its result is not understood: {summary}"))
        }
        Some(_) if succeeded != finished.failed.is_empty() => {
            Some("its exit code and its result differ".to_owned())
        }
        Some(_) => None,
    };
    finished
}

fn counted(finished: &Finished) -> [usize; 3] {
    let sizes = [finished.passed, finished.ignored].map(|count| count as usize);
    [sizes[0], finished.failed.len(), sizes[1]]
}

/// Passed, failed and ignored of `ok. 4 passed; 0 failed; 1 ignored; ...`.
fn counts(summary: &str) -> Option<[usize; 3]> {
    let (_, list) = summary.split_once(". ")?;
    let count = |word: &str| {
        list.split("; ")
            .find_map(|part| part.strip_suffix(word)?.trim().parse().ok())
    };
    Some([count("passed")?, count("failed")?, count("ignored")?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_and_names_are_read() {
        let printed = "\nrunning 4 tests\ntest a ... ok\ntest b has been running for over 60 seconds\n\
             test m::b ... FAILED\ntest c ... ignored, needs a device\ntest d ... ok\n\nfailures:\n\n\
             ---- m::b stdout ----\nlost\n\ntest result: FAILED. 2 passed; 1 failed; 1 ignored; \
             0 measured; 0 filtered out; finished in 1.20s\n";
        let finished = read("x", printed, false);
        let expected = Finished {
            name: "x".to_owned(),
            passed: 2,
            ignored: 1,
            failed: vec!["m::b".to_owned()],
            ..Finished::default()
        };
        assert_eq!(finished, expected);
    }

    #[test]
    fn a_binary_that_does_not_come_to_its_end_is_no_success() {
        let finished = read("x", "running 2 tests\ntest a ... ok\n", false);
        assert_eq!(finished.passed, 1);
        assert_eq!(finished.trouble.as_deref(), Some("ended without a result"));
        assert!(!finished.is_good());
    }

    #[test]
    fn what_does_not_fit_together_is_no_success() {
        let result = "test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; \
             finished in 0.1s\n";
        let finished = read("x", &format!("test a ... ok\n{result}"), true);
        assert!(!finished.is_good(), "{finished:?}");
        let both = format!("test a ... ok\ntest b ... ok\n{result}");
        assert!(read("x", &both, true).is_good());
        assert!(!read("x", &both, false).is_good());
    }
}
