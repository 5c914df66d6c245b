//! Every wrong certificate is refused, in both roles, for the right reason and by the right TLS alert.
//! Knock-outs seen here: peer_chain, node_name, eku, expiry, trust_domain.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use common::rogue::{certified, own, Rogue};
use common::*;
use merlon_pki::{Alg, Identity, Issued};
use merlon_tls::{Error, Failure};
use rcgen::ExtendedKeyUsagePurpose as Eku;
use rcgen::{BasicConstraints, IsCa, Issuer, KeyPair};

const URI_A: &str = "spiffe://prod.example/node/host1.example/a";
const URI_B: &str = "spiffe://prod.example/node/host2.example/b";

fn uri_of(name: &str) -> &'static str {
    if name == A {
        URI_A
    } else {
        URI_B
    }
}

/// A client and a server, one of which shows the given certificate; what they made of it, judge first.
fn shown_by_client(ca: &Issued, shown: Issued, setup: Setup<'_>) -> (Failure, Failure) {
    let a = Node::with(ca, A, shown, Setup::default());
    let b = Node::with(ca, B, certificate(ca, node_id(B), Alg::P256, NOW), setup);
    let pair = Pair::new(a.dial(B, keys("c", A, B)), b.accept(), keys("c", A, B)).run();
    (pair.server.down(), pair.client.down())
}

fn shown_by_server(ca: &Issued, shown: Issued, setup: Setup<'_>) -> (Failure, Failure) {
    let a = Node::with(ca, A, certificate(ca, node_id(A), Alg::P256, NOW), setup);
    let b = Node::with(ca, B, shown, Setup::default());
    let pair = Pair::new(a.dial(B, keys("c", A, B)), b.accept(), keys("c", A, B)).run();
    (pair.client.down(), pair.server.down())
}

fn check((judge, shower): (Failure, Failure), code: &str, alert: u8) {
    assert_eq!(judge.error.code(), code, "{judge}");
    let seen = judge.peer.expect("the refused certificate's fingerprint");
    assert_ne!(seen.sha256, [0; 32]);
    assert!(!seen.verified);
    match shower.error {
        Error::PeerAlert(got) => assert_eq!(got, alert, "{code}"),
        other => panic!("{code}: told nothing: {other:?}"),
    }
}

fn both(ca: &Issued, shown: impl Fn(&str) -> Issued, code: &str, alert: u8) {
    check(shown_by_client(ca, shown(A), Setup::default()), code, alert);
    check(shown_by_server(ca, shown(B), Setup::default()), code, alert);
}

#[test]
fn a_certificate_of_another_ca_is_refused() {
    let stranger = ca(CLUSTER);
    let shown = |name: &str| certificate(&stranger, node_id(name), Alg::P256, NOW);
    both(&ca(CLUSTER), shown, "unknown_issuer", 48);
}

#[test]
fn a_certificate_that_signs_itself_is_refused() {
    let shown = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.extended_key_usages = vec![Eku::ServerAuth, Eku::ClientAuth];
        params.subject_alt_names = vec![uri(uri_of(name))];
        Issued {
            cert_pem: params.self_signed(&key).unwrap().pem(),
            key_pem: zeroize::Zeroizing::new(key.serialize_pem()),
        }
    };
    both(&ca(CLUSTER), shown, "unknown_issuer", 48);
}

#[test]
fn an_expired_certificate_is_refused() {
    let ca = merlon_pki::new_ca(CLUSTER, Alg::P256, NOW - 60 * DAY, 3650).unwrap();
    let shown = |name: &str| certificate(&ca, node_id(name), Alg::P256, NOW - 40 * DAY);
    both(&ca, shown, "expired", 45);
}

#[test]
fn a_certificate_for_later_is_refused() {
    let ca = ca(CLUSTER);
    let shown = |name: &str| certificate(&ca, node_id(name), Alg::P256, NOW + DAY);
    both(&ca, shown, "not_yet_valid", 45);
}

#[test]
fn a_certificate_for_the_other_role_only_is_refused() {
    let ca = ca(CLUSTER);
    let shown = |name: &str| {
        odd_certificate(&ca, |p| {
            let wrong = if name == A {
                Eku::ServerAuth
            } else {
                Eku::ClientAuth
            };
            p.extended_key_usages = vec![wrong];
            p.subject_alt_names = vec![uri(uri_of(name))];
        })
    };
    both(&ca, shown, "wrong_usage", 43);
}

