use std::fmt;

use crate::keys::Keys;
use crate::{handshake, header, Buffer, ContentType, Error, Suite};
use crate::{HEADER, MAX_PLAINTEXT, TAG};

/// When a [`Tx`] changes its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Records sealed under one key before a KeyUpdate goes out by itself. At least 1, at most what the
    /// suite bears (RFC 8446 5.5: 2^24.5 for AES-GCM); values beyond are brought to the nearest bound.
    pub key_update_after: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            key_update_after: 1 << 23,
        }
    }
}

/// The bytes on the wire of `plain` bytes of data, KeyUpdates aside: what to reserve before packing.
pub const fn sealed_len(plain: usize) -> usize {
    plain + plain.div_ceil(MAX_PLAINTEXT) * (HEADER + 1 + TAG)
}

/// The sending half of a connection.
pub struct Tx {
    keys: Keys,
    key_update_after: u64,
    closed: bool,
    records: u64,
    key_updates: u64,
}

impl Tx {
    /// A sending half from its application traffic secret.
    ///
    /// # Errors
    /// [`Error::BadSecret`] when the secret's length is not that of the suite's hash.
    pub fn new(suite: Suite, traffic_secret: &[u8], limits: Limits) -> Result<Tx, Error> {
        Ok(Tx {
            keys: Keys::new(suite, traffic_secret)?,
            key_update_after: limits.key_update_after.clamp(1, suite.max_records()),
            closed: false,
            records: 0,
            key_updates: 0,
        })
    }

    /// Starts to append records of a stream, the data's or a lane's, to `out`. What `out` holds already stays.
    pub fn packer<'a>(&'a mut self, kind: ContentType, out: &'a mut Buffer) -> Packer<'a> {
        Packer {
            tx: self,
            kind,
            out,
            start: None,
        }
    }

    /// Appends one message as one record.
    ///
    /// # Errors
    /// [`Error::TooLong`] beyond [`MAX_PLAINTEXT`] bytes, [`Error::SealedAlert`] for alerts,
    /// [`Error::Closed`] after an alert was sent. `out` is then as it was.
    pub fn seal(
        &mut self,
        kind: ContentType,
        message: &[u8],
        out: &mut Buffer,
    ) -> Result<(), Error> {
        not_alert(kind)?;
        self.seal_message(kind, message, out)
    }

    /// Appends close_notify: no more will be sent, and whoever sees it knows that nothing is missing.
    ///
    /// # Errors
    /// [`Error::Closed`] when an alert was sent before.
    pub fn close_notify(&mut self, out: &mut Buffer) -> Result<(), Error> {
        self.alert(0, out)
    }

    /// Appends an alert (RFC 8446 6.2; 0 is close_notify, all else is fatal) and closes this half.
    ///
    /// # Errors
    /// [`Error::Closed`] when an alert was sent before.
    pub fn alert(&mut self, description: u8, out: &mut Buffer) -> Result<(), Error> {
        let level = if description == 0 { 1 } else { 2 };
        self.seal_message(ContentType::Alert, &[level, description], out)?;
        self.closed = true;
        Ok(())
    }

    /// Appends a KeyUpdate and moves on to the next key; `request` asks the peer to do the same (RFC 8446 4.6.3).
    ///
    /// # Errors
    /// [`Error::Closed`] after an alert was sent.
    pub fn key_update(&mut self, request: bool, out: &mut Buffer) -> Result<(), Error> {
        if self.closed {
            return Err(Error::Closed);
        }
        let message = handshake::key_update(request);
        self.seal_record(ContentType::Handshake, &message, out)?;
        self.keys.update().inspect_err(|_| self.closed = true)?;
        self.key_updates += 1;
        Ok(())
    }

    /// Records sealed so far, of any kind and under any key.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// KeyUpdates sent so far.
    pub fn key_updates(&self) -> u64 {
        self.key_updates
    }

    /// True once an alert was sent.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    fn seal_message(
        &mut self,
        kind: ContentType,
        message: &[u8],
        out: &mut Buffer,
    ) -> Result<(), Error> {
        if message.len() > MAX_PLAINTEXT {
            return Err(Error::TooLong { len: message.len() });
        }
        self.ready(out)?;
        self.seal_record(kind, message, out)
    }

    /// To be called before each record: refuses when closed, changes the key when it is time.
    fn ready(&mut self, out: &mut Buffer) -> Result<(), Error> {
        if self.closed {
            return Err(Error::Closed);
        }
        if self.keys.used() >= self.key_update_after {
            self.key_update(false, out)?;
        }
        Ok(())
    }

    /// Seals `content` from where it lies to the end of `out`.
    fn seal_record(
        &mut self,
        kind: ContentType,
        content: &[u8],
        out: &mut Buffer,
    ) -> Result<(), Error> {
        let start = out.len();
        out.grow(HEADER + content.len() + 1 + TAG);
        self.finish_record(start, out, |keys, header, body| {
            keys.seal_to(header, content, kind.code(), body)
        })
    }

    /// Seals the content that stands after the header at `start` to the end of `out`, in place.
    fn seal_in_place(
        &mut self,
        start: usize,
        kind: ContentType,
        out: &mut Buffer,
    ) -> Result<(), Error> {
        out.extend(&[kind.code()]);
        out.grow(TAG);
        self.finish_record(start, out, Keys::seal)
    }

    /// Writes the header at `start` and has the body behind it sealed.
    fn finish_record(
        &mut self,
        start: usize,
        out: &mut Buffer,
        seal: impl FnOnce(&mut Keys, [u8; HEADER], &mut [u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let keys = &mut self.keys;
        let sealed = split_record(out, start).and_then(|(head, body)| {
            *head = header(body.len())?;
            seal(keys, *head, body)
        });
        match sealed {
            Ok(()) => self.records += 1,
            Err(_) => {
                out.retract(start); // never leave plaintext where ciphertext is expected
                self.closed = true; // nor a hole in the stream
            }
        }
        sealed
    }
}

impl fmt::Debug for Tx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tx")
            .field("suite", &self.keys.suite())
            .field("records", &self.records)
            .field("key_updates", &self.key_updates)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

/// Packs a stream of bytes into records, each filled to the brim but the last.
///
/// Must be [finished](Packer::finish). One that is dropped before takes its unfinished record back from the
/// buffer, so that plaintext is never left there; whole records stay. The stream then has a hole: close it.
pub struct Packer<'a> {
    tx: &'a mut Tx,
    kind: ContentType,
    out: &'a mut Buffer,
    /// Where the record that is being filled starts in `out`.
    start: Option<usize>,
}

