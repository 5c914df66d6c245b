//! What is no merlon node is told so and costs little.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use std::time::Instant;

use common::rogue::{own, Rogue};
use common::*;
use merlon_pki::Alg;
use merlon_tls::{Error, Failure};

const SERVER: &str = B;

fn server() -> Node {
    Node::new(&ca(CLUSTER), SERVER)
}

/// What a server makes of these bytes, and what it sends.
fn answer(node: &Node, bytes: &[u8]) -> (End, Vec<u8>) {
    let (mut end, mut out) = (End::Going(node.accept()), vec![]);
    end.advance(&mut bytes.to_vec(), &mut out);
    (end, out)
}

fn refusal(node: &Node, bytes: &[u8]) -> (Failure, Vec<u8>) {
    let (end, out) = answer(node, bytes);
    (end.down(), out)
}

fn plaintext_alert(description: u8) -> Vec<u8> {
    vec![21, 3, 3, 0, 2, 2, description]
}

/// A hand-made ClientHello of TLS 1.2 (RFC 5246 7.4.1.2): no supported_versions extension.
fn tls12_hello() -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([0x5a; 32]); // random
    body.push(0); // session id
    body.extend([0, 4, 0xc0, 0x2b, 0xc0, 0x2f]); // ECDHE-ECDSA and ECDHE-RSA with AES128-GCM-SHA256
    body.extend([1, 0]); // compression: null
    let extensions: &[&[u8]] = &[
        &[0, 10, 0, 4, 0, 2, 0, 29], // groups: x25519
        &[0, 11, 0, 2, 1, 0],        // point formats: uncompressed
        &[0, 13, 0, 4, 0, 2, 4, 3],  // signatures: ecdsa_secp256r1_sha256
        &[0, 16, 0, 11, 0, 9, 8, 109, 101, 114, 108, 111, 110, 47, 49], // ALPN: merlon/1
        &[0, 23, 0, 0],              // extended master secret
    ];
    let extensions = extensions.concat();
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    let mut hello = vec![22, 3, 1];
    hello.extend((body.len() as u16 + 4).to_be_bytes());
    hello.extend([1, 0]);
    hello.extend((body.len() as u16).to_be_bytes());
    hello.extend(body);
    hello
}

#[test]
fn a_client_without_tls_1_3_is_told_protocol_version() {
    let (failure, out) = refusal(&server(), &tls12_hello());
    assert_eq!(failure.error.code(), "old_tls", "{failure:?}");
    assert_eq!(out, plaintext_alert(70));
}

#[test]
fn a_node_that_runs_without_tls_is_recognised() {
    // hand-made, laid out as send_name: length, 'N', flags, creation, length of name, name
    let mut hello = b"N".to_vec();
    hello.extend(0x0000_000d_07df_7fbdu64.to_be_bytes());
    hello.extend([0x65, 0, 0, 1, 0, 15]);
    hello.extend(b"a@host1.example");
    let message = [&(hello.len() as u16).to_be_bytes()[..], &hello].concat();
    let (failure, out) = refusal(&server(), &message);
    assert!(matches!(failure.error, Error::PlaintextDist), "{failure}");
    assert!(out.len() <= 7);
}

#[test]
fn what_is_no_tls_is_refused_with_at_most_an_alert() {
    for garbage in [
        &b"GET / HTTP/1.1\r\n"[..],
        b"SSH-2.0-OpenSSH_9.2\r\n",
        &[0; 64],
        &[0xff; 64],
        &[22, 2, 0, 0, 9, 1],
    ] {
        let (failure, out) = refusal(&server(), garbage);
        assert!(matches!(failure.error, Error::NotTls), "{failure:?}");
        assert!(out.len() <= 7, "{out:?}");
    }
}

#[test]
fn an_oversized_record_is_refused_at_its_header() {
    for len in [16_641u16, 18_433, 0xffff] {
        let [high, low] = len.to_be_bytes();
        let (failure, out) = refusal(&server(), &[22, 3, 1, high, low]);
        assert_eq!(failure.error.code(), "record_overflow");
        assert_eq!(out, plaintext_alert(22));
    }
}

#[test]
fn a_client_that_names_no_protocol_is_an_otp_peer_and_never_sees_our_certificate() {
    let (mut rogue, mut hello) = (Rogue::client(None, &[]), vec![]);
    rogue.exchange(&[], &mut hello).unwrap();
    let (failure, out) = refusal(&server(), &hello);
    assert!(matches!(failure.error, Error::NoAlpn), "{failure}");
    assert_eq!(out, plaintext_alert(120));
}

#[test]
fn a_client_of_another_protocol_is_refused() {
    for protocols in [&[&b"h2"[..], b"http/1.1"][..], &[b"merlon/2"], &[b"merlon"]] {
        let (mut rogue, mut hello) = (Rogue::client(None, protocols), vec![]);
        rogue.exchange(&[], &mut hello).unwrap();
        let (failure, out) = refusal(&server(), &hello);
        assert!(matches!(failure.error, Error::WrongAlpn), "{failure}");
        assert_eq!(out, plaintext_alert(120));
    }
}

