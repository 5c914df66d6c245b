use crate::etf::Refusal;
use std::fmt;

/// Why bytes are not frames, not a message of the preamble, or not a term to be let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// Peer (or misuse, when writing): a frame longer than is accepted.
    FrameTooLong {
        /// Bytes claimed.
        len: usize,
        /// Bytes accepted.
        max: usize,
    },
    /// Limit: the sink has no memory for a frame.
    NoMemory {
        /// Bytes asked for.
        len: usize,
    },
    /// Misuse: the sink lent a buffer shorter than was asked for.
    ShortBuffer {
        /// Bytes asked for.
        len: usize,
    },
    /// Peer (or misuse): a lane that does not exist.
    NoLane(usize),
    /// Peer: a lane's frame begins without its length, or has none.
    LaneHead {
        /// The lane.
        lane: usize,
    },
    /// Peer: a record holds more than its lane's frame.
    LaneOverrun {
        /// The lane.
        lane: usize,
    },
    /// Peer: a lane's frame ends long before the length that it claimed.
    LaneShort {
        /// The lane.
        lane: usize,
    },
    /// Peer: a preamble of a version that is not spoken here.
    BadVersion(u8),
    /// Peer: another message of the preamble than the one expected, or none at all.
    BadKind(u8),
    /// Peer: the message ends too early.
    Cut,
    /// Peer: bytes after the message's end.
    Trailing {
        /// Bytes too many.
        len: usize,
    },
    /// Peer (or misuse, when encoding): a name that is empty or longer than a node's name can be.
    NameLength {
        /// Bytes of the name.
        len: usize,
    },
    /// Peer (or misuse, when encoding): no key id, or too many.
    KeyCount {
        /// Key ids listed.
        count: usize,
    },
    /// Peer (or misuse, when encoding): a key id listed twice.
    RepeatedKey,
    /// Peer (or misuse, when encoding): a control message that is none.
    BadControl,
    /// Peer: a control message before the link is up.
    EarlyControl,
    /// Peer: a control message longer than is accepted.
    ControlTooLong {
        /// Bytes claimed.
        len: usize,
    },
    /// Peer: more control messages at once than any carrier has to send.
    ControlFlood,
    /// Peer: an external term that is not let in.
    Term(Refusal),
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Error::Term(refusal)
    }
}

impl Error {
    /// A stable name for logs and for Erlang.
    pub fn code(&self) -> &'static str {
        match self {
            Error::FrameTooLong { .. } => "frame_too_long",
            Error::NoMemory { .. } => "no_memory",
            Error::ShortBuffer { .. } => "short_buffer",
            Error::NoLane(_) => "no_such_lane",
            Error::LaneHead { .. } => "bad_lane_head",
            Error::LaneOverrun { .. } => "lane_overrun",
            Error::LaneShort { .. } => "lane_short",
            Error::BadVersion(_) => "bad_preamble_version",
            Error::BadKind(_) => "bad_preamble_message",
            Error::Cut => "preamble_cut",
            Error::Trailing { .. } => "preamble_trailing_bytes",
            Error::NameLength { .. } => "bad_name_length",
            Error::KeyCount { .. } => "bad_key_count",
            Error::RepeatedKey => "repeated_key_id",
            Error::BadControl => "bad_control",
            Error::EarlyControl => "early_control",
            Error::ControlTooLong { .. } => "control_too_long",
            Error::ControlFlood => "control_flood",
            Error::Term(refusal) => refusal.code(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::FrameTooLong { len, max } => {
                write!(
                    f,
                    "a frame of {len} bytes is longer than the {max} accepted"
                )
            }
            Error::NoMemory { len } => write!(f, "no memory for a frame of {len} bytes"),
            Error::ShortBuffer { len } => {
                write!(f, "a buffer is shorter than the {len} bytes asked for")
            }
            Error::NoLane(lane) => write!(f, "there is no lane {lane}"),
            Error::LaneHead { lane } => {
                write!(
                    f,
                    "the peer began a frame without its length on lane {lane}"
                )
            }
            Error::LaneOverrun { lane } => {
                write!(f, "the peer sent more than the frame on lane {lane}")
            }
            Error::LaneShort { lane } => {
                write!(
                    f,
                    "the peer ended a frame long before its length on lane {lane}"
                )
            }
            Error::BadVersion(v) => write!(f, "the peer speaks version {v} of the preamble"),
            Error::BadKind(k) => {
                write!(f, "the peer sent message {k} in the preamble, out of turn")
            }
            Error::Cut => write!(f, "the peer sent a preamble message that ends too early"),
            Error::Trailing { len } => {
                write!(f, "the peer sent {len} bytes after a preamble message")
            }
            Error::NameLength { len } => write!(f, "a node name of {len} bytes"),
            Error::KeyCount { count } => write!(f, "a list of {count} key ids"),
            Error::RepeatedKey => write!(f, "a key id is listed twice"),
            Error::BadControl => write!(f, "the peer sent a control message that is none"),
            Error::EarlyControl => {
                write!(f, "the peer sent a control message before the link was up")
            }
            Error::ControlTooLong { len } => {
                write!(f, "the peer sent a control message of {len} bytes")
            }
            Error::ControlFlood => write!(f, "the peer sent too many control messages"),
            Error::Term(refusal) => write!(f, "{refusal}"),
        }
    }
}

impl std::error::Error for Error {}