#[test]
fn a_certificate_of_another_cluster_is_refused_even_from_our_ca() {
    let ca = ca(CLUSTER);
    let shown = |name: &str| {
        odd_certificate(&ca, |p| {
            p.subject_alt_names = vec![uri(&uri_of(name).replace("prod", "test"))];
        })
    };
    both(&ca, shown, "wrong_cluster", 49);
}

#[test]
fn a_certificate_without_exactly_one_good_identity_is_refused() {
    let ca = ca(CLUSTER);
    let with = |uris: &'static [&str]| {
        let ca = &ca;
        move |_: &str| {
            odd_certificate(ca, |p| {
                p.subject_alt_names = uris.iter().map(|u| uri(u)).collect();
            })
        }
    };
    both(&ca, with(&[]), "no_identity", 42);
    both(&ca, with(&[URI_A, URI_B]), "many_identities", 42);
    both(
        &ca,
        with(&["spiffe://prod.example/node/host1.example"]),
        "bad_identity",
        42,
    );
}

#[test]
fn a_ca_certificate_is_no_node() {
    let ca = ca(CLUSTER);
    let shown = |name: &str| {
        odd_certificate(&ca, |p| {
            p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            p.subject_alt_names = vec![uri(uri_of(name))];
        })
    };
    both(&ca, shown, "ca_leaf", 43);
}

#[test]
fn a_revoked_certificate_is_refused() {
    let ca = ca(CLUSTER);
    for name in [A, B] {
        let shown = certificate(&ca, node_id(name), Alg::P256, NOW);
        let crl = revoking(&ca, &shown);
        let setup = Setup {
            crls: &[&crl],
            ..Setup::default()
        };
        if name == A {
            check(shown_by_client(&ca, shown, setup), "revoked", 44);
        } else {
            check(shown_by_server(&ca, shown, setup), "revoked", 44);
        }
    }
}

fn revoking(ca: &Issued, leaf: &Issued) -> String {
    let serial = &merlon_pki::inspect_pem(&leaf.cert_pem).unwrap()[0].serial_hex;
    let bytes: Vec<u8> = (0..serial.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&serial[i..i + 2], 16).unwrap())
        .collect();
    let key = KeyPair::from_pem(&ca.key_pem).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&ca.cert_pem, key).unwrap();
    let params = rcgen::CertificateRevocationListParams {
        this_update: rcgen::date_time_ymd(2026, 1, 1),
        next_update: rcgen::date_time_ymd(2036, 1, 1),
        crl_number: 1u64.into(),
        issuing_distribution_point: None,
        revoked_certs: vec![rcgen::RevokedCertParams {
            serial_number: bytes.into(),
            revocation_time: rcgen::date_time_ymd(2026, 1, 1),
            reason_code: None,
            invalidity_date: None,
        }],
        key_identifier_method: rcgen::KeyIdMethod::Sha256,
    };
    params.signed_by(&issuer).unwrap().pem().unwrap()
}

#[test]
fn a_certificate_whose_key_the_peer_does_not_hold_is_refused() {
    let ca = ca(CLUSTER);
    let [stolen_a, stolen_b] = [A, B].map(|n| certificate(&ca, node_id(n), Alg::P256, NOW));
    let thief = KeyPair::generate().unwrap().serialize_pem();
    let (a, b) = (Node::new(&ca, A), Node::new(&ca, B));

    let mut rogue = Rogue::client(Some(certified(&stolen_a.cert_pem, &thief)), &[b"merlon/1"]);
    let (failure, told) = against_server(&mut rogue, &b);
    assert_eq!((failure.error.code(), told), ("key_not_held", Some(51)));
    assert!(
        !failure.peer.expect("shown").verified,
        "a stolen certificate proves nothing"
    );

    let mut rogue = Rogue::server(certified(&stolen_b.cert_pem, &thief), &[b"merlon/1"]);
    let (failure, told) = against_client(&mut rogue, &a);
    assert_eq!((failure.error.code(), told), ("key_not_held", Some(51)));
}

#[test]
fn a_client_without_certificate_is_refused() {
    let b = Node::new(&ca(CLUSTER), B);
    let (failure, told) = against_server(&mut Rogue::client(None, &[b"merlon/1"]), &b);
    assert_eq!((failure.error.code(), told), ("no_certificate", Some(116)));
    assert!(failure.peer.is_none());
}

/// What `node` made of a rogue client, and the alert that it was told.
fn against_server(rogue: &mut Rogue, node: &Node) -> (Failure, Option<u8>) {
    run_rogue(rogue, End::Going(node.accept()))
}

