//! The name service of a host: its sessions, whose messages go by the functions of joining, and its rules. And the sessions
//! of the status page.

use crate::conn::{lock, Conn, Stage};
use crate::identity::{cli_names, judged, of_parts, text, texts, to_term, Identity, IdentityParts};
use crate::join::{start, with_join};
use crate::shake::{done, Refusal};
use crate::term::{atoms, binary, fault, hex, ok, Fault};
use merlon_pki::{BindRules, Error, NodeName, Peer};
use merlon_tls::{Handshake, Join};
use rustler::{Binary, Env, NifResult, ResourceArc, Term};

/// Prepares the keeper's side; `advance` then goes as far as `join`.
#[rustler::nif]
fn names_accept<'a>(
    env: Env<'a>,
    conn: ResourceArc<Conn>,
    local: ResourceArc<Identity>,
    now: u64,
) -> Term<'a> {
    let accept = Handshake::accept_names(&local.local, now);
    let started = lock(&conn.shake).map(|mut shake| shake.stage = Stage::Running(accept));
    done(env, started.map_err(Refusal::from))
}

#[rustler::nif]
fn names_dial<'a>(
    env: Env<'a>,
    conn: ResourceArc<Conn>,
    local: ResourceArc<Identity>,
    now: u64,
) -> Term<'a> {
    done(env, start(&conn, Join::dial_names(&local.local, now)))
}

/// Prepares the serving side of a status page.
#[rustler::nif]
fn status_accept<'a>(
    env: Env<'a>,
    conn: ResourceArc<Conn>,
    local: ResourceArc<Identity>,
    now: u64,
) -> Term<'a> {
    done(env, start(&conn, Join::accept_status(&local.local, now)))
}

/// Who the other side is, `{ok, #{identity, fingerprint}}`.
#[rustler::nif]
fn names_peer(env: Env, conn: ResourceArc<Conn>) -> NifResult<Term> {
    let Ok(peer) = member(&conn) else {
        return Ok(fault(env, &Fault::Misuse));
    };
    let pairs = [
        (atoms::identity(), to_term(env, peer.identity())),
        (
            atoms::fingerprint(),
            binary(env, hex(peer.sha256()).as_bytes()),
        ),
    ];
    Ok(ok(env, Term::map_from_pairs(env, &pairs)?))
}

/// Whether it would still be let in: as `judge` of links.
#[rustler::nif(schedule = "DirtyCpu")]
fn names_judge<'a>(
    env: Env<'a>,
    conn: ResourceArc<Conn>,
    local: ResourceArc<Identity>,
    now: u64,
) -> Term<'a> {
    match member(&conn) {
        Ok(peer) => judged(env, &local, &peer, now),
        Err(_) => fault(env, &Fault::Misuse),
    }
}

fn member(conn: &Conn) -> Result<Peer, Refusal> {
    with_join(conn, |join, _| {
        join.member().ok_or_else(|| Fault::Misuse.into())
    })
}

#[rustler::nif]
fn names_may_register<'a>(
    owner: IdentityParts<'a>,
    name: Binary<'a>,
    cli: Term<'a>,
    derived: Vec<Binary<'a>>,
) -> NifResult<bool> {
    let owner = of_parts(&owner)?;
    decided(&name, cli, &derived, |name, rules| {
        merlon_pki::may_register(&owner?, name, rules)?;
        Ok(true)
    })
}

#[rustler::nif]
fn names_may_learn<'a>(
    asker: IdentityParts<'a>,
    owner: IdentityParts<'a>,
    name: Binary<'a>,
    cli: Term<'a>,
    derived: Vec<Binary<'a>>,
) -> NifResult<bool> {
    let (asker, owner) = (of_parts(&asker)?, of_parts(&owner)?);
    decided(&name, cli, &derived, |name, rules| {
        Ok(merlon_pki::may_learn(&asker?, &owner?, name, rules))
    })
}

/// What can't be read is refused.
fn decided<'a>(
    name: &Binary<'a>,
    cli: Term<'a>,
    derived: &[Binary<'a>],
    decide: impl FnOnce(&NodeName, &BindRules) -> Result<bool, Error>,
) -> NifResult<bool> {
    let rules = BindRules::new(&cli_names(cli)?, &texts(derived)?);
    let Ok(name) = text(name) else {
        return Ok(false);
    };
    let decision = rules.and_then(|rules| decide(&NodeName::parse(&name)?, &rules));
    Ok(decision.unwrap_or(false))
}
