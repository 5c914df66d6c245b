//! Signature Version 4 of AWS ("Signing AWS API requests"), for requests without a query.

use merlon_secret::{Hash, Secret};

use crate::time;

/// Whose signature it is.
pub struct Keys {
    /// The access key's id; not secret.
    pub id: String,
    /// The secret access key.
    pub secret: Secret<String>,
    /// With temporary credentials.
    pub session: Option<Secret<String>>,
}

/// For what the signature is good.
pub struct Scope<'a> {
    /// `eu-central-1`, for example.
    pub region: &'a str,
    /// `secretsmanager`, for example.
    pub service: &'a str,
    /// Seconds since 1970.
    pub now: u64,
}

impl Scope<'_> {
    /// The time as the header `x-amz-date` has it.
    pub fn date(&self) -> String {
        time::basic(self.now)
    }

    fn day(&self) -> String {
        self.date().chars().take(8).collect()
    }

    fn text(&self) -> String {
        format!(
            "{}/{}/{}/aws4_request",
            self.day(),
            self.region,
            self.service
        )
    }
}

/// The header `authorization` of a request. `headers` are all that are signed, names in lower case, `host` and
/// `x-amz-date` among them; `path` is escaped.
pub fn authorization(
    keys: &Keys,
    scope: &Scope,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> String {
    let mut headers = headers.to_vec();
    headers.sort_unstable();
    let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let lines: String = headers
        .iter()
        .map(|(name, value)| format!("{name}:{}\n", value.trim()))
        .collect();
    let canonical = format!("{method}\n{path}\n\n{lines}\n{names}\n{}", hashed(body));
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n{}\n{}\n{}",
        scope.date(),
        scope.text(),
        hashed(canonical.as_bytes())
    );
    let signature = hex(key(keys, scope).hmac_of(to_sign.as_bytes()).as_ref());
    format!(
        "AWS4-HMAC-SHA256 Credential={}/{}, SignedHeaders={names}, Signature={signature}",
        keys.id,
        scope.text()
    )
}

/// A key made of the last one and a word, wiped after its use.
struct Key(merlon_secret::Tag);

impl Key {
    fn hmac_of(&self, data: &[u8]) -> merlon_secret::Tag {
        Hash::Sha256.hmac(self.0.as_ref(), &[data])
    }

    fn next(self, word: &str) -> Key {
        Key(self.hmac_of(word.as_bytes()))
    }
}

fn key(keys: &Keys, scope: &Scope) -> Key {
    let first = Secret::new(format!("AWS4{}", keys.secret.expose()));
    let day = scope.day();
    Key(Hash::Sha256.hmac(first.expose().as_bytes(), &[day.as_bytes()]))
        .next(scope.region)
        .next(scope.service)
        .next("aws4_request")
}

fn hashed(data: &[u8]) -> String {
    hex(Hash::Sha256.digest(data).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