impl Packer<'_> {
    /// Appends `bytes` to the stream. Full records are sealed from where they lie, the rest is copied first.
    ///
    /// # Errors
    /// [`Error::Closed`] after an alert was sent, [`Error::SealedAlert`] for alerts. Nothing of the unfinished
    /// record is then left in the buffer.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        while !bytes.is_empty() {
            bytes = match bytes.split_at_checked(MAX_PLAINTEXT) {
                Some((record, later)) if self.start.is_none() => {
                    self.tx.seal(self.kind, record, self.out)?;
                    later
                }
                _ => self.fill(bytes)?,
            };
        }
        Ok(())
    }

    /// Seals what is left and ends the packing. No record is made when there is nothing left.
    ///
    /// # Errors
    /// As [`push`](Packer::push).
    pub fn finish(mut self) -> Result<(), Error> {
        self.seal()
    }

    /// Copies as much of `bytes` as the present record takes; what is left.
    fn fill<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8], Error> {
        let start = self.begin()?;
        let room = MAX_PLAINTEXT - (self.out.len() - start - HEADER);
        let (now, later) = bytes.split_at(bytes.len().min(room));
        self.out.extend(now);
        if now.len() == room {
            self.seal()?;
        }
        Ok(later)
    }

    /// Where the present record starts; a new one if need be.
    fn begin(&mut self) -> Result<usize, Error> {
        if let Some(start) = self.start {
            return Ok(start);
        }
        not_alert(self.kind)?;
        self.tx.ready(self.out)?;
        let start = self.out.len();
        self.out.grow(HEADER);
        self.start = Some(start);
        Ok(start)
    }

    fn seal(&mut self) -> Result<(), Error> {
        match self.start.take() {
            Some(start) => self.tx.seal_in_place(start, self.kind, self.out),
            None => Ok(()),
        }
    }
}

impl Drop for Packer<'_> {
    fn drop(&mut self) {
        if let Some(start) = self.start {
            self.out.retract(start);
        }
    }
}

fn not_alert(kind: ContentType) -> Result<(), Error> {
    match kind {
        ContentType::Alert => Err(Error::SealedAlert),
        _ => Ok(()),
    }
}

/// Header and body of the record that `out` ends with.
fn split_record(out: &mut Buffer, start: usize) -> Result<(&mut [u8; HEADER], &mut [u8]), Error> {
    let record = out.get_mut(start..).ok_or(Error::Crypto)?;
    record
        .split_first_chunk_mut::<HEADER>()
        .ok_or(Error::Crypto)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_update_after(suite: Suite, wanted: u64) -> u64 {
        let limits = Limits {
            key_update_after: wanted,
        };
        let tx = Tx::new(suite, &vec![1; suite.hash_len()], limits);
        tx.unwrap().key_update_after
    }

    /// RFC 8446 5.5: 2^24.5 full records under one AES-GCM key, the KeyUpdate included.
    #[test]
    fn no_setting_brings_a_key_beyond_what_its_cipher_bears() {
        for suite in [Suite::Aes128Gcm, Suite::Aes256Gcm] {
            let records = key_update_after(suite, u64::MAX) + 1;
            assert!(f64::from(u32::try_from(records).unwrap()) <= 24.5f64.exp2());
        }
        assert!(key_update_after(Suite::ChaCha20Poly1305, u64::MAX) < u64::MAX - 1);
        assert_eq!(key_update_after(Suite::Aes128Gcm, 0), 1);
        assert_eq!(Limits::default().key_update_after, 1 << 23);
    }

    type Way = fn(&mut Tx, &mut Buffer) -> Result<(), Error>;

    /// A key that fails under way: when it seals from another place, and in place.
    #[test]
    fn no_plaintext_is_left_where_sealing_fails() {
        let fail: [Way; 2] = [
            |tx, out| {
                tx.keys.exhaust();
                tx.seal_record(ContentType::ApplicationData, b"secret", out)
            },
            |tx, out| {
                let mut packer = tx.packer(ContentType::ApplicationData, out);
                packer.push(b"secret")?;
                packer.tx.keys.exhaust();
                packer.finish()
            },
        ];
        for fail in fail {
            let mut tx = Tx::new(Suite::Aes128Gcm, &[1; 32], Limits::default()).unwrap();
            let mut out = Buffer::from(b"before".to_vec());
            assert_eq!(fail(&mut tx, &mut out), Err(Error::Exhausted));
            assert!(tx.is_closed());
            assert_eq!(*out, *b"before");
            out.grow(out.capacity() - 6);
            assert!(out.iter().skip(6).all(|b| *b == 0), "wiped");
        }
    }
}
