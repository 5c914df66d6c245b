//! Writing a CA's revocation list, and reading out what lists say (RFC 5280, section 5).

use std::{collections::BTreeSet, time::Duration};

use rcgen::{
    date_time_ymd, CertificateRevocationListParams, Issuer, KeyIdMethod, RevocationReason,
    RevokedCertParams, SerialNumber,
};
use x509_cert::{
    crl::{CertificateList, RevokedCert},
    der::{
        pem::{encode_string, LineEnding},
        Decode,
    },
    ext::pkix::{AuthorityKeyIdentifier, CrlNumber, CrlReason, SubjectKeyIdentifier},
};

use crate::{
    crl::{ders_in, extension, name_der},
    issue::Key,
    x509::{certs_in, hex, Cert},
    Error, Part, UnixTime,
};

const DAY: u64 = 86_400;
/// Octets of a serial number (RFC 5280, 4.1.2.2).
const SERIAL_MAX: usize = 20;

/// Why a certificate was revoked (RFC 5280, 5.3.1): those that make sense for nodes and tools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Reason {
    #[default]
    Unspecified,
    KeyCompromise,
    AffiliationChanged,
    Superseded,
    CessationOfOperation,
    PrivilegeWithdrawn,
}

/// Reasons, and what they are called here, by rcgen and by x509-cert.
const REASONS: [(Reason, RevocationReason, CrlReason); 6] = [
    (
        Reason::Unspecified,
        RevocationReason::Unspecified,
        CrlReason::Unspecified,
    ),
    (
        Reason::KeyCompromise,
        RevocationReason::KeyCompromise,
        CrlReason::KeyCompromise,
    ),
    (
        Reason::AffiliationChanged,
        RevocationReason::AffiliationChanged,
        CrlReason::AffiliationChanged,
    ),
    (
        Reason::Superseded,
        RevocationReason::Superseded,
        CrlReason::Superseded,
    ),
    (
        Reason::CessationOfOperation,
        RevocationReason::CessationOfOperation,
        CrlReason::CessationOfOperation,
    ),
    (
        Reason::PrivilegeWithdrawn,
        RevocationReason::PrivilegeWithdrawn,
        CrlReason::PrivilegeWithdrawn,
    ),
];

/// One revoked certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoked {
    /// Its serial number, lower-case hex.
    pub serial: String,
    /// Since when.
    pub since: UnixTime,
    /// Why; a reason that has no name here is [`Reason::Unspecified`].
    pub reason: Reason,
}

/// What a revocation list says. Its signature is not checked here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// Distinguished name of the CA.
    pub issuer: String,
    /// The list's number, if it has one of at most 64 bits.
    pub number: Option<u64>,
    /// When it was made.
    pub this_update: UnixTime,
    /// When a newer one is due.
    pub next_update: Option<UnixTime>,
    /// In the order of the list.
    pub revoked: Vec<Revoked>,
}

/// What to revoke.
#[derive(Clone, Debug)]
pub struct Revocation {
    /// Serial numbers, hex; those that are listed already stay as they are.
    pub serials: Vec<String>,
    /// Why.
    pub reason: Reason,
    /// Until when the list is good, in days; cut at the CA's end.
    pub days: u32,
}

/// Reads the lists of one file, PEM or DER.
///
/// # Errors
/// [`Error::Malformed`].
pub fn lists(file: &[u8]) -> Result<Vec<List>, Error> {
    ders_in(file)?
        .iter()
        .map(|der| read(der).map(|found| found.list))
        .collect()
}

