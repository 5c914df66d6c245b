//! What can be wrong with one certificate: identity, usage, extensions, key, and the encoding itself.

use super::{build::*, Suite};
use merlon_pki::Usage;

pub fn cases(s: &mut Suite) {
    identity(s);
    usage(s);
    critical(s);
    duplicates(s);
    keys(s);
    numbers(s);
    encoding(s);
}

fn identity(s: &mut Suite) {
    let mut with = |name: &str, code, names: &[Vec<u8>]| {
        s.bad(&format!("identity-{name}"), code, 0, |c| c.leaf.san(names));
    };
    with("dns-only", "no_identity", &[dns("host.example")]);
    with("ip-only", "no_identity", &[ip(&[10, 0, 0, 1])]);
    with("email-only", "no_identity", &[tlv(0x81, b"a@host.example")]);
    with(
        "https",
        "no_identity",
        &[uri("https://prod.example/node/host.example/a")],
    );
    with(
        "upper-case-scheme",
        "no_identity",
        &[uri("SPIFFE://prod.example/node/host.example/a")],
    );
    with("empty-uri", "no_identity", &[uri("")]);
    with("twice", "many_identities", &[uri(URI), uri(URI)]);
    with(
        "two-nodes",
        "many_identities",
        &[uri(URI), uri("spiffe://prod.example/node/h/b")],
    );
    with(
        "beside-https",
        "many_identities",
        &[uri(URI), uri("https://prod.example/")],
    );
    with(
        "other-cluster",
        "wrong_cluster",
        &[uri("spiffe://test.example/node/host.example/a")],
    );
    with(
        "longer-cluster",
        "wrong_cluster",
        &[uri("spiffe://prod.example.org/node/h/a")],
    );
    for (what, tail) in [
        ("cluster-only", ""),
        ("cluster-slash", "/"),
        ("no-name", "/node/h"),
        ("empty-name", "/node/h/"),
        ("empty-host", "/node//a"),
        ("trailing-slash", "/node/h/a/"),
        ("deeper", "/node/h/a/b"),
        ("other-kind", "/pod/h/a"),
        ("query", "/node/h/a?x"),
        ("fragment", "/node/h/a#x"),
        ("percent", "/node/h/%61"),
        ("needless-escape", "/node/h/_x61_"),
        ("upper-case-escape", "/node/h/_x2D_"),
        ("broken-escape", "/node/h/_xzz_"),
        ("escape-of-no-text", "/node/h/_xff_"),
        ("escaped-newline", "/node/h/_x0a_"),
        ("escaped-at", "/node/h/b_x40_c"),
        ("dots", "/node/h/.."),
        ("dots-host", "/node/../a"),
        ("nul", "/node/h/a\0b"),
        ("space", "/node/h/a b"),
        ("port", ":443/node/h/a"),
    ] {
        with(
            what,
            "bad_identity",
            &[uri(&format!("spiffe://prod.example{tail}"))],
        );
    }
    with(
        "user",
        "bad_identity",
        &[uri("spiffe://u@prod.example/node/h/a")],
    );
    with("no-cluster", "bad_identity", &[uri("spiffe:///node/h/a")]);
    with(
        "upper-case-cluster",
        "bad_identity",
        &[uri("spiffe://Prod.example/node/h/a")],
    );
    let long = format!("spiffe://prod.example/cli/h/{}", "a".repeat(2048));
    with("too-long", "bad_identity", &[uri(&long)]);
    let many: Vec<_> = (0..64).map(|i| dns(&format!("h{i}.example"))).collect();
    with(
        "and-64-names-more",
        "too_many_names",
        &[vec![uri(URI)], many].concat(),
    );
    with(
        "not-ascii",
        "malformed_certificate",
        &[tlv(0x86, "spiffe://prod.example/é".as_bytes())],
    );
    with(
        "unknown-kind-of-name",
        "malformed_certificate",
        &[uri(URI), tlv(0x89, b"x")],
    );
    s.bad("identity-no-san", "no_identity", 0, |c| c.leaf.remove(SAN));
    s.bad("identity-san-empty", "no_identity", 0, |c| c.leaf.san(&[]));
    s.bad(
        "identity-san-no-sequence",
        "malformed_certificate",
        0,
        |c| {
            c.leaf.set(SAN, false, uri(URI));
        },
    );
    s.bad(
        "identity-san-trailing-bytes",
        "malformed_certificate",
        0,
        |c| {
            c.leaf.set(SAN, false, [seq(&names()), vec![0]].concat());
        },
    );
    s.bad("identity-in-common-name-only", "no_identity", 0, |c| {
        c.leaf.subject = name(URI);
        c.leaf.remove(SAN);
    });
    for (what, uri_text) in [
        ("tool", "spiffe://prod.example/cli/host.example/root"),
        ("ipv6-host", "spiffe://prod.example/node/fd00--1/a"),
        (
            "escaped",
            "spiffe://prod.example/node/host.example/_xc3__xa9_",
        ),
    ] {
        s.good(&format!("good-identity-{what}"), 0, |c| {
            c.leaf.san(&[uri(uri_text)])
        });
    }
    s.good("good-identity-san-critical", 0, |c| {
        c.leaf.subject = seq(&[]);
        c.leaf.set(SAN, true, seq(&names()));
    });
}

