//! The preamble: names, key id and proofs, each one control record inside TLS.
//!
//! ```text
//! client                                  server
//!   Hello { name, key ids }      ->         binds the name to the certificate, picks the newest common key
//!   checks the server's proof    <-         ServerProof { name, key id, tag }
//!   ClientProof { tag }          ->         checks the client's proof
//! ```
//! The client shows its own proof only to a server that has proved itself, so one that does not hold the
//! secret gets nothing to guess from. Both tags cover the TLS exporter: neither can be relayed.

use std::fmt;
use std::sync::Arc;

use merlon_pki::{Claimed as ClaimedName, NodeName, Peer};
use merlon_record::{Buffer, Content, ContentType, Rx, Tx};
use merlon_secret::{KeyId, PairKey, Role, Secret};
use merlon_wire::preamble::{ClientProof, Hello, ServerProof, MAX_KEYS};
use merlon_wire::Error as WireError;

use crate::config::Local;
use crate::error::{alert, Error, Failure, Seen};
use crate::handshake::{Handshake, Stage, Step};
use crate::input::Input;
use crate::live::Binding;
use crate::verify::{bind_claimed, bind_dialled, NodeNameBound, PeerVerified};

/// The two record halves of a verified peer, before its name and proof are known.
pub(crate) struct Channel {
    pub(crate) local: Arc<Local>,
    pub(crate) tx: Tx,
    pub(crate) rx: Rx,
    pub(crate) exporter: Secret<[u8; 32]>,
    /// The same for what is proved when the link is up.
    pub(crate) live: Secret<[u8; 32]>,
    pub(crate) verified: PeerVerified,
    pub(crate) suite: &'static str,
    pub(crate) group: &'static str,
}

impl Channel {
    pub(crate) fn seen(&self) -> Option<Box<Seen>> {
        Some(Box::new(Seen::of(self.verified.peer())))
    }

    /// Tells the peer by an alert, and the caller by a failure.
    pub(crate) fn fail(
        &mut self,
        error: Error,
        claimed: Option<&[u8]>,
        out: &mut Vec<u8>,
    ) -> Failure {
        if let Some(description) = error.alert() {
            let _best_effort = append(out, |out| self.tx.alert(description, out));
        }
        Failure {
            error,
            peer: self.seen(),
            claimed: claimed.map(<[u8]>::to_vec),
        }
    }

    fn send(
        &mut self,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<(), WireError>,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let mut message = Vec::new();
        encode(&mut message).map_err(Error::OwnPreamble)?;
        append(out, |out| self.tx.seal(ContentType::Control, &message, out)).map_err(Error::Record)
    }

    /// The peer's next control message, decoded; `None` when it is not whole yet.
    fn receive<T>(
        &mut self,
        decode: fn(&[u8]) -> Result<T, WireError>,
        input: &mut Input<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Option<T>, Error> {
        // Bounded: the record layer ends a row of records that carry nothing.
        while let Some(opened) = self.rx.open(input.rest()).map_err(record_fault)? {
            let consumed = opened.consumed;
            let message = match opened.content {
                Content::Control(message) => Some(decode(message)),
                Content::KeyUpdate { requested } => {
                    if requested {
                        append(out, |out| self.tx.key_update(false, out)).map_err(Error::Record)?;
                    }
                    None
                }
                Content::Ticket => None,
                Content::Data(_) | Content::Lane(..) | Content::LastOnLane(..) => {
                    return Err(Error::EarlyData)
                }
                Content::CloseNotify => return Err(Error::PeerAlert(alert::CLOSE_NOTIFY)),
            };
            input.consume(consumed);
            if let Some(decoded) = message {
                return decoded.map(Some).map_err(Error::Preamble);
            }
        }
        Ok(None)
    }

    fn established(
        self,
        bound: NodeNameBound,
        key_id: KeyId,
        (role, own): (Role, Vec<u8>),
    ) -> Box<Established> {
        let info = Info {
            dynamic: matches!(bound.name(), ClaimedName::Dynamic { .. }),
            peer_name: bound.name().to_string().into_bytes(),
            suite: self.suite,
            group: self.group,
            key_id,
        };
        let names = (own, info.peer_name.clone());
        Box::new(Established {
            tx: self.tx,
            rx: self.rx,
            binding: Binding::new(self.live, role, names),
            info,
            verified: self.verified,
            _bound: bound,
        })
    }
}

/// Lends `out` to the record layer, which seals to its end.
fn append<T>(out: &mut Vec<u8>, seal: impl FnOnce(&mut Buffer) -> T) -> T {
    let mut buffer = Buffer::from(std::mem::take(out));
    let sealed = seal(&mut buffer);
    *out = buffer.into();
    sealed
}

fn record_fault(error: merlon_record::Error) -> Error {
    match error {
        merlon_record::Error::PeerAlert(description) => Error::PeerAlert(description),
        other => Error::Record(other),
    }
}

/// The dialling side, from its Hello to the server's proof.
pub(crate) struct Dialler {
    own: Vec<u8>,
    target: NodeName,
    keys: Vec<(KeyId, PairKey)>,
}

impl Dialler {
    pub(crate) fn new(
        own: &ClaimedName,
        target: &NodeName,
        keys: Vec<(KeyId, PairKey)>,
    ) -> Result<Self, Error> {
        match keys.len() {
            0 => return Err(Error::NoKeys),
            count if count > MAX_KEYS => {
                return Err(Error::OwnPreamble(WireError::KeyCount { count }))
            }
            _ => {}
        }
        Ok(Self {
            own: own.to_string().into_bytes(),
            target: target.clone(),
            keys,
        })
    }

