//! Between Erlang terms and the crates' types: atoms, addresses, options, errors.

use merlon_record as record;
use merlon_sock::{Opt, OptName};
use merlon_wire as wire;
use rustler::types::tuple::{get_tuple, make_tuple};
use rustler::{Atom, Binary, Encoder, Env, Error, NewBinary, NifResult, Term};
use std::io;
use std::net::{IpAddr, SocketAddr};

/// The atoms that are used by name.
pub mod atoms {
    rustler::atoms! {
        ok, error, wait, empty, more, part, pause, blocked, done, established, claim, undefined, none, nif, pki, node, cli,
        p256, p384, ed25519, vm_cookie, keyring,
        malformed, term, badarg, later,
        reason, text, phase, claimed, fingerprint, identity, tcp, tls, preamble,
        keepalive, linger, nodelay, recbuf, sndbuf, tos,
        cert, key, subject, issuer, serial, not_before, not_after, uris, dns, ips, is_ca, path_len,
        eku, key_usage, key_alg, sig_alg, sha256, name,
        refuse, warn, crl_due, crls, crl, serials, days, number, this_update, next_update, revoked, since,
        unspecified, key_compromise, affiliation_changed, superseded, cessation_of_operation,
        privilege_withdrawn,
        tls_version, cipher_suite, key_exchange_group,
        frames_in, frames_out, bytes_in, bytes_out, records_in, records_out,
        key_updates_in, key_updates_out, unsent, buffers, queued,
        controls_in, controls_unknown, own, proved, keys, certificate, ask, unknown, untrusted,
        csr, server, client, join, key_ids, foreign, hosts,
        cluster, sequence, stage, old, new
    }
}

/// Why a connection can't go on.
#[derive(Debug)]
pub enum Fault {
    /// The peer said goodbye and the stream is complete.
    Closed,
    /// A frame that is not one.
    Frame(wire::Error),
    /// Not in this state of the connection.
    Misuse,
    /// A panic has hit this connection before.
    Poisoned,
    /// A record that is not one.
    Record(record::Error),
    /// The system's word.
    System(io::Error),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Fault::System(error)
    }
}

impl From<record::Error> for Fault {
    fn from(error: record::Error) -> Self {
        Fault::Record(error)
    }
}

impl From<wire::Error> for Fault {
    fn from(error: wire::Error) -> Self {
        Fault::Frame(error)
    }
}

impl Fault {
    /// The atom that Erlang gets.
    pub fn name(&self) -> &'static str {
        match self {
            Fault::Closed => "closed",
            Fault::Frame(error) => error.code(),
            Fault::Misuse => "einval",
            Fault::Poisoned => "internal_error",
            Fault::Record(error) => error.code(),
            Fault::System(error) => posix(error),
        }
    }
}

/// `{error, Reason}`
pub fn fault<'a>(env: Env<'a>, fault: &Fault) -> Term<'a> {
    error(env, atom(env, fault.name()))
}

/// `{ok, Value}`
pub fn ok<'a>(env: Env<'a>, value: impl Encoder) -> Term<'a> {
    (atoms::ok(), value).encode(env)
}

/// `{error, Value}`
pub fn error<'a>(env: Env<'a>, value: impl Encoder) -> Term<'a> {
    (atoms::error(), value).encode(env)
}

/// An atom from a fixed list of ours, never from a peer's bytes.
pub fn atom<'a>(env: Env<'a>, name: &'static str) -> Term<'a> {
    Atom::from_str(env, name).map_or_else(|_| atoms::undefined().encode(env), |a| a.encode(env))
}

/// A binary term.
pub fn binary<'a>(env: Env<'a>, bytes: &[u8]) -> Term<'a> {
    let mut binary = NewBinary::new(env, bytes.len());
    binary.as_mut_slice().copy_from_slice(bytes);
    Binary::from(binary).to_term(env)
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The POSIX name of a system error, as `inet` has it.
fn posix(error: &io::Error) -> &'static str {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::AddrInUse => "eaddrinuse",
        Kind::AddrNotAvailable => "eaddrnotavail",
        Kind::BrokenPipe => "epipe",
        Kind::ConnectionAborted => "econnaborted",
        Kind::ConnectionRefused => "econnrefused",
        Kind::ConnectionReset => "econnreset",
        Kind::HostUnreachable => "ehostunreach",
        Kind::InvalidInput => "einval",
        Kind::NetworkUnreachable => "enetunreach",
        Kind::NotConnected => "enotconn",
        Kind::OutOfMemory => "enomem",
        Kind::PermissionDenied => "eacces",
        Kind::TimedOut => "etimedout",
        Kind::WouldBlock => "eagain",
        _ => match error.raw_os_error() {
            Some(2) => "enoent",
            Some(9) => "ebadf",
            Some(23) => "enfile",
            Some(24) => "emfile",
            Some(28) => "enospc",
            Some(30) => "erofs",
            Some(97) => "eafnosupport",
            Some(105) => "enobufs",
            _ => "eio",
        },
    }
}

