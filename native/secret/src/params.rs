use std::ops::RangeInclusive;

use crate::{argon2, pbkdf2, scrypt, Argon2Extra, Argon2Kind, Argon2Params};
use crate::{Error, Hash, ScryptParams};

/// A function that makes keys of passwords, and what it may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Params {
    /// RFC 9106.
    Argon2(Argon2Params),
    /// RFC 7914.
    Scrypt(ScryptParams),
    /// RFC 8018.
    Pbkdf2 {
        /// Of the HMAC.
        hash: Hash,
        /// How often it is taken.
        iterations: u32,
    },
}

/// Which function it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// One of the three of RFC 9106.
    Argon2(Argon2Kind),
    /// RFC 7914.
    Scrypt,
    /// RFC 8018 with the HMAC of this hash.
    Pbkdf2(Hash),
}

/// The second recommendation of RFC 9106 section 4 (64 MiB, 3 passes), with one lane: there is no second thread
/// that could take another.
pub const DEFAULT: Params = Params::Argon2(Argon2Params {
    kind: Argon2Kind::Id,
    v0x10: false,
    memory: 64 * 1024,
    passes: 3,
    lanes: 1,
});

/// OWASP's Password Storage Cheat Sheet (2023): each pair of KiB and passes is enough for Argon2id...
const ARGON2_FLOOR: [(u32, u32); 5] = [(47104, 1), (19456, 2), (12288, 3), (9216, 4), (7168, 5)];
/// ... each pair of log N and p for scrypt with r = 8 ...
const SCRYPT_FLOOR: [(u32, u32); 5] = [(17, 1), (16, 2), (15, 3), (14, 5), (13, 10)];
/// ... and so many iterations of PBKDF2.
const PBKDF2_SHA256_FLOOR: u32 = 600_000;
const PBKDF2_SHA512_FLOOR: u32 = 210_000;
/// RFC 9106 section 4, NIST SP 800-132: 128 bits of salt. Keys of less than 128 bits can be tried.
const FLOOR_BYTES: usize = 16;

/// About 20 seconds of the machines of today: KiB written by Argon2 and scrypt, iterations of PBKDF2.
const MAX_WORK: u64 = 1 << 25;
const MAX_PASSWORD: usize = 1 << 16;
const MAX_BYTES: usize = 1024;

impl Params {
    /// Fills `out` by this function. Everything is checked before anything is allocated; `ceiling` is the most KiB that it may take.
    ///
    /// # Errors
    /// [`Error::Range`], [`Error::Work`] or [`Error::Memory`] for parameters that are impossible or too big,
    /// [`Error::OutOfMemory`] when the system refuses what the ceiling allows.
    pub fn derive(
        &self,
        password: &[u8],
        salt: &[u8],
        ceiling: u64,
        out: &mut [u8],
    ) -> Result<(), Error> {
        self.check(password.len(), salt.len(), out.len(), ceiling)?;
        match self {
            Params::Argon2(params) => argon2(params, password, salt, Argon2Extra::default(), out),
            Params::Scrypt(params) => scrypt(params, password, salt, out),
            Params::Pbkdf2 { hash, iterations } => pbkdf2(*hash, *iterations, password, salt, out),
        }
    }

    /// Whether these are strong enough to make something new.
    ///
    /// # Errors
    /// [`Error::Weak`] when they are not, [`Error::VerifyOnly`] for what should not be made any more.
    pub fn floor(&self, salt: usize, out: usize) -> Result<(), Error> {
        if knockout::out!("kdf_floor") {
            return Ok(());
        }
        self.made()?;
        let weak = |name| Err(Error::Weak { name });
        match () {
            () if !self.strong() => weak("costs"),
            () if salt < FLOOR_BYTES => weak("salt"),
            () if out < FLOOR_BYTES => weak("length"),
            () => Ok(()),
        }
    }

    /// Whether anything new is made by this function.
    ///
    /// # Errors
    /// [`Error::VerifyOnly`] for Argon2i, Argon2d and what is older than version 1.3.
    pub fn made(&self) -> Result<(), Error> {
        match self {
            Params::Argon2(params) if params.kind != Argon2Kind::Id || params.v0x10 => {
                Err(Error::VerifyOnly)
            }
            _ => Ok(()),
        }
    }

    /// KiB that it takes.
    pub fn memory(&self) -> u64 {
        match self {
            Params::Argon2(params) => u64::from(params.memory),
            Params::Scrypt(params) => {
                let (r, p) = (u64::from(params.r), u64::from(params.p));
                let blocks = (1u64 << params.log_n.min(40)).saturating_add(p + 2);
                blocks.saturating_mul(r).div_ceil(8)
            }
            Params::Pbkdf2 { .. } => 0,
        }
    }

