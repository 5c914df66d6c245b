//! What one node brings to every handshake: its certificate, whom it trusts, how it seals.

use std::fmt;
use std::sync::Arc;

use merlon_pki::{BindRules, Verifier};
use merlon_record::{Limits, Suite};
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::time_provider::TimeProvider;
use rustls::version::TLS13;
use rustls::WantsVersions;
use rustls::{ClientConfig, ConfigBuilder, ConfigSide, ServerConfig, WantsVerifier};
use zeroize::Zeroizing;

use crate::error::{Error, TlsFault};
use crate::keylog::Capture;
use crate::provider::{insists, provider};
use crate::verify::LinkVerifier;

/// The one ALPN protocol (RFC 7301) of a merlon link.
pub const ALPN: &[u8] = b"merlon/1";

/// The parts of a [`Local`].
pub struct LocalConfig {
    /// The own certificate, leaf first, then intermediates (PEM).
    pub cert_chain_pem: String,
    /// The private key of the leaf (PEM: PKCS#8, SEC1 or PKCS#1).
    pub key_pem: Zeroizing<String>,
    /// Trust anchors, revocation lists and the cluster's name.
    pub verifier: Verifier,
    /// Which names beyond its own a certificate may carry.
    pub bind: BindRules,
    /// Cipher suites, preferred first; [`suites_by_cpu`](crate::suites_by_cpu) is a good choice.
    pub suites: Vec<Suite>,
    /// When the record layer renews its keys.
    pub limits: Limits,
}

/// One node's TLS configuration, built once and shared by all its handshakes.
pub struct Local {
    pub(crate) verifier: Verifier,
    pub(crate) bind: BindRules,
    pub(crate) limits: Limits,
    /// As a server, go by the own order of suites.
    insists: bool,
    provider: Arc<CryptoProvider>,
    certified: Arc<CertifiedKey>,
    identity: Arc<SingleCertAndKey>,
}

impl Local {
    /// Reads the certificate and key, and checks that they belong together.
    ///
    /// # Errors
    /// [`Error::OwnCertificate`], [`Error::OwnKey`], [`Error::OwnKeyMismatch`], [`Error::NoSuite`].
    pub fn new(config: LocalConfig) -> Result<Self, Error> {
        if config.suites.is_empty() {
            return Err(Error::NoSuite);
        }
        let provider = Arc::new(provider(&config.suites));
        let certified = Arc::new(certified_key(
            &config.cert_chain_pem,
            &config.key_pem,
            &provider,
        )?);
        Ok(Self {
            verifier: config.verifier,
            bind: config.bind,
            limits: config.limits,
            insists: insists(&config.suites),
            provider,
            identity: Arc::new(SingleCertAndKey::from(certified.clone())),
            certified,
        })
    }

    /// Whom this node believes.
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// The own chain and key.
    pub(crate) fn certified(&self) -> &CertifiedKey {
        &self.certified
    }

    /// The signature schemes and algorithms of the provider.
    pub(crate) fn provider(&self) -> &CryptoProvider {
        &self.provider
    }

    /// A client's configuration for one connection: its own verifier and secret capture.
    pub(crate) fn client(
        &self,
        verifier: Arc<LinkVerifier>,
        capture: Arc<Capture>,
    ) -> Result<ClientConfig, Error> {
        let now = verifier.now();
        let mut config = tls13(ClientConfig::builder_with_details, &self.provider, now)?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_client_cert_resolver(self.identity.clone());
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.resumption = Resumption::disabled();
        config.enable_sni = false;
        config.enable_early_data = false;
        config.key_log = capture;
        Ok(config)
    }

    /// A server's configuration for one connection: its own verifier and secret capture.
    pub(crate) fn server(
        &self,
        verifier: Arc<LinkVerifier>,
        capture: Arc<Capture>,
    ) -> Result<ServerConfig, Error> {
        let now = verifier.now();
        let mut config = tls13(ServerConfig::builder_with_details, &self.provider, now)?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(self.identity.clone());
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.ignore_client_order = self.insists;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        config.key_log = capture;
        Ok(config)
    }
}

/// For peers of another carrier.
impl Local {
    /// As [`server`](Self::server) for a client that names no ALPN protocol.
    pub(crate) fn foreign_server(
        &self,
        verifier: Arc<LinkVerifier>,
        capture: Arc<Capture>,
    ) -> Result<ServerConfig, Error> {
        let mut config = self.server(verifier, capture)?;
        config.alpn_protocols.clear();
        Ok(config)
    }
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Local")
    }
}

/// `ClientConfig::builder_with_details` or the server's.
pub(crate) type Builder<S> =
    fn(Arc<CryptoProvider>, Arc<dyn TimeProvider>) -> ConfigBuilder<S, WantsVersions>;

/// TLS 1.3 alone, at that time.
pub(crate) fn tls13<S: ConfigSide>(
    builder: Builder<S>,
    provider: &Arc<CryptoProvider>,
    now: UnixTime,
) -> Result<ConfigBuilder<S, WantsVerifier>, Error> {
    builder(provider.clone(), Arc::new(Injected(now)))
        .with_protocol_versions(&[&TLS13])
        .map_err(|e| Error::Local(TlsFault(Box::new(e))))
}

/// A chain, leaf first, and the leaf's key.
pub(crate) fn certified_key(
    chain_pem: &str,
    key_pem: &str,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, Error> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(chain_pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|_| Error::OwnCertificate)?;
    if chain.is_empty() {
        return Err(Error::OwnCertificate);
    }
    let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).map_err(|_| Error::OwnKey)?;
    CertifiedKey::from_der(chain, key, provider).map_err(own_fault)
}

fn own_fault(e: rustls::Error) -> Error {
    match e {
        rustls::Error::InconsistentKeys(_) => Error::OwnKeyMismatch,
        rustls::Error::InvalidCertificate(_) => Error::OwnCertificate,
        _ => Error::OwnKey,
    }
}

/// The caller's clock: this crate has none.
#[derive(Debug)]
struct Injected(UnixTime);

impl TimeProvider for Injected {
    fn current_time(&self) -> Option<UnixTime> {
        Some(self.0)
    }
}
