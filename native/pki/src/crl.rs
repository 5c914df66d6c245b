//! Certificate revocation lists (RFC 5280, section 5).

use rustls_pki_types::{pem::PemObject, CertificateRevocationListDer};
use webpki::{CertRevocationList, OwnedCertRevocationList};
use x509_cert::{
    crl::CertificateList,
    der::{Decode, Encode},
    ext::pkix::AuthorityKeyIdentifier,
    name::Name,
};

use crate::{x509::Cert, Der, Error, Part};

/// Revocation lists, any number, of any issuers. Their signatures are checked when they are used.
#[derive(Debug, Default)]
pub struct Crls(Vec<Crl>);

#[derive(Debug)]
struct Crl {
    list: CertRevocationList<'static>,
    issuer: Vec<u8>,
    issuer_key: Option<Vec<u8>>,
    this_update: u64,
}

impl Crls {
    /// No list at all: nothing is revoked.
    pub fn none() -> Self {
        Self::default()
    }

    /// Reads every `X509 CRL` block of the given PEM texts. A text without one is an error: fail closed on a file that
    /// was meant to revoke something.
    pub fn from_pems<S: AsRef<str>>(pems: &[S]) -> Result<Self, Error> {
        let mut crls = Vec::new();
        for pem in pems {
            let before = crls.len();
            for der in CertificateRevocationListDer::pem_slice_iter(pem.as_ref().as_bytes()) {
                crls.push(Crl::read(&der.map_err(|_| Error::Malformed(Part::Pem))?)?);
            }
            if crls.len() == before {
                return Err(Error::Malformed(Part::Crl));
            }
        }
        // webpki takes the first list of an issuer: let that be the newest.
        crls.sort_by_key(|crl| std::cmp::Reverse(crl.this_update));
        Ok(Self(crls))
    }

    /// How many lists there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is a list of the CA of that name (DER) and key id.
    pub(crate) fn has_of(&self, ca: &[u8], key: Option<&[u8]>) -> bool {
        self.0.iter().any(|crl| crl.is_of(ca, key))
    }

    /// The lists that issuers of these certificates may have signed. Two CAs of one name (a root being rotated) are told
    /// apart by key id, which webpki does not do: it would try the other's list and fail.
    pub(crate) fn of(&self, leaf: &Der<'_>, rest: &[Der<'_>]) -> Vec<&CertRevocationList<'static>> {
        if self.is_empty() {
            return Vec::new();
        }
        // One that can't be read can't be in a path either.
        let chain: Vec<_> = std::iter::once(leaf)
            .chain(rest)
            .filter_map(|der| Cert::read(der).ok())
            .collect();
        let concerns = |crl: &&Crl| chain.iter().any(|cert| crl.may_list(cert));
        self.0
            .iter()
            .filter(concerns)
            .map(|crl| &crl.list)
            .collect()
    }
}

impl Crl {
    fn read(der: &[u8]) -> Result<Self, Error> {
        let malformed = Error::Malformed(Part::Crl);
        let list = OwnedCertRevocationList::from_der(der)
            .map_err(|_| malformed.clone())?
            .into();
        let tbs = CertificateList::from_der(der)
            .map_err(|_| malformed.clone())?
            .tbs_cert_list;
        let aki = tbs
            .crl_extensions
            .iter()
            .flatten()
            .find(|e| e.extn_id == AKI_OID);
        let issuer_key = match aki {
            Some(ext) => AuthorityKeyIdentifier::from_der(ext.extn_value.as_bytes())
                .map_err(|_| malformed.clone())?
                .key_identifier
                .map(|id| id.as_bytes().to_vec()),
            None => None,
        };
        let issuer = name_der(&tbs.issuer).ok_or(malformed)?;
        Ok(Self {
            list,
            issuer,
            issuer_key,
            this_update: tbs.this_update.to_unix_duration().as_secs(),
        })
    }

    fn may_list(&self, cert: &Cert) -> bool {
        name_der(&cert.raw.tbs_certificate.issuer)
            .is_some_and(|issuer| self.is_of(&issuer, cert.issuer_key.as_deref()))
    }

    fn is_of(&self, issuer: &[u8], key: Option<&[u8]>) -> bool {
        let same_key = match (self.issuer_key.as_deref(), key) {
            (Some(a), Some(b)) => a == b,
            _ => true,
        };
        same_key && self.issuer == issuer
    }
}

const AKI_OID: x509_cert::der::asn1::ObjectIdentifier =
    <AuthorityKeyIdentifier as x509_cert::der::oid::AssociatedOid>::OID;

fn name_der(name: &Name) -> Option<Vec<u8>> {
    name.to_der().ok()
}
