//! Who computes: `ring`, or `aws-lc-rs` with the feature `aws-lc`; which cipher suite comes first.

use merlon_record::Suite;
use rustls::crypto::CryptoProvider;
use rustls::{Connection, NamedGroup, SupportedCipherSuite};

#[cfg(feature = "aws-lc")]
use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider, kx_group};
#[cfg(not(feature = "aws-lc"))]
use rustls::crypto::ring::{cipher_suite, default_provider};

const SUITES: [Suite; 3] = [Suite::Aes128Gcm, Suite::Aes256Gcm, Suite::ChaCha20Poly1305];

/// The three suites, the fastest on this processor first: AES only where it is in hardware.
pub fn suites_by_cpu() -> Vec<Suite> {
    suites(has_aes())
}

fn suites(has_aes: bool) -> Vec<Suite> {
    let mut suites = SUITES.to_vec();
    if !has_aes {
        suites.rotate_right(1);
    }
    suites
}

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
fn has_aes() -> bool {
    std::arch::is_x86_feature_detected!("aes") && std::arch::is_x86_feature_detected!("pclmulqdq")
}

#[cfg(target_arch = "aarch64")]
fn has_aes() -> bool {
    std::arch::is_aarch64_feature_detected!("aes")
        && std::arch::is_aarch64_feature_detected!("pmull")
}

#[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
fn has_aes() -> bool {
    false
}

/// Whether a server with these suites goes by its own order instead of the client's: only when AES costs
/// it dear. Otherwise it can do what is best for the client.
pub(crate) fn insists(suites: &[Suite]) -> bool {
    suites.first() == Some(&Suite::ChaCha20Poly1305)
}

/// Who computes for other TLS than ours: HTTPS, to servers that may know no better than TLS 1.2.
pub fn https() -> std::sync::Arc<CryptoProvider> {
    std::sync::Arc::new(default_provider())
}

/// The provider, with these suites.
pub(crate) fn provider(suites: &[Suite]) -> CryptoProvider {
    CryptoProvider {
        cipher_suites: suites.iter().map(|s| rustls_suite(*s)).collect(),
        #[cfg(feature = "aws-lc")]
        kx_groups: vec![
            kx_group::X25519MLKEM768, // holds against recordings for a later quantum computer
            kx_group::X25519,
            kx_group::SECP256R1,
        ],
        ..default_provider()
    }
}

fn rustls_suite(suite: Suite) -> SupportedCipherSuite {
    match suite {
        Suite::Aes128Gcm => cipher_suite::TLS13_AES_128_GCM_SHA256,
        Suite::Aes256Gcm => cipher_suite::TLS13_AES_256_GCM_SHA384,
        Suite::ChaCha20Poly1305 => cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    }
}

/// The record layer's name for the suite that rustls negotiated.
pub(crate) fn record_suite(suite: SupportedCipherSuite) -> Option<Suite> {
    SUITES
        .into_iter()
        .find(|s| rustls_suite(*s).suite() == suite.suite())
}

/// IANA names (RFC 8446 B.4).
pub(crate) fn suite_name(suite: Suite) -> &'static str {
    match suite {
        Suite::Aes128Gcm => "TLS_AES_128_GCM_SHA256",
        Suite::Aes256Gcm => "TLS_AES_256_GCM_SHA384",
        Suite::ChaCha20Poly1305 => "TLS_CHACHA20_POLY1305_SHA256",
    }
}

/// IANA names (RFC 8446 4.2.7) of the groups of either provider.
pub(crate) fn group_name(conn: &Connection) -> &'static str {
    match conn.negotiated_key_exchange_group().map(|g| g.name()) {
        Some(NamedGroup::X25519MLKEM768) => "X25519MLKEM768",
        Some(NamedGroup::X25519) => "x25519",
        Some(NamedGroup::secp256r1) => "secp256r1",
        Some(NamedGroup::secp384r1) => "secp384r1",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Suite::{Aes128Gcm, Aes256Gcm, ChaCha20Poly1305};

    #[test]
    fn aes_comes_first_only_where_it_is_in_hardware() {
        assert_eq!(suites(true), [Aes128Gcm, Aes256Gcm, ChaCha20Poly1305]);
        assert_eq!(suites(false), [ChaCha20Poly1305, Aes128Gcm, Aes256Gcm]);
        assert!(insists(&suites(false)) && !insists(&suites(true)));
        assert!([suites(true), suites(false)].contains(&suites_by_cpu()));
    }

    #[test]
    fn every_suite_is_known_by_both_names() {
        for suite in SUITES {
            assert_eq!(record_suite(rustls_suite(suite)), Some(suite));
        }
    }
}
