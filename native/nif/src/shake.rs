//! Handshakes over a connection's socket.

use crate::conn::{lock, Conn, Kind, Proved, Session, Shake, Stage};
use crate::foreign;
use crate::identity::{self, Identity};
use crate::keyring::KeyringEntry;
use crate::link;
use crate::plain;
use crate::select::Ready;
use crate::term::{atom, atoms, binary, error, fault, hex, ok, Fault};
use merlon_pki::{Claimed as ClaimedName, NodeName};
use merlon_secret::{KeyId, PairKey, Root};
use merlon_tls::{Claimed, Established, Failure, Handshake, Info, Progress, Seen};
use rustler::{Atom, Binary, Encoder, Env, ListIterator, NifResult, ResourceArc, Term};
use std::io::ErrorKind;
use std::sync::Mutex;

/// Read at once during a handshake: what comes behind it is kept, so not much.
const READ: usize = 4096;

/// Why a handshake did not become a link.
pub enum Refusal {
    /// Of the connection, before or beside TLS.
    Fault(Fault),
    /// Of TLS or preamble.
    Failure(Box<Failure>),
}

impl<E: Into<Fault>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Refusal::Fault(error.into())
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Refusal::Failure(Box::new(failure))
    }
}

impl From<merlon_tls::Error> for Refusal {
    fn from(error: merlon_tls::Error) -> Self {
        Refusal::Failure(Box::new(Failure {
            error,
            peer: None,
            claimed: None,
        }))
    }
}

/// Where `advance` stopped.
pub enum Stop {
    Wait(Ready),
    Claim,
    Established,
    /// With a node of another carrier, that has not said yet which one it is.
    Foreign,
    Join,
}

#[rustler::nif]
fn dial<'a>(
    env: Env<'a>,
    conn: ResourceArc<Conn>,
    local: ResourceArc<Identity>,
    own: Binary<'a>,
    target: Binary<'a>,
    secrets: ListIterator<'a>,
    now: u64,
) -> NifResult<Term<'a>> {
    let roots = roots(secrets, &local.cluster)?;
    let result = start_dial(&conn, &local, &own, &target, roots, now);
    Ok(done(env, result))
}

fn start_dial(
    conn: &Conn,
    local: &Identity,
    own: &[u8],
    target: &[u8],
    roots: Vec<Root>,
    now: u64,
) -> Result<(), Refusal> {
    let mut shake = lock(&conn.shake)?;
    let claimed = ClaimedName::parse(own).map_err(|_| Fault::Misuse)?;
    let node = std::str::from_utf8(target).map_err(|_| Fault::Misuse)?;
    let node = NodeName::parse(node).map_err(|_| Fault::Misuse)?;
    let keys = keys(&roots, own, target);
    shake.roots = roots;
    shake.own_label = label(local.peer.identity(), own);
    shake.own_sha256 = *local.peer.sha256();
    let dial = match shake.foreign {
        true => Handshake::dial_either,
        false => Handshake::dial,
    };
    shake.stage = Stage::Running(dial(&local.local, &claimed, &node, keys, now)?);
    Ok(())
}

#[rustler::nif]
fn serve<'a>(
    env: Env<'a>,
    conn: ResourceArc<Conn>,
    local: ResourceArc<Identity>,
    own: Binary<'a>,
    now: u64,
) -> Term<'a> {
    done(env, start_serve(&conn, &local, &own, now))
}

fn start_serve(conn: &Conn, local: &Identity, own: &[u8], now: u64) -> Result<(), Refusal> {
    start_accept(conn, local, own, |node| {
        Handshake::accept(&local.local, node, now)
    })
}

