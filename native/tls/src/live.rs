//! Proofs on a link that is up: of a new certificate, and of other secrets than the one of its handshake.
//!
//! A certificate is shown as in a handshake (RFC 8446 4.4.2, 4.4.3), after the idea of Exported Authenticators
//! (RFC 9261): the chain, and a signature by its leaf's key over
//! ```text
//! 64 spaces || "merlon/1 live certificate, client" or "... server" || 0 || exporter || SHA-256(chain)
//! ```
//! The exporter is a value of this TLS session that nothing else uses, so that no other link has a use for the proof; the role
//! keeps one side's from being sent back as the other's. Who replays its own proof on the same link is judged again, by
//! what is believed by then: he gains nothing.

use merlon_pki::{holds_key, Der, Error as PkiError, Peer, UnixTime};
use merlon_secret::{Role, Root, Secret};
use merlon_wire::control::{Certificate, KeyProof, Message};
use ring::digest::{Context, SHA256};
use rustls::SignatureScheme;

use crate::config::Local;
use crate::error::{Error, TlsFault};

/// RFC 8446 7.5, beside the one of the preamble.
pub(crate) const EXPORTER: &[u8] = b"EXPORTER-merlon/1 live";

/// What we sign with, by the kind of our key.
const SCHEMES: [SignatureScheme; 4] = [
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::ED25519,
    SignatureScheme::RSA_PSS_SHA256,
];

/// What binds later proofs to one link. Only the handshake makes one.
pub struct Binding {
    exporter: Secret<[u8; 32]>,
    own: Role,
    client: Vec<u8>,
    server: Vec<u8>,
}

impl Binding {
    pub(crate) fn new(exporter: Secret<[u8; 32]>, own: Role, (mine, peers): Names) -> Self {
        let (client, server) = match own {
            Role::Client => (mine, peers),
            Role::Server => (peers, mine),
        };
        Self {
            exporter,
            own,
            client,
            server,
        }
    }

    /// A message that shows the certificate of `local` and proves that this node holds its key.
    ///
    /// # Errors
    /// [`Error::OwnKey`], [`Error::Local`], [`Error::OwnPreamble`].
    pub fn certificate(&self, local: &Local) -> Result<Vec<u8>, Error> {
        let own = local.certified();
        let chain: Vec<&[u8]> = own.cert.iter().map(AsRef::as_ref).collect();
        let signer = own.key.choose_scheme(&SCHEMES).ok_or(Error::OwnKey)?;
        let signature = signer
            .sign(&self.signed(self.own, &chain))
            .map_err(|e| Error::Local(TlsFault(Box::new(e))))?;
        let shown = Certificate {
            scheme: signer.scheme().into(),
            chain,
            signature: &signature,
        };
        Message::Certificate(shown)
            .encode()
            .map_err(Error::OwnPreamble)
    }

    /// The peer as it has shown itself anew: it holds the key, `local` accepts the chain as in a handshake, and it is who
    /// `known` is.
    ///
    /// # Errors
    /// [`Error::KeyNotHeld`] and [`Error::Name`], which no honest peer brings about; [`Error::Certificate`] when the chain is
    /// not accepted now, which may change.
    pub fn accept(
        &self,
        local: &Local,
        shown: &Certificate<'_>,
        known: &Peer,
        now: UnixTime,
    ) -> Result<Peer, Error> {
        let chain: Vec<Der<'_>> = shown.chain.iter().map(|der| Der::from(*der)).collect();
        let leaf = chain.first().ok_or(Error::NoCertificate)?;
        let signed = self.signed(other(self.own), &shown.chain);
        holds_key(leaf, shown.scheme, &signed, shown.signature).map_err(|_| Error::KeyNotHeld)?;
        let verifier = local.verifier();
        let peer = verifier
            .verify(&chain, known.usage(), now)
            .map_err(Error::Certificate)?;
        if peer.identity() == known.identity() || knockout::out!("reproof_name") {
            return Ok(peer);
        }
        Err(Error::Name(PkiError::WrongName {
            certified: peer.identity().uri().map_err(Error::Name)?,
            claimed: known.identity().uri().map_err(Error::Name)?,
        }))
    }

    /// A message that proves that this node holds these secrets.
    ///
    /// # Errors
    /// [`Error::OwnPreamble`] for none or more than 16.
    pub fn keys(&self, roots: &[Root]) -> Result<Vec<u8>, Error> {
        let proof = |root: &Root| {
            let key = root.pair_key(&self.client, &self.server);
            KeyProof {
                key_id: root.key_id().0,
                tag: key.live_proof(self.own, self.exporter(), &self.client, &self.server),
            }
        };
        let proofs = roots.iter().map(proof).collect();
        Message::Keys(proofs).encode().map_err(Error::OwnPreamble)
    }

    /// Checks that the peer holds the secret `root`.
    ///
    /// # Errors
    /// [`Error::Proof`].
    pub fn verify(&self, root: &Root, tag: &[u8; 32]) -> Result<(), Error> {
        let key = root.pair_key(&self.client, &self.server);
        let (client, server) = (&self.client, &self.server);
        key.verify_live(other(self.own), self.exporter(), client, server, tag)?;
        Ok(())
    }

    fn exporter(&self) -> &[u8; 32] {
        match knockout::out!("reproof_binding") {
            true => &[0; 32],
            false => self.exporter.expose(),
        }
    }

    fn signed(&self, signer: Role, chain: &[&[u8]]) -> Vec<u8> {
        let context: &[u8] = match signer {
            Role::Client => b"merlon/1 live certificate, client",
            Role::Server => b"merlon/1 live certificate, server",
        };
        let mut hash = Context::new(&SHA256);
        for der in chain {
            hash.update(&(der.len() as u64).to_be_bytes());
            hash.update(der);
        }
        let hash = hash.finish();
        [&[b' '; 64], context, &[0], self.exporter(), hash.as_ref()].concat()
    }
}

/// The own name and the peer's, as the preamble has them.
pub(crate) type Names = (Vec<u8>, Vec<u8>);

fn other(role: Role) -> Role {
    match role {
        Role::Client => Role::Server,
        Role::Server => Role::Client,
    }
}
