//! Listeners, connecting, options: the Erlang face of `merlon_sock`.

use crate::conn::{self, Conn};
use crate::select::{Handle, Ready};
use crate::send::spent;
use crate::term::{atoms, fault, from_addr, from_opt, ok, to_ip, to_opt_name, to_opts, Fault};
use merlon_sock::Sock;
use rustler::{Atom, Encoder, Env, LocalPid, Monitor, NifResult, Resource, ResourceArc, Term};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Mutex;

/// What a connection costs that is turned away at once, as bytes moved (`spent`).
const CONNECTION_COST: usize = 100 * 1024;

/// A listening socket.
pub struct Listener {
    handle: Handle,
    owner: Mutex<Option<Monitor>>,
}

#[rustler::resource_impl]
impl Resource for Listener {
    const IMPLEMENTS_DESTRUCTOR: bool = true;
    const IMPLEMENTS_DOWN: bool = true;

    fn destructor(self, env: Env<'_>) {
        self.handle.close(env);
    }

    fn down<'a>(&'a self, env: Env<'a>, _: LocalPid, monitor: Monitor) {
        let ours = self.owner.lock().map(|owner| *owner == Some(monitor));
        if ours.unwrap_or(true) {
            self.handle.close(env);
        }
    }
}

#[rustler::nif]
fn listen<'a>(
    env: Env<'a>,
    ip: Term<'a>,
    port: i64,
    backlog: i32,
    opts: Vec<Term<'a>>,
) -> NifResult<Term<'a>> {
    let Ok(port) = u16::try_from(port) else {
        return Ok(fault(env, &Fault::Misuse));
    };
    let addr = SocketAddr::new(to_ip(ip)?, port);
    let opts = to_opts(opts, false)?;
    let made = Sock::listen(addr, backlog, &opts).and_then(Handle::new);
    Ok(match made {
        Ok(handle) => ok(
            env,
            ResourceArc::new(Listener {
                handle,
                owner: Mutex::default(),
            }),
        ),
        Err(error) => fault(env, &error.into()),
    })
}

#[rustler::nif]
fn accept<'a>(env: Env<'a>, listener: ResourceArc<Listener>) -> Term<'a> {
    match listener
        .handle
        .with(Sock::accept)
        .and_then(|(sock, peer)| Conn::new(sock, peer))
    {
        Ok(conn) => {
            spent(env, CONNECTION_COST);
            ok(env, ResourceArc::new(conn))
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            match listener.handle.select(env, Ready::Input, &env.pid()) {
                Ok(()) => atoms::wait().encode(env),
                Err(error) => fault(env, &error.into()),
            }
        }
        Err(error) => fault(env, &error.into()),
    }
}

#[rustler::nif]
fn connect<'a>(
    env: Env<'a>,
    ip: Term<'a>,
    port: i64,
    source: Term<'a>,
    opts: Vec<Term<'a>>,
) -> NifResult<Term<'a>> {
    let Ok(port) = u16::try_from(port) else {
        return Ok(fault(env, &Fault::Misuse));
    };
    let addr = SocketAddr::new(to_ip(ip)?, port);
    let source = match source.is_atom() {
        true => None,
        false => Some(to_ip(source)?),
    };
    let opts = to_opts(opts, false)?;
    Ok(
        match Sock::connect(addr, source, &opts).and_then(|sock| Conn::new(sock, addr)) {
            Ok(conn) => ok(env, ResourceArc::new(conn)),
            Err(error) => fault(env, &error.into()),
        },
    )
}

#[rustler::nif]
fn connected<'a>(env: Env<'a>, conn: ResourceArc<Conn>) -> Term<'a> {
    let result = match conn.handle.with(Sock::connected) {
        Ok(()) => Ok(atoms::ok()),
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            conn.await_ready(env, Ready::Output).map(|()| atoms::wait())
        }
        Err(error) => Err(error.into()),
    };
    match result {
        Ok(atom) => atom.encode(env),
        Err(error) => fault(env, &error),
    }
}

/// A connection or a listener.
enum Socket {
    Conn(ResourceArc<Conn>),
    Listener(ResourceArc<Listener>),
}

impl<'a> rustler::Decoder<'a> for Socket {
    fn decode(term: Term<'a>) -> NifResult<Self> {
        let conn = term.decode().map(Socket::Conn);
        conn.or_else(|_| term.decode().map(Socket::Listener))
    }
}

impl Socket {
    fn handle(&self) -> &Handle {
        match self {
            Socket::Conn(conn) => &conn.handle,
            Socket::Listener(listener) => &listener.handle,
        }
    }
}

#[rustler::nif]
fn set_owner(env: Env, socket: Socket, pid: LocalPid) -> Atom {
    match socket {
        Socket::Conn(conn) => conn::set_owner(&conn, env, &pid),
        Socket::Listener(listener) => {
            if let Ok(mut owner) = listener.owner.lock() {
                if let Some(old) = owner.take() {
                    listener.demonitor(Some(env), &old);
                }
                *owner = listener.monitor(Some(env), &pid);
            }
        }
    }
    atoms::ok()
}

#[rustler::nif]
fn close(env: Env, socket: Socket) -> Atom {
    match socket {
        Socket::Conn(conn) => conn.close(env),
        Socket::Listener(listener) => listener.handle.close(env),
    }
    atoms::ok()
}

#[rustler::nif]
fn sockname<'a>(env: Env<'a>, socket: Socket) -> Term<'a> {
    address(env, socket.handle().with(Sock::local_addr))
}

#[rustler::nif]
fn peername<'a>(env: Env<'a>, conn: ResourceArc<Conn>) -> Term<'a> {
    address(env, Ok(conn.peer))
}

fn address<'a>(env: Env<'a>, addr: io::Result<SocketAddr>) -> Term<'a> {
    match addr {
        Ok(addr) => ok(env, from_addr(env, addr)),
        Err(error) => fault(env, &error.into()),
    }
}

#[rustler::nif]
fn setopts<'a>(env: Env<'a>, socket: Socket, opts: Vec<Term<'a>>) -> Term<'a> {
    let Ok(opts) = to_opts(opts, true) else {
        return fault(env, &Fault::Misuse);
    };
    match opts
        .into_iter()
        .try_for_each(|opt| socket.handle().with(|sock| sock.set(opt)))
    {
        Ok(()) => atoms::ok().encode(env),
        Err(error) => fault(env, &error.into()),
    }
}

#[rustler::nif]
fn getopts<'a>(env: Env<'a>, socket: Socket, names: Vec<Atom>) -> Term<'a> {
    let get = |name| match to_opt_name(name) {
        Some(name) => socket.handle().with(|sock| sock.get(name)),
        None => Err(ErrorKind::InvalidInput.into()),
    };
    match names.into_iter().map(get).collect::<io::Result<Vec<_>>>() {
        Ok(opts) => {
            let opts: Vec<_> = opts.into_iter().map(|opt| from_opt(env, opt)).collect();
            ok(env, opts)
        }
        Err(error) => fault(env, &error.into()),
    }
}
