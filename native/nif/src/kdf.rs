//! Keys from keys and from passwords: the Erlang face of `merlon_secret`'s derivation.

use crate::secret::{random, Key, Output};
use crate::term::{atom, binary, error, ok};
use merlon_secret::{
    calibrate, equal, hkdf, hkdf_expand, hkdf_extract, Algorithm, Argon2Kind, Argon2Params, Error,
    Goal, Hash, Params, Phc, ScryptParams, MAX_PHC, SALT_LEN, TAG_LEN,
};
use rustler::types::tuple::get_tuple;
use rustler::{Atom, Binary, Encoder, Env, NifResult, Term};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

mod atoms {
    rustler::atoms! {
        kdf, sha256, sha384, sha512, argon2id, argon2i, argon2d, scrypt, pbkdf2_sha256, pbkdf2_sha512,
        name, min, max, work, needed, ceiling, length, milliseconds, busy, no_randomness
    }
}

#[rustler::nif(schedule = "DirtyCpu")]
fn kdf_hkdf<'a>(
    env: Env<'a>,
    hash: Atom,
    ikm: Key<'a>,
    salt: Key<'a>,
    info: Binary<'a>,
    output: Output,
) -> NifResult<Term<'a>> {
    let hash = to_hash(hash)?;
    let derive = |out: &mut [u8]| hkdf(hash, salt.bytes(), ikm.bytes(), &[&info], out);
    Ok(output.fill(env, derive, |e| refused(env, &e)))
}

#[rustler::nif(schedule = "DirtyCpu")]
fn kdf_extract<'a>(
    env: Env<'a>,
    hash: Atom,
    ikm: Key<'a>,
    salt: Key<'a>,
    output: Output,
) -> NifResult<Term<'a>> {
    let hash = to_hash(hash)?;
    let derive = |out: &mut [u8]| {
        let prk = hkdf_extract(hash, salt.bytes(), ikm.bytes());
        copy(prk.as_ref(), out);
        Ok::<(), Error>(())
    };
    let output = output.of(hash.output_len());
    Ok(output.fill(env, derive, |e| refused(env, &e)))
}

#[rustler::nif(schedule = "DirtyCpu")]
fn kdf_expand<'a>(
    env: Env<'a>,
    hash: Atom,
    prk: Key<'a>,
    info: Binary<'a>,
    output: Output,
) -> NifResult<Term<'a>> {
    let hash = to_hash(hash)?;
    let derive = |out: &mut [u8]| hkdf_expand(hash, prk.bytes(), &[&info], out);
    Ok(output.fill(env, derive, |e| refused(env, &e)))
}

/// `weak`: parameters below the floor are taken too.
#[rustler::nif(schedule = "DirtyCpu")]
fn kdf_derive<'a>(
    env: Env<'a>,
    params: Term<'a>,
    password: Key<'a>,
    salt: Binary<'a>,
    limits: (bool, u64),
    output: Output,
) -> NifResult<Term<'a>> {
    let (params, (weak, ceiling)) = (to_params(params)?, limits);
    let derive = |out: &mut [u8]| {
        match weak {
            true => params.made(),
            false => params.floor(salt.len(), output.len),
        }?;
        let _held = Held::take(params.memory(), ceiling)?;
        Ok(params.derive(password.bytes(), &salt, ceiling, out)?)
    };
    Ok(output.fill(env, derive, |fault: Fault| fault.term(env)))
}

#[rustler::nif(schedule = "DirtyCpu")]
fn kdf_hash<'a>(
    env: Env<'a>,
    params: Term<'a>,
    password: Key<'a>,
    ceiling: u64,
) -> NifResult<Term<'a>> {
    let params = to_params(params)?;
    let mut salt = [0; SALT_LEN];
    let hash = || {
        if !random(&mut salt) {
            return Err(Fault::NoRandomness);
        }
        params.floor(SALT_LEN, TAG_LEN)?;
        let _held = Held::take(params.memory(), ceiling)?;
        Ok(Phc::new(params, password.bytes(), salt, ceiling)?.to_string())
    };
    Ok(answer(env, { hash }(), |text: String| {
        ok(env, binary(env, text.as_bytes()))
    }))
}

#[rustler::nif(schedule = "DirtyCpu")]
fn kdf_check<'a>(env: Env<'a>, password: Key<'a>, phc: Binary<'a>, ceiling: u64) -> Term<'a> {
    let check = || {
        let phc = parse(&phc)?;
        let _held = Held::take(phc.params().memory(), ceiling)?;
        Ok(phc.check(password.bytes(), ceiling)?)
    };
    answer(env, check(), |()| rustler::types::atom::ok().encode(env))
}

/// A string that can't be read needs it too.
#[rustler::nif]
fn kdf_needs_rehash<'a>(phc: Binary<'a>, wanted: Term<'a>) -> NifResult<bool> {
    let wanted = to_params(wanted)?;
    Ok(parse(&phc).map_or(true, |phc| phc.needs_rehash(&wanted)))
}

