//! Addresses of servers, and what may stand in their paths.

use std::net::IpAddr;

use crate::Error;

/// Who may be asked in the clear.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clear {
    /// This machine alone.
    Loopback,
    /// The clouds' metadata servers too, which speak nothing else: they are on the machine's own wire.
    Metadata,
}

/// `SCHEME://HOST[:PORT][/PATH]`, without the slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Base {
    text: String,
    host_at: usize,
    path_at: usize,
}

impl Base {
    /// A checked address; `name` is the option that it comes from.
    pub fn parse(text: &str, name: &'static str, clear: Clear) -> Result<Base, Error> {
        let bad = Error::BadUrl { name };
        let text = text.trim_end_matches('/').to_string();
        let (scheme, rest) = text.split_once("://").ok_or_else(|| bad.clone())?;
        let authority = rest.split('/').next().unwrap_or_default();
        let host = host(authority).ok_or_else(|| bad.clone())?;
        if !text.bytes().all(allowed) {
            return Err(bad);
        }
        match scheme {
            "https" => (),
            "http" if in_the_clear(host, clear) => (),
            "http" if knockout::out!("plaintext") => (),
            "http" => return Err(Error::Plaintext { name }),
            _ => return Err(bad),
        }
        let host_at = scheme.len() + 3;
        let path_at = host_at + authority.len();
        Ok(Base {
            text,
            host_at,
            path_at,
        })
    }

    /// The address with this behind it.
    pub fn join(&self, path: &str) -> String {
        format!("{}{path}", self.text)
    }

    /// As the header `host` has it.
    pub fn authority(&self) -> &str {
        self.text
            .get(self.host_at..self.path_at)
            .unwrap_or_default()
    }

    /// What is behind the host.
    pub fn path(&self) -> &str {
        self.text.get(self.path_at..).unwrap_or_default()
    }
}

/// No user, no query, no fragment, nothing that would have to be escaped.
fn allowed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:/[]%".contains(&byte)
}

/// The host of `HOST[:PORT]`, an IPv6 address without its brackets.
fn host(authority: &str) -> Option<&str> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => match authority.find(':') {
            Some(at) => authority.split_at(at),
            None => (authority, ""),
        },
    };
    let good_port = port.is_empty() || port.strip_prefix(':')?.parse::<u16>().is_ok();
    (good_port && !host.is_empty()).then_some(host)
}

fn in_the_clear(host: &str, clear: Clear) -> bool {
    const METADATA: [&str; 3] = [
        "169.254.169.254",
        "fd00:ec2::254",
        "metadata.google.internal",
    ];
    let loopback = host == "localhost"
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback());
    loopback || (clear == Clear::Metadata && METADATA.contains(&host))
}

/// As one part of a path, or as the value of a form's field.
pub(crate) fn escape(text: &str) -> String {
    escape_but(text, b"-._~")
}

/// As a path: slashes part it.
pub(crate) fn escape_path(text: &str) -> String {
    escape_but(text.trim_matches('/'), b"-._~/")
}

fn escape_but(text: &str, plain: &[u8]) -> String {
    text.bytes()
        .map(|byte| match byte {
            _ if byte.is_ascii_alphanumeric() || plain.contains(&byte) => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Base, Error> {
        Base::parse(text, "url", Clear::Loopback)
    }

    #[test]
    fn addresses_are_taken_apart() {
        let base = parse("https://vault.example:8200/here/").unwrap();
        assert_eq!(base.authority(), "vault.example:8200");
        assert_eq!(base.path(), "/here");
        assert_eq!(base.join("/v1"), "https://vault.example:8200/here/v1");
        assert_eq!(
            parse("https://[2001:db8::1]:1").unwrap().authority(),
            "[2001:db8::1]:1"
        );
    }

    /// Turns red with `MERLON_KNOCKOUT=plaintext`.
    #[test]
    fn knockout_plaintext_nothing_goes_to_another_machine_in_the_clear() {
        let refused = Err(Error::Plaintext { name: "url" });
        for far in [
            "http://vault",
            "http://10.0.0.1:8200",
            "http://127.0.0.1.evil.example",
            "http://localhost.evil.example",
            "http://169.254.169.254",
        ] {
            assert_eq!(parse(far), refused, "{far}");
        }
        assert!(Base::parse("http://10.1.1.1", "metadata", Clear::Metadata).is_err());
    }

    #[test]
    fn loopback_and_the_metadata_servers_are_asked_in_the_clear() {
        for near in [
            "http://127.0.0.1:8200",
            "http://localhost",
            "http://[::1]:8200",
        ] {
            assert!(parse(near).is_ok(), "{near}");
        }
        assert!(Base::parse("http://169.254.169.254", "metadata", Clear::Metadata).is_ok());
        assert!(Base::parse(
            "http://metadata.google.internal",
            "metadata",
            Clear::Metadata
        )
        .is_ok());
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for bad in [
            "",
            "vault",
            "ftp://a",
            "https://",
            "https://user@host",
            "https://a:b",
            "https://a?x=1",
            "https://a#b",
            "https://a\r\nx: y",
            "https://[::1",
            "https://a:70000",
        ] {
            assert_eq!(parse(bad), Err(Error::BadUrl { name: "url" }), "{bad}");
        }
    }

    #[test]
    fn paths_are_escaped() {
        assert_eq!(escape_path("/a b/c%/ü/"), "a%20b/c%25/%C3%BC");
        assert_eq!(escape("a/b:c"), "a%2Fb%3Ac");
    }
}
