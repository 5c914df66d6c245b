//! Secrets, what is derived from them, and the proofs that two nodes share one.
//!
//! A [`Root`] is one shared secret of a cluster: its VM cookie, or an [`Entry`] of its keyring. Each pair of nodes has a [`PairKey`] of its own under it, which
//! proves itself bound to one TLS session, and a cookie of its own for `dist_util`. All derivation is
//! HKDF-SHA256 (RFC 5869) under labels that no two uses share; all names enter it with their lengths in front.
//!
//! Nothing here has `Debug`, `Display` or `Clone` that could show or spread a secret, and all of it is zeroised
//! on drop. `ring` keeps HMAC keys for the time of one call, and does not wipe those.
//!
//! A VM cookie is often short. Its root goes through HKDF alone, which does not stretch it: whoever is shown a
//! proof can try cookies offline. Proofs are therefore shown only to peers whose certificate has been verified.
//!
//! Keys from passwords and from other keys: [`hkdf`] expands what is random already, [`Params`] stretches what is not
//! (Argon2, scrypt, PBKDF2), with floors, a ceiling of memory and fallible allocation; [`Phc`] is a password's hash
//! as text; [`calibrate`] finds costs for a time.
//!
//! Knock-outs: with `MERLON_KNOCKOUT=proof` every proof is taken for good, with `"kdf_verify"` every password; with
//! `"kdf_floor"` no parameter is too weak, with `"kdf_ceiling"` none too big; with `"keyring_expiry"` no entry ever expires;
//! with `"transfer_binding"` a sealed entry opens for any node and request, with `"transfer_id"` under any id;
//! with `"join_proof"` every proof of a token is taken.

#![forbid(unsafe_code)]

mod argon2;
mod calibrate;
pub mod cookie;
mod entry;
mod error;
mod hash;
mod hkdf;
mod join;
pub mod keyring;
mod memory;
mod params;
mod passphrase;
mod pbkdf2;
mod phc;
mod root;
mod scrypt;
mod secret;
pub mod stored;
mod transfer;

pub use argon2::{argon2, Argon2Extra, Argon2Kind, Argon2Params};
pub use calibrate::{calibrate, Goal};
pub use entry::{Entry, State};
pub use error::Error;
pub use hash::{equal, Hash, Tag};
pub use hkdf::{hkdf, hkdf_expand, hkdf_extract, hkdf_sha256};
pub use join::JoinKey;
pub use params::{Algorithm, Params, DEFAULT};
pub use passphrase::Passphrase;
pub use pbkdf2::pbkdf2;
pub use phc::{Phc, MAX_PHC, SALT_LEN, TAG_LEN};
pub use root::{KeyId, PairKey, Role, Root};
pub use scrypt::{scrypt, ScryptParams};
pub use secret::Secret;
pub use transfer::Transfer;
