//! Entries of a keyring as resources: secrets that go in, and that no function gives back.

use crate::kdf::refused;
use crate::secret::{random, Key};
use crate::term::{binary, error, hex, ok};
use merlon_secret::{Entry, Secret, State};
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
    let end = match not_after.is_atom() {
        true if not_after.decode::<Atom>()? == atoms::never() => None,
        _ => Some(not_after.decode::<u64>()?),
    };
    let entry = Entry::new(secret, not_before, end);
    let id = id(env, &entry);
    Ok(ok(env, (id, ResourceArc::new(KeyringEntry(entry)))))
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
        return error(env, atoms::not_accepted());
    };
    /// One more than HKDF gives, which it refuses itself.
    const MOST: usize = 255 * 32 + 1;
    let mut out = Secret::new(vec![0; len.min(MOST)]);
    match root.derive(&info, out.expose_mut()) {
        Ok(()) => ok(env, binary(env, out.expose())),
        Err(fault) => refused(env, &fault),
    }
}
