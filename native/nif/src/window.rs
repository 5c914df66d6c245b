//! What a connection has read from its socket and not opened yet.

use crate::term::Fault;
use std::cell::RefCell;
use std::ops::Range;

/// Bytes read at once. More than the second-level cache holds is slower.
pub const READ: usize = 256 * 1024;
/// The beginning of a record whose end has not arrived, at most.
pub const REST: usize = merlon_record::HEADER + merlon_record::MAX_CIPHERTEXT;
/// With less room than this behind what is there, that is moved to the front: a part of a record, seldom.
const ROOM: usize = READ / 4;

thread_local! {
    /// Work space of this scheduler: hot in its cache. A connection only has one of its own while a record has come in part.
    static SPARE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

#[derive(Default)]
pub struct Window {
    buffer: Vec<u8>,
    unread: Range<usize>,
}

impl Window {
    /// Bytes that are there.
    pub fn len(&self) -> usize {
        self.unread.len()
    }

    /// Bytes of memory that it owns.
    pub fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    /// What is there, to be opened in place.
    pub fn bytes(&mut self) -> &mut [u8] {
        self.buffer.get_mut(self.unread.clone()).unwrap_or_default()
    }

    /// Room for at most `most` bytes behind what is there.
    pub fn room(&mut self, most: usize) -> Result<&mut [u8], Fault> {
        if self.buffer.is_empty() {
            self.buffer = SPARE.take();
        }
        if self.buffer.len() < READ + REST {
            self.buffer.resize(READ + REST, 0);
        }
        if self.buffer.len() - self.unread.end < ROOM.min(most) {
            self.buffer.copy_within(self.unread.clone(), 0);
            self.unread = 0..self.unread.len();
        }
        let end = self.buffer.len().min(self.unread.end + most);
        let room = self.buffer.get_mut(self.unread.end..end);
        room.ok_or(Fault::Misuse)
    }

    /// `n` bytes of the room have been filled.
    pub fn filled(&mut self, n: usize) {
        self.unread.end += n;
    }

    /// The first `n` bytes have been opened.
    pub fn opened(&mut self, n: usize) {
        self.unread.start += n;
        if self.unread.is_empty() {
            self.unread = 0..0;
            SPARE.set(std::mem::take(&mut self.buffer));
        }
    }
}

/// Bytes that came behind the handshake.
impl From<Vec<u8>> for Window {
    fn from(buffer: Vec<u8>) -> Self {
        let unread = 0..buffer.len();
        Window { buffer, unread }
    }
}
