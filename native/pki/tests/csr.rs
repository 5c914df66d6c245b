//! Signing requests: what a request may ask for, and that nothing of its text gets into a certificate.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::{ca, node, uri, verifier, CLUSTER, DAY, NOW, URI};
use merlon_pki::{
    inspect_pem, leaf_matches_key, new_csr, sign_csr, Alg, Csr, Error, Grant, Identity, Part, Usage,
};
use rcgen::{
    Attribute, BasicConstraints, CertificateParams, CustomExtension, DnType,
    ExtendedKeyUsagePurpose as Eku, IsCa, KeyPair, KeyUsagePurpose, SanType,
};
use rustls_pki_types::pem::PemObject;

fn grant() -> Grant {
    Grant {
        identity: Identity::parse(URI).unwrap(),
        ips: vec!["10.0.0.1".parse().unwrap()],
        days: 90,
    }
}

/// A good request for [`URI`], changed at will.
fn asked(change: impl FnOnce(&mut CertificateParams)) -> String {
    asked_with(vec![], change)
}

fn asked_with(attributes: Vec<Attribute>, change: impl FnOnce(&mut CertificateParams)) -> String {
    let mut params = CertificateParams::default();
    params.distinguished_name = Default::default();
    params.subject_alt_names = vec![uri(URI)];
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let request = params.serialize_request_with_attributes(&key, attributes);
    request.unwrap().pem().unwrap()
}

fn sign(csr_pem: &str) -> Result<String, Error> {
    let ca = ca();
    let csr = Csr::from_pem(csr_pem)?;
    sign_csr(&ca.cert_pem, &ca.key_pem, &csr, &grant(), NOW)
}

fn dns(text: &str) -> SanType {
    SanType::DnsName(text.try_into().unwrap())
}

fn extension(oid: &[u64]) -> CustomExtension {
    CustomExtension::from_oid_content(oid, vec![5, 0])
}

#[test]
fn a_request_of_ours_becomes_a_certificate_for_its_key() {
    for alg in [Alg::P256, Alg::P384, Alg::Ed25519] {
        let ca = ca();
        let made = new_csr(&grant().identity, alg, &grant().ips).unwrap();
        let csr = Csr::from_pem(&made.csr_pem).unwrap();
        assert_eq!(csr.identity(), Ok(grant().identity));
        let cert = sign_csr(&ca.cert_pem, &ca.key_pem, &csr, &grant(), NOW).unwrap();
        assert_eq!(leaf_matches_key(&cert, &made.key_pem), Ok(()));
        for usage in [Usage::Client, Usage::Server] {
            let peer = verifier(&ca.cert_pem)
                .verify_pem(&cert, usage, NOW)
                .unwrap();
            assert_eq!(peer.identity(), &grant().identity);
            assert_eq!(peer.not_after(), NOW + 90 * DAY);
        }
        let info = inspect_pem(&cert).unwrap().remove(0);
        assert_eq!(info.uris, [URI]);
        assert_eq!(info.dns, ["host.example"]);
        assert_eq!(info.ips, grant().ips);
        assert_eq!(info.subject, "CN=a@host.example");
        assert!(!info.is_ca);
    }
}

/// Less than what is granted may be asked; what is given is the grant.
#[test]
fn every_name_of_the_certificate_is_the_issuers() {
    let bare = inspect_pem(&sign(&asked(|_| ())).unwrap())
        .unwrap()
        .remove(0);
    assert_eq!(bare.subject, "CN=a@host.example");
    assert_eq!(
        (bare.uris, bare.dns),
        (vec![URI.to_owned()], vec!["host.example".to_owned()])
    );
    assert_eq!(bare.ips, grant().ips);
    assert_eq!(
        (bare.eku.len(), bare.key_usage),
        (2, vec!["digitalSignature".to_owned()])
    );
}

#[test]
fn refuses_a_request_for_another_name() {
    let other = |names: &[SanType]| asked(|p| p.subject_alt_names = names.to_vec());
    for names in [
        vec![],
        vec![uri("spiffe://prod.example/node/host.example/b")],
        vec![uri("spiffe://test.example/node/host.example/a")],
        vec![uri("spiffe://prod.example/cli/host.example/a")],
        vec![uri("spiffe://prod.example/node/host.example/a/")],
        vec![uri(URI), uri("spiffe://prod.example/node/host.example/b")],
        vec![uri(URI), uri(URI)],
        vec![uri(URI), dns("other.example")],
        vec![uri(URI), dns("*.example")],
        vec![uri(URI), SanType::IpAddress("10.0.0.2".parse().unwrap())],
        vec![
            uri(URI),
            SanType::Rfc822Name("a@host.example".try_into().unwrap()),
        ],
        vec![dns("host.example")],
    ] {
        assert_eq!(sign(&other(&names)), Err(Error::CsrName), "{names:?}");
    }
    let wanted = [
        uri(URI),
        dns("host.example"),
        SanType::IpAddress(grant().ips[0]),
    ];
    assert!(sign(&other(&wanted)).is_ok());
}

