//! Handshakes: whatever bytes come, no panic, no loop, bounded output, and no link but between the right two.
//!
//! The first byte says who is attacked: a server by bytes, a client by bytes, or both by alterations of what honest
//! peers send (4 bytes each: side and kind, offset, value).

use std::sync::{Arc, LazyLock};

use merlon_pki::{
    issue, new_ca, Alg, Anchors, BindRules, Claimed, Crls, Identity, Issued, NodeName, Request,
    Verifier,
};
use merlon_record::Limits;
use merlon_secret::{KeyId, PairKey, Root};
use merlon_tls::{suites_by_cpu, Failure, Handshake, Local, LocalConfig, Progress};

use super::{outcome, Target};

pub const TARGET: Target = Target {
    name: "tls",
    corpus,
    run,
};

const NOW: u64 = 1_800_000_000;
const CLUSTER: &str = "prod.example";
const A: &str = "a@host1.example";
const B: &str = "b@host2.example";

/// A peer gets no more than a flight of handshake and an alert for its pains.
const MAX_OUT: usize = 8192;

struct World {
    a: Arc<Local>,
    b: Arc<Local>,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let ca = new_ca(CLUSTER, Alg::P256, NOW, 3650).expect("a CA");
    World {
        a: local(&ca, A),
        b: local(&ca, B),
    }
});

fn local(ca: &Issued, name: &str) -> Arc<Local> {
    let identity = Identity::node(CLUSTER, &node(name)).expect("an identity");
    let request = Request {
        identity,
        alg: Alg::Ed25519,
        ips: vec![],
        days: 30,
    };
    let own = issue(&ca.cert_pem, &ca.key_pem, &request, NOW).expect("a certificate");
    let anchors = Anchors::from_pems(&[&ca.cert_pem]).expect("anchors");
    let local = Local::new(LocalConfig {
        cert_chain_pem: own.cert_pem,
        key_pem: own.key_pem,
        verifier: Verifier::new(anchors, Crls::none(), CLUSTER).expect("a verifier"),
        bind: BindRules::default(),
        suites: suites_by_cpu(),
        limits: Limits::default(),
    });
    Arc::new(local.expect("a configuration"))
}

fn node(name: &str) -> NodeName {
    NodeName::parse(name).expect("a name")
}

fn keys() -> Vec<(KeyId, PairKey)> {
    let root = Root::from_vm_cookie(b"cookie", CLUSTER).expect("a root");
    vec![(root.key_id(), root.pair_key(A.as_bytes(), B.as_bytes()))]
}

fn dial() -> Handshake {
    let own = Claimed::parse(A.as_bytes()).expect("a name");
    Handshake::dial(&WORLD.a, &own, &node(B), keys(), NOW).expect("a client")
}

fn accept() -> Handshake {
    Handshake::accept(&WORLD.b, &node(B), NOW)
}

fn corpus() -> Vec<Vec<u8>> {
    let honest = meet(&[]);
    assert!(matches!(
        (&honest.client, &honest.server),
        (End::Up, End::Up)
    ));
    let [from_client, from_server] = honest.sent;
    let first = from_client.get(..5 + 512).unwrap_or(&from_client).to_vec();
    vec![
        [&[0], &first[..]].concat(),
        [&[0], &from_client[..]].concat(),
        [&[0], &b"\0\x1dN\0\0\0\r\x07\xdf\x7f\xbd"[..]].concat(),
        [&[1], &from_server[..]].concat(),
        vec![1, 21, 3, 3, 0, 2, 2, 40],
        vec![2, 0, 0, 90, 1, 1, 1, 0, 1],
        vec![2, 2, 0, 1, 7, 4, 0, 200, 9, 7, 2, 0, 3],
    ]
}

fn run(input: &[u8]) -> u64 {
    let Some((kind, rest)) = input.split_first() else {
        return 0;
    };
    match kind % 3 {
        0 => attacked(End::Going(accept()), rest),
        1 => attacked(End::Going(dial()), rest),
        _ => altered(rest),
    }
}

