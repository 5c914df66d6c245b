//! The peer of a live link, and a chain that is known, judged again: under other anchors and lists, at a later time.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use common::{at, Rogue, CLUSTER, DAY, NOW};
use merlon_pki::{Anchors, Crls, Der, Error, Peer, StaleCrl, Usage, Verifier};

fn verifier(anchors: &[&str], crls: &[String]) -> Verifier {
    let crls = Crls::from_pems(crls).unwrap();
    Verifier::new(Anchors::from_pems(anchors).unwrap(), crls, CLUSTER).unwrap()
}

fn accepted(ca: &Rogue) -> Peer {
    verifier(&[&ca.pem], &[])
        .verify(&[ca.sign(|_| ()).der().clone()], Usage::Client, NOW)
        .unwrap()
}

#[test]
fn a_verdict_holds_until_the_first_end_of_leaf_intermediate_and_anchor() {
    let root = Rogue::new("root");
    let peer = accepted(&root);
    assert_eq!(
        verifier(&[&root.pem], &[]).verify_again(&peer, NOW),
        Ok(NOW + DAY)
    );
    let short = Rogue::with("root", |p| p.not_after = at!(NOW + 60));
    let peer = accepted(&short);
    assert_eq!(
        verifier(&[&short.pem], &[]).verify_again(&peer, NOW),
        Ok(NOW + 60)
    );
    let (middle, below) = root.intermediate();
    let leaf = below.sign(|p| p.not_after = at!(NOW + 9 * DAY));
    let chain = [leaf.der().clone(), middle.der().clone()];
    let trusting = verifier(&[&root.pem], &[]);
    let peer = trusting.verify(&chain, Usage::Server, NOW).unwrap();
    assert_eq!(trusting.verify_again(&peer, NOW), Ok(NOW + DAY));
}

#[test]
fn refuses_a_live_peer_whose_certificate_has_run_out() {
    let ca = Rogue::new("ca");
    let peer = accepted(&ca);
    let (not_after, now) = (NOW + DAY, NOW + DAY + 1);
    assert_eq!(
        verifier(&[&ca.pem], &[]).verify_again(&peer, now),
        Err(Error::Expired { not_after, now })
    );
}

#[test]
fn refuses_a_live_peer_that_was_revoked_even_by_a_stale_list() {
    let ca = Rogue::new("ca");
    let peer = accepted(&ca);
    let listed = &[0x2a, 0x2b][..];
    for until in [NOW + DAY, NOW - DAY] {
        let list = ca.crl(&[listed], NOW - 2 * DAY, until);
        let serial = "2a2b".to_owned();
        assert_eq!(
            verifier(&[&ca.pem], &[list]).verify_again(&peer, NOW),
            Err(Error::Revoked { serial })
        );
    }
}

#[test]
fn refuses_a_live_peer_whose_anchor_is_gone() {
    let (ca, other) = (Rogue::new("ca"), Rogue::new("other"));
    let peer = accepted(&ca);
    assert!(verifier(&[&other.pem, &ca.pem], &[])
        .verify_again(&peer, NOW)
        .is_ok());
    assert_eq!(
        verifier(&[&other.pem], &[]).verify_again(&peer, NOW),
        Err(Error::UnknownIssuer)
    );
}

#[test]
fn a_stale_list_is_no_verdict_about_a_live_peer_and_refuses_a_new_one_unless_told_otherwise() {
    let ca = Rogue::new("ca");
    let peer = accepted(&ca);
    let stale = || verifier(&[&ca.pem], &[ca.crl(&[&[7]], NOW - 2 * DAY, NOW - DAY)]);
    assert_eq!(stale().verify_again(&peer, NOW), Ok(NOW + DAY));
    let new = [ca.sign(|_| ()).der().clone()];
    assert!(matches!(
        stale().verify(&new, Usage::Client, NOW),
        Err(Error::CrlExpired { .. })
    ));
    let tolerant = stale().with_stale_crl(StaleCrl::Accept);
    assert!(tolerant.verify(&new, Usage::Client, NOW).is_ok());
    let revoked = ca.sign(|p| p.serial_number = Some(rcgen::SerialNumber::from_slice(&[7])));
    assert!(matches!(
        tolerant.verify(&[revoked.der().clone()], Usage::Client, NOW),
        Err(Error::Revoked { .. })
    ));
}

/// What a verifier remembers of one certificate counts for no other, and not for ever.
#[test]
fn refuses_changed_bits_of_a_certificate_that_is_known() {
    let ca = Rogue::new("ca");
    let good = ca.sign(|_| ()).der().to_vec();
    let verifier = verifier(&[&ca.pem], &[]);
    let judge = |der: &[u8], now| verifier.verify(&[Der::from(der)], Usage::Client, now);
    for _ in 0..2 {
        assert!(judge(&good, NOW).is_ok());
    }
    for i in 0..good.len() {
        let mut bad = good.clone();
        bad[i] ^= 1;
        assert!(judge(&bad, NOW).is_err(), "byte {i}");
    }
    assert!(judge(&good, NOW).is_ok());
    let late = judge(&good, NOW + 2 * DAY);
    assert!(matches!(late, Err(Error::Expired { .. })), "{late:?}");
}
