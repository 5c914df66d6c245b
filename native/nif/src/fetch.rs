//! Secrets from files, variables, programs and servers: what is fetched stays on this side.

use crate::secret::{Key, SecretBytes};
use crate::term::{atom, atoms, binary, error, ok};
use merlon_fetch::{Guard, ProgramError, World, MAX_SECRET};
use merlon_secret::stored::{last_field, stored, unhex, Stored};
use merlon_secret::Secret;
use merlon_store::{aws::Aws, gcp::Gcp, vault::Vault, Error, Options, Source, Store};
use rustler::{Atom, Encoder, Env, NifResult, Resource, ResourceArc, Term};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

mod names {
    rustler::atoms! {
        vault, aws_secretsmanager, gcp_secret_manager, value, file, env,
        fetch, code, option, path, why, variable, field, status, step, signal, unset,
        text, plain, unknown
    }
}

/// A store with the tokens that it has given, wiped when the last reference is gone.
pub struct StoreRef {
    store: Mutex<Store>,
    ca: Option<String>,
}

#[rustler::resource_impl]
impl Resource for StoreRef {}

/// `{ok, Secret}` or `{error, unset}`.
#[rustler::nif]
fn fetch_variable<'a>(env: Env<'a>, name: &str) -> Term<'a> {
    match merlon_fetch::variable(name) {
        Some(value) => secret(env, value.expose().as_bytes()),
        None => error(env, names::unset()),
    }
}

#[rustler::nif(schedule = "DirtyIo")]
fn fetch_file<'a>(env: Env<'a>, path: &str) -> Term<'a> {
    match merlon_fetch::read(path, Guard::Private, MAX_SECRET) {
        Ok(bytes) => ok(env, ResourceArc::new(SecretBytes(bytes))),
        Err(fault) => refused(env, &fault),
    }
}

#[rustler::nif(schedule = "DirtyIo")]
fn fetch_program<'a>(
    env: Env<'a>,
    program: &str,
    arguments: Vec<String>,
    milliseconds: u64,
) -> Term<'a> {
    let within = Duration::from_millis(milliseconds);
    match merlon_fetch::run(program, &arguments, within, MAX_SECRET) {
        Ok(bytes) => ok(env, ResourceArc::new(SecretBytes(bytes))),
        Err(fault) => error(env, (names::fetch(), unrun(env, &fault))),
    }
}

/// Each option is `{Name, {value | file | env, Text}}`; what is secret of these is a secret.
#[rustler::nif]
fn fetch_store<'a>(
    env: Env<'a>,
    kind: Atom,
    options: Vec<(Atom, (Atom, Key<'a>))>,
) -> NifResult<Term<'a>> {
    let mut given = Options::default();
    for (name, (from, text)) in options {
        let name = name.to_term(env).atom_to_string()?;
        given.set(name, source(from, text.bytes())?);
    }
    let ca = given.text("ca");
    let store = if kind == names::vault() {
        Vault::new(&mut given).map(Store::Vault)
    } else if kind == names::aws_secretsmanager() {
        Aws::new(&mut given).map(Store::Aws)
    } else if kind == names::gcp_secret_manager() {
        Gcp::new(&mut given).map(Store::Gcp)
    } else {
        return Err(rustler::Error::BadArg);
    };
    Ok(match store {
        Ok(store) => {
            let store = Mutex::new(store);
            ok(env, ResourceArc::new(StoreRef { store, ca }))
        }
        Err(fault) => refused(env, &fault),
    })
}

fn source(from: Atom, text: &[u8]) -> NifResult<Source> {
    let text = std::str::from_utf8(text).map_err(|_| rustler::Error::BadArg)?;
    if from == names::value() {
        Ok(Source::Value(Secret::new(text.to_string())))
    } else if from == names::file() {
        Ok(Source::File(text.to_string()))
    } else if from == names::env() {
        Ok(Source::Variable(text.to_string()))
    } else {
        Err(rustler::Error::BadArg)
    }
}

