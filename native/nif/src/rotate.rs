//! Entries that move between nodes, and keyring files that change: their secrets never become terms.

use crate::keyring::KeyringEntry;
use crate::secret::random;
use crate::term::{atom, binary, error, hex, ok, Fault};
use merlon_secret::keyring::{edit, secret, Change, NewEntry, MAX_LEN};
use merlon_secret::{Entry, Error, KeyId, Root, Secret, Transfer};
use rustler::{Atom, Binary, Encoder, Env, NifResult, ResourceArc, Term};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

mod atoms {
    rustler::atoms! { none, drop, fresh, sealed }
}

type Entries = Vec<ResourceArc<KeyringEntry>>;
/// Cluster, giver, asker, nonce.
type Request<'a> = (&'a str, Binary<'a>, Binary<'a>, Binary<'a>);
/// Created, not before, not after: as in the file.
type Times<'a> = (&'a str, &'a str, &'a str);

/// Why a keyring file or an entry was left as it is.
enum Refusal {
    Secret(Error),
    Word(&'static str),
    System(std::io::Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Refusal::Secret(error)
    }
}

impl From<std::io::Error> for Refusal {
    fn from(error: std::io::Error) -> Self {
        Refusal::System(error)
    }
}

impl Refusal {
    fn name(self) -> &'static str {
        match self {
            Refusal::Secret(error) => error.code(),
            Refusal::Word(word) => word,
            Refusal::System(error) => Fault::System(error).name(),
        }
    }
}

/// `{ok, Sealed}`: an entry of the file, for one that asks, under an entry that both accept.
#[rustler::nif(schedule = "DirtyIo")]
fn keyring_seal<'a>(
    env: Env<'a>,
    file: Binary<'a>,
    by: ResourceArc<KeyringEntry>,
    id: &str,
    request: Request<'a>,
    now: u64,
) -> NifResult<Term<'a>> {
    let transfer = transfer(id, &request)?;
    let seal = || {
        let root = root(&by, request.0, now)?;
        let mut salt = [0; Transfer::SALT_LEN];
        if !random(&mut salt) {
            return Err(Refusal::Word("no_randomness"));
        }
        let secret = secret(read(&file)?.expose(), id)?;
        Ok(transfer.seal(&root, &salt, secret.expose())?)
    };
    Ok(answer(env, seal(), |sealed| binary(env, &sealed)))
}

/// `{ok, Id | none}`: writes File, changed, as New, which must not be there yet. Id is that of an entry that
/// was made or opened.
#[rustler::nif(schedule = "DirtyIo")]
fn keyring_edit<'a>(
    env: Env<'a>,
    file: Binary<'a>,
    new: Binary<'a>,
    changes: Vec<Term<'a>>,
    addition: Term<'a>,
    now: u64,
) -> NifResult<Term<'a>> {
    let changes = changes
        .into_iter()
        .map(change)
        .collect::<NifResult<Vec<_>>>()?;
    let addition = to_addition(addition)?;
    let edited = || {
        let text = read(&file)?;
        let Some((times, secret)) = added(&addition, now)? else {
            return write(&new, edit(text.expose(), &changes, None)?.expose()).map(|()| None);
        };
        let entry = NewEntry {
            secret: secret.expose(),
            created: times.0,
            not_before: times.1,
            not_after: times.2,
        };
        write(&new, edit(text.expose(), &changes, Some(&entry))?.expose())?;
        Ok(Some(Entry::new(secret.expose(), 0, None).key_id()))
    };
    Ok(answer(env, edited(), |id: Option<KeyId>| match id {
        Some(id) => binary(env, hex(&id.0).as_bytes()),
        None => atoms::none().encode(env),
    }))
}

fn answer<'a, T>(
    env: Env<'a>,
    result: Result<T, Refusal>,
    encode: impl FnOnce(T) -> Term<'a>,
) -> Term<'a> {
    match result {
        Ok(value) => ok(env, encode(value)),
        Err(refusal) => error(env, atom(env, refusal.name())),
    }
}

