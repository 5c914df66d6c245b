//! Peers of another carrier, OTP's `inet_tls`: their certificates name a host at most, so that any node of that host may show
//! them. One that carries a SPIFFE URI of the cluster is for that node alone, here as everywhere.

use std::net::IpAddr;

use x509_cert::ext::pkix::name::GeneralName;

use crate::{bind, inspect::ip_addr, x509::Cert, BindRules, Claimed, Error, Identity};

/// Whether a peer with this certificate may call itself that: [`Error::WrongName`] if not. Names are compared whole, without
/// regard to case; a wildcard is for no host.
pub fn binds_foreign(
    identity: &Identity,
    claimed: &Claimed,
    rules: &BindRules,
) -> Result<(), Error> {
    let Identity::Hosts { hosts } = identity else {
        return bind::binds(identity, claimed, rules);
    };
    let host = match claimed {
        Claimed::Static(node) => node.host(),
        Claimed::Dynamic { host } => host,
    };
    if hosts.iter().any(|named| same(named, host)) || knockout::out!("foreign_host") {
        return Ok(());
    }
    Err(Error::WrongName {
        certified: identity.to_string(),
        claimed: claimed.to_string(),
    })
}

fn same(named: &str, host: &str) -> bool {
    match (named.parse::<IpAddr>(), host.parse::<IpAddr>()) {
        (Ok(named), Ok(host)) => named == host,
        (Err(_), Err(_)) => named.eq_ignore_ascii_case(host),
        _ => false,
    }
}

/// The hosts that a certificate without SPIFFE URI is for: [`Error::NoIdentity`] if it names none. The subject does not count
/// (RFC 9525, 2).
pub(crate) fn hosts(cert: &Cert) -> Result<Identity, Error> {
    let hosts: Vec<String> = cert.names.iter().filter_map(host).collect();
    match hosts.is_empty() {
        true => Err(Error::NoIdentity),
        false => Ok(Identity::Hosts { hosts }),
    }
}

/// What can't stand in a log line is no host.
fn host(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(dns) => {
            let dns = dns.as_str();
            let fit = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
            (!dns.is_empty() && dns.bytes().all(fit)).then(|| dns.to_owned())
        }
        GeneralName::IpAddress(ip) => ip_addr(ip.as_bytes()).map(|ip| ip.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(hosts: &[&str], claimed: &str) -> bool {
        let hosts = hosts.iter().map(|h| (*h).to_owned()).collect();
        let claimed = Claimed::parse(claimed.as_bytes()).unwrap();
        let rules = BindRules::default();
        binds_foreign(&Identity::Hosts { hosts }, &claimed, &rules).is_ok()
    }

    #[test]
    fn a_certificate_of_a_host_is_for_nodes_of_that_host() {
        assert!(verdict(&["db.example", "10.0.0.1"], "a@db.example"));
        assert!(verdict(&["db.example"], "b@DB.example"));
        assert!(verdict(&["db.example", "10.0.0.1"], "a@10.0.0.1"));
        assert!(verdict(&["::1"], "a@0:0:0:0:0:0:0:1"));
        assert!(verdict(&["db.example"], "@db.example"));
    }

    #[test]
    fn knockout_foreign_host_another_host_is_refused() {
        for other in [
            "a@db2.example",
            "a@db",
            "a@x.db.example",
            "a@10.0.0.1",
            "@other",
        ] {
            assert!(!verdict(&["db.example"], other), "{other}");
        }
        assert!(!verdict(&["*.example"], "a@db.example"));
    }

    #[test]
    fn a_certificate_of_a_host_is_nobody_over_merlon() {
        let hosts = vec!["db.example".to_owned()];
        let identity = Identity::Hosts { hosts };
        let claimed = Claimed::parse(b"a@db.example").unwrap();
        let verdict = bind::binds(&identity, &claimed, &BindRules::default());
        assert_eq!(verdict, Err(Error::NoIdentity));
        assert!(identity.uri().is_err());
    }
}
