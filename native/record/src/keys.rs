use ring::hkdf;
use zeroize::Zeroizing;

use crate::aead::{self, Aead, Bound, NONCE};
use crate::{Error, Suite, HEADER, TAG};

/// One direction's key, IV and sequence number under one traffic secret (RFC 8446 5.3, 7.2, 7.3).
pub(crate) struct Keys {
    suite: Suite,
    secret: Zeroizing<Vec<u8>>,
    key: aead::Key,
    iv: Zeroizing<[u8; NONCE]>,
    sequence: u64,
}

impl Keys {
    pub(crate) fn new(suite: Suite, secret: &[u8]) -> Result<Keys, Error> {
        if secret.len() != suite.hash_len() {
            return Err(Error::BadSecret { len: secret.len() });
        }
        let mut key = Zeroizing::new(vec![0; suite.key_len()]);
        let mut iv = Zeroizing::new([0; NONCE]);
        expand_label(suite, secret, b"key", &mut key)?;
        expand_label(suite, secret, b"iv", iv.as_mut())?;
        Ok(Keys {
            suite,
            secret: Zeroizing::new(secret.to_vec()),
            key: aead::Key::new(suite, &key)?,
            iv,
            sequence: 0,
        })
    }

    /// Moves on to the next traffic secret, and to sequence number 0 (RFC 8446 7.2).
    pub(crate) fn update(&mut self) -> Result<(), Error> {
        let mut next = Zeroizing::new(vec![0; self.suite.hash_len()]);
        expand_label(self.suite, &self.secret, b"traffic upd", &mut next)?;
        *self = Keys::new(self.suite, &next)?;
        Ok(())
    }

    pub(crate) fn suite(&self) -> Suite {
        self.suite
    }

    /// Records sealed or opened under the present key.
    pub(crate) fn used(&self) -> u64 {
        self.sequence
    }

    /// Seals the inner plaintext that lies in `body` already; its last bytes are the tag's.
    pub(crate) fn seal(&mut self, header: [u8; HEADER], body: &mut [u8]) -> Result<(), Error> {
        let bound = self.bind(header)?;
        self.key.seal(bound, body)
    }

    /// Seals `content` and its type from where they are into `body`.
    pub(crate) fn seal_to(
        &mut self,
        header: [u8; HEADER],
        content: &[u8],
        kind: u8,
        body: &mut [u8],
    ) -> Result<(), Error> {
        let bound = self.bind(header)?;
        self.key.seal_to(bound, content, kind, body)
    }

    /// Opens `body` where it lies.
    pub(crate) fn open<'a>(
        &mut self,
        header: [u8; HEADER],
        body: &'a mut [u8],
    ) -> Result<&'a [u8], Error> {
        let bound = self.bind(header)?;
        Ok(self.key.open(bound, body)?)
    }

    /// Opens `body` to the beginning of `dest`. What does not authenticate is not left there.
    pub(crate) fn open_to<'a>(
        &mut self,
        header: [u8; HEADER],
        body: &mut [u8],
        dest: &'a mut [u8],
    ) -> Result<&'a [u8], Error> {
        let bound = self.bind(header)?;
        let len = body.len().checked_sub(TAG).ok_or(Error::BadRecordMac)?;
        let inner = dest.get_mut(..len).ok_or(Error::NoRoom { len })?;
        match self.key.open_to(bound, body, inner) {
            Ok(()) => Ok(inner),
            Err(error) => {
                inner.fill(0);
                Err(error)
            }
        }
    }

    /// Leaves no sequence number.
    #[cfg(test)]
    pub(crate) fn exhaust(&mut self) {
        self.sequence = u64::MAX;
    }

    /// The sequence number, left-padded to the IV's length and XORed with it (RFC 8446 5.3).
    fn bind(&mut self, header: [u8; HEADER]) -> Result<Bound, Error> {
        let sequence = self.sequence;
        self.sequence = sequence.checked_add(1).ok_or(Error::Exhausted)?;
        let mut nonce = *self.iv;
        if !knockout::out!("record_sequence") {
            for (byte, s) in nonce.iter_mut().skip(NONCE - 8).zip(sequence.to_be_bytes()) {
                *byte ^= s;
            }
        }
        Ok(Bound { nonce, header })
    }
}

fn hkdf_algorithm(suite: Suite) -> hkdf::Algorithm {
    match suite {
        Suite::Aes128Gcm | Suite::ChaCha20Poly1305 => hkdf::HKDF_SHA256,
        Suite::Aes256Gcm => hkdf::HKDF_SHA384,
    }
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// HKDF-Expand-Label with an empty context (RFC 8446 7.1).
fn expand_label(suite: Suite, secret: &[u8], label: &[u8], out: &mut [u8]) -> Result<(), Error> {
    let length = u16::try_from(out.len())
        .map_err(|_| Error::Crypto)?
        .to_be_bytes();
    let label_length = u8::try_from(6 + label.len()).map_err(|_| Error::Crypto)?;
    let info: [&[u8]; 5] = [&length, &[label_length], b"tls13 ", label, &[0]];
    hkdf::Prk::new_less_safe(hkdf_algorithm(suite), secret)
        .expand(&info, Length(out.len()))
        .and_then(|okm| okm.fill(out))
        .map_err(|_| Error::Crypto)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(s: &str) -> Vec<u8> {
        let digits: Vec<u8> = s.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits
            .chunks(2)
            .map(|p| u8::from_str_radix(std::str::from_utf8(p).unwrap(), 16).unwrap())
            .collect()
    }

    /// RFC 8448 section 3, "derive write traffic keys for application data", both directions.
    #[test]
    fn keys_of_another_schedule_would_not_interoperate() {
        let cases = [
            (
                "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5",
                "17422dda596ed5d9acd890e3c63f5051",
                "5b78923dee08579033e523d9",
            ),
            (
                "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643",
                "9f02283b6c9c07efc26bb9f2ac92e356",
                "cf782b88dd83549aadf1e984",
            ),
        ];
        for (secret, key, iv) in cases {
            let mut found = [0; 16];
            expand_label(Suite::Aes128Gcm, &hex(secret), b"key", &mut found).unwrap();
            assert_eq!(found.to_vec(), hex(key));
            let keys = Keys::new(Suite::Aes128Gcm, &hex(secret)).unwrap();
            assert_eq!(keys.iv.to_vec(), hex(iv));
        }
    }

    #[test]
    fn a_sequence_number_never_wraps() {
        let mut keys = Keys::new(Suite::ChaCha20Poly1305, &[7; 32]).unwrap();
        keys.exhaust();
        assert_eq!(keys.bind([0; HEADER]).err(), Some(Error::Exhausted));
        assert_eq!(keys.used(), u64::MAX);
    }

    #[test]
    fn a_secret_of_another_hash_is_refused() {
        for (suite, len) in [
            (Suite::Aes256Gcm, 32),
            (Suite::Aes128Gcm, 48),
            (Suite::Aes128Gcm, 0),
        ] {
            let refused = Keys::new(suite, &vec![1; len]).err();
            assert_eq!(refused, Some(Error::BadSecret { len }));
        }
    }
}
