//! What can be wrong with a path: signatures, order, validity, constraints.

use super::{build::*, Suite};
use merlon_pki::Usage;

pub fn cases(s: &mut Suite) {
    good(s);
    signatures(s);
    order(s);
    validity(s);
    path_length(s);
    issuers(s);
    constraints_on_names(s);
}

fn good(s: &mut Suite) {
    for between in 0..=2 {
        for usage in [Usage::Client, Usage::Server] {
            s.good(&format!("good-{between}-{usage}"), between, |c| {
                c.usage = usage
            });
        }
        s.good(&format!("good-root-pathlen-{between}"), between, |c| {
            c.root.set(BASIC, true, basic(true, Some(between as u8)));
        });
        s.good(&format!("good-root-eku-{between}"), between, |c| {
            c.root.set(EKU, false, eku(&[SERVER, CLIENT]));
        });
        s.good(&format!("good-root-shown-too-{between}"), between, |c| {
            c.shown = |chain| chain.push(Chain::new(0).root.der());
        });
        s.good(&format!("good-second-root-{between}"), between, |c| {
            c.trusted = |roots| {
                let mut other = Chain::new(0).root;
                (other.subject, other.issuer) = (name("other"), name("other"));
                roots.insert(0, other.der());
            };
        });
        s.good(&format!("good-unknown-extension-{between}"), between, |c| {
            c.leaf.set("1.3.6.1.4.1.1.2", false, vec![5, 0]);
        });
        s.good(&format!("good-generalized-time-{between}"), between, |c| {
            c.leaf.to = (0x18, "20500101000000Z");
        });
    }
    s.good("good-pathlen-exact", 2, |c| {
        c.at("ca2").set(BASIC, true, basic(true, Some(1)));
        c.at("ca1").set(BASIC, true, basic(true, Some(0)));
    });
    s.good("good-order-upside-down", 2, |c| {
        c.shown = |chain| chain[1..].reverse()
    });
    s.good("good-no-key-usage-leaf", 0, |c| c.leaf.remove(KEY_USAGE));
    s.good("good-no-key-usage-ca", 1, |c| c.at("ca1").remove(KEY_USAGE));
    s.good("good-unrelated-certificate-shown", 1, |c| {
        c.shown = |chain| {
            let mut other = Chain::new(1).mids[0].clone();
            (other.subject, other.signer) = (name("unrelated"), 7);
            chain.push(other.der());
        }
    });
    for (what, eku_oids) in [("server-only", [SERVER]), ("client-only", [CLIENT])] {
        s.good(&format!("good-eku-{what}"), 0, |c| {
            c.usage = if eku_oids == [SERVER] {
                Usage::Server
            } else {
                Usage::Client
            };
            c.leaf.set(EKU, false, eku(&eku_oids));
        });
    }
}

fn signatures(s: &mut Suite) {
    for who in ["leaf", "ca1", "ca2"] {
        let code = "bad_signature";
        s.bad(&format!("signature-bit-{who}"), code, 2, |c| {
            c.at(who).change_signature = |bytes| bytes[5] ^= 1;
        });
        s.bad(&format!("signature-of-another-key-{who}"), code, 2, |c| {
            c.at(who).signer = 7
        });
        s.bad(&format!("signature-short-{who}"), code, 2, |c| {
            c.at(who).change_signature = |bytes| bytes.truncate(63);
        });
        s.bad(&format!("signature-empty-{who}"), code, 2, |c| {
            c.at(who).change_signature = |bytes| bytes.clear();
        });
        s.bad(&format!("signature-zero-{who}"), code, 2, |c| {
            c.at(who).change_signature = |bytes| bytes.fill(0);
        });
        s.bad(&format!("signature-longer-{who}"), code, 2, |c| {
            c.at(who).change_signature = |bytes| bytes.push(0);
        });
        let other = || seq(&[oid("1.2.840.10045.4.3.2")]);
        s.bad(
            &format!("algorithm-outer-differs-{who}"),
            "malformed_certificate",
            2,
            |c| {
                c.at(who).outer = other();
            },
        );
        s.bad(
            &format!("algorithm-inner-differs-{who}"),
            "malformed_certificate",
            2,
            |c| {
                c.at(who).inner = other();
            },
        );
        let sha1 = || seq(&[oid("1.2.840.113549.1.1.5"), tlv(5, &[])]);
        for (what, alg) in [
            ("sha1-rsa", sha1()),
            ("md5-rsa", seq(&[oid("1.2.840.113549.1.1.4"), tlv(5, &[])])),
            ("sha1-ecdsa", seq(&[oid("1.2.840.10045.4.1")])),
            ("sha224-ecdsa", seq(&[oid("1.2.840.10045.4.3.1")])),
            ("dsa", seq(&[oid("2.16.840.1.101.3.4.3.2")])),
            ("ed448", seq(&[oid("1.3.101.113")])),
        ] {
            s.bad(
                &format!("algorithm-{what}-{who}"),
                "unsupported_algorithm",
                2,
                |c| {
                    (c.at(who).inner, c.at(who).outer) = (alg.clone(), alg);
                },
            );
        }
    }
}

