//! What dials a node with OTP's own TLS distribution: TLS 1.3 alone, both sides verified, no resumption.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::TLS13;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::carrier::{Channel, Dialer, Fault, Files};

/// One that dials `target`, whose certificate must carry its host.
///
/// # Errors
/// Its files are no good.
pub fn dialer(files: Files, target: &str) -> Result<Box<dyn Dialer>, Fault> {
    let mut roots = RootCertStore::empty();
    for ca in CertificateDer::pem_slice_iter(files.ca.as_bytes()) {
        roots.add(ca?)?;
    }
    let chain = CertificateDer::pem_slice_iter(files.cert.as_bytes()).collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(files.key.as_bytes())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)?;
    config.resumption = Resumption::disabled();
    let host = target.split_once('@').map_or(target, |(_, host)| host);
    Ok(Box::new(Node {
        name: files.name,
        host: ServerName::try_from(host.to_owned())?,
        config: Arc::new(config),
    }))
}

struct Node {
    name: String,
    host: ServerName<'static>,
    config: Arc<ClientConfig>,
}

impl Dialer for Node {
    fn name(&self) -> &str {
        &self.name
    }

    fn secure<'a>(&'a self, stream: &'a TcpStream) -> Result<Box<dyn Channel + 'a>, Fault> {
        let mut tls = ClientConnection::new(self.config.clone(), self.host.clone())?;
        let mut socket = stream;
        while tls.is_handshaking() {
            while tls.wants_write() {
                tls.write_tls(&mut socket)?;
            }
            if tls.read_tls(&mut socket)? == 0 {
                return Err("the peer hung up".into());
            }
            tls.process_new_packets()?;
        }
        // Its last flight goes out with the first packet, as merlon's does.
        Ok(Box::new(Link(StreamOwned::new(tls, stream))))
    }
}

struct Link<'a>(StreamOwned<ClientConnection, &'a TcpStream>);

impl Channel for Link<'_> {
    fn send(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.0.write_all(bytes)?;
        Ok(self.0.flush()?)
    }

    fn receive(&mut self, bytes: &mut Vec<u8>) -> Result<(), Fault> {
        let mut buffer = [0; 4096];
        let n = self.0.read(&mut buffer)?;
        bytes.extend_from_slice(&buffer[..n]);
        Ok(())
    }
}
