//! Google Secret Manager, over its REST API.

use base64ct::{Base64, Encoding};
use merlon_secret::Secret;

use crate::json::Json;
use crate::url::{escape, Base, Clear};
use crate::{crc32c, jwt, Delivered, Error, Method, Options, Outside, Request, Step};

/// Where the secret is and who asks for it.
pub struct Gcp {
    base: Base,
    path: String,
    auth: Auth,
    held: Option<(Secret<String>, u64)>,
}

enum Auth {
    Metadata(Base),
    ServiceAccount(String),
}

const ENDPOINT: &str = "https://secretmanager.googleapis.com";
const METADATA: &str = "http://metadata.google.internal";
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// Seconds before its end from which a token is not used any more.
const MARGIN: u64 = 120;

impl Gcp {
    /// `project`, `secret`; `version` (latest), `endpoint`; and `service_account` (a file) or `metadata` (an address).
    pub fn new(options: &mut Options) -> Result<Gcp, Error> {
        let endpoint = options
            .text("endpoint")
            .unwrap_or_else(|| ENDPOINT.to_string());
        let version = options
            .text("version")
            .unwrap_or_else(|| "latest".to_string());
        let (project, secret) = (options.need_text("project")?, options.need_text("secret")?);
        let auth = match options.text("service_account") {
            Some(path) => Auth::ServiceAccount(path),
            None => {
                let address = options
                    .text("metadata")
                    .unwrap_or_else(|| METADATA.to_string());
                Auth::Metadata(Base::parse(&address, "metadata", Clear::Metadata)?)
            }
        };
        Ok(Gcp {
            base: Base::parse(&endpoint, "endpoint", Clear::Loopback)?,
            path: format!(
                "/v1/projects/{}/secrets/{}/versions/{}:access",
                escape(&project),
                escape(&secret),
                escape(&version)
            ),
            auth,
            held: None,
        })
    }

    /// That version, its checksum checked.
    pub fn fetch(&mut self, outside: &mut dyn Outside) -> Result<Delivered, Error> {
        let token = self.token(outside)?;
        let bearer = format!("Bearer {}", token.expose());
        let request =
            Request::new(Method::Get, self.base.join(&self.path)).header("authorization", bearer);
        let response = outside.send(&request)?;
        if matches!(response.status, 401 | 403) {
            self.held = None; // the next try gets another
        }
        let json = response.json(Step::Read)?;
        let malformed = Error::Malformed { step: Step::Read };
        let encoded = json
            .text(&["payload", "data"])
            .ok_or_else(|| malformed.clone())?;
        let text = Secret::new(Base64::decode_vec(encoded).map_err(|_| malformed.clone())?);
        match json.number(&["payload", "dataCrc32c"]) {
            Some(sum)
                if sum != u64::from(crc32c(text.expose())) && !knockout::out!("store_checksum") =>
            {
                Err(Error::Checksum)
            }
            // It is always there; without it nobody would notice when it goes away.
            None => Err(malformed),
            _ => Ok(Delivered {
                text,
                version: json.text(&["name"]).ok_or(malformed)?.to_string(),
            }),
        }
    }

    fn token(&mut self, outside: &mut dyn Outside) -> Result<Secret<String>, Error> {
        if let Some((token, _)) = self.held.as_ref().filter(|(_, end)| outside.now() < *end) {
            return Ok(Secret::new(token.expose().clone()));
        }
        let request = match &self.auth {
            Auth::Metadata(base) => {
                let path = "/computeMetadata/v1/instance/service-accounts/default/token";
                Request::new(Method::Get, base.join(path)).header("metadata-flavor", "Google")
            }
            Auth::ServiceAccount(path) => grant(path, outside)?,
        };
        let json = outside.send(&request)?.json(Step::Login)?;
        let token = json
            .text(&["access_token"])
            .ok_or(Error::Malformed { step: Step::Login })?;
        let lasts = json.number(&["expires_in"]).unwrap_or(0);
        let end = outside.now().saturating_add(lasts.saturating_sub(MARGIN));
        self.held = Some((Secret::new(token.to_string()), end));
        Ok(Secret::new(token.to_string()))
    }
}

/// A service account asks for a token with one that it signs itself (RFC 7523).
fn grant(path: &str, outside: &mut dyn Outside) -> Result<Request, Error> {
    let bad = || Error::BadKey {
        path: path.to_string(),
    };
    let file = outside.file(path, true)?;
    let account = Json::parse(file.expose(), Step::Login).map_err(|_| bad())?;
    let field = |name: &str| account.text(&[name]).ok_or_else(bad);
    let (email, key_id, key) = (
        field("client_email")?,
        field("private_key_id")?,
        field("private_key")?,
    );
    let address = field("token_uri")?;
    let base = Base::parse(address, "token_uri", Clear::Loopback)?;
    let now = outside.now();
    let claims = serde_json::json!({
        "iss": email, "scope": SCOPE, "aud": address, "iat": now, "exp": now.saturating_add(3600)
    });
    let assertion = jwt(key_id, &claims.to_string(), key, outside.random()).ok_or_else(bad)?;
    let form = Secret::new(format!(
        "grant_type={}&assertion={}",
        escape("urn:ietf:params:oauth:grant-type:jwt-bearer"),
        assertion.expose()
    ));
    Ok(Request::new(Method::Post, base.join(""))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form.expose().as_bytes()))
}
