//! Joining: sessions in which a token is proven and a certificate handed out.

use crate::conn::{lock, Conn, Stage};
use crate::identity::{text, to_term, Identity};
use crate::pki::pki_error;
use crate::select::Ready;
use crate::shake::{self, done, flush, refused, Refusal};
use crate::term::{atoms, binary, error, fault, hex, ok, Fault};
use merlon_pki::NodeName;
use merlon_secret::{JoinKey, Role};
use merlon_tls::{Error, Handshake, Join, JoinEvent, JoinServer};
use rustler::{Atom, Binary, Encoder, Env, NifMap, NifResult, Resource, ResourceArc, Term};
use std::io::ErrorKind;
use std::sync::Arc;
use zeroize::Zeroizing;

mod words {
    rustler::atoms! { up, message, root, bad_proof }
}

/// What is shown to those who join.
pub struct Server(Arc<JoinServer>);

#[rustler::resource_impl]
impl Resource for Server {}

#[derive(NifMap)]
struct ServerArgs<'a> {
    /// Leaf first, the root last.
    chain: Binary<'a>,
    key: Binary<'a>,
    /// The root alone.
    root: Binary<'a>,
    now: u64,
}

/// `{ok, <<_:256>>}`
#[rustler::nif]
fn join_pin<'a>(env: Env<'a>, ca: Binary<'a>) -> NifResult<Term<'a>> {
    match merlon_pki::pin_of(&text(&ca)?) {
        Ok(pin) => Ok(ok(env, binary(env, &pin))),
        Err(error) => Ok(pki_error(env, &error)),
    }
}

/// `{ok, <<_:256>>}`
#[rustler::nif]
fn join_key<'a>(env: Env<'a>, id: Binary<'a>, secret: Binary<'a>) -> NifResult<Term<'a>> {
    let key = JoinKey::of_token(array(&id)?, array(&secret)?);
    Ok(ok(env, binary(env, key.expose())))
}

#[rustler::nif(schedule = "DirtyCpu")]
fn join_server<'a>(env: Env<'a>, args: ServerArgs<'a>) -> NifResult<Term<'a>> {
    let (chain, root) = (text(&args.chain)?, text(&args.root)?);
    let key = Zeroizing::new(text(&args.key)?);
    let pin = match merlon_pki::pin_of(&root) {
        Ok(pin) => pin,
        Err(error) => return Ok(pki_error(env, &error)),
    };
    match JoinServer::new(&chain, &key, &pin, args.now) {
        Ok(server) => Ok(ok(env, ResourceArc::new(Server(Arc::new(server))))),
        Err(Error::Certificate(error)) => Ok(pki_error(env, &error)),
        Err(_) => Ok(pki_error(env, &merlon_pki::Error::KeyMismatch)),
    }
}

/// Prepares the serving side on a port where nothing else is served.
#[rustler::nif]
fn join_accept<'a>(
    env: Env<'a>,
    conn: ResourceArc<Conn>,
    server: ResourceArc<Server>,
    now: u64,
) -> Term<'a> {
    done(env, start(&conn, Join::accept(&server.0, now)))
}

#[rustler::nif]
fn join_dial<'a>(
    env: Env<'a>,
    conn: ResourceArc<Conn>,
    pin: Binary<'a>,
    now: u64,
) -> NifResult<Term<'a>> {
    Ok(done(env, start(&conn, Join::dial(*array(&pin)?, now))))
}

pub fn start(conn: &Conn, join: Result<Join, Error>) -> Result<(), Refusal> {
    lock(&conn.shake)?.stage = Stage::Join(Box::new(join?));
    Ok(())
}

/// As `serve`, for nodes and for those who want to become one.
#[rustler::nif]
fn serve_joining<'a>(
    env: Env<'a>,
    conn: ResourceArc<Conn>,
    local: ResourceArc<Identity>,
    server: ResourceArc<Server>,
    own: Binary<'a>,
    now: u64,
) -> Term<'a> {
    let accept = |node: &NodeName| Handshake::accept_joining(&local.local, node, &server.0, now);
    done(env, shake::start_accept(&conn, &local, &own, accept))
}

/// Where `join_advance` stopped.
enum Stop {
    Wait(Ready),
    Up,
    Message(Zeroizing<Vec<u8>>),
}

#[rustler::nif]
fn join_advance(env: Env, conn: ResourceArc<Conn>) -> Term {
    match run(&conn) {
        Ok(Stop::Wait(ready)) => match conn.await_ready(env, ready) {
            Ok(()) => atoms::wait().encode(env),
            Err(error) => refused(env, &error.into()),
        },
        Ok(Stop::Up) => words::up().encode(env),
        Ok(Stop::Message(message)) => (words::message(), binary(env, &message)).encode(env),
        Err(refusal) => refused(env, &refusal),
    }
}

