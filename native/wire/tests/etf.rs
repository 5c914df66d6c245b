//! External terms: what the scanner lets in, what it refuses, and why. Whether the VM agrees is asked by
//! test/erlang/merlon_term_prop_tests.erl.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use merlon_wire::etf::{scan, survey, unpack, Budget, Counts, Kind, Limit, Refusal};
use merlon_wire::Error;
use miniz_oxide::deflate::compress_to_vec_zlib;
use proptest::prelude::*;
use std::borrow::Cow;

const KINDS: [Kind; 5] = [
    Kind::Funs,
    Kind::Exports,
    Kind::Pids,
    Kind::Ports,
    Kind::Refs,
];

const OPEN: Budget = Budget::UNLIMITED;

fn term(parts: &[&[u8]]) -> Vec<u8> {
    [&[131], parts.concat().as_slice()].concat()
}

fn zipped(inner: &[u8], claimed: u32) -> Vec<u8> {
    let zlib = compress_to_vec_zlib(inner, 6);
    [&[131, 80], &claimed.to_be_bytes()[..], &zlib].concat()
}

fn refusal(term: &[u8], budget: &Budget) -> Refusal {
    match scan(term, budget).unwrap_err() {
        Error::Term(refusal) => refusal,
        other => unreachable!("{other}"),
    }
}

fn over(what: Limit, max: u64) -> Refusal {
    Refusal::Over { what, max }
}

/// A term of each tag, and one that has most of them.
fn corpus() -> Vec<Vec<u8>> {
    let node = b"\x77\x03a@b";
    let terms: Vec<Vec<u8>> = vec![
        b"a\x07".to_vec(),
        b"b\0\0\0\x07".to_vec(),
        [&b"F"[..], &1.5f64.to_be_bytes()].concat(),
        [&b"c"[..], &[b'1'; 31]].concat(),
        b"d\0\x04true".to_vec(),
        b"s\x04true".to_vec(),
        b"v\0\x04true".to_vec(),
        b"w\x04true".to_vec(),
        b"h\x02a\x01j".to_vec(),
        b"i\0\0\0\x01j".to_vec(),
        b"k\0\x03abc".to_vec(),
        b"l\0\0\0\x01jj".to_vec(),
        b"m\0\0\0\x02ab".to_vec(),
        b"M\0\0\0\x01\x03\xa0".to_vec(),
        b"n\x02\x01ab".to_vec(),
        b"o\0\0\0\x02\x01ab".to_vec(),
        b"t\0\0\0\x01a\x01j".to_vec(),
        [b"g", &node[..], &[0; 9]].concat(),
        [b"X", &node[..], &[0; 12]].concat(),
        [b"f", &node[..], &[0; 5]].concat(),
        [b"Y", &node[..], &[0; 8]].concat(),
        [b"x", &node[..], &[0; 12]].concat(),
        [b"e", &node[..], &[0; 5]].concat(),
        [b"r\0\x03", &node[..], &[0; 13]].concat(),
        [b"Z\0\x05", &node[..], &[0; 24]].concat(),
        b"qw\x01mw\x01fa\x02".to_vec(),
        [
            &b"p"[..],
            &[0; 25],
            b"\0\0\0\x01w\x01ma\0b\0\0\0\0g",
            node,
            &[0; 9],
            b"j",
        ]
        .concat(),
    ];
    let whole = terms.iter().map(|inner| term(&[inner]));
    let all = term(&[b"h", &[terms.len() as u8], &terms.concat()]);
    let zip = zipped(&all[1..], all.len() as u32 - 1);
    whole.clone().chain([all, zip]).collect()
}

#[test]
fn every_tag_is_known() {
    for term in corpus() {
        assert!(scan(&term, &OPEN).is_ok(), "{term:?}");
    }
}

#[test]
fn a_cut_term_is_refused_at_every_byte() {
    for term in corpus() {
        for end in 0..term.len() {
            assert!(scan(&term[..end], &OPEN).is_err(), "{end} of {term:?}");
        }
    }
}

#[test]
fn a_byte_more_is_refused() {
    for whole in corpus() {
        let more = [&whole[..], &[106]].concat();
        assert_eq!(refusal(&more, &OPEN), Refusal::Trailing { bytes: 1 });
    }
    assert_eq!(
        refusal(&zipped(b"jj", 2), &OPEN),
        Refusal::Trailing { bytes: 1 }
    );
}

#[test]
fn kinds_are_let_in_one_by_one() {
    let node = b"\x77\x03a@b";
    let terms = [
        corpus()[26].clone(),
        term(&[b"qw\x01mw\x01fa\x02"]),
        term(&[b"X", node, &[0; 12]]),
        term(&[b"x", node, &[0; 12]]),
        term(&[b"Z\0\x05", node, &[0; 24]]),
    ];
    for (kind, bytes) in KINDS.into_iter().zip(terms) {
        let (none, alone) = (!kind.bit(), kind.bit());
        let with = |allow| Budget { allow, ..OPEN };
        assert_eq!(refusal(&bytes, &with(none)), Refusal::NotAllowed(kind));
        assert!(scan(&bytes, &with(alone)).is_ok(), "{kind:?}");
    }
    assert_eq!(refusal(b"\x83y\0\0\0\0j", &OPEN), Refusal::Local);
}

