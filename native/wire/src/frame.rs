//! Distribution frames: a big-endian length of 4 bytes, then that many bytes. Length 0 is a tick.

use std::mem;

use crate::Error;

/// Bytes of a frame's head.
pub const HEAD: usize = 4;

/// Bytes that a mere claim of a peer may make the sink allocate.
pub const FIRST_STEP: usize = 1 << 20;

/// The longest frame that a [`Reader`] may keep to itself while it arrives in parts.
pub const MAX_SMALL: usize = 1 << 16;

/// The head of a frame of `len` bytes.
///
/// # Errors
/// [`Error::FrameTooLong`] when 4 bytes cannot say it.
pub fn head(len: usize) -> Result<[u8; HEAD], Error> {
    let max = u32::MAX as usize;
    let len = u32::try_from(len).map_err(|_| Error::FrameTooLong { len, max })?;
    Ok(len.to_be_bytes())
}

/// Where frames go.
pub trait Sink {
    /// A buffer for one big frame.
    type Big;

    /// A new buffer of `len` bytes; their values do not matter.
    ///
    /// # Errors
    /// [`Error::NoMemory`].
    fn big(&mut self, len: usize) -> Result<Self::Big, Error>;

    /// Makes `big` longer, to `len` bytes, and keeps what it holds.
    ///
    /// # Errors
    /// [`Error::NoMemory`].
    fn grow(&mut self, big: &mut Self::Big, len: usize) -> Result<(), Error>;

    /// All the bytes of `big`: as many as were last asked for.
    fn bytes<'a>(&'a mut self, big: &'a mut Self::Big) -> &'a mut [u8];

    /// A big frame is complete: the first `len` bytes of `big`.
    fn big_done(&mut self, big: Self::Big, len: usize);

    /// A small frame, whole.
    fn small(&mut self, frame: &[u8]);

    /// A tick: the peer lives.
    fn tick(&mut self);
}

/// Cuts a stream of bytes into frames, with one copy at most.
///
/// Frames of `big_from` bytes and more go straight into a buffer of their own. It is no longer than [`FIRST_STEP`]
/// before so much of the frame has arrived. Smaller frames are lent out of the
/// pushed bytes, or, when they arrive in parts, put together in a buffer that is never longer than `big_from`.
pub struct Reader<B> {
    max_frame: usize,
    big_from: usize,
    state: State<B>,
    failed: Option<Error>,
    /// The part of a small frame that is here already.
    part: Vec<u8>,
}

enum State<B> {
    /// In or before a frame's head.
    Head { bytes: [u8; HEAD], have: usize },
    /// In a small frame of this length.
    Small(usize),
    /// In a big frame.
    Big(Filling<B>),
}

/// A big frame on its way into its buffer.
pub(crate) struct Filling<B> {
    big: B,
    /// Bytes of the whole frame, or at most so many.
    len: usize,
    /// Bytes of `big`.
    room: usize,
    /// Bytes of the frame that are here.
    filled: usize,
    /// Bytes that the buffer gets beyond the frame.
    spare: usize,
}

impl<B> State<B> {
    fn between() -> State<B> {
        State::Head {
            bytes: [0; HEAD],
            have: 0,
        }
    }
}

impl<B> Filling<B> {
    /// A buffer for a frame of `len` bytes: all of it when that is no more than `at_once`, else [`FIRST_STEP`]
    /// before more has arrived.
    pub(crate) fn begin<S: Sink<Big = B>>(
        len: usize,
        spare: usize,
        at_once: usize,
        sink: &mut S,
    ) -> Result<Filling<B>, Error> {
        let room = match len.saturating_add(spare) {
            whole if len <= at_once => whole,
            whole => whole.min(FIRST_STEP),
        };
        Ok(Filling {
            big: sink.big(room)?,
            len,
            room,
            filled: 0,
            spare,
        })
    }

    /// Bytes of the frame that are still to come.
    pub(crate) fn missing(&self) -> usize {
        self.len - self.filled
    }

    /// Gives the whole frame room when its beginning has arrived and there is not enough for `arrived` more bytes. In one
    /// step: the system gives memory to what is written only, and growing often would move a big frame as often.
    fn make_room<S: Sink<Big = B>>(&mut self, arrived: usize, sink: &mut S) -> Result<(), Error> {
        let whole = self.len.saturating_add(self.spare);
        if self.filled + arrived.min(whole - self.filled) <= self.room {
            return Ok(());
        }
        sink.grow(&mut self.big, whole)?;
        self.room = whole;
        Ok(())
    }

