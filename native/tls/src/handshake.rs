//! The TLS part of the handshake, and the front door to all of it.

use std::io::{self, Read};
use std::sync::Arc;

use merlon_pki::{Claimed as ClaimedName, NodeName, UnixTime};
use merlon_record::{Error as RecordError, Rx, RxLimits, Tx};
use merlon_secret::{KeyId, PairKey, Secret};
use rustls::pki_types::{IpAddr, ServerName};
use rustls::{ClientConnection, Connection, Error as TlsError, PeerIncompatible};

use crate::config::{Local, ALPN};
use crate::error::{alert, Error, Failure, TlsFault};
use crate::foreign::Foreign;
use crate::input::{Budget, Input};
use crate::join::{Join, JoinServer};
use crate::keylog::Capture;
use crate::listen::{Listen, Serves};
use crate::live;
use crate::preamble::{AwaitHello, AwaitProof, Channel, Claimed, Dialler, Established};
use crate::provider::{group_name, record_suite, suite_name};
use crate::verify::LinkVerifier;

/// RFC 8446 7.5: binds the proofs to this very TLS session.
const EXPORTER: &[u8] = b"EXPORTER-merlon/1";

/// The header of a record of 65535 bytes: what rustls is shown when it must send an alert and end.
pub(crate) const IMPOSSIBLE: [u8; 5] = [23, 3, 3, 0xff, 0xff];

/// A handshake that needs more of the peer's bytes.
pub struct Handshake(Stage);

/// Where a handshake has got to.
pub enum Progress {
    /// More bytes of the peer are needed.
    More(Handshake),
    /// Accepting side: the client has shown who it is; find the keys for that pair of nodes.
    Claim(Box<Claimed>),
    /// The link is up. What is left of `input` are records for [`Rx`].
    Done(Box<Established>),
    /// TLS is up with an `inet_tls` node, and nothing else is known of it. Only after [`Handshake::with_foreign`] or
    /// [`Handshake::dial_either`].
    Foreign(Box<Foreign>),
    /// Accepting side: no node, but one who wants to become one. Only after [`Handshake::accept_joining`]. Or one who asks
    /// for names, after [`Handshake::accept_names`].
    Join(Box<Join>),
}

impl Handshake {
    /// Dials `target` as `own`, able to prove any of `keys` (newest first, at most 16), at `now`.
    /// The ClientHello comes out of the first [`advance`](Self::advance).
    ///
    /// # Errors
    /// [`Error::NoKeys`], [`Error::OwnPreamble`], [`Error::Local`].
    pub fn dial(
        local: &Arc<Local>,
        own: &ClaimedName,
        target: &NodeName,
        keys: Vec<(KeyId, PairKey)>,
        now: UnixTime,
    ) -> Result<Self, Error> {
        let link = Link::new(local, Some(target.clone()), now);
        Self::dial_on(link, Dialler::new(own, target, keys)?, local)
    }

    /// The same, and content with an `inet_tls` node: one that does not know the protocol `merlon/1`. The handshake then ends
    /// in [`Progress::Foreign`].
    ///
    /// # Errors
    /// As [`dial`](Self::dial).
    pub fn dial_either(
        local: &Arc<Local>,
        own: &ClaimedName,
        target: &NodeName,
        keys: Vec<(KeyId, PairKey)>,
        now: UnixTime,
    ) -> Result<Self, Error> {
        let mut link = Link::new(local, Some(target.clone()), now);
        link.let_foreign_in(Some(target.clone()), now);
        Self::dial_on(link, Dialler::new(own, target, keys)?, local)
    }

    fn dial_on(link: Link, dialler: Dialler, local: &Arc<Local>) -> Result<Self, Error> {
        let config = local.client(link.verifier.clone(), link.capture.clone())?;
        // rustls wants a name; it is not sent, and our verifier does not look at it.
        let nobody = ServerName::IpAddress(IpAddr::V4([0, 0, 0, 0].into()));
        let conn = ClientConnection::new(Arc::new(config), nobody).map_err(local_fault)?;
        let after = After::Dial(dialler);
        Ok(Self(Stage::Tls(Tls::new(link, conn.into(), after))))
    }

