//! A node asks for its next certificate: the key of the one that it has vouches for the request.
//!
//! Who sends a message between Erlang nodes is what the message says. So the CA believes neither that nor the request, but
//! gives the names of a certificate that it has judged, to who can sign with its key.

use rcgen::{KeyPair, SigningKey};

use crate::{
    key::PrivateKey,
    signed::{check_bytes, Wrong},
    x509::{certs_in, Cert},
    Error, Peer, UnixTime, Usage, Verifier,
};

/// Goes before the request, so that nothing else that is signed with a node's key (TLS, RFC 8446, 4.4.3) is taken for this.
const CONTEXT: &[u8] = b"merlon renewal 1\0";

/// Signs a request with the key of the certificate that is in use. [`Error::Malformed`], [`Error::Crypto`].
pub fn vouch(key_pem: &str, csr_pem: &str) -> Result<Vec<u8>, Error> {
    let key = PrivateKey::from_pem(key_pem)?;
    let pair = KeyPair::try_from(key.pkcs8.as_slice()).map_err(|_| Error::Crypto)?;
    pair.sign(&vouched(csr_pem)).map_err(|_| Error::Crypto)
}

/// Whose certificate has vouched for a request: its chain is judged as a peer's, and the signature checked with its key.
/// Errors are those of [`Verifier::verify`], and [`Error::CsrSignature`].
pub fn check_vouched(
    verifier: &Verifier,
    chain_pem: &str,
    csr_pem: &str,
    signature: &[u8],
    now: UnixTime,
) -> Result<Peer, Error> {
    let peer = verifier.verify_pem(chain_pem, Usage::Client, now)?;
    let chain = certs_in(chain_pem)?;
    let leaf = Cert::read(chain.first().ok_or(Error::NoCertificate)?)?;
    let key = &leaf.raw.tbs_certificate.subject_public_key_info;
    match check_bytes(&vouched(csr_pem), key, signature) {
        Err(Wrong::Algorithm) => Err(Error::UnsupportedAlgorithm),
        Err(_) if !knockout::out!("renewal_vouched") => Err(Error::CsrSignature),
        _ => Ok(peer),
    }
}

fn vouched(csr_pem: &str) -> Vec<u8> {
    [CONTEXT, csr_pem.as_bytes()].concat()
}