fn run(conn: &Conn) -> Result<Stop, Refusal> {
    let mut shake = lock(&conn.shake)?;
    let Stage::Join(mut join) = std::mem::take(&mut shake.stage) else {
        return Err(Fault::Misuse.into());
    };
    loop {
        if !flush(conn, &mut shake)? {
            shake.stage = Stage::Join(join);
            return Ok(Stop::Wait(Ready::Output));
        }
        let (mut input, mut output) = (
            std::mem::take(&mut shake.input),
            std::mem::take(&mut shake.output),
        );
        let event = join.advance(&mut input, &mut output);
        (shake.input, shake.output) = (input, output);
        let stop = match event {
            Ok(JoinEvent::Up) => Stop::Up,
            Ok(JoinEvent::Message(message)) => Stop::Message(message),
            Ok(JoinEvent::More) if !shake.output.is_empty() => continue,
            Ok(JoinEvent::More) => match shake::read(conn, &mut shake) {
                Ok(0) => return Err(join.closed().into()),
                Ok(_) => continue,
                Err(Fault::System(error)) if error.kind() == ErrorKind::WouldBlock => {
                    Stop::Wait(Ready::Input)
                }
                Err(error) => return Err(error.into()),
            },
            Err(failure) => {
                let _ = flush(conn, &mut shake); // the alert, as far as it goes out
                return Err(failure.into());
            }
        };
        shake.stage = Stage::Join(join);
        return Ok(stop);
    }
}

/// `ok`: all is written. `wait`: call `join_flush` when the socket is ready.
#[rustler::nif(schedule = "DirtyCpu")]
fn join_send<'a>(env: Env<'a>, conn: ResourceArc<Conn>, message: Binary<'a>) -> Term<'a> {
    let sent = with_join(&conn, |join, output| Ok(join.send(&message, output)?));
    match sent {
        Ok(()) => flushed(env, &conn),
        Err(refusal) => refused(env, &refusal),
    }
}

#[rustler::nif]
fn join_flush(env: Env, conn: ResourceArc<Conn>) -> Term {
    flushed(env, &conn)
}

fn flushed<'a>(env: Env<'a>, conn: &Conn) -> Term<'a> {
    let written = lock(&conn.shake).and_then(|mut shake| flush(conn, &mut shake));
    let result = match written {
        Ok(true) => Ok(atoms::ok()),
        Ok(false) => conn.await_ready(env, Ready::Output).map(|()| atoms::wait()),
        Err(error) => Err(error),
    };
    match result {
        Ok(word) => word.encode(env),
        Err(error) => refused(env, &error.into()),
    }
}

/// The own proof: `{ok, <<_:256>>}`.
#[rustler::nif]
fn join_proof<'a>(
    env: Env<'a>,
    conn: ResourceArc<Conn>,
    key: Binary<'a>,
    role: Atom,
) -> NifResult<Term<'a>> {
    let (key, role) = (JoinKey::from_bytes(array(&key)?), role_of(role)?);
    Ok(match with_join(&conn, |join, _| Ok(join.exporter()?)) {
        Ok(exporter) => ok(env, binary(env, &key.proof(role, exporter.expose()))),
        Err(refusal) => refused(env, &refusal),
    })
}

/// The peer's: `ok` or `{error, bad_proof}`.
#[rustler::nif]
fn join_check<'a>(
    env: Env<'a>,
    conn: ResourceArc<Conn>,
    key: Binary<'a>,
    role: Atom,
    tag: Binary<'a>,
) -> NifResult<Term<'a>> {
    let (key, role) = (JoinKey::from_bytes(array(&key)?), role_of(role)?);
    let checked = with_join(&conn, |join, _| Ok(join.exporter()?))
        .is_ok_and(|exporter| key.verify(role, exporter.expose(), &tag).is_ok());
    Ok(match checked {
        true => atoms::ok().encode(env),
        false => error(env, words::bad_proof()),
    })
}

/// Client: whom it talks to, `#{identity, fingerprint, root}`.
#[rustler::nif]
fn join_peer(env: Env, conn: ResourceArc<Conn>) -> NifResult<Term> {
    let server = with_join(&conn, |join, _| {
        join.server().ok_or_else(|| Fault::Misuse.into())
    });
    let (peer, root) = match server {
        Ok(server) => server,
        Err(_) => return Ok(fault(env, &Fault::Misuse)),
    };
    let pairs = [
        (atoms::identity().encode(env), to_term(env, peer.identity())),
        (
            atoms::fingerprint().encode(env),
            binary(env, hex(peer.sha256()).as_bytes()),
        ),
        (words::root().encode(env), binary(env, &root)),
    ];
    Ok(ok(env, Term::map_from_pairs(env, &pairs)?))
}

pub fn with_join<T>(
    conn: &Conn,
    act: impl FnOnce(&mut Join, &mut Vec<u8>) -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    let mut shake = lock(&conn.shake)?;
    let shake = &mut *shake;
    match &mut shake.stage {
        Stage::Join(join) => act(join, &mut shake.output),
        _ => Err(Fault::Misuse.into()),
    }
}

fn role_of(role: Atom) -> NifResult<Role> {
    match role {
        role if role == atoms::client() => Ok(Role::Client),
        role if role == atoms::server() => Ok(Role::Server),
        _ => Err(rustler::Error::BadArg),
    }
}

fn array<'a, const N: usize>(bytes: &'a Binary) -> NifResult<&'a [u8; N]> {
    let array = bytes.as_slice().try_into();
    array.map_err(|_| rustler::Error::BadArg)
}
