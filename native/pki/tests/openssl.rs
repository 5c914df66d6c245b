//! OpenSSL agrees with what is issued, and makes what is not: RSA, SEC1 keys, SHA-1, foreign CAs and lists.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::{
    path::PathBuf,
    process::{Command, Output},
    time::{SystemTime, UNIX_EPOCH},
};

use common::{node, verifier, CLUSTER};
use merlon_pki::{
    inspect_pem, issue, leaf_matches_key, new_ca, revoke, Alg, Anchors, Crls, Error, Identity,
    Issued, Reason, Request, Revocation, Usage, Verifier,
};

/// A folder of its own, removed at the end.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("merlon-pki-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap()
    }

    fn try_openssl(&self, args: &str) -> Output {
        Command::new("openssl")
            .args(args.split(' '))
            .current_dir(&self.0)
            .output()
            .unwrap()
    }

    fn openssl(&self, args: &str) -> String {
        let output = self.try_openssl(args);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "openssl {args}: {text} {}",
            String::from_utf8_lossy(&output.stderr)
        );
        text
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// OpenSSL signs for now, whenever that is.
fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

fn issue_to(ca: &Issued, identity: Identity, alg: Alg) -> Issued {
    let request = Request {
        identity,
        alg,
        ips: vec!["10.0.0.1".parse().unwrap()],
        days: 90,
    };
    issue(&ca.cert_pem, &ca.key_pem, &request, now()).unwrap()
}

const LEAF_EXT: &str = "subjectAltName=URI:spiffe://prod.example/node/h/a\nextendedKeyUsage=serverAuth,clientAuth\n\
                        keyUsage=digitalSignature\nbasicConstraints=CA:FALSE\nauthorityKeyIdentifier=keyid\n";

/// A CA made by OpenSSL, and a leaf whose key is made by `genpkey` or `ecparam` arguments.
fn foreign(dir: &Dir, digest: &str, leaf_key: &str) {
    dir.openssl(
        "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj /CN=foreign -days 30",
    );
    dir.openssl(leaf_key);
    dir.write("leaf.ext", LEAF_EXT);
    dir.openssl("req -new -key leaf.key -subj /CN=leaf -out leaf.csr");
    let sign = "x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 10 -extfile leaf.ext -out leaf.pem";
    dir.openssl(&format!("{sign} {digest}"));
}

#[test]
fn openssl_verifies_what_is_issued_under_x509_strict() {
    for (name, alg) in [
        ("p256", Alg::P256),
        ("p384", Alg::P384),
        ("ed25519", Alg::Ed25519),
    ] {
        let dir = Dir::new(&format!("strict-{name}"));
        let ca = new_ca(CLUSTER, alg, now(), 3650).unwrap();
        dir.write("ca.pem", &ca.cert_pem);
        dir.write(
            "node.pem",
            &issue_to(&ca, node("a@host.example"), alg).cert_pem,
        );
        dir.write("v6.pem", &issue_to(&ca, node("f@::1"), alg).cert_pem);
        dir.write(
            "cli.pem",
            &issue_to(&ca, Identity::cli(CLUSTER, "h", "root").unwrap(), alg).cert_pem,
        );
        for purpose in ["sslserver", "sslclient"] {
            for file in ["node.pem", "v6.pem", "cli.pem"] {
                let verdict = dir.openssl(&format!(
                    "verify -x509_strict -purpose {purpose} -CAfile ca.pem {file}"
                ));
                assert_eq!(verdict, format!("{file}: OK\n"));
            }
            dir.openssl("verify -x509_strict -check_ss_sig -CAfile ca.pem ca.pem");
        }
        dir.openssl("verify -x509_strict -CAfile ca.pem -verify_hostname host.example node.pem");
        dir.openssl("verify -x509_strict -CAfile ca.pem -verify_ip 10.0.0.1 node.pem");
        dir.openssl("verify -x509_strict -CAfile ca.pem -verify_ip ::1 v6.pem");
        assert!(!dir
            .try_openssl("verify -CAfile ca.pem -verify_hostname other.example node.pem")
            .status
            .success());
    }
}

