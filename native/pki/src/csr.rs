//! Certificate signing requests (PKCS#10, RFC 2986): making one, checking one, and issuing from a checked one.
//!
//! rcgen reads requests too, but passes over trailing bytes and every attribute other than the extension request. Here
//! whatever is asked for and not given is an error, and nothing of the request's text gets into a certificate: of a request
//! only the key is used, all names come from the [`Grant`].

use std::net::IpAddr;

use rcgen::{SanType, SubjectPublicKeyInfo};
use rustls_pki_types::{pem::PemObject, CertificateSigningRequestDer};
use x509_cert::{
    attr::Attribute,
    der::{
        asn1::ObjectIdentifier,
        oid::{db::rfc5912::ID_EXTENSION_REQ, AssociatedOid},
        Decode, Encode,
    },
    ext::{
        pkix::{
            name::GeneralName, BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages,
            SubjectAltName,
        },
        Extension,
    },
    request::{CertReq, CertReqInfo},
};
use zeroize::Zeroizing;

use crate::{
    issue::{alt_names, certify, common_name, leaf_params, Key},
    signed::{check_signed, Wrong},
    x509::{check_key_kind, key_kind},
    Alg, Error, Identity, Part, UnixTime, Usage,
};

/// PEM text. A request for a node with an RSA key of 8192 bits and 32 addresses has less than half of that.
const PEM_MAX: usize = 8 * 1024;

/// A new request and its key.
pub struct NewCsr {
    /// The request, PEM.
    pub csr_pem: String,
    /// Private key, PKCS#8 PEM; wiped when dropped.
    pub key_pem: Zeroizing<String>,
}

/// What an issuer lets the sender of a request have: all that a certificate will say, but the key.
#[derive(Clone, Debug)]
pub struct Grant {
    /// For whom.
    pub identity: Identity,
    /// IP addresses beside the host's own, at most 32.
    pub ips: Vec<IpAddr>,
    /// Lifetime, cut at the CA's end.
    pub days: u32,
}

/// Makes a key, and a request for a certificate like those that [`crate::issue()`] makes.
/// [`Error::TooManyNames`], [`Error::Crypto`].
pub fn new_csr(identity: &Identity, alg: Alg, ips: &[IpAddr]) -> Result<NewCsr, Error> {
    let key = Key::generate(alg)?;
    let params = leaf_params(identity, ips)?;
    let csr = params
        .serialize_request(&key.0)
        .map_err(|_| Error::Crypto)?;
    Ok(NewCsr {
        csr_pem: csr.pem().map_err(|_| Error::Crypto)?,
        key_pem: key.pem()?,
    })
}

/// Issues a certificate for the key of a request, if that asks for nothing beyond the grant.
///
/// [`Error::CsrName`] and [`Error::CsrExtension`] for what it asks beyond; else as [`crate::issue()`].
pub fn sign_csr(
    ca_cert_pem: &str,
    ca_key_pem: &str,
    csr: &Csr,
    grant: &Grant,
    now: UnixTime,
) -> Result<String, Error> {
    csr.check(grant)?;
    let key =
        SubjectPublicKeyInfo::from_der(&csr.public_key).map_err(|_| Error::UnsupportedAlgorithm)?;
    certify(ca_cert_pem, ca_key_pem, &key, grant, now)
}

/// A request whose sender has proven that the key is his. What it asks for is not yet granted.
#[derive(Clone, Debug)]
pub struct Csr {
    info: CertReqInfo,
    public_key: Vec<u8>,
    names: Vec<GeneralName>,
    extensions: Vec<Extension>,
}

impl Csr {
    /// Reads exactly one request, and checks that it is signed with its own key.
    ///
    /// [`Error::CsrTooLarge`] before anything is read, [`Error::Malformed`], [`Error::WeakKey`],
    /// [`Error::UnsupportedAlgorithm`], [`Error::CsrSignature`], [`Error::CsrExtension`] for attributes that are not an
    /// extension request and for extensions that come twice.
    pub fn from_pem(pem: &str) -> Result<Self, Error> {
        if pem.len() > PEM_MAX {
            return Err(Error::CsrTooLarge { bytes: pem.len() });
        }
        let mut blocks = CertificateSigningRequestDer::pem_slice_iter(pem.as_bytes());
        match (blocks.next(), blocks.next()) {
            (Some(Ok(der)), None) => Self::read(&der),
            (Some(Err(_)), _) => Err(Error::Malformed(Part::Pem)),
            _ => Err(Error::Malformed(Part::Csr)),
        }
    }

    /// The identity that it asks for: its only URI. [`Error::NoIdentity`], [`Error::ManyIdentities`], [`Error::BadIdentity`].
    pub fn identity(&self) -> Result<Identity, Error> {
        let mut uris = self.names.iter().filter_map(|name| match name {
            GeneralName::UniformResourceIdentifier(uri) => Some(uri.as_str()),
            _ => None,
        });
        match (uris.next(), uris.next()) {
            (None, _) => Err(Error::NoIdentity),
            (Some(uri), None) => Identity::parse(uri),
            (Some(_), Some(_)) => Err(Error::ManyIdentities),
        }
    }