/// `{A,B,C,D}` or `{A,B,C,D,E,F,G,H}`
pub fn to_ip(term: Term) -> NifResult<IpAddr> {
    let parts = get_tuple(term)?;
    if parts.len() == 4 {
        Ok(IpAddr::from(numbers::<u8, 4>(&parts)?))
    } else {
        Ok(IpAddr::from(numbers::<u16, 8>(&parts)?))
    }
}

/// An integer of a narrow type. rustler's own decoders of such cut off what does not fit.
fn number<T: TryFrom<i64>>(term: Term) -> NifResult<T> {
    T::try_from(term.decode::<i64>()?).map_err(|_| Error::BadArg)
}

fn numbers<T: TryFrom<i64>, const N: usize>(parts: &[Term]) -> NifResult<[T; N]> {
    let numbers: NifResult<Vec<T>> = parts.iter().map(|part| number(*part)).collect();
    numbers?.try_into().map_err(|_| Error::BadArg)
}

/// `{Ip, Port}`
pub fn from_addr<'a>(env: Env<'a>, addr: SocketAddr) -> Term<'a> {
    let parts: Vec<Term> = match addr.ip().to_canonical() {
        _ if addr.is_ipv6() => match addr.ip() {
            IpAddr::V6(ip) => ip.segments().iter().map(|n| n.encode(env)).collect(),
            IpAddr::V4(ip) => ip.octets().iter().map(|n| n.encode(env)).collect(),
        },
        IpAddr::V4(ip) => ip.octets().iter().map(|n| n.encode(env)).collect(),
        IpAddr::V6(ip) => ip.segments().iter().map(|n| n.encode(env)).collect(),
    };
    (make_tuple(env, &parts), addr.port()).encode(env)
}

/// The options that a socket knows, out of a list that may hold others (`{ip, _}`, `{packet, 4}`,
/// `{backlog, N}`), which are not the socket's business. `strict`: others are an error.
pub fn to_opts(terms: Vec<Term>, strict: bool) -> NifResult<Vec<Opt>> {
    let mut opts = Vec::with_capacity(terms.len());
    for term in terms {
        match to_opt(term)? {
            Some(opt) => opts.push(opt),
            None if strict => return Err(Error::BadArg),
            None => {}
        }
    }
    Ok(opts)
}

fn to_opt(term: Term) -> NifResult<Option<Opt>> {
    let Ok((name, value)) = term.decode::<(Atom, Term)>() else {
        return Ok(None);
    };
    Ok(Some(match to_opt_name(name) {
        Some(OptName::KeepAlive) => Opt::KeepAlive(value.decode()?),
        Some(OptName::Linger) => {
            let (on, seconds): (bool, Term) = value.decode()?;
            let seconds = number(seconds)?;
            Opt::Linger(on.then_some(seconds))
        }
        Some(OptName::NoDelay) => Opt::NoDelay(value.decode()?),
        Some(OptName::ReceiveBuffer) => Opt::ReceiveBuffer(value.decode()?),
        Some(OptName::SendBuffer) => Opt::SendBuffer(value.decode()?),
        Some(OptName::TypeOfService) => Opt::TypeOfService(number(value)?),
        None => return Ok(None),
    }))
}

/// The option of that name.
pub fn to_opt_name(name: Atom) -> Option<OptName> {
    [
        (atoms::keepalive(), OptName::KeepAlive),
        (atoms::linger(), OptName::Linger),
        (atoms::nodelay(), OptName::NoDelay),
        (atoms::recbuf(), OptName::ReceiveBuffer),
        (atoms::sndbuf(), OptName::SendBuffer),
        (atoms::tos(), OptName::TypeOfService),
    ]
    .into_iter()
    .find_map(|(atom, opt)| (atom == name).then_some(opt))
}

/// `{Name, Value}`
pub fn from_opt<'a>(env: Env<'a>, opt: Opt) -> Term<'a> {
    match opt {
        Opt::KeepAlive(on) => (atoms::keepalive(), on).encode(env),
        Opt::Linger(time) => {
            (atoms::linger(), (time.is_some(), time.unwrap_or_default())).encode(env)
        }
        Opt::NoDelay(on) => (atoms::nodelay(), on).encode(env),
        Opt::ReceiveBuffer(size) => (atoms::recbuf(), size).encode(env),
        Opt::SendBuffer(size) => (atoms::sndbuf(), size).encode(env),
        Opt::TypeOfService(tos) => (atoms::tos(), tos).encode(env),
    }
}
