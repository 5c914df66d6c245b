//! The receiving half of the data path: from the socket to opened records to frames.

use crate::conn::{lock, Conn, Counters, Incoming, RxSide};
use crate::frames::{Frames, Queue};
use crate::link::{last_word, REKEY_BOTH, REKEY_OURS};
use crate::select::Ready;
use crate::send::spent;
use crate::term::{atoms, binary, fault, ok, Fault};
use crate::window::{READ, REST};
use merlon_record::{Content, Opened, Rx};
use merlon_wire::frame::Sink;
use merlon_wire::lane::{self, Part};
use rustler::{Binary, Encoder, Env, NifResult, OwnedBinary, ResourceArc, Term};
use std::io::ErrorKind;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Frames from this many bytes on get a binary of their own.
pub const BIG_FRAME: usize = 4096;
/// Records opened in one call: those of a byte each would take many times as long as full ones.
const RECORDS: u64 = 1024;
/// So many bytes at once are a part of a stream.
const STREAM: usize = 64 * 1024;
/// So many bytes at once are no answer that another follows soon, but most likely the end of a burst.
const BURST: usize = 32 * 1024;
/// Bytes that count as much as a record does (`spent`).
const RECORD_COST: usize = 512;
/// What a look in vain costs, as bytes: 400 reductions. At each switch to a process the VM adds 400 and what was used,
/// times those who wait, to a counter, or takes off what was used if nobody waits; at 40,000 (`+swt medium`) it wakes
/// another scheduler. Less would not make up for the switches of a round trip.
const VAIN_COST: usize = 90 * 1024;
/// What the dist handshake reads at once: what arrives behind it is kept, so not much.
const READ_HANDSHAKE: usize = 16 * 1024;

/// Readers of this VM that look again by themselves, each of which keeps a scheduler busy.
static LOOKING: AtomicUsize = AtomicUsize::new(0);

/// How a reader goes on.
enum Next {
    More,
    Look,
    /// There is nothing more for now: in the midst of a message so many bytes have come since it was said the last time.
    Wait(Option<usize>),
}

/// A place among those readers, free again when it is dropped.
pub struct Turn(());

impl Turn {
    /// While there are fewer than `most`.
    fn take(most: usize) -> Option<Self> {
        let more = |looking| (looking < most).then_some(looking + 1);
        let taken = LOOKING.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.ok().map(|_| Self(()))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        LOOKING.fetch_sub(1, Ordering::Relaxed);
    }
}

#[rustler::nif]
fn recv<'a>(env: Env<'a>, conn: ResourceArc<Conn>, goes_on: Term<'a>) -> NifResult<Term<'a>> {
    let pauses = goes_on == atoms::pause().encode(env);
    let looking: usize = if pauses { 0 } else { goes_on.decode()? };
    let mut frames = Frames::default();
    let mut controls = Vec::new();
    let mut counted = (0, 0);
    let result = lock(&conn.rx).and_then(|mut rx| {
        let ahead = rx.ahead.take();
        let own = ahead.is_none();
        let received = ahead.unwrap_or_else(|| read_part(&conn, &mut rx));
        frames = received.frames;
        counted = received.counted;
        let result = rx_end(&conn, &mut rx, received.result, frames.count().0 > 0);
        controls = rx.frames.control.take();
        // Less than a whole frame is a part of something long.
        let part = rx.window.len() > 0 || !rx.frames.is_between();
        let short = !part && (rx.read == 0 || counted.0 > 0 && rx.read < BURST);
        let turn = rx.turn.take();
        rx.turn = match looking > 0 && short && matches!(result, Ok(true)) {
            true => turn.or_else(|| Turn::take(looking)),
            false => None,
        };
        match received.cost {
            _ if !own => {}
            0 if rx.turn.is_some() => spent(env, VAIN_COST),
            cost => spent(env, cost),
        }
        rx.unsaid = rx.unsaid.saturating_add(rx.read);
        result.map(|empty| match (empty, rx.turn.is_some()) {
            (true, true) => Next::Look,
            (true, false) => {
                let bytes = std::mem::take(&mut rx.unsaid);
                Next::Wait(part.then_some(bytes))
            }
            (false, _) => Next::More,
        })
    });
    let (count, bytes) = counted;
    Counters::add(&conn.counters.frames_in, count);
    Counters::add(&conn.counters.bytes_in, bytes);
    let armed = result.and_then(|next| match next {
        Next::More => Ok(atoms::more().encode(env)),
        Next::Look => Ok(atoms::empty().encode(env)),
        Next::Wait(part) => {
            if part.is_none() || !pauses {
                conn.await_ready(env, Ready::Input)?;
            }
            let part = part.map(|bytes| (atoms::part(), bytes).encode(env));
            Ok(part.unwrap_or_else(|| atoms::wait().encode(env)))
        }
    });
    Ok(match armed {
        Ok(next) if controls.is_empty() => (frames.into_list(env), next).encode(env),
        Ok(next) => {
            Counters::add(&conn.counters.controls_in, controls.len());
            let controls: Vec<_> = controls.iter().map(|bytes| binary(env, bytes)).collect();
            (frames.into_list(env), next, controls).encode(env)
        }
        Err(error) => fault(env, &error),
    })
}

