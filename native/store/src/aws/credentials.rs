//! Where AWS credentials come from.

use merlon_secret::Secret;

use super::{answer, base, reason, service};
use crate::json::Json;
use crate::options::text;
use crate::sigv4::Keys;
use crate::time;
use crate::url::{escape, escape_path, Base, Clear};
use crate::{Error, Method, Options, Outside, Request, Source, Step};

/// The way to credentials, and those that it has led to.
pub struct Credentials {
    way: Way,
    held: Option<(Keys, u64)>,
}

enum Way {
    /// Environment, web identity, instance: the first that is there.
    Default {
        sts: Option<Base>,
        metadata: Base,
    },
    Static {
        id: Source,
        secret: Source,
        session: Option<Source>,
    },
    Environment,
    WebIdentity {
        sts: Option<Base>,
        role: String,
        token_file: String,
    },
    Instance(Base),
}

const METADATA: &str = "http://169.254.169.254";
/// Seconds before their end from which credentials are not used any more.
const MARGIN: u64 = 300;

impl Credentials {
    /// `access_key_id` with `secret_access_key` and `session_token`; or `credentials`: default, environment, web_identity
    /// (with `role_arn`, `token_file`, `sts_endpoint`), instance (with `metadata`).
    pub fn new(options: &mut Options) -> Result<Credentials, Error> {
        let way = match options.source("access_key_id") {
            Some(id) => Way::Static {
                id,
                secret: options.need("secret_access_key")?,
                session: options.source("session_token"),
            },
            None => Way::new(options)?,
        };
        Ok(Credentials { way, held: None })
    }

    /// Those that were held are no good.
    pub fn forget(&mut self) {
        self.held = None;
    }

    /// Temporary ones are kept until shortly before their end.
    pub fn keys(&mut self, region: &str, outside: &mut dyn Outside) -> Result<Keys, Error> {
        if let Some((keys, _)) = self.held.as_ref().filter(|(_, end)| outside.now() < *end) {
            return Ok(copy(keys));
        }
        let (keys, end) = self.way.keys(region, outside)?;
        if let Some(end) = end {
            self.held = Some((copy(&keys), end.saturating_sub(MARGIN)));
        }
        Ok(keys)
    }
}

type Found = (Keys, Option<u64>);

impl Way {
    fn new(options: &mut Options) -> Result<Way, Error> {
        let sts = base(options, "sts_endpoint", Clear::Loopback)?;
        let metadata = match base(options, "metadata", Clear::Metadata)? {
            Some(base) => base,
            None => Base::parse(METADATA, "metadata", Clear::Metadata)?,
        };
        match options.text("credentials").as_deref() {
            Some("environment") => Ok(Way::Environment),
            Some("instance") => Ok(Way::Instance(metadata)),
            Some("web_identity") => Ok(Way::WebIdentity {
                sts,
                role: options.need_text("role_arn")?,
                token_file: options.need_text("token_file")?,
            }),
            _ => Ok(Way::Default { sts, metadata }),
        }
    }

    fn keys(&self, region: &str, outside: &mut dyn Outside) -> Result<Found, Error> {
        match self {
            Way::Static {
                id,
                secret,
                session,
            } => {
                let keys = Keys {
                    id: id.read(outside)?.expose().clone(),
                    secret: secret.read(outside)?,
                    session: session
                        .as_ref()
                        .map(|source| source.read(outside))
                        .transpose()?,
                };
                Ok((keys, None))
            }
            Way::Environment => environment(outside).ok_or(Error::NoCredentials),
            Way::WebIdentity {
                sts,
                role,
                token_file,
            } => web_identity(sts.as_ref(), region, role, token_file, outside),
            Way::Instance(base) => instance(base, outside),
            Way::Default { sts, metadata } => any(sts.as_ref(), metadata, region, outside),
        }
    }
}

fn any(
    sts: Option<&Base>,
    metadata: &Base,
    region: &str,
    outside: &mut dyn Outside,
) -> Result<Found, Error> {
    if let Some(found) = environment(outside) {
        return Ok(found);
    }
    let names = ["AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"];
    match names.map(|name| outside.variable(name)) {
        [Some(role), Some(file)] => {
            web_identity(sts, region, role.expose(), file.expose(), outside)
        }
        // On a machine that is no EC2 instance nobody answers there.
        _ => instance(metadata, outside).map_err(|error| match error {
            Error::Connect { .. } | Error::HostNotFound | Error::Timeout => Error::NoCredentials,
            error => error,
        }),
    }
}

