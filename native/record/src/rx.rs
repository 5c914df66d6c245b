use std::fmt;

use crate::handshake::{Handled, Messages};
use crate::keys::Keys;
use crate::{ContentType, Error, Lane, Suite, HEADER, MAX_CIPHERTEXT, MAX_PLAINTEXT, TAG};

/// Records in a row that may carry nothing: a peer that has nothing to say is not worth the work.
const MAX_IDLE: u32 = 32;

/// What a [`Rx`] puts up with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RxLimits {
    /// Records opened under one key, the peer's KeyUpdate not counted, before [`Rx::wants_key_update`] says yes.
    pub ask_after: u64,
    /// Whether NewSessionTicket is let pass (and ignored). Merlon sends none, and a client never may:
    /// true only for the dialling side of a link to a foreign TLS server.
    pub tickets: bool,
    /// Whether the peer may use Merlon's own record types: only inside ALPN `merlon/1`.
    pub ours: bool,
}

impl Default for RxLimits {
    fn default() -> RxLimits {
        RxLimits {
            ask_after: 1 << 23,
            tickets: false,
            ours: true,
        }
    }
}

/// The first record of a buffer, opened.
#[derive(Debug, PartialEq, Eq)]
pub struct Opened<'a> {
    /// Bytes of the buffer that this record took: the next record starts there.
    pub consumed: usize,
    /// What it carried.
    pub content: Content<'a>,
}

/// What a record carried.
#[derive(Debug, PartialEq, Eq)]
pub enum Content<'a> {
    /// Bytes of the stream; may be empty.
    Data(&'a [u8]),
    /// Bytes of a stream beside it; may be empty.
    Lane(Lane, &'a [u8]),
    /// The same, and the message on that lane ends with them.
    LastOnLane(Lane, &'a [u8]),
    /// A message of the other carrier.
    Control(&'a [u8]),
    /// The peer changed its key, and so did this half. When `requested`, answer with `Tx::key_update(false)`.
    KeyUpdate {
        /// The peer wants a KeyUpdate of ours too.
        requested: bool,
    },
    /// Session tickets, or a part of one: ignored.
    Ticket,
    /// The peer will send no more, and nothing is missing. Every later `open` is [`Error::Closed`].
    CloseNotify,
}

/// The receiving half of a connection.
pub struct Rx {
    keys: Keys,
    ask_after: u64,
    asked: bool,
    ours: bool,
    messages: Messages,
    idle: u32,
    /// Why nothing more can be opened.
    stopped: Option<Error>,
    records: u64,
    key_updates: u64,
}

impl Rx {
    /// A receiving half from the peer's application traffic secret.
    ///
    /// # Errors
    /// [`Error::BadSecret`] when the secret's length is not that of the suite's hash.
    pub fn new(suite: Suite, traffic_secret: &[u8], limits: RxLimits) -> Result<Rx, Error> {
        Ok(Rx {
            keys: Keys::new(suite, traffic_secret)?,
            ask_after: limits.ask_after.clamp(1, suite.max_records()),
            asked: false,
            ours: limits.ours,
            messages: Messages::new(limits.tickets),
            idle: 0,
            stopped: None,
            records: 0,
            key_updates: 0,
        })
    }

    /// Opens the first record of `buf` in place; `None` when it is not whole yet.
    ///
    /// The header is checked as its bytes arrive, so `buf` never needs to hold more than
    /// [`HEADER`] + [`MAX_CIPHERTEXT`] bytes. On an error the bytes of `buf` mean nothing.
    ///
    /// # Errors
    /// Any of the peer's faults of [`Error`]; the same one again on every later call.
    pub fn open<'a>(&mut self, buf: &'a mut [u8]) -> Result<Option<Opened<'a>>, Error> {
        self.open_first(buf, Keys::open)
    }

    /// As [`open`](Rx::open), but to the beginning of `dest`, which the content then lies in: whatever it is,
    /// followed by its type and padding. `dest` must have the room that [`peek`](Rx::peek) tells; the record's
    /// own bytes in `buf` mean nothing afterwards.
    ///
    /// # Errors
    /// As [`open`](Rx::open); nothing that did not authenticate is then left in `dest`. [`Error::NoRoom`] is
    /// not final: nothing has happened.
    pub fn open_to<'a>(
        &mut self,
        buf: &mut [u8],
        dest: &'a mut [u8],
    ) -> Result<Option<Opened<'a>>, Error> {
        match self.peek(buf) {
            Some(len) if len > dest.len() => Err(Error::NoRoom { len }),
            _ => self.open_first(buf, |keys, header, body| keys.open_to(header, body, dest)),
        }
    }

    /// The room that [`open_to`](Rx::open_to) needs for the first record of `buf`: its content is shorter by
    /// at least the type byte. `None` when the header is not whole, or such that nothing will be opened.
    pub fn peek(&self, buf: &[u8]) -> Option<usize> {
        match (self.stopped, parse_header(buf)) {
            (None, Ok(Some((_, len)))) => len.checked_sub(TAG),
            _ => None,
        }
    }

    /// To be called when the socket has ended with `leftover` bytes unopened.
    ///
    /// # Errors
    /// [`Error::Truncated`] unless the peer had said close_notify: anyone can cut a TCP stream.
    pub fn end_of_stream(&self, leftover: usize) -> Result<(), Error> {
        match self.stopped {
            Some(Error::Closed) => Ok(()),
            _ => Err(Error::Truncated { leftover }),
        }
    }

    /// True once per key, when the peer has used it for longer than it should: send `Tx::key_update(true)`.
    /// Peers that count like Merlon have changed their key by then.
    pub fn wants_key_update(&mut self) -> bool {
        let wants = !self.asked && self.keys.used() > self.ask_after;
        self.asked |= wants;
        wants
    }

    /// Records opened so far, of any kind and under any key.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// KeyUpdates of the peer so far.
    pub fn key_updates(&self) -> u64 {
        self.key_updates
    }

    fn open_first<'a, 'b>(
        &mut self,
        buf: &'b mut [u8],
        open: impl FnOnce(&mut Keys, [u8; HEADER], &'b mut [u8]) -> Result<&'a [u8], Error>,
    ) -> Result<Option<Opened<'a>>, Error> {
        match self.stopped {
            Some(error) => Err(error),
            None => self
                .try_open(buf, open)
                .inspect_err(|e| self.stopped = Some(*e)),
        }
    }

    fn try_open<'a, 'b>(
        &mut self,
        buf: &'b mut [u8],
        open: impl FnOnce(&mut Keys, [u8; HEADER], &'b mut [u8]) -> Result<&'a [u8], Error>,
    ) -> Result<Option<Opened<'a>>, Error> {
        let Some((header, len)) = parse_header(buf)? else {
            return Ok(None);
        };
        let Some(body) = buf.get_mut(HEADER..HEADER + len) else {
            return Ok(None);
        };
        let inner = open(&mut self.keys, header, body)?;
        self.records += 1;
        let content = self.content(inner)?;
        Ok(Some(Opened {
            consumed: HEADER + len,
            content,
        }))
    }

    fn content<'a>(&mut self, inner: &'a [u8]) -> Result<Content<'a>, Error> {
        let (code, fragment) = split_inner(inner)?;
        if self.messages.is_unfinished() && code != ContentType::Handshake.code() {
            return Err(Error::BrokenHandshake);
        }
        let known = ContentType::of_code(code).filter(|kind| self.ours || !kind.is_ours());
        let content = match known.ok_or(Error::UnexpectedType(code))? {
            ContentType::Alert => self.alert(fragment)?,
            ContentType::Handshake => self.handshake(fragment)?,
            ContentType::ApplicationData => Content::Data(fragment),
            ContentType::Lane(lane) => Content::Lane(lane, fragment),
            ContentType::LastOnLane(lane) => Content::LastOnLane(lane, fragment),
            ContentType::Control => Content::Control(fragment),
        };
        self.spend(&content)?;
        Ok(content)
    }

    fn alert(&mut self, fragment: &[u8]) -> Result<Content<'static>, Error> {
        match fragment {
            [_, 0] => {
                self.stopped = Some(Error::Closed);
                Ok(Content::CloseNotify)
            }
            [_, description] => Err(Error::PeerAlert(*description)),
            _ => Err(Error::BadAlert),
        }
    }

    fn handshake(&mut self, fragment: &[u8]) -> Result<Content<'static>, Error> {
        match self.messages.push(fragment)? {
            Handled::Ticket => Ok(Content::Ticket),
            Handled::KeyUpdate { requested } => {
                self.keys.update()?;
                self.key_updates += 1;
                self.asked = false;
                Ok(Content::KeyUpdate { requested })
            }
        }
    }

    fn spend(&mut self, content: &Content<'_>) -> Result<(), Error> {
        self.idle = match content {
            Content::Data(bytes)
            | Content::Lane(_, bytes)
            | Content::LastOnLane(_, bytes)
            | Content::Control(bytes)
                if !bytes.is_empty() =>
            {
                0
            }
            Content::CloseNotify => 0,
            _ => self.idle + 1,
        };
        if self.idle > MAX_IDLE {
            return Err(Error::TooManyIdle);
        }
        Ok(())
    }
}

