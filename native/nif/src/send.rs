//! The sending half of the data path: frames to sealed records to the socket.

use crate::conn::{lock, Conn, Counters, TxSide, LANES};
use crate::link::{half, write_all, REKEY_BOTH, REKEY_NONE};
use crate::plain::Length;
use crate::select::Ready;
use crate::term::{atoms, fault, Fault};
use merlon_record::{Buffer, ContentType, Lane};
use merlon_wire::fragment::{self, Route, Router};
use merlon_wire::{frame, lane};
use rustler::schedule::consume_timeslice;
use rustler::{Binary, Encoder, Env, ListIterator, ResourceArc, Term};
use std::cell::RefCell;
use std::iter::Peekable;
use std::sync::atomic::Ordering;

/// Plaintext that is sealed before it is written. The kernel takes few large writes for much less than
/// many small ones; beyond this the ciphertext is no longer in the second-level cache.
const CHUNK: usize = 256 * 1024;
/// Work space that a scheduler keeps, and a link whose socket is full: with what it may have to keep, less than 1 MiB.
const KEEP: usize = 768 * 1024;

thread_local! {
    /// Work space of this scheduler: hot in its cache, and no idle link owns any.
    static WRITING: RefCell<Buffer> = const { RefCell::new(Buffer::new()) };
}

/// Seals `frames`, `[{Size, [binary()]}]`, and writes as much as the socket takes. Fragments of long messages go on lanes
/// (`merlon_wire::fragment`), the others in one stream.
#[rustler::nif]
fn send<'a>(env: Env<'a>, conn: ResourceArc<Conn>, frames: ListIterator<'a>) -> Term<'a> {
    let mut sent = Sent::default();
    let result = sending(&conn, |out| self::frames(out, frames, &mut sent));
    account(env, &conn, &sent);
    match result.and_then(|all| armed(env, &conn, all)) {
        Ok(state) => state.encode(env),
        Err(error) => fault(env, &error),
    }
}

/// Writes what an earlier call has left.
#[rustler::nif]
fn flush<'a>(env: Env<'a>, conn: ResourceArc<Conn>) -> Term<'a> {
    let left = unsent(&conn);
    let sent = sending(&conn, |_| Ok(()));
    spent(env, left.saturating_sub(unsent(&conn)));
    match sent.and_then(|all| armed(env, &conn, all)) {
        Ok(state) => state.encode(env),
        Err(error) => fault(env, &error),
    }
}

fn unsent(conn: &Conn) -> usize {
    conn.tx.lock().map_or(0, |tx| tx.pending.len() - tx.sent)
}

/// Seals messages to the other carrier and writes as much as the socket takes.
#[rustler::nif]
fn send_control<'a>(env: Env<'a>, conn: ResourceArc<Conn>, messages: Vec<Binary<'a>>) -> Term<'a> {
    let sent = sending(&conn, |out| control(out, &messages));
    match sent.and_then(|all| armed(env, &conn, all)) {
        Ok(state) => state.encode(env),
        Err(error) => fault(env, &error),
    }
}

fn control(out: &mut Out, messages: &[Binary]) -> Result<(), Fault> {
    let mut packer = half(out.tx)?.packer(ContentType::Control, &mut out.buffer);
    for message in messages {
        packer.push(&frame::head(message.len())?)?;
        packer.push(message)?;
    }
    Ok(packer.finish()?)
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

impl Sent {
    fn count(&mut self, frame: &Frame) {
        self.frames += 1;
        self.bytes += frame.size;
    }
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

fn frames(out: &mut Out, list: ListIterator, sent: &mut Sent) -> Result<(), Fault> {
    if let Some(length) = out.tx.plain {
        return unsealed(out, length, list, sent);
    }
    let mut list = list.peekable();
    while list.peek().is_some() {
        if let Some((frame, route)) = stream(out, &mut list, sent)? {
            frame.on_lane(route, out)?;
            sent.count(&frame);
        }
        if out.waiting() >= CHUNK {
            out.write()?;
        }
    }
    Ok(())
}

/// Without TLS: frames as they are, one after the other.
fn unsealed(
    out: &mut Out,
    length: Length,
    list: ListIterator,
    sent: &mut Sent,
) -> Result<(), Fault> {
    for term in list {
        let mut frame = Frame::new(term)?;
        length.head(frame.size, |head| out.buffer.extend(head))?;
        frame.take(frame.size, |part| {
            out.buffer.extend(part);
            Ok(())
        })?;
        sent.count(&frame);
        if out.waiting() >= CHUNK {
            out.write()?;
        }
    }
    Ok(())
}

/// Seals frames into one stream of records until one has to go on a lane, which is given back, or it is time to write.
fn stream<'a>(
    out: &mut Out,
    list: &mut Peekable<ListIterator<'a>>,
    sent: &mut Sent,
) -> Result<Option<(Frame<'a>, Route)>, Fault> {
    let from = sent.bytes;
    let lanes = !out.tx.foreign;
    let TxSide { half, router, .. } = &mut *out.tx;
    let half = half.as_mut().ok_or(Fault::Misuse)?;
    let mut packer = half.packer(ContentType::ApplicationData, &mut out.buffer);
    let mut other = None;
    while let Some(term) = list.next_if(|_| other.is_none() && sent.bytes - from < CHUNK) {
        let mut frame = Frame::new(term)?;
        let route = match lanes {
            true => frame.route(router)?,
            false => Route::Stream,
        };
        match route {
            Route::Stream => {
                packer.push(&frame::head(frame.size)?)?;
                frame.take(frame.size, |part| Ok(packer.push(part)?))?;
                sent.count(&frame);
            }
            route => other = Some((frame, route)),
        }
    }
    packer.finish()?;
    Ok(other)
}

/// A frame as the VM gives it: bytes, and a list of binaries read from some byte on.
#[derive(Clone, Copy)]
struct Frame<'a> {
    size: usize,
    parts: Parts<'a>,
}

