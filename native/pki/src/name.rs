//! Node names, and identities as SPIFFE URIs.
//!
//! `spiffe://CLUSTER/node/HOST/NAME` is the node `NAME@HOST`; `spiffe://CLUSTER/cli/HOST/USER` a tool of USER on HOST.
//! A path segment may hold only `A-Z a-z 0-9 . _ -` (SPIFFE-ID, section 2.2), so that each other byte of the UTF-8 text
//! is written `_xHH_` (lower hex), a literal `_x` as `_x5f_x`, and the segments `.` and `..` as `_x2e_` and `_x2e_.`.
//! A HOST that is an IPv6 address is written with `-` for `:`; a host that would be mistaken for one gets its first `-`
//! as `_x2d_`. The encoding is injective, and only the canonical form of a URI parses.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
};

use crate::Error;

/// SPIFFE-ID, section 2.3: no URI is longer.
const URI_MAX: usize = 2048;
/// An Erlang atom holds at most 255 characters, the `@` of a node name included.
const NODE_NAME_MAX: usize = 255;

/// The full name of a node: exactly one `@`, text without blanks or control characters on both sides of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NodeName {
    name: String,
    host: String,
}

impl NodeName {
    /// Parses `name@host`. [`Error::BadNodeName`] for anything else.
    pub fn parse(text: &str) -> Result<Self, Error> {
        match Claimed::parse(text.as_bytes())? {
            Claimed::Static(node) => Ok(node),
            Claimed::Dynamic { .. } => Err(Error::BadNodeName),
        }
    }

    /// The part before the `@`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The part after the `@`.
    pub fn host(&self) -> &str {
        &self.host
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.host)
    }
}

/// The name that a peer says it has.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Claimed {
    /// `name@host`.
    Static(NodeName),
    /// `@host`: the peer asks for a name (`-sname undefined`, OTP 23 and later).
    Dynamic {
        /// The host that it says it is on.
        host: String,
    },
}

impl Claimed {
    /// Parses `name@host` or `@host`, UTF-8. [`Error::BadNodeName`] for anything else.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let text = std::str::from_utf8(bytes).map_err(|_| Error::BadNodeName)?;
        let (name, host) = text.split_once('@').ok_or(Error::BadNodeName)?;
        if text.chars().count() > NODE_NAME_MAX || host.is_empty() || !plain(name) || !plain(host) {
            return Err(Error::BadNodeName);
        }
        let host = host.to_owned();
        Ok(match name {
            "" => Self::Dynamic { host },
            _ => Self::Static(NodeName {
                name: name.to_owned(),
                host,
            }),
        })
    }
}

impl fmt::Display for Claimed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Static(node) => node.fmt(f),
            Self::Dynamic { host } => write!(f, "@{host}"),
        }
    }
}

/// Whom a certificate is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Identity {
    /// The node `name@host`.
    Node {
        /// SPIFFE trust domain.
        cluster: String,
        /// Part after the `@`.
        host: String,
        /// Part before the `@`.
        name: String,
    },
    /// The command-line tools of `user` on `host`.
    Cli {
        /// SPIFFE trust domain.
        cluster: String,
        /// Host on which tools may take names.
        host: String,
        /// Who runs them.
        user: String,
    },
    /// Any node on one of these hosts: what a certificate for another carrier says (see [`crate::foreign`]).
    Hosts {
        /// DNS names and addresses.
        hosts: Vec<String>,
    },
}

impl Identity {
    /// The identity of a node. [`Error::BadCluster`], or [`Error::BadIdentity`] if the URI would be too long.
    pub fn node(cluster: &str, node: &NodeName) -> Result<Self, Error> {
        let identity = Self::Node {
            cluster: cluster.to_owned(),
            host: node.host.clone(),
            name: node.name.clone(),
        };
        identity.uri().map(|_| identity)
    }

    /// The identity of a user's tools. [`Error::BadCluster`], or [`Error::BadIdentity`] for a bad host or user.
    pub fn cli(cluster: &str, host: &str, user: &str) -> Result<Self, Error> {
        let identity = Self::Cli {
            cluster: cluster.to_owned(),
            host: host.to_owned(),
            user: user.to_owned(),
        };
        identity.uri().map(|_| identity)
    }

    /// Parses the canonical URI of an identity. [`Error::BadIdentity`] for anything else.
    pub fn parse(uri: &str) -> Result<Self, Error> {
        let identity = Self::decode(uri).ok_or(Error::BadIdentity)?;
        match identity.uri() {
            Ok(again) if again == uri => Ok(identity),
            _ => Err(Error::BadIdentity),
        }
    }

