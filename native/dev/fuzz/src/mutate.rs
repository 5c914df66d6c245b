//! Mutations: bits, bytes, lengths, cuts, repeats, splices.

use crate::rng::Rng;

/// Bytes of an input at most.
const MAX_INPUT: usize = 1 << 16;

const INTERESTING: [u32; 17] = [
    0,
    1,
    2,
    4,
    5,
    16,
    17,
    31,
    32,
    127,
    255,
    256,
    1021,
    0x4000,
    0x4100,
    0x4101,
    0xFFFF_FFFF,
];

/// A mutation of `input`, perhaps with a part of `other`.
pub fn mutate(rng: &mut Rng, input: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=rng.below(4) {
        once(rng, &mut bytes, other);
    }
    bytes.truncate(MAX_INPUT);
    bytes
}

fn once(rng: &mut Rng, bytes: &mut Vec<u8>, other: &[u8]) {
    if bytes.is_empty() {
        bytes.extend_from_slice(&rng.next().to_be_bytes());
        return;
    }
    let at = rng.below(bytes.len());
    match rng.below(10) {
        0 | 1 => bytes[at] ^= 1 << rng.below(8),
        2 => bytes[at] = rng.next() as u8,
        3 | 4 => edit_length(rng, bytes, at),
        5 => drop(bytes.drain(range(rng, bytes.len()))),
        6 => bytes.truncate(at),
        7 => insert(bytes, at, &rng.next().to_le_bytes()[..1 + rng.below(8)]),
        8 => {
            let repeated = bytes[range(rng, bytes.len())].to_vec();
            insert(bytes, at, &repeated);
        }
        _ => splice(rng, bytes, at, other),
    }
}

/// Takes 1 to 4 bytes for a big-endian number, and makes it another or moves it a little.
fn edit_length(rng: &mut Rng, bytes: &mut [u8], at: usize) {
    let width = (1 + rng.below(4)).min(bytes.len() - at);
    let field = &mut bytes[at..at + width];
    let old = field.iter().fold(0u32, |n, b| n << 8 | u32::from(*b));
    let new = match rng.below(3) {
        0 => *rng.pick(&INTERESTING),
        1 => old.wrapping_add(1 + rng.below(8) as u32),
        _ => old.wrapping_sub(1 + rng.below(8) as u32),
    };
    field.copy_from_slice(&new.to_be_bytes()[4 - width..]);
}

fn splice(rng: &mut Rng, bytes: &mut Vec<u8>, at: usize, other: &[u8]) {
    let part = &other[range(rng, other.len())];
    if rng.below(2) == 0 {
        bytes.truncate(at);
    }
    insert(bytes, at, part);
}

fn insert(bytes: &mut Vec<u8>, at: usize, part: &[u8]) {
    bytes.splice(at..at, part.iter().copied());
}

/// Some range; short ones are as likely as long ones.
fn range(rng: &mut Rng, len: usize) -> std::ops::Range<usize> {
    let start = rng.below(len + 1);
    let longest = if rng.below(2) == 0 { 16 } else { len };
    start..start + rng.below((len - start).min(longest) + 1)
}
