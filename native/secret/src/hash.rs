use ring::{digest, hmac, pbkdf2};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use crate::Secret;

/// The hash functions that keys are derived with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// SHA-256 (FIPS 180-4).
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// Bytes of the longest hash.
const MAX_LEN: usize = 64;

/// What a hash function gives: as many bytes as it is long, wiped when dropped.
pub struct Tag {
    bytes: Secret<[u8; MAX_LEN]>,
    len: usize,
}

impl AsRef<[u8]> for Tag {
    fn as_ref(&self) -> &[u8] {
        self.bytes.expose().get(..self.len).unwrap_or_default()
    }
}

impl Hash {
    /// Bytes of its output.
    pub fn output_len(self) -> usize {
        match self {
            Hash::Sha256 => 32,
            Hash::Sha384 => 48,
            Hash::Sha512 => 64,
        }
    }

    /// The hash of `data`.
    pub fn digest(self, data: &[u8]) -> Tag {
        let algorithm = match self {
            Hash::Sha256 => &digest::SHA256,
            Hash::Sha384 => &digest::SHA384,
            Hash::Sha512 => &digest::SHA512,
        };
        tag(digest::digest(algorithm, data).as_ref())
    }

    /// HMAC (RFC 2104) over the parts, one after the other.
    pub fn hmac(self, key: &[u8], parts: &[&[u8]]) -> Tag {
        let algorithm = match self {
            Hash::Sha256 => hmac::HMAC_SHA256,
            Hash::Sha384 => hmac::HMAC_SHA384,
            Hash::Sha512 => hmac::HMAC_SHA512,
        };
        let mut context = hmac::Context::with_key(&hmac::Key::new(algorithm, key));
        parts.iter().for_each(|part| context.update(part));
        tag(context.sign().as_ref())
    }

    pub(crate) fn pbkdf2(self) -> pbkdf2::Algorithm {
        match self {
            Hash::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            Hash::Sha384 => pbkdf2::PBKDF2_HMAC_SHA384,
            Hash::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        }
    }
}

/// Whether both are the same bytes, in a time that depends on nothing but their lengths.
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

fn tag(bytes: &[u8]) -> Tag {
    let mut all = [0; MAX_LEN];
    all.iter_mut().zip(bytes).for_each(|(a, b)| *a = *b);
    let tag = Tag {
        bytes: Secret::new(all),
        len: bytes.len().min(MAX_LEN),
    };
    all.zeroize();
    tag
}
