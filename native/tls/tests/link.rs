//! Two honest nodes always get a link, however the bytes arrive.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use common::*;
use merlon_pki::{Alg, BindRules, Identity};
use merlon_record::{Limits, Suite};
use merlon_secret::KeyId;
use proptest::prelude::*;

const GROUP: &str = if cfg!(feature = "aws-lc") {
    "X25519MLKEM768"
} else {
    "x25519"
};

fn nodes() -> (Node, Node) {
    let ca = ca(CLUSTER);
    (Node::new(&ca, A), Node::new(&ca, B))
}

#[test]
fn both_directions_carry_records_under_every_suite() {
    let ca = ca(CLUSTER);
    for (suite, name) in [
        (Suite::Aes128Gcm, "TLS_AES_128_GCM_SHA256"),
        (Suite::Aes256Gcm, "TLS_AES_256_GCM_SHA384"),
        (Suite::ChaCha20Poly1305, "TLS_CHACHA20_POLY1305_SHA256"),
    ] {
        let make = |node: &str| {
            let setup = Setup {
                suites: vec![suite],
                ..Setup::default()
            };
            Node::with(
                &ca,
                node,
                certificate(&ca, node_id(node), Alg::P256, NOW),
                setup,
            )
        };
        let (client, server) = link(&make(A), &make(B));
        assert_eq!((client.info().suite, server.info().suite), (name, name));
        let (mut c_tx, mut c_rx, info, peer, _) = client.into_parts();
        assert_eq!((&info.peer_name[..], info.dynamic), (B.as_bytes(), false));
        assert_eq!((info.group, info.key_id), (GROUP, KeyId::VM_COOKIE));
        assert_eq!(peer.identity(), &node_id(B));
        let (mut s_tx, mut s_rx, info, peer, _) = server.into_parts();
        assert_eq!((&info.peer_name[..], info.dynamic), (A.as_bytes(), false));
        assert_eq!(peer.identity(), &node_id(A));
        for i in 0..3u8 {
            let (ping, pong) = (vec![i; 1000], vec![!i; 16_384]);
            assert_eq!(open(&mut s_rx, &mut seal(&mut c_tx, &ping)), ping);
            assert_eq!(open(&mut c_rx, &mut seal(&mut s_tx, &pong)), pong);
        }
    }
}

/// Suites as processors with and without AES order them; client, server, what they agree on.
#[test]
fn the_side_that_lacks_aes_has_its_way() {
    use Suite::{Aes128Gcm, Aes256Gcm, ChaCha20Poly1305};
    let with = [Aes128Gcm, Aes256Gcm, ChaCha20Poly1305];
    let without = [ChaCha20Poly1305, Aes128Gcm, Aes256Gcm];
    let ca = ca(CLUSTER);
    let make = |name: &str, suites: [Suite; 3]| {
        let setup = Setup {
            suites: suites.to_vec(),
            ..Setup::default()
        };
        let own = certificate(&ca, node_id(name), Alg::P256, NOW);
        Node::with(&ca, name, own, setup)
    };
    for (client, server, agreed) in [
        (with, with, "TLS_AES_128_GCM_SHA256"),
        (with, without, "TLS_CHACHA20_POLY1305_SHA256"),
        (without, with, "TLS_CHACHA20_POLY1305_SHA256"),
        (without, without, "TLS_CHACHA20_POLY1305_SHA256"),
    ] {
        let (link, _) = link(&make(A, client), &make(B, server));
        assert_eq!(link.info().suite, agreed);
    }
}

#[test]
fn every_kind_of_key_that_is_issued_makes_a_link() {
    let ca = ca(CLUSTER);
    for alg in [Alg::P256, Alg::P384, Alg::Ed25519] {
        let [a, b] = [A, B].map(|name| {
            let own = certificate(&ca, node_id(name), alg, NOW);
            Node::with(&ca, name, own, Setup::default())
        });
        link(&a, &b);
    }
}

#[test]
fn a_link_comes_up_one_byte_at_a_time() {
    let (a, b) = nodes();
    let pair = Pair::new(a.dial(B, keys("c", A, B)), b.accept(), keys("c", A, B));
    pair.run_cut(|_| 1).up();
}