#[test]
fn openssl_shows_the_extensions_that_are_promised() {
    let dir = Dir::new("text");
    let ca = new_ca(CLUSTER, Alg::P256, now(), 3650).unwrap();
    dir.write("ca.pem", &ca.cert_pem);
    dir.write(
        "node.pem",
        &issue_to(&ca, node("a@host.example"), Alg::P256).cert_pem,
    );
    let expect = |file: &str, wanted: &[&str]| {
        let text = dir.openssl(&format!("x509 -in {file} -noout -text"));
        let squeezed = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in wanted {
            assert!(squeezed.contains(part), "{part} in {text}");
        }
    };
    expect(
        "ca.pem",
        &[
            "Basic Constraints: critical CA:TRUE, pathlen:0",
            "Key Usage: critical Certificate Sign, CRL Sign",
            "Subject Key Identifier:",
            "Authority Key Identifier:",
            "Alternative Name: URI:spiffe://prod.example ",
            "CN = prod.example merlon CA",
        ],
    );
    expect(
        "node.pem",
        &[
            "Basic Constraints: critical CA:FALSE",
            "Key Usage: critical Digital Signature",
            "Extended Key Usage: TLS Web Server Authentication, TLS Web Client Authentication",
            "Subject Key Identifier:",
            "Authority Key Identifier:",
            "URI:spiffe://prod.example/node/host.example/a, DNS:host.example, IP Address:10.0.0.1",
            "Version: 3",
        ],
    );
}

#[test]
fn openssl_reads_the_keys_that_are_issued() {
    for alg in [Alg::P256, Alg::P384, Alg::Ed25519] {
        let dir = Dir::new(&format!("keys-{alg:?}"));
        let ca = new_ca(CLUSTER, alg, now(), 3650).unwrap();
        dir.write("key.pem", &ca.key_pem);
        dir.write("ca.pem", &ca.cert_pem);
        assert_eq!(
            dir.openssl("pkey -in key.pem -pubout"),
            dir.openssl("x509 -in ca.pem -noout -pubkey")
        );
    }
}

#[test]
fn accepts_leafs_of_a_foreign_rsa_ca_with_any_usual_key_file() {
    for (name, make, label) in [
        (
            "rsa",
            "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out leaf.key",
            "BEGIN PRIVATE KEY",
        ),
        (
            "pkcs1",
            "genrsa -traditional -out leaf.key 2048",
            "BEGIN RSA PRIVATE KEY",
        ),
        (
            "sec1",
            "ecparam -name prime256v1 -genkey -noout -out leaf.key",
            "BEGIN EC PRIVATE KEY",
        ),
        (
            "sec1-384",
            "ecparam -name secp384r1 -genkey -noout -out leaf.key",
            "BEGIN EC PRIVATE KEY",
        ),
        (
            "ed25519",
            "genpkey -algorithm ED25519 -out leaf.key",
            "BEGIN PRIVATE KEY",
        ),
    ] {
        let dir = Dir::new(&format!("foreign-{name}"));
        foreign(&dir, "-sha256", make);
        assert!(dir.read("leaf.key").contains(label), "{name}");
        let peer = verifier(&dir.read("ca.pem"))
            .verify_pem(&dir.read("leaf.pem"), Usage::Server, now())
            .unwrap();
        assert_eq!(peer.identity(), &node("a@h"));
        assert_eq!(
            leaf_matches_key(&dir.read("leaf.pem"), &dir.read("leaf.key")),
            Ok(()),
            "{name}"
        );
        assert_eq!(
            leaf_matches_key(&dir.read("leaf.pem"), &dir.read("ca.key")),
            Err(Error::KeyMismatch)
        );
    }
}

#[test]
fn issues_with_a_foreign_ca() {
    let dir = Dir::new("foreign-ca");
    for make in [
        "rsa:2048",
        "ec -pkeyopt ec_paramgen_curve:prime256v1",
        "ed25519",
    ] {
        let subject = "/C=XX/O=Some Org/CN=foreign";
        let req =
            format!("req -x509 -newkey {make} -nodes -keyout ca.key -out ca.pem -days 30 -subj");
        let mut args: Vec<&str> = req.split(' ').collect();
        args.push(subject);
        assert!(Command::new("openssl")
            .args(args)
            .current_dir(&dir.0)
            .output()
            .unwrap()
            .status
            .success());
        let ca = Issued {
            cert_pem: dir.read("ca.pem"),
            key_pem: dir.read("ca.key").into(),
        };
        dir.write("leaf.pem", &issue_to(&ca, node("a@h"), Alg::P256).cert_pem);
        assert_eq!(
            dir.openssl("verify -purpose sslserver -CAfile ca.pem leaf.pem"),
            "leaf.pem: OK\n"
        );
    }
}