/// `{Id, NotBefore, NotAfter}` or `{drop, Id}`.
fn change(term: Term) -> NifResult<Change> {
    if let Ok((id, not_before, not_after)) = term.decode::<(&str, &str, &str)>() {
        return Ok(Change::Dates {
            id,
            not_before,
            not_after,
        });
    }
    match term.decode::<(Atom, &str)>()? {
        (word, id) if word == atoms::drop() => Ok(Change::Drop { id }),
        _ => Err(rustler::Error::BadArg),
    }
}

/// What is to be added.
enum Addition<'a> {
    None,
    Fresh(Times<'a>),
    Sealed {
        id: &'a str,
        request: Box<Request<'a>>,
        sealed: Binary<'a>,
        by: Entries,
        times: Times<'a>,
    },
}

/// `none`, `{fresh, Times}` or `{sealed, Id, Request, Sealed, Entries, Times}`.
fn to_addition(term: Term) -> NifResult<Addition> {
    if term.is_atom() {
        return Ok(Addition::None);
    }
    if let Ok((word, times)) = term.decode::<(Atom, Times)>() {
        return match word == atoms::fresh() {
            true => Ok(Addition::Fresh(times)),
            false => Err(rustler::Error::BadArg),
        };
    }
    let (word, id, request, sealed, by, times) =
        term.decode::<(Atom, &str, Request, Binary, Entries, Times)>()?;
    transfer(id, &request)?;
    match word == atoms::sealed() {
        true => Ok(Addition::Sealed {
            id,
            request: Box::new(request),
            sealed,
            by,
            times,
        }),
        false => Err(rustler::Error::BadArg),
    }
}

type Added<'a> = Option<(Times<'a>, Secret<[u8; Entry::SECRET_LEN]>)>;

fn added<'a>(addition: &Addition<'a>, now: u64) -> Result<Added<'a>, Refusal> {
    match addition {
        Addition::None => Ok(None),
        Addition::Fresh(times) => {
            let mut secret = Secret::new([0; Entry::SECRET_LEN]);
            match random(secret.expose_mut()) {
                true => Ok(Some((*times, secret))),
                false => Err(Refusal::Word("no_randomness")),
            }
        }
        Addition::Sealed {
            id,
            request,
            sealed,
            by,
            times,
        } => {
            let key = Transfer::sealed_by(sealed)?;
            let by = by.iter().find(|entry| entry.0.key_id() == key);
            let root = root(by.ok_or(Error::BadTransfer)?, request.0, now)?;
            let transfer = transfer(id, request).map_err(|_| Error::BadTransfer)?;
            Ok(Some((*times, transfer.open(&root, sealed)?)))
        }
    }
}

fn root(entry: &KeyringEntry, cluster: &str, now: u64) -> Result<Root, Refusal> {
    let root = entry.0.root(cluster, now);
    root.ok_or(Refusal::Word("not_accepted"))
}

fn transfer<'a>(id: &str, request: &'a Request) -> NifResult<Transfer<'a>> {
    let (_, from, to, nonce) = request;
    let nonce = nonce.as_slice().try_into();
    let id = u64::from_str_radix(id, 16).ok().filter(|_| id.len() == 16);
    Ok(Transfer {
        from,
        to,
        nonce: nonce.map_err(|_| rustler::Error::BadArg)?,
        id: KeyId(id.ok_or(rustler::Error::BadArg)?.to_be_bytes()),
    })
}

// ---- files ----

fn path<'a>(bytes: &'a Binary) -> &'a Path {
    Path::new(std::ffi::OsStr::from_bytes(bytes))
}

fn read(file: &Binary) -> Result<Secret<Vec<u8>>, Refusal> {
    let mut text = Secret::new(vec![0; MAX_LEN + 1]);
    let mut file = File::open(path(file))?;
    let mut len = 0;
    loop {
        let room = text.expose_mut().get_mut(len..).unwrap_or_default();
        match file.read(room)? {
            0 => break,
            read => len += read,
        }
    }
    if len > MAX_LEN {
        return Err(Error::BadKeyring.into());
    }
    text.expose_mut().truncate(len);
    Ok(text)
}

/// Nobody else can read it from its first moment on, and it is on the disk when this returns.
fn write(new: &Binary, text: &[u8]) -> Result<(), Refusal> {
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path(new))?;
    file.write_all(text)?;
    file.sync_all()?;
    Ok(())
}