impl fmt::Debug for Rx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rx")
            .field("suite", &self.keys.suite())
            .field("records", &self.records)
            .field("key_updates", &self.key_updates)
            .field("stopped", &self.stopped)
            .finish_non_exhaustive()
    }
}

/// Checks as much of the header as is there; the header and the body's length when it is whole.
fn parse_header(buf: &[u8]) -> Result<Option<([u8; HEADER], usize)>, Error> {
    match buf {
        [kind, ..] if *kind != 23 => Err(Error::BadOuterType(*kind)),
        [_, major, ..] if *major != 3 => Err(Error::BadVersion(u16::from_be_bytes([*major, 0]))),
        [_, major, minor, ..] if *minor != 3 => {
            Err(Error::BadVersion(u16::from_be_bytes([*major, *minor])))
        }
        [kind, major, minor, high, low, ..] => {
            let len = usize::from(u16::from_be_bytes([*high, *low]));
            if len > MAX_CIPHERTEXT {
                return Err(Error::Overflow { len });
            }
            Ok(Some(([*kind, *major, *minor, *high, *low], len)))
        }
        _ => Ok(None),
    }
}

/// Takes the padding off (RFC 8446 5.4): content type and fragment.
fn split_inner(inner: &[u8]) -> Result<(u8, &[u8]), Error> {
    if inner.len() > MAX_PLAINTEXT + 1 {
        return Err(Error::Overflow { len: inner.len() });
    }
    let end = inner
        .iter()
        .rposition(|b| *b != 0)
        .ok_or(Error::NoContentType)?;
    match inner.split_at_checked(end) {
        Some((fragment, [kind, ..])) => Ok((*kind, fragment)),
        _ => Err(Error::NoContentType),
    }
}
