//! The CA certificates that vouch for peers, and what each of them says of itself.

use rustls_pki_types::TrustAnchor;
use x509_cert::{ext::pkix::KeyUsages, spki::SubjectPublicKeyInfoOwned};

use crate::{
    issuer::IssuerRules,
    x509::{certs_in, sha256, Cert},
    Der, Error, Part, UnixTime,
};

/// The CA certificates that vouch for peers.
#[derive(Clone, Debug)]
pub struct Anchors(pub(crate) Vec<Anchor>);

#[derive(Clone, Debug)]
pub(crate) struct Anchor {
    sha256: [u8; 32],
    pub(crate) trust: TrustAnchor<'static>,
    pub(crate) subject: Vec<u8>,
    pub(crate) key: SubjectPublicKeyInfoOwned,
    pub(crate) rules: IssuerRules,
    pub(crate) not_before: UnixTime,
    pub(crate) not_after: UnixTime,
}

impl Anchors {
    /// One certificate; errors as [`from_pems`](Self::from_pems).
    pub(crate) fn one(der: &Der<'_>) -> Result<Self, Error> {
        Ok(Self(vec![Anchor::read(der)?]))
    }

    /// Reads every certificate of the given PEM texts. [`Error::NoAnchors`] if there is none, [`Error::NotCa`] for one that
    /// may not sign certificates, [`Error::WeakKey`] and [`Error::UnsupportedAlgorithm`] for its key,
    /// [`Error::UnknownCritical`] for an extension that is not understood.
    pub fn from_pems<S: AsRef<str>>(pems: &[S]) -> Result<Self, Error> {
        let mut anchors = Vec::new();
        for pem in pems {
            for der in certs_in(pem.as_ref())? {
                anchors.push(Anchor::read(&der)?);
            }
        }
        if anchors.is_empty() {
            Err(Error::NoAnchors)
        } else {
            Ok(Self(anchors))
        }
    }

    /// CA certificates that each count in a time of their own (first and last second), within that which they say.
    /// Errors as [`from_pems`](Self::from_pems).
    pub fn dated<S: AsRef<str>>(pems: &[(S, UnixTime, UnixTime)]) -> Result<Self, Error> {
        let mut all = Vec::new();
        for (pem, from, to) in pems {
            let Anchors(mut anchors) = Anchors::from_pems(&[pem])?;
            for anchor in &mut anchors {
                anchor.not_before = anchor.not_before.max(*from);
                anchor.not_after = anchor.not_after.min(*to);
            }
            all.append(&mut anchors);
        }
        if all.is_empty() {
            return Err(Error::NoAnchors);
        }
        Ok(Self(all))
    }

    /// When the next of those valid at `now` ends.
    pub(crate) fn next_end(&self, now: UnixTime) -> Option<UnixTime> {
        let valid = self.0.iter().filter(|anchor| anchor.is_valid(now));
        valid.map(|anchor| anchor.not_after).min()
    }

    /// The SHA-256 of each certificate.
    pub fn fingerprints(&self) -> impl Iterator<Item = &[u8; 32]> {
        self.0.iter().map(|anchor| &anchor.sha256)
    }

    /// The DER subject names, as a TLS server lists them in its certificate request.
    pub fn subjects(&self) -> Vec<Vec<u8>> {
        self.0.iter().map(|a| a.subject.clone()).collect()
    }
}

impl Anchor {
    fn read(der: &Der<'_>) -> Result<Self, Error> {
        let malformed = Error::Malformed(Part::Certificate);
        let cert = Cert::read(der)?;
        cert.check_key()?;
        if !cert.is_ca() || !cert.allows(KeyUsages::KeyCertSign) {
            return Err(Error::NotCa);
        }
        let rules = IssuerRules::of_anchor(&cert)?;
        let trust = webpki::anchor_from_trusted_cert(der)
            .map_err(|_| malformed.clone())?
            .to_owned();
        let subject = x509_cert::der::Encode::to_der(&cert.raw.tbs_certificate.subject)
            .map_err(|_| malformed)?;
        Ok(Self {
            sha256: sha256(der),
            trust,
            subject,
            rules,
            not_before: cert.not_before(),
            not_after: cert.not_after(),
            key: cert.raw.tbs_certificate.subject_public_key_info,
        })
    }

    pub(crate) fn is_valid(&self, now: UnixTime) -> bool {
        knockout::out!("expiry") || (self.not_before <= now && now <= self.not_after)
    }
}
