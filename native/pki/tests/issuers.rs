//! What CAs say of themselves counts: on the way to the anchor, and the anchor's own.
#![allow(clippy::unwrap_used)]

mod common;

use common::{verifier, Rogue, CLUSTER, DAY, NOW};
use merlon_pki::{check_list, Anchors, Crls, Error, Part, Usage, Verifier};
use rcgen::{
    BasicConstraints, CustomExtension, ExtendedKeyUsagePurpose as Eku, IsCa, KeyUsagePurpose,
};
use rustls_pki_types::{pem::PemObject, CertificateRevocationListDer};

/// A leaf below a CA below `root`.
fn below_a_ca(root: &Rogue) -> Result<(), Error> {
    let (middle, below) = root.intermediate();
    let chain = [below.sign(|_| ()).der().clone(), middle.der().clone()];
    verifier(&root.pem)
        .verify(&chain, Usage::Client, NOW)
        .map(|_| ())
}

#[test]
fn refuses_a_ca_below_an_anchor_of_path_length_0() {
    let limited = |n| {
        Rogue::with("root", |p| {
            p.is_ca = IsCa::Ca(BasicConstraints::Constrained(n))
        })
    };
    assert_eq!(below_a_ca(&limited(0)), Err(Error::PathLength));
    assert_eq!(below_a_ca(&limited(1)), Ok(()));
    assert!(limited(0).judge(|_| ()).is_ok());
}

#[test]
fn refuses_leafs_of_an_anchor_for_other_purposes() {
    let usage = Usage::Client;
    let signing = Rogue::with("root", |p| p.extended_key_usages = vec![Eku::CodeSigning]);
    assert_eq!(signing.judge(|_| ()), Err(Error::WrongUsage { usage }));
    let servers = Rogue::with("root", |p| p.extended_key_usages = vec![Eku::ServerAuth]);
    assert_eq!(servers.judge(|_| ()), Err(Error::WrongUsage { usage }));
    assert!(servers.judge_as(Usage::Server, |_| ()).is_ok());
}

#[test]
fn refuses_an_anchor_with_an_unknown_critical_extension() {
    let root = |critical| {
        Rogue::with("root", |p| {
            let mut odd = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 1], vec![5, 0]);
            odd.set_criticality(critical);
            p.custom_extensions = vec![odd];
        })
    };
    let read = |critical| Anchors::from_pems(&[root(critical).pem]).map(|_| ());
    assert_eq!(read(true), Err(Error::UnknownCritical));
    assert_eq!(read(false), Ok(()));
}

#[test]
fn refuses_an_issuer_whose_key_may_not_sign_certificates() {
    let root = Rogue::new("root");
    let key = rcgen::KeyPair::generate().unwrap();
    let mut kept = None;
    let middle = root.sign_key(&key, |p| {
        p.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        p.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::CrlSign];
        p.subject_alt_names = vec![];
        kept = Some(p.clone());
    });
    let issuer = rcgen::Issuer::new(kept.unwrap(), key);
    let below = Rogue {
        pem: String::new(),
        issuer,
    };
    let chain = [below.sign(|_| ()).der().clone(), middle.der().clone()];
    let verdict = verifier(&root.pem).verify(&chain, Usage::Client, NOW);
    assert_eq!(verdict, Err(Error::BadChain));
}

#[test]
fn refuses_lists_of_an_anchor_that_may_sign_none() {
    let root = Rogue::with("root", |p| {
        p.key_usages = vec![KeyUsagePurpose::KeyCertSign]
    });
    let judge = |lists: &[String]| {
        let anchors = Anchors::from_pems(&[&root.pem]).unwrap();
        let verifier = Verifier::new(anchors, Crls::from_pems(lists).unwrap(), CLUSTER).unwrap();
        let chain = [root.sign(|_| ()).der().clone()];
        verifier.verify(&chain, Usage::Client, NOW).map(|_| ())
    };
    assert_eq!(judge(&[]), Ok(()));
    // A CA that only has the same name may well be another.
    let other = Rogue::new("root").crl(&[], NOW - DAY, NOW + DAY);
    assert_eq!(judge(&[other]), Ok(()));
    let signer = Rogue {
        pem: String::new(),
        issuer: crl_signer(&root),
    };
    let own = signer.crl(&[], NOW - DAY, NOW + DAY);
    assert_eq!(judge(std::slice::from_ref(&own)), Err(Error::BadCrl));
    // Nor when somebody sends it.
    let der = CertificateRevocationListDer::from_pem_slice(own.as_bytes()).unwrap();
    let anchors = Anchors::from_pems(&[&root.pem]).unwrap();
    assert_eq!(check_list(&der, &anchors, NOW), Err(Error::BadCrl));
}

/// The same key, with leave to sign lists.
fn crl_signer(root: &Rogue) -> rcgen::Issuer<'static, rcgen::KeyPair> {
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = Default::default();
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, "root");
    params.key_usages = vec![KeyUsagePurpose::CrlSign];
    let key = root.issuer.key().serialize_der();
    rcgen::Issuer::new(params, rcgen::KeyPair::try_from(key).unwrap())
}

#[test]
fn refuses_an_extension_that_comes_twice() {
    let odd = |arc| CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, arc], vec![5, 0]);
    let root = Rogue::new("root");
    let verdict = root.judge(|p| p.custom_extensions = vec![odd(1), odd(1)]);
    assert_eq!(verdict, Err(Error::Malformed(Part::Certificate)));
    assert!(root
        .judge(|p| p.custom_extensions = vec![odd(1), odd(2)])
        .is_ok());
}
