//! Links without TLS, to nodes that have not moved yet (merlon_interop.erl says to which): frames as they are, with
//! a length of 2 bytes during the dist handshake and of 4 bytes after it, as plain TCP distribution has them.

use crate::conn::{lock, Conn};
use crate::select::Ready;
use crate::shake;
use crate::term::{atoms, fault, ok, Fault};
use merlon_wire::frame::{self, Reader, Sink};
use merlon_wire::Error;
use rustler::{Encoder, Env, ResourceArc, Term};
use std::io::ErrorKind;

/// Largest packet of a dist handshake without TLS, in bytes: a name is at most 1020.
const MAX_PACKET: usize = 1100;

/// The length in front of each frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// During the dist handshake.
    Two,
    /// After it.
    Four,
}

impl Length {
    /// Hands over the head of a frame of `len` bytes.
    pub fn head(self, len: usize, put: impl FnOnce(&[u8])) -> Result<(), Error> {
        match self {
            Length::Two => {
                let max = usize::from(u16::MAX);
                let len = u16::try_from(len).map_err(|_| Error::FrameTooLong { len, max })?;
                put(&len.to_be_bytes());
            }
            Length::Four => put(&frame::head(len)?),
        }
        Ok(())
    }

    /// Takes what it can off the front of `bytes` and says how much that was. Of the dist handshake one packet at a time: what
    /// follows the last one has the other length.
    pub fn take<S: Sink>(
        self,
        bytes: &[u8],
        reader: &mut Reader<S::Big>,
        sink: &mut S,
    ) -> Result<usize, Error> {
        match self {
            Length::Two => packet(bytes, sink),
            Length::Four => {
                reader.push(bytes, sink)?;
                Ok(bytes.len())
            }
        }
    }
}

fn packet<S: Sink>(bytes: &[u8], sink: &mut S) -> Result<usize, Error> {
    let Some((head, rest)) = bytes.split_first_chunk::<2>() else {
        return Ok(0);
    };
    let len = usize::from(u16::from_be_bytes(*head));
    if len > MAX_PACKET {
        let max = MAX_PACKET;
        return Err(Error::FrameTooLong { len, max });
    }
    let Some(packet) = rest.get(..len) else {
        return Ok(0);
    };
    sink.small(packet);
    Ok(head.len() + len)
}

/// `{ok, Byte}`: the first byte that the peer has sent. It stays for whoever goes on.
#[rustler::nif]
fn first<'a>(env: Env<'a>, conn: ResourceArc<Conn>) -> Term<'a> {
    match first_byte(&conn) {
        Ok(byte) => ok(env, byte),
        Err(Fault::System(error)) if error.kind() == ErrorKind::WouldBlock => {
            match conn.await_ready(env, Ready::Input) {
                Ok(()) => atoms::wait().encode(env),
                Err(error) => fault(env, &error),
            }
        }
        Err(error) => fault(env, &error),
    }
}

fn first_byte(conn: &Conn) -> Result<u8, Fault> {
    let mut shake = lock(&conn.shake)?;
    if shake.input.is_empty() {
        shake::read(conn, &mut shake)?;
    }
    shake.input.first().copied().ok_or(Fault::Closed)
}

/// From now on the connection carries the dist handshake, and what follows it, as it is. Not after a TLS handshake has begun.
#[rustler::nif]
fn plain<'a>(env: Env<'a>, conn: ResourceArc<Conn>) -> Term<'a> {
    match begin(&conn) {
        Ok(()) => atoms::ok().encode(env),
        Err(error) => fault(env, &error),
    }
}

fn begin(conn: &Conn) -> Result<(), Fault> {
    let mut shake = lock(&conn.shake)?;
    if conn.session.get().is_some() || !matches!(shake.stage, crate::conn::Stage::None) {
        return Err(Fault::Misuse);
    }
    let mut rx = lock(&conn.rx)?;
    rx.plain = Some(Length::Two);
    rx.window = std::mem::take(&mut shake.input).into();
    lock(&conn.tx)?.plain = Some(Length::Two);
    Ok(())
}

/// The dist handshake is over.
pub fn after_handshake(conn: &Conn) {
    if let Ok(mut rx) = lock(&conn.rx) {
        rx.plain = rx.plain.map(|_| Length::Four);
    }
    if let Ok(mut tx) = lock(&conn.tx) {
        tx.plain = tx.plain.map(|_| Length::Four);
    }
}

/// Whether this connection has no TLS.
pub fn is_plain(conn: &Conn) -> bool {
    lock(&conn.tx).is_ok_and(|tx| tx.plain.is_some())
}
