//! The bytes that have come in, cut into TLS records (RFC 8446 5.1).

use merlon_record::{HEADER, MAX_CIPHERTEXT};

use crate::error::Error;

/// Bytes of TLS handshake that a peer may send: a chain of 64 KiB twice over.
const MAX_BYTES: usize = 128 * 1024;
/// Records of TLS handshake that a peer may send; an ordinary handshake has three to eight.
const MAX_RECORDS: usize = 128;

/// What a peer may still spend before TLS is up.
pub(crate) struct Budget {
    bytes: usize,
    records: usize,
}

impl Budget {
    pub(crate) fn new() -> Self {
        Self::of((MAX_BYTES, MAX_RECORDS))
    }

    pub(crate) fn of((bytes, records): (usize, usize)) -> Self {
        Self { bytes, records }
    }

    fn spend(&mut self, bytes: usize) -> Result<(), Error> {
        self.bytes = self.bytes.checked_sub(bytes).ok_or(Error::TooMuch)?;
        self.records = self.records.checked_sub(1).ok_or(Error::TooMuch)?;
        Ok(())
    }
}

/// A caller's buffer and how much of it is used up; the used prefix is removed on drop, once.
pub(crate) struct Input<'a> {
    buffer: &'a mut Vec<u8>,
    used: usize,
}

impl<'a> Input<'a> {
    pub(crate) fn new(buffer: &'a mut Vec<u8>) -> Self {
        Self { buffer, used: 0 }
    }

    /// What is not used yet.
    pub(crate) fn rest(&mut self) -> &mut [u8] {
        self.buffer.get_mut(self.used..).unwrap_or_default()
    }

    /// Uses up `n` bytes of the rest.
    pub(crate) fn consume(&mut self, n: usize) {
        self.used = self.used.saturating_add(n).min(self.buffer.len());
    }

    /// The first whole record, header included, used up; `None` when it is not whole yet.
    pub(crate) fn record(&mut self) -> Result<Option<&[u8]>, Error> {
        let start = self.used;
        let Some(header) = self.rest().first_chunk::<HEADER>().copied() else {
            return Ok(None);
        };
        let end = start + HEADER + body_len(header)?;
        if end > self.buffer.len() {
            return Ok(None);
        }
        self.used = end;
        Ok(self.buffer.get(start..end))
    }

    /// As [`record`](Self::record), paid for.
    pub(crate) fn paid_record(&mut self, budget: &mut Budget) -> Result<Option<&[u8]>, Error> {
        let record = self.record()?;
        if let Some(record) = record {
            budget.spend(record.len())?;
        }
        Ok(record)
    }
}

impl Drop for Input<'_> {
    fn drop(&mut self) {
        self.buffer.drain(..self.used);
    }
}

fn body_len(header: [u8; HEADER]) -> Result<usize, Error> {
    let [kind, major, _, high, low] = header;
    let len = usize::from(u16::from_be_bytes([high, low]));
    match (kind, major) {
        (20..=23, 3) if len > MAX_CIPHERTEXT => Err(overflow(len)),
        (20..=23, 3) => Ok(len),
        _ if is_plain_dist(header) => Err(Error::PlaintextDist),
        _ => Err(Error::NotTls),
    }
}

fn overflow(len: usize) -> Error {
    Error::Record(merlon_record::Error::Overflow { len })
}

/// A dist handshake over plain TCP starts with a 2-byte length and `N` (OTP 23 and later) or `n`.
fn is_plain_dist(header: [u8; HEADER]) -> bool {
    let [high, low, tag, ..] = header;
    matches!(tag, b'N' | b'n') && u16::from_be_bytes([high, low]) <= 512
}
