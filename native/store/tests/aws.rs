//! AWS: its published signatures ("Signature Version 4 test suite"), and its exchanges as its API references write them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::{options, text, Script};
use merlon_secret::Secret;
use merlon_store::aws::Aws;
use merlon_store::sigv4::{authorization, Keys, Scope};
use merlon_store::{Error, Step};

// ---- signatures ----

const NOW: u64 = 1_440_938_160; // 2015-08-30T12:36:00Z

fn signature(method: &str, headers: &[(&str, &str)], body: &str) -> String {
    let keys = Keys {
        id: "AKIDEXAMPLE".to_string(),
        secret: Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_string()),
        session: None,
    };
    let scope = Scope {
        region: "us-east-1",
        service: "service",
        now: NOW,
    };
    let mut all = vec![
        ("host", "example.amazonaws.com"),
        ("x-amz-date", "20150830T123600Z"),
    ];
    all.extend(headers);
    let said = authorization(&keys, &scope, method, "/", &all, body.as_bytes());
    let (before, signature) = said.rsplit_once("Signature=").unwrap();
    assert!(before.starts_with(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
    ));
    signature.to_string()
}

#[test]
fn get_vanilla() {
    assert_eq!(
        signature("GET", &[], ""),
        "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
    );
}

#[test]
fn post_vanilla() {
    assert_eq!(
        signature("POST", &[], ""),
        "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"
    );
}

#[test]
fn post_header_value_case() {
    let signed = signature("POST", &[("my-header1", "VALUE1")], "");
    assert_eq!(
        signed,
        "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d"
    );
}

#[test]
fn post_x_www_form_urlencoded() {
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let signed = signature("POST", &form, "Param1=value1");
    assert_eq!(
        signed,
        "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"
    );
}

#[test]
fn post_sts_header_before() {
    let token = "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==";
    let signed = signature("POST", &[("x-amz-security-token", token)], "");
    assert_eq!(
        signed,
        "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"
    );
}

// ---- exchanges ----

const VALUE: &str = r#"{"ARN":"arn:aws:secretsmanager:eu-central-1:1:secret:merlon","Name":"merlon",
    "SecretString":"the text\n","VersionId":"v-1","VersionStages":["AWSCURRENT"]}"#;
const STATIC: [(&str, &str); 4] = [
    ("secret", "merlon"),
    ("region", "eu-central-1"),
    ("access_key_id", "AKID"),
    ("secret_access_key", "key"),
];

fn aws(more: &[(&str, &str)]) -> Aws {
    let mut all = vec![("secret", "merlon"), ("region", "eu-central-1")];
    all.extend(more);
    Aws::new(&mut options(&all)).unwrap()
}

#[test]
fn the_current_version_is_asked_for_and_all_of_the_request_is_signed() {
    let mut script = Script::at(NOW);
    script.answer(200, VALUE);
    let delivered = Aws::new(&mut options(&STATIC))
        .unwrap()
        .fetch(&mut script)
        .unwrap();
    assert_eq!(
        (text(&delivered.text), delivered.version.as_str()),
        ("the text\n", "v-1")
    );
    assert_eq!(
        script.lines(),
        ["Post https://secretsmanager.eu-central-1.amazonaws.com/"]
    );
    let asked = &script.asked[0];
    assert_eq!(
        asked.body,
        r#"{"SecretId":"merlon","VersionStage":"AWSCURRENT"}"#
    );
    assert_eq!(
        asked.headers["x-amz-target"],
        "secretsmanager.GetSecretValue"
    );
    assert!(asked.headers["authorization"]
        .contains("SignedHeaders=content-type;host;x-amz-date;x-amz-target, "));
}

