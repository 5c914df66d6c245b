//! A node's checked identity as a resource: key and trust stay on this side.

use crate::conn::{lock, Conn};
use crate::crl::list_id;
use crate::pki::pki_error;
use crate::term::{atoms, binary, fault, hex, ok, Fault};
use merlon_pki::{
    Anchors, BindRules, Claimed, Crls, Error, NodeName, StaleCrl, Usage, Verifier, DEFAULT_CLI,
};
use merlon_record::Limits;
use merlon_tls::{suites_by_cpu, Local, LocalConfig};
use rustler::{Atom, Binary, Encoder, Env, NifMap, NifResult, Resource, ResourceArc, Term};
use std::sync::Arc;
use zeroize::Zeroizing;

/// What handshakes need of the own node.
pub struct Identity {
    pub local: Arc<Local>,
    pub cluster: String,
    pub peer: merlon_pki::Peer,
    pub not_before: u64,
    /// The own certificates, PEM.
    pub chain: String,
}

#[rustler::resource_impl]
impl Resource for Identity {}

#[derive(NifMap)]
struct Args<'a> {
    cert: Binary<'a>,
    key: Binary<'a>,
    trust: Vec<Binary<'a>>,
    /// Files, PEM or DER.
    crls: Vec<Binary<'a>>,
    stale_crl: Atom,
    cluster: Binary<'a>,
    /// `default`, or patterns.
    cli_names: Term<'a>,
    derived_names: Vec<Binary<'a>>,
    key_update_after: u64,
    now: u64,
}

/// Checks everything that a peer would check, so that a bad identity is found before it is used.
#[rustler::nif(schedule = "DirtyCpu")]
fn identity_new<'a>(env: Env<'a>, args: Args<'a>) -> NifResult<Term<'a>> {
    let now = args.now;
    let cert = text(&args.cert)?;
    let key = Zeroizing::new(text(&args.key)?);
    let cluster = text(&args.cluster)?;
    let trust = texts(&args.trust)?;
    let stale = match args.stale_crl {
        rule if rule == atoms::refuse() => StaleCrl::Refuse,
        rule if rule == atoms::warn() => StaleCrl::Accept,
        _ => return Err(rustler::Error::BadArg),
    };
    let [cli, derived] = [cli_names(args.cli_names)?, texts(&args.derived_names)?];
    let limits = Limits {
        key_update_after: args.key_update_after,
    };
    let crls: Vec<&[u8]> = args.crls.iter().map(Binary::as_slice).collect();
    let checked = || {
        merlon_pki::leaf_matches_key(&cert, &key)?;
        let crls = Crls::from_files(&crls)?;
        let verifier = Verifier::new(Anchors::from_pems(&trust)?, crls, &cluster)?;
        Identity::new(
            Parts {
                cert,
                key,
                verifier: verifier.with_stale_crl(stale),
                cli,
                derived,
                limits,
            },
            now,
        )
    };
    Ok(made(env, checked()))
}

/// What an identity is made of; certificate and key belong together.
pub struct Parts {
    pub cert: String,
    pub key: Zeroizing<String>,
    pub verifier: Verifier,
    pub cli: Vec<String>,
    pub derived: Vec<String>,
    pub limits: Limits,
}

impl Identity {
    /// Checks all that a peer would check.
    pub fn new(parts: Parts, now: u64) -> Result<Self, Error> {
        let Parts { cert, verifier, .. } = &parts;
        verifier.verify_pem(cert, Usage::Client, now)?;
        let peer = verifier.verify_pem(cert, Usage::Server, now)?;
        let rules = BindRules::new(&parts.cli, &parts.derived)?;
        let bind = match peer.identity().node_name() {
            Some(node) => rules.protect(node),
            None => rules,
        };
        let info = merlon_pki::inspect_pem(cert)?;
        let (chain, cluster) = (cert.clone(), verifier.cluster().to_owned());
        let local = Local::new(LocalConfig {
            cert_chain_pem: parts.cert,
            key_pem: parts.key,
            verifier: parts.verifier,
            bind,
            suites: suites_by_cpu(),
            limits: parts.limits,
        });
        Ok(Identity {
            local: Arc::new(local.map_err(|_| Error::KeyMismatch)?),
            cluster,
            peer,
            not_before: info.first().map(|i| i.not_before).unwrap_or_default(),
            chain,
        })
    }
}

/// `{ok, Identity}` or `{error, {pki, Reason}}`.
pub fn made(env: Env, identity: Result<Identity, Error>) -> Term {
    match identity {
        Ok(identity) => ok(env, ResourceArc::new(identity)),
        Err(error) => pki_error(env, &error),
    }
}

/// The own certificates, in PEM: nothing secret.
#[rustler::nif]
fn identity_chain(env: Env, identity: ResourceArc<Identity>) -> Term {
    binary(env, identity.chain.as_bytes())
}

