//! Entries of a keyring as resources: secrets that go in, and that no function gives back.

use crate::kdf::{refused, to_argon2id, Fault, Held};
use crate::secret::{random, Key};
use crate::term::{binary, error, hex, ok};
use merlon_secret::{Entry, Passphrase, Secret, State};
use rustler::{Atom, Binary, Encoder, Env, NifResult, Resource, ResourceArc, Term};

mod atoms {
    rustler::atoms! { never, not_yet, accepted, expired, not_accepted, no_randomness }
}

/// One entry, wiped when the last reference is gone.
pub struct KeyringEntry(pub Entry);

#[rustler::resource_impl]
impl Resource for KeyringEntry {}

/// `{ok, {Id, Entry}}`.
#[rustler::nif]
fn keyring_entry<'a>(
    env: Env<'a>,
    secret: Key<'a>,
    not_before: u64,
    not_after: Term<'a>,
) -> NifResult<Term<'a>> {
    let secret: &[u8; Entry::SECRET_LEN] = secret
        .bytes()
        .try_into()
        .map_err(|_| rustler::Error::BadArg)?;
    let entry = Entry::new(secret, not_before, end(not_after)?);
    Ok(taken(env, entry))
}

fn end(not_after: Term) -> NifResult<Option<u64>> {
    match not_after.is_atom() {
        true if not_after.decode::<Atom>()? == atoms::never() => Ok(None),
        _ => not_after.decode().map(Some),
    }
}

fn taken(env: Env, entry: Entry) -> Term {
    let id = id(env, &entry);
    ok(env, (id, ResourceArc::new(KeyringEntry(entry))))
}

/// As `keyring_entry`, of a passphrase; `known` (`none` or an entry) spares the work if it is that one already.
#[rustler::nif(schedule = "DirtyCpu")]
fn keyring_stretch<'a>(
    env: Env<'a>,
    known: Term<'a>,
    costs: (u32, u32, u32),
    words: Key<'a>,
    cluster: &str,
    life: (u64, Term<'a>),
    ceiling: u64,
) -> NifResult<Term<'a>> {
    let life = (life.0, end(life.1)?);
    let phrase = Passphrase {
        words: words.bytes(),
        params: to_argon2id(costs),
        cluster,
    };
    let known: Option<ResourceArc<KeyringEntry>> = match known.is_atom() {
        true => None,
        false => Some(known.decode()?),
    };
    if let Some(entry) = known.and_then(|known| phrase.again(&known.0, life)) {
        return Ok(taken(env, entry));
    }
    let stretched = || -> Result<Entry, Fault> {
        let _held = Held::take(u64::from(costs.0), ceiling)?;
        Ok(phrase.stretch(life, ceiling)?)
    };
    Ok(match stretched() {
        Ok(entry) => taken(env, entry),
        Err(fault) => fault.term(env),
    })
}

/// `{ok, {Id, Secret}}`: 256 new bits of the system's generator, for a keyring file.
#[rustler::nif]
fn keyring_new(env: Env) -> Term {
    let mut secret = Secret::new([0; Entry::SECRET_LEN]);
    if !random(secret.expose_mut()) {
        return error(env, atoms::no_randomness());
    }
    let entry = Entry::new(secret.expose(), 0, None);
    ok(env, (id(env, &entry), binary(env, secret.expose())))
}

fn id<'a>(env: Env<'a>, entry: &Entry) -> Term<'a> {
    binary(env, hex(&entry.key_id().0).as_bytes())
}

#[rustler::nif]
fn keyring_state(env: Env, entry: ResourceArc<KeyringEntry>, now: u64) -> Term {
    match entry.0.state(now) {
        State::NotYet => atoms::not_yet(),
        State::Accepted => atoms::accepted(),
        State::Expired => atoms::expired(),
    }
    .encode(env)
}

pub fn not_accepted(env: Env) -> Term {
    error(env, atoms::not_accepted())
}

/// `{ok, Binary}`, `{error, not_accepted}`, or what the KDFs refuse.
#[rustler::nif]
fn keyring_derive<'a>(
    env: Env<'a>,
    entry: ResourceArc<KeyringEntry>,
    cluster: &str,
    now: u64,
    info: Binary<'a>,
    len: usize,
) -> Term<'a> {
    let Some(root) = entry.0.root(cluster, now) else {
        return not_accepted(env);
    };
    /// One more than HKDF gives, which it refuses itself.
    const MOST: usize = 255 * 32 + 1;
    let mut out = Secret::new(vec![0; len.min(MOST)]);
    match root.derive(&info, out.expose_mut()) {
        Ok(()) => ok(env, binary(env, out.expose())),
        Err(fault) => refused(env, &fault),
    }
}
