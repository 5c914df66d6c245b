//! Issuing: a cluster's CA, and certificates for nodes and tools (X.509-SVID, RFC 5280).

use std::{net::IpAddr, time::Duration};

use rcgen::{
    date_time_ymd, BasicConstraints, CertificateParams, DistinguishedName, DnType, DnValue,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, PublicKeyData,
    SanType, SerialNumber, SignatureAlgorithm,
};
use ring::rand::{SecureRandom, SystemRandom};
use rustls_pki_types::DnsName;
use x509_cert::{
    der::pem::{encode_string, LineEnding},
    ext::pkix::KeyUsages,
};
use zeroize::{Zeroize, Zeroizing};

use crate::{
    csr::Grant,
    key::{oldest_pkcs8, PrivateKey},
    name::{check_cluster, cluster_uri},
    x509::{certs_in, hex, sha256, Cert},
    Anchors, Crls, Error, Identity, UnixTime, Usage, Verifier,
};

/// Clocks differ: a new certificate is valid from a little before now.
const SKEW: u64 = 300;
const DAY: u64 = 86_400;
/// 9999-12-31T23:59:59Z, the last moment that a certificate can name.
pub(crate) const END_OF_TIME: u64 = 253_402_300_799;
/// RFC 5280, upper bound of a common name.
const COMMON_NAME_MAX: usize = 64;
/// Addresses of one certificate.
const IPS_MAX: usize = 32;

/// Key algorithms that are issued.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Alg {
    /// ECDSA on P-256 with SHA-256.
    #[default]
    P256,
    /// ECDSA on P-384 with SHA-384.
    P384,
    /// Ed25519.
    Ed25519,
}

impl Alg {
    fn rcgen(self) -> &'static SignatureAlgorithm {
        match self {
            Self::P256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            Self::P384 => &rcgen::PKCS_ECDSA_P384_SHA384,
            Self::Ed25519 => &rcgen::PKCS_ED25519,
        }
    }
}

/// A new certificate and its key.
pub struct Issued {
    /// Certificate, PEM.
    pub cert_pem: String,
    /// Private key, PKCS#8 PEM; wiped when dropped.
    pub key_pem: Zeroizing<String>,
}

/// What to issue.
#[derive(Clone, Debug)]
pub struct Request {
    /// For whom.
    pub identity: Identity,
    /// Kind of key.
    pub alg: Alg,
    /// IP addresses beside the host's own, at most 32.
    pub ips: Vec<IpAddr>,
    /// Lifetime, cut at the CA's end.
    pub days: u32,
}

/// Makes a cluster's CA: self-signed, may sign leaves and revocation lists only, `spiffe://CLUSTER` as URI.
///
/// Its subject is `CLUSTER merlon CA` and a number from its key, so that the CAs of one cluster (a root being rotated)
/// never share a name. [`Error::BadCluster`], [`Error::BadLifetime`], [`Error::Crypto`].
pub fn new_ca(cluster: &str, alg: Alg, now: UnixTime, days: u32) -> Result<Issued, Error> {
    let key = Key::generate(alg)?;
    let mut params = ca_params(cluster, &key)?;
    set_life(&mut params, now.saturating_sub(SKEW), life(now, days)?)?;
    self_signed(&params, &key)
}