    /// Where the frame's next `len` bytes belong, when it and its spare bytes have so much room.
    pub(crate) fn place<'a, S: Sink<Big = B>>(
        &'a mut self,
        len: usize,
        sink: &'a mut S,
    ) -> Result<Option<&'a mut [u8]>, Error> {
        if len > self.missing() + self.spare {
            return Ok(None);
        }
        self.make_room(len, sink)?;
        let (from, to) = (self.filled, self.filled + len);
        Ok(sink.bytes(&mut self.big).get_mut(from..to))
    }

    /// That many bytes have been written to [`place`](Filling::place).
    pub(crate) fn advance(&mut self, len: usize) {
        self.filled = self.len.min(self.filled + len);
    }

    pub(crate) fn fill<'a, S: Sink<Big = B>>(
        &mut self,
        bytes: &'a [u8],
        sink: &mut S,
    ) -> Result<&'a [u8], Error> {
        let (now, rest) = bytes.split_at(bytes.len().min(self.missing()));
        let place = self.place(now.len(), sink)?;
        place
            .ok_or(Error::ShortBuffer { len: now.len() })?
            .copy_from_slice(now);
        self.advance(now.len());
        Ok(rest)
    }

    /// Bytes of the frame that are here.
    pub(crate) fn filled(&self) -> usize {
        self.filled
    }

    /// Hands the buffer on: the frame is as long as what is here.
    pub(crate) fn finish<S: Sink<Big = B>>(self, sink: &mut S) {
        sink.big_done(self.big, self.filled);
    }

    /// Hands the buffer on when the frame is whole, or gives it back.
    pub(crate) fn settle<S: Sink<Big = B>>(self, sink: &mut S) -> Option<Filling<B>> {
        if self.filled < self.len {
            return Some(self);
        }
        self.finish(sink);
        None
    }
}

impl<B> Reader<B> {
    /// A reader that refuses frames of more than `max_frame` bytes, and takes those of `big_from` (at most
    /// [`MAX_SMALL`]) and more for big.
    pub fn new(max_frame: usize, big_from: usize) -> Reader<B> {
        Reader {
            max_frame,
            big_from: big_from.min(MAX_SMALL),
            state: State::between(),
            failed: None,
            part: Vec::new(),
        }
    }

    /// Changes the longest frame accepted, from the next head on.
    pub fn set_max_frame(&mut self, max_frame: usize) {
        self.max_frame = max_frame;
    }

    /// True between two frames: a stream that ends elsewhere was cut.
    pub fn is_between_frames(&self) -> bool {
        matches!(self.state, State::Head { have: 0, .. }) && self.failed.is_none()
    }

    /// Bytes that this reader itself has allocated: [`MAX_SMALL`] at most.
    pub fn held(&self) -> usize {
        self.part.capacity()
    }

    /// Takes the stream's next bytes and hands what they complete to the sink, in order.
    ///
    /// # Errors
    /// [`Error::FrameTooLong`], or what the sink says. Final: the same one again on every later call.
    pub fn push<S: Sink<Big = B>>(&mut self, mut bytes: &[u8], sink: &mut S) -> Result<(), Error> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        while !bytes.is_empty() {
            bytes = self.step(bytes, sink).inspect_err(|e| self.fail(*e))?;
        }
        Ok(())
    }

    fn fail(&mut self, error: Error) {
        self.failed = Some(error);
        self.state = State::between();
        self.part = Vec::new();
    }

    /// Takes some of `bytes`, at least one, and gives the rest.
    fn step<'a, S: Sink<Big = B>>(
        &mut self,
        bytes: &'a [u8],
        sink: &mut S,
    ) -> Result<&'a [u8], Error> {
        match mem::replace(&mut self.state, State::between()) {
            State::Head { bytes: head, have } => self.take_head(head, have, bytes, sink),
            State::Small(len) => Ok(self.take_small(len, bytes, sink)),
            State::Big(filling) => self.take_big(filling, bytes, sink),
        }
    }

    fn take_head<'a, S: Sink<Big = B>>(
        &mut self,
        mut head: [u8; HEAD],
        have: usize,
        bytes: &'a [u8],
        sink: &mut S,
    ) -> Result<&'a [u8], Error> {
        let (now, rest) = bytes.split_at(bytes.len().min(HEAD - have));
        head.iter_mut()
            .skip(have)
            .zip(now)
            .for_each(|(h, b)| *h = *b);
        if have + now.len() < HEAD {
            self.state = State::Head {
                bytes: head,
                have: have + now.len(),
            };
            return Ok(rest);
        }
        self.begin(u32::from_be_bytes(head) as usize, rest, sink)
    }

    fn begin<'a, S: Sink<Big = B>>(
        &mut self,
        len: usize,
        bytes: &'a [u8],
        sink: &mut S,
    ) -> Result<&'a [u8], Error> {
        if len > self.max_frame {
            return Err(Error::FrameTooLong {
                len,
                max: self.max_frame,
            });
        }
        if len == 0 {
            sink.tick();
        } else if len >= self.big_from {
            self.state = State::Big(Filling::begin(len, 0, FIRST_STEP, sink)?);
        } else if let Some((frame, rest)) = bytes.split_at_checked(len) {
            sink.small(frame);
            return Ok(rest);
        } else {
            self.state = State::Small(len);
        }
        Ok(bytes)
    }

    fn take_small<'a, S: Sink<Big = B>>(
        &mut self,
        len: usize,
        bytes: &'a [u8],
        sink: &mut S,
    ) -> &'a [u8] {
        self.part.reserve_exact(len - self.part.len());
        let (now, rest) = bytes.split_at(bytes.len().min(len - self.part.len()));
        self.part.extend_from_slice(now);
        if self.part.len() == len {
            sink.small(&self.part);
            self.part.clear();
        } else {
            self.state = State::Small(len);
        }
        rest
    }

    fn take_big<'a, S: Sink<Big = B>>(
        &mut self,
        mut filling: Filling<B>,
        bytes: &'a [u8],
        sink: &mut S,
    ) -> Result<&'a [u8], Error> {
        let rest = filling.fill(bytes, sink)?;
        if let Some(filling) = filling.settle(sink) {
            self.state = State::Big(filling);
        }
        Ok(rest)
    }
}