#[test]
fn each_limit_is_held() {
    let cases = [
        (
            Budget { bytes: 2, ..OPEN },
            term(&[b"a\x07"]),
            over(Limit::Bytes, 2),
        ),
        (
            Budget { terms: 3, ..OPEN },
            term(&[b"k\0\x03abc"]),
            over(Limit::Terms, 3),
        ),
        (
            Budget { terms: 2, ..OPEN },
            term(&[b"h\x02jj"]),
            over(Limit::Terms, 2),
        ),
        (
            Budget { depth: 1, ..OPEN },
            term(&[b"h\x01h\x01j"]),
            over(Limit::Depth, 1),
        ),
        (
            Budget { binary: 1, ..OPEN },
            term(&[b"m\0\0\0\x02ab"]),
            over(Limit::Binary, 1),
        ),
        (
            Budget { binary: 1, ..OPEN },
            term(&[b"M\0\0\0\x02\x01ab"]),
            over(Limit::Binary, 1),
        ),
        (
            Budget { bignum: 1, ..OPEN },
            term(&[b"n\x02\0ab"]),
            over(Limit::Bignum, 1),
        ),
        (
            Budget {
                inflated: 1,
                ..OPEN
            },
            zipped(b"a\x01", 2),
            over(Limit::Inflated, 1),
        ),
        (
            Budget {
                inflated: 0,
                ..OPEN
            },
            zipped(b"j", 1),
            over(Limit::Inflated, 0),
        ),
        (
            Budget { range: 5, ..OPEN },
            range(1, 6),
            over(Limit::Range, 5),
        ),
    ];
    for (budget, term, why) in cases {
        assert_eq!(refusal(&term, &budget), why);
        assert!(scan(&term, &OPEN).is_ok());
    }
}

fn range(first: u8, last: u8) -> Vec<u8> {
    let struct_ = b"w\x0a__struct__w\x0cElixir.Range";
    let ends = [b"w\x04lasta", &[last][..], b"w\x05firsta", &[first]].concat();
    term(&[b"t\0\0\0\x03", struct_, &ends])
}

#[test]
fn what_is_counted() {
    let inner = b"l\0\0\0\x02h\x02a\x01m\0\0\0\x03abck\0\x02xyj";
    let counts = Counts {
        bytes: 24,
        terms: 8,
        depth: 2,
        binary: 3,
        ..Counts::default()
    };
    assert_eq!(scan(&term(&[inner]), &OPEN).unwrap(), counts);
    let zip = zipped(inner, 23);
    let (bytes, inflated) = (zip.len() as u64, 23);
    let counts = Counts {
        bytes,
        inflated,
        ..counts
    };
    assert_eq!(scan(&zip, &OPEN).unwrap(), counts);
}

#[test]
fn a_claimed_size_is_not_believed() {
    let inner = [b"m\0\x01\0\0".as_slice(), &[0; 65536]].concat();
    let right = inner.len() as u32;
    assert!(scan(&zipped(&inner, right), &OPEN).is_ok());
    for claimed in [right - 1, 5, 40_000] {
        assert!(scan(&zipped(&inner, claimed), &OPEN).is_err(), "{claimed}");
    }
    let mut wrong = zipped(b"j", 1);
    assert!(scan(&wrong, &OPEN).is_ok());
    *wrong.last_mut().unwrap() ^= 1;
    assert_eq!(refusal(&wrong, &OPEN), Refusal::Zlib);
}

#[test]
fn what_is_unpacked_is_what_was_scanned() {
    for bytes in corpus().into_iter().filter(|bytes| bytes[1] != 80) {
        assert!(matches!(unpack(&bytes, &OPEN), Ok(Cow::Borrowed(same)) if same == bytes));
        let zip = zipped(&bytes[1..], bytes.len() as u32 - 1);
        assert!(matches!(unpack(&zip, &OPEN), Ok(Cow::Owned(same)) if same == bytes));
    }
    let long = term(&[b"m\0\x0F\xFF\xFB", &[7; 0xF_FFFB]]);
    let zip = zipped(&long[1..], 0x10_0000);
    assert_eq!(unpack(&zip, &OPEN).unwrap(), long);
}

/// The same lies, found out as soon.
#[test]
fn what_is_kept_is_not_believed_either() {
    let inner = [b"m\0\x01\0\0".as_slice(), &[0; 65536]].concat();
    let right = inner.len() as u32;
    for claimed in [right - 1, right + 1, 5, 6, 40_000] {
        let zip = zipped(&inner, claimed);
        assert_eq!(unpack(&zip, &OPEN).err(), scan(&zip, &OPEN).err());
    }
    let budget = Budget {
        inflated: 65540,
        ..OPEN
    };
    let why = unpack(&zipped(&inner, right), &budget).unwrap_err();
    assert_eq!(why, Error::Term(over(Limit::Inflated, 65540)));
    let budget = Budget { bytes: 9, ..OPEN };
    let why = unpack(&zipped(&inner, right), &budget).unwrap_err();
    assert_eq!(why, Error::Term(over(Limit::Bytes, 9)));
}

