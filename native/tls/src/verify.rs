//! rustls asks here whether a peer's certificate will do; only here are the tokens minted that say so.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use merlon_pki::{
    binds, binds_foreign, is_dialled, may_keep, may_view, Claimed, Der, Error as PkiError,
    Identity, NodeName, Peer, UnixTime, Usage,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime as TlsTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error as TlsError,
    PeerIncompatible, SignatureScheme,
};

use crate::config::Local;
use crate::error::{Error, Seen};

/// Proof that the peer's chain was accepted and that the peer holds the leaf's private key.
#[derive(Debug)]
pub struct PeerVerified(Peer);

impl PeerVerified {
    /// Whom the peer's certificate is for.
    pub fn peer(&self) -> &Peer {
        &self.0
    }

    pub(crate) fn into_peer(self) -> Peer {
        self.0
    }
}

/// Proof that the verified certificate carries the name that the peer uses.
#[derive(Debug)]
pub struct NodeNameBound(Claimed);

impl NodeNameBound {
    /// The name.
    pub fn name(&self) -> &Claimed {
        &self.0
    }
}

/// Accepting side: binds the name that a verified client claims to its certificate.
pub(crate) fn bind_claimed(
    local: &Local,
    verified: &PeerVerified,
    claimed: Claimed,
) -> Result<NodeNameBound, Error> {
    binds(verified.peer().identity(), &claimed, &local.bind).map_err(Error::Name)?;
    Ok(NodeNameBound(claimed))
}

/// Dialling side: binds the dialled name to a verified server's certificate.
pub(crate) fn bind_dialled(
    local: &Local,
    verified: &PeerVerified,
    target: &NodeName,
) -> Result<NodeNameBound, Error> {
    is_dialled(verified.peer().identity(), target, &local.bind).map_err(Error::Name)?;
    Ok(NodeNameBound(Claimed::Static(target.clone())))
}

/// Judges the peer of one connection, at one time, and remembers what it saw.
pub(crate) struct LinkVerifier {
    local: Arc<Local>,
    /// The dialled node: a server that is another is refused before our certificate is sent.
    target: Option<NodeName>,
    /// The same for a server that may be whoever may keep the names of a host.
    keeper: bool,
    /// The client must be a tool.
    viewer: bool,
    /// Whether a peer of another carrier will do.
    foreign: bool,
    now: UnixTime,
    sight: Mutex<Sight>,
}

#[derive(Default)]
struct Sight {
    leaf: Option<Der<'static>>,
    peer: Option<Peer>,
    key_held: bool,
    refusal: Option<Error>,
}

impl LinkVerifier {
    pub(crate) fn new(local: Arc<Local>, target: Option<NodeName>, now: UnixTime) -> Self {
        Self {
            local,
            target,
            keeper: false,
            viewer: false,
            foreign: false,
            now,
            sight: Mutex::default(),
        }
    }

    /// Of one who dials the name service of a host.
    pub(crate) fn of_keeper(local: Arc<Local>, now: UnixTime) -> Self {
        Self {
            keeper: true,
            ..Self::new(local, None, now)
        }
    }

    /// Of a node that serves its status page.
    pub(crate) fn of_viewer(local: Arc<Local>, now: UnixTime) -> Self {
        Self {
            viewer: true,
            ..Self::new(local, None, now)
        }
    }

    /// The same where a peer of another carrier will do.
    pub(crate) fn with_foreign(self) -> Self {
        Self {
            foreign: true,
            ..self
        }
    }

    /// Whether a peer of another carrier will do.
    pub(crate) fn takes_foreign(&self) -> bool {
        self.foreign
    }

    pub(crate) fn now(&self) -> TlsTime {
        TlsTime::since_unix_epoch(Duration::from_secs(self.now))
    }

    /// The token, once rustls has finished the handshake. `None` if any of its checks did not run.
    pub(crate) fn verified(&self) -> Option<PeerVerified> {
        let sight = self.sight();
        let peer = sight.peer.clone().filter(|_| sight.key_held)?;
        Some(PeerVerified(peer))
    }

    /// Why a certificate was refused, if one was.
    pub(crate) fn take_refusal(&self) -> Option<Error> {
        self.sight().refusal.take()
    }

