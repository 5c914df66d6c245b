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

/// Frames on their way to the VM, in order. Not terms yet: who opens them need not be who hands them on.
#[derive(Default)]
pub struct Frames {
    wholes: Vec<OwnedBinary>,
    done: Vec<Frame>,
    /// Which of them small frames are put into, and how many of its bytes they have.
    shared: Option<(usize, usize)>,
    bytes: usize,
    ticked: bool,
}

/// A part of one of those binaries.
struct Frame {
    whole: usize,
    from: usize,
    len: usize,
}

impl Frames {
    /// Appends a frame that has a binary already.
    pub fn owned(&mut self, binary: OwnedBinary) {
        if binary.is_empty() && std::mem::replace(&mut self.ticked, true) {
            return; // a tick says that the peer lives, and once is enough
        }
        let len = binary.len();
        self.own(binary, len);
    }

    fn own(&mut self, binary: OwnedBinary, len: usize) {
        self.bytes += len;
        self.done.push(Frame {
            whole: self.wholes.len(),
            from: 0,
            len,
        });
        self.wholes.push(binary);
    }

    /// Frames and bytes so far.
    pub fn count(&self) -> (usize, usize) {
        (self.done.len(), self.bytes)
    }

    /// The frames as a list of binaries.
    pub fn into_list(mut self, env: Env<'_>) -> Term<'_> {
        self.settle();
        let own = |whole| Binary::from_owned(whole, env);
        let wholes: Vec<_> = self.wholes.into_iter().map(own).collect();
        let frames = self.done.iter().filter_map(|frame| {
            let whole = wholes.get(frame.whole)?;
            match frame.len == whole.len() {
                true => Some(whole.to_term(env)),
                false => Some(
                    whole
                        .make_subbinary(frame.from, frame.len)
                        .ok()?
                        .to_term(env),
                ),
            }
        });
        frames.collect::<Vec<_>>().encode(env)
    }

    /// Nothing more is put into the shared binary.
    fn settle(&mut self) {
        if let Some((index, used)) = self.shared.take() {
            if let Some(shared) = self.wholes.get_mut(index) {
                shared.realloc_or_copy(used);
            }
        }
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

impl Sink for Frames {
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
        self.own(big, len);
    }

    fn small(&mut self, frame: &[u8]) {
        let room = |(index, used): &(usize, usize)| {
            let whole = self.wholes.get(*index);
            whole.is_some_and(|whole| whole.len() - used >= frame.len())
        };
        let (whole, from) = self.shared.filter(room).unwrap_or_else(|| {
            self.settle();
            self.wholes.push(OwnedBinary::new(SHARED.max(frame.len())));
            (self.wholes.len().saturating_sub(1), 0)
        });
        let to = from + frame.len();
        self.shared = Some((whole, to));
        let place = self.wholes.get_mut(whole).map(OwnedBinary::as_mut_slice);
        if let Some(place) = place.and_then(|whole| whole.get_mut(from..to)) {
            place.copy_from_slice(frame);
        }
        self.bytes += frame.len();
        self.done.push(Frame {
            whole,
            from,
            len: frame.len(),
        });
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
