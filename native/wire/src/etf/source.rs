//! Where the bytes of a term come from.

use super::Refusal;

/// Bytes, read once from front to back.
pub trait Source {
    /// How many there are still to be; for inflated ones that is a claim, and no more than that many are given.
    fn left(&self) -> u64;

    /// How many were read, as [`Refusal`] counts them.
    fn at(&self) -> u64;

    /// The next `N`.
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Refusal>;

    /// Passes over the next `len`.
    fn skip(&mut self, len: u64) -> Result<(), Refusal>;

    /// Shows the next `len`, a name's: 65,535 at most.
    fn name<R>(&mut self, len: u16, show: impl FnOnce(&[u8]) -> R) -> Result<R, Refusal>;

    /// Whether the source ends properly where the term did.
    fn end(&mut self) -> Result<(), Refusal>;

    /// The next byte.
    fn byte(&mut self) -> Result<u8, Refusal> {
        self.array().map(|[byte]| byte)
    }

    /// The next two, a length.
    fn u16(&mut self) -> Result<u16, Refusal> {
        self.array().map(u16::from_be_bytes)
    }

    /// The next four, a length.
    fn u32(&mut self) -> Result<u64, Refusal> {
        self.array().map(u32::from_be_bytes).map(u64::from)
    }
}

/// Bytes in memory.
pub struct Slice<'a> {
    rest: &'a [u8],
    end: u64,
}

impl<'a> Slice<'a> {
    /// `before`: bytes in front of these.
    pub fn new(rest: &'a [u8], before: u64) -> Self {
        let end = before + rest.len() as u64;
        Slice { rest, end }
    }

    #[inline]
    fn take(&mut self, len: u64) -> Result<&'a [u8], Refusal> {
        let cut = Refusal::Cut { at: self.end };
        let len = usize::try_from(len).map_err(|_| cut)?;
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(cut)?;
        self.rest = rest;
        Ok(taken)
    }
}

impl Source for Slice<'_> {
    fn left(&self) -> u64 {
        self.rest.len() as u64
    }

    fn at(&self) -> u64 {
        self.end - self.left()
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Refusal> {
        match self.rest.split_first_chunk() {
            Some((array, rest)) => {
                self.rest = rest;
                Ok(*array)
            }
            None => Err(Refusal::Cut { at: self.end }),
        }
    }

    #[inline]
    fn skip(&mut self, len: u64) -> Result<(), Refusal> {
        self.take(len).map(|_| ())
    }

    #[inline]
    fn name<R>(&mut self, len: u16, show: impl FnOnce(&[u8]) -> R) -> Result<R, Refusal> {
        self.take(len.into()).map(show)
    }

    fn end(&mut self) -> Result<(), Refusal> {
        Ok(())
    }
}
