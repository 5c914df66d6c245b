use std::fmt;

/// What has a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// Bytes as they came.
    Bytes,
    /// Bytes inflated.
    Inflated,
    /// Terms.
    Terms,
    /// Containers inside each other.
    Depth,
    /// Atoms that the VM does not have.
    NewAtoms,
    /// A binary's bytes.
    Binary,
    /// An integer's bytes.
    Bignum,
    /// A range's numbers.
    Range,
}

impl Limit {
    /// Its key in a budget.
    pub fn name(self) -> &'static str {
        match self {
            Limit::Bytes => "bytes",
            Limit::Inflated => "inflated",
            Limit::Terms => "terms",
            Limit::Depth => "depth",
            Limit::NewAtoms => "new_atoms",
            Limit::Binary => "binary",
            Limit::Bignum => "bignum",
            Limit::Range => "range",
        }
    }
}

/// Terms that are more than data, each let in only by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Funs with code and an environment.
    Funs,
    /// `fun M:F/A`.
    Exports,
    /// Process identifiers.
    Pids,
    /// Ports.
    Ports,
    /// References.
    Refs,
}

impl Kind {
    /// Its bit in a budget.
    pub fn bit(self) -> u64 {
        1 << self as u64
    }

    /// Its name in a budget.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Funs => "funs",
            Kind::Exports => "exports",
            Kind::Pids => "pids",
            Kind::Ports => "ports",
            Kind::Refs => "refs",
        }
    }
}

/// Why a term is not let in. `at` counts bytes from the version byte, in a compressed term from the first inflated one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Over a budget.
    Over {
        /// Which.
        what: Limit,
        /// The largest value accepted.
        max: u64,
    },
    /// A kind of term that the budget does not allow.
    NotAllowed(Kind),
    /// A term in a node's own, private format.
    Local,
    /// Not a version 131 term.
    Version,
    /// The term ends too early, or claims more than there is.
    Cut {
        /// Where.
        at: u64,
    },
    /// A tag that is not known, or not one that can stand here.
    Tag {
        /// The tag.
        tag: u8,
        /// Where.
        at: u64,
    },
    /// An atom that is too long, or not UTF-8.
    Atom {
        /// Where it ends.
        at: u64,
    },
    /// A number, a bit string's last byte or a reference's length that can't be.
    Value {
        /// Where.
        at: u64,
    },
    /// Bytes after the term.
    Trailing {
        /// How many.
        bytes: u64,
    },
    /// Not a zlib stream, or one with a wrong checksum.
    Zlib,
    /// The inflated size is not the one claimed.
    InflatedSize {
        /// Bytes claimed.
        claimed: u64,
    },
}

impl Refusal {
    /// A stable name for logs and for Erlang.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::Over { .. } => "over",
            Refusal::NotAllowed(_) => "not_allowed",
            Refusal::Local => "local",
            Refusal::Version => "version",
            Refusal::Cut { .. } => "cut",
            Refusal::Tag { .. } => "tag",
            Refusal::Atom { .. } => "atom",
            Refusal::Value { .. } => "value",
            Refusal::Trailing { .. } => "trailing",
            Refusal::Zlib => "zlib",
            Refusal::InflatedSize { .. } => "inflated_size",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Over { what, max } => write!(f, "more {} than the {max} allowed", what.name()),
            Refusal::NotAllowed(kind) => write!(f, "{} are not allowed", kind.name()),
            Refusal::Local => write!(f, "a term in a node's own format"),
            Refusal::Version => write!(f, "no external term of version 131"),
            Refusal::Cut { at } => write!(f, "a term that ends too early, at byte {at}"),
            Refusal::Tag { tag, at } => write!(f, "a tag {tag} that can't stand at byte {at}"),
            Refusal::Atom { at } => write!(f, "an atom that is none, before byte {at}"),
            Refusal::Value { at } => write!(f, "a value that can't be, before byte {at}"),
            Refusal::Trailing { bytes } => write!(f, "{bytes} bytes after the term"),
            Refusal::Zlib => write!(f, "a compressed term that can't be inflated"),
            Refusal::InflatedSize { claimed } => {
                write!(
                    f,
                    "a compressed term that does not inflate to {claimed} bytes"
                )
            }
        }
    }
}
