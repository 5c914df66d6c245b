//! Proofs on a link that is up: what this node shows, and what the peer has shown.

use crate::conn::{lock, Conn, Counters, Proved, Session};
use crate::identity::{self, Identity};
use crate::pki::pki_reason;
use crate::shake::roots;
use crate::term::{atom, atoms, binary, error, fault, hex, ok, Fault};
use merlon_secret::{KeyId, Root};
use merlon_tls::{Binding, Error};
use merlon_wire::control::{Certificate, KeyProof, Message};
use merlon_wire::preamble::MAX_KEYS;
use rustler::{Binary, Encoder, Env, ListIterator, NifResult, ResourceArc, Term};

/// `{ok, Message}`: the certificate of `local`, with proof that its key is held.
#[rustler::nif(schedule = "DirtyCpu")]
fn live_certificate<'a>(
    env: Env<'a>,
    conn: ResourceArc<Conn>,
    local: ResourceArc<Identity>,
) -> Term<'a> {
    message(env, &conn, |binding| binding.certificate(&local.local))
}

/// `{ok, Message}`: proofs of the secrets that are good now.
#[rustler::nif]
fn live_keys<'a>(
    env: Env<'a>,
    conn: ResourceArc<Conn>,
    local: ResourceArc<Identity>,
    secrets: ListIterator<'a>,
) -> NifResult<Term<'a>> {
    let roots = roots(secrets, &local.cluster)?;
    Ok(message(env, &conn, |binding| binding.keys(&roots)))
}

fn message<'a>(
    env: Env<'a>,
    conn: &Conn,
    make: impl FnOnce(&Binding) -> Result<Vec<u8>, Error>,
) -> Term<'a> {
    match conn.session.get().and_then(Session::binding).map(make) {
        Some(Ok(bytes)) => ok(env, binary(env, &bytes)),
        Some(Err(refused)) => error(env, atom(env, refused.code())),
        None => fault(env, &Fault::Misuse),
    }
}

/// The message that asks the peer for its proofs.
#[rustler::nif]
fn live_ask(env: Env) -> Term {
    binary(env, &Message::Ask.encode().unwrap_or_default())
}

/// `#{own, proved}`: the fingerprint that this node showed in the handshake, and the ids of the secrets that the peer has
/// proved.
#[rustler::nif]
fn live_state<'a>(env: Env<'a>, conn: ResourceArc<Conn>) -> NifResult<Term<'a>> {
    let Some(session) = conn.session.get().filter(|s| s.binding().is_some()) else {
        return Ok(Term::map_new(env));
    };
    let proved = lock(&session.proved).map(|proved| proved.keys.clone());
    let proved: Vec<_> = ids(env, &proved.unwrap_or_default());
    let own = binary(env, hex(&session.own_sha256).as_bytes());
    Term::map_from_pairs(
        env,
        &[(atoms::own(), own), (atoms::proved(), proved.encode(env))],
    )
}

fn ids<'a>(env: Env<'a>, keys: &[KeyId]) -> Vec<Term<'a>> {
    keys.iter()
        .map(|id| binary(env, hex(&id.0).as_bytes()))
        .collect()
}

/// Takes a message of the peer: judges what it shows, and keeps what is good.
#[rustler::nif(schedule = "DirtyCpu")]
fn live_take<'a>(
    env: Env<'a>,
    conn: ResourceArc<Conn>,
    local: ResourceArc<Identity>,
    secrets: ListIterator<'a>,
    now: u64,
    message: Binary<'a>,
) -> NifResult<Term<'a>> {
    let session = conn.session.get();
    let Some((session, binding)) = session.and_then(|s| Some((s, s.binding()?))) else {
        return Ok(fault(env, &Fault::Misuse));
    };
    let bound = (session, binding);
    Ok(match Message::decode(&message) {
        Ok(Message::Certificate(shown)) => certificate(env, bound, &local, &shown, now),
        Ok(Message::Keys(proofs)) => {
            let roots = roots(secrets, &local.cluster)?;
            keys(env, bound, &roots, &proofs)
        }
        Ok(Message::Ask) => atoms::ask().encode(env),
        Ok(Message::Unknown(_)) => {
            Counters::add(&conn.counters.controls_unknown, 1);
            atoms::unknown().encode(env)
        }
        Err(bad) => error(env, atom(env, bad.code())),
    })
}

/// `{certificate, Fingerprint, NotAfter, Identity}`, `{untrusted, Reason}`, `{error, Code}`.
fn certificate<'a>(
    env: Env<'a>,
    (session, binding): (&Session, &Binding),
    local: &Identity,
    shown: &Certificate,
    now: u64,
) -> Term<'a> {
    let mut proved = match lock(&session.proved) {
        Ok(proved) => proved,
        Err(poisoned) => return fault(env, &poisoned),
    };
    let accepted = binding.accept(&local.local, shown, &proved.peer, now);
    match accepted {
        Ok(peer) => {
            let told = (
                atoms::certificate(),
                binary(env, hex(peer.sha256()).as_bytes()),
                peer.not_after(),
                identity::to_term(env, peer.identity()),
            );
            proved.peer = peer;
            told.encode(env)
        }
        Err(Error::Certificate(reason)) => {
            (atoms::untrusted(), pki_reason(env, &reason)).encode(env)
        }
        Err(refused) => error(env, atom(env, refused.code())),
    }
}

/// `{keys, Proved, Unknown}`: the ids that were proved, and how many others there were; `{error, Code}`.
fn keys<'a>(
    env: Env<'a>,
    (session, binding): (&Session, &Binding),
    roots: &[Root],
    proofs: &[KeyProof],
) -> Term<'a> {
    let of = |proof: &KeyProof| roots.iter().find(|root| root.key_id().0 == proof.key_id);
    let mut found = Vec::new();
    for proof in proofs {
        let Some(root) = of(proof) else { continue };
        if let Err(refused) = binding.verify(root, &proof.tag) {
            return error(env, atom(env, refused.code()));
        }
        found.push(root.key_id());
    }
    match lock(&session.proved) {
        Ok(mut proved) => remember(&mut proved, &found),
        Err(poisoned) => return fault(env, &poisoned),
    }
    let unknown = proofs.len() - found.len();
    (atoms::keys(), ids(env, &found), unknown).encode(env)
}

/// A link on which a keyring's entry was proved does not stand on the VM's cookie any more. Entries that are gone give
/// way to new ones.
fn remember(proved: &mut Proved, found: &[KeyId]) {
    let others = |id: &KeyId| *id != KeyId::VM_COOKIE && !found.contains(id);
    if found.is_empty() {
        return;
    }
    proved.keys.retain(others);
    proved.keys.splice(0..0, found.iter().copied());
    proved.keys.truncate(MAX_KEYS);
}
