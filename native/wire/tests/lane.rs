//! Lanes: frames come out whole whatever comes between their records, and no claim of a peer costs memory.
#![allow(clippy::unwrap_used)]

use merlon_wire::frame::FIRST_STEP;
use merlon_wire::lane::{first, head, Lanes, AT_ONCE, HEAD, STEP};
use merlon_wire::Error;
use proptest::prelude::*;

mod common;
use common::{Got, Kept};

const LANES: usize = 3;

fn lanes() -> Lanes<Vec<u8>, LANES> {
    Lanes::new(1 << 30)
}

fn frame(len: usize, seed: u8) -> Vec<u8> {
    (0..len)
        .map(|i| (i as u8).wrapping_mul(31).wrapping_add(seed))
        .collect()
}

/// The contents of the records that a frame is sent in.
fn records(frame: &[u8]) -> Vec<Vec<u8>> {
    let (odd, steps) = frame.split_at(first(frame.len(), STEP - HEAD));
    let mut records = vec![[&head(frame.len())[..], odd].concat()];
    records.extend(steps.chunks(STEP).map(<[u8]>::to_vec));
    records
}

/// Takes a record as the carrier does: where it belongs when that is known, with the type byte behind it.
fn take(
    lanes: &mut Lanes<Vec<u8>, LANES>,
    lane: usize,
    record: &[u8],
    sink: &mut Kept,
) -> Result<(), Error> {
    match lanes.place(record.len() + 1, sink) {
        Some((likely, place)) if likely == lane => {
            let (content, kind) = place.split_at_mut(record.len());
            content.copy_from_slice(record);
            kind.fill(0xE0);
            lanes.placed(record.len(), sink)
        }
        Some((_, scratch)) => {
            scratch.fill(0xFF); // a wrong guess leaves the other record there
            lanes.push(lane, record, sink)
        }
        None => lanes.push(lane, record, sink),
    }
}

