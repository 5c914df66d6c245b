//! Chains that must be refused, each with the reason that is given, and the few that must not.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;
use common::{at, ca, der, leaf, node, uri, verifier, Rogue, CLUSTER, DAY, NOW, URI};
use merlon_pki::{
    issue, new_ca, Alg, Anchors, Crls, Der, Error, Identity, NodeName, Part, Request, Usage,
    Verifier,
};
use proptest::prelude::*;
use rcgen::{
    BasicConstraints, CustomExtension, ExtendedKeyUsagePurpose as Eku, IsCa, KeyPair,
    KeyUsagePurpose,
};
use std::time::{Duration, Instant};

#[test]
fn accepts_what_it_issues_in_both_roles() {
    for alg in [Alg::P256, Alg::P384, Alg::Ed25519] {
        let ca = new_ca(CLUSTER, alg, NOW, 3650).unwrap();
        let request = Request {
            identity: node("a@host.example"),
            alg,
            ips: vec![],
            days: 90,
        };
        let cert = issue(&ca.cert_pem, &ca.key_pem, &request, NOW).unwrap();
        for usage in [Usage::Client, Usage::Server] {
            let peer = verifier(&ca.cert_pem)
                .verify_pem(&cert.cert_pem, usage, NOW)
                .unwrap();
            assert_eq!(peer.identity(), &request.identity);
            assert_eq!(peer.not_after(), NOW + 90 * DAY);
            let digest = ring::digest::digest(&ring::digest::SHA256, &der(&cert.cert_pem));
            assert_eq!(peer.sha256(), digest.as_ref());
        }
    }
}

#[test]
fn refuses_chain_of_another_ca() {
    let theirs = ca();
    let cert = leaf(&theirs, node("a@h"));
    let verdict = verifier(&ca().cert_pem).verify_pem(&cert.cert_pem, Usage::Client, NOW);
    assert_eq!(verdict, Err(Error::UnknownIssuer));
    // Showing its CA too does not help.
    let chain = format!("{}{}", cert.cert_pem, theirs.cert_pem);
    let verdict = verifier(&ca().cert_pem).verify_pem(&chain, Usage::Client, NOW);
    assert_eq!(verdict, Err(Error::UnknownIssuer));
}

#[test]
fn refuses_chain_of_a_ca_that_copied_our_name() {
    let (ours, theirs) = (Rogue::new("ca"), Rogue::new("ca"));
    let cert = theirs.sign(|_| ());
    let verdict = verifier(&ours.pem).verify(&[cert.der().clone()], Usage::Client, NOW);
    assert_eq!(verdict, Err(Error::BadSignature));
}

#[test]
fn refuses_changed_bits_anywhere_in_the_certificate() {
    let ca = ca();
    let good = der(&leaf(&ca, node("a@h")).cert_pem).to_vec();
    let verifier = verifier(&ca.cert_pem);
    for i in 0..good.len() {
        let mut bad = good.clone();
        bad[i] ^= 1;
        assert!(
            verifier
                .verify(&[Der::from(bad)], Usage::Client, NOW)
                .is_err(),
            "byte {i}"
        );
    }
}

#[test]
fn refuses_no_certificate() {
    assert_eq!(
        verifier(&ca().cert_pem).verify(&[], Usage::Client, NOW),
        Err(Error::NoCertificate)
    );
}

#[test]
fn refuses_expired_certificate() {
    let ca = ca();
    let cert = leaf(&ca, node("a@h"));
    let judge = |now| verifier(&ca.cert_pem).verify_pem(&cert.cert_pem, Usage::Client, now);
    let not_after = NOW + 90 * DAY;
    assert!(judge(not_after).is_ok());
    assert_eq!(
        judge(not_after + 1),
        Err(Error::Expired {
            not_after,
            now: not_after + 1
        })
    );
}

