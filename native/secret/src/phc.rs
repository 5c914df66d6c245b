use base64ct::{Base64Unpadded, Encoding};

use crate::{equal, Argon2Kind, Argon2Params, Error, Hash, Params, ScryptParams, Secret};

/// Bytes of salt of a new hash.
pub const SALT_LEN: usize = 16;
/// Bytes of a new hash.
pub const TAG_LEN: usize = 32;

/// More bytes than any string has that is checked here.
pub const MAX_PHC: usize = 512;
const MAX_SALT: usize = 64;
/// A tag that is too short would soon be met by a wrong password.
const MIN_TAG: usize = 12;
const MAX_TAG: usize = 64;

/// A password's hash with all that it takes to check it: `$argon2id$v=19$m=65536,t=3,p=1$SALT$HASH` and the like.
pub struct Phc {
    params: Params,
    salt: Vec<u8>,
    tag: Vec<u8>,
}

impl Phc {
    /// Hashes a password. `salt` is random.
    ///
    /// # Errors
    /// As [`Params::floor`] and [`Params::derive`].
    pub fn new(
        params: Params,
        password: &[u8],
        salt: [u8; SALT_LEN],
        ceiling: u64,
    ) -> Result<Phc, Error> {
        params.floor(SALT_LEN, TAG_LEN)?;
        let mut tag = vec![0; TAG_LEN];
        params.derive(password, &salt, ceiling, &mut tag)?;
        let salt = salt.to_vec();
        Ok(Phc { params, salt, tag })
    }

    /// Reads a string: of `argon2id`, `argon2i`, `argon2d`, `scrypt`, `pbkdf2-sha256` and `pbkdf2-sha512`; the
    /// latter two also as passlib and pbkdf2_elixir write them.
    ///
    /// # Errors
    /// [`Error::NotPhc`] or [`Error::UnknownPhc`]. How big the parameters are is seen when it is [checked](Phc::check).
    pub fn parse(text: &str) -> Result<Phc, Error> {
        if text.len() > MAX_PHC {
            return Err(Error::NotPhc);
        }
        let fields: Vec<&str> = text.split('$').collect();
        let (params, salt, tag) = match fields.as_slice() {
            ["", name, version, costs, salt, tag] if name.starts_with("argon2") => {
                (argon2(name, version, costs)?, *salt, *tag)
            }
            // Version 1.0 did not name itself.
            ["", name, costs, salt, tag] if name.starts_with("argon2") => {
                (argon2(name, "v=16", costs)?, *salt, *tag)
            }
            ["", "scrypt", costs, salt, tag] => (scrypt(costs)?, *salt, *tag),
            ["", "pbkdf2-sha256", costs, salt, tag] => {
                (pbkdf2(Hash::Sha256, costs, tag)?, *salt, *tag)
            }
            ["", "pbkdf2-sha512", costs, salt, tag] => {
                (pbkdf2(Hash::Sha512, costs, tag)?, *salt, *tag)
            }
            ["", _, .., _] => return Err(Error::UnknownPhc),
            _ => return Err(Error::NotPhc),
        };
        let (salt, tag) = (base64(salt)?, base64(tag)?);
        let lengths = salt.len() <= MAX_SALT && (MIN_TAG..=MAX_TAG).contains(&tag.len());
        match lengths {
            true => Ok(Phc { params, salt, tag }),
            false => Err(Error::NotPhc),
        }
    }

    /// Whether it is the hash of this password, compared in constant time. Parameters below the floor are good
    /// enough to be checked.
    ///
    /// # Errors
    /// [`Error::WrongPassword`], or as [`Params::derive`] for a string that asks for too much.
    pub fn check(&self, password: &[u8], ceiling: u64) -> Result<(), Error> {
        let mut tag = Secret::new(vec![0; self.tag.len()]);
        self.params
            .derive(password, &self.salt, ceiling, tag.expose_mut())?;
        match equal(tag.expose(), &self.tag) || knockout::out!("kdf_verify") {
            true => Ok(()),
            false => Err(Error::WrongPassword),
        }
    }