#[test]
fn refuses_a_request_with_another_subject() {
    let named = |kind: DnType, text: &str| asked(|p| p.distinguished_name.push(kind.clone(), text));
    assert!(sign(&named(DnType::CommonName, "a@host.example")).is_ok());
    assert_eq!(
        sign(&named(DnType::CommonName, "b@host.example")),
        Err(Error::CsrName)
    );
    assert_eq!(
        sign(&named(DnType::OrganizationName, "a@host.example")),
        Err(Error::CsrName)
    );
    let two = asked(|p| {
        p.distinguished_name
            .push(DnType::CommonName, "a@host.example");
        p.distinguished_name
            .push(DnType::OrganizationName, "admins");
    });
    assert_eq!(sign(&two), Err(Error::CsrName));
}

#[test]
fn refuses_a_request_for_extensions_that_are_not_given() {
    let refused = |csr: &str, oid: &str| {
        let why = Error::CsrExtension { oid: oid.into() };
        assert_eq!(sign(csr), Err(why), "{oid}");
    };
    refused(
        &asked(|p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
        "2.5.29.19",
    );
    refused(
        &asked(|p| p.is_ca = IsCa::Ca(BasicConstraints::Constrained(0))),
        "2.5.29.19",
    );
    refused(
        &asked(|p| p.key_usages = vec![KeyUsagePurpose::KeyCertSign]),
        "2.5.29.15",
    );
    let more = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::CrlSign];
    refused(&asked(|p| p.key_usages = more), "2.5.29.15");
    refused(
        &asked(|p| p.extended_key_usages = vec![Eku::ServerAuth, Eku::CodeSigning]),
        "2.5.29.37",
    );
    refused(
        &asked(|p| p.extended_key_usages = vec![Eku::Any]),
        "2.5.29.37",
    );
    refused(
        &asked(|p| p.custom_extensions = vec![extension(&[2, 5, 29, 30])]),
        "2.5.29.30",
    );
    refused(
        &asked(|p| p.custom_extensions = vec![extension(&[1, 3, 6, 1, 4, 1, 1])]),
        "1.3.6.1.4.1.1",
    );
    let usual = asked(|p| {
        p.is_ca = IsCa::ExplicitNoCa;
        p.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        p.extended_key_usages = vec![Eku::ClientAuth];
    });
    assert!(sign(&usual).is_ok());
}

#[test]
fn refuses_extensions_that_come_twice_and_other_attributes() {
    let read = |csr: &str| Csr::from_pem(csr).map(|_| ()).unwrap_err();
    let twice = asked(|p| {
        p.custom_extensions = vec![
            extension(&[1, 3, 6, 1, 4, 1, 1]),
            extension(&[1, 3, 6, 1, 4, 1, 1]),
        ]
    });
    assert_eq!(
        read(&twice),
        Error::CsrExtension {
            oid: "1.3.6.1.4.1.1".into()
        }
    );
    let only = |attributes| asked_with(attributes, |p| p.subject_alt_names.clear());
    // challengePassword (RFC 2985, 5.4.1): a secret in clear text.
    let password = Attribute {
        oid: &[1, 2, 840, 113_549, 1, 9, 7],
        values: b"\x31\x05\x0c\x03abc".to_vec(),
    };
    let refused = Error::CsrExtension {
        oid: "1.2.840.113549.1.9.7".into(),
    };
    assert_eq!(read(&only(vec![password])), refused);
    let request = |values: &[u8]| Attribute {
        oid: &[1, 2, 840, 113_549, 1, 9, 14],
        values: values.to_vec(),
    };
    let one = request(b"\x31\x02\x30\x00");
    let two = request(b"\x31\x0a\x30\x08\x30\x06\x06\x02\x2a\x03\x04\x00");
    let refused = Error::CsrExtension {
        oid: "1.2.840.113549.1.9.14".into(),
    };
    assert_eq!(read(&only(vec![one, two])), refused);
}

