//! HashiCorp Vault and OpenBao: the KV engine, version 2, over their HTTP API.

use merlon_secret::Secret;

use crate::json::object;
use crate::options::text;
use crate::url::{escape_path, Base, Clear};
use crate::{Delivered, Error, Method, Options, Outside, Request, Source, Step};

/// Where the secret is and who asks for it.
pub struct Vault {
    base: Base,
    namespace: Option<String>,
    mount: String,
    path: String,
    field: String,
    auth: Auth,
    held: Option<Token>,
}

enum Auth {
    Token(Source),
    AppRole {
        mount: String,
        role: Source,
        secret: Source,
    },
    Kubernetes {
        mount: String,
        role: String,
        jwt: String,
    },
}

/// A token that a login has given.
struct Token {
    text: Secret<String>,
    /// Seconds since 1970; none for one that does not run out.
    until: Option<u64>,
}

/// Where Kubernetes puts a pod's own token.
const POD_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

impl Vault {
    /// `url`, `path`; `mount` (secret), `field` (keyring), `namespace`; and one of `token`, `role_id` with `secret_id`,
    /// `role` with `jwt_file`, the last two with `auth_mount`.
    pub fn new(options: &mut Options) -> Result<Vault, Error> {
        Ok(Vault {
            base: Base::parse(&options.need_text("url")?, "url", Clear::Loopback)?,
            namespace: options.text("namespace"),
            mount: options
                .text("mount")
                .unwrap_or_else(|| "secret".to_string()),
            path: options.need_text("path")?,
            field: options
                .text("field")
                .unwrap_or_else(|| "keyring".to_string()),
            auth: Auth::new(options)?,
            held: None,
        })
    }

    /// The newest version. A token that is refused is got anew once, if it came from a login.
    pub fn fetch(&mut self, outside: &mut dyn Outside) -> Result<Delivered, Error> {
        let was_held = self.held.is_some();
        match self.read(outside) {
            Err(Error::Status {
                step: Step::Read,
                status: 401 | 403,
                ..
            }) if was_held => {
                self.held = None;
                self.read(outside)
            }
            result => result,
        }
    }

    fn read(&mut self, outside: &mut dyn Outside) -> Result<Delivered, Error> {
        let token = self.token(outside)?;
        let path = format!(
            "/v1/{}/data/{}",
            escape_path(&self.mount),
            escape_path(&self.path)
        );
        let request = self
            .request(Method::Get, &path)
            .header("x-vault-token", token.expose().as_str());
        let response = outside.send(&request)?;
        if response.status == 403 {
            self.held = None;
        }
        let json = response.json(Step::Read)?;
        let value = json
            .text(&["data", "data", &self.field])
            .ok_or_else(|| Error::NoField {
                name: self.field.clone(),
            })?;
        let version = json
            .number(&["data", "metadata", "version"])
            .ok_or(Error::Malformed { step: Step::Read })?;
        Ok(Delivered {
            text: Secret::new(value.as_bytes().to_vec()),
            version: version.to_string(),
        })
    }

    fn request(&self, method: Method, path: &str) -> Request {
        // Vault's agents refuse requests without it, so that no browser can be made to send one.
        let request = Request::new(method, self.base.join(path)).header("x-vault-request", "true");
        match &self.namespace {
            Some(name) => request.header("x-vault-namespace", name.as_str()),
            None => request,
        }
    }

    fn token(&mut self, outside: &mut dyn Outside) -> Result<Secret<String>, Error> {
        let now = outside.now();
        let copy = |text: &Secret<String>| Secret::new(text.expose().clone());
        match &self.held {
            Some(Token { text, until }) if until.is_none_or(|end| now < end) => {
                return Ok(copy(text))
            }
            _ => (),
        }
        let (mount, body) = match &self.auth {
            Auth::Token(source) => return source.read(outside),
            Auth::AppRole {
                mount,
                role,
                secret,
            } => {
                let (role, secret) = (role.read(outside)?, secret.read(outside)?);
                (
                    mount,
                    object(&[("role_id", role.expose()), ("secret_id", secret.expose())]),
                )
            }
            Auth::Kubernetes { mount, role, jwt } => {
                // Others of the pod may read it, as Kubernetes wants it.
                let jwt = text(outside, jwt, false)?;
                (mount, object(&[("role", role), ("jwt", jwt.expose())]))
            }
        };
        let path = format!("/v1/auth/{}/login", escape_path(mount));
        let token = self.login(&path, &body, outside)?;
        let text = copy(&token.text);
        self.held = Some(token);
        Ok(text)
    }

    fn login(
        &self,
        path: &str,
        body: &Secret<String>,
        outside: &mut dyn Outside,
    ) -> Result<Token, Error> {
        let request = self
            .request(Method::Post, path)
            .header("content-type", "application/json")
            .body(body.expose().as_bytes());
        let json = outside.send(&request)?.json(Step::Login)?;
        let text = json
            .text(&["auth", "client_token"])
            .ok_or(Error::Malformed { step: Step::Login })?;
        let lease = json.number(&["auth", "lease_duration"]).unwrap_or(0);
        Ok(Token {
            text: Secret::new(text.to_string()),
            // Well before its end: a lease of 0 has none.
            until: (lease > 0).then(|| outside.now().saturating_add(lease / 3 * 2)),
        })
    }
}

impl Auth {
    fn new(options: &mut Options) -> Result<Auth, Error> {
        let mount = options.text("auth_mount");
        if let Some(source) = options.source("token") {
            return Ok(Auth::Token(source));
        }
        if let Some(role) = options.source("role_id") {
            return Ok(Auth::AppRole {
                mount: mount.unwrap_or_else(|| "approle".to_string()),
                role,
                secret: options.need("secret_id")?,
            });
        }
        Ok(Auth::Kubernetes {
            mount: mount.unwrap_or_else(|| "kubernetes".to_string()),
            role: options
                .text("role")
                .ok_or(Error::Missing { name: "token" })?,
            jwt: options
                .text("jwt_file")
                .unwrap_or_else(|| POD_TOKEN.to_string()),
        })
    }
}
