//! A sealer of records that `Tx` would never make: any inner plaintext, under a key schedule of its own.
//! Shared with the fuzz targets in `native/dev`.

use merlon_record::Suite;
use ring::{aead, hmac};

pub struct Forge {
    suite: Suite,
    secret: Vec<u8>,
    sequence: u64,
}

impl Forge {
    pub fn new(suite: Suite, secret: &[u8]) -> Forge {
        Forge {
            suite,
            secret: secret.to_vec(),
            sequence: 0,
        }
    }

    /// A well-formed record.
    pub fn record(&mut self, kind: u8, fragment: &[u8]) -> Vec<u8> {
        self.inner(&[fragment, &[kind]].concat())
    }

    /// A record of any inner plaintext: fragment, content type, padding, or none of these.
    pub fn inner(&mut self, inner: &[u8]) -> Vec<u8> {
        let (high, low) = (((inner.len() + 16) >> 8) as u8, (inner.len() + 16) as u8);
        let header = [23, 3, 3, high, low];
        let mut body = inner.to_vec();
        let key = aead::UnboundKey::new(self.aead(), &self.expand(b"key", self.aead().key_len()))
            .unwrap();
        let nonce = aead::Nonce::assume_unique_for_key(self.nonce());
        let key = aead::LessSafeKey::new(key);
        key.seal_in_place_append_tag(nonce, aead::Aad::from(header), &mut body)
            .unwrap();
        self.sequence += 1;
        [&header[..], &body].concat()
    }

    /// Moves on to the next key, as after a KeyUpdate.
    pub fn update(&mut self) {
        self.secret = self.expand(b"traffic upd", self.secret.len());
        self.sequence = 0;
    }

    fn aead(&self) -> &'static aead::Algorithm {
        match self.suite {
            Suite::Aes128Gcm => &aead::AES_128_GCM,
            Suite::Aes256Gcm => &aead::AES_256_GCM,
            Suite::ChaCha20Poly1305 => &aead::CHACHA20_POLY1305,
        }
    }

    fn nonce(&self) -> [u8; 12] {
        let padded = u128::from(if knockout::out!("record_sequence") {
            0
        } else {
            self.sequence
        });
        let iv = self.expand(b"iv", 12);
        std::array::from_fn(|i| iv[i] ^ padded.to_be_bytes()[i + 4])
    }

    /// HKDF-Expand-Label by hand: one block of HMAC is always enough here.
    fn expand(&self, label: &[u8], len: usize) -> Vec<u8> {
        let hash = match self.suite {
            Suite::Aes256Gcm => hmac::HMAC_SHA384,
            _ => hmac::HMAC_SHA256,
        };
        let label_len = 6 + label.len() as u8;
        let info = [&[0, len as u8, label_len], &b"tls13 "[..], label, &[0, 1]].concat();
        hmac::sign(&hmac::Key::new(hash, &self.secret), &info).as_ref()[..len].to_vec()
    }
}
