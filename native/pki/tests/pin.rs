//! A server that is known by its CA's key alone. Knock-outs: join_pin, join_node.

#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use merlon_pki::{pin_of, verify_pinned, Der, Error, Identity, Issued, Peer};

const NODE: &str = "a@host.example";

fn shown(pin: &[u8; 32], leaf: &Issued, root: &str) -> Result<(Peer, Der<'static>), Error> {
    verify_pinned(pin, &der(&leaf.cert_pem), &[der(root)], NOW)
}

#[test]
fn a_node_of_the_pinned_ca_is_accepted_and_the_root_learnt() {
    let ca = ca();
    let (peer, root) = shown(
        &pin_of(&ca.cert_pem).unwrap(),
        &leaf(&ca, node(NODE)),
        &ca.cert_pem,
    )
    .unwrap();
    assert_eq!(peer.identity(), &node(NODE));
    assert_eq!(root, der(&ca.cert_pem));
}

#[test]
fn refuses_a_chain_of_another_ca() {
    let (ours, other) = (ca(), ca());
    let pin = pin_of(&ours.cert_pem).unwrap();
    let stranger = leaf(&other, node(NODE));
    assert_eq!(
        shown(&pin, &stranger, &other.cert_pem),
        Err(Error::NotPinned)
    );
    let without_root = verify_pinned(&pin, &der(&stranger.cert_pem), &[], NOW);
    assert_eq!(without_root, Err(Error::NotPinned));
}

#[test]
fn refuses_a_leaf_that_the_pinned_ca_did_not_sign_though_its_root_is_shown() {
    let (ours, other) = (ca(), ca());
    let pin = pin_of(&ours.cert_pem).unwrap();
    let stranger = leaf(&other, node(NODE));
    assert_eq!(
        shown(&pin, &stranger, &ours.cert_pem),
        Err(Error::UnknownIssuer)
    );
}

#[test]
fn refuses_a_root_with_the_pinned_key_that_somebody_else_signed() {
    let ours = ca();
    let pin = pin_of(&ours.cert_pem).unwrap();
    let mut forged = der(&ours.cert_pem).to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let leaf = der(&leaf(&ours, node(NODE)).cert_pem);
    let judged = verify_pinned(&pin, &leaf, &[Der::from(forged)], NOW);
    assert_eq!(judged, Err(Error::NotPinned));
}

#[test]
fn refuses_a_server_that_is_a_tool() {
    let ca = ca();
    let tool = Identity::cli(CLUSTER, "host.example", "eve").unwrap();
    let pin = pin_of(&ca.cert_pem).unwrap();
    assert_eq!(
        shown(&pin, &leaf(&ca, tool), &ca.cert_pem),
        Err(Error::NotANode)
    );
}

#[test]
fn refuses_a_server_whose_certificate_has_run_out() {
    let ca = ca();
    let pin = pin_of(&ca.cert_pem).unwrap();
    let leaf = der(&leaf(&ca, node(NODE)).cert_pem);
    let late = verify_pinned(&pin, &leaf, &[der(&ca.cert_pem)], NOW + 91 * DAY);
    assert!(matches!(late, Err(Error::Expired { .. })), "{late:?}");
}

#[test]
fn refuses_a_chain_of_too_many_certificates_unread() {
    let ca = ca();
    let pin = pin_of(&ca.cert_pem).unwrap();
    let leaf = der(&leaf(&ca, node(NODE)).cert_pem);
    let many = vec![der(&ca.cert_pem); 4];
    let judged = verify_pinned(&pin, &leaf, &many, NOW);
    assert_eq!(judged, Err(Error::ChainTooLong { count: 5 }));
}

#[test]
fn only_a_self_signed_ca_can_be_pinned() {
    let ca = ca();
    let leaf = leaf(&ca, node(NODE));
    assert_eq!(pin_of(&leaf.cert_pem), Err(Error::NotCa));
    assert_eq!(pin_of(""), Err(Error::NoCertificate));
    assert_ne!(pin_of(&ca.cert_pem), pin_of(&common::ca().cert_pem));
}
