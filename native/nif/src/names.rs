//! The name service of a host: its sessions, whose messages go by the functions of joining, and its rules. And the sessions
//! of the status page.

use crate::conn::Conn;
use crate::identity::{cli_names, of_parts, text, texts, to_term, Identity, IdentityParts};
use crate::join::{start, with_join};
use crate::shake::done;
use crate::term::{atoms, binary, fault, hex, ok, Fault};
use merlon_pki::{BindRules, Error, NodeName};
use merlon_tls::Join;
use rustler::{Binary, Env, NifResult, ResourceArc, Term};

/// Prepares the keeper's side.
#[rustler::nif]
fn names_accept<'a>(
    env: Env<'a>,
    conn: ResourceArc<Conn>,
    local: ResourceArc<Identity>,
    now: u64,
) -> Term<'a> {
    done(env, start(&conn, Join::accept_names(&local.local, now)))
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
    let member = with_join(&conn, |join, _| {
        join.member().ok_or_else(|| Fault::Misuse.into())
    });
    let Ok(peer) = member else {
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
