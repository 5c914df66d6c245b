//! What a certificate says, unverified: for people, and for checking files before they are used.

use std::net::IpAddr;

use x509_cert::{
    der::{asn1::ObjectIdentifier, oid::db::DB},
    ext::pkix::{name::GeneralName, KeyUsages},
};

use crate::{
    key::PrivateKey,
    x509::{certs_in, hex, sha256, Cert, KeyKind},
    Error, Identity, UnixTime,
};

/// One certificate's content, for people and tools. Nothing in it is verified; control characters are replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// Subject, RFC 4514 text.
    pub subject: String,
    /// Issuer, RFC 4514 text.
    pub issuer: String,
    /// Serial number, lower-case hex.
    pub serial_hex: String,
    /// First second of validity.
    pub not_before: UnixTime,
    /// Last second of validity.
    pub not_after: UnixTime,
    /// URI alternative names.
    pub uris: Vec<String>,
    /// DNS alternative names.
    pub dns: Vec<String>,
    /// IP alternative names.
    pub ips: Vec<IpAddr>,
    /// Whether it is a CA's.
    pub is_ca: bool,
    /// Path length constraint.
    pub path_len: Option<u8>,
    /// Extended key usage: `serverAuth`, `clientAuth`, ... or dotted numbers.
    pub eku: Vec<String>,
    /// Key usage: `digitalSignature`, `keyCertSign`, ...
    pub key_usage: Vec<String>,
    /// `EC P-256`, `EC P-384`, `Ed25519`, `RSA 2048`, or the name or dotted number of another one.
    pub key_alg: String,
    /// `ecdsa-with-SHA256`, ... or dotted numbers.
    pub sig_alg: String,
    /// SHA-256 of the DER, lower-case hex.
    pub sha256: String,
    /// The identity, if it has exactly one URI and that is canonical.
    pub identity: Option<Identity>,
}

/// Reads every certificate of a PEM text, in order. [`Error::NoCertificate`] if there is none.
pub fn inspect_pem(pem: &str) -> Result<Vec<Info>, Error> {
    let ders = certs_in(pem)?;
    if ders.is_empty() {
        return Err(Error::NoCertificate);
    }
    ders.iter()
        .map(|der| Cert::read(der).map(|cert| info(&cert, der)))
        .collect()
}

/// Whether the private key (PKCS#8, SEC1 or PKCS#1 PEM) is that of the first certificate. [`Error::KeyMismatch`] if not.
pub fn leaf_matches_key(cert_pem: &str, key_pem: &str) -> Result<(), Error> {
    let ders = certs_in(cert_pem)?;
    let cert = Cert::read(ders.first().ok_or(Error::NoCertificate)?)?;
    let key = PrivateKey::from_pem(key_pem)?;
    if key.public == cert.public_key() {
        Ok(())
    } else {
        Err(Error::KeyMismatch)
    }
}

fn info(cert: &Cert, der: &[u8]) -> Info {
    let tbs = &cert.raw.tbs_certificate;
    let mut info = Info {
        subject: clean(&tbs.subject.to_string()),
        issuer: clean(&tbs.issuer.to_string()),
        serial_hex: cert.serial_hex(),
        not_before: cert.not_before(),
        not_after: cert.not_after(),
        uris: Vec::new(),
        dns: Vec::new(),
        ips: Vec::new(),
        is_ca: cert.is_ca(),
        path_len: cert.basic.as_ref().and_then(|b| b.path_len_constraint),
        eku: cert
            .eku
            .iter()
            .flatten()
            .map(|oid| oid_name(oid).replace("id-kp-", ""))
            .collect(),
        key_usage: key_usage(cert),
        key_alg: key_alg(cert.key_kind()),
        sig_alg: oid_name(&cert.raw.signature_algorithm.oid),
        sha256: hex(&sha256(der)),
        identity: None,
    };
    cert.names.iter().for_each(|name| add_name(&mut info, name));
    info.identity = match info.uris.as_slice() {
        [uri] => Identity::parse(uri).ok(),
        _ => None,
    };
    info
}

fn add_name(info: &mut Info, name: &GeneralName) {
    match name {
        GeneralName::UniformResourceIdentifier(uri) => info.uris.push(clean(uri.as_str())),
        GeneralName::DnsName(dns) => info.dns.push(clean(dns.as_str())),
        GeneralName::IpAddress(ip) => info.ips.extend(ip_addr(ip.as_bytes())),
        _ => {}
    }
}

pub(crate) fn ip_addr(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .ok()
}

fn key_usage(cert: &Cert) -> Vec<String> {
    let name = |usage| match usage {
        KeyUsages::DigitalSignature => "digitalSignature",
        KeyUsages::NonRepudiation => "nonRepudiation",
        KeyUsages::KeyEncipherment => "keyEncipherment",
        KeyUsages::DataEncipherment => "dataEncipherment",
        KeyUsages::KeyAgreement => "keyAgreement",
        KeyUsages::KeyCertSign => "keyCertSign",
        KeyUsages::CRLSign => "cRLSign",
        KeyUsages::EncipherOnly => "encipherOnly",
        KeyUsages::DecipherOnly => "decipherOnly",
    };
    cert.key_usage
        .iter()
        .flat_map(|k| k.0.into_iter())
        .map(|u| name(u).to_owned())
        .collect()
}

fn key_alg(kind: KeyKind) -> String {
    match kind {
        KeyKind::P256 => "EC P-256".to_owned(),
        KeyKind::P384 => "EC P-384".to_owned(),
        KeyKind::Ed25519 => "Ed25519".to_owned(),
        KeyKind::Rsa(bits) => format!("RSA {bits}"),
        KeyKind::Other(oid) => oid_name(&oid),
    }
}

fn oid_name(oid: &ObjectIdentifier) -> String {
    DB.by_oid(oid)
        .map_or_else(|| oid.to_string(), str::to_owned)
}

/// Text that can't play tricks with a terminal or a log.
fn clean(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() {
                char::REPLACEMENT_CHARACTER
            } else {
                c
            }
        })
        .collect()
}