    /// Accepts whoever comes, as `own`, at `now`.
    pub fn accept(local: &Arc<Local>, own: &NodeName, now: UnixTime) -> Self {
        Self::listen(local, own, now, None)
    }

    /// The same; one whose ClientHello offers `merlon-join/1`, and not `merlon/1`, gets the server that has nothing else to
    /// offer. Which configuration, and so whether a client certificate is asked for, is settled before anything is answered.
    pub fn accept_joining(
        local: &Arc<Local>,
        own: &NodeName,
        joins: &Arc<JoinServer>,
        now: UnixTime,
    ) -> Self {
        Self::listen(local, own, now, Some(joins.clone()))
    }

    fn listen(
        local: &Arc<Local>,
        own: &NodeName,
        now: UnixTime,
        joins: Option<Arc<JoinServer>>,
    ) -> Self {
        let serves = Serves::Links {
            own: own.clone(),
            joins,
            foreign: false,
        };
        Self(Stage::Listen(Box::new(Listen::new(local, serves, now))))
    }

    /// Accepts who asks for the names of this host, and nobody for a link: the handshake ends in [`Progress::Join`]. Until a
    /// peer has proven who it is, it sees what it would see of [`accept`](Self::accept).
    pub fn accept_names(local: &Arc<Local>, now: UnixTime) -> Self {
        Self(Stage::Listen(Box::new(Listen::new(
            local,
            Serves::Names,
            now,
        ))))
    }

    /// An accepting one takes `inet_tls` nodes too: who names no ALPN protocol. The handshake then ends in
    /// [`Progress::Foreign`].
    #[must_use]
    pub fn with_foreign(mut self) -> Self {
        if let Stage::Listen(listen) = &mut self.0 {
            listen.let_foreign_in();
        }
        self
    }

    /// Goes as far as the bytes in `input` reach. Takes whole records off the front of `input`, and appends
    /// to `out` what must be sent to the peer, whatever the outcome.
    ///
    /// # Errors
    /// A [`Failure`]; the connection is then of no more use once `out` is flushed.
    pub fn advance(self, input: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<Progress, Failure> {
        let mut input = Input::new(input);
        let mut stage = self.0;
        loop {
            stage = match stage.step(&mut input, out)? {
                Step::Next(stage) => stage,
                Step::Wait(stage) => return Ok(Progress::More(Self(stage))),
                Step::Claim(claimed) => return Ok(Progress::Claim(claimed)),
                Step::Done(established) => return Ok(Progress::Done(established)),
                Step::Foreign(foreign) => return Ok(Progress::Foreign(foreign)),
                Step::Join(join) => return Ok(Progress::Join(join)),
            };
        }
    }

    /// What to say when the peer has closed the connection, or its time is up, before the handshake was done.
    pub fn closed(self) -> Failure {
        let (error, claimed) = (Error::PeerClosed, None);
        let peer = match self.0 {
            Stage::Listen(_) => None,
            Stage::Tls(tls) => tls.link.verifier.seen(),
            Stage::AwaitServerProof(_, channel) | Stage::AwaitHello(_, channel) => channel.seen(),
            Stage::AwaitClientProof(waiting, channel) => return waiting.closed(&channel),
        };
        Failure {
            error,
            peer,
            claimed,
        }
    }

    pub(crate) fn await_client_proof(waiting: AwaitProof, channel: Box<Channel>) -> Self {
        Self(Stage::AwaitClientProof(waiting, channel))
    }
}

/// One stage after the other; each is consumed to give the next.
pub(crate) enum Stage {
    Listen(Box<Listen>),
    Tls(Box<Tls>),
    AwaitServerProof(Dialler, Box<Channel>),
    AwaitHello(AwaitHello, Box<Channel>),
    AwaitClientProof(AwaitProof, Box<Channel>),
}

pub(crate) enum Step {
    /// Something was used up: go on with this.
    Next(Stage),
    /// The input is used up.
    Wait(Stage),
    Claim(Box<Claimed>),
    Done(Box<Established>),
    Foreign(Box<Foreign>),
    Join(Box<Join>),
}

impl Stage {
    fn step(self, input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<Step, Failure> {
        match self {
            Self::Listen(listen) => listen.step(input, out),
            Self::Tls(tls) => tls.step(input, out),
            Self::AwaitServerProof(dialler, channel) => dialler.step(channel, input, out),
            Self::AwaitHello(waiting, channel) => waiting.step(channel, input, out),
            Self::AwaitClientProof(waiting, channel) => waiting.step(channel, input, out),
        }
    }
}

/// What one connection has of its own from the first byte on.
pub(crate) struct Link {
    pub(crate) local: Arc<Local>,
    pub(crate) verifier: Arc<LinkVerifier>,
    pub(crate) capture: Arc<Capture>,
    pub(crate) budget: Budget,
}

impl Link {
    pub(crate) fn new(local: &Arc<Local>, target: Option<NodeName>, now: UnixTime) -> Self {
        Self {
            local: local.clone(),
            verifier: Arc::new(LinkVerifier::new(local.clone(), target, now)),
            capture: Arc::default(),
            budget: Budget::new(),
        }
    }

