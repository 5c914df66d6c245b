//! What can be wrong with a name, a certificate or a request: data, stable codes, and words.

use std::fmt;

use crate::{verify::Usage, UnixTime};

/// What some bytes should have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A certificate.
    Certificate,
    /// A certificate revocation list.
    Crl,
    /// A private key.
    Key,
    /// A certificate signing request.
    Csr,
    /// The PEM armour around one of them.
    Pem,
    /// A statement about a rotation of the CA.
    Statement,
}

/// Why a name, a certificate, a chain or a request was refused. Never holds a secret or unchecked peer bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    // Peer: the certificate or the name that was shown.
    /// The peer showed no certificate.
    NoCertificate,
    /// More certificates than any honest chain has.
    ChainTooLong {
        /// How many were shown.
        count: usize,
    },
    /// More bytes than any honest chain has.
    ChainTooLarge {
        /// How many were shown.
        bytes: usize,
    },
    /// The bytes are not what they should be.
    Malformed(Part),
    /// No trust anchor vouches for the certificate.
    UnknownIssuer,
    /// The issuer is known, its signature is not.
    BadSignature,
    /// The chain is not acceptable for a reason that has no variant of its own.
    BadChain,
    /// More CAs below one than its path length constraint allows.
    PathLength,
    /// A name that a CA of the chain may not vouch for, or constraints that can't be judged.
    NameConstraint,
    /// An extension that must be understood, and is not.
    UnknownCritical,
    /// Too late.
    Expired {
        /// Last second of validity.
        not_after: UnixTime,
        /// When it was judged.
        now: UnixTime,
    },
    /// Too early: a clock is wrong, or the certificate is for later.
    NotYetValid {
        /// First second of validity.
        not_before: UnixTime,
        /// When it was judged.
        now: UnixTime,
    },
    /// The trust anchor that vouches for the certificate is outside its own validity.
    AnchorNotValid {
        /// First second of the anchor's validity.
        not_before: UnixTime,
        /// Last second of the anchor's validity.
        not_after: UnixTime,
        /// When it was judged.
        now: UnixTime,
    },
    /// Extended key usage (or key usage) does not allow this TLS role.
    WrongUsage {
        /// The role that the certificate was shown for.
        usage: Usage,
    },
    /// A certificate of another cluster (SPIFFE trust domain).
    WrongCluster {
        /// The cluster that was asked for.
        expected: String,
        /// The cluster in the certificate.
        found: String,
    },
    /// No SPIFFE URI among the subject's alternative names.
    NoIdentity,
    /// More than one URI among them: an SVID has exactly one.
    ManyIdentities,
    /// Its SPIFFE URI is not one of ours in canonical form.
    BadIdentity,
    /// The certificate is not for the node name that was claimed or dialled.
    WrongName {
        /// SPIFFE URI of the certificate.
        certified: String,
        /// `name@host`, or `@host` for a dynamic name.
        claimed: String,
    },
    /// It, or one of its issuers, is on a revocation list.
    Revoked {
        /// The leaf's serial number, lower-case hex.
        serial: String,
    },
    /// RSA of fewer than 2048 bits.
    WeakKey,
    /// A signature or key algorithm that is not accepted (SHA-1, DSA, P-521, ...).
    UnsupportedAlgorithm,
    /// A CA certificate shown as a peer's own.
    CaLeaf,
    /// More alternative names than a node can need.
    TooManyNames {
        /// How many it has.
        count: usize,
    },
    /// No certificate of the chain is the root whose key was named beforehand.
    NotPinned,
    /// A certificate that is good, but a tool's where a node's is needed.
    NotANode,
    /// A certificate that is good, but a node's where a tool's is needed.
    NotATool,
    /// Not `name@host`.
    BadNodeName,
    /// A signing request of more bytes than any honest one has.
    CsrTooLarge {
        /// How many it has.
        bytes: usize,
    },
    /// The signing request is not signed with the key that it shows.
    CsrSignature,
    /// A signing request for a name that its sender may not have.
    CsrName,
    /// A signing request for an extension or attribute that is not given on request.
    CsrExtension {
        /// Its object identifier, dotted numbers.
        oid: String,
    },
    /// A statement about a rotation that is known already, or older than one that is.
    OldStatement,

    // Local: what this side holds.
    /// No trust anchor at all.
    NoAnchors,
    /// A certificate given as trust anchor is not a CA's.
    NotCa,
    /// The revocation list is past its next update: nobody can tell what was revoked since.
    CrlExpired {
        /// When a newer one was due.
        next_update: UnixTime,
        /// When it was judged.
        now: UnixTime,
    },
    /// The revocation list is not signed by the issuer it names, or the issuer may not sign lists.
    BadCrl,
    /// The private key is not the certificate's.
    KeyMismatch,

    // Misuse: a request or a setting that can't be met.
    /// Not a cluster name: 1 to 255 of `a-z 0-9 . _ -`.
    BadCluster,
    /// A name pattern with characters that no tool's name has, or so wide that it covers ordinary nodes.
    BadPattern {
        /// The pattern, as configured.
        pattern: String,
    },
    /// A lifetime of zero days, or one that ends after the year 9999.
    BadLifetime,
    /// The crypto library could not make or use a key.
    Crypto,
}

