//! The data path: frames to sealed records to the socket, and back.

use crate::conn::{lock, Conn, Counters, RxSide, Shake, TxSide};
use crate::frames::{Frames, Queue};
use crate::select::Ready;
use crate::term::{atoms, fault, ok, Fault};
use merlon_record::{Content, Rx, Tx};
use merlon_wire::frame::{self, Sink};
use rustler::schedule::consume_timeslice;
use rustler::{Binary, Encoder, Env, ListIterator, NifResult, OwnedBinary, ResourceArc, Term};
use std::cell::RefCell;
use std::io::ErrorKind;
use std::sync::atomic::Ordering;

/// Frames from this many bytes on get a binary of their own.
pub const BIG_FRAME: usize = 4096;
/// Ciphertext is written whenever this much of it is ready.
const CHUNK: usize = 128 * 1024;
/// Work space that a scheduler keeps for writing.
const KEEP: usize = 1024 * 1024;
/// Bytes read from the socket at once.
const READ: usize = 256 * 1024;
/// Room for the beginning of a record that was left from the last read.
const REST: usize = merlon_record::HEADER + merlon_record::MAX_CIPHERTEXT;
/// What the dist handshake reads at once: what arrives behind it is kept, so not much.
const READ_HANDSHAKE: usize = 16 * 1024;

/// What the sending half owes: nothing, a KeyUpdate, or one that asks the peer for its own.
const REKEY_NONE: u8 = 0;
const REKEY_OURS: u8 = 1;
const REKEY_BOTH: u8 = 2;

thread_local! {
    /// Work space of this scheduler: hot in its cache, and no idle link owns any.
    static READING: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static WRITING: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

// ---- sending ----

#[rustler::nif]
fn send<'a>(env: Env<'a>, conn: ResourceArc<Conn>, frames: Vec<Term<'a>>) -> NifResult<Term<'a>> {
    let frames: NifResult<Vec<Frame>> = frames.into_iter().map(Frame::decode).collect();
    let frames = frames?;
    let result = lock(&conn.tx).and_then(|mut tx| {
        WRITING.with_borrow_mut(|buffer| {
            buffer.clear();
            let sealed = seal_all(&conn, &mut tx, buffer, &frames);
            let finished = sealed.and_then(|()| finish(&conn, &mut tx, buffer));
            buffer.shrink_to(KEEP); // one giant frame must not stay in memory
            finished
        })
    });
    account(env, frames.iter().map(Frame::len).sum());
    Counters::add(&conn.counters.frames_out, frames.len());
    Ok(written(env, &conn, result))
}

#[rustler::nif]
fn flush<'a>(env: Env<'a>, conn: ResourceArc<Conn>) -> Term<'a> {
    let result = lock(&conn.tx).and_then(|mut tx| finish(&conn, &mut tx, &mut Vec::new()));
    written(env, &conn, result)
}

fn written<'a>(env: Env<'a>, conn: &Conn, all: Result<bool, Fault>) -> Term<'a> {
    let armed = all.and_then(|all| match all {
        true => Ok(atoms::ok()),
        false => conn
            .await_ready(env, Ready::Output)
            .map(|()| atoms::blocked()),
    });
    match armed {
        Ok(atom) => atom.encode(env),
        Err(error) => fault(env, &error),
    }
}

/// Tells the scheduler what a call has cost: about 1 ms for each MiB moved.
fn account(env: Env, bytes: usize) {
    let percent = (bytes >> 10) / 10 + 1;
    consume_timeslice(env, i32::try_from(percent.min(100)).unwrap_or(100));
}

/// One frame: its head, and the binaries that dist_ctrl_get_data gave for it.
struct Frame<'a> {
    head: [u8; 4],
    parts: Vec<Binary<'a>>,
}

impl<'a> Frame<'a> {
    fn decode(term: Term<'a>) -> NifResult<Self> {
        let parts = match term.decode::<Binary>() {
            Ok(binary) => vec![binary],
            Err(_) => {
                let list = term.decode::<ListIterator>()?;
                list.map(|part| part.decode()).collect::<NifResult<_>>()?
            }
        };
        let head = frame::head(parts.iter().map(|part| part.len()).sum());
        let head = head.map_err(|_| rustler::Error::BadArg)?;
        Ok(Self { head, parts })
    }

