//! Catches one connection's traffic secrets (RFC 8446 7.1) as rustls derives them.
//!
//! No other public call of rustls 0.23 gives both the traffic secrets and the exporter
//! (facts/build-and-boot.md 10). A secret lives here only until the record halves are built.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use merlon_secret::Secret;
use rustls::KeyLog;

const CLIENT: &str = "CLIENT_TRAFFIC_SECRET_0";
const SERVER: &str = "SERVER_TRAFFIC_SECRET_0";

/// One application traffic secret.
pub(crate) type Traffic = Secret<Vec<u8>>;

/// The two application traffic secrets of one connection; empty until rustls derives them.
#[derive(Default)]
pub(crate) struct Capture(Mutex<[Option<Traffic>; 2]>);

impl Capture {
    /// Takes both secrets out, client's first: `None` unless both were derived. Works once.
    pub(crate) fn take(&self) -> Option<(Traffic, Traffic)> {
        let [client, server] =
            std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        client.zip(server)
    }
}

impl KeyLog for Capture {
    fn log(&self, label: &str, _client_random: &[u8], secret: &[u8]) {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let [client, server] = &mut *slots;
        match label {
            CLIENT => *client = Some(Secret::new(secret.to_vec())),
            SERVER => *server = Some(Secret::new(secret.to_vec())),
            _ => {}
        }
    }

    fn will_log(&self, label: &str) -> bool {
        matches!(label, CLIENT | SERVER)
    }
}

impl fmt::Debug for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Capture")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_two_traffic_secrets_are_kept_and_only_once() {
        let capture = Capture::default();
        for label in ["EXPORTER_SECRET", "CLIENT_HANDSHAKE_TRAFFIC_SECRET", CLIENT] {
            assert_eq!(capture.will_log(label), label == CLIENT);
            capture.log(label, b"", label.as_bytes());
        }
        assert!(capture.take().is_none(), "half a pair is nothing");
        capture.log(CLIENT, b"", b"c");
        capture.log(SERVER, b"", b"s");
        let (client, server) = capture.take().expect("both derived");
        assert_eq!(
            (&client.expose()[..], &server.expose()[..]),
            (&b"c"[..], &b"s"[..])
        );
        assert!(capture.take().is_none());
    }

    #[test]
    fn debug_output_holds_no_secret() {
        let capture = Capture::default();
        capture.log(CLIENT, b"", b"topsecret");
        assert_eq!(format!("{capture:?}"), "Capture");
    }
}