#[test]
fn a_binary_value_and_a_field_of_a_json_value_are_found() {
    let fetch = |more: &[(&str, &str)], answer: &str| {
        let mut script = Script::at(NOW);
        script.answer(200, answer);
        let all: Vec<_> = STATIC.iter().chain(more).copied().collect();
        let got = Aws::new(&mut options(&all)).unwrap().fetch(&mut script);
        got.map(|delivered| text(&delivered.text).to_string())
    };
    let binary = r#"{"SecretBinary":"dGV4dA==","VersionId":"v"}"#;
    assert_eq!(fetch(&[], binary).unwrap(), "text");
    let fields = r#"{"SecretString":"{\"keyring\":\"k\"}","VersionId":"v"}"#;
    assert_eq!(fetch(&[("field", "keyring")], fields).unwrap(), "k");
    let missing = Error::NoField {
        name: "other".to_string(),
    };
    assert_eq!(fetch(&[("field", "other")], fields).err(), Some(missing));
    assert_eq!(
        fetch(&[], "{}").err(),
        Some(Error::Malformed { step: Step::Read })
    );
    assert_eq!(
        fetch(&[], "garbage").err(),
        Some(Error::Malformed { step: Step::Read })
    );
}

#[test]
fn its_own_word_for_a_refusal_is_told_and_no_other() {
    let refused = |body: &str| {
        let mut script = Script::at(NOW);
        script.answer(400, body);
        Aws::new(&mut options(&STATIC))
            .unwrap()
            .fetch(&mut script)
            .err()
            .unwrap()
    };
    let status = |reason| Error::Status {
        step: Step::Read,
        status: 400,
        reason,
    };
    assert_eq!(
        refused(r#"{"__type":"ResourceNotFoundException"}"#),
        status(Some("ResourceNotFoundException"))
    );
    assert_eq!(
        refused(r#"{"__type":"com.amazon#AccessDeniedException"}"#),
        status(Some("AccessDeniedException"))
    );
    assert_eq!(refused(r#"{"__type":"whatever it is"}"#), status(None));
}

#[test]
fn credentials_come_from_the_environment() {
    let mut script = Script::at(NOW);
    script.variables.extend([
        ("AWS_ACCESS_KEY_ID", "AKENV"),
        ("AWS_SECRET_ACCESS_KEY", "key"),
        ("AWS_SESSION_TOKEN", "session"),
        ("AWS_REGION", "us-west-2"),
    ]);
    script.answer(200, VALUE);
    let mut aws = Aws::new(&mut options(&[("secret", "merlon")])).unwrap();
    aws.fetch(&mut script).unwrap();
    let headers = &script.asked[0].headers;
    assert!(headers["authorization"]
        .contains("Credential=AKENV/20150830/us-west-2/secretsmanager/aws4_request"));
    assert!(headers["authorization"].contains("x-amz-security-token"));
    assert_eq!(headers["x-amz-security-token"], "session");
    script.variables.clear();
    assert_eq!(
        aws.fetch(&mut script).err(),
        Some(Error::Missing { name: "region" })
    );
}

const ROLE: &str = r#"{"Code":"Success","LastUpdated":"2015-08-30T12:00:00Z","Type":"AWS-HMAC","AccessKeyId":"ASIA",
    "SecretAccessKey":"key","Token":"session","Expiration":"2015-08-30T13:36:00Z"}"#;

#[test]
fn an_instance_asks_its_metadata_server_with_a_token_and_keeps_what_it_gets() {
    let mut script = Script::at(NOW);
    script
        .answer(200, "IMDS-TOKEN")
        .answer(200, "my-role\n")
        .answer(200, ROLE);
    script.answer(200, VALUE).answer(200, VALUE);
    let mut aws = aws(&[("credentials", "instance")]);
    aws.fetch(&mut script).unwrap();
    let metadata = "http://169.254.169.254/latest";
    assert_eq!(
        script.lines()[..3],
        [
            format!("Put {metadata}/api/token"),
            format!("Get {metadata}/meta-data/iam/security-credentials/"),
            format!("Get {metadata}/meta-data/iam/security-credentials/my-role"),
        ]
    );
    assert_eq!(
        script.asked[1].headers["x-aws-ec2-metadata-token"],
        "IMDS-TOKEN"
    );
    assert!(script.asked[3].headers["authorization"].contains("Credential=ASIA/"));
    script.now += 3299; // 5 minutes and a second before their end
    aws.fetch(&mut script).unwrap();
    assert_eq!(script.asked.len(), 5);
    script.now += 1;
    script
        .answer(200, "IMDS-TOKEN")
        .answer(200, "my-role")
        .answer(200, ROLE)
        .answer(200, VALUE);
    aws.fetch(&mut script).unwrap();
    assert_eq!(script.asked.len(), 9);
}

#[test]
fn credentials_that_are_refused_are_not_used_again() {
    let mut script = Script::at(NOW);
    let mut aws = aws(&[("credentials", "instance")]);
    for _ in 0..2 {
        script
            .answer(200, "IMDS-TOKEN")
            .answer(200, "my-role")
            .answer(200, ROLE);
        script.answer(400, r#"{"__type":"ExpiredTokenException"}"#);
        assert!(aws.fetch(&mut script).is_err());
    }
    assert_eq!(script.asked.len(), 8);
}

const ASSUMED: &str = r#"<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleWithWebIdentityResult><Credentials><SessionToken>sess+/=</SessionToken>
  <SecretAccessKey>key/+</SecretAccessKey><Expiration>2015-08-30T13:36:00Z</Expiration><AccessKeyId>ASIAWEB</AccessKeyId>
  </Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"#;

#[test]
fn a_web_identity_becomes_a_role() {
    let mut script = Script::at(NOW);
    script.files.insert("/token", "ey.J.x\n".to_string());
    script.answer(200, ASSUMED).answer(200, VALUE);
    let role = [
        ("credentials", "web_identity"),
        ("role_arn", "arn:aws:iam::1:role/m"),
        ("token_file", "/token"),
    ];
    aws(&role).fetch(&mut script).unwrap();
    assert_eq!(
        script.lines()[0],
        "Post https://sts.eu-central-1.amazonaws.com/"
    );
    assert_eq!(
        script.asked[0].body,
        "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleSessionName=merlon\
         &RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fm&WebIdentityToken=ey.J.x"
    );
    assert!(script.asked[1].headers["authorization"].contains("Credential=ASIAWEB/"));
    assert_eq!(script.asked[1].headers["x-amz-security-token"], "sess+/=");
}

#[test]
fn what_is_said_of_a_web_identity_in_the_environment_counts_before_the_instance() {
    let mut script = Script::at(NOW);
    script.files.insert("/token", "t".to_string());
    script.variables.extend([
        ("AWS_ROLE_ARN", "arn"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "/token"),
    ]);
    script.answer(400, "<Error><Code>InvalidIdentityToken</Code></Error>");
    let reason = Some("InvalidIdentityToken");
    assert_eq!(
        aws(&[]).fetch(&mut script).err(),
        Some(Error::Status {
            step: Step::Login,
            status: 400,
            reason
        })
    );
    script.answer(
        200,
        "<Credentials><AccessKeyId>A</AccessKeyId></Credentials>",
    );
    assert_eq!(
        aws(&[]).fetch(&mut script).err(),
        Some(Error::Malformed { step: Step::Login })
    );
}

#[test]
fn without_any_credentials_that_is_what_is_said() {
    let mut script = Script::at(NOW);
    script.fail(Error::Connect {
        why: "ehostunreach",
    });
    assert_eq!(
        aws(&[]).fetch(&mut script).err(),
        Some(Error::NoCredentials)
    );
    assert_eq!(
        aws(&[("credentials", "environment")])
            .fetch(&mut script)
            .err(),
        Some(Error::NoCredentials)
    );
}

#[test]
fn a_metadata_answer_that_would_break_out_of_its_header_is_refused() {
    let mut script = Script::at(NOW);
    script.answer(200, "token\r\nx-evil: 1");
    let mut aws = aws(&[("credentials", "instance")]);
    assert_eq!(
        aws.fetch(&mut script).err(),
        Some(Error::Malformed { step: Step::Login })
    );
}
