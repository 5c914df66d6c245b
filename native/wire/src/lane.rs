//! Lanes: big frames beside the stream of small ones, each cut into records that others may come between.
//!
//! A lane carries one frame after the other. A frame begins with a record that holds how long it is at most, 8 bytes
//! big-endian, and its first bytes; its last record says that it is the last. Records of [`STEP`] bytes can be opened
//! right where the frame is put together.

use crate::frame::{Filling, Sink};
use crate::Error;

/// Bytes of a frame's head on a lane.
pub const HEAD: usize = 8;

/// Bytes of a full record: the most that a TLS record holds (RFC 8446 5.1).
pub const STEP: usize = 16_384;

/// Frames up to this many bytes get their buffer at once, by their mere claim: once on each lane, and not touched
/// before they arrive. Moving frames of a few MiB as they grow cost 0.4 of the throughput.
pub const AT_ONCE: usize = 1 << 25;

/// Bytes behind a frame where the last record's content type may land.
const SPARE: usize = 1;

/// Bytes by which a frame may be shorter than its head says: one fragment of OTP's.
const SLACK: usize = 1 << 16;

/// The head of a frame of at most `len` bytes.
pub fn head(len: usize) -> [u8; HEAD] {
    (len as u64).to_be_bytes()
}

/// Bytes of a frame of `len` bytes that its first record holds behind the head, when that has room for `most`.
pub fn first(len: usize, most: usize) -> usize {
    match len % STEP {
        odd if odd <= most => odd,
        _ => 0,
    }
}

/// Bytes of the last `len` of a frame that go in full records before its last one, which then holds some, if there are any.
pub fn before_last(len: usize) -> usize {
    len.saturating_sub(1) / STEP * STEP
}

/// What a record holds of its lane's frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Bytes behind which more will come.
    Some,
    /// The last bytes.
    Last,
}

/// Puts the frames of `N` lanes together.
pub struct Lanes<B, const N: usize> {
    max_frame: usize,
    lanes: [Option<Filling<B>>; N],
    /// The lane of the last record: likely that of the next.
    last: usize,
    failed: Option<Error>,
}

impl<B, const N: usize> Lanes<B, N> {
    /// Lanes with no frame on them, that refuse frames of more than `max_frame` bytes.
    pub fn new(max_frame: usize) -> Lanes<B, N> {
        Lanes {
            max_frame,
            lanes: [const { None }; N],
            last: 0,
            failed: None,
        }
    }

    /// Changes the longest frame accepted, from the next head on.
    pub fn set_max_frame(&mut self, max_frame: usize) {
        self.max_frame = max_frame;
    }

    /// True when no frame has begun that has not ended.
    pub fn is_idle(&self) -> bool {
        self.lanes.iter().all(Option::is_none) && self.failed.is_none()
    }

    /// Where `len` bytes of the next record would go if it carried on the frame of the last one.
    pub fn place<'a, S: Sink<Big = B>>(
        &'a mut self,
        len: usize,
        sink: &'a mut S,
    ) -> Option<(usize, &'a mut [u8])> {
        let filling = self.lanes.get_mut(self.last)?.as_mut()?;
        // Without the memory, the record goes the usual way, which says so.
        let place = filling.place(len, sink).ok()??;
        Some((self.last, place))
    }

    /// The next record was of the lane that [`place`](Lanes::place) told, and its content of `len` bytes is there.
    ///
    /// # Errors
    /// [`Error::LaneOverrun`] when that is more than the frame has left, [`Error::LaneShort`] when it ends far too early,
    /// [`Error::FrameTooLong`]. Final, as every error of a lane.
    pub fn placed<S: Sink<Big = B>>(
        &mut self,
        len: usize,
        part: Part,
        sink: &mut S,
    ) -> Result<(), Error> {
        let lane = self.last;
        self.guarded(|lanes| {
            let mut filling = lanes.take(lane)?.ok_or(Error::NoLane(lane))?;
            if len > filling.missing() {
                return Err(Error::LaneOverrun { lane });
            }
            filling.advance(len);
            lanes.settle(lane, part, filling, sink)
        })
    }

    /// Takes the content of a record on `lane`.
    ///
    /// # Errors
    /// [`Error::NoLane`], [`Error::LaneHead`] when a frame begins without its whole head or ends with nothing in it,
    /// [`Error::FrameTooLong`], [`Error::LaneOverrun`] when the record holds more than the frame, [`Error::LaneShort`]
    /// when that ends far too early, or what the sink says. Final.
    pub fn push<S: Sink<Big = B>>(
        &mut self,
        lane: usize,
        part: Part,
        bytes: &[u8],
        sink: &mut S,
    ) -> Result<(), Error> {
        if bytes.is_empty() && part == Part::Some {
            return self.failed.map_or(Ok(()), Err);
        }
        self.guarded(|lanes| lanes.take_record(lane, part, bytes, sink))
    }

    fn take_record<S: Sink<Big = B>>(
        &mut self,
        lane: usize,
        part: Part,
        bytes: &[u8],
        sink: &mut S,
    ) -> Result<(), Error> {
        let (mut filling, bytes) = match self.take(lane)? {
            Some(filling) => (filling, bytes),
            None => self.begin(lane, bytes, sink)?,
        };
        if !filling.fill(bytes, sink)?.is_empty() {
            return Err(Error::LaneOverrun { lane });
        }
        self.settle(lane, part, filling, sink)
    }

    fn begin<'a, S: Sink<Big = B>>(
        &self,
        lane: usize,
        bytes: &'a [u8],
        sink: &mut S,
    ) -> Result<(Filling<B>, &'a [u8]), Error> {
        let (head, rest) = bytes
            .split_first_chunk::<HEAD>()
            .ok_or(Error::LaneHead { lane })?;
        let len = usize::try_from(u64::from_be_bytes(*head)).unwrap_or(usize::MAX);
        match len {
            0 => Err(Error::LaneHead { lane }), // a tick has no business here
            len if len > self.max_frame.saturating_add(SLACK) => Err(Error::FrameTooLong {
                len,
                max: self.max_frame,
            }),
            len => Ok((Filling::begin(len, SPARE, AT_ONCE, sink)?, rest)),
        }
    }

    fn take(&mut self, lane: usize) -> Result<Option<Filling<B>>, Error> {
        self.last = lane;
        let slot = self.lanes.get_mut(lane).ok_or(Error::NoLane(lane))?;
        Ok(slot.take())
    }

    fn settle<S: Sink<Big = B>>(
        &mut self,
        lane: usize,
        part: Part,
        filling: Filling<B>,
        sink: &mut S,
    ) -> Result<(), Error> {
        let slot = self.lanes.get_mut(lane).ok_or(Error::NoLane(lane))?;
        match (part, filling.filled()) {
            (Part::Some, _) => *slot = Some(filling),
            (Part::Last, 0) => return Err(Error::LaneHead { lane }),
            // Its buffer, as long as was claimed, lives as long as the message.
            (Part::Last, _) if filling.missing() > SLACK => return Err(Error::LaneShort { lane }),
            (Part::Last, len) if len > self.max_frame => {
                let max = self.max_frame;
                return Err(Error::FrameTooLong { len, max });
            }
            (Part::Last, _) => filling.finish(sink),
        }
        Ok(())
    }

    fn guarded(&mut self, step: impl FnOnce(&mut Self) -> Result<(), Error>) -> Result<(), Error> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        step(self).inspect_err(|e| {
            self.failed = Some(*e);
            self.lanes = [const { None }; N];
        })
    }
}
