//! Revocation lists: the Erlang face of `merlon_pki::revoke`.

use crate::identity::{text, Identity};
use crate::pki::pki_error;
use crate::term::{atoms, binary, ok};
use merlon_pki::{List, ListId, Reason, Revocation, Revoked};
use rustler::{Atom, Binary, Encoder, Env, NifMap, NifResult, ResourceArc, Term};
use zeroize::Zeroizing;

#[derive(NifMap)]
struct RevokeArgs<'a> {
    ca_cert: Binary<'a>,
    ca_key: Binary<'a>,
    /// The file so far; empty if there is none.
    crl: Binary<'a>,
    /// Hex.
    serials: Vec<Binary<'a>>,
    reason: Atom,
    days: u32,
    now: u64,
}

#[rustler::nif(schedule = "DirtyCpu")]
fn pki_revoke<'a>(env: Env<'a>, args: RevokeArgs<'a>) -> NifResult<Term<'a>> {
    let ca_cert = text(&args.ca_cert)?;
    let ca_key = Zeroizing::new(text(&args.ca_key)?);
    let serials: NifResult<Vec<String>> = args.serials.iter().map(text).collect();
    let reasons = reasons();
    let reason = reasons.iter().find(|(atom, _)| *atom == args.reason);
    let request = Revocation {
        serials: serials?,
        reason: reason.ok_or(rustler::Error::BadArg)?.1,
        days: args.days,
    };
    match merlon_pki::revoke(&ca_cert, &ca_key, &args.crl, &request, args.now) {
        Ok(pem) => Ok(ok(env, binary(env, pem.as_bytes()))),
        Err(error) => Ok(pki_error(env, &error)),
    }
}

/// A list may be long.
#[rustler::nif(schedule = "DirtyCpu")]
fn pki_lists<'a>(env: Env<'a>, file: Binary<'a>) -> NifResult<Term<'a>> {
    match merlon_pki::lists(&file) {
        Ok(lists) => {
            let lists: NifResult<Vec<Term>> = lists.iter().map(|each| list(env, each)).collect();
            Ok(ok(env, lists?))
        }
        Err(error) => Ok(pki_error(env, &error)),
    }
}

/// The lists of a file one by one: `{Id, Der}`.
#[rustler::nif(schedule = "DirtyCpu")]
fn crl_parts<'a>(env: Env<'a>, file: Binary<'a>) -> Term<'a> {
    match merlon_pki::list_parts(&file) {
        Ok(parts) => {
            let part = |(id, der): &(ListId, Vec<u8>)| (list_id(env, id), binary(env, der));
            ok(env, parts.iter().map(part).collect::<Vec<_>>())
        }
        Err(error) => pki_error(env, &error),
    }
}

/// Whether a list that somebody has sent (DER) is to be believed: `{ok, Id}`.
#[rustler::nif(schedule = "DirtyCpu")]
fn crl_check<'a>(
    env: Env<'a>,
    identity: ResourceArc<Identity>,
    der: Binary<'a>,
    now: u64,
) -> Term<'a> {
    let verifier = identity.local.verifier();
    match merlon_pki::check_list(&der, verifier.anchors(), now) {
        Ok(id) => ok(env, list_id(env, &id)),
        Err(error) => pki_error(env, &error),
    }
}

/// `{Ca, ThisUpdate, Number}`
pub fn list_id<'a>(env: Env<'a>, id: &ListId) -> Term<'a> {
    let (ca, number) = (
        binary(env, id.ca.as_bytes()),
        binary(env, id.number.as_slice()),
    );
    (ca, id.this_update, number).encode(env)
}

fn list<'a>(env: Env<'a>, list: &List) -> NifResult<Term<'a>> {
    let or_none = |value: Option<u64>| match value {
        Some(value) => value.encode(env),
        None => atoms::none().encode(env),
    };
    let revoked: NifResult<Vec<Term>> = list.revoked.iter().map(|one| revoked(env, one)).collect();
    let pairs = [
        (atoms::issuer(), binary(env, list.issuer.as_bytes())),
        (atoms::number(), or_none(list.number)),
        (atoms::this_update(), list.this_update.encode(env)),
        (atoms::next_update(), or_none(list.next_update)),
        (atoms::revoked(), revoked?.encode(env)),
    ];
    Term::map_from_pairs(env, &pairs)
}

fn revoked<'a>(env: Env<'a>, revoked: &Revoked) -> NifResult<Term<'a>> {
    let reasons = reasons();
    let reason = reasons.iter().find(|(_, known)| *known == revoked.reason);
    let pairs = [
        (atoms::serial(), binary(env, revoked.serial.as_bytes())),
        (atoms::since(), revoked.since.encode(env)),
        (
            atoms::reason(),
            reason
                .map_or(atoms::unspecified(), |(atom, _)| *atom)
                .encode(env),
        ),
    ];
    Term::map_from_pairs(env, &pairs)
}

fn reasons() -> [(Atom, Reason); 6] {
    [
        (atoms::unspecified(), Reason::Unspecified),
        (atoms::key_compromise(), Reason::KeyCompromise),
        (atoms::affiliation_changed(), Reason::AffiliationChanged),
        (atoms::superseded(), Reason::Superseded),
        (
            atoms::cessation_of_operation(),
            Reason::CessationOfOperation,
        ),
        (atoms::privilege_withdrawn(), Reason::PrivilegeWithdrawn),
    ]
}
