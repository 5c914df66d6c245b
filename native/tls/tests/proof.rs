//! Only nodes that share a secret get a link, and no proof is of use anywhere but where it was made.
//! Knock-out seen here: proof.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use common::rogue::{control, own, read_control, Rogue};
use common::*;
use merlon_pki::{Alg, Issued};
use merlon_record::{Buffer, Rx, Tx, HEADER, TAG};
use merlon_secret::{KeyId, Role};
use merlon_tls::{Error, Failure};
use merlon_wire::preamble::{ClientProof, Hello, ServerProof};
use proptest::prelude::*;

const ALERT_RECORD: usize = HEADER + 2 + 1 + TAG;

/// A rogue with a certificate that is good, stolen with its key.
struct Thief {
    rogue: Rogue,
    tx: Tx,
    rx: Rx,
    to_node: Vec<u8>,
    to_thief: Vec<u8>,
}

impl Thief {
    /// TLS is up between the thief and `end`, and its preamble is next.
    fn client(ca: &Issued, name: &str, end: &mut End) -> Self {
        let issued = certificate(ca, node_id(name), Alg::P256, NOW);
        Self::up(Rogue::client(own(&issued), &[b"merlon/1"]), end)
    }

    fn server(ca: &Issued, name: &str, end: &mut End) -> Self {
        let issued = certificate(ca, node_id(name), Alg::P256, NOW);
        Self::up(Rogue::server(own(&issued).unwrap(), &[b"merlon/1"]), end)
    }

    fn up(mut rogue: Rogue, end: &mut End) -> Self {
        let (mut to_node, mut to_thief) = (vec![], vec![]);
        while rogue.conn.is_handshaking() {
            end.advance(&mut to_node, &mut to_thief);
            while rogue.conn.is_handshaking() && !to_thief.is_empty() {
                let n = HEADER + usize::from(u16::from_be_bytes([to_thief[3], to_thief[4]]));
                let record: Vec<u8> = to_thief.drain(..n).collect();
                rogue.exchange(&record, &mut to_node).unwrap();
            }
            rogue.exchange(&[], &mut to_node).unwrap();
        }
        end.advance(&mut to_node, &mut to_thief);
        let (tx, rx) = rogue.halves();
        Self {
            rogue,
            tx,
            rx,
            to_node,
            to_thief,
        }
    }

    fn say(&mut self, message: &[u8], end: &mut End) {
        self.to_node.extend(control(&mut self.tx, message));
        end.advance(&mut self.to_node, &mut self.to_thief);
    }

    fn hear(&mut self) -> Vec<u8> {
        read_control(&mut self.rx, &mut self.to_thief)
    }

    /// The alert that the thief is told at last, all else being nothing.
    fn told(&mut self) -> u8 {
        assert_eq!(
            self.to_thief.len(),
            ALERT_RECORD,
            "an alert and nothing else"
        );
        match self.rx.open(&mut self.to_thief) {
            Err(merlon_record::Error::PeerAlert(description)) => description,
            other => panic!("no alert: {other:?}"),
        }
    }
}