/// The clock is read here, the search is the core's. `limits`: what one call may take, and all at once.
#[rustler::nif(schedule = "DirtyCpu")]
fn kdf_calibrate<'a>(
    env: Env<'a>,
    algorithm: Atom,
    milliseconds: u64,
    (memory, ceiling): (u64, u64),
    lanes: u32,
) -> NifResult<Term<'a>> {
    let goal = Goal {
        algorithm: to_algorithm(algorithm)?,
        budget: milliseconds.saturating_mul(1_000_000),
        memory,
        lanes,
    };
    let measure = |params: &Params| {
        let start = Instant::now();
        params.derive(b"password", &[7; SALT_LEN], memory, &mut [0; TAG_LEN])?;
        Ok(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX))
    };
    let found = || {
        let _held = Held::take(memory, ceiling)?;
        Ok(calibrate(&goal, measure)?)
    };
    Ok(answer(env, found(), |params| {
        ok(env, from_params(env, &params))
    }))
}

#[rustler::nif]
fn kdf_hmac<'a>(env: Env<'a>, hash: Atom, key: Key<'a>, data: Binary<'a>) -> NifResult<Term<'a>> {
    let tag = to_hash(hash)?.hmac(key.bytes(), &[&data]);
    Ok(binary(env, tag.as_ref()))
}

#[rustler::nif(schedule = "DirtyCpu")]
fn kdf_hmac_big<'a>(
    env: Env<'a>,
    hash: Atom,
    key: Key<'a>,
    data: Binary<'a>,
) -> NifResult<Term<'a>> {
    let tag = to_hash(hash)?.hmac(key.bytes(), &[&data]);
    Ok(binary(env, tag.as_ref()))
}

#[rustler::nif]
fn kdf_digest<'a>(env: Env<'a>, hash: Atom, data: Binary<'a>) -> NifResult<Term<'a>> {
    Ok(binary(env, to_hash(hash)?.digest(&data).as_ref()))
}

#[rustler::nif(schedule = "DirtyCpu")]
fn kdf_digest_big<'a>(env: Env<'a>, hash: Atom, data: Binary<'a>) -> NifResult<Term<'a>> {
    Ok(binary(env, to_hash(hash)?.digest(&data).as_ref()))
}

#[rustler::nif]
fn kdf_equal(a: Key, b: Key) -> bool {
    equal(a.bytes(), b.bytes())
}

#[rustler::nif(schedule = "DirtyCpu")]
fn kdf_equal_big(a: Key, b: Key) -> bool {
    equal(a.bytes(), b.bytes())
}

// ---- memory of all calls that run at once ----

/// KiB that the calls that run now have taken.
static TAKEN: AtomicU64 = AtomicU64::new(0);

/// A share of the memory, given back when dropped.
pub struct Held(u64);

impl Held {
    /// As long as what all calls hold stays below the ceiling: many small ones kill a VM as well as one that is big.
    pub fn take(kib: u64, ceiling: u64) -> Result<Held, Fault> {
        if kib > ceiling {
            return Err(Fault::Core(Error::Memory { kib, ceiling }));
        }
        let all = |taken: u64| taken.checked_add(kib).filter(|all| *all <= ceiling);
        TAKEN
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, all)
            .map(|_| Held(kib))
            .map_err(|_| Fault::Busy { kib, ceiling })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        TAKEN.fetch_sub(self.0, Ordering::Relaxed);
    }
}

// ---- terms ----

pub enum Fault {
    Busy { kib: u64, ceiling: u64 },
    Core(Error),
    NoRandomness,
}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        Fault::Core(error)
    }
}

impl Fault {
    pub fn term<'a>(&self, env: Env<'a>) -> Term<'a> {
        match self {
            Fault::Core(error) => refused(env, error),
            Fault::NoRandomness => error(env, (atoms::kdf(), atoms::no_randomness())),
            Fault::Busy { kib, ceiling } => {
                let more = [(atoms::needed(), *kib), (atoms::ceiling(), *ceiling)];
                error(env, (atoms::kdf(), (atoms::busy(), map(env, &more))))
            }
        }
    }
}

fn answer<'a, T>(
    env: Env<'a>,
    result: Result<T, Fault>,
    good: impl FnOnce(T) -> Term<'a>,
) -> Term<'a> {
    match result {
        Ok(value) => good(value),
        Err(fault) => fault.term(env),
    }
}

