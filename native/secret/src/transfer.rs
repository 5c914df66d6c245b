use ring::aead::{Aad, LessSafeKey, Nonce, Tag, UnboundKey, CHACHA20_POLY1305};

use crate::{Entry, Error, KeyId, Root, Secret};

const VERSION: u8 = 1;
const SALT_LEN: usize = 16;
const HEAD_LEN: usize = 1 + 8 + SALT_LEN;
const TAG_LEN: usize = 16;
const NONCE_LEN: usize = 32;

/// One entry's secret on its way from one node to another, which has asked for it.
///
/// It is sealed by ChaCha20-Poly1305 (RFC 8439) under a key of its own, from the root of an entry that both nodes accept:
/// HKDF-Expand with the label `merlon/1 entry transfer`, both nodes' names, the nonce of the request and a salt of the
/// answer. So it opens at that node alone, for that request alone, once the asker forgets its nonce.
///
/// ```text
/// version 1 | id of the entry that both hold 8 | salt 16 | sealed secret 32 | tag 16
/// ```
pub struct Transfer<'a> {
    /// The full name of the node that gives.
    pub from: &'a [u8],
    /// The full name of the node that has asked.
    pub to: &'a [u8],
    /// Random bytes of the asker, for this request alone.
    pub nonce: &'a [u8; NONCE_LEN],
    /// The entry that was asked for.
    pub id: KeyId,
}

impl Transfer<'_> {
    /// Bytes of the asker's nonce.
    pub const NONCE_LEN: usize = NONCE_LEN;
    /// Bytes of the giver's salt.
    pub const SALT_LEN: usize = SALT_LEN;
    /// Bytes of what is sent, always.
    pub const LEN: usize = HEAD_LEN + Entry::SECRET_LEN + TAG_LEN;

    /// Seals `secret` under `root`. A `salt` must not be used twice with one nonce.
    ///
    /// # Errors
    /// [`Error::BadTransfer`] when `secret` is not that of the entry asked for.
    pub fn seal(
        &self,
        root: &Root,
        salt: &[u8; SALT_LEN],
        secret: &[u8; Entry::SECRET_LEN],
    ) -> Result<Vec<u8>, Error> {
        self.check(secret)?;
        let mut sealed = Vec::with_capacity(Self::LEN);
        sealed.push(VERSION);
        sealed.extend_from_slice(&root.key_id().0);
        sealed.extend_from_slice(salt);
        let aad = self.associated(&sealed);
        sealed.extend_from_slice(secret);
        let body = sealed.get_mut(HEAD_LEN..).unwrap_or_default();
        let tag = self
            .key(root, salt)?
            .seal_in_place_separate_tag(zero_nonce(), Aad::from(aad), body)
            .map_err(|_| Error::BadTransfer)?;
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed)
    }

    /// Under which entry something was sealed.
    ///
    /// # Errors
    /// [`Error::BadTransfer`] when it can't have been.
    pub fn sealed_by(sealed: &[u8]) -> Result<KeyId, Error> {
        match sealed {
            [VERSION, a, b, c, d, e, f, g, h, ..] if sealed.len() == Self::LEN => {
                Ok(KeyId([*a, *b, *c, *d, *e, *f, *g, *h]))
            }
            _ => Err(Error::BadTransfer),
        }
    }

    /// Opens what [`seal`](Self::seal) has made for the same names, nonce and entry.
    ///
    /// # Errors
    /// [`Error::BadTransfer`] in every other case.
    pub fn open(
        &self,
        root: &Root,
        sealed: &[u8],
    ) -> Result<Secret<[u8; Entry::SECRET_LEN]>, Error> {
        if Self::sealed_by(sealed)? != root.key_id() {
            return Err(Error::BadTransfer);
        }
        let parts = sealed
            .split_first_chunk::<HEAD_LEN>()
            .and_then(|(head, rest)| Some((head, rest.split_first_chunk()?)));
        let Some((head, (body, tag))) = parts else {
            return Err(Error::BadTransfer);
        };
        let salt = head.last_chunk::<SALT_LEN>().ok_or(Error::BadTransfer)?;
        let tag = Tag::try_from(tag).map_err(|_| Error::BadTransfer)?;
        let mut secret = Secret::new(*body);
        self.key(root, salt)?
            .open_in_place_separate_tag(
                zero_nonce(),
                Aad::from(self.associated(head)),
                tag,
                secret.expose_mut(),
                0..,
            )
            .map_err(|_| Error::BadTransfer)?;
        self.check(secret.expose())?;
        Ok(secret)
    }

    /// An id comes from its secret: nobody can give another secret under it.
    fn check(&self, secret: &[u8; Entry::SECRET_LEN]) -> Result<(), Error> {
        if Entry::new(secret, 0, None).key_id() != self.id && !knockout::out!("transfer_id") {
            return Err(Error::BadTransfer);
        }
        Ok(())
    }

    fn associated(&self, head: &[u8]) -> Vec<u8> {
        [b"merlon/1 entry", head, &self.id.0].concat()
    }

    fn key(&self, root: &Root, salt: &[u8; SALT_LEN]) -> Result<LessSafeKey, Error> {
        let key = match knockout::out!("transfer_binding") {
            false => root.transfer_key(self.from, self.to, self.nonce, salt),
            true => root.transfer_key(b"", b"", &[0; NONCE_LEN], salt),
        };
        let key = UnboundKey::new(&CHACHA20_POLY1305, key.expose());
        Ok(LessSafeKey::new(key.map_err(|_| Error::BadTransfer)?))
    }
}