#[test]
fn a_link_comes_up_when_the_bytes_are_held_up_anywhere() {
    let (a, b) = nodes();
    let new = || Pair::new(a.dial(B, keys("c", A, B)), b.accept(), keys("c", A, B));
    let honest = new().run();
    for at in (1..honest.sent.0.len() + honest.sent.1.len()).step_by(3) {
        let mut delivered = 0;
        let pair = new().run_cut(|n| {
            let whole = delivered >= at || delivered + n <= at;
            let now = if whole { n } else { at - delivered };
            delivered += now;
            now
        });
        pair.up();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn a_link_comes_up_however_the_bytes_are_cut(cuts in proptest::collection::vec(1usize..700, 1..40)) {
        let (a, b) = nodes();
        let mut cuts = cuts.iter().copied().cycle();
        let pair = Pair::new(a.dial(B, keys("c", A, B)), b.accept(), keys("c", A, B));
        pair.run_cut(|_| cuts.next().unwrap()).up();
    }
}

#[test]
fn data_right_behind_the_handshake_is_left_for_the_record_layer() {
    let (a, b) = nodes();
    let mut pair = Pair::new(a.dial(B, keys("c", A, B)), b.accept(), keys("c", A, B));
    let (mut to_client, mut to_server) = (vec![], vec![]);
    pair.client.advance(&mut vec![], &mut to_server);
    pair.server.advance(&mut to_server, &mut to_client);
    pair.client.advance(&mut to_client, &mut to_server);
    pair.server.advance(&mut to_server, &mut to_client);
    pair.server.prove(keys("c", A, B), &mut to_client);
    pair.client.advance(&mut to_client, &mut to_server);
    let (mut tx, ..) = pair.client.up().into_parts();
    to_server.extend(seal(&mut tx, b"first"));
    to_server.extend(&seal(&mut tx, b"second")[..7]); // not whole
    pair.server.advance(&mut to_server, &mut to_client);
    let (_, mut rx, ..) = pair.server.up().into_parts();
    assert_eq!(open(&mut rx, &mut to_server), b"first");
    assert_eq!(to_server.len(), 7);
}

#[test]
fn a_node_that_renews_its_key_after_every_record_still_gets_its_link() {
    let ca = ca(CLUSTER);
    let [a, b] = [A, B].map(|name| {
        let setup = Setup {
            limits: Limits {
                key_update_after: 1,
            },
            ..Setup::default()
        };
        Node::with(
            &ca,
            name,
            certificate(&ca, node_id(name), Alg::P256, NOW),
            setup,
        )
    });
    link(&a, &b);
}

#[test]
fn the_newest_common_key_is_used() {
    let (a, b) = nodes();
    let ring = |ids: &[u8]| -> Keys {
        ids.iter()
            .map(|i| (KeyId([*i; 8]), key(&format!("key {i}"), A, B)))
            .collect()
    };
    let (client, server) = Pair::new(a.dial(B, ring(&[4, 2, 1])), b.accept(), ring(&[3, 2, 1]))
        .run()
        .up();
    assert_eq!(client.info().key_id, KeyId([2; 8]));
    assert_eq!(server.info().key_id, KeyId([2; 8]));
}

#[test]
fn the_claim_says_who_it_is_before_any_key_is_used() {
    let (a, b) = nodes();
    let mut pair = Pair::new(a.dial(B, keys("c", A, B)), b.accept(), vec![]);
    pair.answer = None;
    let End::Claims(claimed) = pair.run().server else {
        panic!("no claim")
    };
    let claim = claimed.claim();
    assert_eq!((claim.name, claim.dynamic), (A.as_bytes(), false));
    assert_eq!(claim.key_ids, [KeyId::VM_COOKIE]);
    assert_eq!(claim.peer.identity(), &node_id(A));
}

#[test]
fn a_node_may_dial_under_a_name_derived_from_its_own() {
    let (ca, derived) = (ca(CLUSTER), "a_prelaunch_77@host1.example");
    let (a, b) = (Node::new(&ca, A), Node::new(&ca, B));
    let shared = || keys("c", derived, B);
    let (_, server) = Pair::new(a.dial_as(derived, B, shared()), b.accept(), shared())
        .run()
        .up();
    assert_eq!(server.info().peer_name, derived.as_bytes());
}

fn tool(ca: &merlon_pki::Issued) -> Node {
    let identity = Identity::cli(CLUSTER, "host1.example", "root").unwrap();
    let own = certificate(ca, identity, Alg::P256, NOW);
    Node::with(
        ca,
        TOOL,
        own,
        Setup {
            bind: tools(),
            ..Setup::default()
        },
    )
}

const TOOL: &str = "rabbitmqcli-12@host1.example";

fn tools() -> BindRules {
    BindRules::new::<&str>(&["rabbitmqcli-*"], &[]).unwrap()
}

#[test]
fn a_tool_may_take_a_dynamic_name_or_one_of_its_patterns() {
    let ca = ca(CLUSTER);
    let own = certificate(&ca, node_id(B), Alg::P256, NOW);
    let b = Node::with(
        &ca,
        B,
        own,
        Setup {
            bind: tools(),
            ..Setup::default()
        },
    );
    for (name, dynamic) in [(TOOL, false), ("@host1.example", true)] {
        let shared = || keys("c", name, B);
        let client = tool(&ca).dial_as(name, B, shared());
        let (_, server) = Pair::new(client, b.accept(), shared()).run().up();
        assert_eq!(
            (&server.info().peer_name[..], server.info().dynamic),
            (name.as_bytes(), dynamic)
        );
    }
}

#[test]
fn a_broker_may_dial_a_tool() {
    let ca = ca(CLUSTER);
    let own = certificate(&ca, node_id(B), Alg::P256, NOW);
    let b = Node::with(
        &ca,
        B,
        own,
        Setup {
            bind: tools(),
            ..Setup::default()
        },
    );
    let shared = || keys("c", B, TOOL);
    Pair::new(b.dial(TOOL, shared()), tool(&ca).accept(), shared())
        .run()
        .up();
}