pub fn start_accept(
    conn: &Conn,
    local: &Identity,
    own: &[u8],
    accept: impl FnOnce(&NodeName) -> Handshake,
) -> Result<(), Refusal> {
    let mut shake = lock(&conn.shake)?;
    let node = std::str::from_utf8(own).map_err(|_| Fault::Misuse)?;
    let node = NodeName::parse(node).map_err(|_| Fault::Misuse)?;
    shake.own = own.to_vec();
    shake.own_label = label(local.peer.identity(), own);
    shake.own_sha256 = *local.peer.sha256();
    shake.cluster.clone_from(&local.cluster);
    let accepting = accept(&node);
    shake.stage = Stage::Running(match shake.foreign {
        true => accepting.with_foreign(),
        false => accepting,
    });
    Ok(())
}

/// An asymmetric handshake step of either side takes well under a millisecond.
#[rustler::nif]
fn advance<'a>(env: Env<'a>, conn: ResourceArc<Conn>) -> Term<'a> {
    let stop = lock(&conn.shake)
        .map_err(Refusal::from)
        .and_then(|mut shake| {
            let stop = run(&conn, &mut shake);
            if stop.is_err() {
                let _ = flush(&conn, &mut shake); // the alert, as far as it goes out
            }
            stop
        });
    match stop {
        Ok(Stop::Wait(ready)) => match conn.await_ready(env, ready) {
            Ok(()) => atoms::wait().encode(env),
            Err(error) => refused(env, &error.into()),
        },
        Ok(Stop::Claim) => match claim(env, &conn) {
            Ok(claim) => (atoms::claim(), claim).encode(env),
            Err(error) => refused(env, &error.into()),
        },
        Ok(Stop::Established) => atoms::established().encode(env),
        Ok(Stop::Foreign) => atoms::foreign().encode(env),
        Ok(Stop::Join) => atoms::join().encode(env),
        Err(refusal) => refused(env, &refusal),
    }
}

fn run(conn: &Conn, shake: &mut Shake) -> Result<Stop, Refusal> {
    loop {
        if !flush(conn, shake)? {
            return Ok(Stop::Wait(Ready::Output));
        }
        let handshake = match std::mem::take(&mut shake.stage) {
            Stage::Running(handshake) => handshake,
            _ => return Err(Fault::Misuse.into()),
        };
        match handshake.advance(&mut shake.input, &mut shake.output)? {
            Progress::Claim(claimed) => {
                shake.stage = Stage::Claimed(claimed);
                return Ok(Stop::Claim);
            }
            Progress::Done(established) => return finish(conn, shake, *established),
            Progress::Foreign(foreign) => return foreign::finish(conn, shake, *foreign),
            Progress::Join(join) => {
                shake.stage = Stage::Join(join);
                return Ok(Stop::Join);
            }
            Progress::More(handshake) if !shake.output.is_empty() => {
                shake.stage = Stage::Running(handshake);
            }
            Progress::More(handshake) => match read(conn, shake) {
                Ok(0) => return Err(handshake.closed().into()),
                Ok(_) => shake.stage = Stage::Running(handshake),
                Err(Fault::System(error)) if error.kind() == ErrorKind::WouldBlock => {
                    shake.stage = Stage::Running(handshake);
                    return Ok(Stop::Wait(Ready::Input));
                }
                Err(error) => return Err(error.into()),
            },
        }
    }
}

fn finish(conn: &Conn, shake: &mut Shake, established: Established) -> Result<Stop, Refusal> {
    let (tx, rx, info, peer, binding) = established.into_parts();
    let roots = std::mem::take(&mut shake.roots);
    let root = roots
        .iter()
        .find(|root| root.key_id() == info.key_id)
        .ok_or(Fault::Misuse)?;
    let cookie = root.pair_cookie(&shake.own_label, &label(peer.identity(), &info.peer_name));
    let proved = Proved {
        peer,
        keys: vec![info.key_id],
    };
    let session = Session {
        suite: info.suite,
        group: info.group,
        own_sha256: shake.own_sha256,
        kind: Kind::Merlon { cookie, binding },
        proved: Mutex::new(proved),
    };
    conn.session.set(session).map_err(|_| Fault::Misuse)?;
    link::establish(conn, tx, rx, shake)?;
    Ok(Stop::Established)
}