    fn read(der: &[u8]) -> Result<Self, Error> {
        let malformed = Error::Malformed(Part::Csr);
        let csr = CertReq::from_der(der).map_err(|_| malformed.clone())?;
        check_key_kind(key_kind(&csr.info.public_key))?;
        if !knockout::out!("csr_signature") {
            check_signature(der, &csr)?;
        }
        let public_key = csr.info.public_key.to_der().map_err(|_| malformed)?;
        let extensions = extensions(&csr.info)?;
        let names = match find::<SubjectAltName>(&extensions)? {
            Some(san) => san.0,
            None => Vec::new(),
        };
        Ok(Self {
            info: csr.info,
            public_key,
            names,
            extensions,
        })
    }

    fn check(&self, grant: &Grant) -> Result<(), Error> {
        if !knockout::out!("csr_names") {
            self.check_names(grant)?;
            self.check_subject(grant)?;
        }
        if !knockout::out!("csr_extensions") {
            self.check_extensions()?;
        }
        Ok(())
    }

    /// Its one URI is the granted one, and each other name is among those that will be given.
    fn check_names(&self, grant: &Grant) -> Result<(), Error> {
        let given = alt_names(&grant.identity, &grant.ips)?;
        let known = |name: &GeneralName| given.iter().any(|g| same(g, name));
        let own = self.identity().is_ok_and(|id| id == grant.identity);
        if own && self.names.iter().all(known) {
            Ok(())
        } else {
            Err(Error::CsrName)
        }
    }

    /// No subject, or the one that will be given.
    fn check_subject(&self, grant: &Grant) -> Result<(), Error> {
        let subject = self.info.subject.0.as_slice();
        let Some(first) = subject.first() else {
            return Ok(());
        };
        let [attribute] = first.0.as_slice() else {
            return Err(Error::CsrName);
        };
        let common = attribute.oid == COMMON_NAME
            && attribute.value.value() == common_name(&grant.identity).as_bytes();
        if common && subject.len() == 1 {
            Ok(())
        } else {
            Err(Error::CsrName)
        }
    }

    /// Nothing but alternative names, and usages that will be given.
    fn check_extensions(&self) -> Result<(), Error> {
        for extension in &self.extensions {
            let given = match extension.extn_id {
                SubjectAltName::OID => true,
                KeyUsage::OID => decode::<KeyUsage>(extension)?.0 == KeyUsages::DigitalSignature,
                ExtendedKeyUsage::OID => tls_only(&decode::<ExtendedKeyUsage>(extension)?),
                BasicConstraints::OID => {
                    let basic = decode::<BasicConstraints>(extension)?;
                    !basic.ca && basic.path_len_constraint.is_none()
                }
                _ => false,
            };
            if !given {
                return Err(refused(extension.extn_id));
            }
        }
        Ok(())
    }
}

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

fn tls_only(eku: &ExtendedKeyUsage) -> bool {
    let both = [Usage::Server.oid(), Usage::Client.oid()];
    eku.0.iter().all(|purpose| both.contains(purpose))
}

fn same(given: &SanType, asked: &GeneralName) -> bool {
    match (given, asked) {
        (SanType::URI(a), GeneralName::UniformResourceIdentifier(b)) => a.as_str() == b.as_str(),
        (SanType::DnsName(a), GeneralName::DnsName(b)) => a.as_str() == b.as_str(),
        (SanType::IpAddress(IpAddr::V4(a)), GeneralName::IpAddress(b)) => {
            a.octets() == b.as_bytes()
        }
        (SanType::IpAddress(IpAddr::V6(a)), GeneralName::IpAddress(b)) => {
            a.octets() == b.as_bytes()
        }
        _ => false,
    }
}

/// Those of the only extension request, each of another kind.
fn extensions(info: &CertReqInfo) -> Result<Vec<Extension>, Error> {
    let attributes: Vec<&Attribute> = info.attributes.iter().collect();
    let found = match attributes.as_slice() {
        [] => Vec::new(),
        [only] if only.oid == ID_EXTENSION_REQ && only.values.len() == 1 => {
            let value = only.values.get(0).ok_or(Error::Malformed(Part::Csr))?;
            value
                .decode_as::<Vec<Extension>>()
                .map_err(|_| Error::Malformed(Part::Csr))?
        }
        several => {
            let extra = several.iter().find(|a| a.oid != ID_EXTENSION_REQ);
            return Err(refused(extra.map_or(ID_EXTENSION_REQ, |a| a.oid)));
        }
    };
    for (i, extension) in found.iter().enumerate() {
        if found
            .iter()
            .skip(i)
            .skip(1)
            .any(|e| e.extn_id == extension.extn_id)
        {
            return Err(refused(extension.extn_id));
        }
    }
    Ok(found)
}

fn find<'a, T: AssociatedOid + Decode<'a>>(
    extensions: &'a [Extension],
) -> Result<Option<T>, Error> {
    let found = extensions.iter().find(|e| e.extn_id == T::OID);
    found.map(decode).transpose()
}

fn decode<'a, T: Decode<'a>>(extension: &'a Extension) -> Result<T, Error> {
    T::from_der(extension.extn_value.as_bytes()).map_err(|_| Error::Malformed(Part::Csr))
}

fn refused(oid: ObjectIdentifier) -> Error {
    Error::CsrExtension {
        oid: oid.to_string(),
    }
}

fn check_signature(der: &[u8], csr: &CertReq) -> Result<(), Error> {
    check_signed(der, &csr.info.public_key, csr.algorithm.oid, &csr.signature).map_err(|wrong| {
        match wrong {
            Wrong::Algorithm => Error::UnsupportedAlgorithm,
            Wrong::Form => Error::Malformed(Part::Csr),
            Wrong::Signature => Error::CsrSignature,
        }
    })
}