/// Each changed bit: of the request, of its key, of its signature.
#[test]
fn refuses_a_request_that_is_not_signed_with_its_own_key() {
    let good = asked(|_| ());
    let der = rustls_pki_types::CertificateSigningRequestDer::from_pem_slice(good.as_bytes());
    let der = der.unwrap().to_vec();
    let mut signature = 0;
    for i in 0..der.len() {
        let mut bad = der.clone();
        bad[i] ^= 1;
        match Csr::from_pem(&pem(&bad)).map(|_| ()) {
            Ok(()) => panic!("byte {i}"),
            Err(Error::CsrSignature) => signature += 1,
            Err(_) => {}
        }
    }
    assert!(signature > der.len() / 2, "{signature} of {}", der.len());
    // Another's key under our signature.
    let theirs = new_csr(&grant().identity, Alg::P256, &[]).unwrap().csr_pem;
    let theirs = rustls_pki_types::CertificateSigningRequestDer::from_pem_slice(theirs.as_bytes());
    let key = &theirs.unwrap().to_vec();
    let point = |der: &[u8]| der.windows(4).position(|w| w == [3, 0x42, 0, 4]).unwrap() + 4;
    let (from, to) = (point(key), point(&der));
    let mut mixed = der.clone();
    mixed[to..to + 64].copy_from_slice(&key[from..from + 64]);
    assert_eq!(
        Csr::from_pem(&pem(&mixed)).map(|_| ()),
        Err(Error::CsrSignature)
    );
}

#[test]
fn refuses_what_is_no_single_request() {
    let read = |csr: &str| Csr::from_pem(csr).map(|_| ()).unwrap_err();
    let good = asked(|_| ());
    assert_eq!(read(""), Error::Malformed(Part::Csr));
    assert_eq!(read(&ca().cert_pem), Error::Malformed(Part::Csr));
    assert_eq!(read(&format!("{good}{good}")), Error::Malformed(Part::Csr));
    assert_eq!(read(&good[..100]), Error::Malformed(Part::Pem));
    assert_eq!(
        read(&good.replacen("MI", "MA", 1)),
        Error::Malformed(Part::Csr)
    );
    let der = rustls_pki_types::CertificateSigningRequestDer::from_pem_slice(good.as_bytes());
    let longer = [&der.unwrap()[..], &[0]].concat();
    assert_eq!(read(&pem(&longer)), Error::Malformed(Part::Csr));
}

#[test]
fn refuses_large_requests_unread() {
    let bytes = 8 * 1024 + 1;
    let refused = Err(Error::CsrTooLarge { bytes });
    assert_eq!(Csr::from_pem(&"x".repeat(bytes)).map(|_| ()), refused);
    let unread = Csr::from_pem(&"x".repeat(bytes - 1)).map(|_| ());
    assert_eq!(unread, Err(Error::Malformed(Part::Csr)));
    // The largest of ours fits: the longest name, and all addresses that one may have.
    let ips: Vec<_> = (0..32u8)
        .map(|i| format!("fd00::{i}").parse().unwrap())
        .collect();
    let name = format!("{}@{}", "é".repeat(127), "h".repeat(127));
    let long = new_csr(&node(&name), Alg::P384, &ips).unwrap();
    assert!(
        Csr::from_pem(&long.csr_pem).is_ok(),
        "{}",
        long.csr_pem.len()
    );
}

#[test]
fn refuses_to_sign_for_another_cluster_or_without_life() {
    let ca = ca();
    let identity = Identity::parse("spiffe://test.example/node/h/a").unwrap();
    let csr = Csr::from_pem(&new_csr(&identity, Alg::P256, &[]).unwrap().csr_pem).unwrap();
    let wrong = Grant {
        identity,
        ..grant()
    };
    let refused = Error::WrongCluster {
        expected: "test.example".into(),
        found: CLUSTER.into(),
    };
    let verdict = sign_csr(&ca.cert_pem, &ca.key_pem, &csr, &wrong, NOW);
    assert_eq!(verdict, Err(refused));
    let csr = Csr::from_pem(&asked(|_| ())).unwrap();
    let verdict = sign_csr(
        &ca.cert_pem,
        &ca.key_pem,
        &csr,
        &Grant { days: 0, ..grant() },
        NOW,
    );
    assert_eq!(verdict, Err(Error::BadLifetime));
}

fn pem(der: &[u8]) -> String {
    let label = "CERTIFICATE REQUEST";
    x509_cert::der::pem::encode_string(label, x509_cert::der::pem::LineEnding::LF, der).unwrap()
}