fn order(s: &mut Suite) {
    s.bad("issuer-unknown-root", "unknown_issuer", 1, |c| {
        c.trusted = |roots| {
            let mut other = Chain::new(0).root;
            (other.subject, other.issuer) = (name("other"), name("other"));
            *roots = vec![other.der()];
        };
    });
    for between in 0..=2 {
        s.bad(
            &format!("issuer-same-name-other-key-{between}"),
            "bad_signature",
            between,
            |c| {
                c.root.spki = spki(ed25519(), &[7; 32]);
                c.root.change_signature = |_| ();
            },
        );
    }
    s.bad("issuer-ca1-missing", "unknown_issuer", 2, |c| {
        c.shown = |chain| drop(chain.remove(1))
    });
    s.bad("issuer-ca2-missing", "unknown_issuer", 2, |c| {
        c.shown = |chain| drop(chain.remove(2))
    });
    s.bad("issuer-all-missing", "unknown_issuer", 2, |c| {
        c.shown = |chain| chain.truncate(1)
    });
    for who in ["leaf", "ca1", "ca2"] {
        s.bad(
            &format!("issuer-name-wrong-{who}"),
            "unknown_issuer",
            2,
            |c| {
                c.at(who).issuer = name("nobody");
            },
        );
        s.bad(
            &format!("issuer-name-empty-{who}"),
            "unknown_issuer",
            2,
            |c| {
                c.at(who).issuer = seq(&[]);
            },
        );
    }
    s.bad("issuer-leaf-signs-itself", "unknown_issuer", 0, |c| {
        (c.leaf.issuer, c.leaf.signer) = (name("leaf"), 9);
    });
    s.bad("issuer-leaf-signs-leaf", "bad_chain", 1, |c| {
        let mut signs = Chain::new(0).leaf;
        signs.subject = name("ca1");
        signs.spki = c.at("ca1").spki.clone();
        c.mids[0] = signs;
    });
    s.bad("chain-of-five", "chain_too_long", 2, |c| {
        c.shown = |chain| chain.extend([Chain::new(0).root.der(), Chain::new(0).root.der()]);
    });
    s.bad("chain-of-more-than-16-kib", "chain_too_large", 1, |c| {
        c.at("ca1")
            .set("1.3.6.1.4.1.1.2", false, tlv(4, &[0; 17_000]));
    });
    s.bad("chain-ca-shown-as-leaf", "ca_leaf", 1, |c| {
        c.shown = |chain| drop(chain.remove(0))
    });
}

