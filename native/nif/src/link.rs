//! What both halves of the data path share: the key changes they owe, last words, state.

use crate::conn::{lock, Conn, Shake, TxSide};
use crate::plain;
use crate::term::{atoms, Fault};
use merlon_record::{Buffer, Rx, Tx};
use rustler::{Env, NifResult, ResourceArc, Term};
use std::io::ErrorKind;
use std::sync::atomic::Ordering;

/// What the sending half owes: nothing, a KeyUpdate, or one that asks the peer for its own.
pub const REKEY_NONE: u8 = 0;
pub const REKEY_OURS: u8 = 1;
pub const REKEY_BOTH: u8 = 2;

/// Writes until all is written or the socket is full; says how much was.
pub fn write_all(conn: &Conn, bytes: &[u8]) -> Result<usize, Fault> {
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

/// The sending half, which is there from the end of the handshake on.
pub fn half(tx: &mut TxSide) -> Result<&mut Tx, Fault> {
    tx.half.as_mut().ok_or(Fault::Misuse)
}

/// close_notify, or a fatal alert, when it can go out at once and whole.
pub fn last_word(conn: &Conn, alert: u8) {
    let Ok(mut tx) = conn.tx.try_lock() else {
        return;
    };
    if !tx.pending.is_empty() {
        return; // it would stand in the middle of a record
    }
    let mut bytes = Buffer::new();
    if half(&mut tx).is_ok_and(|half| half.alert(alert, &mut bytes).is_ok()) {
        let _ = write_all(conn, &bytes); // the peer may be gone: nobody is left to tell
    }
}

/// Sends close_notify if nothing is in its way. A peer that is gone would answer with a reset.
pub fn say_goodbye(conn: &Conn) {
    if !conn.gone.load(Ordering::Relaxed) {
        last_word(conn, 0);
    }
}

/// Makes the connection ready for data after the handshake, with what came behind it. What is left to be sent of it, the
/// dialling side's proof, goes out with the first packet, which is that side's too.
pub fn establish(conn: &Conn, tx: Tx, rx: Rx, shake: &mut Shake) -> Result<(), Fault> {
    let mut side = lock(&conn.rx)?;
    side.half = Some(rx);
    side.window = std::mem::take(&mut shake.input).into();
    let mut side = lock(&conn.tx)?;
    side.half = Some(tx);
    side.pending = std::mem::take(&mut shake.output).into();
    Ok(())
}

#[rustler::nif]
fn limits(conn: ResourceArc<Conn>, max_frame: usize) -> rustler::Atom {
    if let Ok(mut rx) = conn.rx.lock() {
        rx.frames.reader.set_max_frame(max_frame);
        rx.frames.lanes.set_max_frame(max_frame);
    }
    plain::after_handshake(&conn);
    atoms::ok()
}

#[rustler::nif]
fn stats<'a>(env: Env<'a>, conn: ResourceArc<Conn>) -> NifResult<Term<'a>> {
    let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let count = &conn.counters;
    let (records_out, key_updates_out, unsent, out) = conn.tx.lock().map_or((0, 0, 0, 0), |tx| {
        let half = tx.half.as_ref();
        let unsent = tx.pending.len() - tx.sent;
        (
            half.map_or(0, Tx::records),
            half.map_or(0, Tx::key_updates),
            unsent,
            tx.pending.capacity(),
        )
    });
    let (records_in, key_updates_in, buffers) = conn.rx.lock().map_or((0, 0, out), |rx| {
        let half = rx.half.as_ref();
        (
            half.map_or(0, Rx::records),
            half.map_or(0, Rx::key_updates),
            out + rx.window.capacity(),
        )
    });
    let pairs = [
        (atoms::frames_in(), load(&count.frames_in)),
        (atoms::frames_out(), load(&count.frames_out)),
        (atoms::bytes_in(), load(&count.bytes_in)),
        (atoms::bytes_out(), load(&count.bytes_out)),
        (atoms::controls_in(), load(&count.controls_in)),
        (atoms::controls_unknown(), load(&count.controls_unknown)),
        (atoms::records_in(), records_in),
        (atoms::records_out(), records_out),
        (atoms::key_updates_in(), key_updates_in),
        (atoms::key_updates_out(), key_updates_out),
        (atoms::unsent(), unsent as u64),
        (atoms::buffers(), buffers as u64),
    ];
    Term::map_from_pairs(env, &pairs)
}
