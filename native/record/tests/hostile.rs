//! A peer or a network that does not keep to RFC 8446.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::precedence
)]

mod forge;
mod twin;

use forge::Forge;
use merlon_record::{
    Content, Error, Lane, RxLimits, Suite, HEADER, LANES, MAX_CIPHERTEXT, MAX_PLAINTEXT,
};
use twin::Twin;

const SECRET: [u8; 32] = [3; 32];
const KEY_UPDATE: [u8; 5] = [24, 0, 0, 1, 0];

fn pair() -> (Forge, Twin) {
    let limits = RxLimits {
        tickets: true,
        ..RxLimits::default()
    };
    let rx = Twin::new(Suite::Aes128Gcm, &SECRET, limits);
    (Forge::new(Suite::Aes128Gcm, &SECRET), rx)
}

fn error_of(rx: &mut Twin, mut record: Vec<u8>) -> Error {
    rx.open(&mut record).unwrap_err()
}

/// Opens a record that must be fine.
fn pass(rx: &mut Twin, mut record: Vec<u8>) {
    assert_eq!(
        rx.open(&mut record).unwrap().unwrap().consumed,
        record.len()
    );
}

fn inner_error(inner: &[u8]) -> Error {
    let (mut forge, mut rx) = pair();
    error_of(&mut rx, forge.inner(inner))
}

fn record_error(kind: u8, fragment: &[u8]) -> Error {
    inner_error(&[fragment, &[kind]].concat())
}

fn ticket(len: usize) -> Vec<u8> {
    [
        &[4, (len >> 16) as u8, (len >> 8) as u8, len as u8][..],
        &vec![9; len],
    ]
    .concat()
}

/// Turns red with `MERLON_KNOCKOUT=record_sequence`.
#[test]
fn knockout_record_sequence_a_replayed_reordered_or_dropped_record_is_refused() {
    let (mut forge, mut rx) = pair();
    let records = [forge.record(23, b"a"), forge.record(23, b"b")];
    pass(&mut rx, records[0].clone());
    assert_eq!(
        error_of(&mut rx, records[0].clone()),
        Error::BadRecordMac,
        "replayed"
    );
    assert_eq!(
        error_of(&mut pair().1, records[1].clone()),
        Error::BadRecordMac,
        "reordered"
    );
}

#[test]
fn a_record_with_any_bit_changed_is_refused() {
    let record = pair().0.record(23, b"data");
    for bit in 0..record.len() * 8 {
        let mut changed = record.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        changed.resize(HEADER + MAX_CIPHERTEXT, 0);
        assert!(pair().1.open(&mut changed).is_err(), "bit {bit}");
    }
}

#[test]
fn an_error_is_final() {
    let (mut forge, mut rx) = pair();
    let mut bad = forge.record(23, b"a");
    let good = bad.clone();
    bad[9] ^= 1;
    assert_eq!(error_of(&mut rx, bad), Error::BadRecordMac);
    assert_eq!(error_of(&mut rx, good), Error::BadRecordMac);
    assert_eq!(rx.end_of_stream(0), Err(Error::Truncated { leftover: 0 }));
}

#[test]
fn a_bad_header_is_refused_as_soon_as_it_shows() {
    let cases: [(&[u8], Error); 6] = [
        (&[20], Error::BadOuterType(20)),
        (&[22, 3, 3], Error::BadOuterType(22)),
        (&[23, 2], Error::BadVersion(0x0200)),
        (&[23, 3, 1], Error::BadVersion(0x0301)),
        (&[23, 3, 3, 0x41, 0x01], Error::Overflow { len: 16_641 }),
        (&[23, 3, 3, 0xff, 0xff], Error::Overflow { len: 65_535 }),
    ];
    for (header, error) in cases {
        assert_eq!(error_of(&mut pair().1, header.to_vec()), error);
    }
}

#[test]
fn a_record_that_is_not_whole_is_waited_for_and_kept_as_it_is() {
    let (mut forge, mut rx) = pair();
    let record = forge.record(23, b"patience");
    for end in 0..record.len() {
        let mut part = record[..end].to_vec();
        assert_eq!(rx.open(&mut part), Ok(None));
        assert_eq!(part, record[..end]);
    }
    pass(&mut rx, record);
}

