//! Joining: TLS 1.3 between one that has no certificate yet and a node of the CA whose key it was told.
//!
//! Nothing here leads to a link. This has an ALPN protocol of its own, and its server, the only one that asks for no client
//! certificate, offers no other. What comes up is a [`Join`], from which no [`Established`](crate::Established) can be made;
//! it carries messages, each behind its length in 4 bytes, and gives the exporter to which proofs are bound.

use std::io::{Read, Write};
use std::sync::Arc;

use merlon_pki::{Der, Peer, UnixTime};
use merlon_secret::Secret;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{IpAddr, ServerName, UnixTime as TlsTime};
use rustls::server::NoServerSessionStorage;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};
use zeroize::{Zeroize, Zeroizing};

use crate::config::{certified_key, tls13};
use crate::error::{Error, Failure, Seen};
use crate::handshake::{flush, local_fault, process, IMPOSSIBLE};
use crate::input::{Budget, Input};
use crate::pinned::PinVerifier;
use crate::provider::provider;
use crate::suites_by_cpu;
use crate::verify::LinkVerifier;

/// The ALPN protocol (RFC 7301) of joining.
pub const JOIN_ALPN: &[u8] = b"merlon-join/1";

/// RFC 8446 7.5: binds the proofs to this very TLS session.
const EXPORTER: &[u8] = b"EXPORTER-merlon-join/1";

/// Bytes of a message to the server at most: a signing request and a name.
pub const TO_SERVER_MAX: usize = 12 * 1024;
/// Bytes of a message to the client at most: mostly revocation lists. Only a server of the pinned CA gets so far.
pub const TO_CLIENT_MAX: usize = 4 * 1024 * 1024;
/// What the server may send in all, and in how many records.
const TO_CLIENT_BUDGET: (usize, usize) = (5 * 1024 * 1024, 1024);

/// What a server shows to those who join: a node's certificate, and the root CA behind it.
pub struct JoinServer {
    provider: Arc<CryptoProvider>,
    identity: Arc<SingleCertAndKey>,
}

impl JoinServer {
    /// Checks that those who pinned the CA will accept the chain: leaf first, self-signed root last, PEM.
    ///
    /// # Errors
    /// [`Error::OwnCertificate`], [`Error::OwnKey`], [`Error::OwnKeyMismatch`], [`Error::Certificate`] with the reason.
    pub fn new(
        chain_pem: &str,
        key_pem: &str,
        pin: &[u8; 32],
        now: UnixTime,
    ) -> Result<Self, Error> {
        let provider = Arc::new(provider(&suites_by_cpu()));
        let certified = certified_key(chain_pem, key_pem, &provider)?;
        let (leaf, rest) = certified.cert.split_first().ok_or(Error::OwnCertificate)?;
        merlon_pki::verify_pinned(pin, leaf, rest, now).map_err(Error::Certificate)?;
        Ok(Self {
            provider,
            identity: Arc::new(SingleCertAndKey::from(certified)),
        })
    }

    pub(crate) fn config(&self, now: UnixTime) -> Result<ServerConfig, Error> {
        let mut config = tls13(ServerConfig::builder_with_details, &self.provider, at(now))?
            .with_no_client_auth()
            .with_cert_resolver(self.identity.clone());
        config.alpn_protocols = vec![JOIN_ALPN.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        Ok(config)
    }
}

impl std::fmt::Debug for JoinServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JoinServer")
    }
}

/// What there is to do next.
pub enum JoinEvent {
    /// More bytes of the peer are needed.
    More,
    /// TLS is up; comes once, before any message.
    Up,
    /// A whole message. It may hold a keyring.
    Message(Zeroizing<Vec<u8>>),
}

impl std::fmt::Debug for JoinEvent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::More => "More",
            Self::Up => "Up",
            Self::Message(_) => "Message",
        })
    }
}

/// Who judges the peer's certificate.
pub(crate) enum Judge {
    /// The peer shows none: it has come to join.
    Nobody,
    Pin(Arc<PinVerifier>),
    /// As of links: a node or tool of this cluster.
    Link(Arc<LinkVerifier>),
}

impl Judge {
    /// Whether the peer is who it must be.
    fn content(&self) -> bool {
        match self {
            Self::Nobody => true,
            Self::Pin(verifier) => verifier.accepted().is_some(),
            Self::Link(verifier) => verifier.verified().is_some(),
        }
    }

