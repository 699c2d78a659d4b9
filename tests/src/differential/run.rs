//! Many cases, the smallest one that fails.

use std::{cell::RefCell, env};

use anyhow::{Result, bail};
use proptest::{
    strategy::Strategy,
    test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner},
};

use super::{answer::Answer, case::Case, host, kernel};
use crate::packets::bench::{Bench, bench};

/// Where the choices start from, unless `PROPTEST_RNG_SEED` says otherwise.
const SEED: u64 = 959;

/// Host and kernel say the same of a case.
pub fn compare(bench: &mut Bench, case: &Case) -> Result<()> {
    let kernel = kernel::answer(bench, case)?;
    let host = host::answer(case, &kernel);
    match Answer::difference(&host, &kernel) {
        None => Ok(()),
        Some(difference) => bail!("host and kernel differ\n{difference}"),
    }
}

/// Tries `cases` cases, or as many as `PROPTEST_CASES` says. The same ones each
/// time.
pub fn cases<S: Strategy<Value = Case>>(cases: u32, strategy: impl FnOnce() -> S + Send) {
    let mut config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    if env::var_os("PROPTEST_CASES").is_none() {
        config.cases = cases;
    }
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(SEED);
    }
    println!("{} cases, seed {:?}", config.cases, config.rng_seed);
    // A smaller case is found quickly, or not at all.
    config.max_shrink_iters = 4096;
    bench(|bench| {
        kernel::prepare(bench)?;
        let bench = RefCell::new(bench);
        let outcome = TestRunner::new(config).run(&strategy(), |case| {
            compare(&mut bench.borrow_mut(), &case)
                .map_err(|error| TestCaseError::fail(format!("{error:#}")))
        });
        match outcome {
            Ok(()) => Ok(()),
            Err(TestError::Fail(reason, case)) => bail!("{reason}\nof {case:?}"),
            Err(error) => bail!("{error}"),
        }
    });
}
