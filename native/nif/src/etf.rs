//! External terms: the Erlang face of `merlon_wire::etf`.

use crate::term::{atom, atoms, error};
use merlon_wire::etf::{self, Budget, Counts, Limit, Refusal};
use merlon_wire::Error;
use rustler::{Atom, Binary, Decoder, Encoder, Env, NifResult, Term};

/// As `merlon_term` packs it, for it is read with every call: bytes, inflated, terms, new atoms, binary, bignum and range of 64
/// bits each, depth of 56 and allow of 8.
struct Limits(Budget);

impl<'a> Decoder<'a> for Limits {
    fn decode(term: Term<'a>) -> NifResult<Self> {
        let packed: Binary = term.decode()?;
        let (numbers, rest) = packed.as_slice().as_chunks();
        let (&[bytes, inflated, terms, new_atoms, binary, bignum, range, last], []) =
            (numbers, rest)
        else {
            return Err(rustler::Error::BadArg);
        };
        let number = u64::from_be_bytes;
        Ok(Limits(Budget {
            bytes: number(bytes),
            inflated: number(inflated),
            terms: number(terms),
            depth: number(last) >> 8,
            new_atoms: number(new_atoms),
            binary: number(binary),
            bignum: number(bignum),
            range: number(range),
            allow: number(last) & 0xFF,
        }))
    }
}

#[rustler::nif]
fn term_scan<'a>(env: Env<'a>, term: Binary<'a>, limits: Limits) -> Term<'a> {
    scan(env, &term, limits)
}

#[rustler::nif(schedule = "DirtyCpu")]
fn term_scan_dirty<'a>(env: Env<'a>, term: Binary<'a>, limits: Limits) -> Term<'a> {
    scan(env, &term, limits)
}

#[rustler::nif(schedule = "DirtyCpu")]
fn term_survey<'a>(env: Env<'a>, term: Binary<'a>, limits: Limits) -> Term<'a> {
    match etf::survey(&term, &limits.0, |name| is_known(env, name)) {
        Ok((counts, names)) => {
            let names: Vec<_> = names
                .iter()
                .map(|name| crate::term::binary(env, name.as_bytes()))
                .collect();
            (atoms::ok(), counted(env, &counts), names).encode(env)
        }
        Err(why) => refused(env, &why),
    }
}

/// Bytes that are scanned and built in less than 1 ms, whatever they are; compressed ones, of which each may be the head of a
/// block, and what they claim to inflate to (docs/guides/terms.md, bench/term.escript).
const SOON: usize = 0x2000;
const SOON_COMPRESSED: usize = 0x1000;
const SOON_INFLATED: u32 = 0x4000;

/// Scanned and built in one call; `badarg` when the VM does not build it, `later` when that is not for an ordinary scheduler.
#[rustler::nif]
fn term_decode<'a>(env: Env<'a>, term: Binary<'a>, limits: Limits) -> Term<'a> {
    if is_soon(&term) {
        decode(env, &term, limits)
    } else {
        atoms::later().encode(env)
    }
}

/// No more is inflated than is claimed.
fn is_soon(term: &[u8]) -> bool {
    match term {
        [131, 80, a, b, c, d, ..] => {
            term.len() <= SOON_COMPRESSED && u32::from_be_bytes([*a, *b, *c, *d]) <= SOON_INFLATED
        }
        _ => term.len() <= SOON,
    }
}

#[rustler::nif(schedule = "DirtyCpu")]
fn term_decode_dirty<'a>(env: Env<'a>, term: Binary<'a>, limits: Limits) -> Term<'a> {
    decode(env, &term, limits)
}

/// The VM builds with `[safe]`, from what was inflated for the scan.
fn decode<'a>(env: Env<'a>, term: &[u8], limits: Limits) -> Term<'a> {
    match etf::unpack(term, &limits.0) {
        Ok(bytes) => match env.binary_to_term(&bytes) {
            Some((term, _)) => (atoms::ok(), term).encode(env),
            None => atoms::badarg().encode(env),
        },
        Err(why) => refused(env, &why),
    }
}

fn scan<'a>(env: Env<'a>, term: &[u8], limits: Limits) -> Term<'a> {
    match etf::scan(term, &limits.0) {
        Ok(_) => atoms::ok().encode(env),
        Err(why) => refused(env, &why),
    }
}

/// What `binary_to_existing_atom` says, of any name: the functions of the NIF API know Latin-1 only on OTP 25.
fn is_known(env: Env, name: &str) -> bool {
    let Ok(len) = u16::try_from(name.len()) else {
        return false;
    };
    let [high, low] = len.to_be_bytes();
    let term = [&[131, 118, high, low], name.as_bytes()].concat();
    env.binary_to_term(&term).is_some()
}

fn counted<'a>(env: Env<'a>, counts: &Counts) -> Term<'a> {
    let pairs = [
        (Limit::Bytes, counts.bytes),
        (Limit::Inflated, counts.inflated),
        (Limit::Terms, counts.terms),
        (Limit::Depth, counts.depth),
        (Limit::NewAtoms, counts.new_atoms),
        (Limit::Binary, counts.binary),
        (Limit::Bignum, counts.bignum),
        (Limit::Range, counts.range),
    ]
    .map(|(what, count)| (atom(env, what.name()), count.encode(env)));
    Term::map_from_pairs(env, &pairs).unwrap_or_else(|_| atoms::undefined().encode(env))
}

/// `{error, {term, {over, What, Max} | {not_allowed, Kind} | {malformed, Code, Where}}}`
fn refused<'a>(env: Env<'a>, why: &Error) -> Term<'a> {
    let code: Atom = match Atom::from_str(env, why.code()) {
        Ok(code) => code,
        Err(_) => atoms::undefined(),
    };
    let malformed = |place: Term<'a>| (atoms::malformed(), code, place).encode(env);
    let reason = match why {
        Error::Term(Refusal::Over { what, max }) => {
            (code, atom(env, what.name()), *max).encode(env)
        }
        Error::Term(Refusal::NotAllowed(kind)) => (code, atom(env, kind.name())).encode(env),
        Error::Term(
            Refusal::Cut { at }
            | Refusal::Atom { at }
            | Refusal::Value { at }
            | Refusal::Tag { at, .. },
        ) => malformed(at.encode(env)),
        Error::Term(Refusal::Trailing { bytes: n } | Refusal::InflatedSize { claimed: n }) => {
            malformed(n.encode(env))
        }
        _ => malformed(0.encode(env)),
    };
    error(env, (atoms::term(), reason))
}
