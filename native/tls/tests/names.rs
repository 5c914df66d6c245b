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
use merlon_tls::{
    Failure, Handshake, Join, JoinEvent, Progress, ALPN, JOIN_ALPN, NAMES_ALPN, TO_KEEPER_MAX,
};

/// The keeper's side, before and after the ClientHello.
enum Keeper {
    Waiting(Handshake),
    Met(Box<Join>),
    Gone,
}

impl Keeper {
    fn advance(&mut self, input: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<JoinEvent, Failure> {
        match std::mem::replace(self, Self::Gone) {
            Self::Waiting(handshake) => match handshake.advance(input, out)? {
                Progress::More(handshake) => *self = Self::Waiting(handshake),
                Progress::Join(join) => {
                    *self = Self::Met(join);
                    return self.advance(input, out);
                }
                _ => panic!("the name service makes no links"),
            },
            Self::Met(mut join) => {
                let event = join.advance(input, out)?;
                *self = Self::Met(join);
                return Ok(event);
            }
            Self::Gone => panic!("it has failed"),
        }
        Ok(JoinEvent::More)
    }

    fn member(&self) -> Option<merlon_pki::Peer> {
        match self {
            Self::Met(join) => join.member(),
            Self::Waiting(_) | Self::Gone => None,
        }
    }
}

fn keeper(node: &Node) -> Keeper {
    Keeper::Waiting(Handshake::accept_names(&node.local, NOW))
}

fn asker(node: &Node) -> Join {
    Join::dial_names(&node.local, NOW).unwrap()
}

/// Both sides until each has come up, or the first failure.
fn up(
    client: &mut Join,
    server: &mut Keeper,
    wire: &mut (Vec<u8>, Vec<u8>),
) -> Result<(), Failure> {
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

/// What a stranger has from a port that is asked for these protocols: how long each record is that he is sent, and what he is
/// told once he has shown no certificate.
fn seen_by_stranger(port: Handshake, alpn: &[&[u8]]) -> (Vec<usize>, String) {
    let (mut rogue, mut wire) = (Rogue::client(None, alpn), (vec![], vec![]));
    rogue.exchange(&[], &mut wire.0).unwrap();
    let (mut port, mut lengths) = (port, vec![]);
    for _turn in 0..4 {
        let met = port.advance(&mut wire.0, &mut wire.1);
        let (next, failed) = match met {
            Ok(Progress::More(next)) => (Some(next), None),
            Ok(Progress::Join(mut join)) => {
                return joined(&mut join, &mut rogue, &mut wire, lengths)
            }
            Ok(_) => panic!("no certificate, and yet a link"),
            Err(failure) => (None, Some(failure)),
        };
        lengths.extend(records(&wire.1));
        let told = rogue.exchange(&std::mem::take(&mut wire.1), &mut wire.0);
        match (next, failed) {
            (Some(next), _) => port = next,
            (None, _) => return (lengths, format!("{:?}", told.expect_err("an alert"))),
        }
    }
    panic!("stuck")
}

fn joined(
    join: &mut Join,
    rogue: &mut Rogue,
    wire: &mut (Vec<u8>, Vec<u8>),
    mut lengths: Vec<usize>,
) -> (Vec<usize>, String) {
    for _turn in 0..4 {
        let failed = join.advance(&mut wire.0, &mut wire.1).is_err();
        lengths.extend(records(&wire.1));
        let told = rogue.exchange(&std::mem::take(&mut wire.1), &mut wire.0);
        if failed {
            return (lengths, format!("{:?}", told.expect_err("an alert")));
        }
    }
    panic!("stuck")
}

fn records(mut bytes: &[u8]) -> Vec<usize> {
    let mut lengths = vec![];
    while let [_, _, _, high, low, rest @ ..] = bytes {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        lengths.push(length);
        bytes = &rest[length..];
    }
    lengths
}

#[test]
fn a_stranger_can_not_tell_the_port_of_names_from_one_of_links() {
    // Its signatures are all of one length.
    let ca = ca(CLUSTER);
    let own = certificate(&ca, node_id(B), Alg::Ed25519, NOW);
    let node = Node::with(&ca, B, own, Setup::default());
    let offers: [&[&[u8]]; 8] = [
        &[],
        &[ALPN],
        &[NAMES_ALPN],
        &[JOIN_ALPN],
        &[b"h2"],
        &[NAMES_ALPN, ALPN],
        &[ALPN, NAMES_ALPN],
        &[b"h2", NAMES_ALPN],
    ];
    for alpn in offers {
        let links = seen_by_stranger(node.accept(), alpn);
        let names = seen_by_stranger(Handshake::accept_names(&node.local, NOW), alpn);
        assert_eq!(links, names, "{alpn:?}");
    }
}

#[test]
fn neither_port_serves_who_belongs_to_the_other() {
    let ca = ca(CLUSTER);
    let (a, b) = (
        certificate(&ca, node_id(A), Alg::P256, NOW),
        Node::new(&ca, B),
    );
    let own = || certified(&a.cert_pem, &a.key_pem);
    for (port, alpn) in [
        (b.accept(), NAMES_ALPN),
        (Handshake::accept_names(&b.local, NOW), ALPN),
    ] {
        let (mut rogue, mut wire) = (Rogue::client(Some(own()), &[alpn]), (vec![], vec![]));
        rogue.exchange(&[], &mut wire.0).unwrap();
        let Ok(Progress::More(port)) = port.advance(&mut wire.0, &mut wire.1) else {
            panic!("it shows its certificate first");
        };
        rogue
            .exchange(&std::mem::take(&mut wire.1), &mut wire.0)
            .unwrap();
        let failure = port
            .advance(&mut wire.0, &mut wire.1)
            .err()
            .expect("refused");
        assert_eq!(failure.error.code(), "wrong_alpn");
        assert!(rogue.exchange(&wire.1, &mut vec![]).is_err());
    }
}
