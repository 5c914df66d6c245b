//! Google's exchanges as its REST references write them; signatures are checked by OpenSSL.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use base64ct::{Base64, Base64UrlUnpadded, Encoding};
use common::{options, text, Script};
use merlon_store::gcp::Gcp;
use merlon_store::{crc32c, jwt, Error, Step};
use std::path::{Path, PathBuf};
use std::process::Command;

const NOW: u64 = 1_800_000_000;
const TOKEN: &str = r#"{"access_token":"ya29.x","expires_in":3599,"token_type":"Bearer"}"#;

fn value(text: &str, sum: u32) -> String {
    let data = Base64::encode_string(text.as_bytes());
    format!(
        r#"{{"name":"projects/7/secrets/merlon/versions/5","payload":{{"data":"{data}","dataCrc32c":"{sum}"}}}}"#
    )
}

fn good() -> String {
    value("the text\n", crc32c(b"the text\n"))
}

fn gcp(more: &[(&str, &str)]) -> Gcp {
    let mut all = vec![("project", "shop"), ("secret", "merlon")];
    all.extend(more);
    Gcp::new(&mut options(&all)).unwrap()
}

#[test]
fn a_machine_of_theirs_asks_its_metadata_server_and_keeps_the_token() {
    let mut script = Script::at(NOW);
    script
        .answer(200, TOKEN)
        .answer(200, &good())
        .answer(200, &good());
    let mut gcp = gcp(&[]);
    let delivered = gcp.fetch(&mut script).unwrap();
    assert_eq!(text(&delivered.text), "the text\n");
    assert_eq!(delivered.version, "projects/7/secrets/merlon/versions/5");
    gcp.fetch(&mut script).unwrap();
    let read = "Get https://secretmanager.googleapis.com/v1/projects/shop/secrets/merlon/versions/latest:access";
    let token = "Get http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/token";
    assert_eq!(script.lines(), [token, read, read]);
    assert_eq!(script.asked[0].headers["metadata-flavor"], "Google");
    assert_eq!(script.asked[1].headers["authorization"], "Bearer ya29.x");
    script.now += 3599 - 120;
    script.answer(200, TOKEN).answer(200, &good());
    gcp.fetch(&mut script).unwrap();
    assert_eq!(script.asked.len(), 5);
}

/// Turns red with `MERLON_KNOCKOUT=store_checksum`.
#[test]
fn knockout_store_checksum_a_value_of_another_checksum_is_refused() {
    let mut script = Script::at(NOW);
    script
        .answer(200, TOKEN)
        .answer(200, &value("the text\n", 1));
    assert_eq!(gcp(&[]).fetch(&mut script).err(), Some(Error::Checksum));
}