/// What the certificate of a cluster's CA says, but for its life and its number.
pub(crate) fn ca_params(cluster: &str, key: &Key) -> Result<CertificateParams, Error> {
    check_cluster(cluster)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = name(&format!("{cluster} merlon CA"));
    push_key_number(&mut params.distinguished_name, &key.0)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.subject_alt_names = vec![uri(&cluster_uri(cluster))?];
    // -x509_strict of OpenSSL wants one in every certificate; of a self-signed one it is its own key's.
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

pub(crate) fn self_signed(params: &CertificateParams, key: &Key) -> Result<Issued, Error> {
    let cert = params.self_signed(&key.0).map_err(|_| Error::Crypto)?;
    Ok(Issued {
        cert_pem: cert.pem(),
        key_pem: key.pem()?,
    })
}

/// Makes a key and has the CA sign its certificate, then verifies the result as a peer would.
///
/// [`Error::NotCa`], [`Error::KeyMismatch`], [`Error::WrongCluster`] (the CA is another cluster's; one without a SPIFFE URI
/// may sign for any), [`Error::AnchorNotValid`] (the CA has expired), [`Error::BadLifetime`], [`Error::TooManyNames`].
pub fn issue(
    ca_cert_pem: &str,
    ca_key_pem: &str,
    request: &Request,
    now: UnixTime,
) -> Result<Issued, Error> {
    let key = Key::generate(request.alg)?;
    let grant = Grant {
        identity: request.identity.clone(),
        ips: request.ips.clone(),
        days: request.days,
    };
    Ok(Issued {
        cert_pem: certify(ca_cert_pem, ca_key_pem, &key.0, &grant, now)?,
        key_pem: key.pem()?,
    })
}

/// Has the CA sign a certificate for that key, and verifies the result as a peer would.
pub(crate) fn certify(
    ca_cert_pem: &str,
    ca_key_pem: &str,
    key: &impl PublicKeyData,
    grant: &Grant,
    now: UnixTime,
) -> Result<String, Error> {
    let ca_der = certs_in(ca_cert_pem)?
        .into_iter()
        .next()
        .ok_or(Error::NoCertificate)?;
    let ca = Cert::read(&ca_der)?;
    check_ca(&ca, &grant.identity, now)?;
    let ca_key = Key::from_pem(ca_key_pem, &ca)?;
    let issuer = Issuer::from_ca_cert_der(&ca_der, &ca_key.0).map_err(|_| Error::NotCa)?;

    let mut params = leaf_params(&grant.identity, &grant.ips)?;
    let from = now.saturating_sub(SKEW).max(ca.not_before());
    let to = life(now, grant.days)?.min(ca.not_after());
    set_life(&mut params, from, to)?;
    params.use_authority_key_identifier_extension = true;
    let cert = params.signed_by(key, &issuer).map_err(|_| Error::Crypto)?;

    let anchors = Anchors::from_pems(&[ca_cert_pem])?;
    let verifier = Verifier::new(anchors, Crls::none(), grant.identity.cluster())?;
    for usage in [Usage::Server, Usage::Client] {
        verifier.verify(&[cert.der().clone()], usage, now)?;
    }
    Ok(cert.pem())
}

fn check_ca(ca: &Cert, identity: &Identity, now: UnixTime) -> Result<(), Error> {
    if !ca.is_ca() || !ca.allows(KeyUsages::KeyCertSign) {
        return Err(Error::NotCa);
    }
    let (not_before, not_after) = (ca.not_before(), ca.not_after());
    if now < not_before || now > not_after {
        return Err(Error::AnchorNotValid {
            not_before,
            not_after,
            now,
        });
    }
    let expected = identity.cluster();
    match ca
        .uris()
        .filter_map(|uri| uri.strip_prefix("spiffe://"))
        .find(|found| *found != expected)
    {
        Some(found) => Err(Error::WrongCluster {
            expected: expected.to_owned(),
            found: found.to_owned(),
        }),
        None => Ok(()),
    }
}

/// What the certificate of an identity says, and what a request for one asks for.
pub(crate) fn leaf_params(identity: &Identity, ips: &[IpAddr]) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = name(&common_name(identity));
    params.subject_alt_names = alt_names(identity, ips)?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    Ok(params)
}

pub(crate) fn common_name(identity: &Identity) -> String {
    let full = match identity {
        Identity::Node { name, host, .. } => format!("{name}@{host}"),
        Identity::Cli { user, host, .. } => format!("{user}@{host} cli"),
        Identity::Hosts { hosts } => hosts.join(" "),
    };
    full.chars().take(COMMON_NAME_MAX).collect()
}