#[test]
fn a_record_too_short_for_its_tag_is_refused() {
    for len in 0..16u8 {
        let record = [&[23, 3, 3, 0, len], &vec![0; usize::from(len)][..]].concat();
        assert_eq!(error_of(&mut pair().1, record), Error::BadRecordMac);
    }
}

#[test]
fn padding_is_stripped_and_padding_alone_is_refused() {
    let (mut forge, mut rx) = pair();
    let mut record = forge.inner(&[&b"data\0\0"[..], &[23], &[0; 300]].concat());
    assert_eq!(
        rx.open(&mut record).unwrap().unwrap().content,
        Content::Data(b"data\0\0")
    );
    assert_eq!(inner_error(&[]), Error::NoContentType);
    assert_eq!(inner_error(&[0; 40]), Error::NoContentType);
}

#[test]
fn a_plaintext_longer_than_a_record_may_carry_is_refused() {
    let (mut forge, mut rx) = pair();
    pass(&mut rx, forge.record(23, &[1; MAX_PLAINTEXT]));
    assert_eq!(
        record_error(23, &[1; MAX_PLAINTEXT + 1]),
        Error::Overflow {
            len: MAX_PLAINTEXT + 2
        }
    );
    let padded = [&b"a"[..], &[23], &[0; MAX_PLAINTEXT]].concat();
    assert_eq!(
        inner_error(&padded),
        Error::Overflow {
            len: MAX_PLAINTEXT + 2
        }
    );
}

#[test]
fn content_that_has_no_business_after_the_handshake_is_refused() {
    for kind in [1, 20, 24, 25, 26, 0xDF, 0xF1, 0xFF] {
        assert_eq!(record_error(kind, b"x"), Error::UnexpectedType(kind));
    }
    for message in [0, 1, 2, 5, 8, 11, 13, 15, 20, 254] {
        assert_eq!(
            record_error(22, &[message, 0, 0, 0]),
            Error::UnexpectedHandshake(message)
        );
        assert_eq!(
            record_error(22, &[message]),
            Error::UnexpectedHandshake(message)
        );
    }
}

#[test]
fn a_peers_alert_ends_the_stream_whatever_its_level() {
    for (level, description) in [(2, 40), (1, 40), (1, 90), (7, 255)] {
        let (mut forge, mut rx) = pair();
        let error = Error::PeerAlert(description);
        assert_eq!(
            error_of(&mut rx, forge.record(21, &[level, description])),
            error
        );
        assert_eq!(error.alert(), None);
        assert_eq!(error_of(&mut rx, forge.record(23, b"more")), error);
        assert!(rx.end_of_stream(0).is_err());
    }
    for malformed in [&[][..], &[2], &[1, 0, 0], &[1, 0, 1, 0]] {
        assert_eq!(record_error(21, malformed), Error::BadAlert);
    }
}

#[test]
fn a_stream_that_is_cut_is_not_taken_for_a_whole_one() {
    let (mut forge, mut rx) = pair();
    assert_eq!(rx.end_of_stream(0), Err(Error::Truncated { leftover: 0 }));
    pass(&mut rx, forge.record(23, b"data"));
    assert_eq!(rx.end_of_stream(7), Err(Error::Truncated { leftover: 7 }));
    pass(&mut rx, forge.record(21, &[1, 0]));
    assert_eq!(rx.end_of_stream(0), Ok(()));
    assert_eq!(error_of(&mut rx, forge.record(23, b"after")), Error::Closed);
    assert_eq!(
        rx.end_of_stream(9),
        Ok(()),
        "what follows a close does not count"
    );
}

#[test]
fn a_key_update_changes_the_key_and_the_old_one_is_dead() {
    let (mut forge, mut rx) = pair();
    pass(&mut rx, forge.record(22, &KEY_UPDATE));
    let old = forge.record(23, b"old key");
    forge.update();
    pass(&mut rx, forge.record(23, b"new key"));
    assert_eq!(error_of(&mut rx, old), Error::BadRecordMac);
    assert_eq!(rx.key_updates(), 1);
}

