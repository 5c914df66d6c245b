//! Certificate revocation lists (RFC 5280, section 5).

use rustls_pki_types::{pem::PemObject, CertificateRevocationListDer};
use webpki::{CertRevocationList, ExpirationPolicy, OwnedCertRevocationList};
use x509_cert::{
    crl::CertificateList,
    der::{
        asn1::{BitString, ObjectIdentifier},
        oid::{
            db::rfc5912::{ID_CE_DELTA_CRL_INDICATOR, ID_CE_ISSUING_DISTRIBUTION_POINT},
            AssociatedOid,
        },
        Decode, Encode,
    },
    ext::{
        pkix::{AuthorityKeyIdentifier, CrlNumber},
        Extension,
    },
    name::Name,
    spki::SubjectPublicKeyInfoOwned,
};

use crate::{
    signed::{check_signed, Wrong},
    x509::Cert,
    Anchors, Der, Error, ListId, Part, UnixTime,
};

/// What a revocation list past its next update is worth: nobody can tell what was revoked since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StaleCrl {
    /// Nobody whom it is about is accepted ([`Error::CrlExpired`]).
    #[default]
    Refuse,
    /// It counts on.
    Accept,
}

impl StaleCrl {
    pub(crate) fn policy(self) -> ExpirationPolicy {
        match self {
            Self::Refuse => ExpirationPolicy::Enforce,
            Self::Accept => ExpirationPolicy::Ignore,
        }
    }
}

/// Revocation lists, any number, of any issuers. Their signatures are checked when they are used.
#[derive(Debug, Default)]
pub struct Crls(Vec<Crl>);

#[derive(Debug)]
pub(crate) struct Crl {
    list: CertRevocationList<'static>,
    pub(crate) issuer: Vec<u8>,
    /// The key id of the CA that has signed it, as far as is known.
    issuer_key: Option<Vec<u8>>,
    /// The key id that it names.
    pub(crate) named_key: Option<Vec<u8>>,
    pub(crate) this_update: u64,
    /// Its octets, without leading zeros; none is older than any.
    pub(crate) number: Vec<u8>,
    pub(crate) next_update: Option<u64>,
    /// For some certificates or reasons only, or the difference to another list.
    pub(crate) partial: bool,
    algorithm: ObjectIdentifier,
    signature: BitString,
    /// Until it is known whose it is.
    der: Vec<u8>,
}

impl Crls {
    /// No list at all: nothing is revoked.
    pub fn none() -> Self {
        Self::default()
    }

    /// Reads every list of the given files, see [`ders_in`]. A file without one is an error: fail closed on what was
    /// meant to revoke something.
    pub fn from_files<B: AsRef<[u8]>>(files: &[B]) -> Result<Self, Error> {
        let mut crls = Vec::new();
        for file in files {
            for der in ders_in(file.as_ref())? {
                crls.push(Crl::read(&der)?);
            }
        }
        // webpki takes the first list of an issuer: let that be the newest. Two may be of the same second.
        crls.sort_by(|a, b| b.age().cmp(&a.age()));
        Ok(Self(crls))
    }

    /// The same for PEM texts.
    pub fn from_pems<S: AsRef<str>>(pems: &[S]) -> Result<Self, Error> {
        let texts: Vec<_> = pems.iter().map(|pem| pem.as_ref().as_bytes()).collect();
        Self::from_files(&texts)
    }

    /// When the first of the lists is due to be replaced; those that have been are not counted.
    pub fn next_update(&self) -> Option<UnixTime> {
        let current = self.0.iter().enumerate().filter(|(at, crl)| {
            let newer = self.0.iter().take(*at);
            !newer.clone().any(|other| other.is_of_the_same_ca(crl))
        });
        current.filter_map(|(_, crl)| crl.next_update).min()
    }

    /// Which lists there are, the newest first.
    pub fn ids(&self) -> Vec<ListId> {
        self.0.iter().map(Crl::id).collect()
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

    /// Who has signed the lists that name a key id which none of the anchors has: a CA may have named its key otherwise
    /// there than in its certificate, and the list counts for all that.
    pub(crate) fn attribute(&mut self, anchors: &Anchors) {
        for crl in &mut self.0 {
            if let Some(key) = anchors.renamed_key(crl) {
                crl.issuer_key = key;
            }
            crl.der = Vec::new();
        }
    }

    /// The lists that issuers of these certificates may have signed. Two CAs of one name (a root being rotated) are told
    /// apart by key id, which webpki does not do: it would try the other's list and fail.
    pub(crate) fn of(
        &self,
        leaf: &Der<'_>,
        rest: &[Der<'_>],
        anchors: &Anchors,
    ) -> Vec<&CertRevocationList<'static>> {
        if self.is_empty() {
            return Vec::new();
        }
        // One that can't be read can't be in a path either.
        let chain: Vec<_> = std::iter::once(leaf)
            .chain(rest)
            .filter_map(|der| Cert::read(der).ok())
            .collect();
        let issuers: Vec<_> = chain
            .iter()
            .filter_map(|cert| issuer(cert, anchors, &chain))
            .collect();
        let concerns = |crl: &&Crl| issuers.iter().any(|(name, key)| crl.is_of(name, *key));
        self.0
            .iter()
            .filter(concerns)
            .map(|crl| &crl.list)
            .collect()
    }
}

/// The name of a certificate's issuer, and its key id if anybody is known to have that.
fn issuer<'a>(
    cert: &'a Cert,
    anchors: &Anchors,
    chain: &[Cert],
) -> Option<(Vec<u8>, Option<&'a [u8]>)> {
    let name = name_der(&cert.raw.tbs_certificate.issuer)?;
    let key = cert.issuer_key.as_deref().filter(|key| {
        anchors.has_key(&name, key) || chain.iter().any(|ca| ca.key_id.as_deref() == Some(*key))
    });
    Some((name, key))
}

