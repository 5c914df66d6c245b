//! The name service's sessions: who gets one, and who is shown nothing. Knock-outs seen here: names_keeper, peer_chain.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use common::rogue::{certified, Rogue};
use common::*;
use merlon_pki::{Alg, Identity, Issued};
use merlon_tls::{Failure, Join, JoinEvent, ALPN, NAMES_ALPN, TO_KEEPER_MAX};

fn keeper(node: &Node) -> Join {
    Join::accept_names(&node.local, NOW).unwrap()
}

fn asker(node: &Node) -> Join {
    Join::dial_names(&node.local, NOW).unwrap()
}

/// Both sides until each has come up, or the first failure.
fn up(client: &mut Join, server: &mut Join, wire: &mut (Vec<u8>, Vec<u8>)) -> Result<(), Failure> {
    let mut ups = 0;
    for _turn in 0..10 {
        let events = [
            client.advance(&mut wire.1, &mut wire.0)?,
            server.advance(&mut wire.0, &mut wire.1)?,
        ];
        ups += events.iter().filter(|e| matches!(e, JoinEvent::Up)).count();
    }
    assert_eq!(ups, 2, "stuck");
    Ok(())
}

fn tool(ca: &Issued) -> Node {
    let id = Identity::cli(CLUSTER, "host1.example", "mallory").unwrap();
    let own = certificate(ca, id, Alg::P256, NOW);
    Node::with(ca, A, own, Setup::default())
}

#[test]
fn both_sides_know_each_other_and_talk() {
    let ca = ca(CLUSTER);
    let (a, b) = (Node::new(&ca, A), Node::new(&ca, B));
    let (mut client, mut server, mut wire) = (asker(&a), keeper(&b), (vec![], vec![]));
    assert!(client.member().is_none() && server.member().is_none());
    up(&mut client, &mut server, &mut wire).expect("honest");
    assert_eq!(client.member().unwrap().identity(), &node_id(B));
    assert_eq!(server.member().unwrap().identity(), &node_id(A));
    client.send(b"where", &mut wire.0).unwrap();
    match server.advance(&mut wire.0, &mut wire.1).unwrap() {
        JoinEvent::Message(message) => assert_eq!(&message[..], b"where"),
        other => panic!("no message: {other:?}"),
    }
    client
        .send(&vec![7; TO_KEEPER_MAX + 1], &mut wire.0)
        .unwrap();
    let failure = server.advance(&mut wire.0, &mut wire.1).unwrap_err();
    assert_eq!(failure.error.code(), "too_much");
}

#[test]
fn a_tool_may_ask() {
    let ca = ca(CLUSTER);
    let (mut client, mut server) = (asker(&tool(&ca)), keeper(&Node::new(&ca, B)));
    up(&mut client, &mut server, &mut (vec![], vec![])).expect("honest");
    let member = server.member().unwrap();
    assert!(matches!(member.identity(), Identity::Cli { .. }));
}

#[test]
fn an_asker_of_another_ca_is_refused() {
    let (ours, other) = (ca(CLUSTER), ca(CLUSTER));
    let own = certificate(&other, node_id(A), Alg::P256, NOW);
    let (mut client, mut server) = (
        asker(&Node::with(&ours, A, own, Setup::default())),
        keeper(&Node::new(&ours, B)),
    );
    let failure = up(&mut client, &mut server, &mut (vec![], vec![])).expect_err("refused");
    assert_eq!(failure.error.code(), "unknown_issuer");
    assert!(server.member().is_none());
}

#[test]
fn a_keeper_of_another_ca_is_shown_nothing() {
    let (ours, other) = (ca(CLUSTER), ca(CLUSTER));
    let shown = certificate(&other, node_id(B), Alg::P256, NOW);
    assert_eq!(refusal(&ours, &shown).error.code(), "unknown_issuer");
}

#[test]
fn a_keeper_that_is_a_tool_is_shown_nothing() {
    let ca = ca(CLUSTER);
    let id = Identity::cli(CLUSTER, "host2.example", "mallory").unwrap();
    let shown = certificate(&ca, id, Alg::P256, NOW);
    assert_eq!(refusal(&ca, &shown).error.code(), "not_a_node");
}

/// What an asker made of a keeper with that certificate, to which it must show none of its own.
fn refusal(ca: &Issued, shown: &Issued) -> Failure {
    let mut rogue = Rogue::server_without_client_auth(
        certified(&shown.cert_pem, &shown.key_pem),
        &[NAMES_ALPN],
    );
    let (mut client, mut wire) = (asker(&Node::new(ca, A)), (vec![], vec![]));
    client.advance(&mut wire.1, &mut wire.0).unwrap();
    rogue
        .exchange(&std::mem::take(&mut wire.0), &mut wire.1)
        .unwrap();
    let failure = client
        .advance(&mut wire.1, &mut wire.0)
        .expect_err("refused");
    assert!(rogue.exchange(&wire.0, &mut vec![]).is_err());
    failure
}

#[test]
fn a_client_of_links_gets_no_session() {
    let ca = ca(CLUSTER);
    let (a, b) = (Node::new(&ca, A), Node::new(&ca, B));
    let (mut hello, mut answer) = (vec![], vec![]);
    let keys = keys("cookie", A, B);
    let dial = a.dial(B, keys).advance(&mut vec![], &mut hello);
    assert!(dial.is_ok());
    let failure = keeper(&b).advance(&mut hello, &mut answer).unwrap_err();
    assert_eq!(failure.error.code(), "wrong_alpn");
    assert_ne!(NAMES_ALPN, ALPN);
}
