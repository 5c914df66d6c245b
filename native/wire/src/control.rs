//! What two carriers say to each other while their link is up, in control records: a stream of its own, cut into
//! messages like frames ([`frame`](crate::frame)), at most [`MAX_MESSAGE`] bytes each.
//!
//! A message is a kind byte and its fields in order. A certificate and a signature have their length in 2 big-endian
//! bytes before them; a list its length in one byte. Decoding is strict: there is exactly one way to write a message, and
//! nothing may follow it. A kind that is not known is no error, so that a newer carrier may say more.

use crate::frame::{Reader, Sink};
use crate::preamble::MAX_KEYS;
use crate::Error;

/// Bytes of a message at most.
pub const MAX_MESSAGE: usize = 1 << 16;

/// Messages that may wait to be taken: who sends more at once has nothing good in mind.
pub const MAX_WAITING: usize = 32;

/// Certificates of a chain at most.
pub const MAX_CERTIFICATES: usize = 4;

/// Bytes of a signature at most: one by an RSA key of 8192 bits.
pub const MAX_SIGNATURE: usize = 1024;

/// Messages from this many bytes on get their buffer before they are whole.
const BIG: usize = 4096;

const CERTIFICATE: u8 = 1;
const KEYS: u8 = 2;
const ASK: u8 = 3;

/// A message of one carrier to the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// The sender's chain, and that it holds the key.
    Certificate(Certificate<'a>),
    /// That the sender holds these secrets; 1 to [`MAX_KEYS`], no two the same.
    Keys(Vec<KeyProof>),
    /// The receiver is to show its chain and secrets again: they may find more belief by now.
    Ask,
    /// A message of a kind that is not spoken here.
    Unknown(u8),
}

/// A chain, and a signature by the key of its leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate<'a> {
    /// The SignatureScheme (RFC 8446 4.2.3).
    pub scheme: u16,
    /// The leaf first, DER; 1 to [`MAX_CERTIFICATES`], of 1 byte to 65535.
    pub chain: Vec<&'a [u8]>,
    /// The signature; 1 to [`MAX_SIGNATURE`] bytes.
    pub signature: &'a [u8],
}

/// That the sender holds a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyProof {
    /// Which secret.
    pub key_id: [u8; 8],
    /// The proof.
    pub tag: [u8; 32],
}

impl<'a> Message<'a> {
    /// Reads a whole message.
    ///
    /// # Errors
    /// [`Error::BadControl`].
    pub fn decode(message: &'a [u8]) -> Result<Self, Error> {
        let (kind, fields) = message.split_first().ok_or(Error::BadControl)?;
        let mut fields = Fields(fields);
        let decoded = match *kind {
            CERTIFICATE => fields.certificate().map(Message::Certificate),
            KEYS => fields.keys().map(Message::Keys),
            ASK => Some(Message::Ask),
            unknown => return Ok(Message::Unknown(unknown)),
        };
        let whole = decoded.filter(|_| fields.0.is_empty());
        whole.filter(Message::is_sound).ok_or(Error::BadControl)
    }

    /// The bytes of this message.
    ///
    /// # Errors
    /// [`Error::BadControl`] for one that the peer would refuse.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        let mut out = Vec::new();
        match self {
            Message::Certificate(shown) => shown.encode(&mut out)?,
            Message::Keys(proofs) => {
                out.extend_from_slice(&[KEYS, short(proofs.len())?]);
                for proof in proofs {
                    out.extend_from_slice(&proof.key_id);
                    out.extend_from_slice(&proof.tag);
                }
            }
            Message::Ask => out.push(ASK),
            Message::Unknown(_) => return Err(Error::BadControl),
        }
        match self.is_sound() && out.len() <= MAX_MESSAGE {
            true => Ok(out),
            false => Err(Error::BadControl),
        }
    }

    fn is_sound(&self) -> bool {
        match self {
            Message::Certificate(shown) => {
                (1..=MAX_CERTIFICATES).contains(&shown.chain.len())
                    && shown.chain.iter().all(|der| !der.is_empty())
                    && (1..=MAX_SIGNATURE).contains(&shown.signature.len())
            }
            Message::Keys(proofs) => {
                let twice = |(i, proof): (usize, &KeyProof)| {
                    let mut later = proofs.iter().skip(i + 1);
                    later.any(|other| other.key_id == proof.key_id)
                };
                (1..=MAX_KEYS).contains(&proofs.len()) && !proofs.iter().enumerate().any(twice)
            }
            Message::Ask | Message::Unknown(_) => true,
        }
    }
}

