//! The CA of the secret identity: its key comes from a secret that all nodes of a cluster share.
//!
//! Ed25519, because any 32 bytes are a key and its signatures draw on no randomness (RFC 8032): every node makes the very
//! same certificate, byte by byte. (ring can't tell the public half of a P-256 scalar, and signs with a nonce.) What it
//! issues has P-256 keys, as all certificates here.

use rcgen::PublicKeyData;
use zeroize::Zeroizing;

use crate::{
    issue::{ca_params, self_signed, set_numbered_life, Issued, Key, END_OF_TIME},
    x509::sha256,
    Error, UnixTime,
};

/// PKCS#8 of an Ed25519 key (RFC 8410, 7) up to its 32 bytes.
const ED25519: &[u8] = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";

/// 2020-01-01T00:00:00Z. How long the CA counts is for the secret to say, so that its certificate says nothing.
const BEGIN: UnixTime = 1_577_836_800;

/// The CA of `cluster` whose Ed25519 seed this is: always the same certificate. Whoever trusts it limits its time by
/// [`Anchors::dated`](crate::Anchors::dated).
///
/// [`Error::BadCluster`], [`Error::Crypto`].
pub fn derived_ca(cluster: &str, seed: &[u8; 32]) -> Result<Issued, Error> {
    let pkcs8 = Zeroizing::new([ED25519, seed].concat());
    let key = Key::from_pkcs8(&pkcs8)?;
    let mut params = ca_params(cluster, &key)?;
    let mut number = [0; 16];
    let hash = sha256(&key.0.subject_public_key_info());
    number.iter_mut().zip(hash).for_each(|(n, h)| *n = h);
    set_numbered_life(&mut params, (BEGIN, END_OF_TIME), &number);
    self_signed(&params, &key)
}
