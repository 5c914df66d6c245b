//! Fragments: put together by the lanes they are sent on, they are the message that was cut.
#![allow(clippy::unwrap_used)]

use merlon_wire::fragment::{odd, Route, Router, HEAD, TELLING, UNCUT};
use merlon_wire::lane::{self, STEP};
use proptest::prelude::*;

const LANES: usize = 2;

fn fragment(tag: u8, sequence: u64, left: u64, rest: &[u8]) -> Vec<u8> {
    let mut frame = vec![131, tag];
    frame.extend(sequence.to_be_bytes());
    frame.extend(left.to_be_bytes());
    frame.extend(rest);
    frame
}

fn route(router: &mut Router<LANES>, frame: &[u8]) -> Route {
    router.route(frame.get(..TELLING).unwrap_or(frame), frame.len())
}

#[test]
fn a_message_has_a_lane_from_its_first_fragment_to_its_last() {
    let mut router = Router::default();
    let first = fragment(69, 7, 3, &[0; 100]);
    let room = UNCUT.len() + 100 + 2 * 65_536;
    assert_eq!(route(&mut router, &first), Route::Begin { lane: 0, room });
    let (middle, last) = (fragment(70, 7, 2, b"x"), fragment(70, 7, 1, b""));
    assert_eq!(route(&mut router, &middle), Route::Middle { lane: 0 });
    assert_eq!(route(&mut router, &last), Route::End { lane: 0 });
    assert_eq!(route(&mut router, &last), Route::Stream);
    assert!(matches!(
        route(&mut router, &first),
        Route::Begin { lane: 0, .. }
    ));
}

#[test]
fn who_finds_no_lane_goes_in_the_stream_to_the_end() {
    let mut router = Router::default();
    for lane in 0..LANES {
        let first = fragment(69, lane as u64, 2, &[0]);
        assert!(matches!(route(&mut router, &first), Route::Begin { lane: l, .. } if l == lane));
    }
    assert_eq!(route(&mut router, &fragment(69, 9, 3, &[0])), Route::Stream);
    let last = fragment(70, 0, 1, b"end");
    assert_eq!(route(&mut router, &last), Route::End { lane: 0 });
    for left in [2, 1] {
        assert_eq!(
            route(&mut router, &fragment(70, 9, left, b"x")),
            Route::Stream
        );
    }
}

/// The receiver would not know the atoms of a header that names some, nor is a message of one fragment cut.
#[test]
fn other_frames_go_in_the_stream() {
    let mut router = Router::default();
    for frame in [
        fragment(69, 1, 2, &[3]),
        fragment(69, 1, 1, &[0]),
        fragment(69, 1, 0, &[0]),
        fragment(69, 1, 2, &[]),
        fragment(68, 1, 2, &[0]),
        fragment(70, 1, 1, &[0]),
        vec![131, 69],
        vec![],
        vec![131, 68, 0, 104, 3],
        vec![112, 131],
    ] {
        assert_eq!(route(&mut router, &frame), Route::Stream, "{frame:?}");
    }
}

#[test]
fn a_number_of_fragments_beyond_reason_asks_for_no_less_room() {
    let first = fragment(69, 1, u64::MAX, &[0]);
    let expected = Route::Begin {
        lane: 0,
        room: usize::MAX,
    };
    assert_eq!(route(&mut Router::default(), &first), expected);
}

proptest! {
    /// The first record has room for its head, and what follows it is a number of full records where that can be.
    #[test]
    fn full_records_follow_the_first(rest in 0usize..200_000) {
        let odd = odd(rest);
        prop_assert!(odd <= rest && lane::HEAD + UNCUT.len() + odd <= STEP);
        prop_assert!((rest - odd).is_multiple_of(STEP) || rest % STEP > STEP - lane::HEAD - UNCUT.len());
    }

    #[test]
    fn no_bytes_make_it_panic(start in prop::collection::vec(any::<u8>(), 0..TELLING), more in 0usize..1000) {
        let mut router = Router::<LANES>::default();
        for tag in [69, 70] {
            let mut start = start.clone();
            start.splice(..start.len().min(2), [131, tag]);
            let size = start.len() + more;
            prop_assert!(size >= HEAD || router.route(&start, size) == Route::Stream);
        }
    }
}
