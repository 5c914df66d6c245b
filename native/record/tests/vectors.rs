//! Bytes made by others: RFC 8448 section 3, and Python's `cryptography` for what that trace lacks
//! (KeyUpdate, AES-256, ChaCha20).
#![allow(clippy::unwrap_used, clippy::panic)]

mod twin;

use merlon_record::{Buffer, Content, ContentType, Error, Limits, RxLimits, Suite, Tx};
use twin::Twin;

const CLIENT_SECRET: &str = "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5";
const SERVER_SECRET: &str = "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643";

const CLIENT_DATA: &str = "
    17 03 03 00 43 a2 3f 70 54 b6 2c 94 d0 af fa fe 82 28 ba 55 cb ef ac ea 42 f9 14 aa 66 bc ab 3f
    2b 98 19 a8 a5 b4 6b 39 5b d5 4a 9a 20 44 1e 2b 62 97 4e 1f 5a 62 92 a2 97 70 14 bd 1e 3d ea e6
    3a ee bb 21 69 49 15 e4";
const CLIENT_CLOSE: &str =
    "17 03 03 00 13 c9 87 27 60 65 56 66 b7 4d 7f f1 15 3e fd 6d b6 d0 b0 e3";

const SERVER_TICKET: &str = "
    17 03 03 00 de 3a 6b 8f 90 41 4a 97 d6 95 9c 34 87 68 0d e5 13 4a 2b 24 0e 6c ff ac 11 6e 95 d4
    1d 6a f8 f6 b5 80 dc f3 d1 1d 63 c7 58 db 28 9a 01 59 40 25 2f 55 71 3e 06 1d c1 3e 07 88 91 a3
    8e fb cf 57 53 ad 8e f1 70 ad 3c 73 53 d1 6d 9d a7 73 b9 ca 7f 2b 9f a1 b6 c0 d4 a3 d0 3f 75 e0
    9c 30 ba 1e 62 97 2a c4 6f 75 f7 b9 81 be 63 43 9b 29 99 ce 13 06 46 15 13 98 91 d5 e4 c5 b4 06
    f1 6e 3f c1 81 a7 7c a4 75 84 00 25 db 2f 0a 77 f8 1b 5a b0 5b 94 c0 13 46 75 5f 69 23 2c 86 51
    9d 86 cb ee ac 87 aa c3 47 d1 43 f9 60 5d 64 f6 50 db 4d 02 3e 70 e9 52 ca 49 fe 51 37 12 1c 74
    bc 26 97 68 7e 24 87 46 d6 df 35 30 05 f3 bc e1 86 96 12 9c 81 53 55 6b 3b 6c 67 79 b3 7b f1 59
    85 68 4f";
const SERVER_DATA: &str = "
    17 03 03 00 43 2e 93 7e 11 ef 4a c7 40 e5 38 ad 36 00 5f c4 a4 69 32 fc 32 25 d0 5f 82 aa 1b 36
    e3 0e fa f9 7d 90 e6 df fc 60 2d cb 50 1a 59 a8 fc c4 9c 4b f2 e5 f0 a2 1c 00 47 c2 ab f3 32 54
    0d d0 32 e1 67 c2 95 5d";
const SERVER_CLOSE: &str =
    "17 03 03 00 13 b5 8f d6 71 66 eb f5 99 d2 47 20 cf be 7e fa 7a 88 64 a9";

fn hex(s: &str) -> Vec<u8> {
    let digits: Vec<u8> = s.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |p: &[u8]| u8::from_str_radix(std::str::from_utf8(p).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn payload() -> Vec<u8> {
    (0..50).collect()
}

fn tx(secret: &str) -> Tx {
    Tx::new(Suite::Aes128Gcm, &hex(secret), Limits::default()).unwrap()
}

fn rx(secret: &str, tickets: bool) -> Twin {
    let limits = RxLimits {
        tickets,
        ..RxLimits::default()
    };
    Twin::new(Suite::Aes128Gcm, &hex(secret), limits)
}

fn open<'a>(rx: &mut Twin, buf: &'a mut [u8]) -> Content<'a> {
    let len = buf.len();
    let opened = rx.open(buf).unwrap().unwrap();
    assert_eq!(opened.consumed, len);
    opened.content
}

