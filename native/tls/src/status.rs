//! The status page for those who are not on the node's own host: HTTPS, for whoever shows a tool's certificate of the cluster.
//!
//! As in `names.rs`, what comes up is a [`Join`], from which no link can be made; here its messages are whatever bytes come.

use std::sync::Arc;

use merlon_pki::UnixTime;
use rustls::{NoKeyLog, ServerConnection};

use crate::config::Local;
use crate::error::Error;
use crate::handshake::local_fault;
use crate::input::Budget;
use crate::join::{Join, Judge};
use crate::keylog::Capture;
use crate::verify::LinkVerifier;

/// The ALPN protocol (RFC 7301) of the page: HTTP/1.1 as browsers and curl name it.
pub const STATUS_ALPN: &[u8] = b"http/1.1";

/// Bytes that may wait to be taken: one TLS record.
const WAITING_MAX: usize = 16 * 1024;
/// What a client may send in all, and in how many records: a handshake with a long chain, and a request.
const BUDGET: (usize, usize) = (192 * 1024, 256);

impl Join {
    /// A node that serves its status page.
    ///
    /// # Errors
    /// [`Error::Local`].
    pub fn accept_status(local: &Arc<Local>, now: UnixTime) -> Result<Self, Error> {
        let verifier = Arc::new(LinkVerifier::of_viewer(local.clone(), now));
        let mut config = local.server(verifier.clone(), Arc::<Capture>::default())?;
        config.alpn_protocols = vec![STATUS_ALPN.to_vec()];
        config.key_log = Arc::new(NoKeyLog {});
        let conn = ServerConnection::new(Arc::new(config)).map_err(local_fault)?;
        let (judge, budget) = (Judge::Link(verifier), Budget::of(BUDGET));
        Ok(Self::new(conn.into(), STATUS_ALPN, judge, budget, WAITING_MAX).streaming())
    }
}
