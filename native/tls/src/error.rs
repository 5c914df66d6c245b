//! Why a handshake ended, as data; and what is known of the peer at that moment.

use std::fmt;

use merlon_pki::{inspect_pem, Der, Error as PkiError, Identity, Peer};
use merlon_record::Error as RecordError;
use merlon_secret::Error as SecretError;
use merlon_wire::Error as WireError;
use ring::digest::{digest, SHA256};
use x509_cert::der::pem::LineEnding;
use x509_cert::der::{Decode, EncodePem};
use x509_cert::Certificate;

/// TLS alert descriptions that this crate itself chooses (RFC 8446 6.2).
pub(crate) mod alert {
    pub(crate) const CLOSE_NOTIFY: u8 = 0;
    pub(crate) const UNEXPECTED_MESSAGE: u8 = 10;
    pub(crate) const ACCESS_DENIED: u8 = 49;
    pub(crate) const DECODE_ERROR: u8 = 50;
    pub(crate) const PROTOCOL_VERSION: u8 = 70;
    pub(crate) const INTERNAL_ERROR: u8 = 80;
    pub(crate) const UNKNOWN_PSK_IDENTITY: u8 = 115;
    pub(crate) const NO_APPLICATION_PROTOCOL: u8 = 120;
}

/// Why no link was made. Holds no secret and no raw bytes of the peer.
#[derive(Debug)]
pub enum Error {
    // local: this node's own configuration
    /// Local: the certificate file holds no certificate, or one that is not PEM.
    OwnCertificate,
    /// Local: the key file holds no private key of a kind that TLS 1.3 can sign with.
    OwnKey,
    /// Local: the private key does not belong to the certificate.
    OwnKeyMismatch,
    /// Local: no cipher suite is configured.
    NoSuite,
    /// Local: rustls refused the configuration, or could not work (no randomness).
    Local(TlsFault),
    /// Local: an own name or key could not be put on the wire.
    OwnPreamble(WireError),
    /// Misuse: the server was given no key with which to prove itself, or the client no key at all.
    NoKeys,

    // peer: what it is
    /// Peer: it speaks the plaintext distribution protocol, so it runs without TLS.
    PlaintextDist,
    /// Peer: what it sent is no TLS at all.
    NotTls,
    /// Peer: it speaks TLS, but does not offer TLS 1.3.
    OldTls,
    /// Peer: it named no ALPN protocol, as Erlang's own `inet_tls` does.
    NoAlpn,
    /// Peer: it named other ALPN protocols than `merlon/1`.
    WrongAlpn,

    // peer: its certificate and name
    /// Peer: it sent no certificate.
    NoCertificate,
    /// Peer: its certificate is refused; the inner error says which check failed.
    Certificate(PkiError),
    /// Peer: it does not hold the private key of the certificate that it shows.
    KeyNotHeld,
    /// Peer: its certificate does not carry the name that it claims or that was dialled.
    Name(PkiError),
    /// Peer: the name that it claims is no node name.
    BadName,
    /// Peer: the server calls itself something else than what was dialled.
    OtherNode,

    // peer: the shared secret
    /// Peer: the two nodes have no keyring entry in common.
    NoCommonKey,
    /// Peer: its proof is wrong, so it does not hold the same secret.
    Proof,
    /// Peer: the client refused our proof, so the two nodes hold different secrets.
    ProofRefused,

    // peer: conduct
    /// Peer: it ended the handshake with this TLS alert (RFC 8446 6.2).
    PeerAlert(u8),
    /// Peer: it closed the connection in the middle of the handshake.
    PeerClosed,
    /// Peer: it sent application data before the handshake was done.
    EarlyData,
    /// Peer: it broke the TLS handshake protocol.
    Tls(TlsFault),
    /// Peer: it sent a record that the record layer refuses.
    Record(RecordError),
    /// Peer: it sent a preamble message that cannot be decoded.
    Preamble(WireError),

    // limit
    /// Limit: the peer spent more bytes or records on one handshake than any handshake needs.
    TooMuch,
}

/// What rustls found wrong: printable, but no rustls type of ours leaves this crate.
#[derive(Debug)]
pub struct TlsFault(pub(crate) Box<rustls::Error>);