fn validity(s: &mut Suite) {
    let soon = (0x17, "480101000000Z");
    let past = (0x17, "210101000000Z");
    for who in ["leaf", "ca1", "ca2", "root"] {
        let [old, young] = match who {
            "root" => ["anchor_not_valid"; 2],
            _ => ["expired", "not_yet_valid"],
        };
        s.bad(&format!("validity-expired-{who}"), old, 2, |c| {
            c.at(who).to = past
        });
        s.bad(&format!("validity-not-yet-{who}"), young, 2, |c| {
            c.at(who).from = soon
        });
    }
    for who in ["leaf", "ca1"] {
        s.bad(
            &format!("validity-ends-before-it-begins-{who}"),
            "bad_chain",
            1,
            |c| {
                (c.at(who).from, c.at(who).to) = (END, START);
            },
        );
        for (what, time) in [
            ("utc-without-z", (0x17, "491231235959")),
            ("utc-without-seconds", (0x17, "4912312359Z")),
            ("utc-with-offset", (0x17, "491231235959+0000")),
            ("utc-month-13", (0x17, "491331235959Z")),
            ("utc-day-31-of-june", (0x17, "490631235959Z")),
            ("utc-hour-24", (0x17, "491231245959Z")),
            ("utc-letters", (0x17, "49123123595xZ")),
            ("utc-empty", (0x17, "")),
            ("generalized-fraction", (0x18, "20491231235959.5Z")),
            ("generalized-without-z", (0x18, "20491231235959")),
            ("neither-type", (0x0c, "491231235959Z")),
        ] {
            s.bad(
                &format!("time-{what}-{who}"),
                "malformed_certificate",
                1,
                |c| {
                    c.at(who).to = time;
                },
            );
        }
    }
    // Whole seconds can only be judged with a clock that is handed in.
    for (what, to, verdict) in [
        ("last-second", (0x17, "260528202640Z"), None),
        ("second-after", (0x17, "260528202639Z"), Some("expired")),
    ] {
        let name = format!(
            "{}clock-{what}",
            if verdict.is_none() { "good-" } else { "" }
        );
        s.case(&name, verdict, 0, |c| c.leaf.to = to);
    }
    for (what, from, verdict) in [
        ("first-second", (0x17, "260528202640Z"), None),
        (
            "second-before",
            (0x17, "260528202641Z"),
            Some("not_yet_valid"),
        ),
    ] {
        let name = format!(
            "{}clock-{what}",
            if verdict.is_none() { "good-" } else { "" }
        );
        s.case(&name, verdict, 0, |c| c.leaf.from = from);
    }
}

fn path_length(s: &mut Suite) {
    let code = "path_length";
    s.bad("pathlen-0-above-a-ca", code, 2, |c| {
        c.at("ca2").set(BASIC, true, basic(true, Some(0)))
    });
    s.bad("pathlen-root-0-above-a-ca", code, 1, |c| {
        c.root.set(BASIC, true, basic(true, Some(0)))
    });
    s.bad("pathlen-root-0-above-two", code, 2, |c| {
        c.root.set(BASIC, true, basic(true, Some(0)))
    });
    s.bad("pathlen-root-1-above-two", code, 2, |c| {
        c.root.set(BASIC, true, basic(true, Some(1)))
    });
    let malformed = "malformed_certificate";
    for who in ["leaf", "ca1"] {
        s.bad(
            &format!("basic-negative-pathlen-{who}"),
            malformed,
            1,
            |c| {
                c.at(who)
                    .set(BASIC, true, seq(&[tlv(1, &[0xff]), tlv(2, &[0xff])]));
            },
        );
        s.bad(&format!("basic-not-a-sequence-{who}"), malformed, 1, |c| {
            c.at(who).set(BASIC, true, tlv(1, &[0xff]));
        });
        s.bad(&format!("basic-boolean-1-{who}"), malformed, 1, |c| {
            c.at(who).set(BASIC, true, seq(&[tlv(1, &[1])]));
        });
        s.bad(&format!("basic-trailing-bytes-{who}"), malformed, 1, |c| {
            let value = [basic(who == "ca1", None), vec![0, 0]].concat();
            c.at(who).set(BASIC, true, value);
        });
    }
}

