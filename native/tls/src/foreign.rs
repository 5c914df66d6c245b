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
    local: Arc<Local>,
    tx: Tx,
    rx: Rx,
    verified: PeerVerified,
    suite: &'static str,
    group: &'static str,
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
        let Channel {
            local,
            tx,
            rx,
            verified,
            suite,
            group,
            ..
        } = channel;
        Self {
            local,
            tx,
            rx,
            verified,
            suite,
            group,
        }
    }

    /// The sending half, the receiving half, and who is at the other end.
    pub fn into_parts(self) -> (Tx, Rx, Stranger) {
        let stranger = Stranger {
            local: self.local,
            verified: self.verified,
            suite: self.suite,
            group: self.group,
        };
        (self.tx, self.rx, stranger)
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
