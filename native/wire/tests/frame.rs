//! Frames: any split of the stream gives the same frames, and no claim of a peer costs memory.
#![allow(clippy::unwrap_used)]

use merlon_wire::frame::{head, Reader, FIRST_STEP, MAX_SMALL};
use merlon_wire::Error;
use proptest::prelude::*;

mod common;

use common::{Got, Kept};
const BIG_FROM: usize = 64;

fn reader() -> Reader<Vec<u8>> {
    Reader::new(1 << 30, BIG_FROM)
}

fn frame(len: usize, seed: u8) -> Vec<u8> {
    (0..len)
        .map(|i| (i as u8).wrapping_mul(31).wrapping_add(seed))
        .collect()
}

fn stream(lens: &[usize]) -> (Vec<u8>, Vec<Got>) {
    let mut bytes = vec![];
    let mut expected = vec![];
    for (seed, len) in lens.iter().enumerate() {
        let frame = frame(*len, seed as u8);
        bytes.extend(head(*len).unwrap());
        bytes.extend(&frame);
        expected.push(match *len {
            0 => Got::Tick,
            len if len < BIG_FROM => Got::Small(frame),
            _ => Got::Big(frame),
        });
    }
    (bytes, expected)
}

/// Both sides of every boundary: tick, small, big, first step, doubled step.
fn a_length() -> impl Strategy<Value = usize> {
    prop_oneof![
        Just(0),
        1..BIG_FROM,
        (BIG_FROM - 1)..=(BIG_FROM + 1),
        BIG_FROM..5000,
        (FIRST_STEP - 1)..=(FIRST_STEP + 1)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_stream_cut_anywhere_gives_the_same_frames(
        lens in prop::collection::vec(a_length(), 0..8),
        cuts in prop::collection::vec(1usize..200_000, 1..8),
        tiny in 1usize..5,
    ) {
        let (bytes, expected) = stream(&lens);
        let (mut reader, mut sink) = (reader(), Kept::default());
        let mut rest = bytes.as_slice();
        let mut cuts = cuts.into_iter().chain(std::iter::once(tiny)).cycle();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(cuts.next().unwrap().min(rest.len()));
            reader.push(now, &mut sink).unwrap();
            prop_assert!(reader.held() <= BIG_FROM);
            rest = later;
        }
        prop_assert_eq!(sink.got, expected);
        prop_assert!(reader.is_between_frames());
    }

    #[test]
    fn noise_never_panics_and_never_costs_more_than_it_weighs(
        noise in prop::collection::vec(any::<u8>(), 0..400),
        max_frame in 0usize..1 << 24,
    ) {
        let mut reader = Reader::new(max_frame, BIG_FROM);
        let mut sink = Kept::default();
        let mut failed = None;
        for byte in noise.chunks(7) {
            let pushed = reader.push(byte, &mut sink);
            prop_assert!(failed.is_none() || pushed.err() == failed, "an error is final");
            failed = pushed.err();
            prop_assert!(sink.allocated <= FIRST_STEP.min(max_frame));
        }
    }
}

#[test]
fn a_stream_cut_at_every_byte_gives_the_same_frames() {
    let (bytes, expected) = stream(&[0, 1, 63, 64, 0, 65, 200, 3]);
    for step in 1..=bytes.len() {
        let (mut reader, mut sink) = (reader(), Kept::default());
        for now in bytes.chunks(step) {
            reader.push(now, &mut sink).unwrap();
        }
        assert_eq!(sink.got, expected, "in steps of {step}");
    }
}

#[test]
fn a_claimed_length_allocates_no_more_than_the_first_step() {
    let (mut reader, mut sink) = (Reader::new(usize::MAX, BIG_FROM), Kept::default());
    reader.push(&u32::MAX.to_be_bytes(), &mut sink).unwrap();
    assert_eq!(sink.allocated, FIRST_STEP);
}

