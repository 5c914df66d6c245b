//! A certificate vouches for the request for the one that follows it.
#![allow(clippy::unwrap_used)]

mod common;

use common::{ca, leaf, node, verifier, DAY, NOW};
use merlon_pki::{check_vouched, issue, new_csr, vouch, Alg, Error, Request};

#[test]
fn the_key_in_use_vouches_whatever_its_kind() {
    let ca = ca();
    for alg in [Alg::P256, Alg::P384, Alg::Ed25519] {
        let request = Request {
            identity: node("a@b"),
            alg,
            ips: vec![],
            days: 2,
        };
        let own = issue(&ca.cert_pem, &ca.key_pem, &request, NOW).unwrap();
        let csr = new_csr(&node("a@b"), Alg::P256, &[]).unwrap().csr_pem;
        let signature = vouch(&own.key_pem, &csr).unwrap();
        let trusting = verifier(&ca.cert_pem);
        let peer = check_vouched(&trusting, &own.cert_pem, &csr, &signature, NOW).unwrap();
        assert_eq!(*peer.identity(), node("a@b"));
        let late = check_vouched(&trusting, &own.cert_pem, &csr, &signature, NOW + 3 * DAY);
        assert!(matches!(late, Err(Error::Expired { .. })));
    }
}

#[test]
fn refuses_who_has_the_certificate_and_not_its_key() {
    let ca = ca();
    let (own, other) = (leaf(&ca, node("a@b")), leaf(&ca, node("c@d")));
    let csr = |name| new_csr(&node(name), Alg::P256, &[]).unwrap().csr_pem;
    let (asked, another) = (csr("a@b"), csr("a@b"));
    let judge = |key: &str, vouched: &str, csr: &str| {
        let signature = vouch(key, vouched).unwrap();
        check_vouched(&verifier(&ca.cert_pem), &own.cert_pem, csr, &signature, NOW).map(|_| ())
    };
    assert_eq!(judge(&own.key_pem, &asked, &asked), Ok(()));
    let wrong = Err(Error::CsrSignature);
    assert_eq!(judge(&other.key_pem, &asked, &asked), wrong);
    assert_eq!(judge(&own.key_pem, &another, &asked), wrong);
    let none = check_vouched(&verifier(&ca.cert_pem), &own.cert_pem, &asked, &[], NOW);
    assert_eq!(none.map(|_| ()), wrong);
}

#[test]
fn refuses_a_certificate_that_no_link_would_be_made_with() {
    let (ca, other) = (ca(), common::ca());
    let own = leaf(&other, node("a@b"));
    let csr = new_csr(&node("a@b"), Alg::P256, &[]).unwrap().csr_pem;
    let signature = vouch(&own.key_pem, &csr).unwrap();
    let verdict = check_vouched(
        &verifier(&ca.cert_pem),
        &own.cert_pem,
        &csr,
        &signature,
        NOW,
    );
    assert_eq!(verdict.map(|_| ()), Err(Error::UnknownIssuer));
}
