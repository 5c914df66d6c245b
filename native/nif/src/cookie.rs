//! Cookies of OTP's generator: the Erlang face of `merlon_secret::cookie`.

use crate::term::{atoms, binary};
use merlon_secret::cookie::{self, Capture, Simd};
use rustler::{Binary, Encoder, Env, Error, NifResult, Term};

/// Seeds that one call may search: half a second or so on a slow processor.
const MOST: u64 = 1 << 23;

#[rustler::nif]
fn cookie_seed<'a>(env: Env<'a>, cookie: Binary<'a>) -> Term<'a> {
    match cookie::seed_of(&cookie) {
        Some(seed) => (atoms::ok(), seed).encode(env),
        None => atoms::none().encode(env),
    }
}

#[rustler::nif]
fn cookie_of_seed(env: Env, seed: u64) -> Term {
    binary(env, cookie::cookie_of(seed).expose())
}

#[rustler::nif(schedule = "DirtyCpu")]
fn cookie_search<'a>(
    env: Env<'a>,
    challenge: u64,
    digest: Binary<'a>,
    first: u64,
    count: u64,
) -> NifResult<Term<'a>> {
    let challenge = challenge.try_into().map_err(|_| Error::BadArg)?;
    let digest = digest.as_slice().try_into().map_err(|_| Error::BadArg)?;
    let end = first
        .checked_add(count)
        .filter(|end| *end <= cookie::SEEDS && count <= MOST)
        .ok_or(Error::BadArg)?;
    let capture = Capture { challenge, digest };
    Ok(match capture.search(first..end, Simd::Best) {
        Some(seed) => (atoms::ok(), seed).encode(env),
        None => atoms::none().encode(env),
    })
}
