//! The fuzzers' targets without a fuzzer: over the whole corpus that is checked in, and
//! then for a few seconds over changed entries of it. Needs nothing but a stable
//! compiler. `cargo xtask fuzz` searches further, led by what the code executes.

use std::{
    env, fs,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::Path,
    time::{Duration, Instant},
};

use ftp_helper_model::{
    stream::random::Random,
    targets::{self, Target},
};

/// How long each target is tried, in seconds, unless the environment variable of this
/// name says otherwise.
const FTP_HELPER_FUZZ_SECONDS: u64 = 2;

/// Longest input.
const LONGEST: usize = 2048;

/// Seed of all changes: the same ones each time, as far as the time allows.
const SEED: u64 = 2428;

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let entries = fs::read_dir(directory.join(name)).expect("a corpus that is checked in");
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    files
        .iter()
        .map(|file| fs::read(file).expect("a file of the corpus"))
        .collect()
}

/// A panic with the input that leads to it.
fn call((name, target): Target, input: &[u8]) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(input))) {
        eprintln!("target {name}, input \"{}\"", input.escape_ascii());
        resume_unwind(panic);
    }
}

/// The words of the fuzzers' dictionary.
fn dictionary() -> Vec<Vec<u8>> {
    let text = include_str!("../../../fuzz/ftp.dict");
    let words = text.lines().filter_map(|line| {
        let word = line.strip_prefix('"')?.strip_suffix('"')?;
        let mut bytes = Vec::new();
        let mut rest = word.bytes();
        while let Some(byte) = rest.next() {
            if byte != b'\\' {
                bytes.push(byte);
                continue;
            }
            assert_eq!(rest.next(), Some(b'x'), "the only escape in use");
            let digits = [rest.next()?, rest.next()?];
            let digits = str::from_utf8(&digits).expect("two digits");
            bytes.push(u8::from_str_radix(digits, 16).expect("two digits"));
        }
        Some(bytes)
    });
    words.collect()
}

fn changed(random: &mut Random, corpus: &[Vec<u8>], words: &[Vec<u8>]) -> Vec<u8> {
    let mut input = random.pick(corpus).clone();
    for _ in 0..random.between(1, 8) {
        let at = random.between(0, input.len());
        match random.below(6) {
            0 if at < input.len() => input[at] ^= 1 << random.below(8),
            1 if at < input.len() => drop(input.remove(at)),
            2 => input.insert(at, random.word().to_be_bytes()[0]),
            3 => drop(input.splice(at..at, random.pick(words).clone())),
            4 => {
                let other = random.pick(corpus);
                let from = random.between(0, other.len());
                input.splice(at.., other[from..].iter().copied());
            }
            _ => {
                let end = random.between(at, input.len());
                let part = input[at..end].to_vec();
                let to = random.between(0, input.len());
                input.splice(to..to, part);
            }
        }
    }
    input.truncate(LONGEST);
    input
}

fn fuzz(target: Target) {
    let seconds = match env::var("FTP_HELPER_FUZZ_SECONDS") {
        Ok(seconds) => seconds.parse().expect("a number of seconds"),
        Err(_) => FTP_HELPER_FUZZ_SECONDS,
    };
    let (corpus, words) = (corpus(target.0), dictionary());
    assert!(corpus.len() > 20, "the corpus of {} is gone", target.0);
    for input in &corpus {
        call(target, input);
    }
    let mut random = Random::new(SEED);
    let started = Instant::now();
    let mut runs = 0;
    while started.elapsed() < Duration::from_secs(seconds) {
        call(target, &changed(&mut random, &corpus, &words));
        runs += 1;
    }
    println!(
        "{}: {} inputs and {runs} changed ones",
        target.0,
        corpus.len()
    );
}

#[test]
fn command() {
    fuzz(targets::ALL[0]);
}

#[test]
fn reply() {
    fuzz(targets::ALL[1]);
}

#[test]
fn stream() {
    fuzz(targets::ALL[2]);
}