fn a_length() -> impl Strategy<Value = usize> {
    prop_oneof![
        1usize..100,
        (STEP - HEAD - 2)..=(STEP + 2),
        (4 * STEP - 2)..=(4 * STEP + 2),
        1usize..200_000
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn frames_on_several_lanes_come_out_whole_in_any_interleaving(
        lens in prop::collection::vec(prop::collection::vec(a_length(), 0..4), LANES),
        picks in prop::collection::vec(0usize..LANES, 0..400),
    ) {
        let frames: Vec<Vec<Vec<u8>>> = lens.iter().enumerate()
            .map(|(lane, lens)| lens.iter().map(|len| frame(*len, lane as u8)).collect())
            .collect();
        let mut queues: Vec<_> = frames.iter()
            .map(|frames| frames.iter().flat_map(|f| records(f)).collect::<Vec<_>>().into_iter())
            .collect();
        let (mut lanes, mut sink) = (lanes(), Kept::default());
        for lane in picks.into_iter().chain((0..LANES).flat_map(|l| vec![l; 4 * (200_000 / STEP + 70)])) {
            if let Some(record) = queues[lane].next() {
                prop_assert!(record.len() <= STEP);
                take(&mut lanes, lane, &record, &mut sink).unwrap();
            }
        }
        prop_assert!(queues.iter_mut().all(|queue| queue.next().is_none()));
        prop_assert!(lanes.is_idle());
        let mut got: Vec<_> = sink.got.into_iter()
            .map(|got| match got { Got::Big(frame) => frame, other => panic!("{other:?}") })
            .collect();
        let mut sent: Vec<_> = frames.into_iter().flatten().collect();
        got.sort();
        sent.sort();
        prop_assert_eq!(got, sent);
    }

    #[test]
    fn no_bytes_make_it_panic_or_allocate_beyond_twice_what_came(
        records in prop::collection::vec((0usize..LANES + 1, prop::collection::vec(any::<u8>(), 0..200)), 0..40),
    ) {
        let (mut lanes, mut sink) = (Lanes::<Vec<u8>, LANES>::new(1 << 40), Kept::default());
        for (lane, record) in records {
            let _ = lanes.push(lane, &record, &mut sink);
            prop_assert!(sink.allocated <= AT_ONCE + 1);
        }
    }
}

/// All but the first record of a frame lie at a place of their own, so that they can be opened there.
#[test]
fn every_step_of_a_frame_has_its_place() {
    for len in [STEP, 4 * STEP + 60, 16 * STEP] {
        let (mut lanes, mut sink) = (lanes(), Kept::default());
        let frame = frame(len, 1);
        let mut placed = 0;
        for record in records(&frame) {
            if let Some((0, place)) = lanes.place(record.len() + 1, &mut sink) {
                place[..record.len()].copy_from_slice(&record);
                lanes.placed(record.len(), &mut sink).unwrap();
                placed += record.len();
            } else {
                lanes.push(0, &record, &mut sink).unwrap();
            }
        }
        assert_eq!(placed, len / STEP * STEP);
        assert_eq!(sink.got, [Got::Big(frame)]);
    }
}

#[test]
fn a_claimed_length_costs_no_more_than_the_first_step() {
    let (mut lanes, mut sink) = (lanes(), Kept::default());
    lanes.push(0, &head(1 << 30), &mut sink).unwrap();
    assert_eq!(sink.allocated, FIRST_STEP);
    assert!(!lanes.is_idle());
}

#[test]
fn a_frame_grows_once_and_only_when_its_beginning_is_there() {
    for (len, growths) in [(AT_ONCE, 0), (AT_ONCE + 1, 1)] {
        let (mut lanes, mut sink) = (lanes(), Kept::default());
        lanes.push(0, &head(len), &mut sink).unwrap();
        let mut arrived = 0;
        while len - arrived > STEP {
            take(&mut lanes, 0, &[7; STEP], &mut sink).unwrap();
            arrived += STEP;
            assert!(len <= AT_ONCE || sink.allocated == FIRST_STEP || arrived >= FIRST_STEP);
        }
        assert_eq!((sink.allocated, sink.grown), (len + 1, growths));
    }
}

#[test]
fn what_is_no_frame_is_refused_for_good() {
    let long = [&head(1 << 31)[..], b"x"].concat();
    let over = [&head(3)[..], b"four"].concat();
    for (lane, record, error) in [
        (0, &head(0)[..], Error::LaneHead { lane: 0 }),
        (1, &head(9)[..7], Error::LaneHead { lane: 1 }),
        (
            0,
            &long[..],
            Error::FrameTooLong {
                len: 1 << 31,
                max: 1 << 30,
            },
        ),
        (2, &over[..], Error::LaneOverrun { lane: 2 }),
        (LANES, &head(9)[..], Error::NoLane(LANES)),
    ] {
        let (mut lanes, mut sink) = (lanes(), Kept::default());
        assert_eq!(lanes.push(lane, record, &mut sink), Err(error));
        assert_eq!(lanes.push(0, &head(5), &mut sink), Err(error));
        assert_eq!(lanes.placed(0, &mut sink), Err(error));
        assert!(!lanes.is_idle() && sink.got.is_empty());
    }
}

#[test]
fn a_record_that_was_put_in_place_beyond_its_frame_is_refused() {
    let (mut lanes, mut sink) = (lanes(), Kept::default());
    lanes
        .push(0, &[&head(20)[..], b"ten bytes."].concat(), &mut sink)
        .unwrap();
    assert!(
        lanes.place(12, &mut sink).is_none(),
        "beyond the frame and its spare byte"
    );
    assert!(lanes.place(11, &mut sink).is_some());
    assert_eq!(
        lanes.placed(11, &mut sink),
        Err(Error::LaneOverrun { lane: 0 })
    );
}

#[test]
fn a_sink_without_memory_is_an_error_and_no_panic() {
    let (mut lanes, mut sink) = (lanes(), Kept::default());
    sink.out_of_memory = true;
    assert_eq!(
        lanes.push(0, &head(100), &mut sink),
        Err(Error::NoMemory { len: 101 })
    );
    let (mut lanes, mut sink) = (self::lanes(), Kept::default());
    lanes.push(0, &head(100), &mut sink).unwrap();
    sink.short = true;
    assert!(lanes.place(10, &mut sink).is_none());
    assert!(lanes.push(0, b"bytes", &mut sink).is_err());
}