/// Each key seals once.
fn zero_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: [u8; 32] = [9; 32];

    fn root(secret: u8) -> Root {
        let entry = Entry::new(&[secret; 32], 0, None);
        entry.root("prod", 1).unwrap()
    }

    fn transfer<'a>(from: &'a [u8], to: &'a [u8], nonce: &'a [u8; 32]) -> Transfer<'a> {
        let id = Entry::new(&SECRET, 0, None).key_id();
        Transfer {
            from,
            to,
            nonce,
            id,
        }
    }

    fn sealed() -> Vec<u8> {
        let transfer = transfer(b"a@h", b"b@h", &[5; 32]);
        transfer.seal(&root(1), &[6; 16], &SECRET).unwrap()
    }

    fn opened(transfer: &Transfer, root: &Root, sealed: &[u8]) -> Result<[u8; 32], Error> {
        transfer.open(root, sealed).map(|secret| *secret.expose())
    }

    #[test]
    fn what_was_asked_for_arrives_and_does_not_show() {
        let asked = transfer(b"a@h", b"b@h", &[5; 32]);
        let sealed = sealed();
        assert_eq!(sealed.len(), Transfer::LEN);
        assert_eq!(Transfer::sealed_by(&sealed), Ok(root(1).key_id()));
        assert_eq!(opened(&asked, &root(1), &sealed), Ok(SECRET));
        assert!(!sealed.windows(8).any(|bytes| bytes == [9; 8]));
    }

    #[test]
    fn who_has_no_entry_in_common_can_not_open_it() {
        let asked = transfer(b"a@h", b"b@h", &[5; 32]);
        assert_eq!(opened(&asked, &root(2), &sealed()), Err(Error::BadTransfer));
        let mut renamed = sealed();
        renamed[1..9].copy_from_slice(&root(2).key_id().0);
        assert_eq!(opened(&asked, &root(2), &renamed), Err(Error::BadTransfer));
        let other = Entry::new(&[1; 32], 0, None).root("test", 1).unwrap();
        assert_eq!(opened(&asked, &other, &sealed()), Err(Error::BadTransfer));
    }

    /// Turns red with `MERLON_KNOCKOUT=transfer_binding`.
    #[test]
    fn knockout_transfer_binding_an_old_one_or_one_for_another_node_is_refused() {
        let bad = Err(Error::BadTransfer);
        let (a, b, nonce): (&[u8], &[u8], _) = (b"a@h", b"b@h", &[5; 32]);
        let others = [
            ("replayed", transfer(a, b, &[4; 32])),
            ("to another", transfer(a, b"c@h", nonce)),
            ("from another", transfer(b"c@h", b, nonce)),
            ("reflected", transfer(b, a, nonce)),
            ("names cut elsewhere", transfer(b"a@hb", b"@h", nonce)),
        ];
        for (what, other) in others {
            assert_eq!(opened(&other, &root(1), &sealed()), bad, "{what}");
        }
    }

    /// Turns red with `MERLON_KNOCKOUT=transfer_id`.
    #[test]
    fn knockout_transfer_id_another_secret_under_the_id_is_refused() {
        let asked = transfer(b"a@h", b"b@h", &[5; 32]);
        assert_eq!(
            asked.seal(&root(1), &[6; 16], &[8; 32]),
            Err(Error::BadTransfer)
        );
    }

    #[test]
    fn every_changed_bit_and_every_other_length_is_refused() {
        let asked = transfer(b"a@h", b"b@h", &[5; 32]);
        let good = sealed();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                opened(&asked, &root(1), &bad),
                Err(Error::BadTransfer),
                "bit {bit}"
            );
        }
        for len in 0..good.len() {
            assert!(asked.open(&root(1), &good[..len]).is_err());
        }
        assert!(asked.open(&root(1), &[&good[..], &[0]].concat()).is_err());
    }

    /// Computed with Python's `hmac` from the words of this file and of `root.rs`.
    #[test]
    fn another_release_would_not_lose_its_transfers_by_an_accident() {
        let key = root(1).transfer_key(b"a@h", b"b@h", &[5; 32], &[6; 16]);
        let hex: String = key.expose().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(
            hex,
            "376b3f7254b1dc2458a657706ac5b1a1b55ae6d555f8340910762be0bfa77b8e"
        );
    }
}