fn environment(outside: &mut dyn Outside) -> Option<Found> {
    let keys = Keys {
        id: outside.variable("AWS_ACCESS_KEY_ID")?.expose().clone(),
        secret: outside.variable("AWS_SECRET_ACCESS_KEY")?,
        session: outside.variable("AWS_SESSION_TOKEN"),
    };
    Some((keys, None))
}

/// STS takes the token of another issuer (Kubernetes, for example) for a role. It answers in XML.
fn web_identity(
    sts: Option<&Base>,
    region: &str,
    role: &str,
    token_file: &str,
    outside: &mut dyn Outside,
) -> Result<Found, Error> {
    let base = match sts {
        Some(base) => base.clone(),
        None => service("sts", region)?,
    };
    let token = text(outside, token_file, false)?;
    let form = Secret::new(format!(
        "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleSessionName=merlon&RoleArn={}&WebIdentityToken={}",
        escape(role),
        escape(token.expose())
    ));
    let request = Request::new(Method::Post, base.join("/"))
        .header("content-type", "application/x-www-form-urlencoded")
        .header("accept", "application/xml")
        .body(form.expose().as_bytes());
    let response = outside.send(&request)?;
    let body = response.body.expose();
    let malformed = || Error::Malformed { step: Step::Login };
    match response.status {
        200 => from_xml(std::str::from_utf8(body).map_err(|_| malformed())?).ok_or_else(malformed),
        status => Err(Error::Status {
            step: Step::Login,
            status,
            reason: reason(body),
        }),
    }
}

fn from_xml(xml: &str) -> Option<Found> {
    let credentials = element(xml, "Credentials")?;
    let keys = Keys {
        id: element(credentials, "AccessKeyId")?.to_string(),
        secret: Secret::new(element(credentials, "SecretAccessKey")?.to_string()),
        session: Some(Secret::new(
            element(credentials, "SessionToken")?.to_string(),
        )),
    };
    let end = time::extended(element(credentials, "Expiration")?)?;
    Some((keys, Some(end)))
}

/// What is in the first element of that name. Neither keys nor tokens have anything to escape.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (inside, _) = rest.split_once(&format!("</{name}>"))?;
    Some(inside.trim())
}

/// The instance's role, by version 2 of the metadata service: with a token, so that no proxy can be made to ask.
fn instance(base: &Base, outside: &mut dyn Outside) -> Result<Found, Error> {
    let session = Request::new(Method::Put, base.join("/latest/api/token"))
        .header("x-aws-ec2-metadata-token-ttl-seconds", "300");
    let token = said(session, outside)?;
    let roles = "/latest/meta-data/iam/security-credentials/";
    let ask = |path: String| {
        Request::new(Method::Get, base.join(&path))
            .header("x-aws-ec2-metadata-token", token.expose().as_str())
    };
    let role = said(ask(roles.to_string()), outside)?;
    let role = role.expose().lines().next().unwrap_or_default();
    let response = outside.send(&ask(format!("{roles}{}", escape_path(role))))?;
    from_json(&answer(&response, Step::Login)?).ok_or(Error::Malformed { step: Step::Login })
}

fn from_json(json: &Json) -> Option<Found> {
    let keys = Keys {
        id: json.text(&["AccessKeyId"])?.to_string(),
        secret: Secret::new(json.text(&["SecretAccessKey"])?.to_string()),
        session: Some(Secret::new(json.text(&["Token"])?.to_string())),
    };
    let end = time::extended(json.text(&["Expiration"])?)?;
    Some((keys, Some(end)))
}

/// An answer that is text; printable, as it goes into headers and paths.
fn said(request: Request, outside: &mut dyn Outside) -> Result<Secret<String>, Error> {
    let response = outside.send(&request)?;
    let step = Step::Login;
    match (response.status, std::str::from_utf8(response.body.expose())) {
        (200, Ok(text))
            if text
                .trim()
                .bytes()
                .all(|byte| byte.is_ascii_graphic() || byte == b'\n') =>
        {
            Ok(Secret::new(text.trim().to_string()))
        }
        (200, _) => Err(Error::Malformed { step }),
        (status, _) => Err(Error::Status {
            step,
            status,
            reason: None,
        }),
    }
}

fn copy(keys: &Keys) -> Keys {
    let secret = |text: &Secret<String>| Secret::new(text.expose().clone());
    Keys {
        id: keys.id.clone(),
        secret: secret(&keys.secret),
        session: keys.session.as_ref().map(secret),
    }
}
