//! Two halves together: what is sent arrives, however it is cut, and keys change in time.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod twin;

use merlon_record::{
    sealed_len, Buffer, Content, ContentType, Error, Lane, Limits, Rx, RxLimits, Suite, Tx, HEADER,
    MAX_CIPHERTEXT, MAX_PLAINTEXT,
};
use proptest::prelude::*;
use twin::Twin;

const SUITES: [Suite; 3] = [Suite::Aes128Gcm, Suite::Aes256Gcm, Suite::ChaCha20Poly1305];

fn tx_after(suite: Suite, key_update_after: u64) -> Tx {
    Tx::new(
        suite,
        &vec![3; suite.hash_len()],
        Limits { key_update_after },
    )
    .unwrap()
}

fn rx(suite: Suite) -> Rx {
    Rx::new(suite, &vec![3; suite.hash_len()], RxLimits::default()).unwrap()
}

fn twin(suite: Suite) -> Twin {
    Twin::new(suite, &vec![3; suite.hash_len()], RxLimits::default())
}

fn pack(tx: &mut Tx, parts: &[&[u8]], out: &mut Buffer) {
    let mut packer = tx.packer(ContentType::ApplicationData, out);
    parts.iter().for_each(|part| packer.push(part).unwrap());
    packer.finish().unwrap();
}

/// All data of a stream that arrives in pieces of `step` bytes.
fn receive(rx: &mut Twin, wire: &[u8], step: usize) -> Vec<u8> {
    let (mut data, mut pending) = (vec![], vec![]);
    for piece in wire.chunks(step) {
        pending.extend_from_slice(piece);
        let mut at = 0;
        while let Some(opened) = rx.open(&mut pending[at..]).unwrap() {
            at += opened.consumed;
            match opened.content {
                Content::Data(bytes) => data.extend_from_slice(bytes),
                Content::CloseNotify => return data,
                _ => {}
            }
        }
        pending.drain(..at);
        assert!(pending.len() < HEADER + MAX_CIPHERTEXT);
    }
    assert!(pending.is_empty());
    data
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_sent_arrives_however_it_is_cut(
        suite in prop::sample::select(SUITES.to_vec()),
        lens in prop::collection::vec(0usize..40_000, 0..6),
        key_update_after in 1u64..6,
        step in 1usize..60_000,
    ) {
        let parts: Vec<Vec<u8>> = lens.iter().map(|len| (0..*len).map(|i| (i * 7) as u8).collect()).collect();
        let (mut tx, mut rx, mut wire) = (tx_after(suite, key_update_after), twin(suite), Buffer::new());
        for pair in parts.chunks(2) {
            let slices: Vec<&[u8]> = pair.iter().map(Vec::as_slice).collect();
            pack(&mut tx, &slices, &mut wire);
        }
        prop_assert_eq!(receive(&mut rx, &wire, step), parts.concat());
        prop_assert_eq!(rx.records(), tx.records());
        prop_assert_eq!(rx.key_updates(), tx.key_updates());
        prop_assert!(tx.key_updates() >= (tx.records() - tx.key_updates()).saturating_sub(1) / key_update_after);
        prop_assert!(!rx.in_place.wants_key_update() && !rx.apart.wants_key_update());
    }

    #[test]
    fn noise_never_panics_nor_opens(
        mut noise in prop::collection::vec(any::<u8>(), 0..600),
        header: bool,
    ) {
        if header && noise.len() >= HEADER {
            let len = (noise.len() - HEADER) as u16;
            noise[..3].copy_from_slice(&[23, 3, 3]);
            noise[3..HEADER].copy_from_slice(&len.to_be_bytes());
        }
        if let Ok(Some(_)) = twin(Suite::Aes128Gcm).open(&mut noise) {
            prop_assert!(false, "noise authenticated");
        }
    }
}

#[test]
fn a_stream_that_arrives_byte_by_byte_arrives() {
    let (mut tx, mut wire) = (tx_after(Suite::Aes128Gcm, 2), Buffer::new());
    let data: Vec<u8> = (0..40_000).map(|i| i as u8).collect();
    pack(&mut tx, &[&data], &mut wire);
    assert_eq!(receive(&mut twin(Suite::Aes128Gcm), &wire, 1), data);
}

#[test]
fn records_are_filled_to_the_brim_and_take_the_room_foretold() {
    for len in [
        0,
        1,
        MAX_PLAINTEXT - 1,
        MAX_PLAINTEXT,
        MAX_PLAINTEXT + 1,
        3 * MAX_PLAINTEXT,
    ] {
        let (mut tx, mut wire) = (tx_after(Suite::Aes128Gcm, 1000), Buffer::new());
        let data = vec![5; len];
        let (left, right) = data.split_at(len / 3);
        pack(&mut tx, &[left, &[], right], &mut wire);
        assert_eq!(tx.records() as usize, len.div_ceil(MAX_PLAINTEXT), "{len}");
        assert_eq!(wire.len(), sealed_len(len), "{len}");
    }
}

