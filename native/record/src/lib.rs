//! TLS 1.3 record halves (RFC 8446 sections 5, 6 and 7).
//!
//! After the handshake a connection is two independent directions: a [`Tx`] that seals and an [`Rx`] that
//! opens, each with its own key, sequence number and limits. Both are made from a suite and an application
//! traffic secret, know nothing of sockets, clocks or threads, and are `Send`.
//!
//! Data path: [`Tx::packer`] seals full records straight from the caller's slices into a [`Buffer`], and
//! copies once what several slices make up; [`Rx::open`] opens in the caller's buffer and lends slices of it,
//! [`Rx::open_to`] opens to another place. With `aws-lc` neither sealing nor opening to another place copies a
//! byte; `ring` works in place, so that it copies each once.
//!
//! Every error of an [`Rx`] is final, and so is every one of a [`Tx`] that is not mere misuse. A half that has
//! failed, sent an alert or seen the peer's close stays shut.
//!
//! Where this differs from a plain reading of the project's contract:
//! * [`Error::alert`] gives an `Option`: there is nothing to say to a peer that has sent an alert itself.
//! * [`RxLimits`] says whether session tickets are welcome: only a client of a foreign TLS server gets any.
//! * `ring` cannot wipe an expanded AEAD key (`aws-lc` does). Secrets and IVs held here are zeroised on drop.
//!
//! Knock-out: with `MERLON_KNOCKOUT=record_sequence` the sequence number does not enter the nonce, so that
//! replayed and reordered records open.

#![forbid(unsafe_code)]

mod aead;
mod buffer;
mod content;
mod error;
mod handshake;
mod keys;
mod rx;
mod tx;

pub use buffer::Buffer;
pub use content::{ContentType, Lane, LANES};
pub use error::Error;
pub use rx::{Content, Opened, Rx, RxLimits};
pub use tx::{sealed_len, Limits, Packer, Tx};

/// Plaintext bytes of a record at most: 2^14 (RFC 8446 5.1).
pub const MAX_PLAINTEXT: usize = 16_384;

/// Bytes of a record's body on the wire at most: 2^14 + 256 (RFC 8446 5.2).
pub const MAX_CIPHERTEXT: usize = MAX_PLAINTEXT + 256;

/// Bytes of a record's header: outer type, version, length (RFC 8446 5.2).
pub const HEADER: usize = 5;

/// Bytes of every suite's authentication tag.
pub const TAG: usize = 16;

/// The cipher suites of TLS 1.3 that Merlon speaks (RFC 8446 B.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// TLS_AES_128_GCM_SHA256
    Aes128Gcm,
    /// TLS_AES_256_GCM_SHA384
    Aes256Gcm,
    /// TLS_CHACHA20_POLY1305_SHA256
    ChaCha20Poly1305,
}

impl Suite {
    /// Bytes of this suite's hash, and so of its traffic secrets: 32 or 48.
    pub fn hash_len(self) -> usize {
        match self {
            Suite::Aes128Gcm | Suite::ChaCha20Poly1305 => 32,
            Suite::Aes256Gcm => 48,
        }
    }

    /// Bytes of this suite's keys.
    fn key_len(self) -> usize {
        match self {
            Suite::Aes128Gcm => 16,
            Suite::Aes256Gcm | Suite::ChaCha20Poly1305 => 32,
        }
    }

    /// Records that may be sealed under one key, without the KeyUpdate that ends it (RFC 8446 5.5).
    fn max_records(self) -> u64 {
        match self {
            Suite::Aes128Gcm | Suite::Aes256Gcm => 23_726_565, // 2^24.5, less the KeyUpdate
            Suite::ChaCha20Poly1305 => u64::MAX - 2,           // the sequence number ends first
        }
    }
}

/// The header of a protected record whose body is `len` bytes. It is also the AEAD's additional data.
fn header(len: usize) -> Result<[u8; HEADER], Error> {
    let length = u16::try_from(len).map_err(|_| Error::TooLong { len })?;
    let [high, low] = length.to_be_bytes();
    Ok([23, 3, 3, high, low])
}
