//! What the scanner allocates: nothing that grows with a claim, nothing that grows with width; by depth, what the
//! budget says.
#![allow(clippy::unwrap_used)]

#[path = "common/counting.rs"]
mod counting;

use counting::ALLOCATED;
use merlon_wire::etf::{scan, unpack, Budget};
use miniz_oxide::deflate::compress_to_vec_zlib;

const BUDGET: Budget = Budget {
    depth: 1000,
    ..Budget::UNLIMITED
};

/// Bytes allocated by a scan in all, freed ones too.
fn allocated(term: &[u8]) -> usize {
    let before = ALLOCATED.get();
    let _ = scan(term, &BUDGET);
    ALLOCATED.get() - before
}

/// By a scan that keeps what it inflates.
fn kept(term: &[u8]) -> usize {
    let before = ALLOCATED.get();
    let _ = unpack(term, &BUDGET);
    ALLOCATED.get() - before
}

fn repeated(head: &[u8], unit: &[u8], times: usize, tail: &[u8]) -> Vec<u8> {
    [&[131], head, &unit.repeat(times), tail].concat()
}

#[test]
fn claims_allocate_nothing() {
    for tag in [105, 108, 116, 109, 111, 77, 107, 100, 112, 80] {
        let bytes = [&[131, tag][..], &[255; 40]].concat();
        assert_eq!(
            allocated(&[131, tag, 255, 255, 255, 255, 0]),
            allocated(&bytes),
            "{tag}"
        );
        assert!(allocated(&bytes) < 64 * 1024, "{tag}");
    }
}

#[test]
fn width_allocates_a_frame_only() {
    let wide = repeated(&[108, 0, 0x0F, 0x42, 0x40], &[106], 1_000_000, &[106]);
    assert!(scan(&wide, &BUDGET).is_ok());
    assert!(allocated(&wide) < 1024);
}

#[test]
fn depth_allocates_what_the_budget_allows_and_no_more() {
    for unit in [
        &[104, 1][..],
        &[108, 0, 0, 0, 1, 106],
        &[116, 0, 0, 0, 1, 106],
    ] {
        let deep = repeated(&[], unit, 1_000_000, &[106]);
        assert!(scan(&deep, &BUDGET).is_err());
        assert!(allocated(&deep) < 512 * 1024);
    }
}

#[test]
fn a_bomb_inflates_into_one_window() {
    let inner = [&[109, 0, 0x80, 0, 0][..], &vec![0; 0x80_0000]].concat();
    let claimed = (inner.len() as u32).to_be_bytes();
    let bomb = [&[131, 80], &claimed[..], &compress_to_vec_zlib(&inner, 6)].concat();
    assert!(scan(&bomb, &BUDGET).is_ok());
    assert!(allocated(&bomb) < 64 * 1024);
}

fn zipped(inner: &[u8], claimed: u32) -> Vec<u8> {
    let zlib = compress_to_vec_zlib(inner, 6);
    [&[131, 80], &claimed.to_be_bytes()[..], &zlib].concat()
}

#[test]
fn what_is_kept_goes_by_what_is_inflated_and_not_by_what_is_claimed() {
    let inner = [&[109, 0x3F, 0, 0, 0][..], &vec![0; 40_000]].concat();
    let lie = zipped(&inner, 0x3F00_0005);
    assert!(unpack(&lie, &BUDGET).is_err());
    assert!(kept(&lie) < 256 * 1024);
    for claimed in [1, 0xFFFF_FFFF] {
        assert!(kept(&zipped(&[106], claimed)) < 128 * 1024, "{claimed}");
    }
    // As it grows it is moved: this is all that was ever allocated, of which two places at most are there at a time.
    let inner = [&[109, 0, 0x80, 0, 0][..], &vec![0; 0x80_0000]].concat();
    let honest = zipped(&inner, inner.len() as u32);
    assert!(unpack(&honest, &BUDGET).is_ok());
    let all = kept(&honest);
    assert!(all < 4 * inner.len(), "{all} of {}", inner.len());
}

#[test]
fn what_is_refused_at_its_beginning_is_not_inflated_to_its_end() {
    let inner = [&[104, 1].repeat(4_000_000), &[106][..]].concat();
    let deep = zipped(&inner, inner.len() as u32);
    assert!(unpack(&deep, &BUDGET).is_err());
    assert!(kept(&deep) < 512 * 1024);
}