    /// From now on the peer may be one of another carrier.
    pub(crate) fn let_foreign_in(&mut self, target: Option<NodeName>, now: UnixTime) {
        let verifier = LinkVerifier::new(self.local.clone(), target, now);
        self.verifier = Arc::new(verifier.with_foreign());
    }

    pub(crate) fn failure(&self, error: Error) -> Failure {
        Failure {
            error: self.verifier.take_refusal().unwrap_or(error),
            peer: self.verifier.seen(),
            claimed: None,
        }
    }
}

/// What follows when TLS is up.
pub(crate) enum After {
    Dial(Dialler),
    Accept(AwaitHello),
    AcceptForeign,
    /// One of the cluster, at a port that is not for what it wants.
    Refuse,
}

/// rustls at work.
pub(crate) struct Tls {
    link: Link,
    conn: Connection,
    after: After,
}

impl Tls {
    pub(crate) fn new(link: Link, conn: Connection, after: After) -> Box<Self> {
        Box::new(Self { link, conn, after })
    }

    fn step(
        mut self: Box<Self>,
        input: &mut Input<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Step, Failure> {
        flush(&mut self.conn, out);
        let record = match input.paid_record(&mut self.link.budget) {
            Ok(Some(record)) => record,
            Ok(None) => return Ok(Step::Wait(Stage::Tls(self))),
            Err(error) => {
                let _best_effort = process(&mut self.conn, &IMPOSSIBLE);
                flush(&mut self.conn, out);
                return Err(self.link.failure(error));
            }
        };
        let processed = process(&mut self.conn, record);
        flush(&mut self.conn, out);
        match processed {
            Err(error) => Err(self.link.failure(error)),
            Ok(()) if self.conn.is_handshaking() => Ok(Step::Next(Stage::Tls(self))),
            Ok(()) => self.up(out),
        }
    }

    /// TLS is up: on with the record halves. rustls ends here.
    fn up(self: Box<Self>, out: &mut Vec<u8>) -> Result<Step, Failure> {
        let Self { link, conn, after } = *self;
        let mut channel = match channel(&link, &conn) {
            Ok(channel) => Box::new(channel),
            Err(error) => return Err(link.failure(error)),
        };
        let merlon = conn.alpn_protocol() == Some(ALPN);
        drop(conn);
        match after {
            After::Dial(dialler) if merlon => {
                let dialler = dialler.hello(&mut channel, out)?;
                Ok(Step::Next(Stage::AwaitServerProof(dialler, channel)))
            }
            After::Accept(waiting) if merlon => Ok(Step::Next(Stage::AwaitHello(waiting, channel))),
            After::Refuse => Err(channel.fail(Error::WrongAlpn, None, out)),
            After::Dial(_) | After::AcceptForeign if !merlon && link.verifier.takes_foreign() => {
                Ok(Step::Foreign(Box::new(Foreign::new(*channel))))
            }
            _ => Err(channel.fail(Error::NoAlpn, None, out)),
        }
    }
}

fn channel(link: &Link, conn: &Connection) -> Result<Channel, Error> {
    let verified = link.verifier.verified().ok_or(Error::NoCertificate)?;
    let suite = conn.negotiated_cipher_suite().and_then(record_suite);
    let (suite, (client, server)) = suite.zip(link.capture.take()).ok_or(Error::OldTls)?;
    let (ours, theirs) = match conn {
        Connection::Client(_) => (client, server),
        Connection::Server(_) => (server, client),
    };
    let merlon = conn.alpn_protocol().is_some();
    // Merlon sends no tickets; an OTP server may.
    let limits = RxLimits {
        tickets: !merlon && matches!(conn, Connection::Client(_)),
        ours: merlon,
        ..RxLimits::default()
    };
    let export = |label: &[u8]| {
        let exported = conn.export_keying_material([0; 32], label, None);
        exported.map(Secret::new).map_err(local_fault)
    };
    Ok(Channel {
        local: link.local.clone(),
        tx: Tx::new(suite, ours.expose(), link.local.limits).map_err(Error::Record)?,
        rx: Rx::new(suite, theirs.expose(), limits).map_err(Error::Record)?,
        exporter: export(EXPORTER)?,
        live: export(live::EXPORTER)?,
        verified,
        suite: suite_name(suite),
        group: group_name(conn),
    })
}

/// Hands rustls one record, all of it.
pub(crate) fn feed(
    mut record: &[u8],
    mut read_tls: impl FnMut(&mut dyn Read) -> io::Result<usize>,
) -> Result<(), Error> {
    while !record.is_empty() {
        match read_tls(&mut record) {
            Ok(n) if n > 0 => {}
            _ => return Err(Error::TooMuch), // rustls's own buffer of 64 KiB is full
        }
    }
    Ok(())
}

pub(crate) fn process(conn: &mut Connection, record: &[u8]) -> Result<(), Error> {
    feed(record, |bytes| conn.read_tls(bytes))?;
    let state = conn.process_new_packets().map_err(tls_fault)?;
    if state.peer_has_closed() {
        return Err(Error::PeerAlert(alert::CLOSE_NOTIFY));
    }
    Ok(())
}

pub(crate) fn flush(conn: &mut Connection, out: &mut Vec<u8>) {
    while conn.wants_write() && conn.write_tls(out).is_ok_and(|n| n > 0) {}
}

/// The alert for a peer with which there are no keys yet.
pub(crate) fn plaintext_alert(error: &Error, out: &mut Vec<u8>) {
    const FATAL: u8 = 2;
    if let Some(description) = error.alert() {
        out.extend_from_slice(&[21, 3, 3, 0, 2, FATAL, description]);
    }
}

/// The alert is in `out` already: writing to memory does not fail.
pub(crate) fn refused(error: TlsError, _written: io::Result<()>) -> Error {
    tls_fault(error)
}

pub(crate) fn local_fault(error: TlsError) -> Error {
    Error::Local(TlsFault(Box::new(error)))
}

fn tls_fault(error: TlsError) -> Error {
    match error {
        TlsError::AlertReceived(description) => Error::PeerAlert(description.into()),
        TlsError::NoCertificatesPresented => Error::NoCertificate,
        TlsError::NoApplicationProtocol => Error::WrongAlpn,
        TlsError::PeerSentOversizedRecord => overflow(),
        TlsError::FailedToGetRandomBytes | TlsError::FailedToGetCurrentTime => local_fault(error),
        TlsError::PeerIncompatible(ref why) if is_old_tls(why) => Error::OldTls,
        other => Error::Tls(TlsFault(Box::new(other))),
    }
}

fn is_old_tls(why: &PeerIncompatible) -> bool {
    use PeerIncompatible as P;
    matches!(
        why,
        P::ServerDoesNotSupportTls12Or13
            | P::ServerTlsVersionIsDisabledByOurConfig
            | P::SupportedVersionsExtensionRequired
            | P::Tls12NotOffered
            | P::Tls12NotOfferedOrEnabled
    )
}

fn overflow() -> Error {
    Error::Record(RecordError::Overflow {
        len: merlon_record::MAX_CIPHERTEXT,
    })
}
