//! The secret identity: what a node makes itself of the entries of its keyring. CA and leaf keys stay on this side.

use crate::identity::{cli_names, made, text, texts, Identity, Parts};
use crate::keyring::{not_accepted, KeyringEntry};
use crate::pki::{identity_of, pki_error};
use crate::term::{binary, ok};
use merlon_pki::{derived_ca, issue, Alg, Anchors, Crls, Error, Issued, Request, Verifier};
use merlon_record::Limits;
use merlon_secret::Entry;
use rustler::{Atom, Binary, Env, NifMap, NifResult, ResourceArc, Term};

/// Of a certificate that is made anew long before it ends.
const DAYS: u32 = 1;

#[derive(NifMap)]
struct Args<'a> {
    /// Newest first.
    entries: Vec<ResourceArc<KeyringEntry>>,
    cluster: Binary<'a>,
    identity: (Atom, Binary<'a>, Binary<'a>),
    /// `default`, or patterns.
    cli_names: Term<'a>,
    derived_names: Vec<Binary<'a>>,
    key_update_after: u64,
    now: u64,
}

/// Trusts the CA of every entry that is accepted now; the certificate is from the newest one on which clocks agree.
#[rustler::nif(schedule = "DirtyCpu")]
fn identity_mint<'a>(env: Env<'a>, args: Args<'a>) -> NifResult<Term<'a>> {
    let (cluster, now) = (text(&args.cluster)?, args.now);
    let identity = identity_of(&cluster, &args.identity)?;
    let [cli, derived] = [cli_names(args.cli_names)?, texts(&args.derived_names)?];
    let limits = Limits {
        key_update_after: args.key_update_after,
    };
    let cas = match cas(&args.entries, &cluster, now) {
        Ok(cas) => cas,
        Err(error) => return Ok(pki_error(env, &error)),
    };
    let settled = cas.iter().find(|(entry, _)| entry.is_settled(now));
    let Some((_, ca)) = settled.or(cas.first()) else {
        return Ok(not_accepted(env));
    };
    let minted = || {
        let request = Request {
            identity: identity?,
            alg: Alg::P256,
            ips: vec![],
            days: DAYS,
        };
        let leaf = issue(&ca.cert_pem, &ca.key_pem, &request, now)?;
        let parts = Parts {
            cert: leaf.cert_pem,
            key: leaf.key_pem,
            verifier: verifier(&cas, &cluster)?,
            cli,
            derived,
            limits,
        };
        Identity::new(parts, now)
    };
    Ok(made(env, minted()))
}

/// Those that are accepted now, with their CAs.
fn cas<'a>(
    entries: &'a [ResourceArc<KeyringEntry>],
    cluster: &str,
    now: u64,
) -> Result<Vec<(&'a Entry, Issued)>, Error> {
    let good = entries
        .iter()
        .filter_map(|entry| Some((&entry.0, entry.0.root(cluster, now)?)));
    good.map(|(entry, root)| Ok((entry, derived_ca(cluster, root.ca_seed().expose())?)))
        .collect()
}

fn verifier(cas: &[(&Entry, Issued)], cluster: &str) -> Result<Verifier, Error> {
    let dated = cas.iter().map(|(entry, ca)| {
        let (from, to) = entry.life();
        (&ca.cert_pem, from, to)
    });
    let anchors = Anchors::dated(&dated.collect::<Vec<_>>())?;
    Ok(Verifier::new(anchors, Crls::none(), cluster)?.with_self_made())
}

/// `{ok, Pem}`: the CA of an entry, which anyone may see.
#[rustler::nif(schedule = "DirtyCpu")]
fn keyring_ca<'a>(
    env: Env<'a>,
    entry: ResourceArc<KeyringEntry>,
    cluster: &str,
    now: u64,
) -> Term<'a> {
    let Some(root) = entry.0.root(cluster, now) else {
        return not_accepted(env);
    };
    match derived_ca(cluster, root.ca_seed().expose()) {
        Ok(ca) => ok(env, binary(env, ca.cert_pem.as_bytes())),
        Err(error) => pki_error(env, &error),
    }
}