    /// The URI. Fails, like the constructors, on an identity that was put together by hand from bad parts.
    pub fn uri(&self) -> Result<String, Error> {
        let (kind, cluster, host, last) = self.parts();
        check_cluster(cluster)?;
        let label = match self {
            Self::Node { .. } => format!("{last}@{host}").chars().count() <= NODE_NAME_MAX,
            Self::Cli { .. } | Self::Hosts { .. } => true,
        };
        let fit = label && ![host, last].iter().any(|s| s.is_empty() || !plain(s));
        let uri = format!(
            "spiffe://{cluster}/{kind}/{}/{}",
            encode_host(host),
            encode(last)
        );
        if fit && uri.len() <= URI_MAX {
            Ok(uri)
        } else {
            Err(Error::BadIdentity)
        }
    }

    /// The SPIFFE trust domain.
    pub fn cluster(&self) -> &str {
        self.parts().1
    }

    /// The host.
    pub fn host(&self) -> &str {
        self.parts().2
    }

    /// The node's name, if this is a node's identity.
    pub fn node_name(&self) -> Option<NodeName> {
        match self {
            Self::Node { host, name, .. } => Some(NodeName {
                name: name.clone(),
                host: host.clone(),
            }),
            Self::Cli { .. } | Self::Hosts { .. } => None,
        }
    }

    fn parts(&self) -> (&'static str, &str, &str, &str) {
        match self {
            Self::Node {
                cluster,
                host,
                name,
            } => ("node", cluster, host, name),
            Self::Cli {
                cluster,
                host,
                user,
            } => ("cli", cluster, host, user),
            // Of no cluster, so that it has no URI and is nobody where a cluster counts.
            Self::Hosts { hosts } => ("hosts", "", hosts.first().map_or("", String::as_str), ""),
        }
    }

    /// What a URI says; its canonical form is the caller's business.
    fn decode(uri: &str) -> Option<Self> {
        let mut parts = uri.strip_prefix("spiffe://")?.split('/');
        let (cluster, kind, host, last) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let (cluster, host, last) = (cluster.to_owned(), decode_host(host)?, decode(last)?);
        match (kind, parts.next()) {
            ("node", None) => Some(Self::Node {
                cluster,
                host,
                name: last,
            }),
            ("cli", None) => Some(Self::Cli {
                cluster,
                host,
                user: last,
            }),
            _ => None,
        }
    }
}

impl fmt::Display for Identity {
    /// For people: `node a@b of CLUSTER`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Hosts { hosts } = self {
            return write!(f, "any node of {}", hosts.join(", "));
        }
        let (kind, cluster, host, last) = self.parts();
        write!(f, "{kind} {last}@{host} of {cluster}")
    }
}

/// [`Error::BadCluster`] unless the name is a SPIFFE trust domain: `[a-z0-9._-]{1,255}`.
pub fn check_cluster(cluster: &str) -> Result<(), Error> {
    let fit = cluster
        .bytes()
        .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'));
    if fit && (1..=255).contains(&cluster.len()) {
        Ok(())
    } else {
        Err(Error::BadCluster)
    }
}

/// The URI of a CA: just the trust domain.
pub(crate) fn cluster_uri(cluster: &str) -> String {
    format!("spiffe://{cluster}")
}

/// Text that may stand in a node name and in a log line.
fn plain(text: &str) -> bool {
    !text
        .chars()
        .any(|c| c == '@' || c.is_control() || c.is_whitespace())
}

fn encode(segment: &str) -> String {
    let mut out = String::with_capacity(segment.len());
    let mut bytes = segment.bytes().peekable();
    while let Some(b) = bytes.next() {
        let lone_dots = out.is_empty() && matches!(segment, "." | "..");
        let escape_like = b == b'_' && bytes.peek() == Some(&b'x');
        let stands = b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if stands && !escape_like && !lone_dots {
            out.push(char::from(b));
        } else {
            out.push_str(&format!("_x{b:02x}_"));
        }
    }
    out
}

fn decode(segment: &str) -> Option<String> {
    let mut out = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = match rest {
            [b'_', b'x', high, low, b'_', after @ ..] => {
                out.push(hex(*high)? << 4 | hex(*low)?);
                after
            }
            [b'_', b'x', ..] => return None,
            _ => {
                out.push(first);
                tail
            }
        };
    }
    String::from_utf8(out).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|d| u8::try_from(d).ok())
}

fn encode_host(host: &str) -> String {
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V6(_)) => host.replace(':', "-"),
        _ if as_ipv6(host).is_some() => match host.split_once('-') {
            Some((head, tail)) => format!("{}_x2d_{}", encode(head), encode(tail)),
            None => encode(host),
        },
        _ => encode(host),
    }
}

fn decode_host(segment: &str) -> Option<String> {
    as_ipv6(segment).or_else(|| decode(segment))
}

/// The IPv6 address that a host means if its `-` are read as `:`.
fn as_ipv6(host: &str) -> Option<String> {
    let text = host.replace('-', ":");
    text.parse::<Ipv6Addr>().is_ok().then_some(text)
}
