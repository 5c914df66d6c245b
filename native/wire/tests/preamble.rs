//! The preamble: one way to write each message, and nothing else is read.
#![allow(clippy::unwrap_used)]

use merlon_wire::preamble::{ClientProof, Hello, ServerProof, MAX_KEYS, MAX_MESSAGE, MAX_NAME};
use merlon_wire::Error;
use proptest::prelude::*;

fn hello(name: &[u8], keys: usize) -> Hello {
    Hello {
        name: name.to_vec(),
        key_ids: (0..keys).map(|i| [i as u8; 8]).collect(),
    }
}

fn server_proof(name: &[u8]) -> ServerProof {
    ServerProof {
        name: name.to_vec(),
        key_id: [7; 8],
        tag: [8; 32],
    }
}

fn bytes_of(hello: &Hello) -> Vec<u8> {
    let mut out = vec![];
    hello.encode(&mut out).unwrap();
    out
}

#[test]
fn the_bytes_on_the_wire_do_not_change_by_accident() {
    let expected = [&b"\x01\x01\x00\x03a@h\x02"[..], &[0; 8], &[1; 8]].concat();
    assert_eq!(bytes_of(&hello(b"a@h", 2)), expected);
    let mut out = b"before".to_vec();
    server_proof(b"b@h").encode(&mut out).unwrap();
    assert_eq!(
        out,
        [&b"before\x01\x02\x00\x03b@h"[..], &[7; 8], &[8; 32]].concat()
    );
    out.clear();
    ClientProof { tag: [9; 32] }.encode(&mut out).unwrap();
    assert_eq!(out, [&b"\x01\x03"[..], &[9; 32]].concat());
}

#[test]
fn the_longest_message_fits_its_bound() {
    let longest = bytes_of(&hello(&[b'x'; MAX_NAME], MAX_KEYS));
    assert_eq!(longest.len(), MAX_MESSAGE);
    assert!(Hello::decode(&longest).is_ok());
}

#[test]
fn a_cut_message_is_refused_at_every_byte() {
    let whole = bytes_of(&hello(b"node@host", 3));
    for end in 0..whole.len() {
        assert_eq!(Hello::decode(&whole[..end]), Err(Error::Cut), "{end} bytes");
    }
    let mut whole = vec![];
    server_proof(b"node@host").encode(&mut whole).unwrap();
    for end in 0..whole.len() {
        assert_eq!(
            ServerProof::decode(&whole[..end]),
            Err(Error::Cut),
            "{end} bytes"
        );
    }
    assert_eq!(ClientProof::decode(&[1, 3, 0, 0]), Err(Error::Cut));
}

#[test]
fn nothing_can_be_smuggled_after_a_message() {
    let mut message = bytes_of(&hello(b"a@h", 1));
    message.push(0);
    assert_eq!(Hello::decode(&message), Err(Error::Trailing { len: 1 }));
    let proof = [&[1, 3][..], &[0; 34]].concat();
    assert_eq!(ClientProof::decode(&proof), Err(Error::Trailing { len: 2 }));
}

#[test]
fn a_message_out_of_turn_or_of_another_version_is_refused() {
    let message = bytes_of(&hello(b"a@h", 1));
    assert_eq!(ServerProof::decode(&message), Err(Error::BadKind(1)));
    assert_eq!(ClientProof::decode(&message), Err(Error::BadKind(1)));
    assert_eq!(Hello::decode(b"\x01\x02\x00\x01a"), Err(Error::BadKind(2)));
    assert_eq!(
        Hello::decode(b"\x02\x01\x00\x01a"),
        Err(Error::BadVersion(2))
    );
    assert_eq!(Hello::decode(b"\x00"), Err(Error::BadVersion(0)));
    assert_eq!(Hello::decode(b""), Err(Error::Cut));
}

#[test]
fn a_name_longer_than_a_node_name_can_be_is_refused_before_it_is_kept() {
    for len in [0, MAX_NAME + 1, 70_000] {
        let name = vec![b'x'; len];
        let mut out = b"kept".to_vec();
        assert_eq!(
            hello(&name, 1).encode(&mut out),
            Err(Error::NameLength { len })
        );
        assert_eq!(
            server_proof(&name).encode(&mut out),
            Err(Error::NameLength { len })
        );
        assert_eq!(out, b"kept");
    }
    assert_eq!(
        Hello::decode(b"\x01\x01\x03\xfd"),
        Err(Error::NameLength { len: 1021 })
    );
    assert_eq!(
        ServerProof::decode(b"\x01\x02\x00\x00"),
        Err(Error::NameLength { len: 0 })
    );
}

#[test]
fn no_key_too_many_keys_or_one_key_twice_is_refused() {
    let mut out = vec![];
    for count in [0, MAX_KEYS + 1, 300] {
        assert_eq!(
            hello(b"a@h", count).encode(&mut out),
            Err(Error::KeyCount { count })
        );
    }
    let twice = Hello {
        name: b"a@h".to_vec(),
        key_ids: vec![[1; 8], [2; 8], [1; 8]],
    };
    assert_eq!(twice.encode(&mut out), Err(Error::RepeatedKey));
    assert!(out.is_empty());
    let start = b"\x01\x01\x00\x01a";
    assert_eq!(
        Hello::decode(&[&start[..], &[0]].concat()),
        Err(Error::KeyCount { count: 0 })
    );
    assert_eq!(
        Hello::decode(&[&start[..], &[17]].concat()),
        Err(Error::KeyCount { count: 17 })
    );
    let twice = [&start[..], &[2], &[5; 16]].concat();
    assert_eq!(Hello::decode(&twice), Err(Error::RepeatedKey));
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        name in prop::collection::vec(any::<u8>(), 1..=MAX_NAME),
        key_ids in prop::collection::hash_set(any::<[u8; 8]>(), 1..=MAX_KEYS),
        key_id: [u8; 8],
        tag: [u8; 32],
    ) {
        let hello = Hello { name: name.clone(), key_ids: key_ids.into_iter().collect() };
        prop_assert_eq!(Hello::decode(&bytes_of(&hello)), Ok(hello));
        let proof = ServerProof { name, key_id, tag };
        let mut out = vec![];
        proof.encode(&mut out).unwrap();
        prop_assert_eq!(ServerProof::decode(&out), Ok(proof));
    }

    #[test]
    fn what_is_read_could_not_have_been_written_otherwise(
        seed in prop::collection::vec(any::<u8>(), 0..200),
        kind in 0u8..5,
        name_len in 0u8..30,
        keys in 0u8..20,
    ) {
        let mut message = vec![1, kind, 0, name_len];
        message.extend(&seed);
        if let Some(count) = message.get_mut(4 + usize::from(name_len)) {
            *count = keys;
        }
        let mut again = vec![];
        if let Ok(hello) = Hello::decode(&message) {
            hello.encode(&mut again).unwrap();
        } else if let Ok(proof) = ServerProof::decode(&message) {
            proof.encode(&mut again).unwrap();
        } else if let Ok(proof) = ClientProof::decode(&message) {
            proof.encode(&mut again).unwrap();
        } else {
            return Ok(());
        }
        prop_assert_eq!(again, message);
    }
}
