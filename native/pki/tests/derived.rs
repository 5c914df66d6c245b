//! The CA of the secret identity: the same on every node, good in the secret's time only.
#![allow(clippy::unwrap_used)]

use merlon_pki::{
    derived_ca, inspect_pem, issue, Alg, Anchors, Crls, Der, Error, Identity, Issued, NodeName,
    Request, Usage, Verifier,
};
use rustls_pki_types::pem::PemObject;

const NOW: u64 = 1_790_000_000;
const DAY: u64 = 86_400;

fn ca(cluster: &str, seed: u8) -> Issued {
    derived_ca(cluster, &[seed; 32]).unwrap()
}

fn leaf(ca: &Issued, now: u64) -> String {
    let node = NodeName::parse("app@web1.example.org").unwrap();
    let request = Request {
        identity: Identity::node("prod", &node).unwrap(),
        alg: Alg::P256,
        ips: vec![],
        days: 1,
    };
    issue(&ca.cert_pem, &ca.key_pem, &request, now)
        .unwrap()
        .cert_pem
}

fn verifier(cas: &[(&Issued, u64, u64)]) -> Verifier {
    let dated: Vec<_> = cas
        .iter()
        .map(|(ca, from, to)| (&ca.cert_pem, *from, *to))
        .collect();
    let anchors = Anchors::dated(&dated).unwrap();
    Verifier::new(anchors, Crls::none(), "prod").unwrap()
}

#[test]
fn every_node_makes_the_same_ca_byte_by_byte() {
    assert_eq!(ca("prod", 1).cert_pem, ca("prod", 1).cert_pem);
    let subject = |ca: Issued| inspect_pem(&ca.cert_pem).unwrap().remove(0).subject;
    let one = subject(ca("prod", 1));
    assert_ne!(
        one,
        subject(ca("prod", 2)),
        "CAs of one cluster share no name"
    );
    assert_ne!(one, subject(ca("test", 1)));
    assert!(derived_ca("Not A Cluster", &[1; 32]).is_err());
}

fn bytes(hex: &str) -> Vec<u8> {
    let byte = |i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap();
    (0..hex.len() / 2).map(byte).collect()
}

/// RFC 8032, 7.1, test 1.
#[test]
fn the_key_is_the_one_of_the_seed() {
    let seed = bytes("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
    let public = bytes("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
    let made = derived_ca("prod", &seed.try_into().unwrap()).unwrap();
    let der = Der::from_pem_slice(made.cert_pem.as_bytes()).unwrap();
    assert!(der.windows(32).any(|window| window == public));
    let info = inspect_pem(&made.cert_pem).unwrap().remove(0);
    assert_eq!(info.key_alg, "Ed25519");
    assert!(info.is_ca);
    assert_eq!(info.path_len, Some(0));
    assert_eq!(info.uris, ["spiffe://prod"]);
    // Another release makes the same certificate.
    assert_eq!(
        info.sha256,
        "7bdaeca096b45d09799563434243fd5e5bca57648c6106e156473695f582f3b9"
    );
}

#[test]
fn what_it_issues_is_good_for_both_roles_and_for_a_day() {
    let ca = ca("prod", 1);
    let pem = leaf(&ca, NOW);
    let verifier = verifier(&[(&ca, 0, u64::MAX)]);
    for usage in [Usage::Client, Usage::Server] {
        let peer = verifier.verify_pem(&pem, usage, NOW - 300).unwrap();
        assert_eq!(peer.not_after(), NOW + DAY);
    }
    let late = verifier.verify_pem(&pem, Usage::Client, NOW + DAY + 1);
    assert!(matches!(late, Err(Error::Expired { .. })));
}

#[test]
fn refuses_a_certificate_from_another_secret() {
    let other = leaf(&ca("prod", 2), NOW);
    let refused = verifier(&[(&ca("prod", 1), 0, u64::MAX)]).verify_pem(&other, Usage::Client, NOW);
    assert_eq!(refused, Err(Error::UnknownIssuer));
    let both = verifier(&[(&ca("prod", 1), 0, u64::MAX), (&ca("prod", 2), 0, u64::MAX)]);
    assert!(both.verify_pem(&other, Usage::Client, NOW).is_ok());
}

/// Turns red with `MERLON_KNOCKOUT=expiry`.
#[test]
fn refuses_a_certificate_from_a_secret_out_of_its_time() {
    let ca = ca("prod", 1);
    let pem = leaf(&ca, NOW);
    let (not_before, not_after) = (NOW - 10, NOW + 10);
    let verifier = verifier(&[(&ca, not_before, not_after)]);
    for now in [NOW - 11, NOW + 11] {
        let refused = verifier.verify_pem(&pem, Usage::Client, now);
        let expected = Error::AnchorNotValid {
            not_before,
            not_after,
            now,
        };
        assert_eq!(refused, Err(expected));
    }
}

#[test]
fn a_live_peer_outlives_its_own_certificate_but_not_the_secret() {
    let ca = ca("prod", 1);
    let pem = leaf(&ca, NOW);
    let end = NOW + 9 * DAY;
    let plain = verifier(&[(&ca, 0, end)]);
    let peer = plain.verify_pem(&pem, Usage::Client, NOW).unwrap();
    let later = NOW + 2 * DAY;
    assert!(matches!(
        plain.verify_again(&peer, later),
        Err(Error::Expired { .. })
    ));
    let verifier = plain.with_self_made();
    assert_eq!(verifier.verify_again(&peer, NOW), Ok(end));
    assert_eq!(verifier.verify_again(&peer, later), Ok(end));
    let over = verifier.verify_again(&peer, end + 1);
    assert!(matches!(over, Err(Error::AnchorNotValid { .. })));
    let dropped = verifier_of_another().verify_again(&peer, later);
    assert_eq!(dropped, Err(Error::UnknownIssuer));
    let fresh = verifier.verify_pem(&pem, Usage::Client, later);
    assert!(
        matches!(fresh, Err(Error::Expired { .. })),
        "new links need a new one"
    );
}

fn verifier_of_another() -> Verifier {
    verifier(&[(&ca("prod", 2), 0, u64::MAX)]).with_self_made()
}
