//! Vault's and OpenBao's exchanges, as their API documentation writes them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::{options, text, Script};
use merlon_store::vault::Vault;
use merlon_store::{Error, Options, Source, Step};

const SECRET: &str = r#"{"request_id":"r","lease_id":"","renewable":false,"lease_duration":0,
    "data":{"data":{"keyring":"the text\n"},"metadata":{"created_time":"2026-11-27T12:00:00Z",
    "custom_metadata":null,"deletion_time":"","destroyed":false,"version":3}},"wrap_info":null,"warnings":null,"auth":null}"#;
const LOGIN: &str = r#"{"auth":{"client_token":"s.abc","accessor":"a","policies":["default"],"lease_duration":300,
    "renewable":true},"data":null}"#;

fn vault(more: &[(&str, &str)]) -> Vault {
    let mut all = vec![("url", "https://vault:8200"), ("path", "merlon/prod")];
    all.extend(more);
    Vault::new(&mut options(&all)).unwrap()
}

fn app_role() -> Vault {
    vault(&[("role_id", "role"), ("secret_id", "se\"cret")])
}

#[test]
fn the_newest_version_is_read_with_a_token() {
    let mut script = Script::at(0);
    script.answer(200, SECRET);
    let mut vault = vault(&[("token", "s.token"), ("namespace", "team")]);
    let delivered = vault.fetch(&mut script).unwrap();
    assert_eq!(text(&delivered.text), "the text\n");
    assert_eq!(delivered.version, "3");
    assert_eq!(
        script.lines(),
        ["Get https://vault:8200/v1/secret/data/merlon/prod"]
    );
    let headers = &script.asked[0].headers;
    assert_eq!(headers["x-vault-token"], "s.token");
    assert_eq!(headers["x-vault-namespace"], "team");
    assert_eq!(headers["x-vault-request"], "true");
}

#[test]
fn a_token_in_a_file_is_read_each_time() {
    let mut script = Script::at(0);
    script.files.insert("/run/token", "s.one\n".to_string());
    script.answer(200, SECRET).answer(200, SECRET);
    let mut options = options(&[("url", "https://vault"), ("path", "p")]);
    options.set("token".to_string(), Source::File("/run/token".to_string()));
    let mut vault = Vault::new(&mut options).unwrap();
    vault.fetch(&mut script).unwrap();
    script.files.insert("/run/token", "s.two\n".to_string());
    vault.fetch(&mut script).unwrap();
    let tokens: Vec<_> = script
        .asked
        .iter()
        .map(|asked| asked.headers["x-vault-token"].as_str())
        .collect();
    assert_eq!(tokens, ["s.one", "s.two"]);
}

#[test]
fn a_login_is_used_until_shortly_before_its_end() {
    let mut script = Script::at(1000);
    script
        .answer(200, LOGIN)
        .answer(200, SECRET)
        .answer(200, SECRET)
        .answer(200, LOGIN)
        .answer(200, SECRET);
    let mut vault = app_role();
    vault.fetch(&mut script).unwrap();
    assert_eq!(
        script.asked[0].body,
        r#"{"role_id":"role","secret_id":"se\"cret"}"#
    );
    assert_eq!(script.asked[1].headers["x-vault-token"], "s.abc");
    script.now = 1199;
    vault.fetch(&mut script).unwrap();
    assert_eq!(script.asked.len(), 3);
    script.now = 1200;
    vault.fetch(&mut script).unwrap();
    assert_eq!(
        script.lines()[3],
        "Post https://vault:8200/v1/auth/approle/login"
    );
    assert_eq!(script.asked.len(), 5);
}

#[test]
fn a_token_that_was_revoked_is_replaced_once() {
    let mut script = Script::at(0);
    script.answer(200, LOGIN).answer(200, SECRET);
    let mut vault = app_role();
    vault.fetch(&mut script).unwrap();
    script
        .answer(403, "{\"errors\":[\"permission denied\"]}")
        .answer(200, LOGIN)
        .answer(200, SECRET);
    vault.fetch(&mut script).unwrap();
    script
        .answer(403, "{}")
        .answer(200, LOGIN)
        .answer(403, "{}");
    let refused = Error::Status {
        step: Step::Read,
        status: 403,
        reason: None,
    };
    assert_eq!(vault.fetch(&mut script).err(), Some(refused));
    assert!(script.answers.is_empty());
}

#[test]
fn a_pod_logs_in_with_its_own_token() {
    let mut script = Script::at(0);
    script.files.insert(
        "/var/run/secrets/kubernetes.io/serviceaccount/token",
        "e.y.j\n".to_string(),
    );
    script.answer(200, LOGIN).answer(200, SECRET);
    vault(&[("role", "merlon"), ("auth_mount", "k8s/eu")])
        .fetch(&mut script)
        .unwrap();
    assert_eq!(
        script.lines()[0],
        "Post https://vault:8200/v1/auth/k8s/eu/login"
    );
    assert_eq!(script.asked[0].body, r#"{"role":"merlon","jwt":"e.y.j"}"#);
}

#[test]
fn refusals_and_garbage_are_errors_with_their_step() {
    let outcome = |answers: &[(u16, &str)]| {
        let mut script = Script::at(0);
        answers.iter().for_each(|(status, body)| {
            script.answer(*status, body);
        });
        app_role().fetch(&mut script).err().unwrap()
    };
    let status = |step, status| Error::Status {
        step,
        status,
        reason: None,
    };
    assert_eq!(outcome(&[(403, "")]), status(Step::Login, 403));
    assert_eq!(
        outcome(&[(200, "<html>")]),
        Error::Malformed { step: Step::Login }
    );
    assert_eq!(
        outcome(&[(200, "{\"auth\":{}}")]),
        Error::Malformed { step: Step::Login }
    );
    assert_eq!(
        outcome(&[(200, LOGIN), (404, "{}")]),
        status(Step::Read, 404)
    );
    assert_eq!(
        outcome(&[(200, LOGIN), (503, "sealed")]),
        status(Step::Read, 503)
    );
    assert_eq!(
        outcome(&[(200, LOGIN), (200, "{}")]),
        Error::NoField {
            name: "keyring".to_string()
        }
    );
    let no_version = SECRET.replace("\"version\"", "\"revision\"");
    assert_eq!(
        outcome(&[(200, LOGIN), (200, &no_version)]),
        Error::Malformed { step: Step::Read }
    );
    let mut script = Script::at(0);
    script.fail(Error::Timeout);
    assert_eq!(app_role().fetch(&mut script).err(), Some(Error::Timeout));
}

#[test]
fn settings_that_can_not_work_are_refused_before_anything_is_asked() {
    let refused = |texts: &[(&str, &str)]| Vault::new(&mut options(texts)).err().unwrap();
    assert_eq!(
        Vault::new(&mut Options::default()).err(),
        Some(Error::Missing { name: "url" })
    );
    assert_eq!(
        refused(&[("url", "https://v"), ("path", "p")]),
        Error::Missing { name: "token" }
    );
    assert_eq!(
        refused(&[("url", "https://v"), ("path", "p"), ("role_id", "r")]),
        Error::Missing { name: "secret_id" }
    );
}

/// Turns red with `MERLON_KNOCKOUT=plaintext`.
#[test]
fn knockout_plaintext_a_token_is_not_sent_in_the_clear() {
    let far = [("url", "http://vault:8200"), ("path", "p"), ("token", "t")];
    let refused = Vault::new(&mut options(&far)).err();
    assert_eq!(refused, Some(Error::Plaintext { name: "url" }));
}
