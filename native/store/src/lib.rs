//! What is said to secret stores, and what their answers mean: Vault and OpenBao, AWS Secrets Manager, Google
//! Secret Manager.
//!
//! Pure: a [`Store`] asks the [`Outside`] that it is given for every file, variable, request and for the time. So all of
//! it is tested against written exchanges, and `native/fetch` does the rest.
//!
//! What is secret is in [`Secret`]s and wiped. What `serde_json` needs while it parses is not: a string with escapes
//! passes through a buffer of its own, which it frees and does not wipe.
//!
//! Knock-outs: with `MERLON_KNOCKOUT=plaintext` secrets are asked for over the network in the clear, with
//! `"store_checksum"` a value of another checksum is taken.

#![forbid(unsafe_code)]

pub mod aws;
mod crc32c;
mod error;
pub mod gcp;
mod json;
mod jwt;
mod options;
mod outside;
pub mod sigv4;
mod time;
mod url;
pub mod vault;

pub use crc32c::crc32c;
pub use error::{Error, Step};
pub use jwt::jwt;
pub use options::{Options, Source};
pub use outside::{Method, Outside, Request, Response};

use merlon_secret::Secret;

/// What a store has given.
pub struct Delivered {
    /// The value, as it is kept there.
    pub text: Secret<Vec<u8>>,
    /// What the store calls this version of it; not secret.
    pub version: String,
}

/// A store and what is remembered of it: tokens, until they run out.
pub enum Store {
    /// HashiCorp Vault or OpenBao, KV version 2.
    Vault(vault::Vault),
    /// AWS Secrets Manager.
    Aws(aws::Aws),
    /// Google Secret Manager.
    Gcp(gcp::Gcp),
}

impl Store {
    /// The value as it is now.
    pub fn fetch(&mut self, outside: &mut dyn Outside) -> Result<Delivered, Error> {
        match self {
            Store::Vault(vault) => vault.fetch(outside),
            Store::Aws(aws) => aws.fetch(outside),
            Store::Gcp(gcp) => gcp.fetch(outside),
        }
    }
}
