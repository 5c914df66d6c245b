//! The name service of a host: TLS 1.3 as on links, both sides authenticated, with an ALPN protocol and a port of its own.
//!
//! Nothing here leads to a link: what comes up is a [`Join`], which carries messages. Who sends them is
//! [`Join::member`]; what it may ask is for `merlon_pki` (`may_register`, `may_learn`) to say.

use std::sync::Arc;

use merlon_pki::UnixTime;
use rustls::pki_types::{IpAddr, ServerName};
use rustls::{ClientConnection, NoKeyLog, ServerConnection};

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
    /// The keeper, for one who connected to its port.
    ///
    /// # Errors
    /// [`Error::Local`].
    pub fn accept_names(local: &Arc<Local>, now: UnixTime) -> Result<Self, Error> {
        let verifier = Arc::new(LinkVerifier::new(local.clone(), None, now));
        let mut config = local.server(verifier.clone(), Arc::<Capture>::default())?;
        config.alpn_protocols = vec![NAMES_ALPN.to_vec()];
        config.key_log = Arc::new(NoKeyLog {});
        let conn = ServerConnection::new(Arc::new(config)).map_err(local_fault)?;
        Ok(names(conn.into(), verifier, TO_KEEPER_MAX))
    }

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
        Ok(names(conn.into(), verifier, FROM_KEEPER_MAX))
    }
}

fn names(conn: rustls::Connection, verifier: Arc<LinkVerifier>, limit: usize) -> Join {
    let judge = Judge::Link(verifier);
    Join::new(conn, NAMES_ALPN, judge, Budget::new(), limit)
}