#[test]
fn refuses_rsa_1024() {
    let dir = Dir::new("rsa1024");
    foreign(&dir, "-sha256", "genrsa -out leaf.key 1024");
    let (ca, leaf) = (dir.read("ca.pem"), dir.read("leaf.pem"));
    assert_eq!(inspect_pem(&leaf).unwrap().remove(0).key_alg, "RSA 1024");
    assert_eq!(
        verifier(&ca).verify_pem(&leaf, Usage::Client, now()),
        Err(Error::WeakKey)
    );
    dir.openssl(
        "req -x509 -newkey rsa:1024 -nodes -keyout weak.key -out weak.pem -subj /CN=weak -days 30",
    );
    assert_eq!(
        Anchors::from_pems(&[dir.read("weak.pem")]).map(|_| ()),
        Err(Error::WeakKey)
    );
}

#[test]
fn refuses_sha1_signatures_and_keys_of_unsupported_curves() {
    let dir = Dir::new("sha1");
    foreign(&dir, "-sha1", "genrsa -out leaf.key 2048");
    let judge = |dir: &Dir| {
        verifier(&dir.read("ca.pem")).verify_pem(&dir.read("leaf.pem"), Usage::Client, now())
    };
    assert_eq!(judge(&dir), Err(Error::UnsupportedAlgorithm));
    let dir = Dir::new("p521");
    foreign(
        &dir,
        "-sha256",
        "ecparam -name secp521r1 -genkey -noout -out leaf.key",
    );
    assert_eq!(judge(&dir), Err(Error::UnsupportedAlgorithm));
}

#[test]
fn refuses_what_an_openssl_crl_revokes() {
    let dir = Dir::new("crl");
    foreign(&dir, "-sha256", "genrsa -out leaf.key 2048");
    dir.write("index.txt", "");
    dir.write("crlnumber", "01\n");
    dir.write(
        "ca.cnf",
        "[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\ncrlnumber=crlnumber\ndefault_md=sha256\ncrl_extensions=e\n\
         [e]\nauthorityKeyIdentifier=keyid\n",
    );
    let judge = || {
        dir.openssl(
            "ca -config ca.cnf -gencrl -crldays 5 -cert ca.pem -keyfile ca.key -out crl.pem",
        );
        let crls = Crls::from_pems(&[dir.read("crl.pem")]).unwrap();
        let anchors = Anchors::from_pems(&[dir.read("ca.pem")]).unwrap();
        let verifier = Verifier::new(anchors, crls, CLUSTER).unwrap();
        verifier.verify_pem(&dir.read("leaf.pem"), Usage::Client, now() + 1)
    };
    assert!(judge().is_ok());
    dir.openssl("ca -config ca.cnf -revoke leaf.pem -cert ca.pem -keyfile ca.key");
    let serial = inspect_pem(&dir.read("leaf.pem"))
        .unwrap()
        .remove(0)
        .serial_hex;
    assert_eq!(judge(), Err(Error::Revoked { serial }));
}

#[test]
fn openssl_accepts_our_lists_and_what_they_say() {
    let dir = Dir::new("ourcrl");
    let ca = new_ca(CLUSTER, Alg::P256, now(), 30).unwrap();
    let leaf = |name: &str| {
        let request = Request {
            identity: node(name),
            alg: Alg::P256,
            ips: vec![],
            days: 5,
        };
        issue(&ca.cert_pem, &ca.key_pem, &request, now()).unwrap()
    };
    let (bad, good) = (leaf("a@b"), leaf("c@b"));
    let serial = inspect_pem(&bad.cert_pem).unwrap().remove(0).serial_hex;
    let request = Revocation {
        serials: vec![serial.clone()],
        reason: Reason::KeyCompromise,
        days: 5,
    };
    let first = revoke(&ca.cert_pem, &ca.key_pem, b"", &request, now()).unwrap();
    let list = revoke(&ca.cert_pem, &ca.key_pem, first.as_bytes(), &request, now()).unwrap();
    for (name, text) in [
        ("ca.pem", &ca.cert_pem),
        ("crl.pem", &list),
        ("bad.pem", &bad.cert_pem),
        ("good.pem", &good.cert_pem),
    ] {
        dir.write(name, text);
    }
    let verified = dir.try_openssl("crl -in crl.pem -CAfile ca.pem -noout -verify");
    assert!(String::from_utf8_lossy(&verified.stderr).contains("verify OK"));
    let text = dir.openssl("crl -in crl.pem -noout -text -nameopt RFC2253");
    assert!(text.contains("Key Compromise"), "{text}");
    assert!(text.contains(&serial.to_uppercase()), "{text}");
    assert!(
        text.split_whitespace()
            .collect::<String>()
            .contains("CRLNumber:2"),
        "{text}"
    );
    let check = "verify -x509_strict -crl_check -CRLfile crl.pem -CAfile ca.pem";
    dir.openssl(&format!("{check} good.pem"));
    let refused = dir.try_openssl(&format!("{check} bad.pem"));
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("certificate revoked"));
}