#[test]
fn refuses_certificate_not_yet_valid() {
    let ca = ca();
    let cert = leaf(&ca, node("a@h"));
    let judge = |now| verifier(&ca.cert_pem).verify_pem(&cert.cert_pem, Usage::Client, now);
    let not_before = NOW - 300;
    assert!(judge(not_before).is_ok());
    assert_eq!(
        judge(not_before - 1),
        Err(Error::NotYetValid {
            not_before,
            now: not_before - 1
        })
    );
}

#[test]
fn refuses_certificate_of_an_expired_ca() {
    let old = Rogue::with("old", |p| p.not_after = at!(NOW - 1));
    let refused = Error::AnchorNotValid {
        not_before: NOW - 10 * DAY,
        not_after: NOW - 1,
        now: NOW,
    };
    assert_eq!(old.judge(|_| ()), Err(refused));
    let young = Rogue::with("young", |p| p.not_before = at!(NOW + 1));
    let refused = Error::AnchorNotValid {
        not_before: NOW + 1,
        not_after: NOW + 100 * DAY,
        now: NOW,
    };
    assert_eq!(young.judge(|_| ()), Err(refused));
}

#[test]
fn refuses_missing_eku() {
    let ca = Rogue::new("ca");
    let verdict = ca.judge(|p| p.extended_key_usages = vec![]);
    assert_eq!(
        verdict,
        Err(Error::WrongUsage {
            usage: Usage::Client
        })
    );
}

#[test]
fn refuses_wrong_eku() {
    let ca = Rogue::new("ca");
    let wrong = |usage, ekus: &[Eku]| {
        let verdict = ca.judge_as(usage, |p| p.extended_key_usages = ekus.to_vec());
        assert_eq!(verdict, Err(Error::WrongUsage { usage }), "{ekus:?}");
    };
    wrong(Usage::Client, &[Eku::ServerAuth]);
    wrong(Usage::Server, &[Eku::ClientAuth]);
    wrong(Usage::Server, &[Eku::CodeSigning]);
    wrong(Usage::Client, &[Eku::Any]);
    assert!(ca
        .judge_as(Usage::Server, |p| p.extended_key_usages =
            vec![Eku::ServerAuth])
        .is_ok());
}

#[test]
fn refuses_key_usage_without_digital_signature() {
    let verdict = Rogue::new("ca").judge(|p| p.key_usages = vec![KeyUsagePurpose::KeyAgreement]);
    assert_eq!(
        verdict,
        Err(Error::WrongUsage {
            usage: Usage::Client
        })
    );
}

#[test]
fn refuses_ca_certificate_as_leaf() {
    let verdict = Rogue::new("ca").judge(|p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    assert_eq!(verdict, Err(Error::CaLeaf));
    let ca = ca();
    let verdict = verifier(&ca.cert_pem).verify_pem(&ca.cert_pem, Usage::Client, NOW);
    assert_eq!(verdict, Err(Error::CaLeaf));
}

#[test]
fn refuses_leaf_that_signs_leaves() {
    let ca = Rogue::new("ca");
    let key = KeyPair::generate().unwrap();
    let middle = ca.sign_key(&key, |_| ());
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = Default::default();
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, "leaf");
    let rogue = Rogue {
        pem: String::new(),
        issuer: rcgen::Issuer::new(params, key),
    };
    let cert = rogue.sign(|_| ());
    let verdict = verifier(&ca.pem).verify(
        &[cert.der().clone(), middle.der().clone()],
        Usage::Client,
        NOW,
    );
    assert_eq!(verdict, Err(Error::BadChain));
}

#[test]
fn refuses_two_uris() {
    let ca = Rogue::new("ca");
    let two = |other| ca.judge(|p| p.subject_alt_names.push(uri(other)));
    assert_eq!(
        two("spiffe://prod.example/node/h/b"),
        Err(Error::ManyIdentities)
    );
    assert_eq!(two("https://prod.example/"), Err(Error::ManyIdentities));
}

