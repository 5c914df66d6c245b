use super::generator::{cookie_of, next, FACTOR, LEN};
use super::md5::{self, Word};
use fearless_simd::{dispatch, Level, SimdBase};
use std::ops::Range;

/// Seeds that differ by this have states that differ only above their low 4 bits, and so fit in 32.
const STRIDE: u64 = 16;

/// Which instructions a search may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Simd {
    /// The widest that this processor has.
    Best,
    /// AVX2 at most; what every build has where there is none.
    Avx2,
    /// What every processor of this architecture has: SSE2, NEON, or none.
    Portable,
}

/// What a node says in the distribution's handshake: the digest of its cookie and of a challenge to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capture {
    /// The challenge that the node was sent.
    pub challenge: u32,
    /// `md5(cookie ++ integer_to_list(challenge))`
    pub digest: [u8; 16],
}

impl Capture {
    /// The seed within `seeds` whose cookie gives this digest. The time is proportional to the length of `seeds`;
    /// less than some thousands are slower, for each.
    pub fn search(&self, seeds: Range<u64>, simd: Simd) -> Option<u64> {
        let job = Job::new(self)?;
        (seeds.start..seeds.end.min(seeds.start.saturating_add(STRIDE)))
            .find_map(|first| job.every_16th(first, seeds.end, level(simd)))
    }

    fn digest_words(&self) -> [u32; 4] {
        let mut words = [0; 4];
        for (word, four) in words.iter_mut().zip(self.digest.chunks_exact(4)) {
            *word = four
                .iter()
                .rev()
                .fold(0, |word, byte| word << 8 | u32::from(*byte));
        }
        words
    }

    fn message(&self, letters: &[u8; LEN]) -> Vec<u8> {
        [letters, self.challenge.to_string().as_bytes()].concat()
    }

    fn is_of(&self, seed: u64) -> bool {
        let cookie = cookie_of(seed);
        let message = zeroize::Zeroizing::new(self.message(cookie.expose()));
        let block = md5::block(&message).map(zeroize::Zeroizing::new);
        block.is_some_and(|block| md5::digest(&block) == self.digest_words())
    }
}

fn level(simd: Simd) -> Level {
    match simd {
        Simd::Best => Level::new(),
        Simd::Avx2 => avx2().unwrap_or(Level::baseline()),
        Simd::Portable => Level::baseline(),
    }
}

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
fn avx2() -> Option<Level> {
    Level::new().as_avx2().map(Level::Avx2)
}

#[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
fn avx2() -> Option<Level> {
    None
}

/// What is the same for all seeds. The last steps of MD5 are taken back from the digest as far as they do not depend
/// on the letters, and of the last that does it is known what its two unknowns add up to.
struct Job {
    capture: Capture,
    block: [u32; 16],
    /// What the newest word of the state after 59 steps and the third word of the block add up to.
    sum: u32,
}

impl Job {
    fn new(capture: &Capture) -> Option<Job> {
        let block = md5::block(&capture.message(&[0; LEN]))?;
        let mut last = [0u32; 4];
        for ((word, end), start) in last
            .iter_mut()
            .zip(capture.digest_words())
            .zip(md5::INITIAL)
        {
            *word = end.wrapping_sub(start);
        }
        // The words that steps 60, 63, 62 and 61 gave, counted from 0.
        let [w60, w63, w62, w61] = last;
        let [k62, k63] = md5::LAST;
        let w59 = undone(
            w63,
            w62,
            21,
            md5::i(w62, w61, w60),
            k63.wrapping_add(block[9]),
        );
        let sum = undone(w62, w61, 15, md5::i(w61, w60, w59), k62);
        Some(Job {
            capture: *capture,
            block,
            sum,
        })
    }

    /// Searches `first`, `first + 16`, and so on below `end`.
    fn every_16th(&self, first: u64, end: u64, level: Level) -> Option<u64> {
        let start = Start::new(first);
        let mut next = 0;
        let seeds = end.saturating_sub(first).div_ceil(STRIDE);
        loop {
            let found = dispatch!(level, simd => lanes(simd, self, &start, next, seeds))?;
            let seed = first + STRIDE * found;
            if found < seeds && self.capture.is_of(seed) {
                return Some(seed);
            }
            next = found + 1;
        }
    }
}

/// The unknown that a step added up with what is given here.
fn undone(new: u32, before: u32, bits: u32, mixed: u32, constant: u32) -> u32 {
    new.wrapping_sub(before)
        .rotate_right(bits)
        .wrapping_sub(mixed)
        .wrapping_sub(constant)
}

/// One for each letter, by the words of the block.
type Words<V> = [[V; 4]; LEN / 4];

/// The generator's 20 states for one seed, in the order of the letters: `high` above their low 4 bits, what `low`
/// those bits add to 26 times the high ones, and `step` from one state to that of the seed 16 further on.
struct Start {
    high: Words<u32>,
    low: Words<u32>,
    step: Words<u32>,
}

