//! Joining: who has no certificate, and who pretends to have a CA. Knock-outs seen here: join_pin, join_node, join_limit.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use std::sync::Arc;

use common::rogue::{certified, Rogue};
use common::*;
use merlon_pki::{pin_of, Alg, Identity, Issued};
use merlon_tls::{
    Failure, Handshake, Join, JoinEvent, JoinServer, Progress, ALPN, JOIN_ALPN, TO_SERVER_MAX,
};

fn chain(leaf: &Issued, ca: &Issued) -> String {
    format!("{}\n{}", leaf.cert_pem, ca.cert_pem)
}

fn server(ca: &Issued) -> Arc<JoinServer> {
    let own = certificate(ca, node_id(B), Alg::P256, NOW);
    let pin = pin_of(&ca.cert_pem).unwrap();
    Arc::new(JoinServer::new(&chain(&own, ca), &own.key_pem, &pin, NOW).unwrap())
}

fn client(ca: &Issued) -> Join {
    Join::dial(pin_of(&ca.cert_pem).unwrap(), NOW).unwrap()
}

/// Two sides and the bytes between them.
struct Wire {
    to_server: Vec<u8>,
    to_client: Vec<u8>,
}

fn wire() -> Wire {
    Wire {
        to_server: vec![],
        to_client: vec![],
    }
}

impl Wire {
    fn client(&mut self, join: &mut Join) -> Result<JoinEvent, Failure> {
        join.advance(&mut self.to_client, &mut self.to_server)
    }

    fn server(&mut self, join: &mut Join) -> Result<JoinEvent, Failure> {
        join.advance(&mut self.to_server, &mut self.to_client)
    }

    fn up(&mut self, client: &mut Join, server: &mut Join) {
        let (mut ups, mut turns) = (0, 0);
        while ups < 2 {
            for event in [self.client(client), self.server(server)] {
                ups += usize::from(matches!(event.expect("honest"), JoinEvent::Up));
            }
            turns += 1;
            assert!(turns < 10, "stuck");
        }
    }
}

fn session(ca: &Issued) -> (Join, Join, Wire) {
    let (mut client, mut wire) = (client(ca), wire());
    let mut server = Join::accept(&server(ca), NOW).unwrap();
    wire.up(&mut client, &mut server);
    (client, server, wire)
}

fn message(event: JoinEvent) -> Vec<u8> {
    match event {
        JoinEvent::Message(message) => message.to_vec(),
        other => panic!("no message: {other:?}"),
    }
}

/// A join client against a server with that chain; what the client made of it.
fn refused(ca: &Issued, shown: &Issued, root: &Issued) -> (Failure, Result<(), rustls::Error>) {
    let own = certified(&chain(shown, root), &shown.key_pem);
    let mut rogue = Rogue::server_without_client_auth(own, &[JOIN_ALPN]);
    let (mut client, mut wire) = (client(ca), wire());
    assert!(matches!(wire.client(&mut client), Ok(JoinEvent::More)));
    let hello = std::mem::take(&mut wire.to_server);
    rogue.exchange(&hello, &mut wire.to_client).unwrap();
    let failure = wire.client(&mut client).expect_err("refused");
    let told = rogue.exchange(&wire.to_server, &mut vec![]);
    (failure, told)
}

#[test]
fn both_sides_have_the_same_exporter_and_hear_each_other() {
    let ca = ca(CLUSTER);
    let (mut client, mut server, mut wire) = session(&ca);
    let (ours, theirs) = (client.exporter().unwrap(), server.exporter().unwrap());
    assert_eq!(ours.expose(), theirs.expose());
    let (peer, _root) = client.server().unwrap();
    assert_eq!(peer.identity(), &node_id(B));
    client.send(b"hello", &mut wire.to_server).unwrap();
    client.send(b"again", &mut wire.to_server).unwrap();
    assert_eq!(message(wire.server(&mut server).unwrap()), b"hello");
    assert_eq!(message(wire.server(&mut server).unwrap()), b"again");
    let long = vec![7; 1_000_000];
    server.send(&long, &mut wire.to_client).unwrap();
    assert_eq!(message(wire.client(&mut client).unwrap()), long);
}

#[test]
fn a_message_is_not_printed() {
    let event = JoinEvent::Message(b"keyring".to_vec().into());
    assert_eq!(format!("{event:?}"), "Message");
}

#[test]
fn each_session_has_an_exporter_of_its_own() {
    let ca = ca(CLUSTER);
    let ((one, _, _), (other, _, _)) = (session(&ca), session(&ca));
    assert_ne!(
        one.exporter().unwrap().expose(),
        other.exporter().unwrap().expose()
    );
}

#[test]
fn a_server_of_another_ca_is_refused_before_anything_is_shown() {
    let (ours, other) = (ca(CLUSTER), ca(CLUSTER));
    let shown = certificate(&other, node_id(B), Alg::P256, NOW);
    let (failure, told) = refused(&ours, &shown, &other);
    assert_eq!(failure.error.code(), "not_pinned");
    assert!(told.is_err());
    let (failure, _) = refused(&ours, &shown, &ours);
    assert_eq!(failure.error.code(), "unknown_issuer");
}

