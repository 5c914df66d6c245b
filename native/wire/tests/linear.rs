//! A big frame is put together in linear time: what is allocated and moved meanwhile goes by its length, however long it
//! is. Counted, so that no clock and no busy machine has a say in it.
#![allow(clippy::unwrap_used)]

#[path = "common/counting.rs"]
mod counting;

use counting::ALLOCATED;
use merlon_wire::frame::{self, Reader, Sink, FIRST_STEP};
use merlon_wire::lane::{self, Lanes, Part, STEP};
use merlon_wire::Error;

const MIB: usize = 1 << 20;

/// Keeps the last frame; a buffer that grows is moved, as the worst allocator would.
#[derive(Default)]
struct Last {
    frame: Vec<u8>,
    moved: usize,
}

impl Sink for Last {
    type Big = Vec<u8>;

    fn big(&mut self, len: usize) -> Result<Vec<u8>, Error> {
        Ok(vec![0; len])
    }

    fn grow(&mut self, big: &mut Vec<u8>, len: usize) -> Result<(), Error> {
        let mut longer = vec![0; len];
        longer.get_mut(..big.len()).unwrap().copy_from_slice(big);
        self.moved += big.len();
        *big = longer;
        Ok(())
    }

    fn bytes<'a>(&'a mut self, big: &'a mut Vec<u8>) -> &'a mut [u8] {
        big
    }

    fn big_done(&mut self, mut big: Vec<u8>, len: usize) {
        big.truncate(len);
        self.frame = big;
    }

    fn small(&mut self, _frame: &[u8]) {}

    fn tick(&mut self) {}
}

/// Bytes allocated and bytes moved while a frame of `len` bytes arrives, which must be whole.
fn costs(len: usize, arrive: impl FnOnce(&[u8], &mut Last)) -> (usize, usize) {
    let step: Vec<u8> = (0..STEP).map(|i| i as u8).collect();
    let mut last = Last::default();
    let before = ALLOCATED.get();
    arrive(&step, &mut last);
    let allocated = ALLOCATED.get() - before;
    assert_eq!(last.frame.len(), len);
    assert!(last.frame.chunks(STEP).all(|part| part == step));
    (allocated, last.moved)
}

fn in_the_stream(len: usize) -> (usize, usize) {
    costs(len, |step, sink| {
        let mut reader = Reader::new(1 << 30, 4096);
        reader.push(&frame::head(len).unwrap(), sink).unwrap();
        for _ in 0..len / STEP {
            reader.push(step, sink).unwrap();
        }
    })
}

/// Every other record is copied there, as behind one of another lane.
fn on_a_lane(len: usize) -> (usize, usize) {
    costs(len, |step, sink| {
        let mut lanes: Lanes<Vec<u8>, 8> = Lanes::new(1 << 30);
        lanes.push(3, Part::Some, &lane::head(len), sink).unwrap();
        for n in 1..=len / STEP {
            let part = if n == len / STEP {
                Part::Last
            } else {
                Part::Some
            };
            if n % 2 == 0 {
                lanes.push(3, part, step, sink).unwrap();
                continue;
            }
            let (_, place) = lanes.place(STEP + 1, sink).unwrap();
            place.get_mut(..STEP).unwrap().copy_from_slice(step);
            lanes.placed(STEP, part, sink).unwrap();
        }
    })
}

#[test]
fn a_big_frame_costs_what_it_is_long_at_16_and_at_256_mib() {
    for way in [in_the_stream, on_a_lane] {
        for len in [16 * MIB, 256 * MIB] {
            let (allocated, moved) = way(len);
            assert!(
                allocated <= len + FIRST_STEP + 64 * 1024,
                "{allocated} allocated for {len}"
            );
            assert!(moved <= FIRST_STEP, "{moved} moved for {len}");
        }
    }
}
