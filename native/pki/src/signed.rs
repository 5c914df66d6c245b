//! Signatures on what is no certificate (webpki checks those): requests and revocation lists.

use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use x509_cert::{
    der::{
        asn1::{AnyRef, BitString, ObjectIdentifier},
        Decode, Reader, SliceReader,
    },
    spki::SubjectPublicKeyInfoOwned,
};

use crate::x509::{key_kind, KeyKind};

const ECDSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const ECDSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
const RSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
const RSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12");
const RSA_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// What is wrong with a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// An algorithm that is not accepted, or not this key's.
    Algorithm,
    /// Not a signed structure.
    Form,
    /// Made with another key, or over other bytes.
    Signature,
}

/// Whether that key has signed `der`, the SEQUENCE of what is signed, the algorithm and the signature.
/// Over the bytes as they came, not as they would be written again.
pub(crate) fn check_signed(
    der: &[u8],
    key: &SubjectPublicKeyInfoOwned,
    algorithm: ObjectIdentifier,
    signature: &BitString,
) -> Result<(), Wrong> {
    let algorithm = verification(key_kind(key), algorithm).ok_or(Wrong::Algorithm)?;
    let signed = AnyRef::from_der(der)
        .and_then(|whole| SliceReader::new(whole.value())?.tlv_bytes())
        .map_err(|_| Wrong::Form)?;
    let signature = signature.as_bytes().ok_or(Wrong::Signature)?;
    let key = key.subject_public_key.as_bytes().ok_or(Wrong::Signature)?;
    UnparsedPublicKey::new(algorithm, key)
        .verify(signed, signature)
        .map_err(|_| Wrong::Signature)
}

/// Whether that key has signed those bytes, with the algorithm that goes with it here.
pub(crate) fn check_bytes(
    bytes: &[u8],
    key: &SubjectPublicKeyInfoOwned,
    signature: &[u8],
) -> Result<(), Wrong> {
    let kind = key_kind(key);
    let usual = match kind {
        KeyKind::P256 => ECDSA_SHA256,
        KeyKind::P384 => ECDSA_SHA384,
        KeyKind::Ed25519 => ED25519,
        _ => RSA_SHA256,
    };
    let algorithm = verification(kind, usual).ok_or(Wrong::Algorithm)?;
    let key = key.subject_public_key.as_bytes().ok_or(Wrong::Signature)?;
    UnparsedPublicKey::new(algorithm, key)
        .verify(bytes, signature)
        .map_err(|_| Wrong::Signature)
}

/// No SHA-1, no PSS (nothing signs so by itself).
fn verification(
    key: KeyKind,
    signature: ObjectIdentifier,
) -> Option<&'static dyn VerificationAlgorithm> {
    Some(match (key, signature) {
        (KeyKind::P256, ECDSA_SHA256) => &signature::ECDSA_P256_SHA256_ASN1,
        (KeyKind::P256, ECDSA_SHA384) => &signature::ECDSA_P256_SHA384_ASN1,
        (KeyKind::P384, ECDSA_SHA256) => &signature::ECDSA_P384_SHA256_ASN1,
        (KeyKind::P384, ECDSA_SHA384) => &signature::ECDSA_P384_SHA384_ASN1,
        (KeyKind::Ed25519, ED25519) => &signature::ED25519,
        (KeyKind::Rsa(_), RSA_SHA256) => &signature::RSA_PKCS1_2048_8192_SHA256,
        (KeyKind::Rsa(_), RSA_SHA384) => &signature::RSA_PKCS1_2048_8192_SHA384,
        (KeyKind::Rsa(_), RSA_SHA512) => &signature::RSA_PKCS1_2048_8192_SHA512,
        _ => return None,
    })
}
