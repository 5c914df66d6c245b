//! Lanes: frames come out whole whatever comes between their records, and no claim of a peer costs memory.
#![allow(clippy::unwrap_used)]

use merlon_wire::frame::FIRST_STEP;
use merlon_wire::lane::{before_last, first, head, Lanes, Part, AT_ONCE, HEAD, STEP};
use merlon_wire::Error;
use proptest::prelude::*;

mod common;
use common::{Got, Kept};

const LANES: usize = 3;

/// What a frame may lack of its claim.
const SLACK: usize = 65_536;

fn lanes() -> Lanes<Vec<u8>, LANES> {
    Lanes::new(1 << 30)
}

fn frame(len: usize, seed: u8) -> Vec<u8> {
    (0..len)
        .map(|i| (i as u8).wrapping_mul(31).wrapping_add(seed))
        .collect()
}

/// The contents of the records that a frame is sent in, with a head that says at most `room`.
fn records_in(frame: &[u8], room: usize) -> Vec<(Part, Vec<u8>)> {
    let (odd, steps) = frame.split_at(first(frame.len(), STEP - HEAD));
    let mut records = vec![(Part::Some, [&head(room)[..], odd].concat())];
    records.extend(steps.chunks(STEP).map(|step| (Part::Some, step.to_vec())));
    records.last_mut().unwrap().0 = Part::Last;
    records
}

fn records(frame: &[u8]) -> Vec<(Part, Vec<u8>)> {
    records_in(frame, frame.len())
}

