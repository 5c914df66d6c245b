use std::fmt;

/// Why a secret could not be made, or a proof was not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// Local: the VM has no cookie (it is empty, or the word `nocookie`, which everyone knows).
    NoCookie,
    /// Misuse: HKDF gives 255 outputs of its hash at most.
    TooLong {
        /// Bytes asked for.
        len: usize,
    },
    /// Peer: the proof is wrong: another secret, another session, other names, or another role.
    BadProof,
    /// Misuse: HKDF expands a key that is at least as long as its hash.
    ShortKey {
        /// Bytes of the key.
        len: usize,
    },
    /// Misuse: a parameter is not in its range.
    Range {
        /// Which one.
        name: &'static str,
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// Misuse: the parameters are too cheap for an attacker.
    Weak {
        /// Which of them: `costs`, `salt` or `length`.
        name: &'static str,
    },
    /// Misuse: what others have made is checked by this function, but nothing new is made.
    VerifyOnly,
    /// Limit: that would take too long.
    Work {
        /// The work asked for, in KiB or iterations.
        work: u64,
        /// The most.
        max: u64,
    },
    /// Limit: more memory than there may be.
    Memory {
        /// KiB needed.
        kib: u64,
        /// KiB allowed.
        ceiling: u64,
    },
    /// Limit: the system does not give that much memory.
    OutOfMemory {
        /// KiB needed.
        kib: u64,
    },
    /// Limit: the time does not suffice for parameters that are strong enough.
    Budget {
        /// Nanoseconds that it takes.
        needed: u64,
    },
    /// Misuse: not a PHC string.
    NotPhc,
    /// Misuse: a PHC string of a function, a version or parameters that are not known here.
    UnknownPhc,
    /// Peer: the password is another one.
    WrongPassword,
    /// Peer: not an entry that was sealed for this node, this request and this id.
    BadTransfer,
    /// Local: the file is no keyring, or a time that is to stand in it is none.
    BadKeyring,
    /// Misuse: the keyring has no such entry that can be used so.
    UnknownEntry,
    /// Limit: a keyring has from 1 to 16 entries.
    KeyringFull,
}

impl Error {
    /// A stable name for logs and for Erlang.
    pub fn code(&self) -> &'static str {
        match self {
            Error::NoCookie => "no_cookie",
            Error::TooLong { .. } => "too_long",
            Error::BadProof => "bad_proof",
            Error::ShortKey { .. } => "short_key",
            Error::Range { .. } => "range",
            Error::Weak { .. } => "weak",
            Error::VerifyOnly => "verify_only",
            Error::Work { .. } => "work",
            Error::Memory { .. } => "memory",
            Error::OutOfMemory { .. } => "out_of_memory",
            Error::Budget { .. } => "budget",
            Error::NotPhc => "not_phc",
            Error::UnknownPhc => "unknown_phc",
            Error::WrongPassword => "wrong_password",
            Error::BadTransfer => "bad_transfer",
            Error::BadKeyring => "bad_keyring",
            Error::UnknownEntry => "unknown_entry",
            Error::KeyringFull => "keyring_full",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NoCookie => write!(f, "this node has no cookie to prove itself with"),
            Error::TooLong { len } => write!(f, "HKDF cannot give {len} bytes"),
            Error::BadProof => write!(f, "the peer does not hold the same secret"),
            Error::ShortKey { len } => write!(f, "{len} bytes are too few to expand by HKDF"),
            Error::Range { name, min, max } => write!(f, "{name} must be from {min} to {max}"),
            Error::Weak { name } => write!(f, "{name} too weak"),
            Error::VerifyOnly => write!(f, "use Argon2id to make new keys and hashes"),
            Error::Work { work, max } => write!(f, "{work} units of work are more than {max}"),
            Error::Memory { kib, ceiling } => write!(f, "{kib} KiB are more than {ceiling}"),
            Error::OutOfMemory { kib } => write!(f, "the system does not give {kib} KiB"),
            Error::Budget { needed } => write!(f, "strong parameters take {needed} ns"),
            Error::NotPhc => write!(f, "not a PHC string"),
            Error::UnknownPhc => write!(f, "a PHC string of an unknown kind"),
            Error::WrongPassword => write!(f, "the password is another one"),
            Error::BadTransfer => write!(f, "this is no entry that was sealed for this request"),
            Error::BadKeyring => write!(f, "the file is no keyring"),
            Error::UnknownEntry => write!(f, "the keyring has no such entry"),
            Error::KeyringFull => write!(f, "a keyring has from 1 to 16 entries"),
        }
    }
}

impl std::error::Error for Error {}
