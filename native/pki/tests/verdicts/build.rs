//! Certificates and revocation lists built byte by byte, so that anything can be wrong in them; Ed25519 keys from fixed
//! seeds, so that every run judges the same bytes.

use ring::signature::{Ed25519KeyPair, KeyPair};

/// 2026-05-28T20:26:40Z.
pub const NOW: u64 = 1_780_000_000;
pub const CLUSTER: &str = "prod.example";
pub const URI: &str = "spiffe://prod.example/node/host.example/a";
/// Where OTP's clock is whenever the test runs: it takes no other.
pub const START: (u8, &str) = (0x17, "200101000000Z");
pub const END: (u8, &str) = (0x17, "491231235959Z");

pub const BASIC: &str = "2.5.29.19";
pub const KEY_USAGE: &str = "2.5.29.15";
pub const EKU: &str = "2.5.29.37";
pub const SAN: &str = "2.5.29.17";
pub const AKI: &str = "2.5.29.35";
pub const SKI: &str = "2.5.29.14";
pub const CONSTRAINTS: &str = "2.5.29.30";
pub const SERVER: &str = "1.3.6.1.5.5.7.3.1";
pub const CLIENT: &str = "1.3.6.1.5.5.7.3.2";

pub fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let len = content.len();
    let head = match len {
        0..=0x7f => vec![tag, len as u8],
        0x80..=0xff => vec![tag, 0x81, len as u8],
        _ => vec![tag, 0x82, (len >> 8) as u8, len as u8],
    };
    [&head, content].concat()
}