pub fn read(conn: &Conn, shake: &mut Shake) -> Result<usize, Fault> {
    let mut buffer = [0; READ];
    let n = conn.handle.with(|sock| sock.read(&mut buffer))?;
    shake
        .input
        .extend_from_slice(buffer.get(..n).unwrap_or_default());
    Ok(n)
}

/// True: nothing is left to write.
pub fn flush(conn: &Conn, shake: &mut Shake) -> Result<bool, Fault> {
    while !shake.output.is_empty() {
        match conn.handle.with(|sock| sock.write(&shake.output)) {
            Ok(n) => drop(shake.output.drain(..n)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(true)
}

// ---- the client's claim ----

fn claim<'a>(env: Env<'a>, conn: &Conn) -> Result<Term<'a>, Fault> {
    let shake = lock(&conn.shake)?;
    let Stage::Claimed(claimed) = &shake.stage else {
        return Err(Fault::Misuse);
    };
    let claim = claimed.claim();
    let ids = claim.key_ids.iter();
    let key_ids: Vec<Term> = ids.map(|id| binary(env, hex(&id.0).as_bytes())).collect();
    let pairs = [
        (atoms::name(), binary(env, claim.name)),
        (
            atoms::identity(),
            identity::to_term(env, claim.peer.identity()),
        ),
        (
            atoms::fingerprint(),
            binary(env, hex(claim.peer.sha256()).as_bytes()),
        ),
        (atoms::key_ids(), key_ids.encode(env)),
    ];
    Term::map_from_pairs(env, &pairs).map_err(|_| Fault::Misuse)
}

#[rustler::nif]
fn prove<'a>(
    env: Env<'a>,
    conn: ResourceArc<Conn>,
    secrets: ListIterator<'a>,
) -> NifResult<Term<'a>> {
    let mut shake = match lock(&conn.shake) {
        Ok(shake) => shake,
        Err(error) => return Ok(refused(env, &error.into())),
    };
    let roots = roots(secrets, &shake.cluster)?;
    let result = answer(&mut shake, roots);
    if result.is_err() {
        let _ = flush(&conn, &mut shake); // the alert, as far as it goes out
    }
    Ok(done(env, result))
}

fn answer(shake: &mut Shake, roots: Vec<Root>) -> Result<(), Refusal> {
    let claimed = take_claim(shake)?;
    let name = claimed.claim().name.to_vec();
    let own = shake.own.clone();
    let keys = keys(&roots, &name, &own);
    shake.roots = roots;
    shake.stage = Stage::Running(claimed.prove(keys, &mut shake.output)?);
    Ok(())
}

fn take_claim(shake: &mut Shake) -> Result<Box<Claimed>, Fault> {
    match std::mem::take(&mut shake.stage) {
        Stage::Claimed(claimed) => Ok(claimed),
        _ => Err(Fault::Misuse),
    }
}

// ---- secrets ----

pub fn roots(secrets: ListIterator, cluster: &str) -> NifResult<Vec<Root>> {
    secrets
        .filter_map(|secret| root(secret, cluster).transpose())
        .collect()
}

/// None of an entry that is not good now.
fn root(secret: Term, cluster: &str) -> NifResult<Option<Root>> {
    if let Ok((kind, entry, now)) = secret.decode::<(Atom, ResourceArc<KeyringEntry>, u64)>() {
        return match kind == atoms::keyring() {
            true => Ok(entry.0.root(cluster, now)),
            false => Err(rustler::Error::BadArg),
        };
    }
    let (kind, cookie): (Atom, Binary) = secret.decode()?;
    if kind != atoms::vm_cookie() {
        return Err(rustler::Error::BadArg);
    }
    let root = Root::from_vm_cookie(&cookie, cluster);
    root.map(Some).map_err(|_| rustler::Error::BadArg)
}

/// The keys of this pair of nodes.
fn keys(roots: &[Root], a: &[u8], b: &[u8]) -> Vec<(KeyId, PairKey)> {
    roots
        .iter()
        .map(|root| (root.key_id(), root.pair_key(a, b)))
        .collect()
}

