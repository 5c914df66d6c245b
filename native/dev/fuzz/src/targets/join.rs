//! Joining: whatever bytes come, no panic, bounded output, no session with another than a node of the pinned CA, and
//! where both sides come up, the same exporter and the same messages.
//!
//! The first byte says who is attacked: a server by bytes, a client by bytes, or both by alterations of what honest
//! peers send (4 bytes each, as in the target `tls`).

use std::sync::LazyLock;

use merlon_pki::{issue, new_ca, pin_of, Alg, Identity, NodeName, Request};
use merlon_tls::{Join, JoinEvent, JoinServer};

use super::{outcome, tls::on_the_wire, Target};

pub const TARGET: Target = Target {
    name: "join",
    corpus,
    run,
};

const NOW: u64 = 1_800_000_000;
const CLUSTER: &str = "prod.example";
const MAX_OUT: usize = 8192;

struct World {
    server: JoinServer,
    pin: [u8; 32],
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let ca = new_ca(CLUSTER, Alg::P256, NOW, 3650).expect("a CA");
    let pin = pin_of(&ca.cert_pem).expect("a pin");
    let node = NodeName::parse("b@host2.example").expect("a name");
    let request = Request {
        identity: Identity::node(CLUSTER, &node).expect("an identity"),
        alg: Alg::Ed25519,
        ips: vec![],
        days: 30,
    };
    let own = issue(&ca.cert_pem, &ca.key_pem, &request, NOW).expect("a certificate");
    let chain = format!("{}\n{}", own.cert_pem, ca.cert_pem);
    let server = JoinServer::new(&chain, &own.key_pem, &pin, NOW).expect("a server");
    World { server, pin }
});

fn dial() -> Join {
    Join::dial(WORLD.pin, NOW).expect("a client")
}

fn accept() -> Join {
    Join::accept(&WORLD.server, NOW).expect("a server")
}

fn corpus() -> Vec<Vec<u8>> {
    let honest = meet(&[]);
    assert!(matches!(
        (&honest.client, &honest.server),
        (End::Heard(_), End::Heard(_))
    ));
    let [from_client, from_server] = honest.sent;
    vec![
        [&[0], &from_client[..]].concat(),
        [&[1], &from_server[..]].concat(),
        b"\0GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![1, 21, 3, 3, 0, 2, 2, 40],
        vec![2],
        vec![2, 0, 0, 90, 1, 1, 1, 0, 1],
        vec![2, 2, 2, 1, 7, 4, 3, 200, 9, 7, 2, 0, 3],
    ]
}

fn run(input: &[u8]) -> u64 {
    let Some((kind, rest)) = input.split_first() else {
        return 0;
    };
    match kind % 3 {
        0 => attacked(accept(), rest),
        1 => attacked(dial(), rest),
        _ => altered(rest),
    }
}

fn attacked(mut join: Join, bytes: &[u8]) -> u64 {
    let (mut out, mut input) = (vec![], bytes.to_vec());
    let _hello = join.advance(&mut vec![], &mut out);
    let event = join.advance(&mut input, &mut out);
    assert!(out.len() <= MAX_OUT, "{} bytes in answer", out.len());
    match event {
        Ok(JoinEvent::More) => outcome((input.len().min(5), out.len() / 256)),
        Ok(_) => panic!("a session out of nothing"),
        Err(failure) => outcome((failure.error.to_string(), out.len() / 256)),
    }
}

fn altered(alterations: &[u8]) -> u64 {
    let met = meet(alterations);
    let exporters = [&met.client, &met.server].map(|end| match end {
        End::Heard(join) => join.exporter().ok(),
        _ => None,
    });
    if let [Some(ours), Some(theirs)] = &exporters {
        assert_eq!(ours.expose(), theirs.expose());
    }
    outcome((met.client.name(), met.server.name()))
}

struct Met {
    client: End,
    server: End,
    sent: [Vec<u8>; 2],
}

/// Both honest, with someone on the wire. Each says one thing as soon as it is up.
fn meet(alterations: &[u8]) -> Met {
    let (mut client, mut server) = (End::Going(dial()), End::Going(accept()));
    let mut sent = [vec![], vec![]];
    let (mut to_client, mut to_server) = (vec![], vec![]);
    for _ in 0..5 {
        let mut out = vec![];
        client.advance(&mut to_client, &mut out);
        to_server.extend(on_the_wire(alterations, 0, &mut sent[0], out));
        let mut out = vec![];
        server.advance(&mut to_server, &mut out);
        to_client.extend(on_the_wire(alterations, 1, &mut sent[1], out));
    }
    Met {
        client,
        server,
        sent,
    }
}

enum End {
    Going(Join),
    Heard(Join),
    Down(String),
}

impl End {
    fn advance(&mut self, input: &mut Vec<u8>, out: &mut Vec<u8>) {
        *self = match std::mem::replace(self, End::Down(String::new())) {
            End::Going(join) => Self::step(join, input, out),
            ended => ended,
        };
    }

    fn step(mut join: Join, input: &mut Vec<u8>, out: &mut Vec<u8>) -> End {
        match join.advance(input, out) {
            Ok(JoinEvent::More) => End::Going(join),
            Ok(JoinEvent::Up) => {
                join.send(b"the same for both", out).expect("up");
                End::Going(join)
            }
            Ok(JoinEvent::Message(message)) => {
                assert_eq!(&message[..], b"the same for both");
                End::Heard(join)
            }
            Err(failure) => End::Down(failure.error.to_string()),
        }
    }

    fn name(&self) -> String {
        match self {
            End::Going(_) => "waiting".to_owned(),
            End::Heard(_) => "heard".to_owned(),
            End::Down(why) => why.clone(),
        }
    }
}
