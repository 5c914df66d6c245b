//! The sending half of the data path: frames to sealed records to the socket.

use crate::conn::{lock, Conn, Counters, TxSide};
use crate::link::{half, write_all, REKEY_BOTH, REKEY_NONE};
use crate::select::Ready;
use crate::term::{atoms, fault, Fault};
use merlon_record::{Buffer, ContentType, Lane};
use merlon_wire::{frame, lane};
use rustler::schedule::consume_timeslice;
use rustler::{Binary, Encoder, Env, ListIterator, ResourceArc, Term};
use std::cell::RefCell;
use std::sync::atomic::Ordering;

/// Plaintext that is sealed before it is written. The kernel takes few large writes for much less than
/// many small ones; beyond this the ciphertext is no longer in the second-level cache.
const CHUNK: usize = 256 * 1024;
/// Bytes of a lane's frame that one call sends: then others have their turn.
const TURN: usize = 2 * CHUNK;
/// Work space that a scheduler keeps.
const KEEP: usize = 1024 * 1024;

thread_local! {
    /// Work space of this scheduler: hot in its cache, and no idle link owns any.
    static WRITING: RefCell<Buffer> = const { RefCell::new(Buffer::new()) };
}

/// Seals `frames`, `[{Size, [binary()]}]`, into one stream of records and writes as much as the socket takes.
#[rustler::nif]
fn send<'a>(env: Env<'a>, conn: ResourceArc<Conn>, frames: ListIterator<'a>) -> Term<'a> {
    let mut sent = Sent::default();
    let result = sending(&conn, |out| stream(out, frames, &mut sent));
    account(env, &conn, &sent);
    match result.and_then(|all| armed(env, &conn, all)) {
        Ok(state) => state.encode(env),
        Err(error) => fault(env, &error),
    }
}

/// Sends a part of a big frame on a lane. `Piece` is `{Total, Left, Skip, [binary()]}`: bytes of the frame, those
/// still to be sent, and where in the first binary they begin. The answer has what is left of it, or `done`.
#[rustler::nif]
fn send_lane<'a>(
    env: Env<'a>,
    conn: ResourceArc<Conn>,
    lane: u8,
    piece: (usize, usize, usize, Term<'a>),
) -> Term<'a> {
    let (total, left, skip, list) = piece;
    let mut piece = Piece {
        total,
        left,
        parts: Parts { list, skip },
    };
    let mut sent = Sent::default();
    let result = Lane::new(lane).ok_or(Fault::Misuse).and_then(|lane| {
        sending(&conn, |out| {
            piece.send(ContentType::Lane(lane), out, &mut sent)
        })
    });
    account(env, &conn, &sent);
    match result.and_then(|all| armed(env, &conn, all)) {
        Ok(state) => (state, piece.rest(env)).encode(env),
        Err(error) => fault(env, &error),
    }
}

/// Writes what an earlier call has left.
#[rustler::nif]
fn flush<'a>(env: Env<'a>, conn: ResourceArc<Conn>) -> Term<'a> {
    match sending(&conn, |_| Ok(())).and_then(|all| armed(env, &conn, all)) {
        Ok(state) => state.encode(env),
        Err(error) => fault(env, &error),
    }
}

fn armed(env: Env, conn: &Conn, all: bool) -> Result<rustler::Atom, Fault> {
    match all {
        true => Ok(atoms::ok()),
        false => conn
            .await_ready(env, Ready::Output)
            .map(|()| atoms::blocked()),
    }
}

/// What a call has sealed.
#[derive(Default)]
struct Sent {
    frames: usize,
    bytes: usize,
}

fn account(env: Env, conn: &Conn, sent: &Sent) {
    Counters::add(&conn.counters.frames_out, sent.frames);
    Counters::add(&conn.counters.bytes_out, sent.bytes);
    spent(env, sent.bytes);
}

/// Tells the scheduler what a call has cost: about 1 ms for each MiB moved.
pub fn spent(env: Env, bytes: usize) {
    let percent = (bytes >> 10) / 10 + 1;
    consume_timeslice(env, i32::try_from(percent.min(100)).unwrap_or(100));
}

// ---- what is sent ----

fn stream(out: &mut Out, frames: ListIterator, sent: &mut Sent) -> Result<(), Fault> {
    let mut frames = frames.peekable();
    while frames.peek().is_some() {
        let from = sent.bytes;
        let mut packer = half(out.tx)?.packer(ContentType::ApplicationData, &mut out.buffer);
        while let Some(frame) = frames.next_if(|_| sent.bytes - from < CHUNK) {
            let (size, list) = frame.decode().map_err(|_| Fault::Misuse)?;
            packer.push(&frame::head(size)?)?;
            let mut parts = Parts { list, skip: 0 };
            parts.take(size, |part| Ok(packer.push(part)?))?;
            sent.frames += 1;
            sent.bytes += size;
        }
        packer.finish()?;
        out.write()?;
    }
    Ok(())
}

