use base64ct::{Base64UrlUnpadded, Encoding};
use merlon_secret::Secret;
use ring::rand::SecureRandom;
use ring::signature::{RsaKeyPair, RSA_PKCS1_SHA256};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::PrivatePkcs8KeyDer;

use crate::json::object;

/// A token (RFC 7519) signed with RS256 (RFC 7518, 3.3): the claims are a JSON object, the key is PKCS#8 in PEM. None if
/// the key can't be used.
pub fn jwt(
    key_id: &str,
    claims: &str,
    key: &str,
    random: &dyn SecureRandom,
) -> Option<Secret<String>> {
    let der = PrivatePkcs8KeyDer::from_pem_slice(key.as_bytes()).ok()?;
    let pair = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).ok()?;
    let header = object(&[("alg", "RS256"), ("typ", "JWT"), ("kid", key_id)]);
    let encode = Base64UrlUnpadded::encode_string;
    let said = format!(
        "{}.{}",
        encode(header.expose().as_bytes()),
        encode(claims.as_bytes())
    );
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, random, said.as_bytes(), &mut signature)
        .ok()?;
    Some(Secret::new(format!("{said}.{}", encode(&signature))))
}