/// Makes the CA's next list: what its list in `file` has (no bytes: there was none), and these serial numbers. Gives the
/// new content of the file, in PEM; lists of other CAs in it are kept.
///
/// The list's number is one higher than before, and it is never older than the one that it replaces.
///
/// # Errors
/// [`Error::NotCa`], [`Error::KeyMismatch`], [`Error::Malformed`], [`Error::BadLifetime`] (the CA has expired),
/// [`Error::BadCrl`] (the CA may not sign lists).
pub fn revoke(
    ca_cert_pem: &str,
    ca_key_pem: &str,
    file: &[u8],
    request: &Revocation,
    now: UnixTime,
) -> Result<String, Error> {
    let ca_der = certs_in(ca_cert_pem)?
        .into_iter()
        .next()
        .ok_or(Error::NoCertificate)?;
    let ca = Cert::read(&ca_der)?;
    let key = Key::from_pem(ca_key_pem, &ca)?;
    let issuer = Issuer::from_ca_cert_der(&ca_der, &key.0).map_err(|_| Error::NotCa)?;
    let (own, others) = split(file, &ca)?;
    let params = params(own, &ca, request, now)?;
    let signed = params.signed_by(&issuer).map_err(|_| Error::BadCrl)?;
    let mut pem = armour(signed.der())?;
    for der in others {
        pem.push_str(&armour(&der)?);
    }
    Ok(pem)
}

fn armour(der: &[u8]) -> Result<String, Error> {
    encode_string("X509 CRL", LineEnding::LF, der).map_err(|_| Error::Crypto)
}

/// The CA's own list, all that its lists revoke if there are several, and the lists of others.
fn split(file: &[u8], ca: &Cert) -> Result<(Option<List>, Vec<Vec<u8>>), Error> {
    let (mut own, mut others) = (None::<List>, Vec::new());
    if file.is_empty() {
        return Ok((own, others));
    }
    let (name, key) = (name_der(&ca.raw.tbs_certificate.subject), key_id(ca)?);
    for der in ders_in(file)? {
        let found = read(&der)?;
        let same_key = found.issuer_key.is_none() || key.is_none() || found.issuer_key == key;
        if Some(found.issuer) == name && same_key {
            own = Some(match own {
                Some(known) => merged(known, found.list),
                None => found.list,
            });
        } else {
            others.push(der);
        }
    }
    Ok((own, others))
}

/// What is revoked in one of two lists is revoked.
fn merged(a: List, b: List) -> List {
    let (mut list, other) = if b.number > a.number { (b, a) } else { (a, b) };
    let known: BTreeSet<String> = list.revoked.iter().map(|r| r.serial.clone()).collect();
    let missing = other.revoked.into_iter();
    list.revoked
        .extend(missing.filter(|r| !known.contains(&r.serial)));
    list.this_update = list.this_update.max(other.this_update);
    list
}

fn params(
    own: Option<List>,
    ca: &Cert,
    request: &Revocation,
    now: UnixTime,
) -> Result<CertificateRevocationListParams, Error> {
    let before = own.as_ref().map_or(0, |list| list.this_update);
    let number = match &own {
        Some(list) => list.number.and_then(|n| n.checked_add(1)),
        None => Some(1),
    };
    let this_update = now.max(before);
    let next_update = u64::from(request.days)
        .checked_mul(DAY)
        .and_then(|life| life.checked_add(this_update))
        .map(|end| end.min(ca.not_after()))
        .filter(|end| *end > this_update)
        .ok_or(Error::BadLifetime)?;
    let mut revoked = own.map(|list| list.revoked).unwrap_or_default();
    for serial in &request.serials {
        let serial = hex(&serial_bytes(serial)?);
        if !revoked.iter().any(|known| known.serial == serial) {
            let reason = request.reason;
            revoked.push(Revoked {
                serial,
                since: now,
                reason,
            });
        }
    }
    Ok(CertificateRevocationListParams {
        this_update: date_time_ymd(1970, 1, 1) + Duration::from_secs(this_update),
        next_update: date_time_ymd(1970, 1, 1) + Duration::from_secs(next_update),
        crl_number: SerialNumber::from(number.ok_or(Error::Malformed(Part::Crl))?),
        issuing_distribution_point: None,
        revoked_certs: revoked.iter().map(entry).collect::<Result<_, _>>()?,
        key_identifier_method: key_id(ca)?.map_or(KeyIdMethod::Sha256, KeyIdMethod::PreSpecified),
    })
}

