//! Record streams: only what was really sealed opens, in order, and the pieces in which it arrives make no
//! difference. Input: suite, piece size (2 bytes), then the stream.

use merlon_record::{
    Buffer, Content, ContentType, Limits, Rx, RxLimits, Suite, Tx, HEADER, MAX_CIPHERTEXT,
};

use super::{outcome, Target};

pub const TARGET: Target = Target {
    name: "record",
    corpus,
    run,
};

pub const SUITES: [Suite; 3] = [Suite::Aes128Gcm, Suite::Aes256Gcm, Suite::ChaCha20Poly1305];
const DATA: [&[u8]; 4] = [b"one", b"", b"three\0\0", &[4; 700]];

fn corpus() -> Vec<Vec<u8>> {
    let mut corpus = vec![];
    for (number, suite) in (0..).zip(SUITES) {
        for step in [1u16, 37, 1000] {
            let [high, low] = step.to_be_bytes();
            corpus.push([&[number, high, low], &wire(suite)[..]].concat());
        }
    }
    corpus
}

/// A whole stream: data and control, two key updates, close.
fn wire(suite: Suite) -> Vec<u8> {
    let mut out = Buffer::new();
    let mut tx = Tx::new(
        suite,
        &secret(suite),
        Limits {
            key_update_after: 3,
        },
    )
    .expect("a secret that fits");
    for data in DATA {
        tx.seal(ContentType::Control, data, &mut out)
            .expect("sealed");
        let mut packer = tx.packer(ContentType::ApplicationData, &mut out);
        packer.push(data).expect("sealed");
        packer.finish().expect("sealed");
    }
    tx.close_notify(&mut out).expect("sealed");
    out.into()
}

pub fn suite_of(number: u8) -> Suite {
    SUITES[usize::from(number) % SUITES.len()]
}

pub fn secret(suite: Suite) -> Vec<u8> {
    vec![7; suite.hash_len()]
}

pub fn receiver(suite: Suite) -> Rx {
    let limits = RxLimits {
        tickets: true,
        ..RxLimits::default()
    };
    Rx::new(suite, &secret(suite), limits).expect("a secret that fits")
}

fn run(input: &[u8]) -> u64 {
    match input {
        [suite, high, low, stream @ ..] => {
            run_wire(suite_of(*suite), u16::from_be_bytes([*high, *low]), stream)
        }
        _ => 0,
    }
}

/// What a stream amounted to, without borrowing from it.
#[derive(Debug, PartialEq, Eq, Hash)]
pub enum Event {
    Data(Vec<u8>),
    Lane(u8, Vec<u8>),
    Control(Vec<u8>),
    KeyUpdate(bool),
    Close,
    Ticket,
}

pub fn event(content: &Content<'_>) -> Event {
    match content {
        Content::Data(bytes) => Event::Data(bytes.to_vec()),
        Content::Lane(lane, bytes) => Event::Lane(lane.number(), bytes.to_vec()),
        Content::LastOnLane(lane, bytes) => Event::Lane(8 + lane.number(), bytes.to_vec()),
        Content::Control(bytes) => Event::Control(bytes.to_vec()),
        Content::KeyUpdate { requested } => Event::KeyUpdate(*requested),
        Content::Ticket => Event::Ticket,
        Content::CloseNotify => Event::Close,
    }
}

fn run_wire(suite: Suite, step: u16, stream: &[u8]) -> u64 {
    let whole = receive(suite, stream.len().max(1), stream);
    let pieces = receive(suite, usize::from(step).max(1), stream);
    assert!(
        whole.0.starts_with(&pieces.0) && pieces.0 == whole.0,
        "pieces make a difference"
    );
    assert_eq!(whole.1, pieces.1, "pieces make a difference to the error");
    let (sealed, _) = receive(suite, usize::MAX, &wire(suite));
    assert!(
        sealed.starts_with(&whole.0),
        "something opened that was never sealed"
    );
    outcome((suite as u8, whole.0.len(), whole.1))
}

/// Everything that opens, and the error's name at the end.
fn receive(suite: Suite, step: usize, stream: &[u8]) -> (Vec<Event>, Option<&'static str>) {
    let (mut rx, mut events, mut pending) = (receiver(suite), vec![], vec![]);
    for piece in stream.chunks(step) {
        pending.extend_from_slice(piece);
        let mut at = 0;
        loop {
            match rx.open(&mut pending[at..]) {
                Ok(None) => break,
                Ok(Some(opened)) => {
                    assert!(opened.consumed > HEADER && opened.consumed <= HEADER + MAX_CIPHERTEXT);
                    at += opened.consumed;
                    events.push(event(&opened.content));
                }
                Err(error) => {
                    assert_eq!(rx.open(&mut []), Err(error), "an error is final");
                    return (events, Some(error.code()));
                }
            }
        }
        pending.drain(..at);
        assert!(
            pending.len() < HEADER + MAX_CIPHERTEXT,
            "a whole record is not opened"
        );
    }
    (events, None)
}
