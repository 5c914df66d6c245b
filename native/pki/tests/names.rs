//! Node names, identities and what they bind to.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::HashMap;

use merlon_pki::{
    binds, is_dialled, BindRules, Claimed, Error, Identity, NodeName, DEFAULT_CLI, DEFAULT_DERIVED,
};
use proptest::prelude::*;

fn node(text: &str) -> NodeName {
    NodeName::parse(text).unwrap()
}

fn of_node(text: &str) -> Identity {
    Identity::node("c", &node(text)).unwrap()
}

fn cli(host: &str) -> Identity {
    Identity::cli("c", host, "root").unwrap()
}

fn claim(text: &str) -> Claimed {
    Claimed::parse(text.as_bytes()).unwrap()
}

fn wrong(identity: &Identity, claimed: &str) -> Result<(), Error> {
    Err(Error::WrongName {
        certified: identity.uri().unwrap(),
        claimed: claimed.into(),
    })
}

#[test]
fn refuses_text_that_is_no_node_name() {
    for bad in [
        "",
        "a",
        "@",
        "a@",
        "@h",
        "a@b@c",
        "a b@h",
        "a@h\n",
        "a\u{0}@h",
        "a@h\u{a0}",
        "a@h\u{7f}",
    ] {
        assert_eq!(NodeName::parse(bad), Err(Error::BadNodeName), "{bad:?}");
    }
    assert_eq!(Claimed::parse(b"a\xff@h"), Err(Error::BadNodeName));
    assert_eq!(
        NodeName::parse(&format!("{}@h", "a".repeat(254))),
        Err(Error::BadNodeName)
    );
    assert!(NodeName::parse(&format!("{}@h", "é".repeat(253))).is_ok());
    assert_eq!(claim("@h"), Claimed::Dynamic { host: "h".into() });
}

#[test]
fn writes_identities_as_documented() {
    for (text, uri) in [
        ("a@h.example", "spiffe://c/node/h.example/a"),
        ("a_1@b", "spiffe://c/node/b/a_1"),
        ("b@b1-c", "spiffe://c/node/b1-c/b"),
        ("d@b1#c", "spiffe://c/node/b1_x23_c/d"),
        ("f@::1", "spiffe://c/node/--1/f"),
        (
            "f@fe80::1%eth0",
            "spiffe://c/node/fe80_x3a__x3a_1_x25_eth0/f",
        ),
        ("f@--1", "spiffe://c/node/_x2d_-1/f"),
        ("f@::ffff:1.2.3.4", "spiffe://c/node/--ffff-1.2.3.4/f"),
        ("f@127.0.0.1", "spiffe://c/node/127.0.0.1/f"),
        ("1@b1", "spiffe://c/node/b1/1"),
        ("e@b1é", "spiffe://c/node/b1_xc3__xa9_/e"),
        ("_x@h", "spiffe://c/node/h/_x5f_x"),
        ("_x41_@h", "spiffe://c/node/h/_x5f_x41_"),
        ("_é@h", "spiffe://c/node/h/__xc3__xa9_"),
        (".@..", "spiffe://c/node/_x2e_./_x2e_"),
        ("...@h", "spiffe://c/node/h/..."),
        ("a/b@h", "spiffe://c/node/h/a_x2f_b"),
    ] {
        let identity = of_node(text);
        assert_eq!(identity.uri().unwrap(), uri, "{text}");
        assert_eq!(Identity::parse(uri).unwrap(), identity, "{uri}");
        assert_eq!(identity.node_name().unwrap().to_string(), text);
    }
    assert_eq!(cli("h").uri().unwrap(), "spiffe://c/cli/h/root");
    assert_eq!(Identity::parse("spiffe://c/cli/h/root").unwrap(), cli("h"));
}

#[test]
fn refuses_identities_put_together_from_bad_parts() {
    assert_eq!(Identity::cli("C", "h", "u"), Err(Error::BadCluster));
    for (host, user) in [
        ("", "u"),
        ("h", ""),
        ("h", "a b"),
        ("h@i", "u"),
        ("h\n", "u"),
    ] {
        assert_eq!(
            Identity::cli("c", host, user),
            Err(Error::BadIdentity),
            "{host:?} {user:?}"
        );
    }
    let long = format!("{}@h", "é".repeat(250));
    assert_eq!(Identity::node("c", &node(&long)), Err(Error::BadIdentity));
}

#[test]
fn refuses_another_nodes_name() {
    let rules = BindRules::default();
    let a = of_node("a@h");
    assert_eq!(binds(&a, &claim("a@h"), &rules), Ok(()));
    for other in [
        "b@h",
        "a@i",
        "A@h",
        "a@H",
        "a@h.example",
        "ab@h",
        "@h",
        "rem-1a2b-a@h",
        "rabbit_ctl_1@h",
    ] {
        assert_eq!(binds(&a, &claim(other), &rules), wrong(&a, other));
        if let Claimed::Static(target) = claim(other) {
            assert_eq!(is_dialled(&a, &target, &rules), wrong(&a, other));
        }
    }
    assert_eq!(is_dialled(&a, &node("a@h"), &rules), Ok(()));
}

