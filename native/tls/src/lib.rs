//! The handshake: bytes in, bytes out, until two nodes know each other.
//!
//! ```text
//! TLS 1.3, mutual, ALPN merlon/1   ->   preamble (names, key id, proofs)   ->   Established { tx, rx, info }
//! ```
//! The only crate that names rustls. No socket, clock or thread: the caller moves the bytes and says what
//! time it is. Every state is consumed by the step that leaves it ([`Handshake`] -> [`Claimed`] ->
//! [`Handshake`] -> [`Established`]), so no check can be passed by or done twice, and an [`Established`]
//! can only be made from the tokens [`PeerVerified`] and [`NodeNameBound`].
//!
//! rustls is fed record by record and dropped after its Finished: it never sees a byte of the application
//! epoch, whose two halves are `merlon_record`'s. What a node proves later, while the link is up, is bound to the link by
//! its [`Binding`].
//!
//! Beside links, [`Join`]: how one that has no certificate yet talks to a node that can give it one, and how the nodes of a host say
//! where they listen.
//!
//! Knock-outs checked at this level too: `peer_chain`, `node_name`, `eku`, `expiry`, `trust_domain` (in
//! `merlon_pki`) and `proof` (in `merlon_secret`).
#![forbid(unsafe_code)]

mod config;
mod error;
mod foreign;
mod handshake;
mod input;
mod join;
mod keylog;
mod listen;
mod live;
mod names;
mod pinned;
mod preamble;
mod provider;
mod status;
mod verify;

pub use config::{Local, LocalConfig, ALPN};
pub use error::{alert_name, Error, Failure, Seen, TlsFault};
pub use foreign::{Foreign, Stranger};
pub use handshake::{Handshake, Progress};
pub use join::{Join, JoinEvent, JoinServer, JOIN_ALPN, TO_CLIENT_MAX, TO_SERVER_MAX};
pub use live::Binding;
pub use names::{FROM_KEEPER_MAX, NAMES_ALPN, TO_KEEPER_MAX};
pub use preamble::{Claim, Claimed, Established, Info};
pub use provider::{https, suites_by_cpu};
pub use status::STATUS_ALPN;
pub use verify::{NodeNameBound, PeerVerified};