#[test]
fn a_key_update_that_is_malformed_or_misplaced_is_refused() {
    assert_eq!(record_error(22, &[24, 0, 0, 1, 2]), Error::BadKeyUpdate);
    assert_eq!(record_error(22, &[24, 0, 0, 0]), Error::BadKeyUpdate);
    assert_eq!(record_error(22, &[24, 0, 0, 2, 0, 0]), Error::BadKeyUpdate);
    for end in 1..KEY_UPDATE.len() {
        assert_eq!(
            record_error(22, &KEY_UPDATE[..end]),
            Error::MisplacedKeyUpdate,
            "spans records"
        );
    }
    let twice = [KEY_UPDATE, KEY_UPDATE].concat();
    assert_eq!(record_error(22, &twice), Error::MisplacedKeyUpdate);
    let before_ticket = [&KEY_UPDATE[..], &ticket(9)].concat();
    assert_eq!(record_error(22, &before_ticket), Error::MisplacedKeyUpdate);
    assert_eq!(record_error(22, &[]), Error::BrokenHandshake);
}

#[test]
fn tickets_are_let_pass_whole_or_in_parts_even_before_a_key_update() {
    let (mut forge, mut rx) = pair();
    pass(&mut rx, forge.record(22, &[ticket(40), ticket(0)].concat()));
    let stream = [ticket(300), ticket(9), KEY_UPDATE.to_vec()].concat();
    for part in [&stream[..1], &stream[1..3], &stream[3..310]] {
        let mut record = forge.record(22, part);
        assert_eq!(
            rx.open(&mut record).unwrap().unwrap().content,
            Content::Ticket
        );
    }
    let mut record = forge.record(22, &stream[310..]);
    let content = rx.open(&mut record).unwrap().unwrap().content;
    assert_eq!(content, Content::KeyUpdate { requested: false });
    forge.update();
    pass(&mut rx, forge.record(23, b"data"));
}

#[test]
fn a_ticket_cut_by_other_content_is_refused() {
    for (kind, fragment) in [
        (23, &b"data"[..]),
        (21, &[1, 0]),
        (0xE0, b"lane"),
        (0xF0, b"control"),
    ] {
        let (mut forge, mut rx) = pair();
        pass(&mut rx, forge.record(22, &ticket(100)[..50]));
        assert_eq!(
            error_of(&mut rx, forge.record(kind, fragment)),
            Error::BrokenHandshake
        );
    }
}

#[test]
fn a_ticket_too_long_to_be_kept_is_refused_at_its_head() {
    let len = MAX_PLAINTEXT - 3;
    assert_eq!(
        record_error(22, &ticket(len)[..4]),
        Error::HandshakeTooLong { len }
    );
    assert_eq!(
        record_error(22, &[4, 0xff, 0xff, 0xff]),
        Error::HandshakeTooLong { len: 0xff_ffff }
    );
    let (mut forge, mut rx) = pair();
    let longest = ticket(len - 1);
    assert_eq!(longest.len(), MAX_PLAINTEXT);
    pass(&mut rx, forge.record(22, &longest[..5000]));
    pass(&mut rx, forge.record(22, &longest[5000..]));
}

#[test]
fn a_peer_that_sends_nothing_but_empty_records_is_cut_off() {
    let kinds: [fn(&mut Forge) -> Vec<u8>; 5] = [
        |f| f.record(23, b""),
        |f| f.record(0xE7, b""),
        |f| f.record(0xF0, b""),
        |f| f.record(22, &ticket(1)),
        update,
    ];
    for idle in kinds {
        let (mut forge, mut rx) = pair();
        for _ in 0..3 {
            (0..32).for_each(|_| pass(&mut rx, idle(&mut forge)));
            pass(&mut rx, forge.record(23, b"x"));
        }
        (0..32).for_each(|_| pass(&mut rx, idle(&mut forge)));
        assert_eq!(error_of(&mut rx, idle(&mut forge)), Error::TooManyIdle);
    }
}