impl Error {
    /// A stable word for logs, metrics and Erlang atoms.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoCertificate => "no_certificate",
            Self::ChainTooLong { .. } => "chain_too_long",
            Self::ChainTooLarge { .. } => "chain_too_large",
            Self::Malformed(Part::Certificate) => "malformed_certificate",
            Self::Malformed(Part::Crl) => "malformed_crl",
            Self::Malformed(Part::Key) => "malformed_key",
            Self::Malformed(Part::Pem) => "malformed_pem",
            Self::Malformed(Part::Csr) => "malformed_csr",
            Self::Malformed(Part::Statement) => "malformed_statement",
            Self::UnknownIssuer => "unknown_issuer",
            Self::BadSignature => "bad_signature",
            Self::BadChain => "bad_chain",
            Self::PathLength => "path_length",
            Self::NameConstraint => "name_constraint",
            Self::UnknownCritical => "unknown_critical",
            Self::Expired { .. } => "expired",
            Self::NotYetValid { .. } => "not_yet_valid",
            Self::AnchorNotValid { .. } => "anchor_not_valid",
            Self::WrongUsage { .. } => "wrong_usage",
            Self::WrongCluster { .. } => "wrong_cluster",
            Self::NoIdentity => "no_identity",
            Self::ManyIdentities => "many_identities",
            Self::BadIdentity => "bad_identity",
            Self::WrongName { .. } => "wrong_name",
            Self::Revoked { .. } => "revoked",
            Self::WeakKey => "weak_key",
            Self::UnsupportedAlgorithm => "unsupported_algorithm",
            Self::CaLeaf => "ca_leaf",
            Self::TooManyNames { .. } => "too_many_names",
            Self::NotPinned => "not_pinned",
            Self::NotANode => "not_a_node",
            Self::NotATool => "not_a_tool",
            Self::BadNodeName => "bad_node_name",
            Self::CsrTooLarge { .. } => "csr_too_large",
            Self::CsrSignature => "csr_signature",
            Self::CsrName => "csr_name",
            Self::CsrExtension { .. } => "csr_extension",
            Self::OldStatement => "old_statement",
            Self::NoAnchors => "no_anchors",
            Self::NotCa => "not_ca",
            Self::CrlExpired { .. } => "crl_expired",
            Self::BadCrl => "bad_crl",
            Self::KeyMismatch => "key_mismatch",
            Self::BadCluster => "bad_cluster",
            Self::BadPattern { .. } => "bad_pattern",
            Self::BadLifetime => "bad_lifetime",
            Self::Crypto => "crypto",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCertificate => write!(f, "no certificate was shown"),
            Self::ChainTooLong { count } => write!(f, "{count} certificates in one chain"),
            Self::ChainTooLarge { bytes } => write!(f, "a certificate chain of {bytes} bytes"),
            Self::Malformed(Part::Certificate) => write!(f, "not a certificate"),
            Self::Malformed(Part::Crl) => write!(f, "not a revocation list"),
            Self::Malformed(Part::Key) => write!(f, "not a private key"),
            Self::Malformed(Part::Pem) => write!(f, "not PEM"),
            Self::Malformed(Part::Csr) => write!(f, "not a certificate signing request"),
            Self::Malformed(Part::Statement) => write!(f, "not a statement about a CA"),
            Self::UnknownIssuer => write!(f, "the certificate's issuer is not trusted here"),
            Self::BadSignature => write!(f, "the certificate's signature is wrong"),
            Self::BadChain => write!(f, "the certificate chain breaks a rule of its CA"),
            Self::PathLength => write!(f, "the chain has more CAs than one of them allows"),
            Self::NameConstraint => write!(f, "a CA of the chain may not vouch for this name"),
            Self::UnknownCritical => {
                write!(
                    f,
                    "the chain has a critical extension that is not known here"
                )
            }
            Self::Expired { not_after, now } => write!(
                f,
                "the certificate expired {} seconds ago",
                now.saturating_sub(*not_after)
            ),
            Self::NotYetValid { not_before, now } => write!(
                f,
                "the certificate becomes valid in {} seconds",
                not_before.saturating_sub(*now)
            ),
            Self::AnchorNotValid { not_after, now, .. } if now > not_after => {
                write!(
                    f,
                    "the CA expired {} seconds ago",
                    now.saturating_sub(*not_after)
                )
            }
            Self::AnchorNotValid {
                not_before, now, ..
            } => write!(
                f,
                "the CA becomes valid in {} seconds",
                not_before.saturating_sub(*now)
            ),
            Self::WrongUsage { usage } => {
                write!(f, "the certificate is not for use as a TLS {usage}")
            }
            Self::WrongCluster { expected, found } => {
                write!(f, "the certificate is of cluster {found}, not {expected}")
            }
            Self::NoIdentity => write!(f, "the certificate has no SPIFFE URI"),
            Self::ManyIdentities => write!(f, "the certificate has more than one URI"),
            Self::BadIdentity => {
                write!(f, "the certificate's SPIFFE URI is not a node's or tool's")
            }
            Self::WrongName { certified, claimed } => {
                write!(f, "the certificate is for {certified}, not for {claimed}")
            }
            Self::Revoked { serial } => write!(f, "the certificate (serial {serial}) is revoked"),
            Self::WeakKey => write!(f, "the RSA key is shorter than 2048 bits"),
            Self::UnsupportedAlgorithm => {
                write!(f, "the key or signature algorithm is not accepted")
            }
            Self::CaLeaf => write!(f, "a CA certificate can't be a node's own"),
            Self::TooManyNames { count } => write!(f, "the certificate has {count} names"),
            Self::NotPinned => write!(f, "the chain does not end in the CA whose key is pinned"),
            Self::NotANode => write!(f, "the certificate is a tool's, not a node's"),
            Self::NotATool => write!(f, "the certificate is a node's, not a tool's"),
            Self::BadNodeName => write!(f, "not a node name of the form name@host"),
            Self::CsrTooLarge { bytes } => write!(f, "a signing request of {bytes} bytes"),
            Self::CsrSignature => {
                write!(f, "the signing request is not signed with its own key")
            }
            Self::CsrName => write!(f, "the signing request asks for another name"),
            Self::CsrExtension { oid } => {
                write!(
                    f,
                    "the signing request asks for {oid}, which is not given on request"
                )
            }
            Self::OldStatement => write!(f, "a newer statement about the CA is known"),
            Self::NoAnchors => write!(f, "no trusted CA certificate"),
            Self::NotCa => write!(f, "a trusted certificate is not a CA's"),
            Self::CrlExpired { next_update, now } => write!(
                f,
                "the revocation list should have been renewed {} seconds ago",
                now.saturating_sub(*next_update)
            ),
            Self::BadCrl => write!(f, "the revocation list is not signed by its issuer"),
            Self::KeyMismatch => write!(f, "the private key is not the certificate's"),
            Self::BadCluster => write!(f, "a cluster's name is 1 to 255 of a-z 0-9 . _ -"),
            Self::BadPattern { pattern } => write!(f, "the name pattern {pattern} is not allowed"),
            Self::BadLifetime => write!(f, "not a lifetime that a certificate can have"),
            Self::Crypto => write!(f, "the key could not be made or used"),
        }
    }
}

impl std::error::Error for Error {}
