//! Who a peer is: issuing, reading and judging X.509 certificates, and binding them to node names.
//!
//! Pure: no socket, file, clock or thread; PEM/DER bytes and the time come in as arguments.
//! (Key generation and serial numbers draw on ring's system generator.)
#![forbid(unsafe_code)]

mod again;
mod anchors;
mod bind;
mod crl;
pub mod csr;
mod derived;
mod directory;
mod error;
mod foreign;
pub mod inspect;
pub mod issue;
mod issuer;
mod key;
mod known;
pub mod name;
mod pin;
mod possession;
mod renewal;
pub mod revoke;
mod rotation;
mod signed;
mod spread;
pub mod verify;

mod x509;

pub use anchors::Anchors;
pub use bind::{binds, is_dialled, BindRules, DEFAULT_CLI, DEFAULT_DERIVED};
pub use crl::{Crls, StaleCrl};
pub use csr::{new_csr, sign_csr, Csr, Grant, NewCsr};
pub use derived::derived_ca;
pub use directory::{may_keep, may_learn, may_register, may_view};
pub use error::{Error, Part};
pub use foreign::binds_foreign;
pub use inspect::{inspect_pem, leaf_matches_key, Info};
pub use issue::{issue, new_ca, Alg, Issued, Request};
pub use name::{Claimed, Identity, NodeName};
pub use pin::{pin_of, verify_pinned};
pub use possession::holds_key;
pub use renewal::{check_vouched, vouch};
pub use revoke::{lists, revoke, List, Reason, Revocation, Revoked};
pub use rotation::{check_rotation, state_rotation, without_root, Root, Stage, Statement};
pub use spread::{check_list, list_parts, ListId};
pub use verify::{Peer, Usage, Verifier};

/// One DER certificate, the type that rustls hands out.
pub use rustls_pki_types::CertificateDer as Der;

/// Seconds since 1970-01-01T00:00:00Z.
pub type UnixTime = u64;
