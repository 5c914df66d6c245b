//! The bytes of a compressed term, inflated as they are read: into one window, or kept to be built from.

use super::source::Source;
use super::{Refusal, VERSION};
use zlib_rs::{Inflate as Machine, InflateFlush, Status};

/// Inflated at a time, to be looked at before there is more: of what is not kept, and of what is.
const PIECE: usize = 8 * 1024;
const MORE: usize = 32 * 1024;

/// Room behind the last byte claimed: for the first one too many, and inflating is slow at the end of its room.
const BEHIND: usize = 320;

/// As far as zlib ever looks back, in bits.
const WINDOW_BITS: u8 = 15;

/// The longest name that is shown: longer ones are no atoms.
const MAX_NAME: usize = super::MAX_ATOM;

/// A zlib stream that claims to inflate to so many bytes.
pub struct Inflate<'a> {
    zlib: &'a [u8],
    machine: Machine,
    /// One piece; or the version byte and all that was inflated.
    place: Vec<u8>,
    keeps: bool,
    /// Inflated and not yet read: from, until.
    ready: (usize, usize),
    /// Bytes inflated in all.
    made: u64,
    claimed: u64,
    done: bool,
}

impl<'a> Inflate<'a> {
    /// Nothing is inflated yet, and nothing will be kept.
    pub fn new(zlib: &'a [u8], claimed: u64) -> Self {
        Self::with(zlib, claimed, vec![0; PIECE], false)
    }

    /// All that is inflated is kept. What is set aside for it goes by the bytes that came; more only as more is made.
    pub fn keeping(zlib: &'a [u8], claimed: u64) -> Self {
        let room = zlib.len().saturating_mul(8).min(most(claimed));
        let mut place = Vec::with_capacity(room.saturating_add(1));
        place.push(VERSION);
        Self::with(zlib, claimed, place, true)
    }

    fn with(zlib: &'a [u8], claimed: u64, place: Vec<u8>, keeps: bool) -> Self {
        let begin = usize::from(keeps);
        Inflate {
            zlib,
            machine: Machine::new(true, WINDOW_BITS),
            place,
            keeps,
            ready: (begin, begin),
            made: 0,
            claimed,
            done: false,
        }
    }

    /// All of it, if it claims to be little: it is inflated at once, and read faster so.
    pub fn whole(&mut self) -> Result<Option<&[u8]>, Refusal> {
        if most(self.claimed) > MORE {
            return Ok(None);
        }
        self.step()?;
        self.ready.0 = self.ready.1;
        if self.left() > 0 {
            return Err(Refusal::InflatedSize {
                claimed: self.claimed,
            });
        }
        self.end()?;
        Ok(self.place.get(1..self.ready.1))
    }

    /// The version byte and all that was inflated, if it was kept.
    pub fn into_bytes(mut self) -> Vec<u8> {
        self.place.truncate(self.ready.1);
        self.place
    }

    /// The next bytes, if all of them are ready.
    #[inline]
    fn at_hand(&mut self, len: usize) -> Option<&[u8]> {
        let (from, until) = (self.ready.0, self.ready.0.saturating_add(len));
        if until > self.ready.1 {
            return None;
        }
        self.ready.0 = until;
        self.place.get(from..until)
    }

    /// What is ready to be read; never empty.
    fn ready(&mut self) -> Result<&[u8], Refusal> {
        while self.ready.0 == self.ready.1 {
            if self.done {
                return Err(Refusal::InflatedSize {
                    claimed: self.claimed,
                });
            }
            self.step()?;
        }
        Ok(self.place.get(self.ready.0..self.ready.1).unwrap_or(&[]))
    }