#[test]
fn refuses_no_spiffe_uri() {
    let ca = Rogue::new("ca");
    assert_eq!(
        ca.judge(|p| p.subject_alt_names = vec![]),
        Err(Error::NoIdentity)
    );
    assert_eq!(
        ca.judge(|p| p.subject_alt_names = vec![uri("https://prod.example/")]),
        Err(Error::NoIdentity)
    );
}

#[test]
fn refuses_certificate_of_another_cluster() {
    let verdict = Rogue::new("ca")
        .judge(|p| p.subject_alt_names = vec![uri("spiffe://test.example/node/h/a")]);
    let refused = Error::WrongCluster {
        expected: CLUSTER.into(),
        found: "test.example".into(),
    };
    assert_eq!(verdict, Err(refused));
}

#[test]
fn refuses_uris_that_are_not_canonical() {
    let ca = Rogue::new("ca");
    for bad in [
        "spiffe://prod.example",
        "spiffe://prod.example/",
        "spiffe://prod.example/node/h",
        "spiffe://prod.example/node/h/",
        "spiffe://prod.example/node//a",
        "spiffe://prod.example/node/h/a/",
        "spiffe://prod.example/node/h/a/b",
        "spiffe://prod.example/pod/h/a",
        "spiffe://prod.example/node/h/a?x",
        "spiffe://prod.example/node/h/a#x",
        "spiffe://prod.example/node/h/%61",
        "spiffe://prod.example/node/h/_x61_",
        "spiffe://prod.example/node/h/_x2D_",
        "spiffe://prod.example/node/h/_xzz_",
        "spiffe://prod.example/node/h/_x",
        "spiffe://prod.example/node/h/_xff_",
        "spiffe://prod.example/node/h/_x0a_",
        "spiffe://prod.example/node/h/b_x40_c",
        "spiffe://prod.example/node/h/..",
        "spiffe://prod.example/node/../a",
        "spiffe://Prod.example/node/h/a",
        "spiffe://prod.example:443/node/h/a",
        "spiffe://u@prod.example/node/h/a",
        "spiffe:///node/h/a",
    ] {
        let verdict = ca.judge(|p| p.subject_alt_names = vec![uri(bad)]);
        assert_eq!(verdict, Err(Error::BadIdentity), "{bad}");
    }
    let long = format!("spiffe://prod.example/cli/h/{}", "a".repeat(2048));
    assert_eq!(
        ca.judge(|p| p.subject_alt_names = vec![uri(&long)]),
        Err(Error::BadIdentity)
    );
}

#[test]
fn refuses_garbage() {
    let verifier = verifier(&ca().cert_pem);
    for bad in [
        &b""[..],
        b"\x00",
        b"\x30\x80\x00\x00",
        b"\x30\x84\xff\xff\xff\xff",
        &[0xff; 5000],
    ] {
        let verdict = verifier.verify(&[Der::from(bad)], Usage::Client, NOW);
        assert_eq!(verdict, Err(Error::Malformed(Part::Certificate)));
    }
}

#[test]
fn refuses_truncated_der_and_trailing_bytes() {
    let ca = ca();
    let good = der(&leaf(&ca, node("a@h")).cert_pem).to_vec();
    let verifier = verifier(&ca.cert_pem);
    let judge = |der: Vec<u8>| verifier.verify(&[Der::from(der)], Usage::Client, NOW);
    for len in 0..good.len() {
        assert_eq!(
            judge(good[..len].to_vec()),
            Err(Error::Malformed(Part::Certificate)),
            "{len}"
        );
    }
    assert_eq!(
        judge([good, vec![0]].concat()),
        Err(Error::Malformed(Part::Certificate))
    );
}

