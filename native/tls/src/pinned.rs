//! rustls asks here whether a server is one that may be joined: whose chain ends in the CA of the pin.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use merlon_pki::{verify_pinned, Der, Peer, UnixTime};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{verify_tls13_signature, CryptoProvider};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime as TlsTime};
use rustls::{DigitallySignedStruct, Error as TlsError, SignatureScheme};

use crate::error::{Error, Seen};
use crate::verify::{no_tls12, tls_error};

/// Judges the server of one connection, at one time, and remembers what it saw.
pub(crate) struct PinVerifier {
    provider: Arc<CryptoProvider>,
    pin: [u8; 32],
    now: UnixTime,
    sight: Mutex<Sight>,
}

#[derive(Default)]
struct Sight {
    leaf: Option<Der<'static>>,
    accepted: Option<(Peer, Der<'static>)>,
    key_held: bool,
    refusal: Option<Error>,
}

impl PinVerifier {
    pub(crate) fn new(provider: Arc<CryptoProvider>, pin: [u8; 32], now: UnixTime) -> Self {
        Self {
            provider,
            pin,
            now,
            sight: Mutex::default(),
        }
    }

    /// The server and its root, if each check has run and was passed.
    pub(crate) fn accepted(&self) -> Option<(Peer, Der<'static>)> {
        let sight = self.sight();
        sight.accepted.clone().filter(|_| sight.key_held)
    }

    /// Why the server was refused, if it was.
    pub(crate) fn take_refusal(&self) -> Option<Error> {
        self.sight().refusal.take()
    }

    /// The certificate that the server showed, accepted or not.
    pub(crate) fn seen(&self) -> Option<Box<Seen>> {
        let sight = self.sight();
        let leaf = sight.leaf.as_ref()?;
        let accepted = sight.accepted.as_ref().filter(|_| sight.key_held);
        Some(Box::new(match accepted {
            Some((peer, _)) => Seen::of(peer),
            None => Seen::unverified(leaf),
        }))
    }

    fn sight(&self) -> MutexGuard<'_, Sight> {
        self.sight.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for PinVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PinVerifier")
    }
}

impl ServerCertVerifier for PinVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: TlsTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let mut sight = self.sight();
        *sight = Sight {
            leaf: Some(end_entity.clone().into_owned()),
            ..Sight::default()
        };
        match verify_pinned(&self.pin, end_entity, intermediates, self.now) {
            Ok(accepted) => {
                sight.accepted = Some(accepted);
                Ok(ServerCertVerified::assertion())
            }
            Err(error) => {
                let error = Error::Certificate(error);
                let for_rustls = tls_error(&error);
                sight.refusal = Some(error);
                Err(for_rustls)
            }
        }
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
        let algorithms = &self.provider.signature_verification_algorithms;
        let valid = verify_tls13_signature(message, cert, dss, algorithms);
        let mut sight = self.sight();
        match &valid {
            Ok(_) => sight.key_held = sight.leaf.as_ref() == Some(cert),
            Err(_) => sight.refusal = Some(Error::KeyNotHeld),
        }
        valid
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}
