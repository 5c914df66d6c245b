//! Certificates: the Erlang face of `merlon_pki`.

use crate::identity::{self, text};
use crate::term::{atom, atoms, binary, error, ok};
use merlon_pki::{Alg, Error, Identity, Info, Issued, NodeName, Request};
use rustler::{Atom, Binary, Encoder, Env, NifMap, NifResult, Term};
use std::net::IpAddr;

#[derive(NifMap)]
struct CaArgs<'a> {
    cluster: Binary<'a>,
    alg: Atom,
    days: u32,
    now: u64,
}

#[derive(NifMap)]
struct IssueArgs<'a> {
    ca_cert: Binary<'a>,
    ca_key: Binary<'a>,
    identity: (Atom, Binary<'a>, Binary<'a>),
    alg: Atom,
    ips: Vec<Binary<'a>>,
    days: u32,
    now: u64,
}

#[rustler::nif(schedule = "DirtyCpu")]
fn pki_new_ca<'a>(env: Env<'a>, args: CaArgs<'a>) -> NifResult<Term<'a>> {
    let cluster = text(&args.cluster)?;
    let made = merlon_pki::new_ca(&cluster, alg(args.alg)?, args.now, args.days);
    issued(env, made)
}

#[rustler::nif(schedule = "DirtyCpu")]
fn pki_issue<'a>(env: Env<'a>, args: IssueArgs<'a>) -> NifResult<Term<'a>> {
    let ca_cert = text(&args.ca_cert)?;
    let ca_key = zeroize::Zeroizing::new(text(&args.ca_key)?);
    let ips: NifResult<Vec<IpAddr>> = args.ips.iter().map(ip).collect();
    let (ips, alg, days) = (ips?, alg(args.alg)?, args.days);
    let identity = match cluster_of(&ca_cert) {
        Ok(cluster) => identity_of(&cluster, &args.identity)?,
        Err(error) => Err(error),
    };
    let issue = |identity| {
        let request = Request {
            identity,
            alg,
            ips,
            days,
        };
        merlon_pki::issue(&ca_cert, &ca_key, &request, args.now)
    };
    issued(env, identity.and_then(issue))
}

/// `{node, Name, Host}` or `{cli, User, Host}` of that cluster.
pub fn identity_of(
    cluster: &str,
    (kind, name, host): &(Atom, Binary, Binary),
) -> NifResult<Result<Identity, Error>> {
    let (name, host) = (text(name)?, text(host)?);
    if *kind == atoms::cli() {
        return Ok(Identity::cli(cluster, &host, &name));
    }
    let node = NodeName::parse(&format!("{name}@{host}"));
    Ok(node.and_then(|node| Identity::node(cluster, &node)))
}

/// The trust domain of a CA is its own URI SAN.
pub fn cluster_of(ca_cert: &str) -> Result<String, Error> {
    let infos = merlon_pki::inspect_pem(ca_cert)?;
    let uris = infos.first().map(|info| info.uris.as_slice());
    match uris {
        Some([uri]) => uri
            .strip_prefix("spiffe://")
            .map(|cluster| cluster.trim_end_matches('/').to_owned())
            .ok_or(Error::BadIdentity),
        _ => Err(Error::NoIdentity),
    }
}

/// A file may hold many.
#[rustler::nif(schedule = "DirtyCpu")]
fn pki_inspect<'a>(env: Env<'a>, pem: Binary<'a>) -> NifResult<Term<'a>> {
    match merlon_pki::inspect_pem(&text(&pem)?) {
        Ok(infos) => {
            let infos: NifResult<Vec<Term>> = infos.iter().map(|i| info(env, i)).collect();
            Ok(ok(env, infos?))
        }
        Err(error) => Ok(pki_error(env, &error)),
    }
}

/// `{error, {pki, Code | {Code, Data}}}`
pub fn pki_error<'a>(env: Env<'a>, why: &Error) -> Term<'a> {
    error(env, (atoms::pki(), pki_reason(env, why)))
}

