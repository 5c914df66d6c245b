use super::lattice::{C, K, LETTERS, W};
use crate::Secret;

/// Letters of a cookie of OTP's.
pub const LEN: usize = 20;

/// How many seeds, and so cookies, there are.
pub const SEEDS: u64 = 1 << 36;

/// The multiplier of the generator (`auth:next_random/1`).
pub(super) const FACTOR: u64 = 17_059_465;

/// Its inverse modulo [`SEEDS`].
const INVERSE: u64 = 67_451_848_633;

const MODULUS: i64 = 1 << 36;

/// The state after `x`.
pub(super) fn next(x: u64) -> u64 {
    x.wrapping_mul(FACTOR).wrapping_add(1) % SEEDS
}

fn letter(x: u64) -> u8 {
    b'A' + (x * 26 / SEEDS) as u8
}

/// The cookie that OTP makes from `seed`, of which only the low 36 bits count.
pub fn cookie_of(seed: u64) -> Secret<[u8; LEN]> {
    let mut cookie = [0; LEN];
    let mut x = seed % SEEDS;
    // OTP puts each letter before the others.
    for place in cookie.iter_mut().rev() {
        x = next(x);
        *place = letter(x);
    }
    Secret::new(cookie)
}

/// The one seed from which OTP makes `cookie`; none if it never does. Exact, both ways.
pub fn seed_of(cookie: &[u8]) -> Option<u64> {
    if cookie.len() != LEN || !cookie.iter().all(u8::is_ascii_uppercase) {
        return None;
    }
    let x1 = first_state(cookie)?;
    let seed = x1.wrapping_sub(1).wrapping_mul(INVERSE) % SEEDS;
    (cookie_of(seed).expose() == cookie).then_some(seed)
}

/// The first state, if the letters allow one: every relation confines its multiple of 2^36 to one value or none.
fn first_state(cookie: &[u8]) -> Option<u64> {
    let mut bounds = [(0, 0); LETTERS];
    for (bound, letter) in bounds.iter_mut().zip(cookie.iter().rev()) {
        let n = i64::from(letter - b'A');
        *bound = (ceil(n * MODULUS, 26), ceil((n + 1) * MODULUS, 26) - 1);
    }
    let mut sum = 0i128;
    for ((row, offset), solution) in W.iter().zip(K).zip(C) {
        let (low, high) = range(row, &bounds);
        let multiple = ceil(low - offset, MODULUS);
        if multiple > (high - offset).div_euclid(MODULUS) {
            return None;
        }
        sum += i128::from(solution) * i128::from(offset + multiple * MODULUS);
    }
    u64::try_from(sum >> 36).ok()
}

/// The least and the greatest that `row` can give for states within `bounds`.
fn range(row: &[i64; LETTERS], bounds: &[(i64, i64); LETTERS]) -> (i64, i64) {
    let mut ends = (0, 0);
    for (w, (low, high)) in row.iter().zip(bounds) {
        let (least, most) = if *w < 0 { (high, low) } else { (low, high) };
        ends = (ends.0 + w * least, ends.1 + w * most);
    }
    ends
}

fn ceil(n: i64, d: i64) -> i64 {
    -(-n).div_euclid(d)
}