impl fmt::Display for TlsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error {
    /// A stable word for logs, metrics and Erlang atoms.
    pub fn code(&self) -> &'static str {
        match self {
            Self::OwnCertificate => "own_certificate",
            Self::OwnKey => "own_key",
            Self::OwnKeyMismatch => "own_key_mismatch",
            Self::NoSuite => "no_suite",
            Self::Local(_) => "local_tls",
            Self::OwnPreamble(_) => "own_preamble",
            Self::NoKeys => "no_keys",
            Self::PlaintextDist => "plaintext_dist",
            Self::NotTls => "not_tls",
            Self::OldTls => "old_tls",
            Self::NoAlpn => "no_alpn",
            Self::WrongAlpn => "wrong_alpn",
            Self::NoCertificate => "no_certificate",
            Self::Certificate(e) | Self::Name(e) => e.code(),
            Self::KeyNotHeld => "key_not_held",
            Self::BadName => "bad_name",
            Self::OtherNode => "other_node",
            Self::NoCommonKey => "no_common_key",
            Self::Proof => "wrong_proof",
            Self::ProofRefused => "proof_refused",
            Self::PeerAlert(_) => "peer_alert",
            Self::PeerClosed => "peer_closed",
            Self::EarlyData => "early_data",
            Self::Tls(_) => "tls",
            Self::Record(e) => e.code(),
            Self::Preamble(e) => e.code(),
            Self::TooMuch => "too_much",
        }
    }

    /// The alert that tells the peer of this error once TLS itself is up; `None`: the peer ended it.
    pub(crate) fn alert(&self) -> Option<u8> {
        Some(match self {
            Self::PeerAlert(_) | Self::ProofRefused | Self::PeerClosed => return None,
            Self::Record(e) => return e.alert(),
            Self::NoAlpn | Self::WrongAlpn => alert::NO_APPLICATION_PROTOCOL,
            Self::NoCommonKey => alert::UNKNOWN_PSK_IDENTITY,
            Self::Name(_) | Self::BadName | Self::OtherNode | Self::Proof => alert::ACCESS_DENIED,
            Self::Preamble(_) => alert::DECODE_ERROR,
            Self::EarlyData | Self::TooMuch | Self::Tls(_) => alert::UNEXPECTED_MESSAGE,
            Self::NotTls | Self::PlaintextDist => alert::UNEXPECTED_MESSAGE,
            Self::OldTls => alert::PROTOCOL_VERSION,
            _ => alert::INTERNAL_ERROR,
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OwnCertificate => {
                f.write_str("the own certificate file holds no PEM certificate")
            }
            Self::OwnKey => f.write_str("the own key file holds no usable private key"),
            Self::OwnKeyMismatch => {
                f.write_str("the own key does not belong to the own certificate")
            }
            Self::NoSuite => f.write_str("no cipher suite is configured"),
            Self::Local(e) => write!(f, "TLS cannot start: {e}"),
            Self::OwnPreamble(e) => write!(f, "the own name or key cannot be sent: {e}"),
            Self::NoKeys => f.write_str("this node has no secret to prove itself with: no entry of its keyring is accepted now"),
            Self::PlaintextDist => {
                f.write_str("the peer speaks plaintext distribution, without TLS")
            }
            Self::NotTls => f.write_str("the peer does not speak TLS"),
            Self::OldTls => f.write_str("the peer does not offer TLS 1.3"),
            Self::NoAlpn => {
                f.write_str("the peer names no ALPN protocol: it is no merlon node (inet_tls?)")
            }
            Self::WrongAlpn => f.write_str("the peer does not offer the ALPN protocol merlon/1"),
            Self::NoCertificate => f.write_str("the peer sent no certificate"),
            Self::Certificate(e) => write!(f, "the peer's certificate is refused: {e}"),
            Self::KeyNotHeld => {
                f.write_str("the peer does not hold the key of the certificate that it shows")
            }
            Self::Name(e) => write!(f, "the peer may not have that name: {e}"),
            Self::BadName => f.write_str("the peer claims something that is no node name"),
            Self::OtherNode => {
                f.write_str("the server is another node than the one that was dialled")
            }
            Self::NoCommonKey => f.write_str(
                "the two nodes have no secret in common: no accepted keyring entry, or only one of them has a keyring",
            ),
            Self::Proof => {
                f.write_str("the peer's proof is wrong: it holds another secret (cookie)")
            }
            Self::ProofRefused => f.write_str(
                "the peer refused our proof: the two nodes hold different secrets (cookies)",
            ),
            Self::PeerAlert(d) => write!(
                f,
                "the peer refused with TLS alert {d} ({})",
                alert_name(*d)
            ),
            Self::PeerClosed => f.write_str("the peer closed the connection during the handshake"),
            Self::EarlyData => f.write_str("the peer sent data before the handshake was done"),
            Self::Tls(e) => write!(f, "the peer broke the TLS handshake: {e}"),
            Self::Record(e) => write!(f, "the peer sent a bad record: {e}"),
            Self::Preamble(e) => write!(f, "the peer sent a bad preamble message: {e}"),
            Self::TooMuch => f.write_str("the peer sent more than a handshake needs"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Certificate(e) | Self::Name(e) => Some(e),
            Self::Record(e) => Some(e),
            Self::Preamble(e) | Self::OwnPreamble(e) => Some(e),
            _ => None,
        }
    }
}

impl From<SecretError> for Error {
    /// The only thing that `merlon_secret` refuses here is a proof.
    fn from(_: SecretError) -> Self {
        Self::Proof
    }
}

/// The name of an alert (RFC 8446 6) for people.
pub fn alert_name(description: u8) -> &'static str {
    match description {
        0 => "close_notify",
        10 => "unexpected_message",
        20 => "bad_record_mac",
        22 => "record_overflow",
        40 => "handshake_failure",
        42 => "bad_certificate",
        43 => "unsupported_certificate",
        44 => "certificate_revoked",
        45 => "certificate_expired",
        46 => "certificate_unknown",
        47 => "illegal_parameter",
        48 => "unknown_ca",
        49 => "access_denied",
        50 => "decode_error",
        51 => "decrypt_error",
        70 => "protocol_version",
        71 => "insufficient_security",
        80 => "internal_error",
        86 => "inappropriate_fallback",
        90 => "user_canceled",
        109 => "missing_extension",
        110 => "unsupported_extension",
        112 => "unrecognized_name",
        113 => "bad_certificate_status_response",
        115 => "unknown_psk_identity",
        116 => "certificate_required",
        120 => "no_application_protocol",
        _ => "unknown",
    }
}