/// Takes a record as the carrier does: where it belongs when that is known, with the type byte behind it.
fn take(
    lanes: &mut Lanes<Vec<u8>, LANES>,
    lane: usize,
    (part, record): &(Part, Vec<u8>),
    sink: &mut Kept,
) -> Result<(), Error> {
    match lanes.place(record.len() + 1, sink) {
        Some((likely, place)) if likely == lane => {
            let (content, kind) = place.split_at_mut(record.len());
            content.copy_from_slice(record);
            kind.fill(0xE0);
            lanes.placed(record.len(), *part, sink)
        }
        Some((_, scratch)) => {
            scratch.fill(0xFF); // a wrong guess leaves the other record there
            lanes.push(lane, *part, record, sink)
        }
        None => lanes.push(lane, *part, record, sink),
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
        slack in 0usize..=SLACK,
    ) {
        let frames: Vec<Vec<Vec<u8>>> = lens.iter().enumerate()
            .map(|(lane, lens)| lens.iter().map(|len| frame(*len, lane as u8)).collect())
            .collect();
        let mut queues: Vec<_> = frames.iter()
            .map(|frames| frames.iter().flat_map(|f| records_in(f, f.len() + slack)).collect::<Vec<_>>().into_iter())
            .collect();
        let (mut lanes, mut sink) = (lanes(), Kept::default());
        for lane in picks.into_iter().chain((0..LANES).flat_map(|l| vec![l; 4 * (200_000 / STEP + 70)])) {
            if let Some(record) = queues[lane].next() {
                prop_assert!(record.1.len() <= STEP);
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
        records in prop::collection::vec(
            (0usize..LANES + 1, any::<bool>(), prop::collection::vec(any::<u8>(), 0..200)), 0..40),
    ) {
        let (mut lanes, mut sink) = (Lanes::<Vec<u8>, LANES>::new(1 << 40), Kept::default());
        for (lane, last, record) in records {
            let part = if last { Part::Last } else { Part::Some };
            let _ = lanes.push(lane, part, &record, &mut sink);
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
        for (part, record) in records(&frame) {
            if let Some((0, place)) = lanes.place(record.len() + 1, &mut sink) {
                place[..record.len()].copy_from_slice(&record);
                lanes.placed(record.len(), part, &mut sink).unwrap();
                placed += record.len();
            } else {
                lanes.push(0, part, &record, &mut sink).unwrap();
            }
        }
        assert_eq!(placed, len / STEP * STEP);
        assert_eq!(sink.got, [Got::Big(frame)]);
    }
}

#[test]
fn a_claimed_length_costs_no_more_than_the_first_step() {
    let (mut lanes, mut sink) = (lanes(), Kept::default());
    lanes
        .push(0, Part::Some, &head(1 << 30), &mut sink)
        .unwrap();
    assert_eq!(sink.allocated, FIRST_STEP);
    assert!(!lanes.is_idle());
}

#[test]
fn a_frame_grows_once_and_only_when_its_beginning_is_there() {
    for (len, growths) in [(AT_ONCE, 0), (AT_ONCE + 1, 1)] {
        let (mut lanes, mut sink) = (lanes(), Kept::default());
        lanes.push(0, Part::Some, &head(len), &mut sink).unwrap();
        let mut arrived = 0;
        while len - arrived > STEP {
            take(&mut lanes, 0, &(Part::Some, vec![7; STEP]), &mut sink).unwrap();
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
    for (lane, part, record, error) in [
        (0, Part::Some, &head(0)[..], Error::LaneHead { lane: 0 }),
        (1, Part::Some, &head(9)[..7], Error::LaneHead { lane: 1 }),
        (1, Part::Last, &[][..], Error::LaneHead { lane: 1 }),
        (2, Part::Last, &head(9)[..], Error::LaneHead { lane: 2 }),
        (
            0,
            Part::Some,
            &long[..],
            Error::FrameTooLong {
                len: 1 << 31,
                max: 1 << 30,
            },
        ),
        (2, Part::Last, &over[..], Error::LaneOverrun { lane: 2 }),
        (LANES, Part::Some, &head(9)[..], Error::NoLane(LANES)),
    ] {
        let (mut lanes, mut sink) = (lanes(), Kept::default());
        assert_eq!(lanes.push(lane, part, record, &mut sink), Err(error));
        assert_eq!(lanes.push(0, Part::Some, &head(5), &mut sink), Err(error));
        assert_eq!(lanes.push(0, Part::Some, &[], &mut sink), Err(error));
        assert_eq!(lanes.placed(0, Part::Some, &mut sink), Err(error));
        assert!(!lanes.is_idle() && sink.got.is_empty());
    }
}

#[test]
fn a_record_that_was_put_in_place_beyond_its_frame_is_refused() {
    let (mut lanes, mut sink) = (lanes(), Kept::default());
    lanes
        .push(
            0,
            Part::Some,
            &[&head(20)[..], b"ten bytes."].concat(),
            &mut sink,
        )
        .unwrap();
    assert!(
        lanes.place(12, &mut sink).is_none(),
        "beyond the frame and its spare byte"
    );
    assert!(lanes.place(11, &mut sink).is_some());
    assert_eq!(
        lanes.placed(11, Part::Last, &mut sink),
        Err(Error::LaneOverrun { lane: 0 })
    );
}

#[test]
fn a_sink_without_memory_is_an_error_and_no_panic() {
    let (mut lanes, mut sink) = (lanes(), Kept::default());
    sink.out_of_memory = true;
    assert_eq!(
        lanes.push(0, Part::Some, &head(100), &mut sink),
        Err(Error::NoMemory { len: 101 })
    );
    let (mut lanes, mut sink) = (self::lanes(), Kept::default());
    lanes.push(0, Part::Some, &head(100), &mut sink).unwrap();
    sink.short = true;
    assert!(lanes.place(10, &mut sink).is_none());
    assert!(lanes.push(0, Part::Some, b"bytes", &mut sink).is_err());
}

/// The head says at most how long; what counts is what came, and the limit is kept to the byte.
#[test]
fn a_frame_shorter_than_its_head_says_ends_where_it_ends() {
    for (len, fits) in [(50_000, true), (50_001, false)] {
        let (mut lanes, mut sink) = (Lanes::<Vec<u8>, LANES>::new(50_000), Kept::default());
        let frame = frame(len, 3);
        let results: Vec<_> = records_in(&frame, len + 60_000)
            .iter()
            .map(|record| take(&mut lanes, 1, record, &mut sink))
            .collect();
        let (max, error) = (50_000, results.last().unwrap());
        match fits {
            true => assert_eq!((error, &sink.got[..]), (&Ok(()), &[Got::Big(frame)][..])),
            false => assert_eq!(error, &Err(Error::FrameTooLong { len, max })),
        }
    }
}

/// However the end comes: else a few bytes would hold a buffer of what they claim.
#[test]
fn a_frame_that_ends_long_before_its_claim_is_refused() {
    for (lacking, ending) in [
        (SLACK, Ok(())),
        (SLACK + 1, Err(Error::LaneShort { lane: 1 })),
    ] {
        for len in [10, STEP, 3 * STEP] {
            let (mut lanes, mut sink) = (lanes(), Kept::default());
            let results: Vec<_> = records_in(&frame(len, 3), len + lacking)
                .iter()
                .map(|record| take(&mut lanes, 1, record, &mut sink))
                .collect();
            assert_eq!(results.last().unwrap(), &ending);
            assert_eq!(sink.got.is_empty(), ending.is_err());
        }
    }
}

#[test]
fn the_last_record_of_a_frame_has_something_in_it() {
    for (len, before) in [
        (0, 0),
        (1, 0),
        (STEP, 0),
        (STEP + 1, STEP),
        (3 * STEP, 2 * STEP),
    ] {
        assert_eq!(before_last(len), before);
    }
}