#[test]
fn rfc_8448_the_clients_records_are_sealed_byte_for_byte() {
    let (mut tx, mut out) = (tx(CLIENT_SECRET), Buffer::new());
    let mut packer = tx.packer(ContentType::ApplicationData, &mut out);
    packer.push(&payload()[..20]).unwrap();
    packer.push(&payload()[20..]).unwrap();
    packer.finish().unwrap();
    assert_eq!(*out, hex(CLIENT_DATA));
    out.clear();
    tx.close_notify(&mut out).unwrap();
    assert_eq!(*out, hex(CLIENT_CLOSE));
}

#[test]
fn rfc_8448_a_record_sealed_from_another_place_is_the_same() {
    let mut out = Buffer::from(b"before".to_vec());
    tx(CLIENT_SECRET)
        .seal(ContentType::ApplicationData, &payload(), &mut out)
        .unwrap();
    assert_eq!(out[6..], hex(CLIENT_DATA));
}

#[test]
fn rfc_8448_the_clients_records_open() {
    let mut rx = rx(CLIENT_SECRET, false);
    assert_eq!(
        open(&mut rx, &mut hex(CLIENT_DATA)),
        Content::Data(&payload())
    );
    assert_eq!(open(&mut rx, &mut hex(CLIENT_CLOSE)), Content::CloseNotify);
    assert_eq!(rx.end_of_stream(0), Ok(()));
}

#[test]
fn rfc_8448_the_servers_records_open_its_ticket_first() {
    let mut rx = rx(SERVER_SECRET, true);
    assert_eq!(open(&mut rx, &mut hex(SERVER_TICKET)), Content::Ticket);
    assert_eq!(
        open(&mut rx, &mut hex(SERVER_DATA)),
        Content::Data(&payload())
    );
    assert_eq!(open(&mut rx, &mut hex(SERVER_CLOSE)), Content::CloseNotify);
    assert_eq!(rx.records(), 3);
}

#[test]
fn rfc_8448_the_servers_ticket_is_refused_where_none_is_welcome() {
    let refused = rx(SERVER_SECRET, false).open(&mut hex(SERVER_TICKET)).err();
    assert_eq!(refused, Some(Error::UnexpectedHandshake(4)));
}

#[test]
fn rfc_8448_a_record_of_one_direction_does_not_open_in_the_other() {
    let refused = rx(SERVER_SECRET, false).open(&mut hex(CLIENT_DATA)).err();
    assert_eq!(refused, Some(Error::BadRecordMac));
}

/// Data, KeyUpdate, data under the next key; secrets are the bytes 0, 1, 2...
#[test]
fn every_suite_and_its_key_update_agree_with_another_implementation() {
    let cases = [
        (
            Suite::Aes128Gcm,
            "1703030017486d9552c45878a183905a0cbbe1aab71757864929c665
             17030300164dfd3e1ead74511b35e8f6cf5680ab2d999bfb787a7b
             1703030017b7511d0a765ccde4a5e810e488e11c6315299f5b20980d",
        ),
        (
            Suite::Aes256Gcm,
            "170303001725520d507a63a1fa717f45033bf9d9d5b1d534558b659c
             1703030016851179f1c4580403b2c85916c30beb04d3e3ee8689dc
             170303001741f0d1ebe86888b2045012cffffe2739592a5753c8b942",
        ),
        (
            Suite::ChaCha20Poly1305,
            "1703030017dfcb1992681bad944df972a1eee90ed8c4739b6ae41e90
             170303001613b535db873aececff46a6bc21bc046f594dd505875a
             17030300177f6e43975dcfd10afdb9c10f692b689cd47454791b15b5",
        ),
    ];
    for (suite, stream) in cases {
        let secret: Vec<u8> = (0..suite.hash_len() as u8).collect();
        let (mut tx, mut out) = (
            Tx::new(suite, &secret, Limits::default()).unwrap(),
            Buffer::new(),
        );
        tx.seal(ContentType::ApplicationData, b"merlon", &mut out)
            .unwrap();
        tx.key_update(false, &mut out).unwrap();
        tx.seal(ContentType::ApplicationData, b"merlon", &mut out)
            .unwrap();
        assert_eq!(*out, hex(stream), "{suite:?}");

        let mut rx = Twin::new(suite, &secret, RxLimits::default());
        assert_eq!(open(&mut rx, &mut out[..28]), Content::Data(b"merlon"));
        assert_eq!(
            open(&mut rx, &mut out[28..55]),
            Content::KeyUpdate { requested: false }
        );
        assert_eq!(open(&mut rx, &mut out[55..]), Content::Data(b"merlon"));
    }
}