    /// What it was made with.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Whether it is weaker than what is made today with these parameters.
    pub fn needs_rehash(&self, wanted: &Params) -> bool {
        let short = self.salt.len() < SALT_LEN || self.tag.len() < TAG_LEN;
        short || self.params.weaker_than(wanted)
    }
}

impl std::fmt::Display for Phc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.params {
            Params::Argon2(p) => {
                let version = if p.v0x10 { 16 } else { 19 };
                let (name, m, t) = (argon2_name(p.kind), p.memory, p.passes);
                write!(f, "${name}$v={version}$m={m},t={t},p={}", p.lanes)?;
            }
            Params::Scrypt(s) => write!(f, "$scrypt$ln={},r={},p={}", s.log_n, s.r, s.p)?,
            Params::Pbkdf2 { hash, iterations } => {
                let bits = hash.output_len() * 8;
                write!(f, "$pbkdf2-sha{bits}$i={iterations},l={}", self.tag.len())?;
            }
        }
        let encode = Base64Unpadded::encode_string;
        write!(f, "${}${}", encode(&self.salt), encode(&self.tag))
    }
}

fn argon2_name(kind: Argon2Kind) -> &'static str {
    match kind {
        Argon2Kind::D => "argon2d",
        Argon2Kind::I => "argon2i",
        Argon2Kind::Id => "argon2id",
    }
}

fn argon2(name: &str, version: &str, costs: &str) -> Result<Params, Error> {
    let kinds = [Argon2Kind::D, Argon2Kind::I, Argon2Kind::Id];
    let kind = kinds.into_iter().find(|kind| argon2_name(*kind) == name);
    let v0x10 = match version {
        "v=19" => false,
        "v=16" => true,
        _ => return Err(Error::UnknownPhc),
    };
    let [memory, passes, lanes] = numbers(costs, ["m=", "t=", "p="])?;
    Ok(Params::Argon2(Argon2Params {
        kind: kind.ok_or(Error::UnknownPhc)?,
        v0x10,
        memory,
        passes,
        lanes,
    }))
}

fn scrypt(costs: &str) -> Result<Params, Error> {
    let [log_n, r, p] = numbers(costs, ["ln=", "r=", "p="])?;
    Ok(Params::Scrypt(ScryptParams { log_n, r, p }))
}

/// `i=N`, `i=N,l=LEN`, or just `N`.
fn pbkdf2(hash: Hash, costs: &str, tag: &str) -> Result<Params, Error> {
    let [iterations] = if costs.contains(",l=") {
        let [iterations, len] = numbers(costs, ["i=", "l="])?;
        if len as usize != base64(tag)?.len() {
            return Err(Error::NotPhc);
        }
        [iterations]
    } else {
        numbers(costs, ["i="]).or_else(|_| numbers(costs, [""]))?
    };
    Ok(Params::Pbkdf2 { hash, iterations })
}

/// Exactly these parameters in this order, each a decimal number without leading zeros.
fn numbers<const N: usize>(text: &str, names: [&str; N]) -> Result<[u32; N], Error> {
    let mut parts = text.split(',');
    let mut values = [0; N];
    for (value, name) in values.iter_mut().zip(names) {
        let part = parts.next().and_then(|part| part.strip_prefix(name));
        *value = number(part.ok_or(Error::UnknownPhc)?)?;
    }
    match parts.next() {
        None => Ok(values),
        Some(_) => Err(Error::UnknownPhc),
    }
}

fn number(digits: &str) -> Result<u32, Error> {
    let plain = digits.bytes().all(|c| c.is_ascii_digit()) && !digits.starts_with('0');
    match digits.parse() {
        Ok(number) if plain => Ok(number),
        _ => Err(Error::NotPhc),
    }
}

/// passlib writes `.` for `+`.
fn base64(text: &str) -> Result<Vec<u8>, Error> {
    Base64Unpadded::decode_vec(&text.replace('.', "+")).map_err(|_| Error::NotPhc)
}
