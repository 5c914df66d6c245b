//! The generator and the search against OTP's algorithm as its source has it, written down once more.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use merlon_secret::cookie::{cookie_of, seed_of, Capture, Simd, SEEDS};
use proptest::prelude::*;

/// `auth:random_cookie/3`
fn otp(seed: u128) -> String {
    let mut x = seed;
    let mut letters = String::new();
    for _ in 0..20 {
        x = (x * 17_059_465 + 1) & 0xf_ffff_ffff;
        letters.insert(0, char::from(b'A' + (x * 26 / 0x10_0000_0000) as u8));
    }
    letters
}

fn capture(challenge: u32, digest: &str) -> Capture {
    let byte = |i: usize| u8::from_str_radix(&digest[2 * i..2 * i + 2], 16).unwrap();
    Capture {
        challenge,
        digest: std::array::from_fn(byte),
    }
}

/// Seeds, challenges and what `erlang:md5([Cookie | integer_to_list(Challenge)])` gives of them.
fn captures() -> Vec<(u64, Capture)> {
    include_str!("captures.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            let challenge = words[1].parse().unwrap();
            (words[0].parse().unwrap(), capture(challenge, words[2]))
        })
        .collect()
}

const ALL: [Simd; 3] = [Simd::Best, Simd::Avx2, Simd::Portable];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_cookie_of_otps_is_taken_for_another(seed in 0..SEEDS) {
        let cookie = otp(seed.into());
        prop_assert!(cookie_of(seed).expose() == cookie.as_bytes());
        prop_assert_eq!(seed_of(cookie.as_bytes()), Some(seed));
    }

    #[test]
    fn seeds_beyond_the_generators_state_are_taken_modulo_it(seed in any::<u64>()) {
        prop_assert_eq!(seed_of(otp(seed.into()).as_bytes()), Some(seed % SEEDS));
    }

    #[test]
    fn a_random_cookie_is_not_taken_for_otps(cookie in "[A-Z]{20}") {
        prop_assert_eq!(seed_of(cookie.as_bytes()), None);
    }

    #[test]
    fn one_wrong_letter_anywhere_is_not_otps(seed in 0..SEEDS, at in 0usize..20, by in 1u8..26) {
        let mut cookie = otp(seed.into()).into_bytes();
        cookie[at] = b'A' + (cookie[at] - b'A' + by) % 26;
        prop_assert_eq!(seed_of(&cookie), None);
    }

    #[test]
    fn nothing_else_is_otps(cookie in proptest::collection::vec(any::<u8>(), 0..40)) {
        let expected = cookie.len() == 20 && cookie.iter().all(u8::is_ascii_uppercase);
        prop_assert!(expected || seed_of(&cookie).is_none());
    }
}

#[test]
fn the_first_and_the_last_seed_are_found() {
    for seed in [0, 1, 15, 16, SEEDS - 1] {
        assert_eq!(seed_of(otp(seed.into()).as_bytes()), Some(seed));
    }
}

/// The two cookies of OTP's among the published ones (see shared facts of erl-matter).
#[test]
fn leaked_cookies_give_their_seed() {
    assert_eq!(seed_of(b"DJQWUOCYZCIZNETCXWES"), Some(7_023_023_354));
    assert_eq!(seed_of(b"NDZZKSSLLQEPDAGPLIGG"), Some(515_646_815));
}

#[test]
fn every_kind_of_processor_finds_every_seed_of_a_range() {
    assert!(captures().len() > 30);
    for (seed, capture) in captures() {
        for simd in ALL {
            for before in [0, 1, 17, 999] {
                let start = seed.saturating_sub(before);
                assert_eq!(
                    capture.search(start..seed + 1, simd),
                    Some(seed),
                    "{seed} {simd:?}"
                );
                assert_eq!(
                    capture.search(start..seed + 777, simd),
                    Some(seed),
                    "{seed} {simd:?}"
                );
            }
        }
    }
}

#[test]
fn what_is_outside_of_the_range_is_not_found() {
    for (seed, capture) in captures() {
        for simd in ALL {
            assert_eq!(capture.search(seed.saturating_sub(500)..seed, simd), None);
            assert_eq!(capture.search(seed + 1..seed + 500, simd), None);
            assert_eq!(capture.search(seed..seed, simd), None);
        }
    }
}

#[test]
fn a_digest_of_another_cookie_or_challenge_is_not_found() {
    for (seed, capture) in captures() {
        for bit in 0..128 {
            let mut wrong = capture;
            wrong.digest[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(wrong.search(seed..seed + 1, Simd::Best), None);
        }
        let wrong = Capture {
            challenge: capture.challenge ^ 1,
            ..capture
        };
        assert_eq!(wrong.search(seed..seed + 1, Simd::Best), None);
    }
}