/// What is to be sent of a big frame.
struct Piece<'a> {
    total: usize,
    left: usize,
    parts: Parts<'a>,
}

impl<'a> Piece<'a> {
    fn send(&mut self, kind: ContentType, out: &mut Out, sent: &mut Sent) -> Result<(), Fault> {
        if out.full || self.left == 0 {
            return Ok(());
        }
        if self.left == self.total {
            let first = lane::first(self.total, lane::STEP - lane::HEAD);
            self.pack(kind, &lane::head(self.total), first, out, sent)?;
        }
        while self.left > 0 && !out.full && sent.bytes < TURN {
            self.pack(kind, &[], self.left.min(CHUNK), out, sent)?;
            out.write()?;
        }
        sent.frames += usize::from(self.left == 0);
        Ok(())
    }

    fn pack(
        &mut self,
        kind: ContentType,
        head: &[u8],
        len: usize,
        out: &mut Out,
        sent: &mut Sent,
    ) -> Result<(), Fault> {
        let mut packer = half(out.tx)?.packer(kind, &mut out.buffer);
        packer.push(head)?;
        self.parts.take(len, |part| Ok(packer.push(part)?))?;
        packer.finish()?;
        self.left = self.left.checked_sub(len).ok_or(Fault::Misuse)?;
        sent.bytes += len;
        Ok(())
    }

    fn rest(&self, env: Env<'a>) -> Term<'a> {
        match self.left {
            0 => atoms::done().encode(env),
            left => (self.total, left, self.parts.skip, self.parts.list).encode(env),
        }
    }
}

/// A list of binaries, read from some byte on.
struct Parts<'a> {
    list: Term<'a>,
    skip: usize,
}

impl Parts<'_> {
    /// The next `len` bytes, in as many slices as they lie in.
    fn take(
        &mut self,
        mut len: usize,
        mut each: impl FnMut(&[u8]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        while len > 0 {
            let (first, rest) = self.list.list_get_cell().map_err(|_| Fault::Misuse)?;
            let part: Binary = first.decode().map_err(|_| Fault::Misuse)?;
            let bytes = part.get(self.skip..).ok_or(Fault::Misuse)?;
            let now = bytes.get(..len).unwrap_or(bytes);
            each(now)?;
            len -= now.len();
            self.skip += now.len();
            if self.skip == part.len() {
                (self.list, self.skip) = (rest, 0);
            }
        }
        Ok(())
    }
}

// ---- where it goes ----

/// Sealed bytes and the socket that they go to.
struct Out<'a> {
    conn: &'a Conn,
    tx: &'a mut TxSide,
    buffer: Buffer,
    /// Bytes of `buffer` that the socket has.
    written: usize,
    /// The socket takes no more for now.
    full: bool,
}

impl Out<'_> {
    fn write(&mut self) -> Result<(), Fault> {
        let left = self.buffer.get(self.written..).unwrap_or_default();
        if self.full || left.is_empty() {
            return Ok(());
        }
        self.written += write_all(self.conn, left)?;
        self.full = self.written < self.buffer.len();
        if !self.full {
            self.buffer.clear();
            self.written = 0;
        }
        Ok(())
    }
}

/// Sends what is left over, then what `seal` adds. True: the socket has it all. What it does not take stays with the
/// connection, buffer and all, and is not copied.
fn sending(conn: &Conn, seal: impl FnOnce(&mut Out) -> Result<(), Fault>) -> Result<bool, Fault> {
    let mut tx = lock(&conn.tx)?;
    let buffer = match tx.pending.is_empty() {
        true => WRITING.take(),
        false => std::mem::take(&mut tx.pending),
    };
    let mut out = Out {
        conn,
        written: std::mem::take(&mut tx.sent),
        tx: &mut tx,
        buffer,
        full: false,
    };
    out.write()?;
    rekey(&mut out)?;
    seal(&mut out)?;
    out.write()?;
    let Out {
        mut buffer,
        written,
        full,
        ..
    } = out;
    if full {
        (tx.pending, tx.sent) = (buffer, written);
    } else {
        buffer.shrink_to(KEEP); // one giant batch must not stay in memory
        WRITING.set(buffer);
    }
    Ok(!full)
}

/// RFC 8446 4.6.3: a requested KeyUpdate goes out before the next data.
fn rekey(out: &mut Out) -> Result<(), Fault> {
    match out.conn.rekey.swap(REKEY_NONE, Ordering::AcqRel) {
        REKEY_NONE => Ok(()),
        due => Ok(half(out.tx)?.key_update(due == REKEY_BOTH, &mut out.buffer)?),
    }
}