pub fn seq(parts: &[Vec<u8>]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

pub fn oid(dotted: &str) -> Vec<u8> {
    let arcs: Vec<u64> = dotted.split('.').map(|arc| arc.parse().unwrap()).collect();
    let mut out = vec![(arcs[0] * 40 + arcs[1]) as u8];
    for arc in &arcs[2..] {
        let mut bytes = vec![(arc & 0x7f) as u8];
        let mut rest = arc >> 7;
        while rest > 0 {
            bytes.insert(0, (rest & 0x7f) as u8 | 0x80);
            rest >>= 7;
        }
        out.extend(bytes);
    }
    tlv(6, &out)
}

pub fn name(common: &str) -> Vec<u8> {
    let attribute = seq(&[oid("2.5.4.3"), tlv(0x0c, common.as_bytes())]);
    seq(&[tlv(0x31, &attribute)])
}

pub fn basic(ca: bool, path_len: Option<u8>) -> Vec<u8> {
    let ca = if ca { tlv(1, &[0xff]) } else { vec![] };
    seq(&[ca, path_len.map(|n| tlv(2, &[n])).unwrap_or_default()])
}

/// Bits by their numbers (RFC 5280, 4.2.1.3).
pub fn key_usage(bits: &[u8]) -> Vec<u8> {
    let Some(last) = bits.iter().max() else {
        return tlv(3, &[0]);
    };
    let mut bytes = vec![0; usize::from(last / 8) + 1];
    for bit in bits {
        bytes[usize::from(bit / 8)] |= 0x80 >> (bit % 8);
    }
    tlv(3, &[&[7 - last % 8], &bytes[..]].concat())
}

pub fn eku(purposes: &[&str]) -> Vec<u8> {
    seq(&purposes.iter().map(|p| oid(p)).collect::<Vec<_>>())
}

pub fn uri(text: &str) -> Vec<u8> {
    tlv(0x86, text.as_bytes())
}

pub fn dns(text: &str) -> Vec<u8> {
    tlv(0x82, text.as_bytes())
}

pub fn ip(bytes: &[u8]) -> Vec<u8> {
    tlv(0x87, bytes)
}

pub fn names() -> Vec<Vec<u8>> {
    vec![uri(URI), dns("host.example"), ip(&[10, 0, 0, 1])]
}

/// Name constraints: permitted and excluded subtrees.
pub fn constraints(permitted: &[Vec<u8>], excluded: &[Vec<u8>]) -> Vec<u8> {
    let trees = |tag, bases: &[Vec<u8>]| match bases {
        [] => vec![],
        _ => tlv(
            tag,
            &bases
                .iter()
                .map(|b| tlv(0x30, b))
                .collect::<Vec<_>>()
                .concat(),
        ),
    };
    seq(&[trees(0xa0, permitted), trees(0xa1, excluded)])
}

fn key(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

pub fn ed25519() -> Vec<u8> {
    seq(&[oid("1.3.101.112")])
}

pub fn spki(algorithm: Vec<u8>, key: &[u8]) -> Vec<u8> {
    seq(&[algorithm, tlv(3, &[&[0], key].concat())])
}

#[derive(Clone)]
pub struct Ext {
    pub oid: &'static str,
    pub critical: bool,
    pub value: Vec<u8>,
}

pub fn ext(oid: &'static str, critical: bool, value: Vec<u8>) -> Ext {
    Ext {
        oid,
        critical,
        value,
    }
}

/// A certificate to be, with what signs it.
#[derive(Clone)]
pub struct Spec {
    pub version: Vec<u8>,
    pub serial: Vec<u8>,
    pub inner: Vec<u8>,
    pub outer: Vec<u8>,
    pub issuer: Vec<u8>,
    pub from: (u8, &'static str),
    pub to: (u8, &'static str),
    pub subject: Vec<u8>,
    pub spki: Vec<u8>,
    pub exts: Vec<Ext>,
    /// In place of the extensions' sequence.
    pub raw_exts: Option<Vec<u8>>,
    pub signer: u8,
    pub change_signature: fn(&mut Vec<u8>),
    /// What happens to the bytes of the whole.
    pub change: fn(&mut Vec<u8>),
}

impl Spec {
    fn new(own: u8, common: &str, signer: u8, issuer: &str, mut exts: Vec<Ext>) -> Self {
        exts.push(ext(AKI, false, seq(&[tlv(0x80, &[signer; 20])])));
        Self {
            version: tlv(0xa0, &tlv(2, &[2])),
            serial: vec![0x40, own],
            inner: ed25519(),
            outer: ed25519(),
            issuer: name(issuer),
            from: START,
            to: END,
            subject: name(common),
            spki: spki(ed25519(), key(own).public_key().as_ref()),
            exts,
            raw_exts: None,
            signer,
            change_signature: |_| (),
            change: |_| (),
        }
    }

    fn ca(own: u8, common: &str, signer: u8, issuer: &str) -> Self {
        let exts = vec![
            ext(BASIC, true, basic(true, None)),
            ext(KEY_USAGE, true, key_usage(&[5, 6])),
            ext(SKI, false, tlv(4, &[own; 20])),
        ];
        Self::new(own, common, signer, issuer, exts)
    }

    fn leaf(signer: u8, issuer: &str) -> Self {
        let exts = vec![
            ext(BASIC, true, basic(false, None)),
            ext(KEY_USAGE, true, key_usage(&[0])),
            ext(EKU, false, eku(&[SERVER, CLIENT])),
            ext(SAN, false, seq(&names())),
            ext(SKI, false, tlv(4, &[9; 20])),
        ];
        Self::new(9, "leaf", signer, issuer, exts)
    }

    /// Puts an extension in the place of the one of that kind, or adds it.
    pub fn set(&mut self, oid: &'static str, critical: bool, value: Vec<u8>) {
        match self.exts.iter_mut().find(|e| e.oid == oid) {
            Some(found) => *found = ext(oid, critical, value),
            None => self.exts.push(ext(oid, critical, value)),
        }
    }

    pub fn remove(&mut self, oid: &str) {
        self.exts.retain(|e| e.oid != oid);
    }

    pub fn san(&mut self, names: &[Vec<u8>]) {
        self.set(SAN, false, seq(names));
    }

    pub fn der(&self) -> Vec<u8> {
        let written: Vec<_> = self.exts.iter().map(write_ext).collect();
        let exts = match (&self.raw_exts, written.is_empty()) {
            (Some(raw), _) => raw.clone(),
            (None, true) => vec![],
            (None, false) => tlv(0xa3, &seq(&written)),
        };
        let time = |(tag, text): (u8, &str)| tlv(tag, text.as_bytes());
        let tbs = seq(&[
            self.version.clone(),
            tlv(2, &self.serial),
            self.inner.clone(),
            self.issuer.clone(),
            seq(&[time(self.from), time(self.to)]),
            self.subject.clone(),
            self.spki.clone(),
            exts,
        ]);
        let mut signature = key(self.signer).sign(&tbs).as_ref().to_vec();
        (self.change_signature)(&mut signature);
        let bits = tlv(3, &[&[0], &signature[..]].concat());
        let mut der = seq(&[tbs, self.outer.clone(), bits]);
        (self.change)(&mut der);
        der
    }
}

pub fn write_ext(ext: &Ext) -> Vec<u8> {
    let critical = if ext.critical {
        tlv(1, &[0xff])
    } else {
        vec![]
    };
    seq(&[oid(ext.oid), critical, tlv(4, &ext.value)])
}

/// root (key 1), ca2 (2), ca1 (3), leaf (9): with 2, 1 or none of the CAs between.
pub struct Chain {
    pub root: Spec,
    pub mids: Vec<Spec>,
    pub leaf: Spec,
    pub crls: Vec<Vec<u8>>,
    pub usage: merlon_pki::Usage,
    /// What happens to what is shown: the leaf first, then the CAs upwards.
    pub shown: fn(&mut Vec<Vec<u8>>),
    pub trusted: fn(&mut Vec<Vec<u8>>),
}

impl Chain {
    pub fn new(between: usize) -> Self {
        let (mids, issuer) = match between {
            0 => (vec![], (1, "root")),
            1 => (vec![Spec::ca(3, "ca1", 1, "root")], (3, "ca1")),
            _ => (
                vec![Spec::ca(3, "ca1", 2, "ca2"), Spec::ca(2, "ca2", 1, "root")],
                (3, "ca1"),
            ),
        };
        Self {
            root: Spec::ca(1, "root", 1, "root"),
            mids,
            leaf: Spec::leaf(issuer.0, issuer.1),
            crls: vec![],
            usage: merlon_pki::Usage::Client,
            shown: |_| (),
            trusted: |_| (),
        }
    }

    pub fn at(&mut self, who: &str) -> &mut Spec {
        match who {
            "leaf" => &mut self.leaf,
            "ca1" => &mut self.mids[0],
            "ca2" => &mut self.mids[1],
            _ => &mut self.root,
        }
    }
}

/// A revocation list of key `signer` under the name of `issuer`.
pub struct List {
    pub issuer: &'static str,
    pub signer: u8,
    pub key_id: u8,
    pub serials: Vec<Vec<u8>>,
    pub from: &'static str,
    pub to: &'static str,
    pub exts: Vec<Ext>,
    pub entry_exts: Vec<Ext>,
}

impl List {
    pub fn of(issuer: &'static str, signer: u8, serials: &[u8]) -> Self {
        Self {
            issuer,
            signer,
            key_id: signer,
            serials: serials.iter().map(|s| vec![0x40, *s]).collect(),
            from: "200101000000Z",
            to: "491231235959Z",
            exts: vec![ext("2.5.29.20", false, tlv(2, &[1]))],
            entry_exts: vec![],
        }
    }

    pub fn der(mut self) -> Vec<u8> {
        let time = |text: &str| tlv(0x17, text.as_bytes());
        self.exts
            .push(ext(AKI, false, seq(&[tlv(0x80, &[self.key_id; 20])])));
        let wrap = |exts: &[Ext]| seq(&exts.iter().map(write_ext).collect::<Vec<_>>());
        let entry = |serial: &Vec<u8>| {
            let more = if self.entry_exts.is_empty() {
                vec![]
            } else {
                wrap(&self.entry_exts)
            };
            seq(&[tlv(2, serial), time("200102000000Z"), more])
        };
        let revoked: Vec<_> = self.serials.iter().map(entry).collect();
        let tbs = seq(&[
            tlv(2, &[1]),
            ed25519(),
            name(self.issuer),
            time(self.from),
            time(self.to),
            if revoked.is_empty() {
                vec![]
            } else {
                seq(&revoked)
            },
            tlv(0xa0, &wrap(&self.exts)),
        ]);
        let signature = key(self.signer).sign(&tbs);
        seq(&[tbs, ed25519(), tlv(3, &[&[0], signature.as_ref()].concat())])
    }
}