/// The certificate that a peer showed, for the log. Not a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// SHA-256 of the leaf certificate (DER).
    pub sha256: [u8; 32],
    /// Whom the certificate names, if that can be read. Anybody can write this unless `verified`.
    pub identity: Option<Identity>,
    /// Whether the chain was accepted and the peer proved to hold the key.
    pub verified: bool,
}

impl Seen {
    pub(crate) fn of(peer: &Peer) -> Self {
        Self {
            sha256: *peer.sha256(),
            identity: Some(peer.identity().clone()),
            verified: true,
        }
    }

    pub(crate) fn unverified(leaf: &Der<'_>) -> Self {
        Self {
            sha256: sha256(leaf),
            identity: identity_of(leaf),
            verified: false,
        }
    }
}

fn sha256(der: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, der).as_ref());
    out
}

/// What an unverified certificate says of itself.
fn identity_of(leaf: &Der<'_>) -> Option<Identity> {
    let pem = Certificate::from_der(leaf)
        .ok()?
        .to_pem(LineEnding::LF)
        .ok()?;
    inspect_pem(&pem).ok()?.pop()?.identity
}

/// A handshake that did not become a link. `out` of the failing call holds the alert to flush.
#[derive(Debug)]
pub struct Failure {
    /// Why.
    pub error: Error,
    /// The certificate that the peer showed, even a refused one.
    pub peer: Option<Box<Seen>>,
    /// The name that the peer claimed (client) or gave itself (server), at most 1020 bytes.
    pub claimed: Option<Vec<u8>>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}