#[test]
fn packing_into_reserved_room_does_not_allocate() {
    let data = vec![5; 10 * MAX_PLAINTEXT];
    let mut wire = Buffer::with_capacity(sealed_len(data.len()));
    let (place, capacity) = (wire.as_ptr(), wire.capacity());
    pack(&mut tx_after(Suite::Aes128Gcm, 1000), &[&data], &mut wire);
    assert_eq!((wire.as_ptr(), wire.capacity()), (place, capacity));
}

#[test]
fn data_is_opened_where_it_lies() {
    let mut wire = Buffer::new();
    pack(
        &mut tx_after(Suite::Aes128Gcm, 1000),
        &[b"in place"],
        &mut wire,
    );
    let place = wire[HEADER..].as_ptr();
    let opened = rx(Suite::Aes128Gcm)
        .open(&mut wire)
        .unwrap()
        .unwrap()
        .content;
    assert!(
        matches!(opened, Content::Data(bytes) if bytes == b"in place" && bytes.as_ptr() == place)
    );
}

#[test]
fn a_packer_that_is_dropped_leaves_no_plaintext() {
    let mut tx = tx_after(Suite::Aes128Gcm, 1000);
    let mut out = Buffer::from(b"before".to_vec());
    let mut packer = tx.packer(ContentType::ApplicationData, &mut out);
    packer.push(b"a secret").unwrap();
    drop(packer);
    assert_eq!(*out, *b"before");
    let mut packer = tx.packer(ContentType::ApplicationData, &mut out);
    packer.push(&vec![1; MAX_PLAINTEXT + 9]).unwrap();
    drop(packer);
    assert_eq!(
        out.len(),
        6 + sealed_len(MAX_PLAINTEXT),
        "whole records stay"
    );
    assert_eq!(
        receive(&mut twin(Suite::Aes128Gcm), &out[6..], 99),
        vec![1; MAX_PLAINTEXT]
    );
}

#[test]
fn a_key_is_changed_before_its_limit_by_every_way_of_sending() {
    let mut tx = tx_after(Suite::Aes256Gcm, 2);
    let mut wire = Buffer::new();
    for _ in 0..3 {
        pack(&mut tx, &[b"a"], &mut wire);
        tx.seal(ContentType::Control, b"b", &mut wire).unwrap();
    }
    assert_eq!((tx.records(), tx.key_updates()), (8, 2));
    tx.close_notify(&mut wire).unwrap();
    assert_eq!((tx.records(), tx.key_updates()), (10, 3));
    assert_eq!(
        receive(&mut twin(Suite::Aes256Gcm), &wire[..], wire.len()),
        b"aaa"
    );
}

#[test]
fn a_peer_that_never_changes_its_key_is_asked_once_to() {
    let limits = RxLimits {
        ask_after: 2,
        ..RxLimits::default()
    };
    let mut rx = Rx::new(Suite::Aes128Gcm, &[3; 32], limits).unwrap();
    let mut tx = tx_after(Suite::Aes128Gcm, 1000);
    let mut asked = vec![];
    for _ in 0..4 {
        let mut wire = Buffer::new();
        pack(&mut tx, &[b"x"], &mut wire);
        rx.open(&mut wire).unwrap();
        asked.push(rx.wants_key_update());
    }
    assert_eq!(asked, [false, false, true, false]);
    let mut wire = Buffer::new();
    tx.key_update(false, &mut wire).unwrap();
    rx.open(&mut wire).unwrap();
    assert!(!rx.wants_key_update());
}

#[test]
fn a_requested_key_update_says_so() {
    for request in [false, true] {
        let mut wire = Buffer::new();
        tx_after(Suite::Aes128Gcm, 9)
            .key_update(request, &mut wire)
            .unwrap();
        let content = rx(Suite::Aes128Gcm)
            .open(&mut wire)
            .unwrap()
            .unwrap()
            .content;
        assert_eq!(content, Content::KeyUpdate { requested: request });
    }
}

/// Each record once from several slices, copied and sealed in place, and once from one slice.
#[test]
fn records_are_the_same_however_their_bytes_are_pushed() {
    let data: Vec<u8> = (0..50_000).map(|i| (i * 3) as u8).collect();
    for suite in SUITES {
        let (mut whole, mut parts) = (Buffer::new(), Buffer::new());
        pack(&mut tx_after(suite, 2), &[&data], &mut whole);
        let slices: Vec<&[u8]> = data.chunks(999).collect();
        pack(&mut tx_after(suite, 2), &slices, &mut parts);
        assert_eq!(*whole, *parts, "{suite:?}");
    }
}