    fn len(&self) -> usize {
        self.parts.iter().map(|part| part.len()).sum()
    }

    fn slices<'s>(&'s self) -> impl Iterator<Item = &'s [u8]> + use<'s, 'a> {
        std::iter::once(&self.head[..]).chain(self.parts.iter().map(|part| part.as_slice()))
    }
}

/// Seals all frames into `buffer`, one record stream over all of them, and writes whenever a chunk
/// is full. Once the socket is full the rest is only sealed: the caller takes one batch at most.
fn seal_all(
    conn: &Conn,
    tx: &mut TxSide,
    buffer: &mut Vec<u8>,
    frames: &[Frame],
) -> Result<(), Fault> {
    // RFC 8446 4.6.3: a requested KeyUpdate goes out before the next data.
    match conn.rekey.swap(REKEY_NONE, Ordering::AcqRel) {
        REKEY_NONE => {}
        due => half(tx)?.key_update(due == REKEY_BOTH, buffer)?,
    }
    let mut slices = frames.iter().flat_map(Frame::slices);
    let mut current: &[u8] = &[];
    let mut total = 0;
    loop {
        let mut room = CHUNK;
        let mut packer = half(tx)?.packer(buffer);
        while room > 0 {
            if current.is_empty() {
                match slices.next() {
                    Some(slice) => current = slice,
                    None => break,
                }
            }
            let (now, later) = current.split_at(current.len().min(room));
            packer.push(now)?;
            room -= now.len();
            current = later;
        }
        packer.finish()?;
        total += CHUNK - room;
        if room > 0 {
            Counters::add(&conn.counters.bytes_out, total - 4 * frames.len());
            return Ok(());
        }
        write_some(conn, tx, buffer)?;
    }
}

/// Writes what the socket takes; what it does not take stays in `pending`. True: nothing is left.
fn finish(conn: &Conn, tx: &mut TxSide, buffer: &mut Vec<u8>) -> Result<bool, Fault> {
    write_some(conn, tx, buffer)?;
    tx.pending.append(buffer);
    Ok(tx.pending.is_empty())
}

/// `pending` first, then, when that is gone, `buffer`, from which written bytes are taken.
fn write_some(conn: &Conn, tx: &mut TxSide, buffer: &mut Vec<u8>) -> Result<(), Fault> {
    if !tx.pending.is_empty() {
        tx.sent += write_all(conn, tx.pending.get(tx.sent..).unwrap_or_default())?;
        if tx.sent < tx.pending.len() {
            return Ok(());
        }
        tx.pending = Vec::new();
        tx.sent = 0;
    }
    let written = write_all(conn, buffer)?;
    if written == buffer.len() {
        buffer.clear();
    } else {
        buffer.drain(..written);
    }
    Ok(())
}

fn write_all(conn: &Conn, bytes: &[u8]) -> Result<usize, Fault> {
    let mut written = 0;
    while let Some(left) = bytes.get(written..).filter(|left| !left.is_empty()) {
        match conn.handle.with(|sock| sock.write(left)) {
            Ok(n) => written += n,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(written)
}

fn half(tx: &mut TxSide) -> Result<&mut Tx, Fault> {
    tx.half.as_mut().ok_or(Fault::Misuse)
}

/// close_notify, or a fatal alert, when it can go out at once and whole.
fn last_word(conn: &Conn, alert: u8) {
    let Ok(mut tx) = conn.tx.try_lock() else {
        return;
    };
    if !tx.pending.is_empty() {
        return; // it would stand in the middle of a record
    }
    let mut bytes = Vec::new();
    if half(&mut tx).is_ok_and(|half| half.alert(alert, &mut bytes).is_ok()) {
        let _ = write_all(conn, &bytes); // the peer may be gone: nobody is left to tell
    }
}

/// Sends close_notify if nothing is in its way.
pub fn say_goodbye(conn: &Conn) {
    last_word(conn, 0);
}

// ---- receiving ----

#[rustler::nif]
fn recv<'a>(env: Env<'a>, conn: ResourceArc<Conn>) -> Term<'a> {
    let mut frames = Frames::new(env);
    let result = lock(&conn.rx).and_then(|mut rx| {
        for frame in rx.queue.drain(..) {
            frames.owned(frame);
        }
        let result = read_records(&conn, &mut rx, READ, &mut frames);
        rx_end(&conn, &mut rx, result, frames.count().0 > 0)
    });
    let (count, bytes) = frames.count();
    account(env, bytes);
    Counters::add(&conn.counters.frames_in, count);
    Counters::add(&conn.counters.bytes_in, bytes);
    let armed = result.and_then(|empty| match empty {
        true => conn.await_ready(env, Ready::Input).map(|()| atoms::wait()),
        false => Ok(atoms::more()),
    });
    match armed {
        Ok(next) => (frames.into_list(), next).encode(env),
        Err(error) => fault(env, &error),
    }
}