fn against_client(rogue: &mut Rogue, node: &Node) -> (Failure, Option<u8>) {
    run_rogue(rogue, End::Going(node.dial(B, keys("c", A, B))))
}

fn run_rogue(rogue: &mut Rogue, mut end: End) -> (Failure, Option<u8>) {
    let (mut to_node, mut to_rogue) = (vec![], vec![]);
    let mut told = None;
    for _ in 0..6 {
        let input = std::mem::take(&mut to_rogue);
        if let Err(rustls::Error::AlertReceived(d)) = rogue.exchange(&input, &mut to_node) {
            told = Some(d.into());
        }
        end.advance(&mut to_node, &mut to_rogue);
    }
    (end.down(), told)
}

#[test]
fn a_server_that_is_another_node_is_refused_before_it_sees_our_certificate() {
    let ca = ca(CLUSTER);
    let (a, c) = (Node::new(&ca, A), Node::new(&ca, "c@host2.example"));
    let pair = Pair::new(a.dial(B, keys("c", A, B)), c.accept(), keys("c", A, B)).run();
    let (client, server) = (pair.client.down(), pair.server.down());
    assert_eq!(client.error.code(), "wrong_name");
    let seen = client.peer.expect("its certificate");
    assert_eq!(seen.identity, Some(node_id("c@host2.example")));
    assert!(matches!(server.error, Error::PeerAlert(49)), "{server}");
    assert!(server.peer.is_none(), "the server never saw who dialled");
}

#[test]
fn a_client_that_claims_the_name_of_another_node_is_refused() {
    let ca = ca(CLUSTER);
    let (a, b) = (Node::new(&ca, A), Node::new(&ca, B));
    for name in [
        "c@host1.example",
        "a@host2.example",
        B,
        "a_ctl_1@host1.example",
        "@host1.example",
    ] {
        let client = a.dial_as(name, B, keys("c", name, B));
        let pair = Pair::new(client, b.accept(), keys("c", name, B)).run();
        let (client, server) = (pair.client.down(), pair.server.down());
        assert_eq!(server.error.code(), "wrong_name", "{name}");
        assert_eq!(server.claimed.as_deref(), Some(name.as_bytes()));
        assert_eq!(server.peer.expect("verified").identity, Some(node_id(A)));
        assert!(matches!(client.error, Error::PeerAlert(49)), "{client}");
    }
}

#[test]
fn a_tool_never_takes_the_name_of_a_node() {
    let ca = ca(CLUSTER);
    let b = Node::new(&ca, B);
    let identity = Identity::cli(CLUSTER, "host1.example", "root").unwrap();
    let cli = certificate(&ca, identity, Alg::P256, NOW);
    let tool = Node::with(&ca, A, cli, Setup::default());
    for name in [A, B, "rabbitmqcli-12-a@host2.example"] {
        let pair = Pair::new(
            tool.dial_as(name, B, keys("c", name, B)),
            b.accept(),
            keys("c", name, B),
        );
        assert_eq!(
            pair.run().server.down().error.code(),
            "wrong_name",
            "{name}"
        );
    }
}

#[test]
fn a_tool_that_is_dialled_as_a_node_is_refused() {
    let ca = ca(CLUSTER);
    let identity = Identity::cli(CLUSTER, "host2.example", "root").unwrap();
    let tool = Node::with(
        &ca,
        B,
        certificate(&ca, identity, Alg::P256, NOW),
        Setup::default(),
    );
    let a = Node::new(&ca, A);
    let pair = Pair::new(a.dial(B, keys("c", A, B)), tool.accept(), keys("c", A, B)).run();
    assert_eq!(pair.client.down().error.code(), "wrong_name");
}

#[test]
fn the_ca_names_of_a_cluster_are_not_told_to_strangers() {
    // A rogue that shows a good certificate gets far enough to see the CertificateRequest; its hints are empty,
    // so its resolver is asked with none and the handshake goes on.
    let ca = ca(CLUSTER);
    let b = Node::new(&ca, B);
    let issued = certificate(&ca, node_id(A), Alg::P256, NOW);
    let mut rogue = Rogue::client(own(&issued), &[b"merlon/1"]);
    let (mut to_node, mut to_rogue) = (vec![], vec![]);
    let mut end = End::Going(b.accept());
    rogue.exchange(&[], &mut to_node).unwrap();
    end.advance(&mut to_node, &mut to_rogue);
    rogue.exchange(&to_rogue, &mut to_node).unwrap();
    assert!(!rogue.conn.is_handshaking());
    assert_eq!(rogue.hints_seen(), Some(0));
}