#[test]
fn a_huge_frame_grows_once_and_only_when_its_beginning_is_there() {
    let len = 20 * FIRST_STEP + 13;
    let whole = frame(len, 1);
    let (mut reader, mut sink) = (reader(), Kept::default());
    reader.push(&head(len).unwrap(), &mut sink).unwrap();
    let mut arrived = 0;
    for part in whole.chunks(100_001) {
        reader.push(part, &mut sink).unwrap();
        arrived += part.len();
        assert!(sink.allocated == FIRST_STEP || arrived > FIRST_STEP);
    }
    assert_eq!((sink.grown, sink.allocated), (1, len));
    assert!(sink.got == [Got::Big(whole)]);
}

#[test]
fn a_huge_frame_that_comes_at_once_grows_once() {
    let len = 5 * FIRST_STEP;
    let (bytes, expected) = stream(&[len]);
    let (mut reader, mut sink) = (reader(), Kept::default());
    reader.push(&bytes, &mut sink).unwrap();
    assert_eq!(sink.grown, 1);
    assert!(sink.got == expected);
}

#[test]
fn a_frame_beyond_the_limit_is_refused_at_its_head() {
    let (mut reader, mut sink) = (Reader::new(100, BIG_FROM), Kept::default());
    let (bytes, expected) = stream(&[100]);
    reader.push(&bytes, &mut sink).unwrap();
    let refused = Err(Error::FrameTooLong { len: 101, max: 100 });
    assert_eq!(reader.push(&head(101).unwrap(), &mut sink), refused);
    assert_eq!(reader.push(&bytes, &mut sink), refused, "final");
    assert!(sink.got == expected);
    assert!(!reader.is_between_frames());
}

#[test]
fn a_new_limit_holds_from_the_next_head_on() {
    let (mut reader, mut sink) = (Reader::new(10, BIG_FROM), Kept::default());
    let (bytes, expected) = stream(&[10, 1000]);
    reader.push(&bytes[..10], &mut sink).unwrap();
    reader.set_max_frame(1000);
    reader.push(&bytes[10..], &mut sink).unwrap();
    assert!(sink.got == expected);
}

#[test]
fn a_part_of_a_small_frame_never_pins_more_than_it_needs() {
    let mut reader: Reader<Vec<u8>> = Reader::new(usize::MAX, usize::MAX);
    let mut sink = Kept::default();
    reader
        .push(&head(MAX_SMALL - 1).unwrap(), &mut sink)
        .unwrap();
    reader.push(&[1], &mut sink).unwrap();
    assert!(reader.held() < MAX_SMALL);
    assert_eq!(sink.allocated, 0);
}

#[test]
fn a_stream_that_ends_inside_a_frame_is_known_to_be_cut() {
    for len in [3, 300] {
        let (bytes, _) = stream(&[len]);
        for end in 1..bytes.len() {
            let (mut reader, mut sink) = (reader(), Kept::default());
            reader.push(&bytes[..end], &mut sink).unwrap();
            assert!(!reader.is_between_frames(), "{end} bytes of {len}");
        }
    }
}

#[test]
fn a_sink_that_fails_stops_the_reader() {
    let (bytes, _) = stream(&[300, 3]);
    let (mut reader, mut sink) = (
        reader(),
        Kept {
            out_of_memory: true,
            ..Kept::default()
        },
    );
    assert_eq!(
        reader.push(&bytes, &mut sink),
        Err(Error::NoMemory { len: 300 })
    );
    sink.out_of_memory = false;
    assert_eq!(
        reader.push(&bytes, &mut sink),
        Err(Error::NoMemory { len: 300 })
    );
    assert!(sink.got.is_empty());
}

#[test]
fn a_sink_that_lends_too_little_is_an_error_not_a_panic() {
    let (bytes, _) = stream(&[300]);
    let (mut reader, mut sink) = (
        reader(),
        Kept {
            short: true,
            ..Kept::default()
        },
    );
    assert_eq!(
        reader.push(&bytes, &mut sink),
        Err(Error::ShortBuffer { len: 300 })
    );
}

#[test]
fn a_length_that_four_bytes_cannot_say_is_refused() {
    assert_eq!(head(u32::MAX as usize), Ok([0xff; 4]));
    assert_eq!(head(0x0102_0304), Ok([1, 2, 3, 4]));
    let len = u32::MAX as usize + 1;
    assert_eq!(
        head(len),
        Err(Error::FrameTooLong {
            len,
            max: u32::MAX as usize
        })
    );
}
