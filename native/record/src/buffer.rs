use std::fmt;
use std::ops::{Deref, DerefMut};

/// Sealed bytes on their way out. Like a `Vec<u8>`, but its spare room stays initialised, so that records
/// are sealed straight into it. Dereferences to the bytes that are filled.
#[derive(Default)]
pub struct Buffer {
    /// `filled` bytes that count, and behind them spare room.
    bytes: Vec<u8>,
    filled: usize,
}

impl Buffer {
    /// An empty buffer that owns no memory.
    pub const fn new() -> Buffer {
        Buffer {
            bytes: Vec::new(),
            filled: 0,
        }
    }

    /// An empty buffer with room for `capacity` bytes; see [`sealed_len`](crate::sealed_len).
    pub fn with_capacity(capacity: usize) -> Buffer {
        Vec::with_capacity(capacity).into()
    }

    /// Bytes that fit without another allocation.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Empties the buffer; its room is kept.
    pub fn clear(&mut self) {
        self.filled = 0;
    }

    /// Takes the first `n` bytes out, or all when there are fewer.
    pub fn consume(&mut self, n: usize) {
        let n = n.min(self.filled);
        self.bytes.copy_within(n..self.filled, 0);
        self.filled -= n;
    }

    /// Gives room beyond `capacity` back; what is filled stays.
    pub fn shrink_to(&mut self, capacity: usize) {
        self.bytes.truncate(capacity.max(self.filled));
        self.bytes.shrink_to(capacity);
    }

    /// Appends `bytes`.
    pub fn extend(&mut self, bytes: &[u8]) {
        let start = self.filled;
        self.grow(bytes.len());
        if let Some(place) = self.get_mut(start..) {
            place.copy_from_slice(bytes);
        }
    }

    /// Appends `len` bytes of no meaning, to be written over.
    pub(crate) fn grow(&mut self, len: usize) {
        self.filled += len;
        if self.bytes.len() < self.filled {
            self.bytes.resize(self.filled, 0);
        }
    }

    /// Takes everything from `start` on back and wipes it.
    pub(crate) fn retract(&mut self, start: usize) {
        if let Some(back) = self.get_mut(start..) {
            back.fill(0);
            self.filled = start;
        }
    }
}

impl From<Vec<u8>> for Buffer {
    fn from(bytes: Vec<u8>) -> Buffer {
        let filled = bytes.len();
        Buffer { bytes, filled }
    }
}

impl From<Buffer> for Vec<u8> {
    fn from(mut buffer: Buffer) -> Vec<u8> {
        buffer.bytes.truncate(buffer.filled);
        buffer.bytes
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.filled).unwrap_or_default()
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.filled).unwrap_or_default()
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({} of {})", self.filled, self.capacity())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_taken_from_the_front_in_order() {
        let mut buffer = Buffer::from(b"abcdef".to_vec());
        buffer.consume(2);
        assert_eq!(*buffer, *b"cdef");
        buffer.extend(b"gh");
        buffer.consume(1);
        assert_eq!(*buffer, *b"defgh");
        buffer.consume(99);
        assert!(buffer.is_empty());
    }

    #[test]
    fn cleared_room_is_used_again_and_can_be_given_back() {
        let mut buffer = Buffer::new();
        buffer.extend(&[1; 5000]);
        let (place, capacity) = (buffer.as_ptr(), buffer.capacity());
        buffer.clear();
        buffer.extend(&[2; 5000]);
        assert_eq!((buffer.as_ptr(), buffer.capacity()), (place, capacity));
        buffer.shrink_to(100);
        assert_eq!(*buffer, [2; 5000]);
        buffer.clear();
        buffer.shrink_to(100);
        assert!(buffer.capacity() < 5000 && buffer.is_empty());
    }

    #[test]
    fn what_is_retracted_is_wiped() {
        let mut buffer = Buffer::from(b"sealed".to_vec());
        buffer.extend(b"secret");
        buffer.retract(6);
        assert_eq!(*buffer, *b"sealed");
        buffer.grow(6);
        assert_eq!(*buffer, *b"sealed\0\0\0\0\0\0");
    }

    #[test]
    fn a_vector_lends_its_bytes_and_gets_them_back() {
        let mut buffer = Buffer::from(b"ab".to_vec());
        buffer.extend(b"cd");
        buffer.consume(1);
        assert_eq!(Vec::from(buffer), b"bcd");
    }
}