fn usage(s: &mut Suite) {
    let code = "wrong_usage";
    for usage in [Usage::Client, Usage::Server] {
        let mut with = |name: &str, purposes: &[&str]| {
            s.bad(&format!("eku-{name}-as-{usage}"), code, 0, |c| {
                c.usage = usage;
                c.leaf.set(EKU, false, eku(purposes));
            });
        };
        let other = if usage == Usage::Client {
            SERVER
        } else {
            CLIENT
        };
        with("other-role", &[other]);
        with("any", &["2.5.29.37.0"]);
        for (name, purpose) in [
            ("code-signing", "1.3.6.1.5.5.7.3.3"),
            ("email", "1.3.6.1.5.5.7.3.4"),
            ("ipsec", "1.3.6.1.5.5.7.3.5"),
            ("time-stamping", "1.3.6.1.5.5.7.3.8"),
            ("ocsp", "1.3.6.1.5.5.7.3.9"),
            ("server-gated", "1.3.6.1.4.1.311.10.3.3"),
            ("unknown", "1.3.6.1.4.1.1.2"),
        ] {
            with(name, &[purpose]);
        }
        s.bad(&format!("eku-missing-as-{usage}"), code, 0, |c| {
            c.usage = usage;
            c.leaf.remove(EKU);
        });
    }
    s.bad("eku-empty", code, 0, |c| c.leaf.set(EKU, false, eku(&[])));
    s.bad("eku-no-sequence", "malformed_certificate", 0, |c| {
        c.leaf.set(EKU, false, oid(CLIENT))
    });
    for bit in 1..=8u8 {
        s.bad(&format!("key-usage-{bit}-only"), code, 0, |c| {
            c.leaf.set(KEY_USAGE, true, key_usage(&[bit]));
        });
    }
    s.bad("key-usage-empty", code, 0, |c| {
        c.leaf.set(KEY_USAGE, true, key_usage(&[]))
    });
    s.bad("key-usage-no-bit-string", "malformed_certificate", 0, |c| {
        c.leaf.set(KEY_USAGE, true, tlv(4, &[0x80]));
    });
    s.bad("leaf-is-ca", "ca_leaf", 0, |c| {
        c.leaf.set(BASIC, true, basic(true, None))
    });
    s.bad("leaf-is-ca-pathlen-0", "ca_leaf", 1, |c| {
        c.leaf.set(BASIC, true, basic(true, Some(0)))
    });
    s.bad("leaf-is-ca-that-signs", "ca_leaf", 0, |c| {
        c.leaf.set(BASIC, true, basic(true, None));
        c.leaf.set(KEY_USAGE, true, key_usage(&[0, 5]));
    });
    s.good("good-eku-critical", 0, |c| {
        c.leaf.set(EKU, true, eku(&[SERVER, CLIENT]))
    });
    s.good("good-eku-and-more", 0, |c| {
        c.leaf.set(EKU, false, eku(&["1.3.6.1.5.5.7.3.4", CLIENT]));
    });
}

fn critical(s: &mut Suite) {
    for who in ["leaf", "ca1", "ca2", "root"] {
        for (what, kind) in [
            ("private", "1.3.6.1.4.1.1.2"),
            ("unassigned", "2.5.29.99"),
            ("issuer-alt-name", "2.5.29.18"),
            ("policy-mappings", "2.5.29.33"),
            ("freshest-crl", "2.5.29.46"),
            ("authority-info-access", "1.3.6.1.5.5.7.1.1"),
            ("precertificate-poison", "1.3.6.1.4.1.11129.2.4.3"),
            ("tls-feature", "1.3.6.1.5.5.7.1.24"),
        ] {
            s.bad(
                &format!("critical-{what}-{who}"),
                "unknown_critical",
                2,
                |c| {
                    c.at(who).set(kind, true, tlv(5, &[]));
                },
            );
        }
    }
}

fn duplicates(s: &mut Suite) {
    for who in ["leaf", "ca1"] {
        let kinds = match who {
            "leaf" => vec![BASIC, KEY_USAGE, EKU, SAN, AKI, SKI],
            _ => vec![BASIC, KEY_USAGE, AKI, SKI],
        };
        for kind in kinds {
            s.bad(
                &format!("twice-{kind}-{who}"),
                "malformed_certificate",
                1,
                |c| {
                    let spec = c.at(who);
                    let again = spec.exts.iter().find(|e| e.oid == kind).unwrap().clone();
                    spec.exts.push(again);
                },
            );
        }
    }
}

fn rsa(bytes: usize) -> Vec<u8> {
    let modulus = [vec![0, 0xc1], vec![0x5b; bytes - 2], vec![0x31]].concat();
    let key = seq(&[tlv(2, &modulus), tlv(2, &[1, 0, 1])]);
    spki(seq(&[oid("1.2.840.113549.1.1.1"), tlv(5, &[])]), &key)
}

