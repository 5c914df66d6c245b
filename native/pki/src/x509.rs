//! Reading certificates and keys: the part that issuing, inspecting and verifying share.

use ring::digest::{digest, SHA256};
use rustls_pki_types::pem::PemObject;
use x509_cert::{
    certificate::Certificate,
    der::{
        asn1::{ObjectIdentifier, UintRef},
        Decode, Reader, SliceReader,
    },
    ext::pkix::{
        name::GeneralName, AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage,
        KeyUsages, SubjectAltName, SubjectKeyIdentifier,
    },
    ext::Extension,
    spki::SubjectPublicKeyInfoOwned,
};

use crate::{Der, Error, Part, UnixTime};

const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// RSA keys of fewer bits are refused (NIST SP 800-131A).
const RSA_BITS_MIN: usize = 2048;

/// webpki reads no certificate of more bytes either.
const DER_MAX: usize = 65_535;

/// The kind of a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyKind {
    P256,
    P384,
    Ed25519,
    Rsa(usize),
    Other(ObjectIdentifier),
}

/// A certificate that was read, not verified.
pub(crate) struct Cert {
    pub(crate) raw: Certificate,
    pub(crate) names: Vec<GeneralName>,
    pub(crate) basic: Option<BasicConstraints>,
    pub(crate) key_usage: Option<KeyUsage>,
    pub(crate) eku: Option<Vec<ObjectIdentifier>>,
    pub(crate) issuer_key: Option<Vec<u8>>,
    pub(crate) key_id: Option<Vec<u8>>,
}

impl Cert {
    /// Reads strictly, with the extensions that matter here.
    pub(crate) fn read(der: &[u8]) -> Result<Self, Error> {
        let small = Some(der).filter(|der| der.len() <= DER_MAX);
        let cert = small.and_then(|der| Self::try_read(der).ok());
        cert.ok_or(Error::Malformed(Part::Certificate))
    }

    fn try_read(der: &[u8]) -> Result<Self, x509_cert::der::Error> {
        let raw = Certificate::from_der(der)?;
        let tbs = &raw.tbs_certificate;
        unique(tbs.extensions.as_deref().unwrap_or_default())?;
        let names = tbs
            .get::<SubjectAltName>()?
            .map(|(_, san)| san.0)
            .unwrap_or_default();
        let basic = tbs.get::<BasicConstraints>()?.map(|(_, b)| b);
        let key_usage = tbs.get::<KeyUsage>()?.map(|(_, k)| k);
        let eku = tbs.get::<ExtendedKeyUsage>()?.map(|(_, e)| e.0);
        let aki = tbs
            .get::<AuthorityKeyIdentifier>()?
            .and_then(|(_, a)| a.key_identifier);
        let issuer_key = aki.map(|id| id.as_bytes().to_vec());
        let ski = tbs.get::<SubjectKeyIdentifier>()?;
        let key_id = ski.map(|(_, id)| id.0.as_bytes().to_vec());
        Ok(Self {
            names,
            basic,
            key_usage,
            eku,
            issuer_key,
            key_id,
            raw,
        })
    }

    pub(crate) fn not_before(&self) -> UnixTime {
        self.raw
            .tbs_certificate
            .validity
            .not_before
            .to_unix_duration()
            .as_secs()
    }

    pub(crate) fn not_after(&self) -> UnixTime {
        self.raw
            .tbs_certificate
            .validity
            .not_after
            .to_unix_duration()
            .as_secs()
    }

    pub(crate) fn serial_hex(&self) -> String {
        let octets = self.raw.tbs_certificate.serial_number.as_bytes();
        hex(octets
            .strip_prefix(&[0])
            .filter(|rest| !rest.is_empty())
            .unwrap_or(octets))
    }

    pub(crate) fn is_ca(&self) -> bool {
        self.basic.as_ref().is_some_and(|b| b.ca)
    }

    /// Whether the key may be used so; a certificate without key usage allows everything.
    pub(crate) fn allows(&self, usage: KeyUsages) -> bool {
        self.key_usage.is_none_or(|k| k.0.contains(usage))
    }

    pub(crate) fn uris(&self) -> impl Iterator<Item = &str> {
        self.names.iter().filter_map(|name| match name {
            GeneralName::UniformResourceIdentifier(uri) => Some(uri.as_str()),
            _ => None,
        })
    }

    pub(crate) fn key_kind(&self) -> KeyKind {
        key_kind(&self.raw.tbs_certificate.subject_public_key_info)
    }

    pub(crate) fn public_key(&self) -> &[u8] {
        self.raw
            .tbs_certificate
            .subject_public_key_info
            .subject_public_key
            .raw_bytes()
    }

    /// [`Error::WeakKey`] or [`Error::UnsupportedAlgorithm`] for a key that is not accepted from anyone.
    pub(crate) fn check_key(&self) -> Result<(), Error> {
        check_key_kind(self.key_kind())
    }
}

/// [`Error::WeakKey`] or [`Error::UnsupportedAlgorithm`] for a key that is not accepted from anyone.
pub(crate) fn check_key_kind(kind: KeyKind) -> Result<(), Error> {
    match kind {
        KeyKind::Rsa(bits) if bits < RSA_BITS_MIN => Err(Error::WeakKey),
        KeyKind::Other(_) => Err(Error::UnsupportedAlgorithm),
        _ => Ok(()),
    }
}

/// No extension may come twice (RFC 5280, 4.2). Sorted, so that a stranger's thousands of them cost no more than that.
fn unique(extensions: &[Extension]) -> Result<(), x509_cert::der::Error> {
    let mut kinds: Vec<_> = extensions.iter().map(|e| e.extn_id).collect();
    kinds.sort_unstable();
    let twice = kinds.windows(2).any(|pair| pair.first() == pair.last());
    if twice && !knockout::out!("issuers") {
        return Err(x509_cert::der::ErrorKind::SetDuplicate.into());
    }
    Ok(())
}

/// Every certificate of a PEM text, other blocks and words around them ignored.
pub(crate) fn certs_in(pem: &str) -> Result<Vec<Der<'static>>, Error> {
    Der::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|_| Error::Malformed(Part::Pem))
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, bytes).as_ref());
    out
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

pub(crate) fn key_kind(spki: &SubjectPublicKeyInfoOwned) -> KeyKind {
    let curve = spki
        .algorithm
        .parameters
        .as_ref()
        .and_then(|p| p.decode_as::<ObjectIdentifier>().ok());
    match (spki.algorithm.oid, curve) {
        (EC, Some(P256)) => KeyKind::P256,
        (EC, Some(P384)) => KeyKind::P384,
        (EC, Some(other)) => KeyKind::Other(other),
        (ED25519, _) => KeyKind::Ed25519,
        (RSA, _) => {
            rsa_bits(spki.subject_public_key.raw_bytes()).map_or(KeyKind::Other(RSA), KeyKind::Rsa)
        }
        (other, _) => KeyKind::Other(other),
    }
}

/// Length of the modulus of an RSAPublicKey (RFC 8017, A.1.1).
fn rsa_bits(der: &[u8]) -> Option<usize> {
    let mut reader = SliceReader::new(der).ok()?;
    let modulus = reader.sequence(|r| {
        let modulus = UintRef::decode(r)?;
        UintRef::decode(r).map(|_exponent| modulus)
    });
    let bytes = modulus.ok()?.as_bytes();
    let unused = bytes.first()?.leading_zeros();
    bytes
        .len()
        .checked_mul(8)?
        .checked_sub(usize::try_from(unused).ok()?)
}
