//! A peer of a live link shows another certificate or proves another secret: only what is its own, for this very link.
//! Knock-outs seen here: reproof_name, reproof_signature, reproof_binding, proof.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use common::*;
use merlon_pki::{Alg, Error as PkiError, Identity, Issued, Peer};
use merlon_secret::{Entry, Root};
use merlon_tls::{Binding, Error};
use merlon_wire::control::{Certificate, KeyProof, Message};
use zeroize::Zeroizing;

/// Both ends of a link: what binds, and whom each takes the other for.
struct Link {
    client: (Binding, Peer),
    server: (Binding, Peer),
}

fn linked(a: &Node, b: &Node) -> Link {
    let (client, server) = link(a, b);
    let (_, _, _, peer, binding) = client.into_parts();
    let (_, _, _, seen, bound) = server.into_parts();
    Link {
        client: (binding, peer),
        server: (bound, seen),
    }
}

fn cluster() -> (Issued, Node, Node) {
    let ca = ca(CLUSTER);
    let (a, b) = (Node::new(&ca, A), Node::new(&ca, B));
    (ca, a, b)
}

/// A node with a new certificate of `ca`, that believes `trusted`.
fn renewed(ca: &Issued, trusted: &Issued, name: &str, alg: Alg) -> Node {
    let own = certificate(ca, node_id(name), alg, NOW);
    Node::with(trusted, name, own, Setup::default())
}

fn both(a: &Issued, b: &Issued) -> Issued {
    Issued {
        cert_pem: [&a.cert_pem[..], &b.cert_pem].concat(),
        key_pem: Zeroizing::new(String::new()),
    }
}

/// What `judge` makes of a certificate message that it gets at its end of a link.
fn accept(end: &(Binding, Peer), judge: &Node, message: &[u8]) -> Result<Peer, Error> {
    let Message::Certificate(shown) = Message::decode(message).unwrap() else {
        panic!("no certificate");
    };
    end.0.accept(&judge.local, &shown, &end.1, NOW)
}

fn leaf_of(message: &[u8]) -> Vec<u8> {
    match Message::decode(message).unwrap() {
        Message::Certificate(shown) => shown.chain[0].to_vec(),
        other => panic!("no certificate: {other:?}"),
    }
}

#[test]
fn a_renewed_certificate_is_accepted_either_way_whatever_its_key() {
    let (ca, a, b) = cluster();
    let link = linked(&a, &b);
    for alg in [Alg::P256, Alg::P384, Alg::Ed25519] {
        let (new_a, new_b) = (renewed(&ca, &ca, A, alg), renewed(&ca, &ca, B, alg));
        let shown = link.client.0.certificate(&new_a.local).unwrap();
        let peer = accept(&link.server, &b, &shown).unwrap();
        assert_eq!(peer.identity(), &node_id(A));
        assert_ne!(peer.sha256(), link.server.1.sha256());
        let shown = link.server.0.certificate(&new_b.local).unwrap();
        let peer = accept(&link.client, &a, &shown).unwrap();
        assert_eq!(peer.identity(), &node_id(B));
    }
}

#[test]
fn a_leaf_of_another_ca_is_accepted_as_soon_as_that_is_trusted() {
    let (ca, a, b) = cluster();
    let new_ca = common::ca(CLUSTER);
    let link = linked(&a, &b);
    let new_a = renewed(&new_ca, &new_ca, A, Alg::P256);
    let shown = link.client.0.certificate(&new_a.local).unwrap();
    let refused = accept(&link.server, &b, &shown).unwrap_err();
    assert!(matches!(
        refused,
        Error::Certificate(PkiError::UnknownIssuer)
    ));
    let trusting = renewed(&ca, &both(&ca, &new_ca), B, Alg::P256);
    let peer = accept(&link.server, &trusting, &shown).unwrap();
    // With the old CA gone the link stands on the new chain.
    let later = renewed(&new_ca, &new_ca, B, Alg::P256);
    let verifier = later.local.verifier();
    assert!(verifier.verify_again(&peer, NOW).is_ok());
    assert!(verifier.verify_again(&link.server.1, NOW).is_err());
}

#[test]
fn a_certificate_that_is_not_valid_now_is_not_accepted() {
    let (_, a, b) = cluster();
    let link = linked(&a, &b);
    let shown = link.client.0.certificate(&a.local).unwrap();
    let Message::Certificate(shown) = Message::decode(&shown).unwrap() else {
        panic!("no certificate");
    };
    let (end, known) = &link.server;
    let late = end.accept(&b.local, &shown, known, NOW + 31 * DAY);
    assert!(matches!(
        late,
        Err(Error::Certificate(PkiError::Expired { .. }))
    ));
}

#[test]
fn another_nodes_certificate_is_refused_even_with_its_key() {
    let (ca, a, b) = cluster();
    let link = linked(&a, &b);
    for name in [B, "a@host2.example", "a2@host1.example"] {
        let thief = renewed(&ca, &ca, name, Alg::P256);
        let shown = link.client.0.certificate(&thief.local).unwrap();
        let refused = accept(&link.server, &b, &shown).unwrap_err();
        assert_eq!(refused.code(), "wrong_name");
    }
}

