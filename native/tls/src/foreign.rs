//! A link to a node of another carrier, OTP's `inet_tls`: TLS 1.3, mutual, and what the certificate says; no preamble, no proof
//! of a secret before dist_util's.

use std::sync::Arc;

use merlon_pki::{binds_foreign, Claimed, Error as PkiError, Peer};
use merlon_record::{Rx, Tx};

use crate::config::Local;
use crate::preamble::Channel;
use crate::verify::PeerVerified;

/// Two record halves whose peer's certificate is verified. Which node it is it says in dist_util's handshake: see
/// [`Foreign::into_parts`].
pub struct Foreign {
    tx: Tx,
    rx: Rx,
    stranger: Stranger,
}

/// What is known of the peer besides its name.
pub struct Stranger {
    local: Arc<Local>,
    verified: PeerVerified,
    /// The cipher suite's IANA name.
    pub suite: &'static str,
    /// The key exchange group's IANA name.
    pub group: &'static str,
}

impl Foreign {
    pub(crate) fn new(channel: Channel) -> Self {
        let stranger = Stranger {
            local: channel.local,
            verified: channel.verified,
            suite: channel.suite,
            group: channel.group,
        };
        Self {
            tx: channel.tx,
            rx: channel.rx,
            stranger,
        }
    }

    /// The sending half, the receiving half, and who is at the other end.
    pub fn into_parts(self) -> (Tx, Rx, Stranger) {
        (self.tx, self.rx, self.stranger)
    }
}

impl Stranger {
    /// The verified certificate.
    pub fn peer(&self) -> &Peer {
        self.verified.peer()
    }

    /// Whether the certificate allows its holder that name.
    ///
    /// # Errors
    /// `WrongName`.
    pub fn may_claim(&self, name: &Claimed) -> Result<(), PkiError> {
        binds_foreign(self.peer().identity(), name, &self.local.bind)
    }
}