    pub(crate) fn hello(self, channel: &mut Channel, out: &mut Vec<u8>) -> Result<Self, Failure> {
        let hello = Hello {
            name: self.own.clone(),
            key_ids: self.keys.iter().map(|(id, _)| id.0).collect(),
        };
        match channel.send(|m| hello.encode(m), out) {
            Ok(()) => Ok(self),
            Err(error) => Err(channel.fail(error, None, out)),
        }
    }

    pub(crate) fn step(
        self,
        mut channel: Box<Channel>,
        input: &mut Input<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Step, Failure> {
        let proof = match channel.receive(ServerProof::decode, input, out) {
            Ok(Some(proof)) => proof,
            Ok(None) => return Ok(Step::Wait(Stage::AwaitServerProof(self, channel))),
            Err(error) => return Err(channel.fail(error, None, out)),
        };
        match self.answer(&mut channel, &proof, out) {
            Ok((bound, key_id)) => {
                let side = (Role::Client, self.own);
                Ok(Step::Done(channel.established(bound, key_id, side)))
            }
            Err(error) => Err(channel.fail(error, Some(&proof.name), out)),
        }
    }

    /// Checks the server's name and proof; only then sends ours.
    fn answer(
        &self,
        channel: &mut Channel,
        proof: &ServerProof,
        out: &mut Vec<u8>,
    ) -> Result<(NodeNameBound, KeyId), Error> {
        let target = self.target.to_string().into_bytes();
        if proof.name != target {
            return Err(Error::OtherNode);
        }
        let bound = bind_dialled(&channel.local, &channel.verified, &self.target)?;
        let mut ours = self.keys.iter();
        let (id, key) = ours
            .find(|(id, _)| id.0 == proof.key_id)
            .ok_or(Error::NoCommonKey)?;
        let exporter = channel.exporter.expose();
        key.verify(Role::Server, exporter, &self.own, &target, &proof.tag)?;
        let tag = key.proof(Role::Client, exporter, &self.own, &target);
        channel.send(|m| ClientProof { tag }.encode(m), out)?;
        Ok((bound, *id))
    }
}

/// The accepting side, waiting for the client's Hello.
pub(crate) struct AwaitHello {
    own: NodeName,
}

impl AwaitHello {
    pub(crate) fn new(own: NodeName) -> Self {
        Self { own }
    }

    pub(crate) fn step(
        self,
        mut channel: Box<Channel>,
        input: &mut Input<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Step, Failure> {
        let hello = match channel.receive(Hello::decode, input, out) {
            Ok(Some(hello)) => hello,
            Ok(None) => return Ok(Step::Wait(Stage::AwaitHello(self, channel))),
            Err(error) => return Err(channel.fail(error, None, out)),
        };
        let claimed = ClaimedName::parse(&hello.name).map_err(|_| Error::BadName);
        match claimed.and_then(|name| bind_claimed(&channel.local, &channel.verified, name)) {
            Ok(bound) => Ok(Step::Claim(Box::new(Claimed {
                own: self.own,
                name: hello.name,
                key_ids: hello.key_ids.into_iter().map(KeyId).collect(),
                bound,
                channel,
            }))),
            Err(error) => Err(channel.fail(error, Some(&hello.name), out)),
        }
    }
}

/// The accepting side, when the client has said who it is and its certificate allows it that name.
/// The caller finds the keys for that pair of nodes, or refuses.
pub struct Claimed {
    own: NodeName,
    name: Vec<u8>,
    key_ids: Vec<KeyId>,
    bound: NodeNameBound,
    channel: Box<Channel>,
}

/// What a client says of itself.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// Its full node name, allowed by its certificate; `@host` when it wants a name from us.
    pub name: &'a [u8],
    /// Whether it wants a name from us.
    pub dynamic: bool,
    /// The keys that it can prove itself with, newest first.
    pub key_ids: &'a [KeyId],
    /// Its verified certificate.
    pub peer: &'a Peer,
}

impl Claimed {
    /// Who the client is.
    pub fn claim(&self) -> Claim<'_> {
        Claim {
            name: &self.name,
            dynamic: matches!(self.bound.name(), ClaimedName::Dynamic { .. }),
            key_ids: &self.key_ids,
            peer: self.channel.verified.peer(),
        }
    }

