//! Peers that do not keep to the rules: rustls with every check off, and raw record halves after it.

use std::sync::{Arc, Mutex};

use merlon_pki::Issued;
use merlon_record::{Buffer, Content, ContentType, Limits, Rx, RxLimits, Suite, Tx};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::ResolvesClientCert;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    ClientConfig, ClientConnection, Connection, DigitallySignedStruct, DistinguishedName, Error,
    ServerConfig, ServerConnection, SignatureScheme,
};

/// A rogue's TLS: raw rustls that takes anything from anyone.
pub struct Rogue {
    pub conn: Connection,
    secrets: Arc<Secrets>,
    hints: Arc<Hints>,
}

/// Shows a certificate whatever is asked for, and counts the CA names in the request.
#[derive(Debug, Default)]
struct Hints {
    key: Option<Arc<CertifiedKey>>,
    seen: Mutex<Option<usize>>,
}

impl ResolvesClientCert for Hints {
    fn resolve(&self, hints: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        *self.seen.lock().expect("lock") = Some(hints.len());
        self.key.clone()
    }

    fn has_certs(&self) -> bool {
        self.key.is_some()
    }
}

pub fn certified(cert_pem: &str, key_pem: &str) -> CertifiedKey {
    let chain = CertificateDer::pem_slice_iter(cert_pem.as_bytes());
    let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).expect("a key");
    let key = default_provider()
        .key_provider
        .load_private_key(key)
        .expect("usable");
    CertifiedKey::new(chain.map(|c| c.expect("PEM")).collect(), key)
}

impl Rogue {
    /// `own` need not be a certificate and its own key.
    pub fn client(own: Option<CertifiedKey>, alpn: &[&[u8]]) -> Self {
        let secrets = Arc::new(Secrets::default());
        let builder = ClientConfig::builder_with_provider(default_provider().into())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anything));
        let hints = Arc::new(Hints {
            key: own.map(Arc::new),
            ..Hints::default()
        });
        let mut config = builder.with_client_cert_resolver(hints.clone());
        config.alpn_protocols = alpn.iter().map(|p| p.to_vec()).collect();
        config.key_log = secrets.clone();
        let name = ServerName::try_from("rogue.invalid").expect("a name");
        let conn = ClientConnection::new(Arc::new(config), name).expect("a client");
        Self {
            conn: conn.into(),
            secrets,
            hints,
        }
    }

    /// How many CA names the server's certificate request held.
    pub fn hints_seen(&self) -> Option<usize> {
        *self.hints.seen.lock().expect("lock")
    }

    pub fn server(own: CertifiedKey, alpn: &[&[u8]]) -> Self {
        let secrets = Arc::new(Secrets::default());
        let mut config = ServerConfig::builder_with_provider(default_provider().into())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .with_client_cert_verifier(Arc::new(Anything))
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(own)));
        config.alpn_protocols = alpn.iter().map(|p| p.to_vec()).collect();
        config.send_tls13_tickets = 0;
        config.key_log = secrets.clone();
        let conn = ServerConnection::new(Arc::new(config)).expect("a server");
        Self {
            conn: conn.into(),
            secrets,
            hints: Arc::default(),
        }
    }

    /// One that wants no certificate of its client.
    pub fn server_without_client_auth(own: CertifiedKey, alpn: &[&[u8]]) -> Self {
        let mut config = ServerConfig::builder_with_provider(default_provider().into())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(own)));
        config.alpn_protocols = alpn.iter().map(|p| p.to_vec()).collect();
        config.send_tls13_tickets = 0;
        let conn = ServerConnection::new(Arc::new(config)).expect("a server");
        Self {
            conn: conn.into(),
            secrets: Arc::default(),
            hints: Arc::default(),
        }
    }

    /// Takes what the other side sent, gives what rustls answers; the error is what rustls made of it.
    pub fn exchange(&mut self, mut input: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let mut result = Ok(());
        while !input.is_empty() && result.is_ok() {
            self.conn.read_tls(&mut input).expect("memory");
            result = self.conn.process_new_packets().map(|_| ());
        }
        while self.conn.wants_write() {
            self.conn.write_tls(out).expect("memory");
        }
        result
    }

    /// The record halves of a finished TLS handshake: from here on anything can be sent.
    pub fn halves(&self) -> (Tx, Rx) {
        let suite = match self
            .conn
            .negotiated_cipher_suite()
            .expect("a suite")
            .suite()
        {
            rustls::CipherSuite::TLS13_AES_128_GCM_SHA256 => Suite::Aes128Gcm,
            rustls::CipherSuite::TLS13_AES_256_GCM_SHA384 => Suite::Aes256Gcm,
            _ => Suite::ChaCha20Poly1305,
        };
        let [client, server] = ["CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0"]
            .map(|label| self.secrets.get(label));
        let (ours, theirs) = match self.conn {
            Connection::Client(_) => (client, server),
            Connection::Server(_) => (server, client),
        };
        (
            Tx::new(suite, &ours, Limits::default()).expect("sending half"),
            Rx::new(suite, &theirs, RxLimits::default()).expect("receiving half"),
        )
    }

    /// Every secret that the handshake derived.
    pub fn secrets(&self) -> Vec<Vec<u8>> {
        let all = self.secrets.0.lock().expect("lock");
        all.iter().map(|(_, secret)| secret.clone()).collect()
    }

    pub fn exporter(&self) -> [u8; 32] {
        self.conn
            .export_keying_material([0; 32], b"EXPORTER-merlon/1", None)
            .expect("an exporter")
    }
}

pub fn control(tx: &mut Tx, message: &[u8]) -> Vec<u8> {
    let mut out = Buffer::new();
    tx.seal(ContentType::Control, message, &mut out)
        .expect("sealed");
    out.into()
}

pub fn read_control(rx: &mut Rx, wire: &mut Vec<u8>) -> Vec<u8> {
    let opened = rx.open(wire).expect("authentic").expect("whole");
    let (consumed, message) = match opened.content {
        Content::Control(bytes) => (opened.consumed, bytes.to_vec()),
        other => panic!("not control: {other:?}"),
    };
    wire.drain(..consumed);
    message
}

#[derive(Debug, Default)]
struct Secrets(Mutex<Vec<(String, Vec<u8>)>>);

impl Secrets {
    fn get(&self, label: &str) -> Vec<u8> {
        let all = self.0.lock().expect("lock");
        all.iter()
            .find(|(l, _)| l == label)
            .expect("derived")
            .1
            .clone()
    }
}

impl rustls::KeyLog for Secrets {
    fn log(&self, label: &str, _: &[u8], secret: &[u8]) {
        self.0
            .lock()
            .expect("lock")
            .push((label.to_owned(), secret.to_vec()));
    }
}

#[derive(Debug)]
struct Anything;

fn all_schemes() -> Vec<SignatureScheme> {
    default_provider()
        .signature_verification_algorithms
        .supported_schemes()
}

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        all_schemes()
    }
}

impl ClientCertVerifier for Anything {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }
    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        all_schemes()
    }
}

pub fn own(issued: &Issued) -> Option<CertifiedKey> {
    Some(certified(&issued.cert_pem, &issued.key_pem))
}