#[test]
fn a_certificate_whose_key_is_not_held_is_refused() {
    let (ca, a, b) = cluster();
    let link = linked(&a, &b);
    let stolen = leaf_of(
        &link
            .client
            .0
            .certificate(&renewed(&ca, &ca, A, Alg::P256).local)
            .unwrap(),
    );
    let message = link.client.0.certificate(&a.local).unwrap();
    let Message::Certificate(honest) = Message::decode(&message).unwrap() else {
        panic!("no certificate");
    };
    assert!(accept(&link.server, &b, &message).is_ok());
    let mut cut = honest.signature.to_vec();
    cut.pop();
    let mut flipped = honest.signature.to_vec();
    flipped[20] ^= 1;
    let own = honest.chain[0];
    let cases: [(u16, &[u8], &[u8]); 6] = [
        (honest.scheme, &stolen, honest.signature),
        (honest.scheme, own, &cut),
        (honest.scheme, own, &flipped),
        (honest.scheme, own, b"x"),
        (0x0503, own, honest.signature),
        (0x0401, own, honest.signature), // RSA PKCS#1 is not for TLS 1.3
    ];
    for (scheme, leaf, signature) in cases {
        let shown = Certificate {
            scheme,
            chain: vec![leaf],
            signature,
        };
        let forged = Message::Certificate(shown).encode().unwrap();
        let refused = accept(&link.server, &b, &forged);
        assert!(matches!(refused, Err(Error::KeyNotHeld)), "{scheme:x}");
    }
}

#[test]
fn rubbish_in_place_of_a_certificate_is_refused() {
    let (_, a, b) = cluster();
    let link = linked(&a, &b);
    let shown = Certificate {
        scheme: 0x0403,
        chain: vec![b"rubbish"],
        signature: b"x",
    };
    let forged = Message::Certificate(shown).encode().unwrap();
    let refused = accept(&link.server, &b, &forged);
    assert!(matches!(refused, Err(Error::KeyNotHeld)));
}

#[test]
fn a_certificate_shown_on_another_link_is_refused() {
    let (ca, a, b) = cluster();
    let (link, another) = (linked(&a, &b), linked(&a, &b));
    let new = renewed(&ca, &ca, A, Alg::P256);
    let shown = another.client.0.certificate(&new.local).unwrap();
    assert!(accept(&another.server, &b, &shown).is_ok());
    assert!(matches!(
        accept(&link.server, &b, &shown),
        Err(Error::KeyNotHeld)
    ));
}

#[test]
fn a_certificate_sent_back_is_refused() {
    let (_, a, b) = cluster();
    let link = linked(&a, &b);
    let shown = link.server.0.certificate(&b.local).unwrap();
    let refused = accept(&link.server, &b, &shown);
    assert!(matches!(refused, Err(Error::KeyNotHeld)));
}

// ---- secrets ----

fn entry(secret: u8) -> Root {
    let entry = Entry::new(&[secret; 32], 0, None);
    entry.root(CLUSTER, NOW).unwrap()
}

fn proofs(message: &[u8]) -> Vec<KeyProof> {
    match Message::decode(message).unwrap() {
        Message::Keys(proofs) => proofs,
        other => panic!("no keys: {other:?}"),
    }
}

#[test]
fn other_secrets_are_proved_either_way() {
    let (_, a, b) = cluster();
    let link = linked(&a, &b);
    for (from, to) in [(&link.client, &link.server), (&link.server, &link.client)] {
        let found = proofs(&from.0.keys(&[entry(1), entry(2)]).unwrap());
        for (proof, root) in found.iter().zip([entry(1), entry(2)]) {
            assert_eq!(proof.key_id, root.key_id().0);
            assert!(to.0.verify(&root, &proof.tag).is_ok());
            assert!(from.0.verify(&root, &proof.tag).is_err(), "sent back");
        }
    }
    assert!(link.client.0.keys(&[]).is_err());
}

/// A remote shell has its certificate renewed too.
#[test]
fn a_tool_without_a_name_of_its_own_proves_itself_too() {
    let (ca, _, b) = cluster();
    let identity = Identity::cli(CLUSTER, "host1.example", "root").unwrap();
    let issued = || certificate(&ca, identity.clone(), Alg::P256, NOW);
    let tool = Node::with(&ca, "@host1.example", issued(), Setup::default());
    let link = linked(&tool, &b);
    let proof = proofs(&link.client.0.keys(&[entry(1)]).unwrap())[0];
    assert!(link.server.0.verify(&entry(1), &proof.tag).is_ok());
    let renewed = Node::with(&ca, "@host1.example", issued(), Setup::default());
    let shown = link.client.0.certificate(&renewed.local).unwrap();
    let peer = accept(&link.server, &b, &shown).unwrap();
    assert_eq!(peer.identity(), &identity);
    // Another tool of the same host is another.
    let other = Identity::cli(CLUSTER, "host1.example", "eve").unwrap();
    let eve = certificate(&ca, other, Alg::P256, NOW);
    let eve = Node::with(&ca, "@host1.example", eve, Setup::default());
    let shown = link.client.0.certificate(&eve.local).unwrap();
    assert!(accept(&link.server, &b, &shown).is_err());
}

#[test]
fn a_secret_proved_on_another_link_or_that_is_another_is_refused() {
    let (_, a, b) = cluster();
    let (link, another) = (linked(&a, &b), linked(&a, &b));
    let proof = proofs(&another.client.0.keys(&[entry(1)]).unwrap())[0];
    assert!(another.server.0.verify(&entry(1), &proof.tag).is_ok());
    assert!(another.server.0.verify(&entry(2), &proof.tag).is_err());
    let relayed = link.server.0.verify(&entry(1), &proof.tag);
    assert!(matches!(relayed, Err(Error::Proof)));
}
