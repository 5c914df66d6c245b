use crate::hash::equal;
use crate::hkdf::{expand_one, extract, hmac_sha256};
use crate::{Argon2Params, Entry, Error, Params, Secret};

/// A passphrase, and how it is stretched to an entry of a keyring.
pub struct Passphrase<'a> {
    /// What a person remembers.
    pub words: &'a [u8],
    /// Argon2id and its costs.
    pub params: Argon2Params,
    /// The cluster's name, of which the salt is made: the same words give another cluster another entry.
    pub cluster: &'a str,
}

impl Passphrase<'_> {
    /// The entry, from `life.0` until `life.1` (none: for ever). `ceiling` is the most KiB that it may take.
    ///
    /// Its id comes from what is stretched: whoever sees the id and tries passphrases pays the full costs for each.
    ///
    /// # Errors
    /// As [`Params::floor`] and [`Params::derive`].
    pub fn stretch(&self, life: (u64, Option<u64>), ceiling: u64) -> Result<Entry, Error> {
        let (salt, params) = (self.salt(), Params::Argon2(self.params));
        let mut stretched = Secret::new([0; 32]);
        params.floor(salt.len(), stretched.expose().len())?;
        params.derive(self.words, &salt, ceiling, stretched.expose_mut())?;
        let prk = extract(b"merlon/1 passphrase", stretched.expose());
        let tag = self.tag(&prk);
        Ok(Entry::of(prk, Some(tag), life))
    }

    /// The same entry as `known` with another life, if that was stretched from the very same; nothing is stretched.
    pub fn again(&self, known: &Entry, life: (u64, Option<u64>)) -> Option<Entry> {
        let tag = known.phrase.as_ref()?;
        let same = self.tag(&known.prk);
        if !equal(tag.expose(), same.expose()) {
            return None;
        }
        Some(Entry::of(
            Secret::new(*known.prk.expose()),
            Some(same),
            life,
        ))
    }

    fn salt(&self) -> [u8; 32] {
        hmac_sha256(b"merlon/1 passphrase salt", &[self.cluster.as_bytes()])
    }

    /// Tells all that was stretched to `prk`, to those only who have that.
    fn tag(&self, prk: &Secret<[u8; 32]>) -> Secret<[u8; 32]> {
        let key = expand_one(prk, &[b"merlon/1 same passphrase"]);
        let Argon2Params {
            memory,
            passes,
            lanes,
            ..
        } = self.params;
        let costs = [memory, passes, lanes].map(u32::to_be_bytes).concat();
        Secret::new(hmac_sha256(
            key.expose(),
            &[&self.salt(), &costs, self.words],
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Argon2Kind, State};

    const CEILING: u64 = 64 * 1024;

    fn phrase(words: &'static str, cluster: &'static str, passes: u32) -> Passphrase<'static> {
        let params = Argon2Params {
            kind: Argon2Kind::Id,
            v0x10: false,
            memory: 7168,
            passes,
            lanes: 1,
        };
        Passphrase {
            words: words.as_bytes(),
            params,
            cluster,
        }
    }

    #[test]
    fn other_words_costs_or_cluster_give_another_entry() {
        let id = |phrase: Passphrase| phrase.stretch((0, None), CEILING).unwrap().key_id();
        let one = id(phrase("correct horse", "prod", 5));
        assert_eq!(one, id(phrase("correct horse", "prod", 5)));
        assert_ne!(one, id(phrase("correct horsf", "prod", 5)));
        assert_ne!(one, id(phrase("correct horse", "test", 5)));
        assert_ne!(one, id(phrase("correct horse", "prod", 6)));
    }

    #[test]
    fn what_was_stretched_is_not_stretched_again_unless_it_is_another() {
        let known = phrase("correct horse", "prod", 5)
            .stretch((100, Some(200)), CEILING)
            .unwrap();
        let again = |phrase: Passphrase| phrase.again(&known, (150, Some(300)));
        let same = again(phrase("correct horse", "prod", 5)).unwrap();
        assert_eq!(same.key_id(), known.key_id());
        assert_eq!(
            (same.state(149), same.state(299)),
            (State::NotYet, State::Accepted)
        );
        assert!(phrase("correct horse", "prod", 5)
            .again(&same, (0, None))
            .is_some());
        assert!(again(phrase("correct horsf", "prod", 5)).is_none());
        assert!(again(phrase("correct horse", "test", 5)).is_none());
        assert!(again(phrase("correct horse", "prod", 6)).is_none());
        let random = Entry::new(&[1; 32], 0, None);
        assert!(phrase("correct horse", "prod", 5)
            .again(&random, (0, None))
            .is_none());
    }

    /// Turns red with `MERLON_KNOCKOUT=kdf_floor`.
    #[test]
    fn knockout_kdf_floor_a_passphrase_is_not_stretched_cheaply() {
        let weak = phrase("correct horse", "prod", 4).stretch((0, None), CEILING);
        assert_eq!(weak.err(), Some(Error::Weak { name: "costs" }));
    }

    /// Turns red with `MERLON_KNOCKOUT=kdf_ceiling`.
    #[test]
    fn knockout_kdf_ceiling_a_passphrase_takes_no_more_memory_than_there_may_be() {
        let big = phrase("correct horse", "prod", 5).stretch((0, None), 1024);
        let (kib, ceiling) = (7168, 1024);
        assert_eq!(big.err(), Some(Error::Memory { kib, ceiling }));
    }
}
