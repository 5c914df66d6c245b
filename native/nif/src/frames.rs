//! Where received frames go: big ones into binaries of their own, small ones side by side into
//! shared binaries, so that many small frames cost one allocation and none pins much.

use merlon_wire::frame::Sink;
use merlon_wire::Error;
use rustler::{Binary, Encoder, Env, OwnedBinary, Term};
use std::collections::VecDeque;

/// Size of a shared binary: what a small frame that is kept for long can pin.
const SHARED: usize = 32 * 1024;

/// Buffers up to this many bytes are shortened when more than [`MAX_WASTE`] of them are not used.
const SHORTEN: usize = 512 * 1024;
const MAX_WASTE: usize = 4096;

/// Frames on their way to the VM, in order.
pub struct Frames<'a> {
    env: Env<'a>,
    done: Vec<Slot<'a>>,
    shared: Option<Shared>,
    bytes: usize,
    ticked: bool,
}

enum Slot<'a> {
    Term(Term<'a>),
    /// A part of the shared binary that is being filled: from, length.
    Part(usize, usize),
}

struct Shared {
    binary: OwnedBinary,
    used: usize,
    /// The first slot that may stand for a part of it.
    first: usize,
}

impl<'a> Frames<'a> {
    /// An empty list.
    pub fn new(env: Env<'a>) -> Self {
        Self {
            env,
            done: Vec::new(),
            shared: None,
            bytes: 0,
            ticked: false,
        }
    }

    /// Appends a frame that has a binary already.
    pub fn owned(&mut self, binary: OwnedBinary) {
        if binary.is_empty() && std::mem::replace(&mut self.ticked, true) {
            return; // a tick says that the peer lives, and once is enough
        }
        self.bytes += binary.len();
        let term = Binary::from_owned(binary, self.env).to_term(self.env);
        self.done.push(Slot::Term(term));
    }

    /// Frames and bytes so far.
    pub fn count(&self) -> (usize, usize) {
        (self.done.len(), self.bytes)
    }

    /// The frames as a list of binaries.
    pub fn into_list(mut self) -> Term<'a> {
        self.settle();
        let terms = self.done.iter().filter_map(|slot| match slot {
            Slot::Term(term) => Some(*term),
            Slot::Part(..) => None, // settled above
        });
        terms.collect::<Vec<_>>().encode(self.env)
    }

    /// Turns the shared binary into a term and its parts into sub-binaries.
    fn settle(&mut self) {
        let Some(mut shared) = self.shared.take() else {
            return;
        };
        shared.binary.realloc_or_copy(shared.used);
        let whole = Binary::from_owned(shared.binary, self.env);
        for slot in self.done.iter_mut().skip(shared.first) {
            if let Slot::Part(from, len) = *slot {
                if let Ok(part) = whole.make_subbinary(from, len) {
                    *slot = Slot::Term(part.to_term(self.env));
                }
            }
        }
    }

    fn room(&mut self, len: usize) -> &mut Shared {
        let full = |shared: &Shared| shared.binary.len() - shared.used < len;
        if self.shared.as_ref().is_some_and(full) {
            self.settle();
        }
        let first = self.done.len();
        self.shared.get_or_insert_with(|| Shared {
            binary: OwnedBinary::new(SHARED.max(len)),
            used: 0,
            first,
        })
    }
}

/// A binary of `len` bytes. `OwnedBinary::new` would end the VM where the system refuses memory.
fn room(len: usize) -> Result<OwnedBinary, Error> {
    let mut binary = OwnedBinary::new(0);
    match binary.realloc(len) {
        true => Ok(binary),
        false => Err(Error::NoMemory { len }),
    }
}

impl Sink for Frames<'_> {
    type Big = OwnedBinary;

    fn big(&mut self, len: usize) -> Result<OwnedBinary, Error> {
        room(len)
    }

    fn grow(&mut self, big: &mut OwnedBinary, len: usize) -> Result<(), Error> {
        if big.realloc(len) {
            Ok(())
        } else {
            Err(Error::NoMemory { len })
        }
    }

    fn bytes<'b>(&'b mut self, big: &'b mut OwnedBinary) -> &'b mut [u8] {
        big.as_mut_slice()
    }

    fn big_done(&mut self, mut big: OwnedBinary, len: usize) {
        // A huge one is not shortened: the allocator may move it for that.
        if (len..=SHORTEN).contains(&big.len()) && big.len() - len > MAX_WASTE {
            big.realloc_or_copy(len);
        }
        let whole = Binary::from_owned(big, self.env);
        let frame = whole.make_subbinary(0, len).unwrap_or(whole);
        self.bytes += len;
        self.done.push(Slot::Term(frame.to_term(self.env)));
    }

    fn small(&mut self, frame: &[u8]) {
        let shared = self.room(frame.len());
        let from = shared.used;
        shared.used += frame.len();
        if let Some(place) = shared
            .binary
            .as_mut_slice()
            .get_mut(from..from + frame.len())
        {
            place.copy_from_slice(frame);
        }
        self.bytes += frame.len();
        self.done.push(Slot::Part(from, frame.len()));
    }

    fn tick(&mut self) {
        self.owned(OwnedBinary::new(0));
    }
}

/// Frames of the dist handshake and what came behind them, each in a binary of its own.
pub struct Queue(pub VecDeque<OwnedBinary>);

impl Sink for Queue {
    type Big = OwnedBinary;

    fn big(&mut self, len: usize) -> Result<OwnedBinary, Error> {
        room(len)
    }

    fn grow(&mut self, big: &mut OwnedBinary, len: usize) -> Result<(), Error> {
        if big.realloc(len) {
            Ok(())
        } else {
            Err(Error::NoMemory { len })
        }
    }

    fn bytes<'b>(&'b mut self, big: &'b mut OwnedBinary) -> &'b mut [u8] {
        big.as_mut_slice()
    }

    fn big_done(&mut self, mut big: OwnedBinary, len: usize) {
        big.realloc_or_copy(len);
        self.0.push_back(big);
    }

    fn small(&mut self, frame: &[u8]) {
        self.0.push_back(OwnedBinary::from_slice(frame));
    }

    fn tick(&mut self) {
        if self.0.back().is_some_and(|last| last.is_empty()) {
            return; // as in Frames
        }
        self.0.push_back(OwnedBinary::new(0));
    }
}
