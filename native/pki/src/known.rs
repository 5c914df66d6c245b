//! Signatures that were found good before. Whether a key has made a signature over some bytes never changes, and finding it
//! out is the dearest part of judging a chain: of what a peer shows again it is not found out again.
//!
//! Nothing else of a verdict is kept. Which anchors there are, time, revocation, usage and names are looked at each time.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ring::digest::{Context, SHA256};
use rustls_pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm};
use webpki::ALL_VERIFICATION_ALGS;

/// Of 32 bytes each. Only who was signed for by a CA in trust/, in its time or not, gets in here; when it is full all are forgotten.
const KNOWN_MAX: usize = 1024;

/// SHA-256 of algorithm, key, bytes and signature.
type Name = [u8; 32];

/// The good signatures that one verifier has seen. No failure is kept.
#[derive(Debug, Default)]
pub(crate) struct Known(Mutex<BTreeSet<Name>>);

impl Known {
    /// webpki's algorithms, each of which looks here first.
    pub(crate) fn algorithms(&self) -> Vec<Remembering<'_>> {
        let known = |algorithm: &&'static dyn SignatureVerificationAlgorithm| Remembering {
            algorithm: *algorithm,
            known: self,
        };
        ALL_VERIFICATION_ALGS.iter().map(known).collect()
    }

    fn has(&self, name: &Name) -> bool {
        self.names().contains(name)
    }

    fn add(&self, name: Name) {
        let mut names = self.names();
        if names.len() >= KNOWN_MAX {
            names.clear();
        }
        names.insert(name);
    }

    fn names(&self) -> MutexGuard<'_, BTreeSet<Name>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An algorithm that computes nothing twice.
#[derive(Debug)]
pub(crate) struct Remembering<'a> {
    algorithm: &'a dyn SignatureVerificationAlgorithm,
    known: &'a Known,
}

impl SignatureVerificationAlgorithm for Remembering<'_> {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let name = name(self.algorithm, [public_key, message, signature]);
        if self.known.has(&name) {
            return Ok(());
        }
        self.algorithm
            .verify_signature(public_key, message, signature)?;
        self.known.add(name);
        Ok(())
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.algorithm.public_key_alg_id()
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.algorithm.signature_alg_id()
    }
}

/// Each part with its length, so that none can stand for a piece of another.
fn name(algorithm: &dyn SignatureVerificationAlgorithm, parts: [&[u8]; 3]) -> Name {
    let ids = [algorithm.public_key_alg_id(), algorithm.signature_alg_id()];
    let [key, message, signature] = parts;
    let message = match knockout::out!("known_signature") {
        true => &[],
        false => message,
    };
    let mut digest = Context::new(&SHA256);
    let all = ids
        .iter()
        .map(AsRef::as_ref)
        .chain([key, message, signature]);
    for part in all {
        digest.update(&(part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    let mut name = [0; 32];
    name.copy_from_slice(digest.finish().as_ref());
    name
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Good is what begins with the key; counts how often it was asked.
    #[derive(Debug, Default)]
    struct Counting(AtomicUsize);

    impl SignatureVerificationAlgorithm for Counting {
        fn verify_signature(
            &self,
            key: &[u8],
            _: &[u8],
            signature: &[u8],
        ) -> Result<(), InvalidSignature> {
            self.0.fetch_add(1, Ordering::Relaxed);
            match signature.starts_with(key) {
                true => Ok(()),
                false => Err(InvalidSignature),
            }
        }

        fn public_key_alg_id(&self) -> AlgorithmIdentifier {
            AlgorithmIdentifier::from_slice(b"key")
        }

        fn signature_alg_id(&self) -> AlgorithmIdentifier {
            AlgorithmIdentifier::from_slice(b"signature")
        }
    }

    fn asked(known: &Known, parts: [&[u8]; 3]) -> (bool, usize) {
        let counting = Counting::default();
        let remembering = Remembering {
            algorithm: &counting,
            known,
        };
        let [key, message, signature] = parts;
        let good = remembering
            .verify_signature(key, message, signature)
            .is_ok();
        (good, counting.0.into_inner())
    }

    #[test]
    fn a_good_signature_is_computed_once() {
        let known = Known::default();
        assert_eq!(asked(&known, [b"k", b"m", b"ks"]), (true, 1));
        assert_eq!(asked(&known, [b"k", b"m", b"ks"]), (true, 0));
    }

    #[test]
    fn a_known_one_vouches_for_no_other_key_bytes_or_signature() {
        let known = Known::default();
        assert_eq!(asked(&known, [b"k", b"m", b"ks"]), (true, 1));
        for other in [
            [b"k".as_slice(), b"other", b"ks"],
            [b"k", b"m", b"kt"],
            [b"", b"m", b"ks"],
            [b"", b"km", b"ks"],
            [b"k", b"mk", b"s"],
        ] {
            assert_eq!(asked(&known, other).1, 1, "{other:?}");
        }
    }

    #[test]
    fn a_bad_one_is_never_kept() {
        let known = Known::default();
        for _ in 0..3 {
            assert_eq!(asked(&known, [b"k", b"m", b"bad"]), (false, 1));
        }
        assert!(known.names().is_empty());
    }

    #[test]
    fn there_are_never_more_than_fit() {
        let known = Known::default();
        for n in 0..3 * KNOWN_MAX {
            asked(&known, [b"", &n.to_be_bytes(), b""]);
            assert!(known.names().len() <= KNOWN_MAX);
        }
    }
}
