//! Links to nodes of OTP's `inet_tls` (merlon_interop.erl says to which): TLS as everywhere here, and in it frames alone, those
//! of the dist handshake too.

use crate::conn::{lock, Conn, Kind, Proved, Session, Shake};
use crate::link;
use crate::pki::pki_error;
use crate::shake::{flush, Refusal, Stop};
use crate::term::{atoms, fault, Fault};
use merlon_pki::Claimed;
use merlon_tls::Foreign;
use rustler::{Binary, Encoder, Env, ResourceArc, Term};
use std::sync::Mutex;

/// A peer of another carrier will do. Before `dial` or `serve`.
#[rustler::nif]
fn foreign<'a>(env: Env<'a>, conn: ResourceArc<Conn>) -> Term<'a> {
    match lock(&conn.shake) {
        Ok(mut shake) => {
            shake.foreign = true;
            atoms::ok().encode(env)
        }
        Err(error) => fault(env, &error),
    }
}

/// Whether the certificate of a peer of another carrier allows it that name.
#[rustler::nif]
fn may_claim<'a>(env: Env<'a>, conn: ResourceArc<Conn>, name: Binary<'a>) -> Term<'a> {
    let Some(Kind::Foreign(stranger)) = conn.session.get().map(|session| &session.kind) else {
        return fault(env, &Fault::Misuse);
    };
    match Claimed::parse(&name).and_then(|name| stranger.may_claim(&name)) {
        Ok(()) => atoms::ok().encode(env),
        Err(error) => pki_error(env, &error),
    }
}

pub fn finish(conn: &Conn, shake: &mut Shake, foreign: Foreign) -> Result<Stop, Refusal> {
    let (tx, rx, stranger) = foreign.into_parts();
    let proved = Proved {
        peer: stranger.peer().clone(),
        keys: Vec::new(),
    };
    let session = Session {
        suite: stranger.suite,
        group: stranger.group,
        own_sha256: shake.own_sha256,
        kind: Kind::Foreign(stranger),
        proved: Mutex::new(proved),
    };
    conn.session.set(session).map_err(|_| Fault::Misuse)?;
    lock(&conn.tx)?.foreign = true;
    flush(conn, shake)?;
    link::establish(conn, tx, rx, shake)?;
    Ok(Stop::Foreign)
}