fn issuers(s: &mut Suite) {
    let code = "bad_chain";
    for who in ["ca1", "ca2"] {
        s.bad(
            &format!("issuer-no-basic-constraints-{who}"),
            code,
            2,
            |c| c.at(who).remove(BASIC),
        );
        s.bad(&format!("issuer-not-ca-{who}"), code, 2, |c| {
            c.at(who).set(BASIC, true, basic(false, None));
        });
        for bit in [0u8, 1, 2, 3, 4, 6] {
            s.bad(
                &format!("issuer-key-usage-{bit}-only-{who}"),
                code,
                2,
                |c| {
                    c.at(who).set(KEY_USAGE, true, key_usage(&[bit]));
                },
            );
        }
        for (what, purposes) in [
            ("code-signing", &["1.3.6.1.5.5.7.3.3"][..]),
            ("other-role", &[SERVER]),
            ("ocsp", &["1.3.6.1.5.5.7.3.9"]),
        ] {
            s.bad(&format!("issuer-eku-{what}-{who}"), "wrong_usage", 2, |c| {
                c.at(who).set(EKU, false, eku(purposes));
            });
        }
    }
    s.bad("root-eku-code-signing", "wrong_usage", 1, |c| {
        c.root.set(EKU, false, eku(&["1.3.6.1.5.5.7.3.3"]));
    });
    s.bad("root-eku-other-role", "wrong_usage", 0, |c| {
        c.root.set(EKU, false, eku(&[SERVER]))
    });
    s.bad("root-not-ca", "not_ca", 0, |c| {
        c.root.set(BASIC, true, basic(false, None))
    });
    s.bad("root-no-basic-constraints", "not_ca", 0, |c| {
        c.root.remove(BASIC)
    });
    s.bad("root-key-usage-without-cert-sign", "not_ca", 0, |c| {
        c.root.set(KEY_USAGE, true, key_usage(&[6]));
    });
}

fn constraints_on_names(s: &mut Suite) {
    let host = dns("host.example");
    let net = |a: [u8; 4], m: [u8; 4]| ip(&[a, m].concat());
    let directory = |common: &str| tlv(0xa4, &name(common));
    for who in ["root", "ca1"] {
        for (what, permitted, excluded) in [
            ("dns-other-permitted", vec![dns("other.example")], vec![]),
            ("dns-longer-permitted", vec![dns("x.host.example")], vec![]),
            ("dns-suffix-without-dot", vec![dns("ost.example")], vec![]),
            ("dns-excluded", vec![], vec![host.clone()]),
            ("dns-parent-excluded", vec![], vec![dns("example")]),
            (
                "dns-permitted-and-excluded",
                vec![dns("example")],
                vec![host.clone()],
            ),
            ("dns-case-excluded", vec![], vec![dns("HOST.Example")]),
            ("dns-all-excluded", vec![], vec![dns("")]),
            (
                "ip-other-permitted",
                vec![net([192, 168, 0, 0], [255, 255, 0, 0])],
                vec![],
            ),
            (
                "ip-excluded",
                vec![],
                vec![net([10, 0, 0, 0], [255, 0, 0, 0])],
            ),
            (
                "ip-one-excluded",
                vec![],
                vec![net([10, 0, 0, 1], [255; 4])],
            ),
            ("ip-all-excluded", vec![], vec![net([0; 4], [0; 4])]),
            ("uri-other-permitted", vec![uri("other.example")], vec![]),
            ("uri-cluster-excluded", vec![], vec![uri("prod.example")]),
            (
                "directory-other-permitted",
                vec![directory("someone")],
                vec![],
            ),
            ("directory-excluded", vec![], vec![directory("leaf")]),
            (
                "ip-mask-with-holes",
                vec![net([10, 0, 0, 0], [255, 0, 255, 0])],
                vec![],
            ),
            ("ip-of-5-bytes", vec![ip(&[10, 0, 0, 0, 8])], vec![]),
        ] {
            s.bad(
                &format!("names-{what}-by-{who}"),
                "name_constraint",
                1,
                |c| {
                    c.at(who)
                        .set(CONSTRAINTS, true, constraints(&permitted, &excluded));
                },
            );
        }
        for (what, permitted, excluded) in [
            ("dns", vec![dns("host.example")], vec![]),
            ("dns-parent", vec![dns("example")], vec![]),
            ("dns-other-excluded", vec![], vec![dns("other.example")]),
            ("ip", vec![net([10, 0, 0, 0], [255, 0, 0, 0])], vec![]),
            (
                "ip-other-excluded",
                vec![],
                vec![net([192, 168, 0, 0], [255, 255, 0, 0])],
            ),
            ("ipv6-only", vec![], vec![ip(&[0; 32])]),
        ] {
            s.good(&format!("good-names-{what}-by-{who}"), 1, |c| {
                c.at(who)
                    .set(CONSTRAINTS, true, constraints(&permitted, &excluded));
            });
        }
        s.bad(
            &format!("names-not-critical-by-{who}"),
            "name_constraint",
            1,
            |c| {
                c.at(who).set(
                    CONSTRAINTS,
                    false,
                    constraints(&[], std::slice::from_ref(&host)),
                );
            },
        );
    }
}