/// Whether a certificate for `identity` may be used under the name `claimed`, by the very rules
/// that peers apply. A bad pattern is found by `identity_new`.
#[rustler::nif]
fn binds<'a>(
    identity: IdentityParts<'a>,
    claimed: Binary<'a>,
    cli: Term<'a>,
    derived: Vec<Binary<'a>>,
) -> NifResult<bool> {
    let identity = of_parts(&identity)?;
    let allowed = |cli: &[String], derived: &[String]| {
        let rules = BindRules::new(cli, derived)?;
        merlon_pki::binds(&identity?, &Claimed::parse(&claimed)?, &rules)
    };
    Ok(allowed(&cli_names(cli)?, &texts(&derived)?).is_ok())
}

/// Names are bound within a cluster; which one plays no part in the rules.
const ANY_CLUSTER: &str = "any";

/// `{node, Name, Host}` or `{cli, User, Host}`
pub type IdentityParts<'a> = (Atom, Binary<'a>, Binary<'a>);

pub fn of_parts(parts: &IdentityParts) -> NifResult<Result<merlon_pki::Identity, Error>> {
    let (kind, name, host) = parts;
    let (name, host) = (text(name)?, text(host)?);
    if *kind == atoms::cli() {
        return Ok(merlon_pki::Identity::cli(ANY_CLUSTER, &host, &name));
    }
    let node = NodeName::parse(&format!("{name}@{host}"));
    Ok(node.and_then(|node| merlon_pki::Identity::node(ANY_CLUSTER, &node)))
}

pub fn cli_names(term: Term) -> NifResult<Vec<String>> {
    match term.is_atom() {
        true => Ok(DEFAULT_CLI.iter().map(ToString::to_string).collect()),
        false => texts(&term.decode::<Vec<_>>()?),
    }
}

#[rustler::nif]
fn identity_info<'a>(env: Env<'a>, identity: ResourceArc<Identity>) -> NifResult<Term<'a>> {
    let crl_due = match identity.local.verifier().crls().next_update() {
        Some(due) => due.encode(env),
        None => atoms::none().encode(env),
    };
    let lists = identity.local.verifier().crls().ids();
    let lists: Vec<Term> = lists.iter().map(|id| list_id(env, id)).collect();
    let pairs = [
        (atoms::crl_due(), crl_due),
        (atoms::crls(), lists.encode(env)),
        (atoms::identity(), to_term(env, identity.peer.identity())),
        (atoms::not_before(), identity.not_before.encode(env)),
        (atoms::not_after(), identity.peer.not_after().encode(env)),
        (
            atoms::sha256(),
            binary(env, hex(identity.peer.sha256()).as_bytes()),
        ),
    ];
    Term::map_from_pairs(env, &pairs)
}

/// Whether the peer of a live link would still be accepted: `{ok, Until}` or `{error, {pki, Reason}}`.
#[rustler::nif(schedule = "DirtyCpu")]
fn judge<'a>(
    env: Env<'a>,
    conn: ResourceArc<Conn>,
    identity: ResourceArc<Identity>,
    now: u64,
) -> Term<'a> {
    let Some(session) = conn.session.get() else {
        return fault(env, &Fault::Misuse);
    };
    let peer = match lock(&session.proved) {
        Ok(proved) => proved.peer.clone(),
        Err(error) => return fault(env, &error),
    };
    judged(env, &identity, &peer, now)
}

pub fn judged<'a>(
    env: Env<'a>,
    identity: &Identity,
    peer: &merlon_pki::Peer,
    now: u64,
) -> Term<'a> {
    match identity.local.verifier().verify_again(peer, now) {
        Ok(until) => ok(env, until),
        Err(error) => pki_error(env, &error),
    }
}

/// `{node, Cluster, Name, Host}` or `{cli, Cluster, User, Host}`
pub fn to_term<'a>(env: Env<'a>, identity: &merlon_pki::Identity) -> Term<'a> {
    use merlon_pki::Identity as Id;
    match identity {
        Id::Node {
            cluster,
            host,
            name,
        } => (
            atoms::node(),
            bin(env, cluster),
            bin(env, name),
            bin(env, host),
        )
            .encode(env),
        Id::Cli {
            cluster,
            host,
            user,
        } => (
            atoms::cli(),
            bin(env, cluster),
            bin(env, user),
            bin(env, host),
        )
            .encode(env),
        Id::Hosts { hosts } => {
            let hosts: Vec<_> = hosts.iter().map(|host| bin(env, host)).collect();
            (atoms::hosts(), hosts).encode(env)
        }
    }
}

fn bin<'a>(env: Env<'a>, text: &str) -> Term<'a> {
    binary(env, text.as_bytes())
}

/// UTF-8 text, which every PEM and every name is.
pub fn text(bytes: &Binary) -> NifResult<String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| rustler::Error::BadArg)
}

pub fn texts(list: &[Binary]) -> NifResult<Vec<String>> {
    list.iter().map(text).collect()
}
