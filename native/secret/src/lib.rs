//! Secrets, what is derived from them, and the proofs that two nodes share one.
//!
//! A [`Root`] is one shared secret of a cluster. Each pair of nodes has a [`PairKey`] of its own under it, which
//! proves itself bound to one TLS session, and a cookie of its own for `dist_util`. All derivation is
//! HKDF-SHA256 (RFC 5869) under labels that no two uses share; all names enter it with their lengths in front.
//!
//! Nothing here has `Debug`, `Display` or `Clone` that could show or spread a secret, and all of it is zeroised
//! on drop. `ring` keeps HMAC keys for the time of one call, and does not wipe those.
//!
//! A VM cookie is often short. Its root goes through HKDF alone, which does not stretch it: whoever is shown a
//! proof can try cookies offline. Proofs are therefore shown only to peers whose certificate has been verified.
//!
//! Knock-out: with `--cfg knockout="proof"` every proof is taken for good.

#![forbid(unsafe_code)]

pub mod cookie;
mod error;
mod hkdf;
mod root;
mod secret;

pub use error::Error;
pub use hkdf::hkdf_sha256;
pub use root::{KeyId, PairKey, Role, Root};
pub use secret::Secret;
