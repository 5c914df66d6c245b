//! Control messages: one way to write each, nothing else is read, and what a peer sends is bounded.
#![allow(clippy::unwrap_used)]

use merlon_wire::control::{
    Certificate, KeyProof, Message, Stream, MAX_CERTIFICATES, MAX_MESSAGE, MAX_SIGNATURE,
    MAX_WAITING,
};
use merlon_wire::frame;
use merlon_wire::preamble::MAX_KEYS;
use merlon_wire::Error;
use proptest::prelude::*;

fn certificate<'a>(chain: &[&'a [u8]], signature: &'a [u8]) -> Message<'a> {
    Message::Certificate(Certificate {
        scheme: 0x0403,
        chain: chain.to_vec(),
        signature,
    })
}

fn keys(count: usize) -> Message<'static> {
    let proof = |i| KeyProof {
        key_id: [i as u8; 8],
        tag: [9; 32],
    };
    Message::Keys((0..count).map(proof).collect())
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&frame::head(message.len()).unwrap()[..], message].concat()
}

fn opened() -> Stream {
    let mut stream = Stream::default();
    stream.open();
    stream
}

#[test]
fn the_bytes_on_the_wire_do_not_change_by_accident() {
    let shown = certificate(&[b"leaf", b"ca"], b"sig").encode().unwrap();
    assert_eq!(shown, b"\x01\x04\x03\x02\x00\x04leaf\x00\x02ca\x00\x03sig");
    let proved = keys(2).encode().unwrap();
    let expected = [&[2, 2][..], &[0; 8], &[9; 32], &[1; 8], &[9; 32]].concat();
    assert_eq!(proved, expected);
    assert_eq!(Message::Ask.encode().unwrap(), [3]);
}

#[test]
fn a_message_cut_anywhere_or_with_more_behind_is_refused() {
    let messages = [
        certificate(&[b"leaf", b"ca"], b"sig"),
        keys(3),
        Message::Ask,
    ];
    for message in messages {
        let whole = message.encode().unwrap();
        assert_eq!(Message::decode(&whole), Ok(message));
        for end in 0..whole.len() {
            assert_eq!(Message::decode(&whole[..end]), Err(Error::BadControl));
        }
        let more = [&whole[..], &[0]].concat();
        assert_eq!(Message::decode(&more), Err(Error::BadControl));
    }
}

#[test]
fn a_kind_that_is_not_known_is_passed_over() {
    for kind in [0, 4, 255] {
        assert_eq!(
            Message::decode(&[kind, 1, 2, 3]),
            Ok(Message::Unknown(kind))
        );
    }
    assert_eq!(Message::Unknown(4).encode(), Err(Error::BadControl));
}

#[test]
fn what_is_beyond_its_bounds_is_neither_written_nor_read() {
    let (leaf, long) = (&b"leaf"[..], [1; MAX_SIGNATURE + 1]);
    let bad = [
        certificate(&[], b"sig"),
        certificate(&[leaf; MAX_CERTIFICATES + 1], b"sig"),
        certificate(&[b""], b"sig"),
        certificate(&[leaf], b""),
        certificate(&[leaf], &long),
        keys(0),
        keys(MAX_KEYS + 1),
        Message::Keys(
            [KeyProof {
                key_id: [1; 8],
                tag: [1; 32],
            }; 2]
                .to_vec(),
        ),
    ];
    for message in bad {
        assert_eq!(message.encode(), Err(Error::BadControl));
    }
    let twice = [&[2, 2][..], &[5; 80]].concat();
    for bytes in [
        &b""[..],
        b"\x01\x04\x03\x00\x00\x01s",
        b"\x01\x04\x03\x05\x00\x01a\x00\x01b\x00\x01c\x00\x01d\x00\x01e\x00\x01s",
        b"\x01\x04\x03\x01\x00\x00\x00\x01s",
        b"\x01\x04\x03\x01\x00\x01l\x00\x00",
        b"\x02\x00",
        &[&[2, 17][..], &[0; 17 * 40]].concat(),
        &twice,
    ] {
        assert_eq!(Message::decode(bytes), Err(Error::BadControl));
    }
    let most = &[1; MAX_MESSAGE / 4][..];
    assert_eq!(
        certificate(&[most; 4], b"s").encode(),
        Err(Error::BadControl)
    );
}

// ---- the stream ----

#[test]
fn messages_arrive_whole_however_they_are_cut() {
    let messages: [&[u8]; 4] = [b"one", b"", &[7; MAX_MESSAGE], b"two"];
    let bytes: Vec<u8> = messages.iter().flat_map(|m| framed(m)).collect();
    for step in [1, 7, 16_384, bytes.len()] {
        let mut stream = opened();
        let mut found = vec![];
        for part in bytes.chunks(step) {
            stream.push(part).unwrap();
            found.append(&mut stream.take());
        }
        assert_eq!(found, messages);
        assert!(stream.is_between() && stream.take().is_empty());
    }
}

#[test]
fn nothing_is_taken_before_the_link_is_up() {
    let mut stream = Stream::default();
    assert_eq!(stream.push(&framed(b"x")), Err(Error::EarlyControl));
    assert_eq!(stream.push(b""), Err(Error::EarlyControl));
    assert!(stream.take().is_empty());
}

#[test]
fn a_message_too_long_is_refused_by_its_head() {
    for len in [MAX_MESSAGE + 1, u32::MAX as usize] {
        let mut stream = opened();
        let head = frame::head(len).unwrap();
        assert_eq!(stream.push(&head), Err(Error::ControlTooLong { len }));
        assert!(stream.push(b"more").is_err(), "final");
    }
}

#[test]
fn more_messages_at_once_than_may_wait_are_a_flood() {
    let mut stream = opened();
    for _ in 0..MAX_WAITING {
        stream.push(&framed(b"x")).unwrap();
    }
    assert_eq!(stream.take().len(), MAX_WAITING);
    let flood = framed(b"").repeat(10_000);
    assert_eq!(stream.push(&flood), Err(Error::ControlFlood));
    assert_eq!(stream.take().len(), MAX_WAITING);
    assert_eq!(stream.push(&framed(b"x")), Err(Error::ControlFlood));
}

#[test]
fn a_message_that_is_not_whole_is_seen() {
    let mut stream = opened();
    stream.push(&framed(b"message")[..6]).unwrap();
    assert!(!stream.is_between());
}

proptest! {
    #[test]
    fn what_is_read_could_not_have_been_written_otherwise(
        seed in prop::collection::vec(any::<u8>(), 0..300),
        kind in 0u8..5,
        count in 0u8..6,
    ) {
        let short: Vec<u8> = seed.iter().map(|byte| byte % 4).collect();
        let headed = [&[kind, 4, 3, count][..], &short].concat();
        let listed = [&[kind, count][..], &seed].concat();
        for bytes in [&headed, &listed, &seed] {
            match Message::decode(bytes) {
                Ok(Message::Unknown(_)) | Err(_) => {}
                Ok(message) => prop_assert_eq!(&message.encode().unwrap(), bytes),
            }
        }
    }
}