    /// Which function it is.
    pub fn algorithm(&self) -> Algorithm {
        match self {
            Params::Argon2(params) => Algorithm::Argon2(params.kind),
            Params::Scrypt(_) => Algorithm::Scrypt,
            Params::Pbkdf2 { hash, .. } => Algorithm::Pbkdf2(*hash),
        }
    }

    /// Whether something made with these should be made anew, as `wanted` is another function or costs more.
    pub fn weaker_than(&self, wanted: &Params) -> bool {
        match (self, wanted) {
            (Params::Argon2(a), Params::Argon2(b)) => {
                let less = a.memory < b.memory || a.passes < b.passes;
                a.kind != b.kind || less || (a.v0x10 && !b.v0x10)
            }
            (Params::Scrypt(a), Params::Scrypt(b)) => a.log_n < b.log_n || a.r < b.r || a.p < b.p,
            (Params::Pbkdf2 { iterations: a, .. }, Params::Pbkdf2 { iterations: b, .. }) => {
                self.algorithm() != wanted.algorithm() || a < b
            }
            _ => true,
        }
    }

    pub(crate) fn strong(&self) -> bool {
        match self {
            Params::Argon2(p) => ARGON2_FLOOR
                .iter()
                .any(|(memory, passes)| p.memory >= *memory && p.passes >= *passes),
            Params::Scrypt(s) => SCRYPT_FLOOR
                .iter()
                .any(|(log_n, p)| s.r >= 8 && s.log_n >= *log_n && s.p >= *p),
            Params::Pbkdf2 { hash, iterations } => *iterations >= pbkdf2_floor(*hash),
        }
    }

    fn check(&self, password: usize, salt: usize, out: usize, ceiling: u64) -> Result<(), Error> {
        let bytes = |n: usize| n as u64;
        let argon2 = matches!(self, Params::Argon2(_));
        let [min_salt, min_out] = if argon2 { [8, 4] } else { [0, 1] };
        range("password", bytes(password), 0..=bytes(MAX_PASSWORD))?;
        range("salt", bytes(salt), min_salt..=bytes(MAX_BYTES))?;
        range("length", bytes(out), min_out..=bytes(MAX_BYTES))?;
        self.ranges()?;
        let (work, kib) = (self.work(out), self.memory());
        if knockout::out!("kdf_ceiling") {
            return Ok(());
        }
        if work > MAX_WORK {
            let max = MAX_WORK;
            return Err(Error::Work { work, max });
        }
        match kib > ceiling {
            true => Err(Error::Memory { kib, ceiling }),
            false => Ok(()),
        }
    }

    fn ranges(&self) -> Result<(), Error> {
        match self {
            Params::Argon2(p) => {
                range("lanes", p.lanes.into(), 1..=64)?;
                range("passes", p.passes.into(), 1..=MAX_WORK)?;
                let least = 8 * u64::from(p.lanes);
                range("memory", p.memory.into(), least..=u64::from(u32::MAX))
            }
            Params::Scrypt(s) => {
                range("log_n", s.log_n.into(), 1..=31)?;
                range("r", s.r.into(), 1..=64)?;
                range("p", s.p.into(), 1..=64)
            }
            Params::Pbkdf2 { iterations, .. } => {
                range("iterations", (*iterations).into(), 1..=MAX_WORK)
            }
        }
    }

    fn work(&self, out: usize) -> u64 {
        match self {
            Params::Argon2(p) => u64::from(p.memory).saturating_mul(p.passes.into()),
            Params::Scrypt(s) => self.memory().saturating_mul(2 * u64::from(s.p)),
            Params::Pbkdf2 { hash, iterations } => {
                let blocks = out.div_ceil(hash.output_len()) as u64;
                u64::from(*iterations).saturating_mul(blocks)
            }
        }
    }
}

pub(crate) fn pbkdf2_floor(hash: Hash) -> u32 {
    match hash {
        Hash::Sha256 => PBKDF2_SHA256_FLOOR,
        Hash::Sha384 | Hash::Sha512 => PBKDF2_SHA512_FLOOR,
    }
}

fn range(name: &'static str, value: u64, allowed: RangeInclusive<u64>) -> Result<(), Error> {
    match allowed.contains(&value) {
        true => Ok(()),
        false => Err(Error::Range {
            name,
            min: *allowed.start(),
            max: *allowed.end(),
        }),
    }
}
