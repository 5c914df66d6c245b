//! Judging the peer of a live link again: under other anchors and lists, at a later time.

use std::sync::Arc;

use crate::{verify::Role, x509::Cert, Der, Error, Peer, StaleCrl, UnixTime, Usage, Verifier};

/// The chain that a peer has shown, and in which role: what there is to judge again. At most 16 KiB, shared by all
/// copies of the [`Peer`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    chain: Arc<[Der<'static>]>,
    role: Role,
}

impl Shown {
    pub(crate) fn new(leaf: &Der<'_>, rest: &[Der<'_>], role: Role) -> Self {
        let all = std::iter::once(leaf).chain(rest);
        Self {
            chain: all.map(|der| der.clone().into_owned()).collect(),
            role,
        }
    }

    pub(crate) fn usage(&self) -> Usage {
        self.role.usage
    }

    /// When the first certificate of the chain ends.
    fn end(&self) -> Option<UnixTime> {
        let ends = self
            .chain
            .iter()
            .filter_map(|der| Cert::read(der).ok())
            .map(|cert| cert.not_after());
        ends.min()
    }
}

impl Verifier {
    /// The same for a cluster whose nodes make their certificates themselves. Who can make one can make another: that the
    /// one of a live peer has run out says nothing about the peer, as long as its CA counts.
    pub fn with_self_made(mut self) -> Self {
        self.self_made = true;
        self
    }

    /// Judges the chain that `peer` showed once more, and says until when that verdict holds at least, if nothing changes.
    ///
    /// A stale revocation list is no verdict about this peer, whatever the rule for new ones: what it lists is revoked,
    /// and nobody else is. Errors are those of [`verify`](Self::verify).
    pub fn verify_again(&self, peer: &Peer, now: UnixTime) -> Result<UnixTime, Error> {
        if knockout::out!("live_links") {
            return Ok(UnixTime::MAX);
        }
        let shown = peer.shown();
        let (leaf, rest) = shown.chain.split_first().ok_or(Error::NoCertificate)?;
        let end = shown.end();
        let below = end.filter(|end| self.self_made && *end < now);
        let times = (now, below.unwrap_or(now));
        self.judge(leaf, rest, (shown.role, StaleCrl::Accept), times)?;
        let ends = [
            end.filter(|_| !self.self_made),
            self.anchors().next_end(now),
        ];
        Ok(ends.into_iter().flatten().min().unwrap_or(now))
    }
}
