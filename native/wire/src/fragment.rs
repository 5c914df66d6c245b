//! Fragments of long distribution messages, as OTP cuts them (erl_dist_protocol, "Distribution Header for
//! Fragmented Messages"), and which lane each one goes on. Without an atom cache they hold whole terms in parts:
//! put together they are the message as it would have been sent in one frame.

use crate::lane;

/// Bytes of a fragment's head: 131, tag, sequence id, fragment id.
pub const HEAD: usize = 18;

/// Bytes that tell what a frame is: a fragment's head, and behind the head of a first one its number of atoms.
pub const TELLING: usize = HEAD + 1;

/// How a message begins that is not cut: 131, tag.
pub const UNCUT: [u8; 2] = [131, 68];

/// Bytes of payload in every fragment but the last (ERTS_DIST_FRAGMENT_SIZE).
const PAYLOAD: usize = 65_536;
const FIRST: u8 = 69;
const LATER: u8 = 70;

/// Where a frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Whole, in the stream of small frames.
    Stream,
    /// [`UNCUT`] and what follows the fragment's head begin a message on this lane.
    Begin {
        /// The lane, free until now.
        lane: usize,
        /// Bytes that the message has at most.
        room: usize,
    },
    /// What follows the fragment's head goes on the lane that its message is on.
    Middle {
        /// That lane.
        lane: usize,
    },
    /// The same, and the message ends with it.
    End {
        /// That lane, free from now on.
        lane: usize,
    },
}

/// Knows which message is on which of `N` lanes. One that finds no free lane goes in the stream, fragment by fragment.
#[derive(Debug)]
pub struct Router<const N: usize> {
    /// Sequence ids.
    lanes: [Option<u64>; N],
}

impl<const N: usize> Default for Router<N> {
    fn default() -> Self {
        Router { lanes: [None; N] }
    }
}

impl<const N: usize> Router<N> {
    /// Where the frame of `size` bytes goes whose first are `start`: [`TELLING`] of them, or all if it is shorter.
    pub fn route(&mut self, start: &[u8], size: usize) -> Route {
        match parse(start) {
            Some((FIRST, sequence, left, Some(0))) if left > 1 => self.begin(sequence, left, size),
            Some((LATER, sequence, left, _)) => self.go_on(sequence, left),
            _ => Route::Stream,
        }
    }

    fn begin(&mut self, sequence: u64, left: u64, size: usize) -> Route {
        let later = usize::try_from(left - 1).unwrap_or(usize::MAX);
        let room = (size - HEAD + UNCUT.len()).saturating_add(later.saturating_mul(PAYLOAD));
        match self
            .lanes
            .iter_mut()
            .enumerate()
            .find(|(_, on)| on.is_none())
        {
            Some((lane, on)) => {
                *on = Some(sequence);
                Route::Begin { lane, room }
            }
            None => Route::Stream,
        }
    }

    fn go_on(&mut self, sequence: u64, left: u64) -> Route {
        let found = self.lanes.iter_mut().enumerate();
        match found.into_iter().find(|(_, on)| **on == Some(sequence)) {
            Some((lane, on)) if left == 1 => {
                *on = None;
                Route::End { lane }
            }
            Some((lane, _)) => Route::Middle { lane },
            None => Route::Stream,
        }
    }
}

/// Tag, sequence id, fragments still to come (this one included), number of atoms.
fn parse(start: &[u8]) -> Option<(u8, u64, u64, Option<u8>)> {
    let ([131, tag], rest) = start.split_first_chunk::<2>()? else {
        return None;
    };
    let (sequence, rest) = rest.split_first_chunk::<8>()?;
    let (left, rest) = rest.split_first_chunk::<8>()?;
    let (sequence, left) = (u64::from_be_bytes(*sequence), u64::from_be_bytes(*left));
    Some((*tag, sequence, left, rest.first().copied()))
}

/// Bytes behind a first fragment's head that its first record takes along, so that full ones follow.
pub fn odd(rest: usize) -> usize {
    lane::first(rest, lane::STEP - lane::HEAD - UNCUT.len())
}
