//! Lists that are written: what they revoke, what they keep, what is refused.
#![allow(clippy::unwrap_used)]

mod common;

use common::{ca, leaf, node, verifier, Rogue, CLUSTER, DAY, NOW};
use merlon_pki::{
    inspect_pem, lists, revoke, Anchors, Crls, Error, Issued, Part, Reason, Revocation, Usage,
    Verifier,
};
use rustls_pki_types::{pem::PemObject, CertificateRevocationListDer};

fn request(serials: &[&str]) -> Revocation {
    Revocation {
        serials: serials.iter().map(ToString::to_string).collect(),
        reason: Reason::KeyCompromise,
        days: 36_500,
    }
}

fn next(ca: &Issued, file: &str, serials: &[&str], now: u64) -> String {
    let request = request(serials);
    revoke(&ca.cert_pem, &ca.key_pem, file.as_bytes(), &request, now).unwrap()
}

fn judge(ca: &Issued, leaf: &Issued, list: &str) -> Result<(), Error> {
    let anchors = Anchors::from_pems(&[&ca.cert_pem]).unwrap();
    let verifier = Verifier::new(anchors, Crls::from_pems(&[list])?, CLUSTER).unwrap();
    let verdict = verifier.verify_pem(&leaf.cert_pem, Usage::Client, NOW);
    verdict.map(|_| ())
}

fn serial(leaf: &Issued) -> String {
    inspect_pem(&leaf.cert_pem).unwrap().remove(0).serial_hex
}

#[test]
fn a_written_list_revokes_what_it_names_and_nothing_else() {
    let ca = ca();
    let (bad, good) = (leaf(&ca, node("a@b")), leaf(&ca, node("c@b")));
    let list = next(&ca, "", &[&serial(&bad).to_uppercase()], NOW);
    let serial = serial(&bad);
    assert_eq!(judge(&ca, &bad, &list), Err(Error::Revoked { serial }));
    assert_eq!(judge(&ca, &good, &list), Ok(()));
    assert!(verifier(&ca.cert_pem)
        .verify_pem(&bad.cert_pem, Usage::Client, NOW)
        .is_ok());
}

#[test]
fn each_list_has_a_higher_number_and_all_that_was_revoked_before() {
    let ca = ca();
    let first = next(&ca, "", &["0a"], NOW);
    let second = next(&ca, &first, &["0b", "00000a"], NOW + 5);
    let third = next(&ca, &second, &[], NOW + 4); // a clock that was set back
    let read = |list: &str| lists(list.as_bytes()).unwrap().remove(0);
    assert_eq!(
        [&first, &second, &third].map(|list| read(list).number),
        [Some(1), Some(2), Some(3)]
    );
    let list = read(&third);
    assert_eq!(list.this_update, NOW + 5);
    let entries: Vec<_> = list
        .revoked
        .iter()
        .map(|entry| (entry.serial.as_str(), entry.since, entry.reason))
        .collect();
    assert_eq!(
        entries,
        [
            ("0a", NOW, Reason::KeyCompromise),
            ("0b", NOW + 5, Reason::KeyCompromise)
        ]
    );
}

#[test]
fn a_list_counts_as_long_as_it_is_asked_to_but_not_longer_than_its_ca() {
    let ca = ca();
    let end = inspect_pem(&ca.cert_pem).unwrap().remove(0).not_after;
    let long = next(&ca, "", &["0a"], NOW);
    assert_eq!(lists(long.as_bytes()).unwrap()[0].next_update, Some(end));
    let mut week = request(&["0a"]);
    week.days = 7;
    let short = revoke(&ca.cert_pem, &ca.key_pem, b"", &week, NOW).unwrap();
    assert_eq!(
        lists(short.as_bytes()).unwrap()[0].next_update,
        Some(NOW + 7 * DAY)
    );
    assert_eq!(
        revoke(&ca.cert_pem, &ca.key_pem, b"", &week, end),
        Err(Error::BadLifetime)
    );
}

#[test]
fn lists_of_other_cas_are_kept_as_they_are() {
    let (ca, other) = (ca(), Rogue::new("other"));
    let foreign = other.crl(&[&[7]], NOW - DAY, NOW + DAY);
    let file = next(&ca, &foreign, &["0a"], NOW);
    let file = next(&ca, &file, &["0b"], NOW);
    let ders: Vec<_> = CertificateRevocationListDer::pem_slice_iter(file.as_bytes())
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(ders.len(), 2);
    let kept = CertificateRevocationListDer::from_pem_slice(foreign.as_bytes()).unwrap();
    assert!(ders.contains(&kept));
    assert_eq!(lists(file.as_bytes()).unwrap()[0].revoked.len(), 2);
}

#[test]
fn of_two_lists_of_the_ca_what_either_revokes_stays_revoked() {
    let ca = ca();
    let newer = next(&ca, &next(&ca, "", &["0a"], NOW), &["0b"], NOW);
    let older = next(&ca, "", &["0c"], NOW + 7);
    for file in [format!("{newer}{older}"), format!("{older}{newer}")] {
        let made = lists(next(&ca, &file, &["0d"], NOW).as_bytes()).unwrap();
        let [list] = made.as_slice() else {
            panic!("{made:?}")
        };
        let mut serials: Vec<_> = list.revoked.iter().map(|r| r.serial.as_str()).collect();
        serials.sort_unstable();
        assert_eq!(serials, ["0a", "0b", "0c", "0d"]);
        assert_eq!((list.number, list.this_update), (Some(3), NOW + 7));
    }
}

#[test]
fn der_is_read_like_pem() {
    let ca = ca();
    let bad = leaf(&ca, node("a@b"));
    let list = next(&ca, "", &[&serial(&bad)], NOW);
    let der = CertificateRevocationListDer::from_pem_slice(list.as_bytes()).unwrap();
    assert_eq!(lists(&der), lists(list.as_bytes()));
    let anchors = Anchors::from_pems(&[&ca.cert_pem]).unwrap();
    let crls = Crls::from_files(&[&der]).unwrap();
    let verifier = Verifier::new(anchors, crls, CLUSTER).unwrap();
    assert!(matches!(
        verifier.verify_pem(&bad.cert_pem, Usage::Client, NOW),
        Err(Error::Revoked { .. })
    ));
    let cut = der.get(..der.len() - 1).unwrap();
    assert_eq!(
        Crls::from_files(&[cut]).map(|_| ()),
        Err(Error::Malformed(Part::Crl))
    );
}

#[test]
fn nothing_is_written_from_what_can_not_be_read_or_signed() {
    let (ca, other) = (ca(), common::ca());
    let with = |cert: &str, key: &str, file: &str, serials: &[&str]| {
        revoke(cert, key, file.as_bytes(), &request(serials), NOW)
    };
    let malformed = Err(Error::Malformed(Part::Crl));
    assert_eq!(
        with(&ca.cert_pem, &other.key_pem, "", &["0a"]),
        Err(Error::KeyMismatch)
    );
    assert_eq!(with(&ca.cert_pem, &ca.key_pem, "words", &["0a"]), malformed);
    let long = "1".repeat(41);
    for serial in ["", "00", "xy", long.as_str()] {
        assert_eq!(with(&ca.cert_pem, &ca.key_pem, "", &[serial]), malformed);
    }
    let leaf = leaf(&ca, node("a@b"));
    assert!(with(&leaf.cert_pem, &leaf.key_pem, "", &["0a"]).is_err());
}
