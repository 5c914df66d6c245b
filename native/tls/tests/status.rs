//! The status page's sessions: who gets one. Knock-outs seen here: status_tool.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use std::io::{Read, Write};

use common::rogue::{certified, Rogue};
use common::*;
use merlon_pki::{Alg, Identity, Issued};
use merlon_tls::{Failure, Join, JoinEvent, ALPN, STATUS_ALPN};

/// A browser, with that certificate or none; and the node.
struct Visit {
    client: Rogue,
    server: Join,
    wire: (Vec<u8>, Vec<u8>),
}

impl Visit {
    fn new(ca: &Issued, own: Option<&Issued>, alpn: &[&[u8]]) -> Self {
        Self::at(NOW, ca, own, alpn)
    }

    fn at(now: u64, ca: &Issued, own: Option<&Issued>, alpn: &[&[u8]]) -> Self {
        let own = own.map(|own| certified(&own.cert_pem, &own.key_pem));
        Self {
            client: Rogue::client(own, alpn),
            server: Join::accept_status(&Node::new(ca, A).local, now).unwrap(),
            wire: (vec![], vec![]),
        }
    }

    /// Until nobody has anything to say; what the server made of it last.
    fn go(&mut self) -> Result<JoinEvent, Failure> {
        for _turn in 0..5 {
            let said = std::mem::take(&mut self.wire.1);
            let _its_alerts_are_ours = self.client.exchange(&said, &mut self.wire.0);
            match self.server.advance(&mut self.wire.0, &mut self.wire.1)? {
                JoinEvent::More => {}
                event => return Ok(event),
            }
        }
        Ok(JoinEvent::More)
    }
}

fn tool(ca: &Issued) -> Issued {
    let id = Identity::cli(CLUSTER, "host1.example", "alice").unwrap();
    certificate(ca, id, Alg::P256, NOW)
}

fn refused(ca: &Issued, own: Option<&Issued>, alpn: &[&[u8]]) -> &'static str {
    let mut visit = Visit::new(ca, own, alpn);
    let failure = visit.go().expect_err("refused");
    assert!(visit.server.member().is_none());
    failure.error.code()
}

#[test]
fn a_tool_talks_with_the_node_in_whatever_pieces() {
    let ca = ca(CLUSTER);
    let mut visit = Visit::new(&ca, Some(&tool(&ca)), &[b"h2", STATUS_ALPN]);
    assert!(matches!(visit.go(), Ok(JoinEvent::Up)));
    let viewer = visit.server.member().unwrap();
    assert!(matches!(viewer.identity(), Identity::Cli { .. }));
    for piece in [&b"GET / HT"[..], b"TP/1.1\r\n", b"\r\n"] {
        visit.client.conn.writer().write_all(piece).unwrap();
        match visit.go().unwrap() {
            JoinEvent::Message(message) => assert_eq!(&message[..], piece),
            other => panic!("no bytes: {other:?}"),
        }
    }
    visit
        .server
        .send(b"HTTP/1.1 200 OK", &mut visit.wire.1)
        .unwrap();
    assert!(matches!(visit.go(), Ok(JoinEvent::More)));
    let mut read = [0; 64];
    let n = visit.client.conn.reader().read(&mut read).unwrap();
    assert_eq!(&read[..n], b"HTTP/1.1 200 OK");
}

#[test]
fn a_nodes_certificate_gets_no_session() {
    let ca = ca(CLUSTER);
    let own = certificate(&ca, node_id(B), Alg::P256, NOW);
    assert_eq!(refused(&ca, Some(&own), &[STATUS_ALPN]), "not_a_tool");
}

#[test]
fn who_is_nobody_of_the_cluster_gets_no_session() {
    let (ours, other) = (ca(CLUSTER), ca(CLUSTER));
    assert_eq!(refused(&ours, None, &[STATUS_ALPN]), "no_certificate");
    let theirs = tool(&other);
    assert_eq!(
        refused(&ours, Some(&theirs), &[STATUS_ALPN]),
        "unknown_issuer"
    );
    let mut late = Visit::at(NOW + 31 * DAY, &ours, Some(&tool(&ours)), &[STATUS_ALPN]);
    assert_eq!(late.go().expect_err("refused").error.code(), "expired");
}

#[test]
fn who_does_not_speak_http_1_1_gets_no_session() {
    let ca = ca(CLUSTER);
    let own = tool(&ca);
    for alpn in [&[][..], &[&b"h2"[..]], &[ALPN]] {
        assert_eq!(refused(&ca, Some(&own), alpn), "wrong_alpn");
    }
}

#[test]
fn a_flood_of_small_records_ends_the_session() {
    let ca = ca(CLUSTER);
    let mut visit = Visit::new(&ca, Some(&tool(&ca)), &[STATUS_ALPN]);
    assert!(matches!(visit.go(), Ok(JoinEvent::Up)));
    let failure = (0..300).find_map(|_| {
        visit.client.conn.writer().write_all(b"x").unwrap();
        visit.go().err()
    });
    assert_eq!(failure.expect("a limit").error.code(), "too_much");
}