    /// The certificate that the peer showed, accepted or not.
    pub(crate) fn seen(&self) -> Option<Box<Seen>> {
        let sight = self.sight();
        let leaf = sight.leaf.as_ref()?;
        let verified = sight.peer.as_ref().filter(|_| sight.key_held);
        Some(Box::new(match verified {
            Some(peer) => Seen::of(peer),
            None => Seen::unverified(leaf),
        }))
    }

    fn sight(&self) -> MutexGuard<'_, Sight> {
        self.sight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn judge(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        usage: Usage,
    ) -> Result<(), TlsError> {
        let mut sight = self.sight();
        *sight = Sight {
            leaf: Some(leaf.clone().into_owned()),
            ..Sight::default()
        };
        match self.accept(leaf, rest, usage) {
            Ok(peer) => sight.peer = Some(peer),
            Err(error) => {
                let for_rustls = tls_error(&error);
                sight.refusal = Some(error);
                return Err(for_rustls);
            }
        }
        Ok(())
    }

    fn accept(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        usage: Usage,
    ) -> Result<Peer, Error> {
        let verifier = &self.local.verifier;
        let peer = match self.foreign {
            true => verifier.verify_foreign(leaf, rest, usage, self.now),
            false => verifier.verify_leaf(leaf, rest, usage, self.now),
        };
        let peer = peer.map_err(Error::Certificate)?;
        if let Some(target) = &self.target {
            self.check_dialled(&peer, target).map_err(Error::Name)?;
        }
        if self.keeper {
            may_keep(peer.identity()).map_err(Error::Certificate)?;
        }
        if self.viewer {
            may_view(peer.identity()).map_err(Error::Certificate)?;
        }
        Ok(peer)
    }

    fn check_dialled(&self, peer: &Peer, target: &NodeName) -> Result<(), PkiError> {
        match peer.identity() {
            of_hosts @ Identity::Hosts { .. } => {
                let claimed = Claimed::Static(target.clone());
                binds_foreign(of_hosts, &claimed, &self.local.bind)
            }
            identity => is_dialled(identity, target, &self.local.bind),
        }
    }

    fn check_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.local.provider().signature_verification_algorithms;
        let valid = rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms);
        let mut sight = self.sight();
        match valid {
            Ok(valid) if sight.leaf.as_ref() == Some(cert) => {
                sight.key_held = true;
                Ok(valid)
            }
            Ok(_) => Err(TlsError::General("signed by another certificate".into())),
            Err(e) => {
                sight.refusal = Some(Error::KeyNotHeld);
                Err(e)
            }
        }
    }

    fn schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.local.provider().signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

impl fmt::Debug for LinkVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkVerifier")
    }
}

impl ServerCertVerifier for LinkVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: TlsTime,
    ) -> Result<ServerCertVerified, TlsError> {
        self.judge(end_entity, intermediates, Usage::Server)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.check_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}

impl ClientCertVerifier for LinkVerifier {
    /// Empty: the names of our CAs are no business of a stranger's.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: TlsTime,
    ) -> Result<ClientCertVerified, TlsError> {
        self.judge(end_entity, intermediates, Usage::Client)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.check_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}

pub(crate) fn no_tls12() -> TlsError {
    TlsError::PeerIncompatible(PeerIncompatible::SupportedVersionsExtensionRequired)
}

/// The rustls error whose TLS alert (RFC 8446 6.2) fits ours best.
pub(crate) fn tls_error(error: &Error) -> TlsError {
    TlsError::InvalidCertificate(match error {
        Error::Certificate(e) => certificate_error(e),
        _ => CertificateError::ApplicationVerificationFailure,
    })
}

fn certificate_error(error: &PkiError) -> CertificateError {
    use CertificateError as Tls;
    match error {
        PkiError::UnknownIssuer | PkiError::AnchorNotValid { .. } => Tls::UnknownIssuer,
        PkiError::BadSignature => Tls::BadSignature,
        PkiError::Expired { .. } => Tls::Expired,
        PkiError::NotYetValid { .. } => Tls::NotValidYet,
        PkiError::Revoked { .. } => Tls::Revoked,
        PkiError::WrongUsage { .. } | PkiError::CaLeaf => Tls::InvalidPurpose,
        PkiError::WrongCluster { .. } => Tls::ApplicationVerificationFailure,
        PkiError::CrlExpired { .. } | PkiError::BadCrl => Tls::UnknownRevocationStatus,
        _ => Tls::BadEncoding,
    }
}