fn encoded<E: std::fmt::Debug>(encode: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Vec<u8> {
    let mut out = vec![];
    encode(&mut out).unwrap();
    out
}

fn hello(name: &str) -> Vec<u8> {
    let hello = Hello {
        name: name.as_bytes().to_vec(),
        key_ids: vec![[0; 8]],
    };
    encoded(|m| hello.encode(m))
}

fn nodes() -> (Issued, Node, Node) {
    let ca = ca(CLUSTER);
    let (a, b) = (Node::new(&ca, A), Node::new(&ca, B));
    (ca, a, b)
}

#[test]
fn a_client_shows_no_proof_to_a_server_with_another_secret() {
    let (_, a, b) = nodes();
    let pair = Pair::new(
        a.dial(B, keys("right", A, B)),
        b.accept(),
        keys("wrong", A, B),
    )
    .run();
    let (sent, _) = &pair.sent;
    let tail = &sent[sent.len() - ALERT_RECORD..];
    assert_eq!(
        tail[..HEADER],
        [23, 3, 3, 0, 19],
        "an alert is the last that the client sends"
    );
    let (client, server) = (pair.client.down(), pair.server.down());
    assert!(matches!(client.error, Error::Proof), "{client}");
    assert_eq!(client.claimed.as_deref(), Some(B.as_bytes()));
    assert!(matches!(server.error, Error::ProofRefused), "{server}");
}

#[test]
fn a_server_that_guesses_gets_no_proof_of_the_client_to_check_guesses_by() {
    let (ca, a, _) = nodes();
    let mut client = End::Going(a.dial(B, keys("right", A, B)));
    let mut thief = Thief::server(&ca, B, &mut client);
    assert_eq!(thief.hear(), hello(A));
    let guess = key("guess", A, B).proof(
        Role::Server,
        &thief.rogue.exporter(),
        A.as_bytes(),
        B.as_bytes(),
    );
    let proof = ServerProof {
        name: B.as_bytes().to_vec(),
        key_id: [0; 8],
        tag: guess,
    };
    thief.say(&encoded(|m| proof.encode(m)), &mut client);
    assert_eq!(client.down().error.code(), "wrong_proof");
    assert_eq!(thief.told(), 49);
}

/// A client that takes the server's proof unseen and answers with `tag`.
fn answer_with(tag: impl FnOnce(&Rogue, &ServerProof) -> [u8; 32]) -> (Failure, u8) {
    let (ca, _, b) = nodes();
    let mut server = End::Going(b.accept());
    let mut thief = Thief::client(&ca, A, &mut server);
    thief.say(&hello(A), &mut server);
    server.prove(keys("right", A, B), &mut thief.to_thief);
    let proof = ServerProof::decode(&thief.hear()).unwrap();
    let tag = tag(&thief.rogue, &proof);
    thief.say(&encoded(|m| ClientProof { tag }.encode(m)), &mut server);
    (server.down(), thief.told())
}

#[test]
fn a_client_with_another_secret_is_refused_by_the_server() {
    let (failure, told) = answer_with(|rogue, _| {
        key("wrong", A, B).proof(Role::Client, &rogue.exporter(), A.as_bytes(), B.as_bytes())
    });
    assert_eq!((failure.error.code(), told), ("wrong_proof", 49));
    assert_eq!(failure.claimed.as_deref(), Some(A.as_bytes()));
    assert!(failure.peer.unwrap().verified);
}

#[test]
fn a_servers_proof_sent_back_to_it_is_refused() {
    let (failure, told) = answer_with(|_, proof| proof.tag);
    assert_eq!((failure.error.code(), told), ("wrong_proof", 49));
}

#[test]
fn a_proof_made_for_another_session_is_refused_by_the_server() {
    let (failure, told) = answer_with(|_, _| {
        key("right", A, B).proof(Role::Client, &[7; 32], A.as_bytes(), B.as_bytes())
    });
    assert_eq!((failure.error.code(), told), ("wrong_proof", 49));
}

#[test]
fn a_proof_made_between_other_nodes_is_refused_by_the_server() {
    let (failure, told) = answer_with(|rogue, _| {
        key("right", A, B).proof(Role::Client, &rogue.exporter(), B.as_bytes(), A.as_bytes())
    });
    assert_eq!((failure.error.code(), told), ("wrong_proof", 49));
}

#[test]
fn a_proof_that_is_relayed_between_two_honest_nodes_is_refused() {
    // a thief with stolen certificates of both stands between a and b, and passes on all that they say
    let (ca, a, b) = nodes();
    let mut client = End::Going(a.dial(B, keys("right", A, B)));
    let mut server = End::Going(b.accept());
    let mut towards_a = Thief::server(&ca, B, &mut client);
    let mut towards_b = Thief::client(&ca, A, &mut server);
    towards_b.say(&towards_a.hear(), &mut server);
    server.prove(keys("right", A, B), &mut towards_b.to_thief);
    towards_a.say(&towards_b.hear(), &mut client);
    assert_eq!(client.down().error.code(), "wrong_proof");
    assert_eq!(towards_a.told(), 49);
}

#[test]
fn nodes_without_a_common_key_learn_just_that() {
    let (_, a, b) = nodes();
    let one = |i: u8| vec![(KeyId([i; 8]), key("right", A, B))];
    for answer in [one(2), vec![]] {
        let pair = Pair::new(a.dial(B, one(1)), b.accept(), answer).run();
        let (client, server) = (pair.client.down(), pair.server.down());
        assert!(matches!(server.error, Error::NoCommonKey), "{server}");
        assert!(matches!(client.error, Error::PeerAlert(115)), "{client}");
    }
}

#[test]
fn a_server_that_picks_a_key_that_was_not_offered_is_refused() {
    let (ca, a, _) = nodes();
    let mut client = End::Going(a.dial(B, keys("right", A, B)));
    let mut thief = Thief::server(&ca, B, &mut client);
    thief.hear();
    let proof = ServerProof {
        name: B.as_bytes().to_vec(),
        key_id: [9; 8],
        tag: [0; 32],
    };
    thief.say(&encoded(|m| proof.encode(m)), &mut client);
    assert_eq!(
        (client.down().error.code(), thief.told()),
        ("no_common_key", 115)
    );
}

#[test]
fn a_server_that_calls_itself_another_node_is_refused() {
    let (ca, a, _) = nodes();
    let mut client = End::Going(a.dial(B, keys("right", A, B)));
    let mut thief = Thief::server(&ca, B, &mut client);
    thief.hear();
    let proof = ServerProof {
        name: b"c@host2.example".to_vec(),
        key_id: [0; 8],
        tag: [0; 32],
    };
    thief.say(&encoded(|m| proof.encode(m)), &mut client);
    let failure = client.down();
    assert_eq!((failure.error.code(), thief.told()), ("other_node", 49));
    assert_eq!(failure.claimed.as_deref(), Some(&b"c@host2.example"[..]));
}

#[test]
fn a_client_that_claims_no_name_at_all_is_refused() {
    let (ca, _, b) = nodes();
    for name in ["nobody", "a@b@c", "@", "\u{1}@host1.example"] {
        let mut server = End::Going(b.accept());
        let mut thief = Thief::client(&ca, A, &mut server);
        thief.say(&hello(name), &mut server);
        assert_eq!(
            (server.down().error.code(), thief.told()),
            ("bad_name", 49),
            "{name:?}"
        );
    }
}

#[test]
fn a_preamble_message_that_cannot_be_read_or_is_out_of_turn_is_refused() {
    let (ca, _, b) = nodes();
    let cut = hello(A).split_last().unwrap().1.to_vec();
    let out_of_turn = encoded(|m| ClientProof { tag: [0; 32] }.encode(m));
    for message in [vec![], cut, [hello(A), vec![0]].concat(), out_of_turn] {
        let mut server = End::Going(b.accept());
        let mut thief = Thief::client(&ca, A, &mut server);
        thief.say(&message, &mut server);
        let failure = server.down();
        assert!(matches!(failure.error, Error::Preamble(_)), "{failure}");
        assert_eq!(thief.told(), 50);
    }
}

#[test]
fn data_before_the_proof_is_refused() {
    let (ca, a, b) = nodes();
    let mut server = End::Going(b.accept());
    let mut thief = Thief::client(&ca, A, &mut server);
    thief.to_node.extend(seal(&mut thief.tx, b"early"));
    server.advance(&mut thief.to_node, &mut thief.to_thief);
    assert_eq!(
        (server.down().error.code(), thief.told()),
        ("early_data", 10)
    );

    let mut client = End::Going(a.dial(B, keys("right", A, B)));
    let mut thief = Thief::server(&ca, B, &mut client);
    thief.hear();
    thief.to_node.extend(seal(&mut thief.tx, b"early"));
    client.advance(&mut thief.to_node, &mut thief.to_thief);
    assert_eq!(
        (client.down().error.code(), thief.told()),
        ("early_data", 10)
    );
}

#[test]
fn data_sent_right_behind_the_hello_is_refused_when_the_proof_is_due() {
    let (ca, _, b) = nodes();
    let mut server = End::Going(b.accept());
    let mut thief = Thief::client(&ca, A, &mut server);
    let early = [
        control(&mut thief.tx, &hello(A)),
        seal(&mut thief.tx, b"early"),
    ]
    .concat();
    thief.to_node.extend(early);
    server.advance(&mut thief.to_node, &mut thief.to_thief);
    server.prove(keys("right", A, B), &mut thief.to_thief);
    thief.hear();
    server.advance(&mut thief.to_node, &mut thief.to_thief);
    assert_eq!(
        (server.down().error.code(), thief.told()),
        ("early_data", 10)
    );
}

#[test]
fn a_peer_that_only_renews_keys_is_cut_off() {
    let (ca, _, b) = nodes();
    let mut server = End::Going(b.accept());
    let mut thief = Thief::client(&ca, A, &mut server);
    let mut updates = Buffer::new();
    for _ in 0..100 {
        thief.tx.key_update(true, &mut updates).unwrap();
    }
    thief.to_node.extend_from_slice(&updates);
    server.advance(&mut thief.to_node, &mut thief.to_thief);
    assert_eq!(server.down().error.code(), "too_many_idle_records");
    assert!(thief.to_thief.len() < 4096, "and gets few answers");
}

#[test]
fn a_claim_can_be_refused_and_the_client_is_told() {
    let (_, a, b) = nodes();
    let mut pair = Pair::new(a.dial(B, keys("right", A, B)), b.accept(), vec![]);
    pair.answer = None;
    let mut pair = pair.run();
    let End::Claims(claimed) = std::mem::replace(&mut pair.server, End::Moving) else {
        panic!("no claim")
    };
    claimed.refuse(&mut pair.to_client);
    let pair = pair.run();
    assert!(matches!(pair.client.down().error, Error::PeerAlert(49)));
}

#[test]
fn a_failure_shows_no_secret() {
    // every traffic secret of the session, the exporter and the pair key's proofs: none is in what is logged
    let (ca, _, b) = nodes();
    let mut server = End::Going(b.accept());
    let mut thief = Thief::client(&ca, A, &mut server);
    let exporter = thief.rogue.exporter();
    thief.say(&hello(A), &mut server);
    server.prove(keys("right", A, B), &mut thief.to_thief);
    let tag = ServerProof::decode(&thief.hear()).unwrap().tag;
    thief.say(b"\x01\x03wrong", &mut server);
    let failure = server.down();
    let shown = format!("{failure} {failure:?}");
    for secret in thief
        .rogue
        .secrets()
        .iter()
        .chain([&exporter.to_vec(), &tag.to_vec()])
    {
        assert!(
            !shown.contains(&format!("{:?}", &secret[..4]).replace(['[', ']'], "")),
            "{shown}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn no_sequence_of_messages_stands_for_the_secret(
        messages in proptest::collection::vec(message(), 1..5),
        dialled: bool,
    ) {
        let (ca, a, b) = nodes();
        let mut end = if dialled { End::Going(b.accept()) } else { End::Going(a.dial(B, keys("right", A, B))) };
        let mut thief = if dialled { Thief::client(&ca, A, &mut end) } else { Thief::server(&ca, B, &mut end) };
        for message in messages {
            thief.say(&message, &mut end);
            end.prove(keys("right", A, B), &mut thief.to_thief);
        }
        prop_assert!(!matches!(end, End::Up(_)));
    }
}

/// Preamble messages, well formed or not.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let proof = any::<[u8; 32]>();
    prop_oneof![
        Just(hello(A)),
        any::<Vec<u8>>(),
        proof.prop_map(|tag| encoded(|m| ClientProof { tag }.encode(m))),
        proof.prop_map(|tag| {
            let (name, key_id) = (B.as_bytes().to_vec(), [0; 8]);
            encoded(|m| ServerProof { name, key_id, tag }.encode(m))
        }),
    ]
}