/// What one call has read and opened.
pub struct Received {
    frames: Frames,
    /// Frames and bytes, without what only says that the peer lives.
    counted: (usize, usize),
    /// True: the socket has nothing for now.
    result: Result<bool, Fault>,
    /// In bytes, of which records of a few count as more.
    cost: usize,
}

fn read_part(conn: &Conn, rx: &mut RxSide) -> Received {
    let mut frames = Frames::default();
    rx.frames.control.open();
    for frame in rx.queue.drain(..) {
        frames.owned(frame);
    }
    let before = rx.half.as_ref().map_or(0, Rx::records);
    let result = read_records(conn, rx, READ, &mut frames, |_| true);
    // A big frame may be longer under way than net_ticktime: its bytes say that the peer lives.
    let records = rx.half.as_ref().map_or(0, Rx::records) - before;
    let counted = frames.count();
    if counted.0 == 0 && (records > 0 || rx.plain.is_some() && rx.read > 0) {
        frames.tick();
    }
    let records = usize::try_from(records).unwrap_or(usize::MAX);
    Received {
        frames,
        counted,
        result,
        cost: rx.read.max(records.saturating_mul(RECORD_COST)),
    }
}

/// Reads and opens what the next `recv` gives, whoever calls it.
#[rustler::nif]
fn read_ahead<'a>(env: Env<'a>, conn: ResourceArc<Conn>) -> Term<'a> {
    let read = lock(&conn.rx).map(|mut rx| {
        if rx.ahead.is_none() && !rx.closed {
            let part = read_part(&conn, &mut rx);
            spent(env, part.cost);
            rx.ahead = Some(part);
        }
    });
    match read {
        Ok(()) => atoms::ok().encode(env),
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

/// As `recv_one`, and the frame stays for the next call.
#[rustler::nif]
fn peek_one<'a>(env: Env<'a>, conn: ResourceArc<Conn>) -> Term<'a> {
    let first = lock(&conn.rx).and_then(|mut rx| {
        let frame = next_queued(&conn, &mut rx)?;
        Ok(frame.map(|frame| {
            let copy = binary(env, &frame);
            rx.queue.push_front(frame);
            copy
        }))
    });
    match first {
        Ok(Some(frame)) => ok(env, frame),
        Ok(None) => match conn.await_ready(env, Ready::Input) {
            Ok(()) => atoms::wait().encode(env),
            Err(error) => fault(env, &error),
        },
        Err(error) => fault(env, &error),
    }
}

fn next_queued(conn: &Conn, rx: &mut RxSide) -> Result<Option<OwnedBinary>, Fault> {
    loop {
        if let Some(frame) = rx.queue.pop_front() {
            return Ok(Some(frame));
        }
        let mut queue = Queue(std::mem::take(&mut rx.queue));
        let result = read_records(conn, rx, READ_HANDSHAKE, &mut queue, |queue| {
            queue.0.is_empty() // what follows may be subject to other limits
        });
        rx.queue = queue.0;
        let queued = !rx.queue.is_empty();
        if rx_end(conn, rx, result, queued)? && !queued {
            return Ok(None);
        }
    }
}

/// Opens what was left, reads once, opens that, as long as the sink takes `more` and it is not too many records: then
/// the rest is left for the next call. True: the socket has nothing for now.
fn read_records<S: Sink<Big = OwnedBinary>>(
    conn: &Conn,
    rx: &mut RxSide,
    most: usize,
    sink: &mut S,
    more: impl Fn(&S) -> bool,
) -> Result<bool, Fault> {
    rx.read = 0; // what an earlier call has read is no sign of life any more
    if let Some(end) = rx.end.take() {
        return Err(end);
    }
    let mut window = std::mem::take(&mut rx.window);
    // An end of the stream counts after what is left of the last read.
    let (read, empty, end) = if window.len() > REST {
        (0, false, false)
    } else {
        let room = window.room(most)?;
        let asked = room.len();
        match conn.handle.with(|sock| sock.read(room)) {
            // There is more of a stream by the time that this has been opened, and to be woken for it costs some ten calls.
            Ok(n) => (n, n < asked && n < STREAM, n == 0),
            Err(error) if error.kind() == ErrorKind::WouldBlock => (0, true, false),
            Err(error) => return Err(error.into()),
        }
    };
    rx.read = read;
    window.filled(read);
    let (opened, all) = open_records(conn, rx, window.bytes(), sink, &more)?;
    window.opened(opened);
    rx.window = window;
    if end && all && more(sink) {
        conn.gone.store(true, Ordering::Relaxed);
        return Err(ended(rx));
    }
    Ok(empty && all)
}