#[rustler::nif]
fn recv_one<'a>(env: Env<'a>, conn: ResourceArc<Conn>) -> Term<'a> {
    match lock(&conn.rx).and_then(|mut rx| next_queued(&conn, &mut rx)) {
        Ok(Some(frame)) => {
            Counters::add(&conn.counters.frames_in, 1);
            Counters::add(&conn.counters.bytes_in, frame.len());
            ok(env, Binary::from_owned(frame, env))
        }
        Ok(None) => match conn.await_ready(env, Ready::Input) {
            Ok(()) => atoms::wait().encode(env),
            Err(error) => fault(env, &error),
        },
        Err(error) => fault(env, &error),
    }
}

/// What was sent before the end counts: an end that comes behind whole frames is told at the next
/// call, when those are taken.
fn rx_end(
    conn: &Conn,
    rx: &mut RxSide,
    result: Result<bool, Fault>,
    frames: bool,
) -> Result<bool, Fault> {
    match result {
        Err(error) => {
            complain(conn, &error);
            if !frames {
                return Err(error);
            }
            rx.end = Some(error);
            Ok(false)
        }
        more => more,
    }
}

fn next_queued(conn: &Conn, rx: &mut RxSide) -> Result<Option<OwnedBinary>, Fault> {
    loop {
        if let Some(frame) = rx.queue.pop_front() {
            return Ok(Some(frame));
        }
        let mut queue = Queue(std::mem::take(&mut rx.queue));
        let result = read_records(conn, rx, READ_HANDSHAKE, &mut queue);
        rx.queue = queue.0;
        let queued = !rx.queue.is_empty();
        if rx_end(conn, rx, result, queued)? && !queued {
            return Ok(None);
        }
    }
}

/// Opens what was left, reads once, opens that. True: the socket has no more for now.
fn read_records<S: Sink<Big = OwnedBinary>>(
    conn: &Conn,
    rx: &mut RxSide,
    most: usize,
    sink: &mut S,
) -> Result<bool, Fault> {
    if let Some(end) = rx.end.take() {
        return Err(end);
    }
    READING.with_borrow_mut(|buffer| {
        buffer.resize(READ + REST, 0);
        let have = rx.rest.len();
        let (rest, room) = buffer.split_at_mut_checked(have).ok_or(Fault::Misuse)?;
        rest.copy_from_slice(&rx.rest);
        let room = room.get_mut(..most).ok_or(Fault::Misuse)?;
        let asked = room.len();
        // An end of the stream counts after what is left of the handshake's last read.
        let (read, empty, end) = match conn.handle.with(|sock| sock.read(room)) {
            Ok(n) => (n, n < asked, n == 0),
            Err(error) if error.kind() == ErrorKind::WouldBlock => (0, true, false),
            Err(error) => return Err(error.into()),
        };
        let bytes = buffer.get_mut(..have + read).ok_or(Fault::Misuse)?;
        let opened = open_records(conn, rx, bytes, sink)?;
        rx.rest.clear();
        rx.rest
            .extend_from_slice(bytes.get(opened..).unwrap_or_default());
        rx.rest.shrink_to(REST);
        if end {
            return Err(ended(rx));
        }
        Ok(empty)
    })
}

