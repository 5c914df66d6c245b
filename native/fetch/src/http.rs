//! One HTTP request: no redirection followed, no proxy, nothing kept open, and an end in time and size.

use crate::file::{read, up_to, why, Guard};
use merlon_secret::Secret;
use merlon_store::{Error, Method, Request, Response};
use std::time::{Duration, Instant};
use ureq::http;
use ureq::tls::{parse_pem, Certificate, PemItem, RootCerts, TlsConfig};
use ureq::{Agent, Body};

/// Bytes of a body.
const MAX_BODY: usize = 1024 * 1024;
const MAX_HEAD: usize = 32 * 1024;
const CONNECT: Duration = Duration::from_secs(5);
/// All certificates of a file.
const MAX_ROOTS: usize = 4 * 1024 * 1024;

/// Where the systems have the roots that they trust, in one file each.
const SYSTEM_ROOTS: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/usr/local/share/certs/ca-root-nss.crt",
];

/// The answer, if it comes before the deadline.
pub fn send(request: &Request, deadline: Instant, ca: Option<&str>) -> Result<Response, Error> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(Error::Timeout);
    }
    let roots = match request.url.starts_with("https:") {
        true => roots(ca)?,
        false => Vec::new(),
    };
    let response = ask(&agent(left, roots), request).map_err(|error| fault(&error))?;
    let status = response.status().as_u16();
    if (300..400).contains(&status) {
        return Err(Error::Redirected);
    }
    let body = body(response.into_body())?;
    Ok(Response { status, body })
}

fn agent(left: Duration, roots: Vec<Certificate<'static>>) -> Agent {
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::from(roots))
        .unversioned_rustls_crypto_provider(merlon_tls::https())
        .build();
    Agent::config_builder()
        .tls_config(tls)
        // Neither what the environment says of proxies.
        .proxy(None)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .timeout_global(Some(left))
        .timeout_connect(Some(CONNECT.min(left)))
        .max_idle_connections(0)
        .max_response_header_size(MAX_HEAD)
        .user_agent("merlon")
        .build()
        .new_agent()
}

fn ask(agent: &Agent, request: &Request) -> Result<http::Response<Body>, ureq::Error> {
    let method = match request.method {
        Method::Get => http::Method::GET,
        Method::Post => http::Method::POST,
        Method::Put => http::Method::PUT,
    };
    let mut builder = http::Request::builder().method(method).uri(&request.url);
    for (name, value) in &request.headers {
        let mut value = http::HeaderValue::from_str(value.expose()).map_err(http::Error::from)?;
        value.set_sensitive(true);
        builder = builder.header(*name, value);
    }
    match request.method {
        Method::Get => agent.run(builder.body(())?),
        _ => agent.run(builder.body(request.body.expose().as_slice())?),
    }
}

fn body(body: Body) -> Result<Secret<Vec<u8>>, Error> {
    let bytes = up_to(body.into_reader(), MAX_BODY).map_err(|error| unread(&error))?;
    match bytes.expose().len() > MAX_BODY {
        true => Err(Error::TooLarge),
        false => Ok(bytes),
    }
}

fn roots(ca: Option<&str>) -> Result<Vec<Certificate<'static>>, Error> {
    let path = match ca {
        Some(path) => path,
        None => SYSTEM_ROOTS
            .into_iter()
            .find(|path| std::fs::metadata(path).is_ok_and(|info| info.is_file()))
            .ok_or(Error::Tls { why: "no_roots" })?,
    };
    let text = read(path, Guard::Anyone, MAX_ROOTS)?;
    let certificate = |item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    };
    let roots: Vec<_> = parse_pem(text.expose()).filter_map(certificate).collect();
    match roots.is_empty() {
        true => Err(Error::File {
            path: path.to_string(),
            why: "no_certificate",
        }),
        false => Ok(roots),
    }
}

fn fault(error: &ureq::Error) -> Error {
    match error {
        ureq::Error::Timeout(_) => Error::Timeout,
        ureq::Error::HostNotFound => Error::HostNotFound,
        ureq::Error::ConnectionFailed => Error::Connect { why: "eio" },
        ureq::Error::RedirectFailed | ureq::Error::TooManyRedirects => Error::Redirected,
        ureq::Error::LargeResponseHeader(..) => Error::TooLarge,
        ureq::Error::Io(error) => unread(error),
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) => Error::Tls {
            why: tls(&error.to_string()),
        },
        _ => Error::NotHttp,
    }
}

fn unread(error: &std::io::Error) -> Error {
    use std::io::ErrorKind as Kind;
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<ureq::Error>());
    match (inner, error.kind()) {
        (Some(inner), _) if !matches!(inner, ureq::Error::Io(_)) => fault(inner),
        (_, Kind::TimedOut | Kind::WouldBlock) => Error::Timeout,
        (_, Kind::InvalidData | Kind::InvalidInput) => Error::Tls {
            why: tls(&error.to_string()),
        },
        // The resolver has no kind of its own for it.
        _ if error.to_string().contains("lookup address") => Error::HostNotFound,
        _ => Error::Connect { why: why(error) },
    }
}

/// What rustls says of a handshake, as one of a few words.
fn tls(said: &str) -> &'static str {
    const KNOWN: [(&str, &str); 7] = [
        ("UnknownIssuer", "unknown_issuer"),
        ("NotValidForName", "wrong_name"),
        ("not valid for name", "wrong_name"),
        ("xpired", "expired"),
        ("NotValidYet", "not_yet_valid"),
        ("corrupt message", "no_tls"),
        // After all that has words of its own.
        ("invalid peer certificate", "bad_certificate"),
    ];
    let found = KNOWN.iter().find(|(words, _)| said.contains(words));
    found.map_or("handshake", |(_, why)| why)
}

#[cfg(test)]
mod tests {
    use super::tls;

    #[test]
    fn a_certificate_that_is_refused_is_not_taken_for_no_tls() {
        let said = |why| tls(&format!("rustls: invalid peer certificate: {why}"));
        assert_eq!(said("UnknownIssuer"), "unknown_issuer");
        assert_eq!(said("NotValidForName"), "wrong_name");
        // One that its own server has signed, and one without names but in its subject.
        let self_signed = "Other(OtherError(CaUsedAsEndEntity))";
        assert_eq!(said(self_signed), "bad_certificate");
        assert_eq!(said("UnsupportedCertVersion"), "bad_certificate");
        assert_eq!(
            tls("peer sent a fatal alert: HandshakeFailure"),
            "handshake"
        );
    }
}