/// Opens the whole records of `bytes` while the sink takes more; gives how many bytes they took, and false if there may
/// be more of them than one call opens.
fn open_records<S: Sink<Big = OwnedBinary>>(
    conn: &Conn,
    rx: &mut RxSide,
    bytes: &mut [u8],
    sink: &mut S,
    more: impl Fn(&S) -> bool,
) -> Result<(usize, bool), Fault> {
    if let Some(length) = rx.plain {
        return Ok((length.take(bytes, &mut rx.frames.reader, sink)?, true));
    }
    let (mut opened, mut left) = (0, RECORDS);
    while let Some(next) = bytes.get_mut(opened..).filter(|_| left > 0 && more(sink)) {
        match open_record(conn, rx, next, sink)? {
            Some(consumed) => opened += consumed,
            None => break,
        }
        left -= 1;
    }
    let half = rx.half.as_mut().ok_or(Fault::Misuse)?;
    if half.wants_key_update() {
        conn.rekey.store(REKEY_BOTH, Ordering::Release);
    }
    Ok((opened, left > 0))
}

/// Opens the first record of `bytes`, right where it belongs if it goes on a big frame, which a full one that follows
/// another of that frame most likely does; gives how many bytes it took.
fn open_record<S: Sink<Big = OwnedBinary>>(
    conn: &Conn,
    rx: &mut RxSide,
    bytes: &mut [u8],
    sink: &mut S,
) -> Result<Option<usize>, Fault> {
    let half = rx.half.as_mut().ok_or(Fault::Misuse)?;
    let full = half.peek(bytes).filter(|len| *len == lane::STEP + 1);
    let Some((likely, place)) = full.and_then(|len| rx.frames.lanes.place(len, sink)) else {
        let Some(Opened { consumed, content }) = half.open(bytes)? else {
            return Ok(None);
        };
        take(conn, &mut rx.frames, content, sink)?;
        return Ok(Some(consumed));
    };
    let Some(Opened { consumed, content }) = half.open_to(bytes, place)? else {
        return Ok(None);
    };
    match content {
        Content::Lane(lane, data) if usize::from(lane.number()) == likely => {
            let len = data.len();
            rx.frames.lanes.placed(len, Part::Some, sink)?;
        }
        Content::LastOnLane(lane, data) if usize::from(lane.number()) == likely => {
            let len = data.len();
            rx.frames.lanes.placed(len, Part::Last, sink)?;
        }
        // Seldom: something else came between. The place is written again by what belongs there.
        content => {
            let mut copy = Vec::new();
            let content = aside(content, &mut copy);
            take(conn, &mut rx.frames, content, sink)?;
        }
    }
    Ok(Some(consumed))
}

/// The same content with its bytes in `copy`.
fn aside<'a>(content: Content<'_>, copy: &'a mut Vec<u8>) -> Content<'a> {
    match content {
        Content::Data(data) => {
            copy.extend_from_slice(data);
            Content::Data(copy)
        }
        Content::Lane(lane, data) => {
            copy.extend_from_slice(data);
            Content::Lane(lane, copy)
        }
        Content::LastOnLane(lane, data) => {
            copy.extend_from_slice(data);
            Content::LastOnLane(lane, copy)
        }
        Content::Control(data) => {
            copy.extend_from_slice(data);
            Content::Control(copy)
        }
        Content::KeyUpdate { requested } => Content::KeyUpdate { requested },
        Content::Ticket => Content::Ticket,
        Content::CloseNotify => Content::CloseNotify,
    }
}

fn take<S: Sink<Big = OwnedBinary>>(
    conn: &Conn,
    frames: &mut Incoming,
    content: Content<'_>,
    sink: &mut S,
) -> Result<(), Fault> {
    match content {
        Content::Data(data) => frames.reader.push(data, sink)?,
        Content::Lane(lane, data) => {
            let lane = lane.number().into();
            frames.lanes.push(lane, Part::Some, data, sink)?;
        }
        Content::LastOnLane(lane, data) => {
            let lane = lane.number().into();
            frames.lanes.push(lane, Part::Last, data, sink)?;
        }
        Content::KeyUpdate { requested: true } => conn.rekey.store(REKEY_OURS, Ordering::Release),
        Content::KeyUpdate { requested: false } | Content::Ticket => {}
        Content::CloseNotify if frames.is_between() => return Err(Fault::Closed),
        Content::CloseNotify => return Err(truncated(0)),
        Content::Control(data) => frames.control.push(data)?,
    }
    Ok(())
}

fn ended(rx: &RxSide) -> Fault {
    if rx.plain.is_some() && !(rx.window.len() == 0 && rx.frames.is_between()) {
        return truncated(rx.window.len());
    }
    let end = rx
        .half
        .as_ref()
        .map(|half| half.end_of_stream(rx.window.len()));
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
