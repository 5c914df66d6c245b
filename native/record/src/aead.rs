//! The AEAD behind one trait: `ring`, or `aws-lc-rs` with the feature `aws-lc`.

#[cfg(feature = "aws-lc")]
mod aws_lc;
#[cfg(any(test, not(feature = "aws-lc")))]
mod ring;

use crate::{Error, Suite, HEADER, TAG};

#[cfg(feature = "aws-lc")]
pub(crate) use self::aws_lc::Key;
#[cfg(not(feature = "aws-lc"))]
pub(crate) use self::ring::Key;

/// Bytes of every suite's nonce.
pub(crate) const NONCE: usize = 12;

/// What must never be the same twice under one key, and what is authenticated but not sealed.
#[derive(Clone, Copy)]
pub(crate) struct Bound {
    pub nonce: [u8; NONCE],
    pub header: [u8; HEADER],
}

/// One suite under one key. A record's `body` is its inner plaintext, sealed, and the tag.
///
/// The out-of-place forms here work in place and copy once, for libraries that have nothing better.
pub(crate) trait Aead: Sized {
    fn new(suite: Suite, key: &[u8]) -> Result<Self, Error>;

    /// Seals the inner plaintext that lies in `body` already, and puts the tag into the rest.
    fn seal(&self, bound: Bound, body: &mut [u8]) -> Result<(), Error>;

    /// Opens `body` where it lies: the inner plaintext.
    fn open<'a>(&self, bound: Bound, body: &'a mut [u8]) -> Result<&'a mut [u8], Error>;

    /// Seals `content` and its type into `body`, which is as long as that and the tag.
    fn seal_to(
        &self,
        bound: Bound,
        content: &[u8],
        kind: u8,
        body: &mut [u8],
    ) -> Result<(), Error> {
        let (place, end) = split_body(body, content.len())?;
        place.copy_from_slice(content);
        *end.first_mut().ok_or(Error::Crypto)? = kind;
        self.seal(bound, body)
    }

    /// Opens `body` into `inner`, which is shorter by the tag. `body` is then of no more use.
    fn open_to(&self, bound: Bound, body: &mut [u8], inner: &mut [u8]) -> Result<(), Error> {
        inner.copy_from_slice(self.open(bound, body)?);
        Ok(())
    }
}

/// A body's place for `len` bytes of content, and that for type byte and tag.
fn split_body(body: &mut [u8], len: usize) -> Result<(&mut [u8], &mut [u8]), Error> {
    let parts = body.split_at_mut_checked(len);
    parts
        .filter(|(_, end)| end.len() == 1 + TAG)
        .ok_or(Error::Crypto)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Bound = Bound {
        nonce: [5; NONCE],
        header: [23, 3, 3, 1, 2],
    };
    const SUITES: [(Suite, usize); 3] = [
        (Suite::Aes128Gcm, 16),
        (Suite::Aes256Gcm, 32),
        (Suite::ChaCha20Poly1305, 32),
    ];

    /// `content` sealed by both forms, which must agree.
    fn sealed<A: Aead>(suite: Suite, key: &[u8], content: &[u8]) -> Vec<u8> {
        let aead = A::new(suite, key).unwrap();
        let mut apart = vec![0xAA; content.len() + 1 + TAG];
        aead.seal_to(BOUND, content, 23, &mut apart).unwrap();
        let mut in_place = [content, &[23], &[0xAA; TAG]].concat();
        aead.seal(BOUND, &mut in_place).unwrap();
        assert_eq!(apart, in_place);
        apart
    }

    /// The inner plaintext of `body` by both forms, which must agree.
    fn opened<A: Aead>(suite: Suite, key: &[u8], body: &[u8]) -> Result<Vec<u8>, Error> {
        let aead = A::new(suite, key)?;
        let mut inner = vec![0xAA; body.len() - TAG];
        let apart = aead.open_to(BOUND, &mut body.to_vec(), &mut inner);
        let mut body = body.to_vec();
        let in_place = aead.open(BOUND, &mut body).map(|inner| inner.to_vec());
        assert_eq!(apart.map(|()| inner), in_place);
        in_place
    }

    fn agree<A: Aead, B: Aead>() {
        for (suite, key_len) in SUITES {
            let key: Vec<u8> = (0..key_len as u8).collect();
            for len in [0, 1, 14, 15, 16, 17, 255, 256, 4000, 16_384] {
                let content: Vec<u8> = (0..len).map(|i| i as u8).collect();
                let mut body = sealed::<A>(suite, &key, &content);
                assert_eq!(body, sealed::<B>(suite, &key, &content), "{suite:?} {len}");
                let inner = [&content[..], &[23]].concat();
                assert_eq!(opened::<A>(suite, &key, &body), Ok(inner));
                body[len as usize / 2] ^= 1;
                assert_eq!(opened::<A>(suite, &key, &body), Err(Error::BadRecordMac));
            }
        }
    }

    #[test]
    fn ring_in_place_and_apart_agree() {
        agree::<self::ring::Key, self::ring::Key>();
    }

    #[cfg(feature = "aws-lc")]
    #[test]
    fn aws_lc_and_ring_agree_in_place_and_apart() {
        agree::<aws_lc::Key, self::ring::Key>();
        agree::<self::ring::Key, aws_lc::Key>();
    }

    #[test]
    fn a_body_of_another_length_than_its_content_asks_for_is_not_sealed() {
        let aead = Key::new(Suite::Aes128Gcm, &[1; 16]).unwrap();
        for len in [0, 3, 3 + TAG, 5 + TAG] {
            let refused = aead.seal_to(BOUND, b"abc", 23, &mut vec![0; len]);
            assert_eq!(refused, Err(Error::Crypto), "{len}");
        }
        assert!(Key::new(Suite::Aes128Gcm, &[1; 15]).is_err());
    }
}
