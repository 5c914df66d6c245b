//! Signing requests, and judging chains for applications: more of the Erlang face of `merlon_pki`.

use crate::identity::{text, to_term, Identity};
use crate::pki::{alg, cluster_of, identity_of, ip, pki_error};
use crate::term::{atoms, binary, hex, ok};
use merlon_pki::{Anchors, Crls, Csr, Error, Grant, Peer, Usage, Verifier};
use rustler::{Atom, Binary, Encoder, Env, NifMap, NifResult, ResourceArc, Term};
use zeroize::Zeroizing;

#[derive(NifMap)]
struct NewArgs<'a> {
    cluster: Binary<'a>,
    identity: (Atom, Binary<'a>, Binary<'a>),
    alg: Atom,
    ips: Vec<Binary<'a>>,
}

#[derive(NifMap)]
struct SignArgs<'a> {
    ca_cert: Binary<'a>,
    ca_key: Binary<'a>,
    csr: Binary<'a>,
    identity: (Atom, Binary<'a>, Binary<'a>),
    ips: Vec<Binary<'a>>,
    days: u32,
    now: u64,
}

#[derive(NifMap)]
struct VerifyArgs<'a> {
    cert: Binary<'a>,
    trust: Vec<Binary<'a>>,
    crls: Vec<Binary<'a>>,
    cluster: Binary<'a>,
    usage: Atom,
    now: u64,
}

#[rustler::nif(schedule = "DirtyCpu")]
fn pki_new_csr<'a>(env: Env<'a>, args: NewArgs<'a>) -> NifResult<Term<'a>> {
    let cluster = text(&args.cluster)?;
    let alg = alg(args.alg)?;
    let ips = args.ips.iter().map(ip).collect::<NifResult<Vec<_>>>()?;
    let made = identity_of(&cluster, &args.identity)?
        .and_then(|identity| merlon_pki::new_csr(&identity, alg, &ips));
    match made {
        Ok(made) => {
            let pairs = [
                (atoms::csr(), binary(env, made.csr_pem.as_bytes())),
                (atoms::key(), binary(env, made.key_pem.as_bytes())),
            ];
            Ok(ok(env, Term::map_from_pairs(env, &pairs)?))
        }
        Err(error) => Ok(pki_error(env, &error)),
    }
}

/// Whom a request asks to be; that its sender has the key is checked.
#[rustler::nif(schedule = "DirtyCpu")]
fn pki_csr_identity<'a>(env: Env<'a>, csr: Binary<'a>) -> NifResult<Term<'a>> {
    match Csr::from_pem(&text(&csr)?).and_then(|csr| csr.identity()) {
        Ok(identity) => Ok(ok(env, to_term(env, &identity))),
        Err(error) => Ok(pki_error(env, &error)),
    }
}

#[rustler::nif(schedule = "DirtyCpu")]
fn pki_sign_csr<'a>(env: Env<'a>, args: SignArgs<'a>) -> NifResult<Term<'a>> {
    let (ca_cert, csr) = (text(&args.ca_cert)?, text(&args.csr)?);
    let ca_key = Zeroizing::new(text(&args.ca_key)?);
    let ips = args.ips.iter().map(ip).collect::<NifResult<Vec<_>>>()?;
    let identity = match cluster_of(&ca_cert) {
        Ok(cluster) => identity_of(&cluster, &args.identity)?,
        Err(error) => Err(error),
    };
    let sign = |identity| -> Result<String, Error> {
        let csr = Csr::from_pem(&csr)?;
        let days = args.days;
        let grant = Grant {
            identity,
            ips,
            days,
        };
        merlon_pki::sign_csr(&ca_cert, &ca_key, &csr, &grant, args.now)
    };
    match identity.and_then(sign) {
        Ok(cert) => Ok(ok(env, binary(env, cert.as_bytes()))),
        Err(error) => Ok(pki_error(env, &error)),
    }
}

/// Whether that key is the one of the first certificate.
#[rustler::nif(schedule = "DirtyCpu")]
fn pki_matches<'a>(cert: Binary<'a>, key: Binary<'a>) -> NifResult<bool> {
    let key = Zeroizing::new(text(&key)?);
    Ok(merlon_pki::leaf_matches_key(&text(&cert)?, &key).is_ok())
}

/// The signature with which the key in use vouches for a request.
#[rustler::nif(schedule = "DirtyCpu")]
fn pki_vouch<'a>(env: Env<'a>, key: Binary<'a>, csr: Binary<'a>) -> NifResult<Term<'a>> {
    let key = Zeroizing::new(text(&key)?);
    match merlon_pki::vouch(&key, &text(&csr)?) {
        Ok(signature) => Ok(ok(env, binary(env, &signature))),
        Err(error) => Ok(pki_error(env, &error)),
    }
}

/// Whose certificate has vouched for a request, judged as a peer's: `{ok, Identity}`.
#[rustler::nif(schedule = "DirtyCpu")]
fn pki_vouched<'a>(
    env: Env<'a>,
    own: ResourceArc<Identity>,
    chain: Binary<'a>,
    csr: Binary<'a>,
    signature: Binary<'a>,
    now: u64,
) -> NifResult<Term<'a>> {
    let (chain, csr) = (text(&chain)?, text(&csr)?);
    let verifier = own.local.verifier();
    match merlon_pki::check_vouched(verifier, &chain, &csr, &signature, now) {
        Ok(peer) => Ok(ok(env, to_term(env, peer.identity()))),
        Err(error) => Ok(pki_error(env, &error)),
    }
}

#[rustler::nif(schedule = "DirtyCpu")]
fn pki_verify<'a>(env: Env<'a>, args: VerifyArgs<'a>) -> NifResult<Term<'a>> {
    let (cert, cluster) = (text(&args.cert)?, text(&args.cluster)?);
    let trust = args.trust.iter().map(text).collect::<NifResult<Vec<_>>>()?;
    let crls = args.crls.iter().map(text).collect::<NifResult<Vec<_>>>()?;
    let usage = match args.usage {
        name if name == atoms::server() => Usage::Server,
        name if name == atoms::client() => Usage::Client,
        _ => return Err(rustler::Error::BadArg),
    };
    let judged = Anchors::from_pems(&trust).and_then(|anchors| {
        let verifier = Verifier::new(anchors, Crls::from_pems(&crls)?, &cluster)?;
        verifier.verify_pem(&cert, usage, args.now)
    });
    match judged {
        Ok(peer) => Ok(ok(env, verified(env, &peer)?)),
        Err(error) => Ok(pki_error(env, &error)),
    }
}

fn verified<'a>(env: Env<'a>, peer: &Peer) -> NifResult<Term<'a>> {
    let pairs = [
        (atoms::identity(), to_term(env, peer.identity())),
        (atoms::not_after(), peer.not_after().encode(env)),
        (atoms::serial(), binary(env, peer.serial().as_bytes())),
        (atoms::sha256(), binary(env, hex(peer.sha256()).as_bytes())),
    ];
    Term::map_from_pairs(env, &pairs)
}