#[test]
fn what_a_record_is_opened_to_can_be_kept_while_the_next_is_opened() {
    let (mut tx, mut rx, mut wire) = (tx_after(SUITES[0], 9), rx(SUITES[0]), Buffer::new());
    let data: Vec<u8> = (0..MAX_PLAINTEXT).map(|i| i as u8).collect();
    pack(&mut tx, &[&data, b"next"], &mut wire);
    let mut place = vec![0; rx.peek(&wire).unwrap()];
    let first = rx.open_to(&mut wire, &mut place).unwrap().unwrap();
    let next = rx.open(&mut wire[first.consumed..]).unwrap().unwrap();
    assert_eq!(first.content, Content::Data(&data));
    assert_eq!(next.content, Content::Data(b"next"));
}

#[test]
fn lanes_keep_apart_from_the_stream_and_from_each_other() {
    let (mut tx, mut wire) = (tx_after(Suite::Aes128Gcm, 9), Buffer::new());
    let lanes = [0, 7].map(|number| Lane::new(number).unwrap());
    for lane in lanes {
        let mut packer = tx.packer(ContentType::Lane(lane), &mut wire);
        packer.push(&[lane.number(); 5]).unwrap();
        packer.finish().unwrap();
    }
    let (mut twin, mut at) = (twin(Suite::Aes128Gcm), 0);
    for lane in lanes {
        let opened = twin.open(&mut wire[at..]).unwrap().unwrap();
        assert_eq!(opened.content, Content::Lane(lane, &[lane.number(); 5]));
        at += opened.consumed;
    }
}

#[test]
fn alerts_are_not_packed() {
    let (mut tx, mut out) = (tx_after(Suite::Aes128Gcm, 9), Buffer::new());
    for len in [1, MAX_PLAINTEXT] {
        let refused = tx.packer(ContentType::Alert, &mut out).push(&vec![0; len]);
        assert_eq!(refused, Err(Error::SealedAlert));
        assert!(out.is_empty());
    }
}

#[test]
fn control_messages_keep_apart_from_the_stream() {
    let (mut tx, mut wire) = (tx_after(Suite::Aes128Gcm, 9), Buffer::new());
    tx.seal(ContentType::Control, b"hello", &mut wire).unwrap();
    let content = rx(Suite::Aes128Gcm)
        .open(&mut wire)
        .unwrap()
        .unwrap()
        .content;
    assert_eq!(content, Content::Control(b"hello"));
}

#[test]
fn nothing_is_sent_after_an_alert() {
    for description in [0, 20] {
        let (mut tx, mut out) = (tx_after(Suite::Aes128Gcm, 9), Buffer::new());
        tx.alert(description, &mut out).unwrap();
        let sent = out.len();
        assert!(tx.is_closed());
        assert_eq!(
            tx.packer(ContentType::ApplicationData, &mut out).push(b"x"),
            Err(Error::Closed)
        );
        assert_eq!(
            tx.seal(ContentType::Control, b"x", &mut out),
            Err(Error::Closed)
        );
        assert_eq!(tx.key_update(false, &mut out), Err(Error::Closed));
        assert_eq!(tx.close_notify(&mut out), Err(Error::Closed));
        assert_eq!(tx.alert(20, &mut out), Err(Error::Closed));
        assert_eq!(out.len(), sent);
    }
}

#[test]
fn a_message_that_does_not_fit_leaves_no_trace() {
    let (mut tx, mut out) = (tx_after(Suite::Aes128Gcm, 9), Buffer::from(b"x".to_vec()));
    let len = MAX_PLAINTEXT + 1;
    let message = vec![0; len];
    assert_eq!(
        tx.seal(ContentType::Control, &message, &mut out),
        Err(Error::TooLong { len })
    );
    assert_eq!(
        tx.seal(ContentType::Alert, &[1, 0], &mut out),
        Err(Error::SealedAlert)
    );
    assert_eq!(*out, *b"x");
    tx.seal(ContentType::Control, &message[1..], &mut out)
        .unwrap();
}

#[test]
fn the_halves_can_live_on_two_threads_and_show_no_secret() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let shown = format!(
        "{:?} {:?}",
        is_send(tx_after(SUITES[0], 9)),
        is_send(rx(SUITES[0]))
    );
    assert!(
        !shown.contains("secret") && !shown.contains("iv") && !shown.contains("[3, 3"),
        "{shown}"
    );
}
