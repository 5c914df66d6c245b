//! External terms: no byte makes the scanner panic, its counts are within its budget, its time is linear, and a term
//! is the same compressed or not as far as its counts go, and unpacked it is the term that was scanned.
//!
//! Input: a byte that chooses the budget, then the term.

use std::time::{Duration, Instant};

use merlon_wire::etf::{scan, survey, unpack, Budget, Counts, Refusal};
use merlon_wire::Error;

use super::{outcome, Target};

pub const TARGET: Target = Target {
    name: "etf",
    corpus,
    run,
};

const TIGHT: Budget = Budget {
    bytes: 4096,
    inflated: 4096,
    terms: 100,
    depth: 5,
    new_atoms: 2,
    binary: 50,
    bignum: 9,
    range: 1000,
    allow: 0b10101,
};

const OPEN: Budget = Budget {
    inflated: 1 << 20,
    ..Budget::UNLIMITED
};

/// A byte, read or inflated, takes far less, whatever else runs on the machine.
const PER_BYTE: Duration = Duration::from_micros(1);

fn corpus() -> Vec<Vec<u8>> {
    let terms: [&[u8]; 14] = [
        b"h\x03a\x07b\0\0\x01\0n\x03\x01abc",
        b"l\0\0\0\x02w\x04trued\0\x01xj",
        b"k\0\x05hello",
        b"m\0\0\0\x05helloa",
        b"M\0\0\0\x02\x03ab",
        b"t\0\0\0\x03w\x0a__struct__w\x0cElixir.Rangew\x05firsta\x01w\x04lastn\x05\0\xff\xe3\x0b\x54\x02",
        b"Xw\x03a@b\0\0\0\x01\0\0\0\x02\0\0\0\x03",
        b"xw\x03a@b\0\0\0\0\0\0\0\x01\0\0\0\x03",
        b"Z\0\x03w\x03a@b\0\0\0\x01\0\0\0\x02\0\0\0\x03\0\0\0\x04",
        b"qw\x01mw\x01fa\x02",
        b"F\x3f\xf0\0\0\0\0\0\0",
        b"o\0\0\0\x04\0abcd",
        b"t\0\0\0\x01t\0\0\0\x01a\x01a\x02v\0\x02\xc3\xa4",
        b"P\0\0\0\x0a\x78\x01\x01\x0a\0\xf5\xff\x6d\0\0\0\x05hello\x0a\x91\x02\x87",
    ];
    let with = |budget: u8| terms.map(|term| [&[budget, 131], term].concat());
    with(0).into_iter().chain(with(1)).collect()
}

fn run(input: &[u8]) -> u64 {
    let Some((choice, term)) = input.split_first() else {
        return 0;
    };
    let budget = if choice % 2 == 0 { &OPEN } else { &TIGHT };
    let scanned = scan(term, budget);
    assert!((0..5).any(|_| is_linear(term, budget)), "not linear");
    if let Ok(inner) = unpack(term, budget) {
        let whole = Budget {
            bytes: u64::MAX,
            ..*budget
        };
        assert_eq!(scan(&inner, &whole).map(flat), scanned.map(flat));
    }
    let surveyed = survey(term, budget, |name| name.len() % 2 == 0);
    match (scanned, surveyed) {
        (Ok(counts), Ok((survey, names))) => {
            assert_eq!(names.len() as u64, survey.new_atoms);
            assert_eq!(
                counts,
                Counts {
                    new_atoms: 0,
                    ..survey
                }
            );
            within(&survey, budget);
            outcome((counts.terms.min(20), counts.depth, counts.range.min(3)))
        }
        (Ok(_), Err(why)) => outcome((why.code(), 1)),
        (Err(Error::Term(Refusal::Tag { tag, .. })), Err(_)) => outcome(tag),
        (Err(why), Err(_)) => outcome((why.code(), 2)),
        (Err(why), Ok(_)) => panic!("only the scan refuses: {why}"),
    }
}

/// What a term costs, however it came.
fn flat(counts: Counts) -> Counts {
    Counts {
        bytes: 0,
        inflated: 0,
        ..counts
    }
}

/// One try: the machine has other work too.
fn is_linear(term: &[u8], budget: &Budget) -> bool {
    let start = Instant::now();
    let _ = scan(term, budget);
    let bytes = term.len() as u32 + inflated(term, budget);
    start.elapsed() < PER_BYTE * bytes + Duration::from_millis(5)
}

/// What may be inflated of it.
fn inflated(term: &[u8], budget: &Budget) -> u32 {
    match term {
        [131, 80, a, b, c, d, ..] => {
            u32::from_be_bytes([*a, *b, *c, *d]).min(budget.inflated as u32)
        }
        _ => 0,
    }
}

fn within(counts: &Counts, budget: &Budget) {
    let pairs = [
        (counts.bytes, budget.bytes),
        (counts.inflated, budget.inflated),
        (counts.terms, budget.terms),
        (counts.depth, budget.depth),
        (counts.new_atoms, budget.new_atoms),
        (counts.binary, budget.binary),
        (counts.bignum, budget.bignum),
        (counts.range, budget.range),
    ];
    for (count, max) in pairs {
        assert!(count <= max, "{count} is over {max}");
    }
}