impl Start {
    fn new(seed: u64) -> Start {
        let (mut high, mut low, mut step) = ([[0; 4]; 5], [[0; 4]; 5], [[0; 4]; 5]);
        let (mut x, mut power) = (seed, 1u64);
        let places = high
            .as_flattened_mut()
            .iter_mut()
            .zip(low.as_flattened_mut())
            .zip(step.as_flattened_mut());
        for ((high, low), step) in places.rev() {
            x = next(x);
            power = power.wrapping_mul(FACTOR);
            *high = (x >> 4) as u32;
            *low = ((26 * (x & 15)) >> 4) as u32;
            *step = power as u32;
        }
        Start { high, low, step }
    }
}

struct Lanes<S: fearless_simd::Simd>(S::u32s);

impl<S: fearless_simd::Simd> Clone for Lanes<S> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<S: fearless_simd::Simd> Copy for Lanes<S> {}

impl<S: fearless_simd::Simd> Word for Lanes<S> {
    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        Lanes(self.0 + other.0)
    }
    #[inline(always)]
    fn plus_constant(self, constant: u32) -> Self {
        Lanes(self.0 + constant)
    }
    #[inline(always)]
    fn and(self, other: Self) -> Self {
        Lanes(self.0 & other.0)
    }
    #[inline(always)]
    fn or(self, other: Self) -> Self {
        Lanes(self.0 | other.0)
    }
    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        Lanes(self.0 ^ other.0)
    }
    #[inline(always)]
    fn not(self) -> Self {
        Lanes(!self.0)
    }
    #[inline(always)]
    fn rotate(self, bits: u32) -> Self {
        Lanes((self.0 << bits) | (self.0 >> (32 - bits)))
    }
}

/// The first of the seeds from the `from`-th on that may be the one; one of 2^32 is taken for it by mistake. The last
/// lanes may lie behind the last seed.
#[inline(always)]
fn lanes<S: fearless_simd::Simd>(
    simd: S,
    job: &Job,
    start: &Start,
    from: u64,
    seeds: u64,
) -> Option<u64> {
    let width = S::u32s::LEN as u64;
    let splat = |word| Lanes::<S>(S::u32s::splat(simd, word));
    // Written out, so that the compiler leaves out what is zero.
    let mut block = [splat(0); 16];
    [block[5], block[6], block[7], block[14]] =
        [job.block[5], job.block[6], job.block[7], job.block[14]].map(splat);
    let initial = md5::INITIAL.map(splat);
    let mut high: Words<Lanes<S>> = [[splat(0); 4]; 5];
    for ((high, first), step) in high
        .as_flattened_mut()
        .iter_mut()
        .zip(start.high.as_flattened())
        .zip(start.step.as_flattened())
    {
        let lane = |lane| first.wrapping_add(step.wrapping_mul(from as u32 + lane as u32));
        high.0 = S::u32s::from_fn(simd, lane);
    }
    let mut at = from;
    while at < seeds {
        [block[0], block[1], block[2], block[3], block[4]] = letters(&high, start);
        for (high, step) in high
            .as_flattened_mut()
            .iter_mut()
            .zip(start.step.as_flattened())
        {
            high.0 += step.wrapping_mul(width as u32);
        }
        let [_, _, newest, _] = md5::first_59(&block, initial);
        let sum = newest.plus(block[2]).0;
        let hits = sum.simd_eq(job.sum);
        if fearless_simd::SimdMask::any_true(hits) {
            let lane = (0..width).find(|lane| sum[*lane as usize] == job.sum);
            return lane.map(|lane| at + lane);
        }
        at += width;
    }
    None
}

/// The letters of the states, four to a word.
#[inline(always)]
fn letters<S: fearless_simd::Simd>(high: &Words<Lanes<S>>, start: &Start) -> [Lanes<S>; LEN / 4] {
    [
        word(&high[0], &start.low[0]),
        word(&high[1], &start.low[1]),
        word(&high[2], &start.low[2]),
        word(&high[3], &start.low[3]),
        word(&high[4], &start.low[4]),
    ]
}

#[inline(always)]
fn word<S: fearless_simd::Simd>(high: &[Lanes<S>; 4], low: &[u32; 4]) -> Lanes<S> {
    let (first, second) = (letter::<S>(high[0], low[0]), letter::<S>(high[1], low[1]));
    let (third, fourth) = (letter::<S>(high[2], low[2]), letter::<S>(high[3], low[3]));
    let letters = (first | (second << 8)) | ((third << 16) | (fourth << 24));
    Lanes(letters + u32::from_le_bytes(*b"AAAA"))
}

/// `26 * state / 2^36`, in two steps of less than 32 bits.
#[inline(always)]
fn letter<S: fearless_simd::Simd>(high: Lanes<S>, low: u32) -> S::u32s {
    let below = (high.0 & 0xffff) * 26 + low;
    ((high.0 >> 16) * 26 + (below >> 16)) >> 16
}