/// `{error, {kdf, Code}}` or `{error, {kdf, {Code, More}}}`
pub fn refused<'a>(env: Env<'a>, fault: &Error) -> Term<'a> {
    let code = atom(env, fault.code());
    let more = match fault {
        Error::TooLong { len } | Error::ShortKey { len } => {
            map(env, &[(atoms::length(), *len as u64)])
        }
        Error::Range { name, min, max } => {
            let bounds = map(env, &[(atoms::min(), *min), (atoms::max(), *max)]);
            let name = (atoms::name().encode(env), atom(env, name));
            bounds.map_put(name.0, name.1).unwrap_or(bounds)
        }
        Error::Weak { name } => atom(env, name),
        Error::Work { work, max } => map(env, &[(atoms::work(), *work), (atoms::max(), *max)]),
        Error::Memory { kib, ceiling } => map(
            env,
            &[(atoms::needed(), *kib), (atoms::ceiling(), *ceiling)],
        ),
        Error::OutOfMemory { kib } => map(env, &[(atoms::needed(), *kib)]),
        Error::Budget { needed } => {
            map(env, &[(atoms::milliseconds(), needed.div_ceil(1_000_000))])
        }
        _ => return error(env, (atoms::kdf(), code)),
    };
    error(env, (atoms::kdf(), (code, more)))
}

fn map<'a>(env: Env<'a>, pairs: &[(Atom, u64)]) -> Term<'a> {
    Term::map_from_pairs(env, pairs).unwrap_or_else(|_| Term::map_new(env))
}

fn parse(phc: &Binary) -> Result<Phc, Error> {
    if phc.len() > MAX_PHC {
        return Err(Error::NotPhc); // before all of it is looked at
    }
    Phc::parse(std::str::from_utf8(phc).map_err(|_| Error::NotPhc)?)
}

fn copy(from: &[u8], to: &mut [u8]) {
    to.iter_mut().zip(from).for_each(|(t, f)| *t = *f);
}

fn to_hash(name: Atom) -> NifResult<Hash> {
    [
        (atoms::sha256(), Hash::Sha256),
        (atoms::sha384(), Hash::Sha384),
        (atoms::sha512(), Hash::Sha512),
    ]
    .into_iter()
    .find_map(|(atom, hash)| (atom == name).then_some(hash))
    .ok_or(rustler::Error::BadArg)
}

fn algorithms() -> [(Atom, Algorithm); 6] {
    [
        (atoms::argon2id(), Algorithm::Argon2(Argon2Kind::Id)),
        (atoms::argon2i(), Algorithm::Argon2(Argon2Kind::I)),
        (atoms::argon2d(), Algorithm::Argon2(Argon2Kind::D)),
        (atoms::scrypt(), Algorithm::Scrypt),
        (atoms::pbkdf2_sha256(), Algorithm::Pbkdf2(Hash::Sha256)),
        (atoms::pbkdf2_sha512(), Algorithm::Pbkdf2(Hash::Sha512)),
    ]
}

fn to_algorithm(name: Atom) -> NifResult<Algorithm> {
    algorithms()
        .into_iter()
        .find_map(|(atom, algorithm)| (atom == name).then_some(algorithm))
        .ok_or(rustler::Error::BadArg)
}

/// `{Algorithm, Cost...}`: argon2 memory, passes, lanes; scrypt log_n, r, p; pbkdf2 iterations.
fn to_params(term: Term) -> NifResult<Params> {
    let terms = get_tuple(term)?;
    let (name, costs) = terms.split_first().ok_or(rustler::Error::BadArg)?;
    let costs: NifResult<Vec<u32>> = costs.iter().map(cost).collect();
    match (to_algorithm(name.decode()?)?, costs?.as_slice()) {
        (Algorithm::Argon2(kind), &[memory, passes, lanes]) => Ok(Params::Argon2(Argon2Params {
            kind,
            v0x10: false,
            memory,
            passes,
            lanes,
        })),
        (Algorithm::Scrypt, &[log_n, r, p]) => Ok(Params::Scrypt(ScryptParams { log_n, r, p })),
        (Algorithm::Pbkdf2(hash), &[iterations]) => Ok(Params::Pbkdf2 { hash, iterations }),
        _ => Err(rustler::Error::BadArg),
    }
}

/// KiB, passes, lanes.
pub fn to_argon2id((memory, passes, lanes): (u32, u32, u32)) -> Argon2Params {
    Argon2Params {
        kind: Argon2Kind::Id,
        v0x10: false,
        memory,
        passes,
        lanes,
    }
}

fn cost(term: &Term) -> NifResult<u32> {
    u32::try_from(term.decode::<u64>()?).map_err(|_| rustler::Error::BadArg)
}

fn from_params<'a>(env: Env<'a>, params: &Params) -> Term<'a> {
    let found = algorithms()
        .into_iter()
        .find_map(|(atom, algorithm)| (algorithm == params.algorithm()).then_some(atom));
    let name = found.unwrap_or_else(atoms::argon2id);
    match params {
        Params::Argon2(p) => (name, p.memory, p.passes, p.lanes).encode(env),
        Params::Scrypt(s) => (name, s.log_n, s.r, s.p).encode(env),
        Params::Pbkdf2 { iterations, .. } => (name, *iterations).encode(env),
    }
}
