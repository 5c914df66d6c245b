//! Revocation: what a list takes away, and lists that must not be believed.
#![allow(clippy::unwrap_used)]

mod common;

use common::{der, Rogue, CLUSTER, DAY, NOW};
use merlon_pki::{revoke, Anchors, Crls, Error, Part, Reason, Revocation, Usage, Verifier};
use rcgen::KeyIdMethod;

#[test]
fn refuses_revoked_certificate() {
    let ca = Rogue::new("ca");
    let cert = ca.sign(|_| ());
    let judge = |crls: &[String]| {
        let crls = Crls::from_pems(crls).unwrap();
        let verifier =
            Verifier::new(Anchors::from_pems(&[&ca.pem]).unwrap(), crls, CLUSTER).unwrap();
        verifier.verify(&[cert.der().clone()], Usage::Client, NOW)
    };
    let (listed, unlisted) = (&[0x2a, 0x2b][..], &[0x2a, 0x2c][..]);
    assert!(judge(&[ca.crl(&[unlisted], NOW - DAY, NOW + DAY)]).is_ok());
    let revoked = ca.crl(&[unlisted, listed], NOW - DAY / 2, NOW + DAY);
    assert_eq!(
        judge(std::slice::from_ref(&revoked)),
        Err(Error::Revoked {
            serial: "2a2b".into()
        })
    );
    // The newest list counts, in whatever order they stand.
    let older = ca.crl(&[unlisted], NOW - DAY, NOW + DAY);
    assert!(matches!(
        judge(&[older.clone(), revoked.clone()]),
        Err(Error::Revoked { .. })
    ));
    assert!(matches!(
        judge(&[revoked, older]),
        Err(Error::Revoked { .. })
    ));
}

#[test]
fn of_two_lists_of_the_same_second_the_higher_number_counts_wherever_it_stands() {
    let ca = common::ca();
    let leaf = common::leaf(&ca, common::node("a@b"));
    let serials = |serials: &[&str]| Revocation {
        serials: serials.iter().map(ToString::to_string).collect(),
        reason: Reason::Unspecified,
        days: 5,
    };
    let next = |file: &str, request| {
        revoke(&ca.cert_pem, &ca.key_pem, file.as_bytes(), &request, NOW).unwrap()
    };
    let serial = merlon_pki::inspect_pem(&leaf.cert_pem)
        .unwrap()
        .remove(0)
        .serial_hex;
    let first = next("", serials(&["0a"]));
    let second = next(&first, serials(&[&serial]));
    for files in [[&first, &second], [&second, &first]] {
        let anchors = Anchors::from_pems(&[&ca.cert_pem]).unwrap();
        let verifier = Verifier::new(anchors, Crls::from_pems(&files).unwrap(), CLUSTER).unwrap();
        let verdict = verifier.verify_pem(&leaf.cert_pem, Usage::Client, NOW);
        assert!(matches!(verdict, Err(Error::Revoked { .. })));
    }
}

#[test]
fn a_list_that_was_replaced_is_not_due() {
    let (ca, other) = (Rogue::new("ca"), Rogue::new("other"));
    let lists = [
        ca.crl(&[], NOW - 9 * DAY, NOW - 5 * DAY),
        ca.crl(&[], NOW - DAY, NOW + 3 * DAY),
        other.crl(&[], NOW - 9 * DAY, NOW + 4 * DAY),
    ];
    assert_eq!(
        Crls::from_pems(&lists).unwrap().next_update(),
        Some(NOW + 3 * DAY)
    );
    assert_eq!(Crls::none().next_update(), None);
}

#[test]
fn refuses_everyone_when_the_crl_is_out_of_date() {
    let ca = Rogue::new("ca");
    let crls = Crls::from_pems(&[ca.crl(&[], NOW - 2 * DAY, NOW - DAY)]).unwrap();
    let verifier = Verifier::new(Anchors::from_pems(&[&ca.pem]).unwrap(), crls, CLUSTER).unwrap();
    let verdict = verifier.verify(&[ca.sign(|_| ()).der().clone()], Usage::Client, NOW);
    assert_eq!(
        verdict,
        Err(Error::CrlExpired {
            next_update: NOW - DAY,
            now: NOW
        })
    );
}

#[test]
fn refuses_everyone_when_the_crl_is_forged_under_the_issuers_name_and_key_id() {
    let (ca, forger) = (Rogue::new("ca"), Rogue::new("ca"));
    let method = KeyIdMethod::PreSpecified(key_id(&ca.pem));
    let forged = forger.crl_as(method, &[], NOW - DAY, NOW + DAY);
    let crls = Crls::from_pems(&[forged]).unwrap();
    let verifier = Verifier::new(Anchors::from_pems(&[&ca.pem]).unwrap(), crls, CLUSTER).unwrap();
    let verdict = verifier.verify(&[ca.sign(|_| ()).der().clone()], Usage::Client, NOW);
    assert_eq!(verdict, Err(Error::BadCrl));
}

#[test]
fn refuses_leafs_of_a_revoked_intermediate() {
    let root = Rogue::new("root");
    let (middle, below) = root.intermediate();
    let crls = Crls::from_pems(&[root.crl(&[&[0x2a, 0x2b]], NOW - DAY, NOW + DAY)]).unwrap();
    let verifier = Verifier::new(Anchors::from_pems(&[&root.pem]).unwrap(), crls, CLUSTER).unwrap();
    let cert = below.sign(|p| p.serial_number = Some(rcgen::SerialNumber::from_slice(&[7])));
    let verdict = verifier.verify(
        &[cert.der().clone(), middle.der().clone()],
        Usage::Client,
        NOW,
    );
    assert_eq!(
        verdict,
        Err(Error::Revoked {
            serial: "07".into()
        })
    );
}

#[test]
fn refuses_a_crl_file_without_a_list() {
    let refused = |text: &str| Crls::from_pems(&[text]).map(|_| ()).unwrap_err();
    let ca = Rogue::new("ca");
    assert_eq!(refused(""), Error::Malformed(Part::Crl));
    assert_eq!(refused(&ca.pem), Error::Malformed(Part::Crl));
    let list = ca.crl(&[], NOW - DAY, NOW + DAY);
    assert_eq!(refused(&list[..100]), Error::Malformed(Part::Pem));
    assert_eq!(
        refused(&list.replacen("MI", "MA", 1)),
        Error::Malformed(Part::Crl)
    );
}

#[test]
fn crl_of_a_ca_with_the_same_name_does_not_stop_the_others_certificates() {
    let (old, new) = (Rogue::new("ca"), Rogue::new("ca"));
    let crls = Crls::from_pems(&[old.crl(&[&[0x2a, 0x2b]], NOW - DAY, NOW + DAY)]).unwrap();
    let verifier = Verifier::new(
        Anchors::from_pems(&[&old.pem, &new.pem]).unwrap(),
        crls,
        CLUSTER,
    )
    .unwrap();
    let judge = |ca: &Rogue| verifier.verify(&[ca.sign(|_| ()).der().clone()], Usage::Client, NOW);
    assert!(judge(&new).is_ok());
    assert!(matches!(judge(&old), Err(Error::Revoked { .. })));
}

fn key_id(pem: &str) -> Vec<u8> {
    let cert = <x509_cert::Certificate as x509_cert::der::Decode>::from_der(&der(pem)).unwrap();
    let id = cert
        .tbs_certificate
        .get::<x509_cert::ext::pkix::SubjectKeyIdentifier>()
        .unwrap()
        .unwrap()
        .1;
    id.0.as_bytes().to_vec()
}
