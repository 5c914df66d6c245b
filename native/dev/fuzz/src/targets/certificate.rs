//! Certificates: nothing that was altered becomes another identity, and whatever is shown can be inspected.
//!
//! The first byte says what the rest is: a leaf, an intermediate beside a good leaf, a certificate or a revocation list to
//! read, an identity's URI, a claimed name.

use std::sync::LazyLock;

use merlon_pki::{
    inspect_pem, issue, new_ca, Alg, Anchors, Claimed, Crls, Der, Identity, Issued, NodeName,
    Request, Usage, Verifier,
};

use super::{outcome, Target};

pub const TARGET: Target = Target {
    name: "certificate",
    corpus,
    run,
};

const NOW: u64 = 1_800_000_000;
const CLUSTER: &str = "prod.example";
const KINDS: u8 = 6;

struct World {
    verifier: Verifier,
    identity: Identity,
    leaf: Vec<u8>,
    corpus: Vec<Vec<u8>>,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let ca = new_ca(CLUSTER, Alg::P256, NOW, 3650).expect("a CA");
    let node = NodeName::parse("a@host1.example").expect("a name");
    let identity = Identity::node(CLUSTER, &node).expect("an identity");
    let tool = Identity::cli(CLUSTER, "::1", "a_user").expect("an identity");
    let leaf = der(&issued(&ca, &identity, Alg::P256).cert_pem);
    let others = [Alg::P384, Alg::Ed25519].map(|alg| der(&issued(&ca, &tool, alg).cert_pem));
    let anchors = Anchors::from_pems(&[&ca.cert_pem]).expect("anchors");
    let certificates = [&leaf, &others[0], &others[1], &der(&ca.cert_pem)];
    let mut corpus: Vec<Vec<u8>> = (0..3)
        .flat_map(|kind| certificates.map(|c| [&[kind], &c[..]].concat()))
        .collect();
    corpus.push([&[3], &certificates[0][..]].concat());
    for uri in [identity.uri(), tool.uri()] {
        corpus.push([&[4], uri.expect("a URI").as_bytes()].concat());
    }
    corpus.push([&[5], &b"a_x@host1.example"[..]].concat());
    World {
        verifier: Verifier::new(anchors, Crls::none(), CLUSTER).expect("a verifier"),
        identity,
        leaf,
        corpus,
    }
});

fn issued(ca: &Issued, identity: &Identity, alg: Alg) -> Issued {
    let request = Request {
        identity: identity.clone(),
        alg,
        ips: vec![],
        days: 30,
    };
    issue(&ca.cert_pem, &ca.key_pem, &request, NOW).expect("a certificate")
}

fn corpus() -> Vec<Vec<u8>> {
    WORLD.corpus.clone()
}

fn run(input: &[u8]) -> u64 {
    let Some((kind, rest)) = input.split_first() else {
        return 0;
    };
    match kind % KINDS {
        0 => leaf(rest),
        1 => intermediate(rest),
        2 => outcome(inspect_pem(&pem("CERTIFICATE", rest)).map_or_else(|e| e.code(), |_| "read")),
        3 => outcome(
            Crls::from_pems(&[&pem("X509 CRL", rest)]).map_or_else(|e| e.code(), |_| "read"),
        ),
        4 => uri(rest),
        _ => name(rest),
    }
}

fn leaf(shown: &[u8]) -> u64 {
    let verdict = WORLD
        .verifier
        .verify_leaf(&Der::from(shown), &[], Usage::Client, NOW);
    match verdict {
        Err(error) => outcome((0, error.code(), error.to_string().len())),
        Ok(peer) => {
            let valid = [&WORLD.corpus[0], &WORLD.corpus[1], &WORLD.corpus[2]];
            let signed = |der: &[u8]| der.get(..der.len() - 80).map(<[u8]>::to_vec);
            assert!(
                valid.iter().any(|v| signed(&v[1..]) == signed(shown)),
                "an altered certificate of {} was accepted",
                peer.identity()
            );
            outcome((0, "accepted", peer.identity()))
        }
    }
}

fn intermediate(shown: &[u8]) -> u64 {
    let own = Der::from(&WORLD.leaf[..]);
    match WORLD
        .verifier
        .verify_leaf(&own, &[Der::from(shown)], Usage::Server, NOW)
    {
        Err(error) => outcome((1, error.code())),
        Ok(peer) => {
            assert_eq!(peer.identity(), &WORLD.identity);
            outcome((1, "accepted"))
        }
    }
}

fn uri(bytes: &[u8]) -> u64 {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return 1;
    };
    match Identity::parse(text) {
        Err(error) => outcome((4, error.code())),
        Ok(identity) => {
            assert_eq!(
                identity.uri().as_deref(),
                Ok(text),
                "two URIs for one identity"
            );
            outcome((4, identity.node_name().is_some(), identity.host().len()))
        }
    }
}

fn name(bytes: &[u8]) -> u64 {
    match Claimed::parse(bytes) {
        Err(error) => outcome((5, error.code())),
        Ok(claimed) => {
            assert_eq!(
                claimed.to_string().as_bytes(),
                bytes,
                "two spellings of one name"
            );
            outcome((5, matches!(claimed, Claimed::Static(_))))
        }
    }
}

pub(super) fn pem(label: &str, der: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in der.chunks(3) {
        let bits = (0..3).fold(0u32, |n, i| n << 8 | u32::from(*group.get(i).unwrap_or(&0)));
        for i in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * i)) as usize & 63];
            text.push(if i <= group.len() {
                char::from(digit)
            } else {
                '='
            });
        }
    }
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .filter_map(|line| std::str::from_utf8(line).ok())
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}

/// The bytes of the one block of a PEM text.
pub(super) fn der(pem: &str) -> Vec<u8> {
    let (mut bits, mut count, mut out) = (0u32, 0, vec![]);
    let body = pem.lines().filter(|line| !line.starts_with('-'));
    for c in body.flat_map(str::bytes).filter(|c| *c != b'=') {
        let digit = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            _ => 63,
        };
        (bits, count) = (bits << 6 | u32::from(digit), count + 6);
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    out
}
