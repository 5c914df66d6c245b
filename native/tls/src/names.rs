//! The name service of a host: TLS 1.3 as on links, both sides authenticated, with an ALPN protocol and a port of its own.
//!
//! Nothing here leads to a link: what comes up is a [`Join`], which carries messages. The keeper's side begins with
//! [`Handshake::accept_names`](crate::Handshake::accept_names). Who sends them is
//! [`Join::member`]; what it may ask is for `merlon_pki` (`may_register`, `may_learn`) to say.

use std::sync::Arc;

use merlon_pki::UnixTime;
use rustls::pki_types::{IpAddr, ServerName};
use rustls::{ClientConnection, Connection, NoKeyLog};

use crate::config::Local;
use crate::error::Error;
use crate::handshake::local_fault;
use crate::input::Budget;
use crate::join::{Join, Judge};
use crate::keylog::Capture;
use crate::verify::LinkVerifier;

/// The ALPN protocol (RFC 7301) of the name service.
pub const NAMES_ALPN: &[u8] = b"merlon-names/1";

/// Bytes of a message to the keeper at most: a name and a port.
pub const TO_KEEPER_MAX: usize = 2 * 1024;
/// Bytes of a message from the keeper at most: all names of a host.
pub const FROM_KEEPER_MAX: usize = 96 * 1024;

impl Join {
    /// One who asks. A keeper that is no node of this cluster is shown nothing.
    ///
    /// # Errors
    /// [`Error::Local`].
    pub fn dial_names(local: &Arc<Local>, now: UnixTime) -> Result<Self, Error> {
        let verifier = Arc::new(LinkVerifier::of_keeper(local.clone(), now));
        let mut config = local.client(verifier.clone(), Arc::<Capture>::default())?;
        config.alpn_protocols = vec![NAMES_ALPN.to_vec()];
        config.key_log = Arc::new(NoKeyLog {});
        // rustls wants a name; it is not sent, and our verifier does not look at it.
        let nobody = ServerName::IpAddress(IpAddr::V4([0, 0, 0, 0].into()));
        let conn = ClientConnection::new(Arc::new(config), nobody).map_err(local_fault)?;
        let judge = Judge::Link(verifier);
        Ok(Self::new(
            conn.into(),
            NAMES_ALPN,
            judge,
            Budget::new(),
            FROM_KEEPER_MAX,
        ))
    }
}

/// The keeper's side, for a ClientHello that was read already.
pub(crate) fn accepted(conn: Connection, verifier: Arc<LinkVerifier>, budget: Budget) -> Join {
    Join::new(
        conn,
        NAMES_ALPN,
        Judge::Link(verifier),
        budget,
        TO_KEEPER_MAX,
    )
}
