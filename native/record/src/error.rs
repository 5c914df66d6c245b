use std::fmt;

/// Why a record could not be sealed or opened. Final for the half that gave it, misuse apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// Misuse: this half is closed: an alert was sent, or the peer's close_notify was read.
    Closed,
    /// Misuse: a traffic secret of `len` bytes does not fit the suite's hash.
    BadSecret {
        /// Bytes given.
        len: usize,
    },
    /// Misuse: a message of `len` bytes does not fit one record.
    TooLong {
        /// Bytes given.
        len: usize,
    },
    /// Misuse: a record's inner plaintext of `len` bytes does not fit the place it is to be opened to.
    NoRoom {
        /// Bytes needed.
        len: usize,
    },
    /// Misuse: alerts are sent by `alert` and `close_notify`, which also close the half.
    SealedAlert,
    /// Limit: no sequence number is left under this key.
    Exhausted,
    /// Local: the crypto library refused to derive a key or to seal. Not known to happen.
    Crypto,
    /// Peer: the outer type is not application_data(23).
    BadOuterType(u8),
    /// Peer: the record's version is not 0x0303.
    BadVersion(u16),
    /// Peer: a record longer than the protocol allows, by its header or by its plaintext.
    Overflow {
        /// Bytes claimed or found.
        len: usize,
    },
    /// Peer or network: the record did not authenticate: altered, replayed, reordered, or of another key.
    BadRecordMac,
    /// Peer: the inner plaintext is nothing but padding.
    NoContentType,
    /// Peer: an inner content type that has no business here.
    UnexpectedType(u8),
    /// Peer: an alert that is not exactly two bytes.
    BadAlert,
    /// Peer: it sent this alert, and is gone.
    PeerAlert(u8),
    /// Peer: a handshake message that has no business after the handshake.
    UnexpectedHandshake(u8),
    /// Peer: an empty handshake record, or one message cut by a record of another type.
    BrokenHandshake,
    /// Peer: a handshake message too long to be kept.
    HandshakeTooLong {
        /// Bytes claimed or found.
        len: usize,
    },
    /// Peer: a KeyUpdate that is malformed.
    BadKeyUpdate,
    /// Peer: a KeyUpdate that does not end its record, or spans two.
    MisplacedKeyUpdate,
    /// Peer: too many records in a row that carry nothing.
    TooManyIdle,
    /// Peer or network: the stream ended without close_notify.
    Truncated {
        /// Bytes of an unfinished record.
        leftover: usize,
    },
}

impl Error {
    /// The TLS alert (RFC 8446 6.2) to send for this error; `None` when there is nobody to tell.
    pub fn alert(&self) -> Option<u8> {
        match self {
            Error::Closed | Error::PeerAlert(_) | Error::Truncated { .. } => None,
            Error::BadSecret { .. }
            | Error::TooLong { .. }
            | Error::NoRoom { .. }
            | Error::SealedAlert
            | Error::Exhausted
            | Error::Crypto => Some(80), // internal_error
            Error::BadOuterType(_)
            | Error::NoContentType
            | Error::UnexpectedType(_)
            | Error::UnexpectedHandshake(_)
            | Error::BrokenHandshake
            | Error::HandshakeTooLong { .. }
            | Error::MisplacedKeyUpdate
            | Error::TooManyIdle => Some(10), // unexpected_message
            Error::BadRecordMac => Some(20),    // bad_record_mac
            Error::Overflow { .. } => Some(22), // record_overflow
            Error::BadKeyUpdate => Some(47),    // illegal_parameter
            Error::BadAlert => Some(50),        // decode_error
            Error::BadVersion(_) => Some(70),   // protocol_version
        }
    }

    /// A stable name for logs and for Erlang.
    pub fn code(&self) -> &'static str {
        match self {
            Error::Closed => "closed",
            Error::BadSecret { .. } => "bad_secret",
            Error::TooLong { .. } => "too_long",
            Error::NoRoom { .. } => "no_room",
            Error::SealedAlert => "sealed_alert",
            Error::Exhausted => "exhausted",
            Error::Crypto => "crypto",
            Error::BadOuterType(_) => "bad_outer_type",
            Error::BadVersion(_) => "bad_version",
            Error::Overflow { .. } => "record_overflow",
            Error::BadRecordMac => "bad_record_mac",
            Error::NoContentType => "no_content_type",
            Error::UnexpectedType(_) => "unexpected_type",
            Error::BadAlert => "bad_alert",
            Error::PeerAlert(_) => "peer_alert",
            Error::UnexpectedHandshake(_) => "unexpected_handshake",
            Error::BrokenHandshake => "broken_handshake",
            Error::HandshakeTooLong { .. } => "handshake_too_long",
            Error::BadKeyUpdate => "bad_key_update",
            Error::MisplacedKeyUpdate => "misplaced_key_update",
            Error::TooManyIdle => "too_many_idle_records",
            Error::Truncated { .. } => "truncated",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Closed => write!(f, "the connection is closed"),
            Error::BadSecret { len } => {
                write!(f, "a traffic secret of {len} bytes does not fit the suite")
            }
            Error::TooLong { len } => write!(f, "a message of {len} bytes does not fit one record"),
            Error::NoRoom { len } => write!(f, "a record needs {len} bytes of room"),
            Error::SealedAlert => write!(f, "alerts are not sealed as messages"),
            Error::Exhausted => write!(f, "no sequence number is left under this key"),
            Error::Crypto => write!(f, "the crypto library failed"),
            Error::BadOuterType(t) => write!(f, "the peer sent a record of outer type {t}"),
            Error::BadVersion(v) => write!(f, "the peer sent a record of version {v:#06x}"),
            Error::Overflow { len } => write!(f, "the peer sent a record of {len} bytes"),
            Error::BadRecordMac => write!(f, "a record did not authenticate"),
            Error::NoContentType => write!(f, "the peer sent a record of padding only"),
            Error::UnexpectedType(t) => write!(f, "the peer sent a record of content type {t}"),
            Error::BadAlert => write!(f, "the peer sent a malformed alert"),
            Error::PeerAlert(a) => write!(f, "the peer sent alert {a}"),
            Error::UnexpectedHandshake(t) => {
                write!(f, "the peer sent handshake message {t} after the handshake")
            }
            Error::BrokenHandshake => {
                write!(f, "the peer sent an empty or interrupted handshake message")
            }
            Error::HandshakeTooLong { len } => {
                write!(f, "the peer sent a handshake message of {len} bytes")
            }
            Error::BadKeyUpdate => write!(f, "the peer sent a malformed KeyUpdate"),
            Error::MisplacedKeyUpdate => {
                write!(f, "the peer sent a KeyUpdate that does not end its record")
            }
            Error::TooManyIdle => write!(f, "the peer sent too many records that carry nothing"),
            Error::Truncated { leftover } => {
                write!(
                    f,
                    "the stream ended without close_notify, {leftover} bytes into a record"
                )
            }
        }
    }
}

impl std::error::Error for Error {}
