//! A small cluster in memory.
#![allow(dead_code)] // each test file uses its part of this

pub mod rogue;

use std::sync::Arc;

use merlon_pki::{
    issue, new_ca, Alg, Anchors, BindRules, Claimed as ClaimedName, Crls, Identity, Issued,
    NodeName, Request, Verifier,
};
use merlon_record::{Buffer, Content, ContentType, Limits, Rx, Suite, Tx};
use merlon_secret::{KeyId, PairKey, Root};
use merlon_tls::{
    suites_by_cpu, Claimed, Established, Failure, Handshake, Local, LocalConfig, Progress,
};
use rcgen::{CertificateParams, Issuer, KeyPair};
use zeroize::Zeroizing;

pub const NOW: u64 = 1_800_000_000;
pub const DAY: u64 = 86_400;
pub const CLUSTER: &str = "prod.example";
pub const A: &str = "a@host1.example";
pub const B: &str = "b@host2.example";

pub type Keys = Vec<(KeyId, PairKey)>;

pub fn ca(cluster: &str) -> Issued {
    new_ca(cluster, Alg::P256, NOW, 3650).expect("a CA")
}

pub fn node(name: &str) -> NodeName {
    NodeName::parse(name).expect("a node name")
}

pub fn node_id(name: &str) -> Identity {
    Identity::node(CLUSTER, &node(name)).expect("an identity")
}

pub fn certificate(ca: &Issued, identity: Identity, alg: Alg, now: u64) -> Issued {
    let request = Request {
        identity,
        alg,
        ips: vec![],
        days: 30,
    };
    issue(&ca.cert_pem, &ca.key_pem, &request, now).expect("a certificate")
}

/// A certificate that `merlon_pki` would not issue.
pub fn odd_certificate(ca: &Issued, shape: impl FnOnce(&mut CertificateParams)) -> Issued {
    let key = KeyPair::generate().expect("a key");
    let ca_key = KeyPair::from_pem(&ca.key_pem).expect("the CA's key");
    let issuer = Issuer::from_ca_cert_pem(&ca.cert_pem, ca_key).expect("the CA");
    let mut params = CertificateParams::default();
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2030, 1, 1);
    params.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![
        rcgen::ExtendedKeyUsagePurpose::ServerAuth,
        rcgen::ExtendedKeyUsagePurpose::ClientAuth,
    ];
    shape(&mut params);
    let cert = params.signed_by(&key, &issuer).expect("a certificate");
    Issued {
        cert_pem: cert.pem(),
        key_pem: Zeroizing::new(key.serialize_pem()),
    }
}

pub fn uri(text: &str) -> rcgen::SanType {
    rcgen::SanType::URI(text.try_into().expect("ASCII"))
}

/// One member of the cluster.
pub struct Node {
    pub local: Arc<Local>,
    pub name: String,
}

pub struct Setup<'a> {
    pub suites: Vec<Suite>,
    pub limits: Limits,
    pub bind: BindRules,
    pub crls: &'a [&'a str],
}

impl Default for Setup<'_> {
    fn default() -> Self {
        Self {
            suites: suites_by_cpu(),
            limits: Limits::default(),
            bind: BindRules::default(),
            crls: &[],
        }
    }
}

impl Node {
    pub fn new(ca: &Issued, name: &str) -> Self {
        let issued = certificate(ca, node_id(name), Alg::P256, NOW);
        Self::with(ca, name, issued, Setup::default())
    }

    pub fn with(ca: &Issued, name: &str, own: Issued, setup: Setup<'_>) -> Self {
        let anchors = Anchors::from_pems(&[&ca.cert_pem]).expect("anchors");
        let crls = Crls::from_pems(setup.crls).expect("revocation lists");
        let local = Local::new(LocalConfig {
            cert_chain_pem: own.cert_pem,
            key_pem: own.key_pem,
            verifier: Verifier::new(anchors, crls, CLUSTER).expect("a verifier"),
            bind: setup.bind,
            suites: setup.suites,
            limits: setup.limits,
        });
        Self {
            local: Arc::new(local.expect("a configuration")),
            name: name.to_owned(),
        }
    }

    pub fn dial(&self, target: &str, keys: Keys) -> Handshake {
        self.dial_as(&self.name, target, keys)
    }

    pub fn dial_as(&self, own: &str, target: &str, keys: Keys) -> Handshake {
        let own = ClaimedName::parse(own.as_bytes()).expect("a name");
        Handshake::dial(&self.local, &own, &node(target), keys, NOW).expect("a client")
    }

    pub fn accept(&self) -> Handshake {
        Handshake::accept(&self.local, &node(&self.name), NOW)
    }
}

pub fn key(cookie: &str, a: &str, b: &str) -> PairKey {
    let root = Root::from_vm_cookie(cookie.as_bytes(), CLUSTER).expect("a root");
    root.pair_key(a.as_bytes(), b.as_bytes())
}

/// The keyring of a cluster that has nothing but this cookie.
pub fn keys(cookie: &str, a: &str, b: &str) -> Keys {
    vec![(KeyId::VM_COOKIE, key(cookie, a, b))]
}