    fn take_refusal(&self) -> Option<Error> {
        match self {
            Self::Nobody => None,
            Self::Pin(verifier) => verifier.take_refusal(),
            Self::Link(verifier) => verifier.take_refusal(),
        }
    }

    fn seen(&self) -> Option<Box<Seen>> {
        match self {
            Self::Nobody => None,
            Self::Pin(verifier) => verifier.seen(),
            Self::Link(verifier) => verifier.seen(),
        }
    }
}

/// One session, either side: of joining, of the name service of a host (`names.rs`), or of a status page (`status.rs`).
pub struct Join {
    conn: Connection,
    alpn: &'static [u8],
    judge: Judge,
    budget: Budget,
    up: bool,
    /// Opened bytes that are no whole message yet.
    plain: Vec<u8>,
    /// Bytes of a message at most.
    limit: usize,
    framing: Framing,
}

/// What a message is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// So many bytes as 4 bytes before them say.
    Length,
    /// Whatever bytes there are: the protocol inside cuts them.
    Stream,
}

impl Join {
    /// A server for one who connected to a port where nothing else is served.
    ///
    /// # Errors
    /// [`Error::Local`].
    pub fn accept(server: &JoinServer, now: UnixTime) -> Result<Self, Error> {
        let config = Arc::new(server.config(now)?);
        let conn = ServerConnection::new(config).map_err(local_fault)?;
        Ok(Self::accepted(conn.into(), Budget::new()))
    }

    /// The same for a ClientHello that was read already.
    pub(crate) fn accepted(conn: Connection, budget: Budget) -> Self {
        Self::new(conn, JOIN_ALPN, Judge::Nobody, budget, TO_SERVER_MAX)
    }

    /// A client that accepts nobody but a node whose chain ends in the CA with the key `pin`
    /// (see [`merlon_pki::pin_of`]).
    ///
    /// # Errors
    /// [`Error::Local`].
    pub fn dial(pin: [u8; 32], now: UnixTime) -> Result<Self, Error> {
        let provider = Arc::new(provider(&suites_by_cpu()));
        let verifier = Arc::new(PinVerifier::new(provider.clone(), pin, now));
        let mut config = tls13(ClientConfig::builder_with_details, &provider, at(now))?
            .dangerous()
            .with_custom_certificate_verifier(verifier.clone())
            .with_no_client_auth();
        config.alpn_protocols = vec![JOIN_ALPN.to_vec()];
        config.resumption = Resumption::disabled();
        config.enable_sni = false;
        config.enable_early_data = false;
        // rustls wants a name; it is not sent, and our verifier does not look at it.
        let nobody = ServerName::IpAddress(IpAddr::V4([0, 0, 0, 0].into()));
        let conn = ClientConnection::new(Arc::new(config), nobody).map_err(local_fault)?;
        let budget = Budget::of(TO_CLIENT_BUDGET);
        let (conn, judge) = (conn.into(), Judge::Pin(verifier));
        Ok(Self::new(conn, JOIN_ALPN, judge, budget, TO_CLIENT_MAX))
    }

    pub(crate) fn new(
        mut conn: Connection,
        alpn: &'static [u8],
        judge: Judge,
        budget: Budget,
        limit: usize,
    ) -> Self {
        // What is sent is bounded by `send`.
        conn.set_buffer_limit(None);
        Self {
            conn,
            alpn,
            judge,
            budget,
            up: false,
            plain: Vec::new(),
            limit,
            framing: Framing::Length,
        }
    }

    /// The same for a protocol that cuts its messages itself.
    pub(crate) fn streaming(mut self) -> Self {
        self.framing = Framing::Stream;
        self
    }

