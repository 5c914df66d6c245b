//! Judging a peer's chain: path, validity, usage, revocation, identity, cluster.
//!
//! webpki (ring algorithms only: no SHA-1, RSA of 2048 bits and more) builds and checks the path; what it ignores is
//! checked here: the leaf's own key, its key usage, a missing EKU, the SPIFFE URI, issuers' key usage, and what the anchor
//! says of itself: validity, path length, extended key usage, critical extensions.

use std::{fmt, time::Duration};

use rustls_pki_types::SignatureVerificationAlgorithm;
use webpki::{
    EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeIdIter, KeyUsage, RevocationCheckDepth,
    RevocationOptionsBuilder, UnknownStatusPolicy, VerifiedPath,
};
use x509_cert::{der::asn1::ObjectIdentifier, ext::pkix::KeyUsages};

use crate::{
    again::Shown,
    anchors::{Anchor, Anchors},
    foreign,
    known::Known,
    name::check_cluster,
    x509::{certs_in, sha256, Cert},
    Crls, Der, Error, Identity, Part, StaleCrl, UnixTime,
};

/// Leaf included. A stranger's chain is judged before he proves anything, and webpki tries every order of intermediates
/// that share a name, reading all of them at each step: 16 steps with three of them, some 8,600 with seven.
const CHAIN_MAX: usize = 4;
/// DER of the whole chain: each of those steps costs in proportion.
const CHAIN_BYTES_MAX: usize = 16 * 1024;
/// Alternative names of a leaf.
const NAMES_MAX: usize = 64;

const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
const CLIENT_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");

/// The TLS role in which a peer shows its certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// The peer was dialled.
    Server,
    /// The peer dials.
    Client,
}

impl Usage {
    pub(crate) fn oid(self) -> ObjectIdentifier {
        match self {
            Self::Server => SERVER_AUTH,
            Self::Client => CLIENT_AUTH,
        }
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Server => "server",
            Self::Client => "client",
        })
    }
}

/// A peer whose chain was verified. Only [`Verifier`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    identity: Identity,
    not_after: UnixTime,
    sha256: [u8; 32],
    serial: String,
    shown: Shown,
}

impl Peer {
    pub(crate) fn shown(&self) -> &Shown {
        &self.shown
    }

    /// The role in which it showed its certificate.
    pub fn usage(&self) -> Usage {
        self.shown.usage()
    }

    /// Whom the certificate is for.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Last second of the leaf's validity.
    pub fn not_after(&self) -> UnixTime {
        self.not_after
    }

    /// SHA-256 of the leaf's DER.
    pub fn sha256(&self) -> &[u8; 32] {
        &self.sha256
    }

    /// Serial number, lower-case hex.
    pub fn serial(&self) -> &str {
        &self.serial
    }
}

/// Judges chains for one cluster.
#[derive(Debug)]
pub struct Verifier {
    anchors: Anchors,
    crls: Crls,
    stale: StaleCrl,
    pub(crate) self_made: bool,
    cluster: String,
    known: Known,
}

impl Verifier {
    /// [`Error::BadCluster`] if that is no cluster's name.
    pub fn new(anchors: Anchors, mut crls: Crls, cluster: &str) -> Result<Self, Error> {
        check_cluster(cluster)?;
        crls.attribute(&anchors);
        Ok(Self {
            anchors,
            crls,
            stale: StaleCrl::Refuse,
            self_made: false,
            cluster: cluster.to_owned(),
            known: Known::default(),
        })
    }

    /// The same with another rule for revocation lists that are past their next update.
    pub fn with_stale_crl(self, stale: StaleCrl) -> Self {
        Self { stale, ..self }
    }

    /// The cluster.
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// The trust anchors.
    pub fn anchors(&self) -> &Anchors {
        &self.anchors
    }

    /// The revocation lists.
    pub fn crls(&self) -> &Crls {
        &self.crls
    }