#[test]
fn refusals_and_garbage_are_errors_with_their_step() {
    let outcome = |status: u16, body: &str| {
        let mut script = Script::at(NOW);
        script.answer(200, TOKEN).answer(status, body);
        gcp(&[]).fetch(&mut script).err().unwrap()
    };
    let malformed = Error::Malformed { step: Step::Read };
    assert_eq!(outcome(200, "{}"), malformed);
    assert_eq!(
        outcome(200, r#"{"name":"n","payload":{"data":"!!"}}"#),
        malformed
    );
    assert_eq!(
        outcome(200, r#"{"name":"n","payload":{"data":"dGV4dA=="}}"#),
        malformed
    );
    assert_eq!(
        outcome(404, "{}"),
        Error::Status {
            step: Step::Read,
            status: 404,
            reason: None
        }
    );
    let mut script = Script::at(NOW);
    script.answer(200, "{}");
    assert_eq!(
        gcp(&[]).fetch(&mut script).err(),
        Some(Error::Malformed { step: Step::Login })
    );
}

// ---- service accounts ----

struct Dir(PathBuf);

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn dir(name: &str) -> Dir {
    let path = std::env::temp_dir().join(format!("merlon-gcp-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    Dir(path)
}

fn openssl(dir: &Path, args: &[&str]) {
    let said = Command::new("openssl")
        .args(args)
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(
        said.status.success(),
        "{}",
        String::from_utf8_lossy(&said.stderr)
    );
}

fn key(dir: &Path) -> String {
    openssl(
        dir,
        &[
            "genpkey",
            "-algorithm",
            "RSA",
            "-pkeyopt",
            "rsa_keygen_bits:2048",
            "-out",
            "key.pem",
        ],
    );
    openssl(
        dir,
        &["pkey", "-in", "key.pem", "-pubout", "-out", "public.pem"],
    );
    std::fs::read_to_string(dir.join("key.pem")).unwrap()
}

fn decoded(part: &str) -> String {
    String::from_utf8(Base64UrlUnpadded::decode_vec(part).unwrap()).unwrap()
}

#[test]
fn a_service_account_signs_for_itself_and_openssl_agrees() {
    let dir = dir("signs");
    let account = serde_json::json!({
        "type": "service_account", "client_email": "m@shop.example", "private_key_id": "kid",
        "private_key": key(&dir.0), "token_uri": "https://oauth2.googleapis.com/token"
    });
    let mut script = Script::at(NOW);
    script.files.insert("/account.json", account.to_string());
    script.answer(200, TOKEN).answer(200, &good());
    gcp(&[("service_account", "/account.json")])
        .fetch(&mut script)
        .unwrap();
    assert_eq!(
        script.lines()[0],
        "Post https://oauth2.googleapis.com/token"
    );
    let grant = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=";
    let token = script.asked[0].body.strip_prefix(grant).unwrap();
    let (said, signature) = token.rsplit_once('.').unwrap();
    let (header, claims) = said.split_once('.').unwrap();
    assert_eq!(
        decoded(header),
        r#"{"alg":"RS256","typ":"JWT","kid":"kid"}"#
    );
    let claims: serde_json::Value = serde_json::from_str(&decoded(claims)).unwrap();
    assert_eq!(claims["aud"], "https://oauth2.googleapis.com/token");
    assert_eq!(claims["exp"], NOW + 3600);
    std::fs::write(dir.0.join("said"), said).unwrap();
    std::fs::write(
        dir.0.join("signature"),
        Base64UrlUnpadded::decode_vec(signature).unwrap(),
    )
    .unwrap();
    openssl(
        &dir.0,
        &[
            "dgst",
            "-sha256",
            "-verify",
            "public.pem",
            "-signature",
            "signature",
            "said",
        ],
    );
}

#[test]
fn what_is_no_service_account_is_refused_without_showing_it() {
    let refused = |account: &str| {
        let mut script = Script::at(NOW);
        script.files.insert("/a", account.to_string());
        gcp(&[("service_account", "/a")])
            .fetch(&mut script)
            .err()
            .unwrap()
    };
    let bad = Error::BadKey {
        path: "/a".to_string(),
    };
    assert_eq!(refused("garbage"), bad);
    assert_eq!(refused("{}"), bad);
    let with = |uri: &str| {
        format!(
            r#"{{"client_email":"e","private_key_id":"k","private_key":"no key","token_uri":"{uri}"}}"#
        )
    };
    assert_eq!(refused(&with("https://here")), bad);
    assert!(jwt("k", "{}", "no key", &ring::rand::SystemRandom::new()).is_none());
}

/// Turns red with `MERLON_KNOCKOUT=plaintext`.
#[test]
fn knockout_plaintext_a_grant_is_not_sent_in_the_clear() {
    let account = r#"{"client_email":"e","private_key_id":"k","private_key":"p","token_uri":"http://elsewhere"}"#;
    let mut script = Script::at(NOW);
    script.files.insert("/a", account.to_string());
    let refused = gcp(&[("service_account", "/a")]).fetch(&mut script).err();
    assert_eq!(refused, Some(Error::Plaintext { name: "token_uri" }));
}