fn attacked(mut end: End, bytes: &[u8]) -> u64 {
    let (mut out, mut input) = (vec![], bytes.to_vec());
    end.advance(&mut vec![], &mut out); // the ClientHello of a client
    end.advance(&mut input, &mut out);
    assert!(out.len() <= MAX_OUT, "{} bytes in answer", out.len());
    match end {
        End::Going(handshake) => {
            let waiting = input.len();
            assert!(waiting < 5 + 16_640, "a whole record was left lying");
            outcome((
                handshake.closed().peer.is_some(),
                waiting.min(5),
                out.len() / 256,
            ))
        }
        End::Down(failure) => outcome((
            failure.error.code(),
            failure.error.to_string(),
            out.len() / 256,
        )),
        End::Up => panic!("a link out of nothing"),
    }
}

fn altered(alterations: &[u8]) -> u64 {
    let met = meet(alterations);
    for sent in &met.sent {
        assert!(sent.len() <= 2 * MAX_OUT);
    }
    let state = |end: &End| match end {
        End::Going(_) => "waiting".to_owned(),
        End::Up => "up".to_owned(),
        End::Down(failure) => failure.error.to_string(),
    };
    outcome((state(&met.client), state(&met.server)))
}

struct Met {
    client: End,
    server: End,
    sent: [Vec<u8>; 2],
}

/// Both honest, with someone on the wire.
fn meet(alterations: &[u8]) -> Met {
    let (mut client, mut server) = (End::Going(dial()), End::Going(accept()));
    let mut sent = [vec![], vec![]];
    let (mut to_client, mut to_server) = (vec![], vec![]);
    for _ in 0..6 {
        let mut out = vec![];
        client.advance(&mut to_client, &mut out);
        to_server.extend(on_the_wire(alterations, 0, &mut sent[0], out));
        let mut out = vec![];
        server.advance(&mut to_server, &mut out);
        to_client.extend(on_the_wire(alterations, 1, &mut sent[1], out));
    }
    Met {
        client,
        server,
        sent,
    }
}

pub(super) fn on_the_wire(
    alterations: &[u8],
    side: u8,
    sent: &mut Vec<u8>,
    mut out: Vec<u8>,
) -> Vec<u8> {
    let start = sent.len();
    sent.extend_from_slice(&out);
    for alteration in alterations.chunks_exact(4) {
        let [what, high, low, value] = *alteration else {
            continue;
        };
        let offset = usize::from(u16::from_be_bytes([high, low]));
        let at = offset.wrapping_sub(start);
        if what & 1 != side || at >= out.len() {
            continue;
        }
        match what >> 1 & 3 {
            0 => out[at] ^= value,
            1 => out.insert(at, value),
            2 => drop(out.remove(at)),
            _ => out.extend_from_within(at..),
        }
    }
    out
}

enum End {
    Going(Handshake),
    Down(Box<Failure>),
    Up,
}

impl End {
    fn advance(&mut self, input: &mut Vec<u8>, out: &mut Vec<u8>) {
        let End::Going(handshake) = std::mem::replace(self, End::Up) else {
            return;
        };
        *self = match handshake.advance(input, out) {
            Ok(Progress::More(handshake)) => End::Going(handshake),
            Ok(Progress::Claim(claimed)) => {
                assert_eq!(claimed.claim().name, A.as_bytes());
                match claimed.prove(keys(), out) {
                    Ok(handshake) => End::Going(handshake),
                    Err(failure) => End::Down(Box::new(failure)),
                }
            }
            Ok(Progress::Foreign(_) | Progress::Join(_)) => panic!("merlon alone is served here"),
            Ok(Progress::Done(link)) => {
                let name = &link.info().peer_name;
                assert!(name == A.as_bytes() || name == B.as_bytes());
                End::Up
            }
            Err(failure) => End::Down(Box::new(failure)),
        };
    }
}