impl Crl {
    pub(crate) fn read(der: &[u8]) -> Result<Self, Error> {
        let malformed = Error::Malformed(Part::Crl);
        let list = OwnedCertRevocationList::from_der(der)
            .map_err(|_| malformed.clone())?
            .into();
        let signed = CertificateList::from_der(der).map_err(|_| malformed.clone())?;
        let tbs = signed.tbs_cert_list;
        let extensions = tbs.crl_extensions.as_deref().unwrap_or_default();
        let issuer_key = extension::<AuthorityKeyIdentifier>(extensions)?
            .and_then(|aki| aki.key_identifier)
            .map(|id| id.as_bytes().to_vec());
        let number =
            extension::<CrlNumber>(extensions)?.map_or_else(Vec::new, |n| n.0.as_bytes().to_vec());
        let issuer = name_der(&tbs.issuer).ok_or(malformed)?;
        // Not IssuingDistributionPoint::OID, which is another extension's in x509-cert 0.2.5.
        let part = [ID_CE_ISSUING_DISTRIBUTION_POINT, ID_CE_DELTA_CRL_INDICATOR];
        Ok(Self {
            list,
            issuer,
            named_key: issuer_key.clone(),
            issuer_key,
            partial: extensions.iter().any(|e| part.contains(&e.extn_id)),
            algorithm: signed.signature_algorithm.oid,
            signature: signed.signature,
            der: der.to_vec(),
            this_update: tbs.this_update.to_unix_duration().as_secs(),
            number: number.into_iter().skip_while(|byte| *byte == 0).collect(),
            next_update: tbs
                .next_update
                .map(|time| time.to_unix_duration().as_secs()),
        })
    }

    fn age(&self) -> (u64, usize, &[u8]) {
        (self.this_update, self.number.len(), &self.number)
    }

    fn is_of_the_same_ca(&self, other: &Self) -> bool {
        self.issuer == other.issuer && self.issuer_key == other.issuer_key
    }

    /// [`Error::BadCrl`] unless that key has signed it.
    pub(crate) fn check_signature(&self, key: &SubjectPublicKeyInfoOwned) -> Result<(), Error> {
        check_signed(&self.der, key, self.algorithm, &self.signature).map_err(|wrong| match wrong {
            Wrong::Algorithm => Error::UnsupportedAlgorithm,
            Wrong::Form => Error::Malformed(Part::Crl),
            Wrong::Signature => Error::BadCrl,
        })
    }

    fn is_of(&self, issuer: &[u8], key: Option<&[u8]>) -> bool {
        let same_key = match (self.issuer_key.as_deref(), key) {
            (Some(a), Some(b)) => a == b,
            _ => true,
        };
        same_key && self.issuer == issuer
    }
}

/// That extension of a list, of one of its entries or of a certificate.
pub(crate) fn extension<T>(extensions: &[Extension]) -> Result<Option<T>, Error>
where
    T: AssociatedOid + for<'a> Decode<'a>,
{
    let found = extensions.iter().find(|each| each.extn_id == T::OID);
    found
        .map(|each| T::from_der(each.extn_value.as_bytes()))
        .transpose()
        .map_err(|_| Error::Malformed(Part::Crl))
}

/// Every `X509 CRL` block of a PEM text, or the one list of a DER file; at least one.
pub(crate) fn ders_in(file: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
    if file.first() == Some(&SEQUENCE) {
        return Ok(vec![file.to_vec()]);
    }
    let blocks = CertificateRevocationListDer::pem_slice_iter(file)
        .map(|der| Ok(der.map_err(|_| Error::Malformed(Part::Pem))?.to_vec()))
        .collect::<Result<Vec<_>, Error>>()?;
    match blocks.is_empty() {
        true => Err(Error::Malformed(Part::Crl)),
        false => Ok(blocks),
    }
}

/// The first byte of a list in DER; no PEM text begins with the digit that it also is.
const SEQUENCE: u8 = 0x30;

pub(crate) fn name_der(name: &Name) -> Option<Vec<u8>> {
    name.to_der().ok()
}