#[test]
fn refuses_garbage_beside_a_leaf_that_needs_an_intermediate() {
    let cert = Rogue::new("other").sign(|_| ());
    let chain = [cert.der().clone(), Der::from(&b"\x30\x03\x02\x01"[..])];
    let verdict = verifier(&ca().cert_pem).verify(&chain, Usage::Client, NOW);
    assert!(
        matches!(
            verdict,
            Err(Error::Malformed(Part::Certificate) | Error::UnknownIssuer)
        ),
        "{verdict:?}"
    );
}

#[test]
fn refuses_huge_name_list() {
    let verdict = Rogue::new("ca").judge(|p| {
        let name = |i| rcgen::SanType::DnsName(format!("h{i}.example").try_into().unwrap());
        p.subject_alt_names.extend((0..700).map(name));
    });
    assert_eq!(verdict, Err(Error::TooManyNames { count: 701 }));
}

#[test]
fn refuses_certificates_of_more_than_64_kib() {
    let huge = Rogue::new("ca").sign(|p| {
        let name = |i| rcgen::SanType::DnsName(format!("h{i}.example").try_into().unwrap());
        p.subject_alt_names.extend((0..6000).map(name));
    });
    let verdict = Anchors::from_pems(&[huge.pem()]).map(|_| ());
    assert_eq!(verdict, Err(Error::Malformed(Part::Certificate)));
}

#[test]
fn refuses_long_chains_before_any_signature() {
    let ca = ca();
    let cert = der(&leaf(&ca, node("a@h")).cert_pem);
    let judge =
        |count| verifier(&ca.cert_pem).verify(&vec![cert.clone(); count], Usage::Client, NOW);
    assert!(judge(4).is_ok());
    for count in [5, 9] {
        assert_eq!(judge(count), Err(Error::ChainTooLong { count }));
    }
}

#[test]
fn refuses_chains_of_more_than_16_kib_unread() {
    let ca = ca();
    let cert = der(&leaf(&ca, node("a@h")).cert_pem);
    let verifier = verifier(&ca.cert_pem);
    let beside = |sizes: &[usize]| {
        let rest = sizes.iter().map(|len| Der::from(vec![0; *len]));
        let chain: Vec<_> = [cert.clone()].into_iter().chain(rest).collect();
        verifier.verify(&chain, Usage::Client, NOW)
    };
    let left = 16 * 1024 - cert.len();
    assert!(beside(&[left]).is_ok() && beside(&[left - 2, 1, 1]).is_ok());
    let refused = Err(Error::ChainTooLarge {
        bytes: 16 * 1024 + 1,
    });
    assert_eq!(beside(&[left + 1]), refused);
    assert_eq!(beside(&[left - 1, 1, 1]), refused);
    let garbage = [Der::from(vec![0; 20_000])];
    let refused = Err(Error::ChainTooLarge { bytes: 20_000 });
    assert_eq!(verifier.verify(&garbage, Usage::Client, NOW), refused);
}

/// As large as a chain may be, so that each step costs most; all have the trusted CA's name, so that each path is also
/// held against its key. 10 ms without optimization, four times that with one certificate more.
#[test]
fn a_chain_whose_paths_multiply_is_refused_quickly() {
    let ca = Rogue::new("ca");
    let twins: Vec<_> = (0..3).map(|_| crowded("ca", 550)).collect();
    let cert = twins[0].sign(|_| ());
    let chain: Vec<_> = [cert.der().clone()]
        .into_iter()
        .chain(twins.iter().map(|twin| der(&twin.pem)))
        .collect();
    let bytes: usize = chain.iter().map(|der| der.len()).sum();
    assert!((15 * 1024..=16 * 1024).contains(&bytes), "{bytes}");
    let verifier = verifier(&ca.pem);
    let best = (0..5).map(|_| {
        let start = Instant::now();
        let verdict = verifier.verify(&chain, Usage::Client, NOW);
        assert_eq!(verdict, Err(Error::BadSignature));
        start.elapsed()
    });
    let best = best.min().unwrap();
    assert!(best < Duration::from_millis(50), "{best:?}");
}