/// `Code | {Code, Data}`
pub fn pki_reason<'a>(env: Env<'a>, why: &Error) -> Term<'a> {
    let code = atom(env, why.code());
    let data = data(env, why);
    match data.is_empty() {
        true => code,
        false => {
            let pairs: Vec<_> = data
                .iter()
                .map(|(key, value)| (atom(env, key), *value))
                .collect();
            match Term::map_from_pairs(env, &pairs) {
                Ok(map) => (code, map).encode(env),
                Err(_) => code,
            }
        }
    }
}

fn data<'a>(env: Env<'a>, why: &Error) -> Vec<(&'static str, Term<'a>)> {
    let text = |text: &str| binary(env, text.as_bytes());
    let int = |n: u64| n.encode(env);
    match why {
        Error::Expired { not_after, now } => {
            vec![("not_after", int(*not_after)), ("now", int(*now))]
        }
        Error::NotYetValid { not_before, now } => {
            vec![("not_before", int(*not_before)), ("now", int(*now))]
        }
        Error::AnchorNotValid {
            not_before,
            not_after,
            now,
        } => vec![
            ("not_before", int(*not_before)),
            ("not_after", int(*not_after)),
            ("now", int(*now)),
        ],
        Error::WrongCluster { expected, found } => {
            vec![("expected", text(expected)), ("found", text(found))]
        }
        Error::WrongName { certified, claimed } => {
            vec![("certified", text(certified)), ("claimed", text(claimed))]
        }
        Error::Revoked { serial } => vec![("serial", text(serial))],
        Error::CrlExpired { next_update, now } => {
            vec![("next_update", int(*next_update)), ("now", int(*now))]
        }
        Error::BadPattern { pattern } => vec![("pattern", text(pattern))],
        Error::CsrExtension { oid } => vec![("oid", text(oid))],
        _ => vec![],
    }
}

fn issued(env: Env, made: Result<Issued, Error>) -> NifResult<Term> {
    match made {
        Ok(made) => {
            let pairs = [
                (atoms::cert(), binary(env, made.cert_pem.as_bytes())),
                (atoms::key(), binary(env, made.key_pem.as_bytes())),
            ];
            Ok(ok(env, Term::map_from_pairs(env, &pairs)?))
        }
        Err(error) => Ok(pki_error(env, &error)),
    }
}

fn info<'a>(env: Env<'a>, info: &Info) -> NifResult<Term<'a>> {
    let text = |text: &String| binary(env, text.as_bytes());
    let texts = |list: &[String]| list.iter().map(text).collect::<Vec<_>>().encode(env);
    let ips: Vec<String> = info.ips.iter().map(IpAddr::to_string).collect();
    let identity = match &info.identity {
        Some(identity) => identity::to_term(env, identity),
        None => atoms::none().encode(env),
    };
    let path_len = match info.path_len {
        Some(length) => length.encode(env),
        None => atoms::none().encode(env),
    };
    let pairs = [
        (atoms::subject(), text(&info.subject)),
        (atoms::issuer(), text(&info.issuer)),
        (atoms::serial(), text(&info.serial_hex)),
        (atoms::not_before(), info.not_before.encode(env)),
        (atoms::not_after(), info.not_after.encode(env)),
        (atoms::uris(), texts(&info.uris)),
        (atoms::dns(), texts(&info.dns)),
        (atoms::ips(), texts(&ips)),
        (atoms::is_ca(), info.is_ca.encode(env)),
        (atoms::path_len(), path_len),
        (atoms::eku(), texts(&info.eku)),
        (atoms::key_usage(), texts(&info.key_usage)),
        (atoms::key_alg(), text(&info.key_alg)),
        (atoms::sig_alg(), text(&info.sig_alg)),
        (atoms::sha256(), text(&info.sha256)),
        (atoms::identity(), identity),
    ];
    Term::map_from_pairs(env, &pairs)
}

pub fn alg(name: Atom) -> NifResult<Alg> {
    match name {
        _ if name == atoms::p256() => Ok(Alg::P256),
        _ if name == atoms::p384() => Ok(Alg::P384),
        _ if name == atoms::ed25519() => Ok(Alg::Ed25519),
        _ => Err(rustler::Error::BadArg),
    }
}

pub fn ip(bytes: &Binary) -> NifResult<IpAddr> {
    text(bytes)?.parse().map_err(|_| rustler::Error::BadArg)
}