#[test]
fn a_server_that_names_no_protocol_or_another_is_refused() {
    let ca = ca(CLUSTER);
    let issued = certificate(&ca, node_id(B), Alg::P256, NOW);
    for (protocols, ours, theirs) in [
        (&[][..], "no_alpn", Some(120)),
        (&[&b"h2"[..]], "peer_alert", None),
    ] {
        let mut rogue = Rogue::server(own(&issued).unwrap(), protocols);
        let mut client = End::Going(Node::new(&ca, A).dial(B, keys("c", A, B)));
        let (mut to_rogue, mut to_client) = (vec![], vec![]);
        let mut told = None;
        for _ in 0..4 {
            client.advance(&mut to_client, &mut to_rogue);
            if let Err(rustls::Error::AlertReceived(d)) =
                rogue.exchange(&std::mem::take(&mut to_rogue), &mut to_client)
            {
                told = Some(d.into());
            }
        }
        assert_eq!((client.down().error.code(), told), (ours, theirs));
    }
}

#[test]
fn a_client_hello_in_many_pieces_is_cut_off_early_and_cheaply() {
    // 1-byte fragments of a ClientHello that claims 60 kB
    let mut bytes = vec![22, 3, 1, 0, 4, 1, 0, 0xea, 0x60];
    for _ in 0..20_000 {
        bytes.extend([22, 3, 1, 0, 1, 0x33]);
    }
    let (node, started) = (server(), Instant::now());
    let (failure, out) = refusal(&node, &bytes);
    assert!(matches!(failure.error, Error::TooMuch), "{failure:?}");
    assert!(out.len() <= 7);
    assert!(
        started.elapsed().as_millis() < 200,
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn nothing_is_looked_at_before_it_is_whole_nor_twice() {
    let (mut rogue, mut hello) = (Rogue::client(None, &[&b"merlon/1"[..]]), vec![]);
    rogue.exchange(&[], &mut hello).unwrap();
    // as long and wrong from its first byte on, which is noticed with the last
    let wrong = [&hello[..5], &vec![0x5a; hello.len() - 5]].concat();
    for (bytes, goes_on) in [(hello, true), (wrong, false)] {
        let mut server = End::Going(server().accept());
        let (mut input, mut out) = (vec![], vec![]);
        for (count, byte) in bytes.iter().enumerate() {
            assert!(matches!(server, End::Going(_)) && out.is_empty());
            assert_eq!(input, bytes[..count]);
            input.push(*byte);
            server.advance(&mut input, &mut out);
        }
        assert_eq!(matches!(server, End::Going(_)), goes_on);
        assert!(input.is_empty() && !out.is_empty());
    }
}

#[test]
fn a_handshake_that_never_ends_is_cut_off_by_its_bytes() {
    let mut bytes = vec![];
    for _ in 0..64 {
        bytes.extend([22, 3, 1, 0x40, 0]);
        bytes.extend([0x33; 0x4000]);
    }
    let (failure, _) = refusal(&server(), &bytes);
    assert!(
        matches!(failure.error, Error::TooMuch | Error::Tls(_)),
        "{failure:?}"
    );
}

#[test]
fn application_data_in_place_of_a_client_hello_is_refused() {
    let (failure, out) = refusal(&server(), &[23, 3, 3, 0, 3, 1, 2, 3]);
    assert!(matches!(failure.error, Error::Tls(_)), "{failure:?}");
    assert_eq!(out, plaintext_alert(10));
}

#[test]
fn a_handshake_that_was_altered_on_the_way_makes_no_link() {
    // one bit of every third byte that either side sends, the preamble's records included
    let ca = ca(CLUSTER);
    let [a, b] = [A, B].map(|name| {
        let fixed_length_signatures = Alg::Ed25519;
        let own = certificate(&ca, node_id(name), fixed_length_signatures, NOW);
        Node::with(&ca, name, own, Setup::default())
    });
    let honest = Pair::new(a.dial(B, keys("c", A, B)), b.accept(), keys("c", A, B)).run();
    for (side, sent) in [(0, &honest.sent.0), (1, &honest.sent.1)] {
        let ignored = legacy_versions(sent);
        for at in (0..sent.len())
            .step_by(3)
            .filter(|at| !ignored.contains(at))
        {
            let pair = tampered(&a, &b, side, at);
            let came_up = matches!((&pair.client, &pair.server), (End::Up(_), End::Up(_)));
            assert!(!came_up, "side {side}, byte {at}");
        }
    }
}

/// Where the minor version of records stands, which rustls does not look at: it "MUST be ignored for all purposes" (RFC 8446 5.1).
fn legacy_versions(mut sent: &[u8]) -> Vec<usize> {
    let (mut at, mut found) = (0, vec![]);
    while let [20..=23, _, _, high, low, ..] = sent {
        found.push(at + 2);
        let len = 5 + usize::from(u16::from_be_bytes([*high, *low]));
        (at, sent) = (at + len, &sent[len..]);
    }
    found
}

/// A handshake in which one bit of what `side` (0: the client) sends is flipped.
fn tampered(a: &Node, b: &Node, side: u8, at: usize) -> Pair {
    let mut pair = Pair::new(a.dial(B, keys("c", A, B)), b.accept(), keys("c", A, B));
    let mut seen = [0, 0];
    let (mut to_server, mut to_client) = (vec![], vec![]);
    for _ in 0..8 {
        let mut out = vec![];
        pair.client.advance(&mut to_client, &mut out);
        flip(&mut out, &mut seen[0], side == 0, at);
        to_server.append(&mut out);
        pair.server.advance(&mut to_server, &mut out);
        if matches!(pair.server, End::Claims(_)) {
            pair.server.prove(keys("c", A, B), &mut out);
        }
        flip(&mut out, &mut seen[1], side == 1, at);
        to_client.append(&mut out);
    }
    pair
}

fn flip(out: &mut [u8], seen: &mut usize, this: bool, at: usize) {
    if this && (*seen..*seen + out.len()).contains(&at) {
        out[at - *seen] ^= 0x10;
    }
    *seen += out.len();
}

#[test]
fn a_peer_that_goes_away_leaves_a_failure_that_says_how_far_it_got() {
    let ca = ca(CLUSTER);
    let (a, b) = (Node::new(&ca, A), Node::new(&ca, B));
    let nobody = b.accept().closed();
    assert!(matches!(nobody.error, Error::PeerClosed));
    assert!(nobody.peer.is_none() && nobody.claimed.is_none());

    let mut pair = Pair::new(a.dial(B, keys("c", A, B)), b.accept(), keys("c", A, B));
    let (mut to_client, mut to_server) = (vec![], vec![]);
    pair.client.advance(&mut vec![], &mut to_server);
    pair.server.advance(&mut to_server, &mut to_client);
    pair.client.advance(&mut to_client, &mut to_server);
    pair.server.advance(&mut to_server, &mut to_client);
    pair.server.prove(keys("c", A, B), &mut to_client);
    let End::Going(server) = pair.server else {
        panic!("not waiting")
    };
    let failure = server.closed();
    assert_eq!(failure.claimed.as_deref(), Some(A.as_bytes()));
    assert!(failure.peer.expect("seen").verified);
}

#[test]
fn a_client_can_not_dial_without_keys_or_with_too_many() {
    let a = Node::new(&ca(CLUSTER), A);
    let own = merlon_pki::Claimed::parse(A.as_bytes()).unwrap();
    let many = |n: u8| {
        (0..n)
            .map(|i| (merlon_secret::KeyId([i; 8]), key("c", A, B)))
            .collect()
    };
    let dial = |keys| merlon_tls::Handshake::dial(&a.local, &own, &node(B), keys, NOW);
    assert!(matches!(dial(vec![]), Err(Error::NoKeys)));
    assert!(matches!(dial(many(17)), Err(Error::OwnPreamble(_))));
    assert!(dial(many(16)).is_ok());
}

#[test]
fn a_key_that_is_not_the_certificates_is_refused_at_configuration() {
    let ca = ca(CLUSTER);
    let [one, other] = [A, B].map(|n| certificate(&ca, node_id(n), Alg::P256, NOW));
    let make = |cert: &str, key: &str, suites| {
        merlon_tls::Local::new(merlon_tls::LocalConfig {
            cert_chain_pem: cert.to_owned(),
            key_pem: zeroize::Zeroizing::new(key.to_owned()),
            verifier: merlon_pki::Verifier::new(
                merlon_pki::Anchors::from_pems(&[&ca.cert_pem]).unwrap(),
                merlon_pki::Crls::none(),
                CLUSTER,
            )
            .unwrap(),
            bind: merlon_pki::BindRules::default(),
            suites,
            limits: merlon_record::Limits::default(),
        })
    };
    let suites = merlon_tls::suites_by_cpu;
    assert!(make(&one.cert_pem, &one.key_pem, suites()).is_ok());
    assert!(matches!(
        make(&one.cert_pem, &other.key_pem, suites()),
        Err(Error::OwnKeyMismatch)
    ));
    assert!(matches!(
        make("", &one.key_pem, suites()),
        Err(Error::OwnCertificate)
    ));
    assert!(matches!(
        make(&one.cert_pem, "", suites()),
        Err(Error::OwnKey)
    ));
    assert!(matches!(
        make(&one.cert_pem, &one.key_pem, vec![]),
        Err(Error::NoSuite)
    ));
}