    /// Judges a chain, the leaf first, at the time `now`.
    pub fn verify(&self, chain: &[Der<'_>], usage: Usage, now: UnixTime) -> Result<Peer, Error> {
        let (leaf, rest) = chain.split_first().ok_or(Error::NoCertificate)?;
        self.verify_leaf(leaf, rest, usage, now)
    }

    /// The same for PEM, for instance a node's own certificate file.
    pub fn verify_pem(&self, chain_pem: &str, usage: Usage, now: UnixTime) -> Result<Peer, Error> {
        self.verify(&certs_in(chain_pem)?, usage, now)
    }

    /// The same for a leaf and the other certificates that came with it, as rustls gives them.
    ///
    /// More than 4 certificates ([`Error::ChainTooLong`]) or 16 KiB ([`Error::ChainTooLarge`]) are refused unread.
    pub fn verify_leaf(
        &self,
        leaf: &Der<'_>,
        rest: &[Der<'_>],
        usage: Usage,
        now: UnixTime,
    ) -> Result<Peer, Error> {
        self.judge(leaf, rest, (Role::merlon(usage), self.stale), (now, now))
    }

    /// As [`verify_leaf`](Self::verify_leaf) for a peer of another carrier, whose certificate may name hosts alone: no SPIFFE URI,
    /// and no extended key usage that would say what it is for.
    pub fn verify_foreign(
        &self,
        leaf: &Der<'_>,
        rest: &[Der<'_>],
        usage: Usage,
        now: UnixTime,
    ) -> Result<Peer, Error> {
        self.judge(leaf, rest, (Role::foreign(usage), self.stale), (now, now))
    }

    /// Judges anchors at one time, and what is below them at the other.
    pub(crate) fn judge(
        &self,
        leaf: &Der<'_>,
        rest: &[Der<'_>],
        (role, stale): (Role, StaleCrl),
        times: (UnixTime, UnixTime),
    ) -> Result<Peer, Error> {
        check_size(leaf, rest)?;
        let cert = Cert::read(leaf)?;
        check_leaf(&cert, role)?;
        if !knockout::out!("peer_chain") {
            self.check_path(leaf, rest, &cert, (role.usage, stale), times)?;
        }
        let identity = match identity_of(&cert) {
            Err(Error::NoIdentity) if role.foreign => foreign::hosts(&cert)?,
            identity => identity?,
        };
        let of_hosts = matches!(identity, Identity::Hosts { .. });
        if !of_hosts {
            // Who has a node's name is held to all of it, over any carrier.
            check_leaf(&cert, Role::merlon(role.usage))?;
        }
        if !of_hosts && identity.cluster() != self.cluster && !knockout::out!("trust_domain") {
            let found = identity.cluster().to_owned();
            return Err(Error::WrongCluster {
                expected: self.cluster.clone(),
                found,
            });
        }
        Ok(Peer {
            identity,
            not_after: cert.not_after(),
            sha256: sha256(leaf),
            serial: cert.serial_hex(),
            shown: Shown::new(leaf, rest, role),
        })
    }

    /// webpki takes an anchor at any time, so that only those valid now are offered; when that leaves a chain without
    /// issuer, an anchor that is out of its time is named as the reason.
    fn check_path(
        &self,
        leaf: &Der<'_>,
        rest: &[Der<'_>],
        cert: &Cert,
        (usage, stale): (Usage, StaleCrl),
        (now, below): (UnixTime, UnixTime),
    ) -> Result<(), Error> {
        let (valid, others): (Vec<_>, Vec<_>) =
            self.anchors.0.iter().partition(|a| a.is_valid(now));
        let path = Path {
            leaf,
            rest,
            cert,
            usage,
            now: below,
            crls: &self.crls,
            all: &self.anchors,
            stale,
            known: &self.known,
        };
        let verdict = path.check(&valid);
        if let Err(Error::UnknownIssuer | Error::BadSignature) = verdict {
            if let Some(old) = others
                .into_iter()
                .find(|anchor| path.check(&[anchor]).is_ok())
            {
                return Err(Error::AnchorNotValid {
                    not_before: old.not_before,
                    not_after: old.not_after,
                    now,
                });
            }
        }
        verdict
    }
}

/// What may be read at all of what a stranger shows.
pub(crate) fn check_size(leaf: &Der<'_>, rest: &[Der<'_>]) -> Result<(), Error> {
    let count = rest.len().saturating_add(1);
    if count > CHAIN_MAX {
        return Err(Error::ChainTooLong { count });
    }
    let sizes = rest.iter().map(|der| der.len());
    let bytes = sizes.fold(leaf.len(), usize::saturating_add);
    if bytes > CHAIN_BYTES_MAX {
        return Err(Error::ChainTooLarge { bytes });
    }
    Ok(())
}

/// In which role a certificate is shown, and whether by a peer of another carrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Role {
    pub(crate) usage: Usage,
    pub(crate) foreign: bool,
}

impl Role {
    fn merlon(usage: Usage) -> Self {
        let foreign = false;
        Self { usage, foreign }
    }

    fn foreign(usage: Usage) -> Self {
        let foreign = true;
        Self { usage, foreign }
    }
}

/// What webpki doesn't look at.
fn check_leaf(cert: &Cert, role: Role) -> Result<(), Error> {
    let usage = role.usage;
    if cert.names.len() > NAMES_MAX {
        return Err(Error::TooManyNames {
            count: cert.names.len(),
        });
    }
    if cert.is_ca() {
        return Err(Error::CaLeaf);
    }
    cert.check_key()?;
    let named = cert
        .eku
        .as_ref()
        .map_or(role.foreign, |eku| eku.contains(&usage.oid()));
    // TLS 1.3 only ever signs with the key (RFC 8446, 4.4.2.2).
    let signs = cert.allows(KeyUsages::DigitalSignature);
    if (named && signs) || knockout::out!("eku") {
        Ok(())
    } else {
        Err(Error::WrongUsage { usage })
    }
}

/// X.509-SVID, section 2: exactly one URI.
pub(crate) fn identity_of(cert: &Cert) -> Result<Identity, Error> {
    let mut uris = cert.uris();
    match (uris.next(), uris.next()) {
        (None, _) => Err(Error::NoIdentity),
        (Some(_), Some(_)) => Err(Error::ManyIdentities),
        (Some(uri), None) if uri.starts_with("spiffe://") => Identity::parse(uri),
        (Some(_), None) => Err(Error::NoIdentity),
    }
}

struct Path<'a> {
    leaf: &'a Der<'a>,
    rest: &'a [Der<'a>],
    cert: &'a Cert,
    usage: Usage,
    now: UnixTime,
    crls: &'a Crls,
    all: &'a Anchors,
    stale: StaleCrl,
    known: &'a Known,
}

impl Path<'_> {
    fn check(&self, anchors: &[&Anchor]) -> Result<(), Error> {
        let issuers = |path: &VerifiedPath<'_>| self.check_issuers(path, anchors);
        let anchors: Vec<_> = anchors.iter().map(|a| a.trust.clone()).collect();
        let lists = self.crls.of(self.leaf, self.rest, self.all);
        let revocation = RevocationOptionsBuilder::new(&lists).ok().map(|options| {
            options
                .with_depth(RevocationCheckDepth::Chain)
                .with_status_policy(UnknownStatusPolicy::Allow)
                .with_expiration_policy(self.stale.policy())
                .build()
        });
        let at = if knockout::out!("expiry") {
            self.cert.not_before()
        } else {
            self.now
        };
        let at = rustls_pki_types::UnixTime::since_unix_epoch(Duration::from_secs(at));
        let known = self.known.algorithms();
        let algorithms: Vec<&dyn SignatureVerificationAlgorithm> =
            known.iter().map(|each| each as _).collect();
        EndEntityCert::try_from(self.leaf)
            .and_then(|leaf| {
                let eku = Eku(self.usage);
                leaf.verify_for_usage(
                    &algorithms,
                    &anchors,
                    self.rest,
                    at,
                    eku,
                    revocation,
                    Some(&issuers),
                )
                .map(|_path| ())
            })
            .map_err(|error| self.explain(error))
    }

