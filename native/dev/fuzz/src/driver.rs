//! The hunt: mutate, run, keep what behaves in a new way, stop at the first finding.

use std::any::Any;
use std::collections::HashSet;
use std::panic::{catch_unwind, set_hook, take_hook};
use std::time::{Duration, Instant};

use crate::mutate::mutate;
use crate::rng::Rng;
use crate::targets::Target;

/// Inputs kept for further mutation at most.
const MAX_CORPUS: usize = 2048;

/// No input of at most 64 KiB may take longer.
const TOO_LONG: Duration = Duration::from_secs(2);

/// What was tried.
#[derive(Debug)]
pub struct Report {
    /// Inputs run.
    pub inputs: u64,
    /// Different outcomes seen.
    pub outcomes: usize,
}

/// What was found.
#[derive(Debug)]
pub struct Finding {
    /// Which input it was, counted from 0.
    pub number: u64,
    /// The input.
    pub input: Vec<u8>,
    /// The panic's words, or what else was wrong.
    pub what: String,
}

/// Hunts for `time`, and always runs the whole valid corpus first.
pub fn hunt(target: &Target, seed: u64, time: Duration) -> Result<Report, Box<Finding>> {
    let hook = take_hook();
    set_hook(Box::new(|_| {})); // the finding says it once, with its input
    let result = hunt_quietly(target, seed, time);
    set_hook(hook);
    result
}

fn hunt_quietly(target: &Target, seed: u64, time: Duration) -> Result<Report, Box<Finding>> {
    let (mut rng, end) = (Rng::new(seed), Instant::now() + time);
    let mut corpus = (target.corpus)();
    let mut outcomes = HashSet::new();
    let valid = corpus.len() as u64;
    for (number, input) in (0..).zip(&corpus) {
        outcomes.insert(run(target, number, input)?);
    }
    let mut number = valid;
    while Instant::now() < end {
        let (input, other) = (rng.pick(&corpus), rng.pick(&corpus));
        let input = mutate(&mut rng_of(seed, number), input, other);
        if outcomes.insert(run(target, number, &input)?) && corpus.len() < MAX_CORPUS {
            corpus.push(input);
        }
        number += 1;
    }
    Ok(Report {
        inputs: number,
        outcomes: outcomes.len(),
    })
}

fn rng_of(seed: u64, number: u64) -> Rng {
    Rng::new(seed ^ number.rotate_left(32))
}

fn run(target: &Target, number: u64, input: &[u8]) -> Result<u64, Box<Finding>> {
    let finding = |what| {
        Box::new(Finding {
            number,
            input: input.to_vec(),
            what,
        })
    };
    let start = Instant::now();
    let outcome = catch_unwind(|| (target.run)(input)).map_err(|panic| finding(words(&*panic)))?;
    match start.elapsed() {
        long if long > TOO_LONG => Err(finding(format!("took {long:?}"))),
        _ => Ok(outcome),
    }
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without words").to_string()
}

/// Bytes as hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Hex as bytes.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLANTED: Target = Target {
        name: "planted",
        corpus: || vec![b"\x00\x05hello".to_vec(), b"\x00\x02no".to_vec()],
        run: |input| {
            let [_, len, text @ ..] = input else { return 0 };
            assert!(
                usize::from(*len) <= text.len() || *len < 250,
                "a planted bug"
            );
            1
        },
    };

    #[test]
    fn a_fuzzer_that_finds_nothing_would_be_no_proof() {
        let finding = hunt(&PLANTED, 7, Duration::from_secs(20)).unwrap_err();
        assert_eq!(finding.what, "a planted bug");
        assert!(
            catch_unwind(|| (PLANTED.run)(&finding.input)).is_err(),
            "the input shown is the one"
        );
    }

    #[test]
    fn the_same_seed_finds_the_same() {
        let [one, two] =
            [7, 7].map(|seed| hunt(&PLANTED, seed, Duration::from_secs(20)).unwrap_err());
        assert_eq!((one.number, one.input), (two.number, two.input));
    }

    #[test]
    fn hex_is_read_back() {
        assert_eq!(unhex(&hex(&[0, 1, 0xfe])), Some(vec![0, 1, 0xfe]));
        assert_eq!(unhex("0g"), None);
    }
}