fn ec(curve: &str, bytes: usize) -> Vec<u8> {
    let algorithm = seq(&[oid("1.2.840.10045.2.1"), oid(curve)]);
    spki(algorithm, &[vec![4], vec![0x5b; bytes]].concat())
}

fn keys(s: &mut Suite) {
    for (what, bytes) in [
        ("512", 64),
        ("768", 96),
        ("1024", 128),
        ("1536", 192),
        ("2040", 255),
    ] {
        s.bad(&format!("key-rsa-{what}"), "weak_key", 0, |c| {
            c.leaf.spki = rsa(bytes)
        });
        s.bad(&format!("key-rsa-{what}-of-root"), "weak_key", 0, |c| {
            c.root.spki = rsa(bytes)
        });
    }
    let unsupported = "unsupported_algorithm";
    for (what, key) in [
        ("p192", ec("1.2.840.10045.3.1.1", 48)),
        ("p224", ec("1.3.132.0.33", 56)),
        ("p521", ec("1.3.132.0.35", 132)),
        ("secp256k1", ec("1.3.132.0.10", 64)),
        ("brainpool", ec("1.3.36.3.3.2.8.1.1.7", 64)),
        ("ed448", spki(seq(&[oid("1.3.101.113")]), &[7; 57])),
        ("x25519", spki(seq(&[oid("1.3.101.110")]), &[7; 32])),
        (
            "dsa",
            spki(seq(&[oid("1.2.840.10040.4.1")]), &tlv(2, &[7; 32])),
        ),
        ("unknown", spki(seq(&[oid("1.3.6.1.4.1.1.2")]), &[7; 32])),
        (
            "ec-without-curve",
            spki(seq(&[oid("1.2.840.10045.2.1")]), &[7; 65]),
        ),
        (
            "rsa-no-key",
            spki(seq(&[oid("1.2.840.113549.1.1.1"), tlv(5, &[])]), &[7; 32]),
        ),
    ] {
        s.bad(&format!("key-{what}"), unsupported, 0, |c| {
            c.leaf.spki = key
        });
    }
    s.good("good-key-rsa-2048", 0, |c| c.leaf.spki = rsa(256));
    s.good("good-key-rsa-4096", 0, |c| c.leaf.spki = rsa(512));
}

fn numbers(s: &mut Suite) {
    let malformed = "malformed_certificate";
    for who in ["leaf", "ca1"] {
        for (what, serial) in [("empty", vec![]), ("of-22-bytes", vec![0x40; 22])] {
            s.bad(&format!("serial-{what}-{who}"), malformed, 1, |c| {
                c.at(who).serial = serial
            });
        }
        for (what, version) in [("v2", 1u8), ("v4", 3), ("v128", 127)] {
            s.bad(&format!("version-{what}-{who}"), malformed, 1, |c| {
                c.at(who).version = tlv(0xa0, &tlv(2, &[version]));
            });
        }
        s.bad(&format!("version-v1-{who}"), malformed, 1, |c| {
            c.at(who).version = vec![]
        });
        s.bad(&format!("version-v1-written-{who}"), malformed, 1, |c| {
            c.at(who).version = tlv(0xa0, &tlv(2, &[0]));
        });
    }
    s.bad("version-v1-without-extensions", "wrong_usage", 0, |c| {
        c.leaf.version = vec![];
        c.leaf.exts.clear();
    });
}

type Change = fn(&mut Vec<u8>);

fn encoding(s: &mut Suite) {
    let malformed = "malformed_certificate";
    let changes: [(&str, Change); 7] = [
        ("trailing-byte", |der| der.push(0)),
        ("truncated", |der| der.truncate(der.len() - 1)),
        ("half", |der| der.truncate(der.len() / 2)),
        ("empty", |der| der.clear()),
        ("indefinite-length", |der| der[1] = 0x80),
        ("set-instead-of-sequence", |der| der[0] = 0x31),
        ("length-in-three-bytes", |der| {
            der[1] = 0x83;
            der.insert(2, 0);
        }),
    ];
    for who in ["leaf", "ca1"] {
        for (what, change) in changes {
            s.bad(&format!("encoding-{what}-{who}"), malformed, 1, |c| {
                c.at(who).change = change
            });
        }
        let code = if who == "leaf" {
            "wrong_usage"
        } else {
            "bad_chain"
        };
        s.bad(&format!("encoding-extensions-empty-{who}"), code, 1, |c| {
            c.at(who).raw_exts = Some(tlv(0xa3, &seq(&[])));
        });
        s.bad(
            &format!("encoding-extensions-no-sequence-{who}"),
            malformed,
            1,
            |c| {
                c.at(who).raw_exts = Some(tlv(0xa3, &[]));
            },
        );
        s.bad(&format!("encoding-critical-1-{who}"), malformed, 1, |c| {
            let odd = seq(&[oid("1.3.6.1.4.1.1.2"), tlv(1, &[1]), tlv(4, &[5, 0])]);
            let exts: Vec<_> = c.at(who).exts.iter().map(write_ext).chain([odd]).collect();
            c.at(who).raw_exts = Some(tlv(0xa3, &seq(&exts)));
        });
    }
}
