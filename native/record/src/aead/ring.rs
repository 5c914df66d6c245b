//! `ring` has calls in place only.

use ring::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};

use super::{Aead, Bound};
use crate::{Error, Suite, TAG};

pub(crate) struct Key(LessSafeKey);

impl Aead for Key {
    fn new(suite: Suite, key: &[u8]) -> Result<Key, Error> {
        let key = UnboundKey::new(algorithm(suite), key).map_err(|_| Error::Crypto)?;
        Ok(Key(LessSafeKey::new(key)))
    }

    fn seal(&self, bound: Bound, body: &mut [u8]) -> Result<(), Error> {
        let (inner, place) = body.split_last_chunk_mut::<TAG>().ok_or(Error::Crypto)?;
        let (nonce, aad) = terms(bound);
        let tag = self.0.seal_in_place_separate_tag(nonce, aad, inner);
        place.copy_from_slice(tag.map_err(|_| Error::Crypto)?.as_ref());
        Ok(())
    }

    fn open<'a>(&self, bound: Bound, body: &'a mut [u8]) -> Result<&'a mut [u8], Error> {
        let (nonce, aad) = terms(bound);
        let opened = self.0.open_in_place(nonce, aad, body);
        opened.map_err(|_| Error::BadRecordMac)
    }
}

fn algorithm(suite: Suite) -> &'static aead::Algorithm {
    match suite {
        Suite::Aes128Gcm => &aead::AES_128_GCM,
        Suite::Aes256Gcm => &aead::AES_256_GCM,
        Suite::ChaCha20Poly1305 => &aead::CHACHA20_POLY1305,
    }
}

fn terms(bound: Bound) -> (Nonce, Aad<[u8; crate::HEADER]>) {
    let nonce = Nonce::assume_unique_for_key(bound.nonce);
    (nonce, Aad::from(bound.header))
}
