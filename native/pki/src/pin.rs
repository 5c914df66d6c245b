//! A CA known by nothing but the hash of its public key: how one that is not in the cluster yet tells it from others.

use x509_cert::der::Encode;

use crate::{
    signed::check_signed,
    verify::{check_size, identity_of},
    x509::{certs_in, sha256, Cert},
    Anchors, Crls, Der, Error, Identity, Part, Peer, UnixTime, Usage, Verifier,
};

/// SHA-256 of the SubjectPublicKeyInfo (RFC 5280, 4.1.2.7) of the first certificate, which must be a self-signed CA's.
///
/// [`Error::NoCertificate`], [`Error::NotCa`], [`Error::NotPinned`] for one that is not self-signed, and what makes a key
/// unacceptable.
pub fn pin_of(ca_pem: &str) -> Result<[u8; 32], Error> {
    let ders = certs_in(ca_pem)?;
    let der = ders.first().ok_or(Error::NoCertificate)?;
    Anchors::one(der)?;
    let cert = Cert::read(der)?;
    check_self_signed(&cert, der)?;
    key_hash(&cert)
}

/// Judges a server's chain that brings its root along, at the time `now`. The root must be self-signed with the key of the
/// pin, so that what it says (its name, its life, its limits) is the word of that key too. The leaf must be a node's, of
/// whatever cluster the CA is.
///
/// [`Error::NotPinned`], [`Error::NotANode`], else as [`Verifier::verify_leaf`].
pub fn verify_pinned(
    pin: &[u8; 32],
    leaf: &Der<'_>,
    rest: &[Der<'_>],
    now: UnixTime,
) -> Result<(Peer, Der<'static>), Error> {
    check_size(leaf, rest)?;
    let root = pinned(pin, rest)?;
    let identity = identity_of(&Cert::read(leaf)?)?;
    let anchors = Anchors::one(root)?;
    let verifier = Verifier::new(anchors, Crls::none(), identity.cluster())?;
    let between: Vec<Der<'_>> = rest.iter().filter(|der| *der != root).cloned().collect();
    let peer = verifier.verify_leaf(leaf, &between, Usage::Server, now)?;
    match peer.identity() {
        Identity::Cli { .. } if !knockout::out!("join_node") => Err(Error::NotANode),
        _ => Ok((peer, root.clone().into_owned())),
    }
}

fn pinned<'a, 'b>(pin: &[u8; 32], rest: &'a [Der<'b>]) -> Result<&'a Der<'b>, Error> {
    for der in rest {
        let cert = Cert::read(der)?;
        if key_hash(&cert)? == *pin || knockout::out!("join_pin") {
            check_self_signed(&cert, der)?;
            return Ok(der);
        }
    }
    Err(Error::NotPinned)
}

fn key_hash(cert: &Cert) -> Result<[u8; 32], Error> {
    let spki = &cert.raw.tbs_certificate.subject_public_key_info;
    let der = spki
        .to_der()
        .map_err(|_| Error::Malformed(Part::Certificate))?;
    Ok(sha256(&der))
}

pub(crate) fn check_self_signed(cert: &Cert, der: &[u8]) -> Result<(), Error> {
    let key = &cert.raw.tbs_certificate.subject_public_key_info;
    let algorithm = cert.raw.signature_algorithm.oid;
    check_signed(der, key, algorithm, &cert.raw.signature).map_err(|_| Error::NotPinned)
}