/// Its first match points at a byte before the first: at the version byte, if that were part of what was inflated.
#[test]
fn nothing_before_the_first_byte_can_be_copied() {
    // A block with fixed codes: "h", then 3 bytes from 2 back, and the end.
    let mut bits = Bits::default();
    bits.push(0b011, 3);
    bits.code(0x30 + u16::from(b'h'), 8);
    bits.code(1, 7);
    bits.code(1, 5);
    bits.code(0, 7);
    let checksum = [0x04, 0x80, 0x01, 0xD7];
    let zip = [
        &[131, 80, 0, 0, 0, 4, 0x78, 0x9C],
        &bits.bytes[..],
        &checksum,
    ]
    .concat();
    assert_eq!(unpack(&zip, &OPEN).unwrap_err(), Error::Term(Refusal::Zlib));
}

/// Bits as deflate packs them: numbers from the lowest bit on, codes from the highest.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    fn push(&mut self, value: u16, count: u32) {
        for at in 0..count {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            *self.bytes.last_mut().unwrap() |= ((value >> at & 1) as u8) << (self.used % 8);
            self.used += 1;
        }
    }

    fn code(&mut self, code: u16, count: u32) {
        self.push(code.reverse_bits() >> (16 - count), count);
    }
}

/// At the window in which it shows, not when all is inflated.
#[test]
fn a_lie_about_the_size_is_seen_before_the_end() {
    let inner = [b"m\0\0\0\x01x".as_slice(), &[0; 90_000]].concat();
    let mut lie = zipped(&inner, 6);
    *lie.last_mut().unwrap() ^= 1; // never reached
    assert_eq!(refusal(&lie, &OPEN), Refusal::InflatedSize { claimed: 6 });
}

#[test]
fn new_atoms_are_told_once_and_bounded() {
    let bytes = term(&[b"h\x05w\x03newd\0\x03news\x01\xe4w\x02\xc3\xa4w\x03old"]);
    let known = |name: &str| name == "old";
    let (counts, mut names) = survey(&bytes, &OPEN, known).unwrap();
    names.sort();
    assert_eq!(
        (counts.new_atoms, names),
        (2, vec!["new".into(), "ä".into()])
    );
    let one = Budget {
        new_atoms: 1,
        ..OPEN
    };
    let why = Error::Term(over(Limit::NewAtoms, 1));
    assert_eq!(survey(&bytes, &one, known), Err(why));
}

#[test]
fn an_atom_has_255_characters_at_most() {
    for (tag, unit, most) in [(b"d", "a", 255), (b"v", "a", 255), (b"v", "\u{8a9e}", 255)] {
        for (count, fits) in [(most, true), (most + 1, false)] {
            let text = unit.repeat(count);
            let bytes = term(&[tag, &(text.len() as u16).to_be_bytes(), text.as_bytes()]);
            assert_eq!(scan(&bytes, &OPEN).is_ok(), fits, "{count} of {unit}");
            let zip = zipped(&bytes[1..], bytes.len() as u32 - 1);
            assert_eq!(scan(&zip, &OPEN).is_ok(), fits, "{count} of {unit}");
        }
    }
    assert!(matches!(
        refusal(&term(&[b"w\x01\xff"]), &OPEN),
        Refusal::Atom { .. }
    ));
}

proptest! {
    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = scan(&term(&[&bytes]), &OPEN);
        let zip = [&[131, 80, 0, 0, 0, 99], &bytes[..]].concat();
        if let Ok(inner) = unpack(&zip, &OPEN) {
            prop_assert_eq!(scan(&inner, &OPEN).unwrap().terms, scan(&zip, &OPEN).unwrap().terms);
        }
    }

    #[test]
    fn compressed_or_not_is_the_same(which in 0usize..28, flip in any::<usize>(), bit in 0u8..8) {
        let mut bytes = corpus()[which].clone();
        let at = 1 + flip % (bytes.len() - 1);
        bytes[at] ^= 1 << bit;
        prop_assume!(bytes[1] != 80);
        let plain = scan(&bytes, &OPEN);
        let zip = scan(&zipped(&bytes[1..], bytes.len() as u32 - 1), &OPEN);
        prop_assert_eq!(plain.is_ok(), zip.is_ok());
        let zipped = zipped(&bytes[1..], bytes.len() as u32 - 1);
        let kept = unpack(&zipped, &OPEN).map(Cow::into_owned).ok();
        prop_assert_eq!(kept, plain.is_ok().then(|| bytes.clone()));
        if let (Ok(plain), Ok(zip)) = (plain, zip) {
            prop_assert_eq!(plain, Counts { bytes: plain.bytes, inflated: 0, ..zip });
        }
    }
}