impl<'a> Frame<'a> {
    fn new(term: Term<'a>) -> Result<Frame<'a>, Fault> {
        let (size, list) = term.decode().map_err(|_| Fault::Misuse)?;
        let parts = Parts { list, skip: 0 };
        Ok(Frame { size, parts })
    }

    fn route(&self, router: &mut Router<LANES>) -> Result<Route, Fault> {
        let mut start = [0; fragment::TELLING];
        let mut have = 0;
        let most = self.size.min(fragment::TELLING);
        let mut parts = self.parts;
        parts.take(most, |part| {
            let to = start.get_mut(have..have + part.len());
            to.ok_or(Fault::Misuse)?.copy_from_slice(part);
            have += part.len();
            Ok(())
        })?;
        Ok(router.route(start.get(..have).unwrap_or_default(), self.size))
    }

    fn on_lane(mut self, route: Route, out: &mut Out) -> Result<(), Fault> {
        self.take(fragment::HEAD, |_| Ok(()))?;
        let rest = self.size - fragment::HEAD;
        match route {
            Route::Stream => Err(Fault::Misuse),
            Route::Begin { lane, room } => {
                let odd = fragment::odd(rest);
                let head = [&lane::head(room)[..], &fragment::UNCUT].concat();
                let kind = ContentType::Lane(number(lane)?);
                self.pack(kind, &head, odd, out)?;
                self.pack(kind, &[], rest - odd, out)
            }
            Route::Middle { lane } => self.pack(ContentType::Lane(number(lane)?), &[], rest, out),
            Route::End { lane } => {
                let last = rest - lane::before_last(rest);
                let lane = number(lane)?;
                self.pack(ContentType::Lane(lane), &[], rest - last, out)?;
                self.seal(ContentType::LastOnLane(lane), last, out)
            }
        }
    }

    fn pack(
        &mut self,
        kind: ContentType,
        head: &[u8],
        len: usize,
        out: &mut Out,
    ) -> Result<(), Fault> {
        let mut packer = half(out.tx)?.packer(kind, &mut out.buffer);
        packer.push(head)?;
        self.take(len, |part| Ok(packer.push(part)?))?;
        Ok(packer.finish()?)
    }

    /// One record, also of nothing.
    fn seal(&mut self, kind: ContentType, len: usize, out: &mut Out) -> Result<(), Fault> {
        match len {
            0 => Ok(half(out.tx)?.seal(kind, &[], &mut out.buffer)?),
            len => self.pack(kind, &[], len, out),
        }
    }

    fn take(
        &mut self,
        len: usize,
        each: impl FnMut(&[u8]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.parts.take(len, each)
    }
}

fn number(lane: usize) -> Result<Lane, Fault> {
    let lane = u8::try_from(lane).ok().and_then(Lane::new);
    lane.ok_or(Fault::Misuse)
}

/// A list of binaries, read from some byte on.
#[derive(Clone, Copy)]
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
    /// Sealed bytes that the socket has not got.
    fn waiting(&self) -> usize {
        self.buffer.len() - self.written
    }

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

/// Sends what is left over and what `seal` adds. True: the socket has it all. What it does not take stays with the
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
    let result = rekey(&mut out)
        .and_then(|()| seal(&mut out))
        .and_then(|()| out.write());
    let Out {
        mut buffer,
        written,
        full,
        ..
    } = out;
    // Neither one giant batch nor room for twice as much must stay in memory.
    buffer.shrink_to(KEEP);
    // After an error, too, no last word may go into the middle of a record.
    if full || result.is_err() && written < buffer.len() {
        (tx.pending, tx.sent) = (buffer, written);
    } else {
        WRITING.set(buffer);
    }
    result.map(|()| !full)
}

/// RFC 8446 4.6.3: a requested KeyUpdate goes out before the next data.
fn rekey(out: &mut Out) -> Result<(), Fault> {
    match out.conn.rekey.swap(REKEY_NONE, Ordering::AcqRel) {
        REKEY_NONE => Ok(()),
        due => Ok(half(out.tx)?.key_update(due == REKEY_BOTH, &mut out.buffer)?),
    }
}