/// A CA with that many extensions that nobody knows, as small as they get.
fn crowded(name: &str, extensions: u64) -> Rogue {
    Rogue::with(name, |p| {
        let unknown = |i| CustomExtension::from_oid_content(&[1, 2, i], vec![]);
        p.custom_extensions = (0..extensions).map(unknown).collect();
    })
}

#[test]
fn accepts_both_roots_while_one_is_rotated() {
    let (old, new) = (ca(), ca());
    let anchors = Anchors::from_pems(&[&old.cert_pem, &new.cert_pem]).unwrap();
    let verifier = Verifier::new(anchors, Crls::none(), CLUSTER).unwrap();
    for root in [&old, &new] {
        let cert = leaf(root, node("a@h"));
        assert!(verifier
            .verify_pem(&cert.cert_pem, Usage::Server, NOW)
            .is_ok());
    }
}

#[test]
fn refuses_trust_anchors_that_are_none() {
    let ca = ca();
    let anchors = |pem: &str| Anchors::from_pems(&[pem]).map(|_| ());
    assert_eq!(anchors(""), Err(Error::NoAnchors));
    assert_eq!(anchors(&leaf(&ca, node("a@h")).cert_pem), Err(Error::NotCa));
    assert_eq!(
        anchors(&ca.cert_pem[..200]),
        Err(Error::Malformed(Part::Pem))
    );
    let no_sign = Rogue::with("ca", |p| p.key_usages = vec![KeyUsagePurpose::CrlSign]);
    assert_eq!(anchors(&no_sign.pem), Err(Error::NotCa));
}

#[test]
fn refuses_cluster_names_that_are_no_trust_domain() {
    let anchors = Anchors::from_pems(&[&ca().cert_pem]).unwrap();
    for bad in ["", "Prod", "a/b", "a:1", "é", &"a".repeat(256)] {
        let verifier = Verifier::new(anchors.clone(), Crls::none(), bad).map(|_| ());
        assert_eq!(verifier, Err(Error::BadCluster), "{bad}");
    }
}

#[test]
fn accepts_a_chain_through_an_intermediate() {
    let root = Rogue::new("root");
    let (middle, below) = root.intermediate();
    let cert = below.sign(|_| ());
    let verifier = verifier(&root.pem);
    let chain = [cert.der().clone(), middle.der().clone()];
    assert_eq!(
        verifier
            .verify(&chain, Usage::Client, NOW)
            .unwrap()
            .identity(),
        &Identity::parse(URI).unwrap()
    );
    assert_eq!(
        verifier.verify(&chain[..1], Usage::Client, NOW),
        Err(Error::UnknownIssuer)
    );
}

#[test]
fn error_codes_are_words_for_atoms() {
    let code = Rogue::new("ca")
        .judge(|p| p.extended_key_usages = vec![])
        .unwrap_err()
        .code();
    assert_eq!(code, "wrong_usage");
    assert_eq!(NodeName::parse("x").unwrap_err().code(), "bad_node_name");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn never_panics_on_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..600), at in 0usize..700, flip: u8) {
        static FIXED: std::sync::LazyLock<(String, Vec<u8>)> = std::sync::LazyLock::new(|| {
            let ca = ca();
            let cert = der(&leaf(&ca, node("a@h")).cert_pem).to_vec();
            (ca.cert_pem.clone(), cert)
        });
        let verifier = verifier(&FIXED.0);
        prop_assert!(verifier.verify(&[Der::from(bytes.clone())], Usage::Client, NOW).is_err());
        let mut cert = FIXED.1.clone();
        let end = cert.len().min(at + bytes.len());
        if let Some(part) = cert.get_mut(at..end) {
            part.copy_from_slice(&bytes[..end - at]);
            part.iter_mut().for_each(|b| *b ^= flip);
        }
        let changed = cert != FIXED.1;
        prop_assert_eq!(verifier.verify(&[Der::from(cert)], Usage::Client, NOW).is_err(), changed);
    }
}
