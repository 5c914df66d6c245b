//! Private keys: PKCS#8 as it is, SEC1 (step-ca, `openssl ecparam`) and PKCS#1 wrapped in PKCS#8 so that ring reads them.

use ring::{
    rand::SystemRandom,
    signature::{
        EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RsaKeyPair,
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING,
    },
};
use rustls_pki_types::{pem::PemObject, PrivateKeyDer};
use x509_cert::der::{
    asn1::{AnyRef, OctetStringRef},
    Decode, Encode, SliceReader, Tag,
};
use zeroize::Zeroizing;

use crate::{Error, Part};

/// AlgorithmIdentifiers (RFC 5480, RFC 8017) for the wrapping.
const EC_P256: &[u8] =
    b"\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
const EC_P384: &[u8] = b"\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22";
const RSA: &[u8] = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";

/// A private key as PKCS#8 (wiped when dropped), and its public half as in a certificate's BIT STRING.
pub(crate) struct PrivateKey {
    pub(crate) pkcs8: Zeroizing<Vec<u8>>,
    pub(crate) public: Vec<u8>,
}

impl PrivateKey {
    /// The first private key of a PEM text.
    pub(crate) fn from_pem(pem: &str) -> Result<Self, Error> {
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| Error::Malformed(Part::Pem))?;
        let found = match &key {
            PrivateKeyDer::Pkcs8(der) => read(Zeroizing::new(der.secret_pkcs8_der().to_vec())),
            PrivateKeyDer::Sec1(der) => {
                let wrapped = |alg| wrap(alg, der.secret_sec1_der()).and_then(read);
                wrapped(EC_P256).or_else(|| wrapped(EC_P384))
            }
            PrivateKeyDer::Pkcs1(der) => wrap(RSA, der.secret_pkcs1_der()).and_then(read),
            _ => None,
        };
        let mut key = key;
        zeroize::Zeroize::zeroize(&mut key);
        found.ok_or(Error::Malformed(Part::Key))
    }
}

/// The same key as version 0 of PKCS#8. ring writes Ed25519 keys as version 1, which OpenSSL and OTP can't read.
pub(crate) fn oldest_pkcs8(pkcs8: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let body = AnyRef::from_der(pkcs8).ok()?.value();
    let mut reader = SliceReader::new(body).ok()?;
    let _version = u8::decode(&mut reader).ok()?;
    let algorithm = AnyRef::decode(&mut reader).and_then(|a| a.to_der()).ok()?;
    let key = OctetStringRef::decode(&mut reader).ok()?;
    wrap(&algorithm, key.as_bytes())
}

/// PrivateKeyInfo (RFC 5958): version 0, algorithm, key.
fn wrap(algorithm: &[u8], key: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let octets = Zeroizing::new(OctetStringRef::new(key).and_then(|o| o.to_der()).ok()?);
    let body = Zeroizing::new([b"\x02\x01\x00", algorithm, &octets].concat());
    AnyRef::new(Tag::Sequence, &body)
        .and_then(|s| s.to_der())
        .ok()
        .map(Zeroizing::new)
}

fn read(pkcs8: Zeroizing<Vec<u8>>) -> Option<PrivateKey> {
    let public = ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING, &pkcs8)
        .or_else(|| ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING, &pkcs8))
        .or_else(|| {
            Ed25519KeyPair::from_pkcs8_maybe_unchecked(&pkcs8)
                .ok()
                .map(public)
        })
        .or_else(|| RsaKeyPair::from_pkcs8(&pkcs8).ok().map(public))?;
    Some(PrivateKey { pkcs8, public })
}

fn ecdsa(alg: &'static EcdsaSigningAlgorithm, pkcs8: &[u8]) -> Option<Vec<u8>> {
    EcdsaKeyPair::from_pkcs8(alg, pkcs8, &SystemRandom::new())
        .ok()
        .map(public)
}

fn public(key: impl KeyPair) -> Vec<u8> {
    key.public_key().as_ref().to_vec()
}
