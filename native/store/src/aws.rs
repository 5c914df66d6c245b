//! AWS Secrets Manager, over its JSON API.

mod credentials;

use base64ct::{Base64, Encoding};
use merlon_secret::Secret;

use crate::json::{object, Json};
use crate::sigv4::{authorization, Keys, Scope};
use crate::url::{Base, Clear};
use crate::{Delivered, Error, Method, Options, Outside, Request, Response, Step};
use credentials::Credentials;

/// Where the secret is and who asks for it.
pub struct Aws {
    region: Option<String>,
    endpoint: Option<Base>,
    secret: String,
    stage: String,
    field: Option<String>,
    credentials: Credentials,
}

impl Aws {
    /// `secret`; `region` (from the environment), `stage` (AWSCURRENT), `field` (of a JSON value), `endpoint`; and what
    /// [`Credentials::new`] takes.
    pub fn new(options: &mut Options) -> Result<Aws, Error> {
        Ok(Aws {
            region: options.text("region"),
            endpoint: base(options, "endpoint", Clear::Loopback)?,
            secret: options.need_text("secret")?,
            stage: options
                .text("stage")
                .unwrap_or_else(|| "AWSCURRENT".to_string()),
            field: options.text("field"),
            credentials: Credentials::new(options)?,
        })
    }

    /// The version of that stage. Credentials that are refused are not used again.
    pub fn fetch(&mut self, outside: &mut dyn Outside) -> Result<Delivered, Error> {
        let region = region(self.region.as_deref(), outside)?;
        let keys = self.credentials.keys(&region, outside)?;
        let response = self.ask(&region, &keys, outside)?;
        if response.status != 200 {
            self.credentials.forget();
        }
        let json = answer(&response, Step::Read)?;
        Ok(Delivered {
            text: self.value(&json)?,
            version: json
                .text(&["VersionId"])
                .ok_or(Error::Malformed { step: Step::Read })?
                .to_string(),
        })
    }

    fn ask(&self, region: &str, keys: &Keys, outside: &mut dyn Outside) -> Result<Response, Error> {
        let base = match &self.endpoint {
            Some(base) => base.clone(),
            None => service("secretsmanager", region)?,
        };
        let body = object(&[("SecretId", &self.secret), ("VersionStage", &self.stage)]);
        let scope = Scope {
            region,
            service: "secretsmanager",
            now: outside.now(),
        };
        let date = scope.date();
        let mut headers = vec![
            ("content-type", "application/x-amz-json-1.1"),
            ("host", base.authority()),
            ("x-amz-date", &date),
            ("x-amz-target", "secretsmanager.GetSecretValue"),
        ];
        if let Some(session) = &keys.session {
            headers.push(("x-amz-security-token", session.expose()));
        }
        let path = match base.path() {
            "" => "/",
            path => path,
        };
        let body = body.expose().as_bytes();
        let signed = authorization(keys, &scope, "POST", path, &headers, body);
        let request = Request::new(
            Method::Post,
            base.join(if base.path().is_empty() { "/" } else { "" }),
        )
        .header("authorization", signed)
        .body(body);
        let sent = headers.iter().filter(|(name, _)| *name != "host");
        outside.send(&sent.fold(request, |request, (name, value)| {
            request.header(name, *value)
        }))
    }

    /// The text, or the binary, or that field of the text.
    fn value(&self, json: &Json) -> Result<Secret<Vec<u8>>, Error> {
        let malformed = Error::Malformed { step: Step::Read };
        let value = match json.text(&["SecretString"]) {
            Some(text) => text.as_bytes().to_vec(),
            None => json
                .text(&["SecretBinary"])
                .and_then(|encoded| Base64::decode_vec(encoded).ok())
                .ok_or(malformed)?,
        };
        let value = Secret::new(value);
        let Some(field) = &self.field else {
            return Ok(value);
        };
        let missing = || Error::NoField {
            name: field.clone(),
        };
        let fields = Json::parse(value.expose(), Step::Read).map_err(|_| missing())?;
        let text = fields.text(&[field]).ok_or_else(missing)?;
        Ok(Secret::new(text.as_bytes().to_vec()))
    }
}

fn base(options: &mut Options, name: &'static str, clear: Clear) -> Result<Option<Base>, Error> {
    let text = options.text(name);
    text.map(|text| Base::parse(&text, name, clear)).transpose()
}

fn region(said: Option<&str>, outside: &mut dyn Outside) -> Result<String, Error> {
    let variables = ["AWS_REGION", "AWS_DEFAULT_REGION"];
    let known = match said {
        Some(region) => Some(region.to_string()),
        None => variables
            .iter()
            .find_map(|name| outside.variable(name))
            .map(|region| region.expose().clone()),
    };
    known.ok_or(Error::Missing { name: "region" })
}

/// The public endpoint of a service.
fn service(name: &str, region: &str) -> Result<Base, Error> {
    let domain = match region.starts_with("cn-") {
        true => "amazonaws.com.cn",
        false => "amazonaws.com",
    };
    Base::parse(
        &format!("https://{name}.{region}.{domain}"),
        "region",
        Clear::Loopback,
    )
}

fn answer(response: &Response, step: Step) -> Result<Json, Error> {
    match response.status {
        200 => response.json(step),
        status => {
            let reason = reason(response.body.expose());
            Err(Error::Status {
                step,
                status,
                reason,
            })
        }
    }
}

/// AWS says with 400 most of what others have a status for.
fn reason(body: &[u8]) -> Option<&'static str> {
    const KNOWN: [&str; 13] = [
        "ResourceNotFoundException",
        "AccessDeniedException",
        "AccessDenied",
        "UnrecognizedClientException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
        "ExpiredTokenException",
        "ExpiredToken",
        "InvalidIdentityToken",
        "DecryptionFailure",
        "ThrottlingException",
        "Throttling",
    ];
    let text = std::str::from_utf8(body).ok()?;
    let said = |word: &&&str| {
        [("\"", "\""), ("#", "\""), (">", "<")]
            .iter()
            .any(|(before, after)| text.contains(&format!("{before}{word}{after}")))
    };
    KNOWN.iter().find(said).copied()
}
