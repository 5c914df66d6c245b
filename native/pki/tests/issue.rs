//! What is issued, what inspection says about it, and what issuing refuses.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{ca, leaf, node, CLUSTER, DAY, NOW};
use merlon_pki::{
    inspect_pem, issue, leaf_matches_key, new_ca, Alg, Error, Identity, Info, Issued, Part, Request,
};

fn info(issued: &Issued) -> Info {
    inspect_pem(&issued.cert_pem).unwrap().remove(0)
}

fn request(identity: Identity) -> Request {
    Request {
        identity,
        alg: Alg::P256,
        ips: vec![],
        days: 90,
    }
}

fn refused(ca: &Issued, request: &Request, now: u64) -> Error {
    issue(&ca.cert_pem, &ca.key_pem, request, now)
        .map(|_| ())
        .unwrap_err()
}

#[test]
fn ca_is_a_ca_and_nothing_else() {
    let info = info(&ca());
    assert!(info.is_ca);
    assert_eq!(info.path_len, Some(0));
    assert_eq!(info.key_usage, ["keyCertSign", "cRLSign"]);
    assert_eq!(info.eku, [""; 0]);
    assert_eq!(info.uris, ["spiffe://prod.example"]);
    assert_eq!(info.identity, None);
    assert_eq!(info.subject, info.issuer);
    assert!(
        info.subject.contains("CN=prod.example merlon CA"),
        "{}",
        info.subject
    );
    assert_eq!(
        (info.not_before, info.not_after),
        (NOW - 300, NOW + 3650 * DAY)
    );
}

#[test]
fn leaf_is_for_both_tls_roles_and_nothing_else() {
    let ca = ca();
    let cert = info(&leaf(&ca, node("a@host.example")));
    assert!(!cert.is_ca);
    assert_eq!(cert.key_usage, ["digitalSignature"]);
    assert_eq!(cert.eku, ["serverAuth", "clientAuth"]);
    assert_eq!(cert.uris, ["spiffe://prod.example/node/host.example/a"]);
    assert_eq!(cert.dns, ["host.example"]);
    assert!(cert.ips.is_empty());
    assert_eq!(cert.identity, Some(node("a@host.example")));
    assert_eq!(cert.issuer, info(&ca).subject);
    assert_eq!(
        (cert.not_before, cert.not_after),
        (NOW - 300, NOW + 90 * DAY)
    );
    assert_eq!(
        (cert.key_alg.as_str(), cert.sig_alg.as_str()),
        ("EC P-256", "ecdsa-with-SHA256")
    );
    assert_eq!(cert.sha256.len(), 64);
}

#[test]
fn host_stands_beside_the_uri_as_what_it_is() {
    let ca = ca();
    let names = |text: &str| {
        let info = info(&leaf(&ca, node(text)));
        (
            info.dns,
            info.ips.iter().map(ToString::to_string).collect::<Vec<_>>(),
        )
    };
    assert_eq!(names("a@b1"), (vec!["b1".to_owned()], vec![]));
    assert_eq!(names("a@127.0.0.1"), (vec![], vec!["127.0.0.1".to_owned()]));
    assert_eq!(names("f@::1"), (vec![], vec!["::1".to_owned()]));
    assert_eq!(names("e@b1é"), (vec![], vec![]));
    assert_eq!(names("d@b1#c"), (vec![], vec![]));
}

#[test]
fn further_addresses_stand_once() {
    let ca = ca();
    let ips = vec![
        "10.0.0.1".parse().unwrap(),
        "127.0.0.1".parse().unwrap(),
        "10.0.0.1".parse().unwrap(),
    ];
    let request = Request {
        ips,
        ..request(node("a@127.0.0.1"))
    };
    let info = info(&issue(&ca.cert_pem, &ca.key_pem, &request, NOW).unwrap());
    assert_eq!(
        info.ips.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["127.0.0.1", "10.0.0.1"]
    );
    let many = Request {
        ips: vec!["10.0.0.1".parse().unwrap(); 33],
        ..request
    };
    assert_eq!(refused(&ca, &many, NOW), Error::TooManyNames { count: 33 });
}

#[test]
fn tools_get_certificates_too() {
    let tool = Identity::cli(CLUSTER, "host.example", "root").unwrap();
    assert_eq!(info(&leaf(&ca(), tool.clone())).identity, Some(tool));
}

#[test]
fn no_serial_number_key_or_ca_name_comes_twice() {
    let ca = ca();
    let (a, b) = (leaf(&ca, node("a@h")), leaf(&ca, node("a@h")));
    assert_ne!(info(&a).serial_hex, info(&b).serial_hex);
    assert_ne!(*a.key_pem, *b.key_pem);
    assert_eq!(info(&a).serial_hex.len(), 34);
    assert_ne!(info(&ca).subject, info(&common::ca()).subject);
}

