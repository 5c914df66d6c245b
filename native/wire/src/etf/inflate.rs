//! The bytes of a compressed term, inflated window by window: none of them is kept.

use super::source::Source;
use super::Refusal;
use miniz_oxide::inflate::core::inflate_flags::{
    TINFL_FLAG_COMPUTE_ADLER32, TINFL_FLAG_PARSE_ZLIB_HEADER,
};
use miniz_oxide::inflate::core::{decompress, DecompressorOxide};
use miniz_oxide::inflate::TINFLStatus;

/// Deflate looks back as far.
const WINDOW: usize = 32 * 1024;

/// The longest name that is shown: longer ones are no atoms.
const MAX_NAME: usize = super::MAX_ATOM;

const FLAGS: u32 = TINFL_FLAG_PARSE_ZLIB_HEADER | TINFL_FLAG_COMPUTE_ADLER32;

/// A zlib stream that claims to inflate to so many bytes.
pub struct Inflate<'a> {
    zlib: &'a [u8],
    machine: Box<DecompressorOxide>,
    window: Box<[u8]>,
    /// Inflated and not yet read: from, until.
    ready: (usize, usize),
    /// Bytes inflated in all.
    made: u64,
    claimed: u64,
    done: bool,
}

impl<'a> Inflate<'a> {
    /// Nothing is inflated yet.
    pub fn new(zlib: &'a [u8], claimed: u64) -> Self {
        Inflate {
            zlib,
            machine: Box::default(),
            window: vec![0; WINDOW].into(),
            ready: (0, 0),
            made: 0,
            claimed,
            done: false,
        }
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
        Ok(self.window.get(self.ready.0..self.ready.1).unwrap_or(&[]))
    }

    /// Inflates until the window's end, the stream's end, or the claim's.
    fn step(&mut self) -> Result<(), Refusal> {
        let from = self.ready.1 % WINDOW;
        let (status, read, made) =
            decompress(&mut self.machine, self.zlib, &mut self.window, from, FLAGS);
        self.zlib = self.zlib.get(read..).unwrap_or(&[]);
        self.ready = (from, from + made);
        self.made += made as u64;
        self.done = status == TINFLStatus::Done;
        if !self.done && (status != TINFLStatus::HasMoreOutput || made == 0) {
            return Err(Refusal::Zlib);
        }
        if self.made > self.claimed && !knockout::out!("term_claimed_size") {
            return Err(Refusal::InflatedSize {
                claimed: self.claimed,
            });
        }
        Ok(())
    }

    /// Reads the next `len` bytes piece by piece, after a look at whether there can be as many.
    fn pieces(&mut self, len: u64, mut each: impl FnMut(&[u8])) -> Result<(), Refusal> {
        if len > self.left() {
            return Err(Refusal::Cut { at: self.claimed });
        }
        let mut rest = len;
        while rest > 0 {
            let ready = self.ready()?;
            let piece = ready
                .get(..rest.min(WINDOW as u64) as usize)
                .unwrap_or(ready);
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

impl Source for Inflate<'_> {
    fn left(&self) -> u64 {
        self.claimed.saturating_sub(self.at())
    }

    fn at(&self) -> u64 {
        self.made - (self.ready.1 - self.ready.0) as u64
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Refusal> {
        let mut array = [0; N];
        self.fill(&mut array)?;
        Ok(array)
    }

    fn skip(&mut self, len: u64) -> Result<(), Refusal> {
        self.pieces(len, |_| ())
    }

    fn name<R>(&mut self, len: u16, show: impl FnOnce(&[u8]) -> R) -> Result<R, Refusal> {
        let mut place = [0; MAX_NAME];
        match place.get_mut(..len.into()) {
            Some(name) => self.fill(name).map(|()| show(name)),
            None => Err(Refusal::Atom { at: self.at() }),
        }
    }

    /// The stream must end with the term, its checksum must be right, and nothing may follow it.
    fn end(mut self) -> Result<(), Refusal> {
        while !self.done {
            self.step()?;
        }
        match self.zlib.len() as u64 {
            0 => Ok(()),
            bytes => Err(Refusal::Trailing { bytes }),
        }
    }
}
