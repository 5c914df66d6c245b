use crate::hkdf::{expand_one, extract};
use crate::{KeyId, Root, Secret};

/// Seconds by which the clocks of two nodes may differ.
const SKEW: u64 = 300;

/// Where a moment is in the time of an [`Entry`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Before it.
    NotYet,
    /// Within it.
    Accepted,
    /// After it.
    Expired,
}

/// One entry of a keyring: a secret, and from when until when it is good for new links.
pub struct Entry {
    id: KeyId,
    pub(crate) prk: Secret<[u8; 32]>,
    /// Tells a passphrase that was stretched before; none for a random secret.
    pub(crate) phrase: Option<Secret<[u8; 32]>>,
    not_before: u64,
    not_after: Option<u64>,
}

impl Entry {
    /// Bytes of a secret that is only expanded.
    pub const SECRET_LEN: usize = 32;

    /// An entry of 256 random bits. Seconds since 1970; without an end it never expires.
    ///
    /// Its id is derived from the secret, so that it shows when two entries are the same, and nothing else.
    pub fn new(secret: &[u8; Self::SECRET_LEN], not_before: u64, not_after: Option<u64>) -> Entry {
        let prk = extract(b"merlon/1 keyring", secret);
        Entry::of(prk, None, (not_before, not_after))
    }

    /// An entry of a uniform key, and from when until when.
    pub(crate) fn of(
        prk: Secret<[u8; 32]>,
        phrase: Option<Secret<[u8; 32]>>,
        (not_before, not_after): (u64, Option<u64>),
    ) -> Entry {
        let [a, b, c, d, e, f, g, h, ..] = *expand_one(&prk, &[b"merlon/1 key id"]).expose();
        Entry {
            id: KeyId([a, b, c, d, e, f, g, h]),
            prk,
            phrase,
            not_before,
            not_after,
        }
    }

    /// The id under which peers find this entry.
    pub fn key_id(&self) -> KeyId {
        self.id
    }

    /// Whether the entry is good at `now`: from its first second to the last one before its end.
    pub fn state(&self, now: u64) -> State {
        match self.not_after {
            Some(end) if now >= end && !knockout::out!("keyring_expiry") => State::Expired,
            _ if now < self.not_before => State::NotYet,
            _ => State::Accepted,
        }
    }

    /// Whether it is good at `now` for every node whose clock differs by 5 minutes at most.
    pub fn is_settled(&self, now: u64) -> bool {
        let times = [now.saturating_sub(SKEW), now.saturating_add(SKEW)];
        times
            .iter()
            .all(|time| self.state(*time) == State::Accepted)
    }

    /// Its first second, and the last one.
    pub fn life(&self) -> (u64, u64) {
        let end = self.not_after.unwrap_or(u64::MAX);
        (self.not_before, end.saturating_sub(1))
    }

    /// The entry's root for `cluster`; none while it is not good.
    pub fn root(&self, cluster: &str, now: u64) -> Option<Root> {
        (self.state(now) == State::Accepted).then(|| Root::expanded(self.id, &self.prk, cluster))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(secret: u8) -> Entry {
        Entry::new(&[secret; 32], 100, Some(200))
    }

    fn key(entry: &Entry, cluster: &str) -> String {
        let root = entry.root(cluster, 150).unwrap();
        root.pair_cookie(b"a@h", b"b@h").expose().clone()
    }

    #[test]
    fn ids_tell_secrets_apart_and_are_never_the_cookies() {
        assert_eq!(entry(1).key_id(), entry(1).key_id());
        assert_ne!(entry(1).key_id(), entry(2).key_id());
        assert_ne!(entry(1).key_id(), KeyId::VM_COOKIE);
        assert_eq!(
            entry(1).root("prod", 150).unwrap().key_id(),
            entry(1).key_id()
        );
    }

    #[test]
    fn another_secret_or_cluster_or_a_cookie_of_the_same_bytes_has_other_keys() {
        assert_eq!(key(&entry(1), "prod"), key(&entry(1), "prod"));
        assert_ne!(key(&entry(1), "prod"), key(&entry(2), "prod"));
        assert_ne!(key(&entry(1), "prod"), key(&entry(1), "test"));
        let cookie = Root::from_vm_cookie(&[1; 32], "prod").unwrap();
        assert_ne!(
            &key(&entry(1), "prod"),
            cookie.pair_cookie(b"a@h", b"b@h").expose()
        );
    }

    #[test]
    fn an_entry_is_not_used_before_its_time() {
        assert_eq!(entry(1).state(99), State::NotYet);
        assert!(entry(1).root("prod", 99).is_none());
        assert_eq!(entry(1).state(100), State::Accepted);
        assert_eq!(entry(1).state(199), State::Accepted);
    }

    /// Turns red with `MERLON_KNOCKOUT=keyring_expiry`.
    #[test]
    fn knockout_keyring_expiry_an_expired_entry_gives_no_key() {
        assert_eq!(entry(1).state(200), State::Expired);
        assert!(entry(1).root("prod", 200).is_none());
        assert!(entry(1).root("prod", u64::MAX).is_none());
    }

    #[test]
    fn an_entry_is_settled_when_no_clock_disagrees() {
        let entry = Entry::new(&[1; 32], 1000, Some(9000));
        let settled: Vec<u64> = [1000, 1299, 1300, 8699, 8700, 9000]
            .into_iter()
            .filter(|now| entry.is_settled(*now))
            .collect();
        assert_eq!(settled, [1300, 8699]);
        assert_eq!(entry.life(), (1000, 8999));
    }

    #[test]
    fn an_entry_without_an_end_never_expires() {
        let entry = Entry::new(&[1; 32], 100, None);
        assert_eq!(entry.state(u64::MAX), State::Accepted);
    }

    /// Computed with Python's `hmac` from the words of this file and of `root.rs` alone.
    #[test]
    fn another_release_would_not_lose_its_keyring_by_an_accident() {
        let hex = |bytes: &[u8]| -> String { bytes.iter().map(|b| format!("{b:02x}")).collect() };
        assert_eq!(hex(&entry(7).key_id().0), "e3f0ff2cafe0c638");
        assert_eq!(
            key(&entry(7), "prod"),
            "WDYDQXXDOAN26H3P4LQLAAZ6ZAWQ2TYEJIAPOZC4VF6DA6VH"
        );
        let mut derived = [0; 16];
        let root = entry(7).root("prod", 150).unwrap();
        root.derive(b"app", &mut derived).unwrap();
        assert_eq!(hex(&derived), "498c066eaf545576ec8c6325595793d8");
    }

    #[test]
    fn what_applications_derive_differs_by_info_and_from_every_key_of_ours() {
        let root = entry(1).root("prod", 150).unwrap();
        let derive = |info: &[u8]| {
            let mut out = [0; 32];
            root.derive(info, &mut out).unwrap();
            out
        };
        assert_ne!(derive(b"a"), derive(b"b"));
        assert_ne!(derive(b""), derive(b"a"));
        assert!(root.derive(b"a", &mut vec![0; 255 * 32 + 1]).is_err());
    }
}