/// Opens the whole records of `bytes`; gives how many bytes they took.
fn open_records<S: Sink<Big = OwnedBinary>>(
    conn: &Conn,
    rx: &mut RxSide,
    bytes: &mut [u8],
    sink: &mut S,
) -> Result<usize, Fault> {
    let half = rx.half.as_mut().ok_or(Fault::Misuse)?;
    let mut opened = 0;
    while let Some(record) = half.open(bytes.get_mut(opened..).unwrap_or_default())? {
        opened += record.consumed;
        match record.content {
            Content::Data(data) => rx.reader.push(data, sink)?,
            Content::KeyUpdate { requested: true } => {
                conn.rekey.store(REKEY_OURS, Ordering::Release);
            }
            Content::KeyUpdate { requested: false } | Content::Ticket => {}
            Content::CloseNotify if rx.reader.is_between_frames() => return Err(Fault::Closed),
            Content::CloseNotify => return Err(truncated(0)),
            // No control message exists after the preamble yet.
            Content::Control(_) => return Err(merlon_record::Error::UnexpectedType(0).into()),
        }
    }
    if half.wants_key_update() {
        conn.rekey.store(REKEY_BOTH, Ordering::Release);
    }
    Ok(opened)
}

fn ended(rx: &RxSide) -> Fault {
    let end = rx
        .half
        .as_ref()
        .map(|half| half.end_of_stream(rx.rest.len()));
    match end {
        Some(Err(error)) => error.into(),
        _ => Fault::Closed,
    }
}

fn truncated(leftover: usize) -> Fault {
    merlon_record::Error::Truncated { leftover }.into()
}

/// Tells the peer what it did wrong.
fn complain(conn: &Conn, error: &Fault) {
    match error {
        Fault::Record(error) => {
            if let Some(alert) = error.alert() {
                last_word(conn, alert);
            }
        }
        Fault::Frame(_) => last_word(conn, DECODE_ERROR),
        _ => {}
    }
}

/// RFC 8446 6.2
const DECODE_ERROR: u8 = 50;

// ---- state ----

/// Makes the connection ready for data after the handshake; `behind` are bytes that came with it.
pub fn establish(conn: &Conn, tx: Tx, rx: Rx, shake: &mut Shake) -> Result<(), Fault> {
    let mut side = lock(&conn.rx)?;
    side.half = Some(rx);
    side.rest = std::mem::take(&mut shake.input);
    let mut side = lock(&conn.tx)?;
    side.half = Some(tx);
    side.pending = std::mem::take(&mut shake.output);
    Ok(())
}

#[rustler::nif]
fn limits(conn: ResourceArc<Conn>, max_frame: usize) -> rustler::Atom {
    if let Ok(mut rx) = conn.rx.lock() {
        rx.reader.set_max_frame(max_frame);
    }
    atoms::ok()
}

#[rustler::nif]
fn stats<'a>(env: Env<'a>, conn: ResourceArc<Conn>) -> NifResult<Term<'a>> {
    let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let count = &conn.counters;
    let (records_out, key_updates_out, unsent) = conn.tx.lock().map_or((0, 0, 0), |tx| {
        let half = tx.half.as_ref();
        let unsent = tx.pending.len() - tx.sent;
        (
            half.map_or(0, Tx::records),
            half.map_or(0, Tx::key_updates),
            unsent,
        )
    });
    let (records_in, key_updates_in) = conn.rx.lock().map_or((0, 0), |rx| {
        let half = rx.half.as_ref();
        (half.map_or(0, Rx::records), half.map_or(0, Rx::key_updates))
    });
    let pairs = [
        (atoms::frames_in(), load(&count.frames_in)),
        (atoms::frames_out(), load(&count.frames_out)),
        (atoms::bytes_in(), load(&count.bytes_in)),
        (atoms::bytes_out(), load(&count.bytes_out)),
        (atoms::records_in(), records_in),
        (atoms::records_out(), records_out),
        (atoms::key_updates_in(), key_updates_in),
        (atoms::key_updates_out(), key_updates_out),
        (atoms::unsent(), unsent as u64),
    ];
    Term::map_from_pairs(env, &pairs)
}