/// What stands for a party in the pair cookie. Tools have a new name at every run: all of a host
/// share one cookie with a node, so that the VM's atom table does not grow with each.
fn label(identity: &merlon_pki::Identity, name: &[u8]) -> Vec<u8> {
    match identity {
        merlon_pki::Identity::Node { .. } => name.to_vec(),
        merlon_pki::Identity::Cli { host, .. } => format!("@{host}").into_bytes(),
        merlon_pki::Identity::Hosts { .. } => Vec::new(), // has no pair cookie
    }
}

#[rustler::nif]
fn pair_cookie<'a>(env: Env<'a>, conn: ResourceArc<Conn>) -> Term<'a> {
    match conn.session.get().map(|session| &session.kind) {
        Some(Kind::Merlon { cookie, .. }) => ok(env, binary(env, cookie.expose().as_bytes())),
        Some(Kind::Foreign(_)) => atoms::none().encode(env),
        None if plain::is_plain(&conn) => atoms::none().encode(env),
        None => fault(env, &Fault::Misuse),
    }
}

// ---- what Erlang is told ----

#[rustler::nif]
fn link_info<'a>(env: Env<'a>, conn: ResourceArc<Conn>) -> NifResult<Term<'a>> {
    let Some(session) = conn.session.get() else {
        return Ok(Term::map_new(env));
    };
    let peer = match lock(&session.proved) {
        Ok(proved) => proved.peer.clone(),
        Err(_) => return Ok(Term::map_new(env)),
    };
    let pairs = [
        (atoms::identity(), identity::to_term(env, peer.identity())),
        (
            atoms::fingerprint(),
            binary(env, hex(peer.sha256()).as_bytes()),
        ),
        (atoms::not_after(), peer.not_after().encode(env)),
        (
            atoms::tls_version(),
            binary(env, Info::TLS_VERSION.as_bytes()),
        ),
        (atoms::cipher_suite(), binary(env, session.suite.as_bytes())),
        (
            atoms::key_exchange_group(),
            binary(env, session.group.as_bytes()),
        ),
    ];
    Term::map_from_pairs(env, &pairs)
}

pub fn done(env: Env, result: Result<(), Refusal>) -> Term {
    match result {
        Ok(()) => atoms::ok().encode(env),
        Err(refusal) => refused(env, &refusal),
    }
}

pub fn refused<'a>(env: Env<'a>, refusal: &Refusal) -> Term<'a> {
    let mut pairs = match refusal {
        Refusal::Fault(fault) => vec![
            (atoms::phase(), atoms::tls().encode(env)),
            (atoms::reason(), atom(env, fault.name())),
            (
                atoms::text(),
                binary(env, b"the connection broke during the handshake"),
            ),
        ],
        Refusal::Failure(failure) => vec![
            (atoms::phase(), phase(failure).encode(env)),
            (atoms::reason(), atom(env, failure.error.code())),
            (
                atoms::text(),
                binary(env, failure.error.to_string().as_bytes()),
            ),
        ],
    };
    if let Refusal::Failure(failure) = refusal {
        if let Some(seen) = &failure.peer {
            pairs.extend(certificate(env, seen));
        }
        if let Some(name) = &failure.claimed {
            pairs.push((atoms::claimed(), binary(env, name)));
        }
    }
    Term::map_from_pairs(env, &pairs)
        .map_or_else(|_| fault(env, &Fault::Misuse), |map| error(env, map))
}

/// A peer that has named itself is beyond TLS.
fn phase(failure: &Failure) -> Atom {
    match failure.claimed {
        Some(_) => atoms::preamble(),
        None => atoms::tls(),
    }
}

fn certificate<'a>(env: Env<'a>, seen: &Seen) -> Vec<(Atom, Term<'a>)> {
    let mut pairs = vec![(
        atoms::fingerprint(),
        binary(env, hex(&seen.sha256).as_bytes()),
    )];
    if let Some(identity) = &seen.identity {
        pairs.push((atoms::identity(), identity::to_term(env, identity)));
    }
    pairs
}