    /// Inflates until the room's end, the stream's end, or the claim's.
    fn step(&mut self) -> Result<(), Refusal> {
        let from = self.room();
        let place = self.place.get_mut(from..).unwrap_or(&mut []);
        let (read, made) = (self.machine.total_in(), self.machine.total_out());
        let status = self
            .machine
            .decompress(self.zlib, place, InflateFlush::Finish);
        let read = (self.machine.total_in() - read) as usize;
        let made = (self.machine.total_out() - made) as usize;
        self.zlib = self.zlib.get(read..).unwrap_or(&[]);
        self.ready = (from, from + made);
        self.made += made as u64;
        self.done = matches!(status, Ok(Status::StreamEnd));
        if status.is_err()
            || (!self.done && self.ready.1 < self.place.len())
            || (!self.done && made == 0)
        {
            return Err(Refusal::Zlib);
        }
        if self.made > self.claimed && !knockout::out!("term_claimed_size") {
            return Err(Refusal::InflatedSize {
                claimed: self.claimed,
            });
        }
        Ok(())
    }

    /// Where to inflate to: at the piece's begin, or behind what is kept, where there is then room for more.
    fn room(&mut self) -> usize {
        if !self.keeps {
            return 0;
        }
        let from = self.ready.1;
        if from == self.place.len() {
            let left = most(self.claimed).saturating_sub(from - 1);
            let more = MORE.min(left);
            if from + more > self.place.capacity() {
                self.place.reserve_exact(from.max(more).min(left));
            }
            self.place.resize(from + more, 0);
        }
        from
    }

    /// Reads the next `len` bytes piece by piece, after a look at whether there can be as many.
    fn pieces(&mut self, len: u64, mut each: impl FnMut(&[u8])) -> Result<(), Refusal> {
        if len > self.left() {
            return Err(Refusal::Cut { at: self.claimed });
        }
        let mut rest = len;
        while rest > 0 {
            let ready = self.ready()?;
            let piece = ready.get(..rest.min(MORE as u64) as usize).unwrap_or(ready);
            each(piece);
            let read = piece.len();
            self.ready.0 += read;
            rest -= read as u64;
        }
        Ok(())
    }

    fn fill(&mut self, place: &mut [u8]) -> Result<(), Refusal> {
        let mut filled = 0;
        self.pieces(place.len() as u64, |piece| {
            if let Some(part) = place.get_mut(filled..filled + piece.len()) {
                part.copy_from_slice(piece);
            }
            filled += piece.len();
        })
    }
}

/// Bytes that are inflated at most before a claim is known for a lie.
fn most(claimed: u64) -> usize {
    usize::try_from(claimed).map_or(usize::MAX, |claimed| claimed.saturating_add(BEHIND))
}

impl Source for Inflate<'_> {
    fn left(&self) -> u64 {
        self.claimed.saturating_sub(self.at())
    }

    fn at(&self) -> u64 {
        self.made - (self.ready.1 - self.ready.0) as u64
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Refusal> {
        if let Some(array) = self.at_hand(N).and_then(|bytes| bytes.first_chunk()) {
            return Ok(*array);
        }
        let mut array = [0; N];
        self.fill(&mut array)?;
        Ok(array)
    }

    #[inline]
    fn skip(&mut self, len: u64) -> Result<(), Refusal> {
        match usize::try_from(len).ok().and_then(|len| self.at_hand(len)) {
            Some(_) => Ok(()),
            None => self.pieces(len, |_| ()),
        }
    }

    fn name<R>(&mut self, len: u16, show: impl FnOnce(&[u8]) -> R) -> Result<R, Refusal> {
        if let Some(name) = self.at_hand(len.into()) {
            return Ok(show(name));
        }
        let mut place = [0; MAX_NAME];
        match place.get_mut(..len.into()) {
            Some(name) => self.fill(name).map(|()| show(name)),
            None => Err(Refusal::Atom { at: self.at() }),
        }
    }

    /// The stream must end with the term, its checksum must be right, and nothing may follow it.
    fn end(&mut self) -> Result<(), Refusal> {
        while !self.done {
            self.step()?;
        }
        match self.zlib.len() as u64 {
            0 => Ok(()),
            bytes => Err(Refusal::Trailing { bytes }),
        }
    }
}