/// Where one side of a link has got to.
pub enum End {
    Going(Handshake),
    Claims(Box<Claimed>),
    Up(Box<Established>),
    Down(Box<Failure>),
    Moving,
}

impl End {
    pub fn advance(&mut self, input: &mut Vec<u8>, out: &mut Vec<u8>) {
        *self = match std::mem::replace(self, End::Moving) {
            End::Going(handshake) => match handshake.advance(input, out) {
                Ok(Progress::More(h)) => End::Going(h),
                Ok(Progress::Claim(c)) => End::Claims(c),
                Ok(Progress::Done(e)) => End::Up(e),
                Ok(Progress::Foreign(_) | Progress::Join(_)) => panic!("joins are not served here"),
                Err(failure) => End::Down(Box::new(failure)),
            },
            other => other,
        };
    }

    pub fn prove(&mut self, keys: Keys, out: &mut Vec<u8>) {
        *self = match std::mem::replace(self, End::Moving) {
            End::Claims(claimed) => match claimed.prove(keys, out) {
                Ok(handshake) => End::Going(handshake),
                Err(failure) => End::Down(Box::new(failure)),
            },
            other => other,
        };
    }

    pub fn up(self) -> Established {
        match self {
            End::Up(established) => *established,
            End::Down(failure) => panic!("not up: {failure:?}"),
            _ => panic!("not up: waiting"),
        }
    }

    pub fn down(self) -> Failure {
        match self {
            End::Down(failure) => *failure,
            End::Up(_) => panic!("came up"),
            _ => panic!("still waiting"),
        }
    }
}

/// A client and a server with a wire between them.
pub struct Pair {
    pub client: End,
    pub server: End,
    /// Keys that the server answers a claim with.
    pub answer: Option<Keys>,
    pub to_server: Vec<u8>,
    pub to_client: Vec<u8>,
    /// All that ever went over the wire, client's and server's.
    pub sent: (Vec<u8>, Vec<u8>),
}

impl Pair {
    pub fn new(client: Handshake, server: Handshake, answer: Keys) -> Self {
        Self {
            client: End::Going(client),
            server: End::Going(server),
            answer: Some(answer),
            to_server: vec![],
            to_client: vec![],
            sent: (vec![], vec![]),
        }
    }

    /// Runs until nothing moves; `cut` says how many of n waiting bytes to deliver at a time.
    pub fn run_cut(mut self, mut cut: impl FnMut(usize) -> usize) -> Self {
        let (mut at_client, mut at_server) = (vec![], vec![]);
        loop {
            let before = self.to_server.len() + self.to_client.len();
            let (mut c_out, mut s_out) = (vec![], vec![]);
            deliver(&mut self.to_client, &mut at_client, &mut cut);
            self.client.advance(&mut at_client, &mut c_out);
            deliver(&mut self.to_server, &mut at_server, &mut cut);
            self.server.advance(&mut at_server, &mut s_out);
            if let (End::Claims(_), Some(keys)) = (
                &self.server,
                self.answer
                    .take_if(|_| matches!(self.server, End::Claims(_))),
            ) {
                self.server.prove(keys, &mut s_out);
            }
            self.sent.0.extend_from_slice(&c_out);
            self.sent.1.extend_from_slice(&s_out);
            let quiet = before == 0 && c_out.is_empty() && s_out.is_empty();
            self.to_server.append(&mut c_out);
            self.to_client.append(&mut s_out);
            if quiet {
                self.to_client.splice(0..0, at_client);
                self.to_server.splice(0..0, at_server);
                return self;
            }
        }
    }

    pub fn run(self) -> Self {
        self.run_cut(|n| n)
    }

    pub fn up(self) -> (Established, Established) {
        (self.client.up(), self.server.up())
    }
}

fn deliver(wire: &mut Vec<u8>, at: &mut Vec<u8>, cut: &mut impl FnMut(usize) -> usize) {
    if !wire.is_empty() {
        let n = cut(wire.len()).clamp(1, wire.len());
        at.extend(wire.drain(..n));
    }
}

/// A link between two honest nodes.
pub fn link(a: &Node, b: &Node) -> (Established, Established) {
    let shared = || keys("cookie", &a.name, &b.name);
    Pair::new(a.dial(&b.name, shared()), b.accept(), shared())
        .run()
        .up()
}

pub fn seal(tx: &mut Tx, message: &[u8]) -> Vec<u8> {
    let mut out = Buffer::new();
    tx.seal(ContentType::ApplicationData, message, &mut out)
        .expect("sealed");
    out.into()
}

pub fn open(rx: &mut Rx, wire: &mut Vec<u8>) -> Vec<u8> {
    let opened = rx.open(wire).expect("authentic").expect("whole");
    let (consumed, message) = match opened.content {
        Content::Data(bytes) => (opened.consumed, bytes.to_vec()),
        other => panic!("not data: {other:?}"),
    };
    wire.drain(..consumed);
    message
}
