//! What a handshake costs. Run by hand: `cargo test --release -p merlon_tls --test cost -- --ignored --nocapture`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use std::time::Instant;

use common::*;
use merlon_pki::Alg;
use merlon_tls::Handshake;

const ROUNDS: u32 = 500;

fn micros(what: &str, mut run: impl FnMut()) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..5 {
        let start = Instant::now();
        for _ in 0..ROUNDS {
            run();
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS));
    }
    println!("{what}: {best:.1} us");
    best
}

#[test]
#[ignore = "a measurement"]
fn a_connection_is_cheap_to_begin() {
    let ca = ca(CLUSTER);
    for alg in [Alg::P256, Alg::Ed25519] {
        let [a, b] = [A, B].map(|name| {
            let own = certificate(&ca, node_id(name), alg, NOW);
            Node::with(&ca, name, own, Setup::default())
        });
        let dialled = micros("dial, without ClientHello", || {
            drop(a.dial(B, keys("c", A, B)))
        });
        let accepted = micros("accept, without ClientHello", || drop(b.accept()));
        let mut hello = vec![];
        first_flight(a.dial(B, keys("c", A, B)), &mut hello);
        micros("client: dial and ClientHello", || {
            first_flight(a.dial(B, keys("c", A, B)), &mut vec![]);
        });
        micros("server: from ClientHello to its flight", || {
            let _more = b.accept().advance(&mut hello.clone(), &mut vec![]).unwrap();
        });
        micros(&format!("{alg:?}: whole handshake, both sides"), || {
            drop(link(&a, &b))
        });
        assert!(
            dialled < 1000.0 && accepted < 1000.0,
            "a connection must be cheap to begin"
        );
    }
}

fn first_flight(handshake: Handshake, out: &mut Vec<u8>) {
    let _more = handshake.advance(&mut vec![], out).unwrap();
}
