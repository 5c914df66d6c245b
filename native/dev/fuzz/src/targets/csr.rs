//! Signing requests: what is not signed with its own key is never read, and what is issued says what the grant says.
//!
//! The first byte says what the rest is: a request as it comes, or the part of one that is signed, which is then signed
//! with its key again, so that what lies behind the signature's check is reached too.

use std::sync::LazyLock;

use merlon_pki::{inspect_pem, new_ca, new_csr, sign_csr, Alg, Csr, Grant, Identity, Issued};
use ring::signature::Ed25519KeyPair;

use super::{
    certificate::{der, pem},
    outcome, Target,
};

pub const TARGET: Target = Target {
    name: "csr",
    corpus,
    run,
};

const NOW: u64 = 1_800_000_000;
const URI: &str = "spiffe://prod.example/node/host1.example/a";

struct World {
    ca: Issued,
    grant: Grant,
    signer: Ed25519KeyPair,
    corpus: Vec<Vec<u8>>,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let identity = Identity::parse(URI).expect("an identity");
    let ips = vec!["10.0.0.1".parse().expect("an address")];
    let made = |alg| new_csr(&identity, alg, &ips).expect("a request");
    let signed_by_us = made(Alg::Ed25519);
    let mut corpus: Vec<Vec<u8>> = [Alg::P256, Alg::P384, Alg::Ed25519]
        .map(|alg| [&[0], &der(&made(alg).csr_pem)[..]].concat())
        .to_vec();
    let whole = der(&signed_by_us.csr_pem);
    corpus.push([&[1], signed_part(&whole)].concat());
    World {
        ca: new_ca("prod.example", Alg::Ed25519, NOW, 3650).expect("a CA"),
        grant: Grant {
            identity,
            ips,
            days: 30,
        },
        signer: Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der(&signed_by_us.key_pem))
            .expect("a key"),
        corpus,
    }
});

fn corpus() -> Vec<Vec<u8>> {
    WORLD.corpus.clone()
}

fn run(input: &[u8]) -> u64 {
    let Some((kind, rest)) = input.split_first() else {
        return 0;
    };
    match kind % 2 {
        0 => judge(0, rest),
        _ => judge(1, &signed(rest)),
    }
}

fn judge(kind: u8, shown: &[u8]) -> u64 {
    let csr = match Csr::from_pem(&pem("CERTIFICATE REQUEST", shown)) {
        Ok(csr) => csr,
        Err(error) => return outcome((kind, error.code(), error.to_string().len())),
    };
    let known = WORLD
        .corpus
        .iter()
        .any(|c| c[0] == 0 && signed_part(&c[1..]) == signed_part(shown));
    assert!(
        kind == 1 || known,
        "an altered request was taken for its sender's"
    );
    let (ca, grant) = (&WORLD.ca, &WORLD.grant);
    match sign_csr(&ca.cert_pem, &ca.key_pem, &csr, grant, NOW) {
        Err(error) => outcome((kind, "refused", error.code(), csr.identity().is_ok())),
        Ok(cert) => {
            let info = inspect_pem(&cert).expect("a certificate").remove(0);
            assert_eq!(info.uris, [URI]);
            assert_eq!(
                (info.dns, info.ips),
                (vec!["host1.example".to_owned()], grant.ips.clone())
            );
            assert_eq!(info.subject, "CN=a@host1.example");
            assert!(!info.is_ca && info.key_usage == ["digitalSignature"]);
            outcome((kind, "issued"))
        }
    }
}

/// The first element of the outer sequence, whose length takes two or three bytes here.
fn signed_part(whole: &[u8]) -> &[u8] {
    let start = header(whole);
    let inner = whole.get(start..).unwrap_or_default();
    let len = match inner {
        [_, 0x82, a, b, ..] => 4 + (usize::from(*a) << 8 | usize::from(*b)),
        [_, 0x81, a, ..] => 3 + usize::from(*a),
        [_, a, ..] => 2 + usize::from(*a),
        _ => 0,
    };
    inner.get(..len).unwrap_or(inner)
}

fn header(der: &[u8]) -> usize {
    match der.get(1) {
        Some(0x82) => 4,
        Some(0x81) => 3,
        _ => 2,
    }
}

fn signed(part: &[u8]) -> Vec<u8> {
    let signature = WORLD.signer.sign(part);
    let algorithm = b"\x30\x05\x06\x03\x2b\x65\x70\x03\x41\x00";
    let body = [part, algorithm, signature.as_ref()].concat();
    let len = u16::try_from(body.len()).unwrap_or(u16::MAX);
    [&[0x30, 0x82], &len.to_be_bytes()[..], &body].concat()
}
