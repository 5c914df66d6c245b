//! What a trust anchor's certificate allows it (RFC 5280, 4.2.1; RFC 5937 on why an anchor's count too).

use x509_cert::{
    der::{asn1::ObjectIdentifier, oid::AssociatedOid},
    ext::pkix::{
        BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages, NameConstraints, SubjectAltName,
    },
};

use crate::{x509::Cert, Crls, Error, Usage};

/// Extensions whose meaning is checked; name constraints by webpki.
const UNDERSTOOD: [ObjectIdentifier; 5] = [
    BasicConstraints::OID,
    KeyUsage::OID,
    ExtendedKeyUsage::OID,
    NameConstraints::OID,
    SubjectAltName::OID,
];

/// Limits that a CA's own certificate sets to what is signed with its key.
#[derive(Clone, Debug)]
pub(crate) struct IssuerRules {
    path_len: Option<u8>,
    eku: Option<Vec<ObjectIdentifier>>,
    signs_lists: bool,
    key_id: Option<Vec<u8>>,
}

impl IssuerRules {
    /// [`Error::UnknownCritical`] for a critical extension that is not understood.
    pub(crate) fn of_anchor(cert: &Cert) -> Result<Self, Error> {
        let extensions = cert.raw.tbs_certificate.extensions.iter().flatten();
        let unknown = extensions
            .filter(|e| e.critical)
            .any(|e| !UNDERSTOOD.contains(&e.extn_id));
        if unknown && !knockout::out!("issuers") {
            return Err(Error::UnknownCritical);
        }
        Ok(Self {
            path_len: cert.basic.as_ref().and_then(|b| b.path_len_constraint),
            eku: cert.eku.clone(),
            signs_lists: cert.allows(KeyUsages::CRLSign),
            key_id: cert.key_id.clone(),
        })
    }

    pub(crate) fn key_id(&self) -> Option<&[u8]> {
        self.key_id.as_deref()
    }

    pub(crate) fn signs_lists(&self) -> bool {
        self.signs_lists
    }

    /// Whether its lists, if it has any, are its to sign.
    pub(crate) fn check_lists(&self, crls: &Crls, subject: &[u8]) -> Result<(), webpki::Error> {
        if self.signs_lists || !crls.has_of(subject, self.key_id.as_deref()) {
            Ok(())
        } else {
            Err(webpki::Error::IssuerNotCrlSigner)
        }
    }

    /// Whether a path with that many CAs between the anchor and the leaf is good for this.
    pub(crate) fn check(&self, below: usize, usage: Usage) -> Result<(), webpki::Error> {
        if self.path_len.is_some_and(|max| below > usize::from(max)) {
            return Err(webpki::Error::PathLenConstraintViolated);
        }
        let allowed = |eku: &Vec<_>| eku.contains(&usage.oid());
        if self.eku.as_ref().is_none_or(allowed) {
            Ok(())
        } else {
            Err(webpki::Error::EmptyEkuExtension)
        }
    }
}