#[test]
fn leaf_ends_with_its_ca() {
    let ca = new_ca(CLUSTER, Alg::P256, NOW, 10).unwrap();
    assert_eq!(info(&leaf(&ca, node("a@h"))).not_after, NOW + 10 * DAY);
    let end = NOW + 10 * DAY;
    let stale = Error::AnchorNotValid {
        not_before: NOW - 300,
        not_after: end,
        now: end + 1,
    };
    assert_eq!(refused(&ca, &request(node("a@h")), end + 1), stale);
}

#[test]
fn refuses_to_issue_for_another_cluster() {
    let other = new_ca("test.example", Alg::P256, NOW, 10).unwrap();
    let wrong = Error::WrongCluster {
        expected: CLUSTER.into(),
        found: "test.example".into(),
    };
    assert_eq!(refused(&other, &request(node("a@h")), NOW), wrong);
}

#[test]
fn refuses_to_issue_with_a_leaf_or_a_wrong_key() {
    let ca = ca();
    let cert = leaf(&ca, node("a@h"));
    assert_eq!(refused(&cert, &request(node("b@h")), NOW), Error::NotCa);
    let mixed = Issued {
        cert_pem: ca.cert_pem,
        key_pem: cert.key_pem,
    };
    assert_eq!(
        refused(&mixed, &request(node("b@h")), NOW),
        Error::KeyMismatch
    );
}

#[test]
fn refuses_lifetimes_that_no_certificate_can_have() {
    let bad = |now, days| new_ca(CLUSTER, Alg::P256, now, days).map(|_| ());
    assert_eq!(bad(NOW, 0), Err(Error::BadLifetime));
    assert_eq!(bad(NOW, u32::MAX), Err(Error::BadLifetime));
    assert_eq!(bad(u64::MAX, 1), Err(Error::BadLifetime));
    assert_eq!(
        refused(
            &ca(),
            &Request {
                days: 0,
                ..request(node("a@h"))
            },
            NOW
        ),
        Error::BadLifetime
    );
    assert!(bad(0, 1).is_ok());
    assert!(bad(NOW, 365 * 100).is_ok()); // past 2050, GeneralizedTime
}

#[test]
fn refuses_bad_cluster_names() {
    assert_eq!(
        new_ca("Prod", Alg::P256, NOW, 1).map(|_| ()),
        Err(Error::BadCluster)
    );
}

#[test]
fn long_names_are_issued() {
    let cluster = "c".repeat(255);
    let ca = new_ca(&cluster, Alg::Ed25519, NOW, 10).unwrap();
    let name =
        merlon_pki::NodeName::parse(&format!("{}@{}", "n".repeat(127), "h".repeat(127))).unwrap();
    let identity = Identity::node(&cluster, &name).unwrap();
    let cert = issue(&ca.cert_pem, &ca.key_pem, &request(identity.clone()), NOW).unwrap();
    assert_eq!(info(&cert).identity, Some(identity));
}

#[test]
fn tells_a_key_from_another() {
    let ca = ca();
    let (a, b) = (leaf(&ca, node("a@h")), leaf(&ca, node("b@h")));
    assert_eq!(leaf_matches_key(&a.cert_pem, &a.key_pem), Ok(()));
    assert_eq!(
        leaf_matches_key(&a.cert_pem, &b.key_pem),
        Err(Error::KeyMismatch)
    );
    let other = new_ca(CLUSTER, Alg::P384, NOW, 1).unwrap();
    assert_eq!(
        leaf_matches_key(&a.cert_pem, &other.key_pem),
        Err(Error::KeyMismatch)
    );
    assert_eq!(
        leaf_matches_key(&a.cert_pem, &a.cert_pem),
        Err(Error::Malformed(Part::Pem))
    );
    let broken = a.key_pem.replace("MI", "MA");
    assert_eq!(
        leaf_matches_key(&a.cert_pem, &broken),
        Err(Error::Malformed(Part::Key))
    );
}

#[test]
fn inspects_a_whole_chain_and_refuses_what_is_none() {
    let ca = ca();
    let chain = format!("words\n{}{}", leaf(&ca, node("a@h")).cert_pem, ca.cert_pem);
    assert_eq!(inspect_pem(&chain).unwrap().len(), 2);
    assert_eq!(inspect_pem("words"), Err(Error::NoCertificate));
    let broken = ca.cert_pem.replace("MII", "MIA");
    assert_eq!(
        inspect_pem(&broken),
        Err(Error::Malformed(Part::Certificate))
    );
}

#[test]
fn inspection_hides_control_characters() {
    let rogue = common::Rogue::new("evil\u{1b}[2J\nca");
    let info = inspect_pem(&rogue.pem).unwrap().remove(0);
    assert!(
        !info.subject.chars().any(char::is_control),
        "{:?}",
        info.subject
    );
}