/// `{ok, {Secret, Version}}`. One at a time: the store remembers its tokens.
#[rustler::nif(schedule = "DirtyIo")]
fn fetch_value<'a>(env: Env<'a>, store: ResourceArc<StoreRef>, milliseconds: u64) -> Term<'a> {
    let mut world = World::new(Duration::from_millis(milliseconds), store.ca.clone());
    // After a panic its tokens are as good as before: each is put there whole.
    let mut held = store.store.lock().unwrap_or_else(PoisonError::into_inner);
    match held.fetch(&mut world) {
        Ok(delivered) => {
            let text = ResourceArc::new(SecretBytes(delivered.text));
            ok(env, (text, binary(env, delivered.version.as_bytes())))
        }
        Err(fault) => refused(env, &fault),
    }
}

/// `{text, Blotted}`, `{plain, Secret}` or `unknown`.
#[rustler::nif]
fn keyring_stored<'a>(env: Env<'a>, bytes: ResourceArc<SecretBytes>) -> Term<'a> {
    match stored(bytes.0.expose()) {
        Stored::Text(text) => (names::text(), binary(env, &text)).encode(env),
        Stored::Plain(secret) => {
            (names::plain(), ResourceArc::new(SecretBytes(secret))).encode(env)
        }
        Stored::Unknown => names::unknown().encode(env),
    }
}

/// `{ok, Secret}`: the secret of that line.
#[rustler::nif]
fn keyring_secret<'a>(
    env: Env<'a>,
    bytes: ResourceArc<SecretBytes>,
    line: usize,
) -> NifResult<Term<'a>> {
    let secret = last_field(bytes.0.expose(), line).and_then(unhex);
    let secret = secret.ok_or(rustler::Error::BadArg)?;
    Ok(ok(env, ResourceArc::new(SecretBytes(secret))))
}

fn secret<'a>(env: Env<'a>, bytes: &[u8]) -> Term<'a> {
    ok(
        env,
        ResourceArc::new(SecretBytes(Secret::new(bytes.to_vec()))),
    )
}

// ---- errors: `{error, {fetch, #{code => Code, ...}}}`, nothing secret in them ----

fn refused<'a>(env: Env<'a>, fault: &Error) -> Term<'a> {
    error(env, (names::fetch(), told(env, fault)))
}

fn told<'a>(env: Env<'a>, fault: &Error) -> Term<'a> {
    let word = |text: &'static str| atom(env, text);
    let text = |text: &str| binary(env, text.as_bytes());
    let mut more: Vec<(Atom, Term)> = vec![(names::code(), word(fault.code()))];
    match fault {
        Error::Missing { name } | Error::BadUrl { name } | Error::Plaintext { name } => {
            more.push((names::option(), word(name)));
        }
        Error::File { path, why } => {
            more.extend([(names::path(), text(path)), (names::why(), word(why))]);
        }
        Error::BadKey { path } => more.push((names::path(), text(path))),
        Error::NoVariable { name } => more.push((names::variable(), text(name))),
        Error::NoField { name } => more.push((names::field(), text(name))),
        Error::Connect { why } | Error::Tls { why } => more.push((names::why(), word(why))),
        Error::Malformed { step } => more.push((names::step(), word(step.code()))),
        Error::Status {
            step,
            status,
            reason,
        } => {
            more.extend([
                (names::step(), word(step.code())),
                (names::status(), status.encode(env)),
            ]);
            more.extend(reason.map(|reason| (names::why(), word(reason))));
        }
        _ => (),
    }
    map(env, &more)
}

fn unrun<'a>(env: Env<'a>, fault: &ProgramError) -> Term<'a> {
    let mut more: Vec<(Atom, Term)> = vec![(names::code(), atom(env, fault.code()))];
    match fault {
        ProgramError::Program { why } => more.push((names::why(), atom(env, why))),
        ProgramError::Exit { status } => more.push((names::status(), status.encode(env))),
        ProgramError::Signal { signal } => more.push((names::signal(), signal.encode(env))),
        _ => (),
    }
    map(env, &more)
}

fn map<'a>(env: Env<'a>, pairs: &[(Atom, Term<'a>)]) -> Term<'a> {
    Term::map_from_pairs(env, pairs).unwrap_or_else(|_| atoms::error().encode(env))
}
