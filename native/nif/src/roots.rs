//! A new root in the place of an old one: the Erlang face of `merlon_pki`'s statements.

use crate::identity::{text, Identity};
use crate::pki::pki_error;
use crate::term::{atom, atoms, binary, hex, ok};
use merlon_pki::{Error, Part, Root, Stage, Statement};
use rustler::{Atom, Binary, Encoder, Env, NifMap, NifResult, ResourceArc, Term};
use zeroize::Zeroizing;

#[derive(NifMap)]
struct SayArgs<'a> {
    cluster: Binary<'a>,
    sequence: u64,
    stage: Atom,
    old_cert: Binary<'a>,
    old_key: Binary<'a>,
    new_cert: Binary<'a>,
    new_key: Binary<'a>,
}

/// Makes a statement.
#[rustler::nif(schedule = "DirtyCpu")]
fn rotation_say<'a>(env: Env<'a>, args: SayArgs<'a>) -> NifResult<Term<'a>> {
    let cluster = text(&args.cluster)?;
    let (old_cert, new_cert) = (text(&args.old_cert)?, text(&args.new_cert)?);
    let old_key = Zeroizing::new(text(&args.old_key)?);
    let new_key = Zeroizing::new(text(&args.new_key)?);
    let word = args.stage.to_term(env).atom_to_string()?;
    let stage = Stage::of_word(&word).ok_or(rustler::Error::BadArg)?;
    let old = Root {
        cert_pem: &old_cert,
        key_pem: &old_key,
    };
    let new = Root {
        cert_pem: &new_cert,
        key_pem: &new_key,
    };
    match merlon_pki::state_rotation(&cluster, args.sequence, stage, old, new) {
        Ok(said) => Ok(ok(env, binary(env, said.as_bytes()))),
        Err(error) => Ok(pki_error(env, &error)),
    }
}

/// What a statement says; whether that is to be believed is not asked.
#[rustler::nif]
fn rotation_read<'a>(env: Env<'a>, said: Binary<'a>) -> NifResult<Term<'a>> {
    told(env, utf8(&said).and_then(Statement::read))
}

/// Whether a statement that somebody has sent is to be believed.
#[rustler::nif(schedule = "DirtyCpu")]
fn rotation_check<'a>(
    env: Env<'a>,
    said: Binary<'a>,
    trust: Vec<Binary<'a>>,
    cluster: Binary<'a>,
    known: u64,
    now: u64,
) -> NifResult<Term<'a>> {
    let trust = trust.iter().map(text).collect::<NifResult<Vec<_>>>()?;
    let cluster = text(&cluster)?;
    let judged =
        utf8(&said).and_then(|said| merlon_pki::check_rotation(said, &trust, &cluster, known, now));
    told(env, judged)
}

/// `{ok, Pem, WasThere}`: a PEM text without one certificate.
#[rustler::nif(schedule = "DirtyCpu")]
fn pki_without<'a>(env: Env<'a>, pem: Binary<'a>, root: Binary<'a>) -> NifResult<Term<'a>> {
    match merlon_pki::without_root(&text(&pem)?, &text(&root)?) {
        Ok((rest, was_there)) => {
            Ok((atoms::ok(), binary(env, rest.as_bytes()), was_there).encode(env))
        }
        Err(error) => Ok(pki_error(env, &error)),
    }
}

/// The SHA-256 of each trust anchor, hex.
#[rustler::nif]
fn identity_anchors(env: Env, identity: ResourceArc<Identity>) -> Vec<Term> {
    let anchors = identity.local.verifier().anchors();
    let id = |sha256: &[u8; 32]| binary(env, hex(sha256).as_bytes());
    anchors.fingerprints().map(id).collect()
}

fn utf8<'a>(bytes: &'a Binary) -> Result<&'a str, Error> {
    std::str::from_utf8(bytes).map_err(|_| Error::Malformed(Part::Statement))
}

fn told(env: Env, judged: Result<Statement, Error>) -> NifResult<Term> {
    match judged {
        Ok(said) => {
            let pairs = [
                (atoms::cluster(), binary(env, said.cluster.as_bytes())),
                (atoms::sequence(), said.sequence.encode(env)),
                (atoms::stage(), atom(env, said.stage.word())),
                (atoms::old(), binary(env, said.old.as_bytes())),
                (atoms::new(), binary(env, said.new.as_bytes())),
                (atoms::cert(), binary(env, said.new_pem.as_bytes())),
            ];
            Ok(ok(env, Term::map_from_pairs(env, &pairs)?))
        }
        Err(error) => Ok(pki_error(env, &error)),
    }
}
