use crate::hkdf::{extract, hmac_sha256};
use crate::{equal, Error, Role, Secret};

/// What both sides of a join know of a token: derived from its secret, which neither sends.
///
/// The side that made the token keeps nothing else of it. From this key the secret can't be reckoned, but who holds it
/// can prove the token, so that it is kept as the CA's key is.
pub struct JoinKey(Secret<[u8; JoinKey::LEN]>);

impl JoinKey {
    /// Bytes of the key.
    pub const LEN: usize = 32;
    /// Bytes of a token's secret.
    pub const SECRET_LEN: usize = 16;
    /// Bytes of a token's id.
    pub const ID_LEN: usize = 8;

    /// The key of a token. Its secret is random, so nothing stretches it.
    pub fn of_token(id: &[u8; Self::ID_LEN], secret: &[u8; Self::SECRET_LEN]) -> JoinKey {
        let salt = [b"merlon-join/1 token".as_slice(), id].concat();
        JoinKey(extract(&salt, secret))
    }

    /// The key as it was kept.
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> JoinKey {
        JoinKey(Secret::new(*bytes))
    }

    /// The key as it is kept.
    pub fn expose(&self) -> &[u8; Self::LEN] {
        self.0.expose()
    }

    /// The proof that `role` holds this token, in the TLS session of `exporter`.
    pub fn proof(&self, role: Role, exporter: &[u8; 32]) -> [u8; 32] {
        let label: &[u8] = match role {
            Role::Client => b"merlon-join/1 client",
            Role::Server => b"merlon-join/1 server",
        };
        hmac_sha256(self.0.expose(), &[label, exporter])
    }

    /// Checks the peer's proof in constant time.
    ///
    /// # Errors
    /// [`Error::BadProof`] for another token, another session or the other role.
    pub fn verify(&self, role: Role, exporter: &[u8; 32], tag: &[u8]) -> Result<(), Error> {
        let good = equal(&self.proof(role, exporter), tag);
        if good || knockout::out!("join_proof") {
            Ok(())
        } else {
            Err(Error::BadProof)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> JoinKey {
        JoinKey::of_token(&[1; 8], &[2; 16])
    }

    #[test]
    fn what_is_kept_proves_as_the_token_does() {
        let kept = JoinKey::from_bytes(key().expose());
        for role in [Role::Client, Role::Server] {
            let tag = kept.proof(role, &[9; 32]);
            assert_eq!(key().verify(role, &[9; 32], &tag), Ok(()));
        }
    }

    #[test]
    fn what_is_kept_is_not_the_secret() {
        let secret = [7; 16];
        let kept = JoinKey::of_token(&[1; 8], &secret);
        assert!(!kept.expose().windows(16).any(|w| w == secret));
        let other = JoinKey::of_token(&[3; 8], &secret);
        assert_ne!(kept.expose(), other.expose(), "the id counts");
    }

    /// Turns red with `MERLON_KNOCKOUT=join_proof`.
    #[test]
    fn knockout_join_proof_of_another_token_session_or_role_is_refused() {
        let (key, bad) = (key(), Err(Error::BadProof));
        let tag = key.proof(Role::Client, &[9; 32]);
        let other = JoinKey::of_token(&[1; 8], &[3; 16]);
        assert_eq!(other.verify(Role::Client, &[9; 32], &tag), bad);
        assert_eq!(key.verify(Role::Client, &[8; 32], &tag), bad, "relayed");
        assert_eq!(key.verify(Role::Server, &[9; 32], &tag), bad, "reflected");
        assert_eq!(key.verify(Role::Client, &[9; 32], &tag[..31]), bad, "cut");
        assert_eq!(key.verify(Role::Client, &[9; 32], &[]), bad, "empty");
        for bit in 0..256 {
            let mut flipped = tag;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(key.verify(Role::Client, &[9; 32], &flipped), bad);
        }
    }
}
