//! The messages with which two carriers introduce themselves, each the whole of one control record:
//! [`Hello`] (client), [`ServerProof`], [`ClientProof`].
//!
//! A message is a version byte, a kind byte, and its fields in order. A name is its length in 2 big-endian bytes,
//! then its bytes; a list of key ids is its length in one byte, then 8 bytes each. Decoding is strict: there is
//! exactly one way to write a message, and nothing may follow it.

use crate::Error;

/// The version of the preamble.
pub const VERSION: u8 = 1;

/// Bytes of a name at most: an atom of 255 characters in UTF-8.
pub const MAX_NAME: usize = 1020;

/// Key ids in a [`Hello`] at most.
pub const MAX_KEYS: usize = 16;

/// Bytes of the longest message: what does not fit in here need not be decoded.
pub const MAX_MESSAGE: usize = 2 + 2 + MAX_NAME + 1 + 8 * MAX_KEYS;

const HELLO: u8 = 1;
const SERVER_PROOF: u8 = 2;
const CLIENT_PROOF: u8 = 3;

/// Client to server: who I am, and which secrets I hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The claimed full node name, `name@host`; a node that wants its name from the server says `@host`.
    /// 1 to [`MAX_NAME`] bytes that are not yet known to be a name.
    pub name: Vec<u8>,
    /// The secrets that the client holds, newest first; 1 to [`MAX_KEYS`], no two the same.
    pub key_ids: Vec<[u8; 8]>,
}

/// Server to client: who I am, which secret we use, and that I hold it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerProof {
    /// The server's own full node name; 1 to [`MAX_NAME`] bytes.
    pub name: Vec<u8>,
    /// The secret chosen from the client's list.
    pub key_id: [u8; 8],
    /// The server's proof.
    pub tag: [u8; 32],
}

/// Client to server: that I hold the secret too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientProof {
    /// The client's proof.
    pub tag: [u8; 32],
}

impl Hello {
    /// Appends this message to `out`.
    ///
    /// # Errors
    /// [`Error::NameLength`], [`Error::KeyCount`], [`Error::RepeatedKey`]; `out` is then as it was.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), Error> {
        check_keys(&self.key_ids)?;
        let name_len = check_name(&self.name)?;
        out.extend_from_slice(&[VERSION, HELLO]);
        out.extend_from_slice(&name_len);
        out.extend_from_slice(&self.name);
        out.push(self.key_ids.len() as u8); // check_keys: 16 at most
        self.key_ids.iter().for_each(|id| out.extend_from_slice(id));
        Ok(())
    }

    /// Reads a whole message.
    ///
    /// # Errors
    /// Any of the preamble's errors of [`Error`].
    pub fn decode(message: &[u8]) -> Result<Hello, Error> {
        let mut fields = Fields::of(HELLO, message)?;
        let name = fields.name()?;
        let [count] = fields.array()?;
        let count = usize::from(count);
        if count > MAX_KEYS {
            return Err(Error::KeyCount { count });
        }
        let key_ids = (0..count)
            .map(|_| fields.array())
            .collect::<Result<Vec<_>, _>>()?;
        check_keys(&key_ids)?;
        fields.end()?;
        Ok(Hello { name, key_ids })
    }
}

impl ServerProof {
    /// Appends this message to `out`.
    ///
    /// # Errors
    /// [`Error::NameLength`]; `out` is then as it was.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), Error> {
        let name_len = check_name(&self.name)?;
        out.extend_from_slice(&[VERSION, SERVER_PROOF]);
        out.extend_from_slice(&name_len);
        out.extend_from_slice(&self.name);
        out.extend_from_slice(&self.key_id);
        out.extend_from_slice(&self.tag);
        Ok(())
    }

    /// Reads a whole message.
    ///
    /// # Errors
    /// Any of the preamble's errors of [`Error`].
    pub fn decode(message: &[u8]) -> Result<ServerProof, Error> {
        let mut fields = Fields::of(SERVER_PROOF, message)?;
        let proof = ServerProof {
            name: fields.name()?,
            key_id: fields.array()?,
            tag: fields.array()?,
        };
        fields.end()?;
        Ok(proof)
    }
}

impl ClientProof {
    /// Appends this message to `out`.
    ///
    /// # Errors
    /// None; a `Result` like those of its kin.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), Error> {
        out.extend_from_slice(&[VERSION, CLIENT_PROOF]);
        out.extend_from_slice(&self.tag);
        Ok(())
    }

    /// Reads a whole message.
    ///
    /// # Errors
    /// Any of the preamble's errors of [`Error`].
    pub fn decode(message: &[u8]) -> Result<ClientProof, Error> {
        let mut fields = Fields::of(CLIENT_PROOF, message)?;
        let proof = ClientProof {
            tag: fields.array()?,
        };
        fields.end()?;
        Ok(proof)
    }
}

fn check_name(name: &[u8]) -> Result<[u8; 2], Error> {
    let len = name.len();
    match u16::try_from(len) {
        Ok(short) if (1..=MAX_NAME).contains(&len) => Ok(short.to_be_bytes()),
        _ => Err(Error::NameLength { len }),
    }
}

fn check_keys(key_ids: &[[u8; 8]]) -> Result<(), Error> {
    let count = key_ids.len();
    if !(1..=MAX_KEYS).contains(&count) {
        return Err(Error::KeyCount { count });
    }
    let repeated = |(i, id)| key_ids.iter().skip(i + 1).any(|later| later == id);
    if key_ids.iter().enumerate().any(repeated) {
        return Err(Error::RepeatedKey);
    }
    Ok(())
}

/// The fields of a message that are still to be read.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn of(kind: u8, message: &'a [u8]) -> Result<Fields<'a>, Error> {
        match message {
            [VERSION, found, fields @ ..] if *found == kind => Ok(Fields(fields)),
            [VERSION, found, ..] => Err(Error::BadKind(*found)),
            [VERSION] | [] => Err(Error::Cut),
            [version, ..] => Err(Error::BadVersion(*version)),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (array, rest) = self.0.split_first_chunk::<N>().ok_or(Error::Cut)?;
        self.0 = rest;
        Ok(*array)
    }

    fn name(&mut self) -> Result<Vec<u8>, Error> {
        let len = usize::from(u16::from_be_bytes(self.array()?));
        if !(1..=MAX_NAME).contains(&len) {
            return Err(Error::NameLength { len });
        }
        let (name, rest) = self.0.split_at_checked(len).ok_or(Error::Cut)?;
        self.0 = rest;
        Ok(name.to_vec())
    }

    fn end(&self) -> Result<(), Error> {
        match self.0.len() {
            0 => Ok(()),
            len => Err(Error::Trailing { len }),
        }
    }
}