#[test]
fn derived_names_bind_to_their_node_on_its_host_only() {
    let rules = BindRules::default();
    let rabbit = of_node("rabbit@h");
    assert_eq!(
        binds(&rabbit, &claim("rabbit_prelaunch_123@h"), &rules),
        Ok(())
    );
    for other in [
        "rabbit_prelaunch_@h",
        "rabbit_prelaunch_1@i",
        "hare_prelaunch_1@h",
        "rabbit_prelaunch_1.2@h",
    ] {
        assert_eq!(binds(&rabbit, &claim(other), &rules), wrong(&rabbit, other));
    }
    let target = node("rabbit_prelaunch_123@h");
    assert_eq!(
        is_dialled(&rabbit, &target, &rules),
        wrong(&rabbit, "rabbit_prelaunch_123@h")
    );
    let none = BindRules::new::<&str>(&[], &[]).unwrap();
    assert!(binds(&rabbit, &claim("rabbit_prelaunch_123@h"), &none).is_err());
}

#[test]
fn a_name_with_pattern_characters_is_literal_in_its_derived_names() {
    let star = of_node("*@h");
    assert!(binds(&star, &claim("*_prelaunch_1@h"), &BindRules::default()).is_ok());
    assert!(binds(&star, &claim("a_prelaunch_1@h"), &BindRules::default()).is_err());
}

#[test]
fn tools_take_tools_names_on_their_host_only() {
    let rules = BindRules::default();
    let tool = cli("h");
    for name in [
        "rem-8f2a-myapp",
        "rpc-8f2a-myapp",
        "rem-31337-myapp", // Windows: a decimal
        "remsha1b2c3d4-myapp",
        "mainta1b2c3d4-myapp",
        "myapp_maint_4711",
        "rabbitmqcli-17-rabbit",
        "rabbit_ctl_17",
        "1b9d6bcd-ctl-ejabberd",
        "099-ctl-ejabberd",
        "1b9-debug-ejabberd",
        "1b9-top-ejabberd",
        "1b9d6bcd-debug-ejabberd",
        "1b9d6bcd-top-ejabberd",
        "1b9d6bcd-ping",
        "ctl-ejabberd",
        "ctl-17-ejabberd",
        "ejabberdctl-7",
    ] {
        let full = format!("{name}@h");
        assert_eq!(binds(&tool, &claim(&full), &rules), Ok(()), "{name}");
        assert_eq!(is_dialled(&tool, &node(&full), &rules), Ok(()), "{name}");
        let abroad = format!("{name}@i");
        assert_eq!(binds(&tool, &claim(&abroad), &rules), wrong(&tool, &abroad));
        assert_eq!(
            is_dialled(&tool, &node(&abroad), &rules),
            wrong(&tool, &abroad)
        );
    }
}

#[test]
fn tools_take_a_dynamic_name_on_their_host_only() {
    let rules = BindRules::default();
    let tool = cli("h.example");
    assert_eq!(binds(&tool, &claim("@h.example"), &rules), Ok(()));
    for near in [
        "@h",
        "@h.example.",
        "@H.example",
        "@h.examplf",
        "@i.h.example",
    ] {
        assert_eq!(binds(&tool, &claim(near), &rules), wrong(&tool, near));
    }
    let node = of_node("a@h.example");
    assert_eq!(
        binds(&node, &claim("@h.example"), &rules),
        wrong(&node, "@h.example")
    );
}

#[test]
fn each_sign_of_a_run_asks_for_one_more_digit() {
    let rules = BindRules::new(&["tool-###"], &[]).unwrap();
    let tool = cli("h");
    let allowed = |name: &str| binds(&tool, &claim(&format!("{name}@h")), &rules).is_ok();
    assert!(!allowed("tool-") && !allowed("tool-1") && !allowed("tool-1a"));
    assert!(allowed("tool-1aF") && allowed("tool-1aF0") && allowed("tool-0123456789"));
    assert!(!allowed("tool-1ag") && !allowed("tool-1ab-") && !allowed("tool-g1ab"));
}

#[test]
fn a_tool_keeps_the_name_that_otp_gave_it() {
    let claimed = |text: &str| Claimed::parse(text.as_bytes()).unwrap();
    let rules = BindRules::new::<&str>(&[], &[]).unwrap();
    for name in ["2W65DDNOJTGU", "HDDAXXTRSDVL", "3W5E11264SGSF"] {
        assert_eq!(
            binds(&cli("h"), &claimed(&format!("{name}@h")), &rules),
            Ok(())
        );
    }
    assert!(binds(&cli("h"), &claimed("2W65DDNOJTGU@g"), &rules).is_err());
}