#[test]
fn every_lane_arrives_as_itself() {
    let (mut forge, mut rx) = pair();
    for number in 0..LANES {
        let lane = Lane::new(number).unwrap();
        let mut record = forge.record(0xE0 + number, b"bytes");
        let content = rx.open(&mut record).unwrap().unwrap().content;
        assert_eq!(content, Content::Lane(lane, b"bytes"));
        let mut record = forge.record(0xE8 + number, b"and last");
        let content = rx.open(&mut record).unwrap().unwrap().content;
        assert_eq!(content, Content::LastOnLane(lane, b"and last"));
    }
}

/// Turns red when the place's length is not checked before the key is used: the second try would fail.
#[test]
fn a_place_too_small_is_refused_and_costs_nothing() {
    let (mut forge, mut rx) = pair();
    let mut record = forge.inner(&[&b"data"[..], &[23], &[0; 5]].concat());
    assert_eq!(rx.apart.peek(&record), Some(10));
    for room in [0, 4, 9] {
        let mut dest = vec![0xAA; room];
        let refused = rx.apart.open_to(&mut record, &mut dest);
        assert_eq!(refused, Err(Error::NoRoom { len: 10 }));
        assert_eq!(dest, vec![0xAA; room]);
    }
    pass(&mut rx, record);
}

#[test]
fn a_peek_tells_of_good_headers_only() {
    let (mut forge, rx) = pair();
    let record = forge.record(23, b"data");
    for end in 0..HEADER {
        assert_eq!(rx.apart.peek(&record[..end]), None);
    }
    assert_eq!(rx.apart.peek(&record[..HEADER]), Some(5));
    for header in [
        [22, 3, 3, 0, 99],
        [23, 3, 1, 0, 99],
        [23, 3, 3, 0xff, 0xff],
        [23, 3, 3, 0, 15],
    ] {
        assert_eq!(rx.apart.peek(&header), None);
    }
}

#[test]
fn a_half_that_has_stopped_says_why_whatever_the_place() {
    let (mut forge, mut rx) = pair();
    pass(&mut rx, forge.record(21, &[1, 0]));
    let mut record = forge.record(23, b"after");
    assert_eq!(rx.apart.peek(&record), None);
    assert_eq!(rx.apart.open_to(&mut record, &mut []), Err(Error::Closed));
}

fn update(forge: &mut Forge) -> Vec<u8> {
    let record = forge.record(22, &KEY_UPDATE);
    forge.update();
    record
}

#[test]
fn every_fault_of_a_peer_has_an_alert_to_answer_with() {
    let faults = [
        (Error::BadOuterType(20), 10),
        (Error::BadVersion(0), 70),
        (Error::Overflow { len: 1 }, 22),
        (Error::BadRecordMac, 20),
        (Error::NoContentType, 10),
        (Error::UnexpectedType(1), 10),
        (Error::BadAlert, 50),
        (Error::UnexpectedHandshake(1), 10),
        (Error::BrokenHandshake, 10),
        (Error::HandshakeTooLong { len: 1 }, 10),
        (Error::BadKeyUpdate, 47),
        (Error::MisplacedKeyUpdate, 10),
        (Error::TooManyIdle, 10),
    ];
    for (error, alert) in faults {
        assert_eq!(error.alert(), Some(alert), "{error}");
    }
}

/// Turns red with `MERLON_KNOCKOUT=foreign_types`.
#[test]
fn knockout_foreign_types_records_of_merlon_are_refused_of_a_peer_of_another_carrier() {
    let limits = RxLimits {
        ours: false,
        ..RxLimits::default()
    };
    for kind in (0xE0..=0xF0).chain([24]) {
        let mut rx = Twin::new(Suite::Aes128Gcm, &SECRET, limits);
        let record = Forge::new(Suite::Aes128Gcm, &SECRET).inner(&[b'x', kind]);
        assert_eq!(error_of(&mut rx, record), Error::UnexpectedType(kind));
    }
    let mut rx = Twin::new(Suite::Aes128Gcm, &SECRET, limits);
    pass(
        &mut rx,
        Forge::new(Suite::Aes128Gcm, &SECRET).inner(&[b'x', 23]),
    );
}