fn entry(revoked: &Revoked) -> Result<RevokedCertParams, Error> {
    Ok(RevokedCertParams {
        serial_number: SerialNumber::from_slice(&serial_bytes(&revoked.serial)?),
        revocation_time: date_time_ymd(1970, 1, 1) + Duration::from_secs(revoked.since),
        reason_code: REASONS
            .iter()
            .find(|(reason, ..)| *reason == revoked.reason)
            .map(|(_, code, _)| *code),
        invalidity_date: None,
    })
}

/// Hex digits, at most 20 octets, without the zeros that DER puts before a high bit.
fn serial_bytes(text: &str) -> Result<Vec<u8>, Error> {
    let wrong = Error::Malformed(Part::Crl);
    let even = if text.len().is_multiple_of(2) {
        text.to_owned()
    } else {
        format!("0{text}")
    };
    let digits: Option<Vec<u8>> = even
        .chars()
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let bytes: Vec<u8> = digits
        .ok_or(wrong.clone())?
        .chunks(2)
        .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit))
        .skip_while(|byte| *byte == 0)
        .collect();
    if bytes.is_empty() || bytes.len() > SERIAL_MAX {
        return Err(wrong);
    }
    Ok(bytes)
}

// ---- reading ----

struct Found {
    list: List,
    issuer: Vec<u8>,
    issuer_key: Option<Vec<u8>>,
}

fn read(der: &[u8]) -> Result<Found, Error> {
    let malformed = || Error::Malformed(Part::Crl);
    let tbs = CertificateList::from_der(der)
        .map_err(|_| malformed())?
        .tbs_cert_list;
    let extensions = tbs.crl_extensions.as_deref().unwrap_or_default();
    let number = extension::<CrlNumber>(extensions)?;
    let issuer_key = extension::<AuthorityKeyIdentifier>(extensions)?
        .and_then(|aki| aki.key_identifier)
        .map(|id| id.as_bytes().to_vec());
    let entries = tbs.revoked_certificates.as_deref().unwrap_or_default();
    Ok(Found {
        issuer: name_der(&tbs.issuer).ok_or_else(malformed)?,
        issuer_key,
        list: List {
            issuer: tbs.issuer.to_string(),
            number: number.and_then(|number| small(number.0.as_bytes())),
            this_update: tbs.this_update.to_unix_duration().as_secs(),
            next_update: tbs
                .next_update
                .map(|time| time.to_unix_duration().as_secs()),
            revoked: entries.iter().map(revoked).collect::<Result<_, _>>()?,
        },
    })
}

fn revoked(entry: &RevokedCert) -> Result<Revoked, Error> {
    let extensions = entry.crl_entry_extensions.as_deref().unwrap_or_default();
    let code = extension::<CrlReason>(extensions)?;
    let serial: Vec<u8> = entry.serial_number.as_bytes().to_vec();
    let serial: Vec<u8> = serial.into_iter().skip_while(|byte| *byte == 0).collect();
    Ok(Revoked {
        serial: hex(&serial),
        since: entry.revocation_date.to_unix_duration().as_secs(),
        reason: REASONS
            .iter()
            .find(|(_, _, known)| Some(*known) == code)
            .map_or(Reason::Unspecified, |(reason, ..)| *reason),
    })
}

fn small(bytes: &[u8]) -> Option<u64> {
    let bytes: Vec<_> = bytes.iter().skip_while(|byte| **byte == 0).collect();
    (bytes.len() <= 8).then(|| bytes.iter().fold(0, |n, byte| n << 8 | u64::from(**byte)))
}

/// What the CA's certificates and lists name its key by.
fn key_id(ca: &Cert) -> Result<Option<Vec<u8>>, Error> {
    let extensions = ca
        .raw
        .tbs_certificate
        .extensions
        .as_deref()
        .unwrap_or_default();
    Ok(extension::<SubjectKeyIdentifier>(extensions)?.map(|id| id.0.as_bytes().to_vec()))
}