#[test]
fn tools_never_take_ordinary_names() {
    let rules = BindRules::default();
    let tool = cli("h");
    for name in [
        "a",
        "rabbit",
        "ejabberd",
        "myapp",
        "web-1",
        "web_1",
        "node1",
        "db-main",
        "maintenance",
        "maintenance-1",
        "maint-web",
        "remote",
        "remote-1",
        "remshell",
        "rem-app",
        "rpc-server",
        "rpc-gateway-1",
        "ctl-web",
        "PRODUCTION",
        "WEB1",
        "2w65ddnojtgu",
        "CASSANDRA01",
        "RABBITMQ01",
        "2W65DDNOJTGU1X",
        "WEBSERVERPROD",
        "ctl",
        "rabbitmqcli",
        "rabbit_ctl",
        "rabbit_prelaunch_1",
        "web-ctl-1",
        "db-ping",
        "fe-debug-1",
        "be-top-1",
        "cafe-ctl-1",
        "rem-ad-x",
        "rpc-ad-server",
        "rem-8f2-myapp",
        "remsha1b2c3d-myapp",
        "mainta1b2c3d-myapp",
        "maintad-1",
        "1b9d6bc-ping",
        "1b9d6bc-ctl-chat",
        "1b-ctl-ejabberd",
        "099-ctl-ejabberd2",
        "web_maint_1",
        "ctl-db-web",
        "ctl-1-web",
        "x-ping",
        "app_maint_x",
        "nodetool",
        "riak_maint",
    ] {
        let full = format!("{name}@h");
        assert_eq!(binds(&tool, &claim(&full), &rules), wrong(&tool, &full));
    }
}

#[test]
fn tools_never_take_the_callers_own_name() {
    let own = "rabbit_ctl_1@h";
    let tool = cli("h");
    assert!(binds(&tool, &claim(own), &BindRules::default()).is_ok());
    let rules = BindRules::default().protect(node(own));
    assert_eq!(binds(&tool, &claim(own), &rules), wrong(&tool, own));
    let rules = BindRules::new(&["*_prelaunch_*"], DEFAULT_DERIVED)
        .unwrap()
        .protect(node("rabbit@h"));
    assert!(binds(&tool, &claim("rabbit_prelaunch_1@h"), &rules).is_err());
    assert!(binds(&tool, &claim("hare_prelaunch_1@h"), &rules).is_ok());
}

#[test]
fn refuses_patterns_that_cover_ordinary_nodes() {
    for bad in [
        "",
        "*",
        "#",
        "a*",
        "*-*",
        "node*",
        "node#",
        "rem-*",
        "web-*",
        "*_1",
        "a@*",
        "a.b-*",
        "rem-*\n",
        "remsh*",
        "{name}_x*",
    ] {
        let refused = Err(Error::BadPattern {
            pattern: bad.into(),
        });
        assert_eq!(BindRules::new(&[bad], &[]).map(|_| ()), refused, "{bad}");
    }
    for bad in [
        "",
        "*",
        "{name}",
        "{name}*",
        "{name}_*",
        "{name}2",
        "x{name}_test_*",
        "{name}prelaunch_*",
        "_prelaunch_*",
    ] {
        let refused = Err(Error::BadPattern {
            pattern: bad.into(),
        });
        assert_eq!(BindRules::new(&[], &[bad]).map(|_| ()), refused, "{bad}");
    }
    assert!(BindRules::new(&["exact", "admin-*", "remsh#-*"], &["{name}_shadow"]).is_ok());
}

#[test]
fn default_patterns_pass_their_own_check() {
    assert!(BindRules::new(DEFAULT_CLI, DEFAULT_DERIVED).is_ok());
}

#[test]
fn matching_takes_no_time_that_grows_with_the_number_of_wildcards() {
    let rules = BindRules::new(&["*-*-*-*-*-*-*-*-*-*-*-*-*-*-*-tailtail"], &[]).unwrap();
    let name = format!("{}@h", "-".repeat(250));
    assert!(binds(&cli("h"), &claim(&name), &rules).is_err());
}

/// Short texts from the characters that the encoding treats specially.
fn tricky() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec![
        "_", "x", "_x", "2", "d", "2d", "5f", "-", ":", ".", "::", "1", "é", "/", "%", "A",
    ]);
    prop::collection::vec(part, 1..8).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn encoding_round_trips(name in tricky(), host in tricky()) {
        let identity = of_node(&format!("{name}@{host}"));
        let uri = identity.uri().unwrap();
        prop_assert!(uri["spiffe://c/node/".len()..].bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/".contains(&b)));
        prop_assert!(!uri.split('/').any(|s| s == "." || s == ".."));
        prop_assert_eq!(Identity::parse(&uri).unwrap(), identity);
    }

    #[test]
    fn no_two_names_share_a_uri(names in prop::collection::hash_set((tricky(), tricky()), 2..60)) {
        let mut seen = HashMap::new();
        for (name, host) in names {
            let full = format!("{name}@{host}");
            let before = seen.insert(of_node(&full).uri().unwrap(), full.clone());
            prop_assert_eq!(before, None, "{}", full);
        }
    }

    #[test]
    fn whatever_parses_is_canonical(segments in "[a-z0-9A-Z_x.:%/-]{0,30}") {
        let uri = format!("spiffe://c/{segments}");
        for uri in [uri, format!("spiffe://c/node/{segments}"), format!("spiffe://c/node/h/{segments}")] {
            if let Ok(identity) = Identity::parse(&uri) {
                prop_assert_eq!(identity.uri().unwrap(), uri);
            }
        }
    }
}