#[test]
fn a_server_that_is_a_tool_is_refused() {
    let ca = ca(CLUSTER);
    let tool = Identity::cli(CLUSTER, "host2.example", "eve").unwrap();
    let shown = certificate(&ca, tool, Alg::P256, NOW);
    let (failure, _) = refused(&ca, &shown, &ca);
    assert_eq!(failure.error.code(), "not_a_node");
    let own = JoinServer::new(
        &chain(&shown, &ca),
        &shown.key_pem,
        &pin_of(&ca.cert_pem).unwrap(),
        NOW,
    );
    assert_eq!(own.expect_err("not a node's").code(), "not_a_node");
}

#[test]
fn a_server_without_the_key_of_its_certificate_is_refused() {
    let ca = ca(CLUSTER);
    let shown = certificate(&ca, node_id(B), Alg::P256, NOW);
    let other = certificate(&ca, node_id(A), Alg::P256, NOW);
    let mixed = Issued {
        cert_pem: shown.cert_pem.clone(),
        key_pem: other.key_pem.clone(),
    };
    let (failure, _) = refused(&ca, &mixed, &ca);
    assert_eq!(failure.error.code(), "key_not_held");
}

#[test]
fn a_message_longer_than_allowed_ends_the_session() {
    let ca = ca(CLUSTER);
    let (mut client, mut server, mut wire) = session(&ca);
    client
        .send(&vec![1; TO_SERVER_MAX + 1], &mut wire.to_server)
        .unwrap();
    let failure = wire.server(&mut server).expect_err("too long");
    assert_eq!(failure.error.code(), "too_much");
    assert!(wire.client(&mut client).is_err(), "it is told");
}

#[test]
fn a_message_for_every_byte_runs_out_of_records() {
    let ca = ca(CLUSTER);
    let (mut client, mut server, mut wire) = session(&ca);
    for _ in 0..200 {
        client.send(b"x", &mut wire.to_server).unwrap();
    }
    let failure = loop {
        match wire.server(&mut server) {
            Ok(JoinEvent::Message(_)) => {}
            Ok(other) => panic!("{other:?}"),
            Err(failure) => break failure,
        }
    };
    assert_eq!(failure.error.code(), "too_much");
}

#[test]
fn garbage_is_refused() {
    let ca = ca(CLUSTER);
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[22, 3, 1, 0xff, 0xff],
        &[0; 64],
    ] {
        let mut server = Join::accept(&server(&ca), NOW).unwrap();
        let result = server.advance(&mut bytes.to_vec(), &mut vec![]);
        assert!(result.is_err(), "{bytes:?}");
    }
}

#[test]
fn nothing_can_be_said_before_tls_is_up() {
    let mut client = client(&ca(CLUSTER));
    let (mut out, early) = (vec![], b"early");
    assert!(client.send(early, &mut out).is_err());
    assert!(out.is_empty() && client.exporter().is_err());
}

/// What a listener for links and joins makes of a client without a certificate that offers these protocols.
fn listened(ca: &Issued, alpn: &[&[u8]], joins: bool) -> Result<Progress, Failure> {
    let node = Node::new(ca, B);
    let mut listener = match joins {
        true => Handshake::accept_joining(&node.local, &common::node(B), &server(ca), NOW),
        false => node.accept(),
    };
    let mut rogue = Rogue::client(None, alpn);
    let (mut to_server, mut to_client) = (vec![], vec![]);
    for _ in 0..4 {
        let _told = rogue.exchange(&std::mem::take(&mut to_client), &mut to_server);
        match listener.advance(&mut to_server, &mut to_client)? {
            Progress::More(more) => listener = more,
            other => return Ok(other),
        }
    }
    panic!("stuck");
}

#[test]
fn a_listener_takes_joins_only_where_that_is_asked_for() {
    let ca = ca(CLUSTER);
    assert!(matches!(
        listened(&ca, &[JOIN_ALPN], true),
        Ok(Progress::Join(_))
    ));
    let refused = listened(&ca, &[JOIN_ALPN], false).err().expect("refused");
    assert_eq!(refused.error.code(), "wrong_alpn");
}

#[test]
fn who_offers_a_link_too_must_have_a_certificate() {
    let ca = ca(CLUSTER);
    for alpn in [&[ALPN][..], &[ALPN, JOIN_ALPN], &[JOIN_ALPN, ALPN]] {
        let refused = listened(&ca, alpn, true).err().expect("refused");
        assert_eq!(refused.error.code(), "no_certificate");
    }
}

#[test]
fn a_join_that_a_listener_took_is_served_to_its_end() {
    let ca = ca(CLUSTER);
    let node = Node::new(&ca, B);
    let listener = Handshake::accept_joining(&node.local, &common::node(B), &server(&ca), NOW);
    let (mut client, mut wire) = (client(&ca), wire());
    wire.client(&mut client).unwrap();
    let Ok(Progress::Join(mut served)) = listener.advance(&mut wire.to_server, &mut wire.to_client)
    else {
        panic!("no join");
    };
    wire.up(&mut client, &mut served);
    client.send(b"hello", &mut wire.to_server).unwrap();
    assert_eq!(message(wire.server(&mut served).unwrap()), b"hello");
}

#[test]
fn a_node_of_links_is_no_server_of_joins() {
    let ca = ca(CLUSTER);
    let node = Node::new(&ca, B);
    let (mut client, mut wire) = (client(&ca), wire());
    wire.client(&mut client).unwrap();
    assert!(node
        .accept()
        .advance(&mut wire.to_server, &mut wire.to_client)
        .is_err());
    assert_eq!(
        wire.client(&mut client).expect_err("told").error.code(),
        "peer_alert"
    );
}