impl Certificate<'_> {
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), Error> {
        out.push(CERTIFICATE);
        out.extend_from_slice(&self.scheme.to_be_bytes());
        out.push(short(self.chain.len())?);
        let parts = self.chain.iter().chain(std::iter::once(&self.signature));
        for part in parts {
            let len = u16::try_from(part.len()).map_err(|_| Error::BadControl)?;
            out.extend_from_slice(&len.to_be_bytes());
            out.extend_from_slice(part);
        }
        Ok(())
    }
}

fn short(len: usize) -> Result<u8, Error> {
    u8::try_from(len).map_err(|_| Error::BadControl)
}

/// The fields of a message that are still to be read.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn certificate(&mut self) -> Option<Certificate<'a>> {
        let scheme = u16::from_be_bytes(self.array()?);
        let [count] = self.array()?;
        let count = Some(usize::from(count)).filter(|count| *count <= MAX_CERTIFICATES)?;
        let chain = (0..count).map(|_| self.bytes()).collect::<Option<_>>()?;
        let signature = self.bytes()?;
        Some(Certificate {
            scheme,
            chain,
            signature,
        })
    }

    fn keys(&mut self) -> Option<Vec<KeyProof>> {
        let [count] = self.array()?;
        let count = Some(count).filter(|count| usize::from(*count) <= MAX_KEYS)?;
        let proof = |_| {
            Some(KeyProof {
                key_id: self.array()?,
                tag: self.array()?,
            })
        };
        (0..count).map(proof).collect()
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*array)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = usize::from(u16::from_be_bytes(self.array()?));
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes)
    }
}

/// Puts the peer's messages together from its control records.
pub struct Stream {
    reader: Reader<Vec<u8>>,
    inbox: Inbox,
    open: bool,
}

impl Default for Stream {
    fn default() -> Self {
        Stream {
            reader: Reader::new(MAX_MESSAGE, BIG),
            inbox: Inbox::default(),
            open: false,
        }
    }
}

impl Stream {
    /// The link is up: from now on there may be messages.
    pub fn open(&mut self) {
        self.open = true;
    }

    /// True when no message has begun that has not ended.
    pub fn is_between(&self) -> bool {
        self.reader.is_between_frames()
    }

    /// Takes the content of a control record.
    ///
    /// # Errors
    /// [`Error::EarlyControl`] before the link is up, [`Error::ControlTooLong`], [`Error::ControlFlood`] when more than
    /// [`MAX_WAITING`] messages wait.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if !self.open {
            return Err(Error::EarlyControl);
        }
        let pushed = self.reader.push(bytes, &mut self.inbox);
        pushed.map_err(|error| match error {
            Error::FrameTooLong { len, .. } => Error::ControlTooLong { len },
            other => other,
        })?;
        match self.inbox.flooded {
            true => Err(Error::ControlFlood),
            false => Ok(()),
        }
    }

    /// The messages that have arrived since, not decoded.
    pub fn take(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.inbox.waiting)
    }
}

#[derive(Default)]
struct Inbox {
    waiting: Vec<Vec<u8>>,
    flooded: bool,
}

impl Inbox {
    fn put(&mut self, message: Vec<u8>) {
        match self.waiting.len() < MAX_WAITING {
            true => self.waiting.push(message),
            false => self.flooded = true,
        }
    }
}

impl Sink for Inbox {
    type Big = Vec<u8>;

    fn big(&mut self, len: usize) -> Result<Vec<u8>, Error> {
        Ok(vec![0; len]) // MAX_MESSAGE at most
    }

    fn grow(&mut self, big: &mut Vec<u8>, len: usize) -> Result<(), Error> {
        big.resize(len, 0);
        Ok(())
    }

    fn bytes<'a>(&'a mut self, big: &'a mut Vec<u8>) -> &'a mut [u8] {
        big
    }

    fn big_done(&mut self, mut big: Vec<u8>, len: usize) {
        big.truncate(len);
        self.put(big);
    }

    fn small(&mut self, message: &[u8]) {
        self.put(message.to_vec());
    }

    fn tick(&mut self) {
        self.put(Vec::new());
    }
}
