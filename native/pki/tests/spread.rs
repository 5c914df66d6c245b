//! Revocation lists that somebody has sent: which are believed, and which is newer.
#![allow(clippy::unwrap_used)]

mod common;

use common::{at, Rogue, CLUSTER, DAY, NOW};
use merlon_pki::{check_list, list_parts, Anchors, Crls, Error, Part, Usage, Verifier};
use rcgen::{KeyIdMethod, SerialNumber};
use rustls_pki_types::{pem::PemObject, CertificateRevocationListDer};

fn anchors(cas: &[&Rogue]) -> Anchors {
    let pems: Vec<_> = cas.iter().map(|ca| ca.pem.as_str()).collect();
    Anchors::from_pems(&pems).unwrap()
}

fn der(pem: &str) -> Vec<u8> {
    let list = CertificateRevocationListDer::from_pem_slice(pem.as_bytes());
    list.unwrap().to_vec()
}

#[test]
fn a_list_of_a_trusted_ca_is_believed_and_named_the_same_everywhere() {
    let (ca, other) = (Rogue::new("ca"), Rogue::new("other"));
    let pem = ca.crl(&[&[0x2a]], NOW - DAY, NOW + DAY);
    let id = check_list(&der(&pem), &anchors(&[&other, &ca]), NOW).unwrap();
    assert_eq!(
        (id.this_update, id.number.as_slice()),
        (NOW - DAY, &[1][..])
    );
    assert_eq!(id.ca.len(), 32);
    let file = pem + &other.crl(&[], NOW, NOW + DAY);
    let parts = list_parts(file.as_bytes()).unwrap();
    assert_eq!(parts.first().unwrap().0, id);
    assert_ne!(parts.last().unwrap().0.ca, id.ca);
    let crls = Crls::from_files(&[file.as_bytes()]).unwrap();
    let verifier = Verifier::new(anchors(&[&other]), crls, CLUSTER).unwrap();
    assert!(verifier.crls().ids().contains(&id));
}

#[test]
fn refuses_a_list_that_no_anchor_has_signed() {
    let (ca, twin, other) = (Rogue::new("ca"), Rogue::new("ca"), Rogue::new("other"));
    let good = der(&ca.crl(&[], NOW - DAY, NOW + DAY));
    let judge = |list: &[u8], ca: &Rogue| check_list(list, &anchors(&[ca]), NOW).unwrap_err();
    assert_eq!(judge(&good, &other), Error::UnknownIssuer);
    assert_eq!(judge(&good, &twin), Error::BadCrl);
    let mut bent = good.clone();
    *bent.last_mut().unwrap() ^= 1;
    assert_eq!(judge(&bent, &ca), Error::BadCrl);
    // Of two anchors of one name, either may have signed.
    assert!(check_list(&good, &anchors(&[&ca, &twin]), NOW).is_ok());
    assert!(check_list(&good, &anchors(&[&twin, &ca]), NOW).is_ok());
}

#[test]
fn refuses_a_list_of_an_anchor_that_is_out_of_its_time() {
    let ca = Rogue::with("old", |p| p.not_after = at!(NOW - DAY));
    let list = der(&ca.crl(&[], NOW - 2 * DAY, NOW + DAY));
    let judge = |now| check_list(&list, &anchors(&[&ca]), now).map(|_| ());
    assert_eq!(judge(NOW), Err(Error::BadCrl));
    assert_eq!(judge(NOW - 2 * DAY), Ok(()));
}

#[test]
fn refuses_a_list_that_is_due_to_be_replaced() {
    let ca = Rogue::new("ca");
    let stale = der(&ca.crl(&[], NOW - 2 * DAY, NOW - DAY));
    let (next_update, now) = (NOW - DAY, NOW);
    assert_eq!(
        check_list(&stale, &anchors(&[&ca]), NOW),
        Err(Error::CrlExpired { next_update, now })
    );
}

#[test]
fn refuses_what_is_no_list() {
    let ca = Rogue::new("ca");
    let good = der(&ca.crl(&[], NOW - DAY, NOW + DAY));
    let longer = [&good[..], &[0]].concat();
    for bytes in [&[][..], b"rubbish", &good[..good.len() - 1], &longer] {
        assert_eq!(
            check_list(bytes, &anchors(&[&ca]), NOW),
            Err(Error::Malformed(Part::Crl))
        );
    }
}

/// A CA may name its key otherwise in its lists than in its certificates.
#[test]
fn a_list_under_another_key_id_counts_if_the_ca_has_signed_it() {
    let (ca, twin) = (Rogue::new("ca"), Rogue::new("ca"));
    let renamed = |ca: &Rogue| {
        let method = KeyIdMethod::PreSpecified(vec![7; 20]);
        ca.crl_as(method, &[&[0x2a, 0x2b]], NOW - DAY, NOW + DAY)
    };
    let judge = |leaf: &Rogue, list: String| {
        let crls = Crls::from_pems(&[list]).unwrap();
        let verifier = Verifier::new(anchors(&[&ca, &twin]), crls, CLUSTER).unwrap();
        let cert = leaf.sign(|_| ());
        verifier.verify(&[cert.der().clone()], Usage::Client, NOW)
    };
    let serial = "2a2b".to_owned();
    assert_eq!(judge(&ca, renamed(&ca)), Err(Error::Revoked { serial }));
    assert!(judge(&twin, renamed(&ca)).is_ok());
    // Nobody's: it is of none of them.
    assert!(judge(&ca, renamed(&Rogue::new("ca"))).is_ok());
}

#[test]
fn a_serial_number_with_a_high_first_bit_is_shown_without_the_zero_before_it() {
    let ca = Rogue::new("ca");
    let serial = |bytes: &[u8]| {
        let cert = ca.sign(|p| p.serial_number = Some(SerialNumber::from_slice(bytes)));
        let info = merlon_pki::inspect_pem(&cert.pem()).unwrap().remove(0);
        info.serial_hex
    };
    assert_eq!(serial(&[0xab, 0xcd]), "abcd");
    assert_eq!(serial(&[0x0b]), "0b");
}
