use std::fmt;

/// Why a secret could not be made, or a proof was not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// Local: the VM has no cookie (it is empty, or the word `nocookie`, which everyone knows).
    NoCookie,
    /// Misuse: HKDF-SHA256 gives 255 * 32 bytes at most.
    TooLong {
        /// Bytes asked for.
        len: usize,
    },
    /// Peer: the proof is wrong: another secret, another session, other names, or another role.
    BadProof,
}

impl Error {
    /// A stable name for logs and for Erlang.
    pub fn code(&self) -> &'static str {
        match self {
            Error::NoCookie => "no_cookie",
            Error::TooLong { .. } => "too_long",
            Error::BadProof => "bad_proof",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NoCookie => write!(f, "this node has no cookie to prove itself with"),
            Error::TooLong { len } => write!(f, "HKDF-SHA256 cannot give {len} bytes"),
            Error::BadProof => write!(f, "the peer does not hold the same secret"),
        }
    }
}

impl std::error::Error for Error {}
