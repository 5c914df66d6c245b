//! What the tests share: one fixed time, and certificates that `issue` would never make.
#![allow(dead_code, missing_docs, clippy::unwrap_used)]

use merlon_pki::{
    issue, new_ca, Alg, Anchors, Crls, Der, Error, Identity, Issued, NodeName, Peer, Request,
    Usage, Verifier,
};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateRevocationListParams, DnType,
    ExtendedKeyUsagePurpose as Eku, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevokedCertParams, SanType, SerialNumber,
};
use rustls_pki_types::pem::PemObject;

/// 2026-01-01T00:00:00Z.
pub const NOW: u64 = 1_767_225_600;
pub const DAY: u64 = 86_400;
pub const CLUSTER: &str = "prod.example";
pub const URI: &str = "spiffe://prod.example/node/host.example/a";

/// The time type of rcgen, which it does not re-export, from Unix seconds.
macro_rules! at {
    ($unix:expr) => {
        rcgen::date_time_ymd(1970, 1, 1) + std::time::Duration::from_secs($unix)
    };
}
#[allow(unused_imports)]
pub(crate) use at;

pub fn node(text: &str) -> Identity {
    Identity::node(CLUSTER, &NodeName::parse(text).unwrap()).unwrap()
}

pub fn ca() -> Issued {
    new_ca(CLUSTER, Alg::P256, NOW, 3650).unwrap()
}

pub fn leaf(ca: &Issued, identity: Identity) -> Issued {
    let request = Request {
        identity,
        alg: Alg::P256,
        ips: vec![],
        days: 90,
    };
    issue(&ca.cert_pem, &ca.key_pem, &request, NOW).unwrap()
}

pub fn verifier(ca_pem: &str) -> Verifier {
    Verifier::new(
        Anchors::from_pems(&[ca_pem]).unwrap(),
        Crls::none(),
        CLUSTER,
    )
    .unwrap()
}

pub fn der(pem: &str) -> Der<'static> {
    Der::from_pem_slice(pem.as_bytes()).unwrap()
}

/// A CA made by hand, and leaves that it signs whatever they say.
pub struct Rogue {
    pub pem: String,
    pub issuer: Issuer<'static, KeyPair>,
}

impl Rogue {
    pub fn new(name: &str) -> Self {
        Self::with(name, |_| ())
    }

    pub fn with(name: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name = Default::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = at!(NOW - 10 * DAY);
        params.not_after = at!(NOW + 100 * DAY);
        change(&mut params);
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            pem,
            issuer: Issuer::new(params, key),
        }
    }

    /// A good leaf for [`URI`], changed at will.
    pub fn sign(&self, change: impl FnOnce(&mut CertificateParams)) -> Certificate {
        self.sign_key(&KeyPair::generate().unwrap(), change)
    }

    pub fn sign_key(
        &self,
        key: &KeyPair,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Certificate {
        let mut params = CertificateParams::default();
        params.distinguished_name = Default::default();
        params.distinguished_name.push(DnType::CommonName, "leaf");
        params.subject_alt_names = vec![uri(URI)];
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![Eku::ServerAuth, Eku::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(SerialNumber::from_slice(&[0x2a, 0x2b]));
        params.not_before = at!(NOW - DAY);
        params.not_after = at!(NOW + DAY);
        change(&mut params);
        params.signed_by(key, &self.issuer).unwrap()
    }

    /// A CA below this one (serial 2a2b): its certificate, and what signs with its key.
    pub fn intermediate(&self) -> (Certificate, Self) {
        let key = KeyPair::generate().unwrap();
        let mut kept = None;
        let cert = self.sign_key(&key, |p| {
            p.distinguished_name
                .push(DnType::OrganizationName, "intermediate");
            p.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
            p.key_usages = vec![KeyUsagePurpose::KeyCertSign];
            p.extended_key_usages = vec![];
            p.subject_alt_names = vec![];
            kept = Some(p.clone());
        });
        let issuer = Issuer::new(kept.unwrap(), key);
        (
            cert,
            Self {
                pem: String::new(),
                issuer,
            },
        )
    }

    pub fn judge(&self, change: impl FnOnce(&mut CertificateParams)) -> Result<Peer, Error> {
        self.judge_as(Usage::Client, change)
    }

    pub fn judge_as(
        &self,
        usage: Usage,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Result<Peer, Error> {
        verifier(&self.pem).verify(&[self.sign(change).der().clone()], usage, NOW)
    }

    /// A list that revokes these serial numbers, good from `from` to `to`.
    pub fn crl(&self, serials: &[&[u8]], from: u64, to: u64) -> String {
        self.crl_as(KeyIdMethod::Sha256, serials, from, to)
    }

    /// The same under another key id than its own.
    pub fn crl_as(&self, key_id: KeyIdMethod, serials: &[&[u8]], from: u64, to: u64) -> String {
        let revoked = |serial: &&[u8]| RevokedCertParams {
            serial_number: SerialNumber::from_slice(serial),
            revocation_time: at!(from),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: at!(from),
            next_update: at!(to),
            crl_number: SerialNumber::from_slice(&[1]),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: key_id,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

pub fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}