/// The URI; the host as iPAddress, or as dNSName where it is one; further addresses.
pub(crate) fn alt_names(identity: &Identity, ips: &[IpAddr]) -> Result<Vec<SanType>, Error> {
    if ips.len() > IPS_MAX {
        return Err(Error::TooManyNames { count: ips.len() });
    }
    let host = identity.host();
    let mut names = vec![uri(&identity.uri()?)?];
    match host.parse::<IpAddr>() {
        Ok(ip) => names.push(SanType::IpAddress(ip)),
        Err(_) if DnsName::try_from(host).is_ok() => {
            names.push(SanType::DnsName(
                host.try_into().map_err(|_| Error::BadIdentity)?,
            ));
        }
        Err(_) => {}
    }
    for ip in ips.iter().map(|ip| SanType::IpAddress(*ip)) {
        if !names.contains(&ip) {
            names.push(ip);
        }
    }
    Ok(names)
}

fn uri(text: &str) -> Result<SanType, Error> {
    text.try_into()
        .map(SanType::URI)
        .map_err(|_| Error::BadIdentity)
}

fn name(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(
        DnType::CommonName,
        common.chars().take(COMMON_NAME_MAX).collect::<String>(),
    );
    name
}

/// serialNumber (X.520): eight bytes of the key's hash.
fn push_key_number(name: &mut DistinguishedName, key: &KeyPair) -> Result<(), Error> {
    let number: String = hex(&sha256(&key.subject_public_key_info()))
        .chars()
        .take(16)
        .collect();
    let number = number.try_into().map_err(|_| Error::Crypto)?;
    name.push(
        DnType::CustomDnType(vec![2, 5, 4, 5]),
        DnValue::PrintableString(number),
    );
    Ok(())
}

fn life(now: UnixTime, days: u32) -> Result<UnixTime, Error> {
    let end = u64::from(days)
        .checked_mul(DAY)
        .and_then(|life| life.checked_add(now));
    end.filter(|end| days > 0 && *end <= END_OF_TIME)
        .ok_or(Error::BadLifetime)
}

/// Validity, and a serial number of 128 random bits.
fn set_life(params: &mut CertificateParams, from: UnixTime, to: UnixTime) -> Result<(), Error> {
    let mut random = [0; 16];
    SystemRandom::new()
        .fill(&mut random)
        .map_err(|_| Error::Crypto)?;
    set_numbered_life(params, (from, to), &random);
    Ok(())
}

/// Validity, and a serial number (RFC 5280, 4.1.2.2: positive, so a fixed byte goes before these).
pub(crate) fn set_numbered_life(
    params: &mut CertificateParams,
    (from, to): (UnixTime, UnixTime),
    number: &[u8; 16],
) {
    let epoch = date_time_ymd(1970, 1, 1);
    params.not_before = epoch + Duration::from_secs(from);
    params.not_after = epoch + Duration::from_secs(to);
    let serial = [&[1][..], number].concat();
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.key_identifier_method = KeyIdMethod::Sha256;
}

/// A key pair of rcgen, wiped when dropped.
pub(crate) struct Key(pub(crate) KeyPair);

impl Key {
    pub(crate) fn generate(alg: Alg) -> Result<Self, Error> {
        KeyPair::generate_for(alg.rcgen())
            .map(Self)
            .map_err(|_| Error::Crypto)
    }

    /// The key of a PKCS#8 text.
    pub(crate) fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, Error> {
        KeyPair::try_from(pkcs8)
            .map(Self)
            .map_err(|_| Error::Crypto)
    }

    /// The CA's key. [`Error::KeyMismatch`] if it is not that certificate's.
    pub(crate) fn from_pem(pem: &str, ca: &Cert) -> Result<Self, Error> {
        let key = PrivateKey::from_pem(pem)?;
        if key.public != ca.public_key() {
            return Err(Error::KeyMismatch);
        }
        Self::from_pkcs8(&key.pkcs8)
    }

    pub(crate) fn pem(&self) -> Result<Zeroizing<String>, Error> {
        let pkcs8 = oldest_pkcs8(self.0.serialized_der()).ok_or(Error::Crypto)?;
        encode_string("PRIVATE KEY", LineEnding::LF, &pkcs8)
            .map(Zeroizing::new)
            .map_err(|_| Error::Crypto)
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}