    /// Goes as far as the bytes in `input` reach: takes whole records off its front, and appends to `out` what must be
    /// sent, whatever the outcome.
    ///
    /// # Errors
    /// A [`Failure`]; the session is then of no more use once `out` is flushed.
    pub fn advance(
        &mut self,
        input: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<JoinEvent, Failure> {
        let mut input = Input::new(input);
        let event = self.step(&mut input, out);
        if let Err(error) = &event {
            if error.alert().is_some() && !matches!(error, Error::Tls(_)) {
                let _best_effort = process(&mut self.conn, &IMPOSSIBLE);
            }
        }
        flush(&mut self.conn, out);
        event.map_err(|error| self.failure(error))
    }

    /// Appends a sealed message to `out`.
    ///
    /// # Errors
    /// [`Error::TooMuch`] for one that the peer would not take or before TLS is up.
    pub fn send(&mut self, message: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let len = u32::try_from(message.len()).map_err(|_| Error::TooMuch)?;
        if !self.up || message.is_empty() || message.len() > TO_CLIENT_MAX {
            return Err(Error::TooMuch);
        }
        let mut writer = self.conn.writer();
        let head = match self.framing {
            Framing::Length => writer.write_all(&len.to_be_bytes()),
            Framing::Stream => Ok(()),
        };
        head.and_then(|()| writer.write_all(message))
            .map_err(|_| Error::TooMuch)?;
        flush(&mut self.conn, out);
        Ok(())
    }

    /// What is the same for both sides of this session, and for nobody else.
    ///
    /// # Errors
    /// [`Error::Local`] before TLS is up.
    pub fn exporter(&self) -> Result<Secret<[u8; 32]>, Error> {
        self.conn
            .export_keying_material([0; 32], EXPORTER, None)
            .map(Secret::new)
            .map_err(local_fault)
    }

    /// Client: the node that serves, and its root CA.
    pub fn server(&self) -> Option<(Peer, Der<'static>)> {
        match &self.judge {
            Judge::Pin(verifier) => verifier.accepted(),
            Judge::Nobody | Judge::Link(_) => None,
        }
    }

    /// Name service and status page: who the other side is, once TLS is up.
    pub fn member(&self) -> Option<Peer> {
        match &self.judge {
            Judge::Link(verifier) if self.up => Some(verifier.verified()?.into_peer()),
            Judge::Link(_) | Judge::Nobody | Judge::Pin(_) => None,
        }
    }

    /// What to say when the peer has closed the connection, or its time is up.
    pub fn closed(&self) -> Failure {
        self.failure(Error::PeerClosed)
    }

    fn step(&mut self, input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<JoinEvent, Error> {
        loop {
            if let Some(message) = self.message()? {
                return Ok(JoinEvent::Message(message));
            }
            flush(&mut self.conn, out);
            let Some(record) = input.paid_record(&mut self.budget)? else {
                return Ok(JoinEvent::More);
            };
            process(&mut self.conn, record)?;
            self.drain()?;
            if !self.up && !self.conn.is_handshaking() {
                self.come_up()?;
                return Ok(JoinEvent::Up);
            }
        }
    }

    fn come_up(&mut self) -> Result<(), Error> {
        if self.conn.alpn_protocol() != Some(self.alpn) {
            return Err(Error::WrongAlpn);
        }
        if !self.judge.content() {
            return Err(Error::NoCertificate);
        }
        self.up = true;
        Ok(())
    }

    /// Takes what rustls has opened of one record: at most 16 KiB.
    fn drain(&mut self) -> Result<(), Error> {
        let mut buffer = Zeroizing::new([0; 4096]);
        while let Ok(n @ 1..) = self.conn.reader().read(buffer.as_mut_slice()) {
            let opened = buffer.get(..n).unwrap_or_default();
            if self.plain.len() > self.limit.saturating_add(HEAD) {
                return Err(Error::TooMuch);
            }
            self.plain.extend_from_slice(opened);
        }
        Ok(())
    }

    fn message(&mut self) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        match self.framing {
            Framing::Length => self.measured(),
            Framing::Stream if self.up && !self.plain.is_empty() => {
                Ok(Some(Zeroizing::new(std::mem::take(&mut self.plain))))
            }
            Framing::Stream => Ok(None),
        }
    }

    fn measured(&mut self) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        let Some(head) = self.plain.first_chunk::<HEAD>().filter(|_| self.up) else {
            return Ok(None);
        };
        let len = usize::try_from(u32::from_be_bytes(*head)).map_err(|_| Error::TooMuch)?;
        if len == 0 || (len > self.limit && !knockout::out!("join_limit")) {
            return Err(Error::TooMuch);
        }
        let Some(message) = self.plain.get(HEAD..HEAD.saturating_add(len)) else {
            return Ok(None);
        };
        let message = Zeroizing::new(message.to_vec());
        let rest = self.plain.split_off(HEAD.saturating_add(len));
        self.plain.zeroize();
        self.plain = rest;
        Ok(Some(message))
    }

    fn failure(&self, error: Error) -> Failure {
        Failure {
            error: self.judge.take_refusal().unwrap_or(error),
            peer: self.judge.seen(),
            claimed: None,
        }
    }
}

impl Drop for Join {
    fn drop(&mut self) {
        self.plain.zeroize();
    }
}

const HEAD: usize = 4;

fn at(now: UnixTime) -> TlsTime {
    TlsTime::since_unix_epoch(std::time::Duration::from_secs(now))
}