    /// Proves this node by the first of `keys` (newest first) that the client holds too.
    ///
    /// # Errors
    /// A [`Failure`] of [`Error::NoCommonKey`] when there is none such.
    pub fn prove(
        mut self,
        keys: Vec<(KeyId, PairKey)>,
        out: &mut Vec<u8>,
    ) -> Result<Handshake, Failure> {
        let common = keys.into_iter().find(|(id, _)| self.key_ids.contains(id));
        let Some((key_id, key)) = common else {
            return Err(self.channel.fail(Error::NoCommonKey, Some(&self.name), out));
        };
        let own = self.own.to_string().into_bytes();
        let exporter = self.channel.exporter.expose();
        let proof = ServerProof {
            tag: key.proof(Role::Server, exporter, &self.name, &own),
            key_id: key_id.0,
            name: own.clone(),
        };
        if let Err(error) = self.channel.send(|m| proof.encode(m), out) {
            return Err(self.channel.fail(error, Some(&self.name), out));
        }
        let waiting = AwaitProof {
            own,
            name: self.name,
            bound: self.bound,
            key_id,
            key,
        };
        Ok(Handshake::await_client_proof(waiting, self.channel))
    }

    /// Refuses the client, whatever the reason, by the alert access_denied.
    pub fn refuse(mut self, out: &mut Vec<u8>) {
        let _best_effort = append(out, |out| self.channel.tx.alert(alert::ACCESS_DENIED, out));
    }
}

/// The accepting side, waiting for the client's proof.
pub(crate) struct AwaitProof {
    own: Vec<u8>,
    name: Vec<u8>,
    bound: NodeNameBound,
    key_id: KeyId,
    key: PairKey,
}

impl AwaitProof {
    pub(crate) fn step(
        self,
        mut channel: Box<Channel>,
        input: &mut Input<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Step, Failure> {
        let proof = match channel.receive(ClientProof::decode, input, out) {
            Ok(Some(proof)) => proof,
            Ok(None) => return Ok(Step::Wait(Stage::AwaitClientProof(self, channel))),
            // A client has nothing else to object to by now.
            Err(Error::PeerAlert(alert::ACCESS_DENIED)) => {
                return Err(channel.fail(Error::ProofRefused, Some(&self.name), out));
            }
            Err(error) => return Err(channel.fail(error, Some(&self.name), out)),
        };
        let exporter = channel.exporter.expose();
        let checked = self
            .key
            .verify(Role::Client, exporter, &self.name, &self.own, &proof.tag);
        match checked {
            Ok(()) => {
                let side = (Role::Server, self.own);
                Ok(Step::Done(channel.established(
                    self.bound,
                    self.key_id,
                    side,
                )))
            }
            Err(e) => Err(channel.fail(e.into(), Some(&self.name), out)),
        }
    }

    pub(crate) fn closed(self, channel: &Channel) -> Failure {
        Failure {
            error: Error::PeerClosed,
            peer: channel.seen(),
            claimed: Some(self.name),
        }
    }
}

/// A link: two record halves whose peer's certificate, name and secret are all verified.
pub struct Established {
    tx: Tx,
    rx: Rx,
    binding: Binding,
    info: Info,
    verified: PeerVerified,
    _bound: NodeNameBound,
}

/// What was agreed, for `dist_util`, the log and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// The peer's full node name; `@host` when it wants a name from us.
    pub peer_name: Vec<u8>,
    /// Whether the peer wants a name from us.
    pub dynamic: bool,
    /// The cipher suite's IANA name.
    pub suite: &'static str,
    /// The key exchange group's IANA name.
    pub group: &'static str,
    /// Which shared secret both sides proved to hold.
    pub key_id: KeyId,
}

impl Info {
    /// The only version of TLS that there is here.
    pub const TLS_VERSION: &'static str = "1.3";
}

impl Established {
    /// What was agreed.
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// The peer's verified certificate.
    pub fn peer(&self) -> &Peer {
        self.verified.peer()
    }

    /// The sending half, the receiving half, what was agreed with whom, and what binds later proofs to this link.
    pub fn into_parts(self) -> (Tx, Rx, Info, Peer, Binding) {
        let peer = self.verified.into_peer();
        (self.tx, self.rx, self.info, peer, self.binding)
    }
}

macro_rules! opaque_debug {
    ($($state:ident),*) => {$(
        impl fmt::Debug for $state {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($state))
            }
        }
    )*};
}
opaque_debug!(Handshake, Claimed, Established, Binding);