    /// webpki takes what an anchor says of itself for granted, and no notice of an issuer's key usage.
    fn check_issuers(
        &self,
        path: &VerifiedPath<'_>,
        anchors: &[&Anchor],
    ) -> Result<(), webpki::Error> {
        if knockout::out!("issuers") {
            return Ok(());
        }
        for issuer in path.intermediate_certificates() {
            let cert = Cert::read(&issuer.der()).map_err(|_| webpki::Error::BadDer)?;
            if !cert.allows(KeyUsages::KeyCertSign) {
                return Err(webpki::Error::EndEntityUsedAsCa);
            }
        }
        let below = path.intermediate_certificates().count();
        let anchor = anchors.iter().find(|a| a.trust == *path.anchor());
        let anchor = anchor.ok_or(webpki::Error::UnknownIssuer)?;
        anchor.rules.check(below, self.usage)?;
        anchor.rules.check_lists(self.crls, &anchor.subject)
    }

    fn explain(&self, error: webpki::Error) -> Error {
        use webpki::Error as E;
        let now = self.now;
        match error {
            E::CertExpired { not_after, .. } => Error::Expired {
                not_after: not_after.as_secs(),
                now,
            },
            E::CertNotValidYet { not_before, .. } => Error::NotYetValid {
                not_before: not_before.as_secs(),
                now,
            },
            E::CrlExpired { next_update, .. } => Error::CrlExpired {
                next_update: next_update.as_secs(),
                now,
            },
            E::CertRevoked => Error::Revoked {
                serial: self.cert.serial_hex(),
            },
            E::UnknownIssuer => Error::UnknownIssuer,
            E::InvalidSignatureForPublicKey => Error::BadSignature,
            E::CaUsedAsEndEntity => Error::CaLeaf,
            E::PathLenConstraintViolated => Error::PathLength,
            E::NameConstraintViolation
            | E::MalformedNameConstraint
            | E::InvalidNetworkMaskConstraint
            | E::MaximumNameConstraintComparisonsExceeded => Error::NameConstraint,
            E::UnsupportedCriticalExtension => Error::UnknownCritical,
            E::RequiredEkuNotFoundContext(_) | E::EmptyEkuExtension => {
                Error::WrongUsage { usage: self.usage }
            }
            E::UnsupportedSignatureAlgorithmContext(_)
            | E::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => Error::UnsupportedAlgorithm,
            E::InvalidCrlSignatureForPublicKey
            | E::IssuerNotCrlSigner
            | E::UnsupportedCrlSignatureAlgorithmContext(_)
            | E::UnsupportedCrlSignatureAlgorithmForPublicKeyContext(_) => Error::BadCrl,
            E::BadDer
            | E::BadDerTime
            | E::TrailingData(_)
            | E::ExtensionValueInvalid
            | E::MalformedExtensions
            | E::InvalidSerialNumber
            | E::SignatureAlgorithmMismatch
            | E::UnsupportedCertVersion => Error::Malformed(Part::Certificate),
            _ => Error::BadChain,
        }
    }
}

/// webpki's own rule (what an issuer's EKU says counts too), or none when the check is knocked out.
struct Eku(Usage);

impl ExtendedKeyUsageValidator for Eku {
    fn validate(&self, iter: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        if knockout::out!("eku") {
            return Ok(());
        }
        match self.0 {
            Usage::Server => KeyUsage::server_auth().validate(iter),
            Usage::Client => KeyUsage::client_auth().validate(iter),
        }
    }
}
