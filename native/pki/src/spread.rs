//! Revocation lists that nodes pass on to each other: which list it is, and whether it is to be believed.

use crate::{
    anchors::Anchor,
    crl::{ders_in, Crl},
    x509::{hex, sha256},
    Anchors, Error, UnixTime,
};

/// Which list of which CA: enough to tell whether it is newer than another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListId {
    /// What the list says of its CA's name and key, hashed: 32 hex digits.
    pub ca: String,
    /// When it was made.
    pub this_update: UnixTime,
    /// The octets of its number, without leading zeros; none if it has no number.
    pub number: Vec<u8>,
}

impl Crl {
    pub(crate) fn id(&self) -> ListId {
        let key = self.named_key.as_deref().unwrap_or_default();
        let name = sha256(&self.issuer);
        let hash = sha256(&[&name, key].concat());
        ListId {
            ca: hex(&hash).chars().take(32).collect(),
            this_update: self.this_update,
            number: self.number.clone(),
        }
    }
}

/// The lists of one file (PEM or DER), each as DER by itself. Their signatures are not checked. [`Error::Malformed`].
pub fn list_parts(file: &[u8]) -> Result<Vec<(ListId, Vec<u8>)>, Error> {
    let ders = ders_in(file)?.into_iter();
    ders.map(|der| Crl::read(&der).map(|crl| (crl.id(), der)))
        .collect()
}

/// Judges a list that somebody has sent, in DER: complete, not yet due to be replaced, and signed by an anchor that is
/// valid and may sign lists. Those of intermediates are not believed without their chain.
///
/// [`Error::Malformed`], [`Error::UnknownIssuer`] (no anchor of that name), [`Error::BadCrl`] (not signed by it, or only a
/// part of what the CA has revoked), [`Error::UnsupportedAlgorithm`], [`Error::CrlExpired`].
pub fn check_list(der: &[u8], anchors: &Anchors, now: UnixTime) -> Result<ListId, Error> {
    let crl = Crl::read(der)?;
    if !knockout::out!("list_signature") {
        anchors.check_signer(&crl, now)?;
    }
    if crl.partial {
        return Err(Error::BadCrl);
    }
    match crl.next_update {
        Some(due) if due < now => Err(Error::CrlExpired {
            next_update: due,
            now,
        }),
        _ => Ok(crl.id()),
    }
}

impl Anchors {
    fn named<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a Anchor> {
        self.0.iter().filter(move |anchor| anchor.subject == name)
    }

    /// Whether there is an anchor of that name and key id.
    pub(crate) fn has_key(&self, name: &[u8], key: &[u8]) -> bool {
        self.named(name)
            .any(|anchor| anchor.rules.key_id() == Some(key))
    }

    /// The key id of the anchor that has signed a list which names a key id that no anchor of its name has.
    pub(crate) fn renamed_key(&self, crl: &Crl) -> Option<Option<Vec<u8>>> {
        let named = crl.named_key.as_deref()?;
        if self.has_key(&crl.issuer, named) {
            return None;
        }
        self.named(&crl.issuer)
            .find(|anchor| crl.check_signature(&anchor.key).is_ok())
            .map(|anchor| anchor.rules.key_id().map(<[u8]>::to_vec))
    }

    fn check_signer(&self, crl: &Crl, now: UnixTime) -> Result<(), Error> {
        let mut verdict = Err(Error::UnknownIssuer);
        for anchor in self.named(&crl.issuer) {
            verdict = match crl.check_signature(&anchor.key) {
                Ok(()) if anchor.is_valid(now) && anchor.rules.signs_lists() => return Ok(()),
                Ok(()) => Err(Error::BadCrl),
                error => error,
            };
        }
        verdict
    }
}
