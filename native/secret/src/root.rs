use ring::hmac;

use crate::hkdf::{expand_one, extract, hkdf_expand, hmac_sha256};
use crate::{Error, Hash, Secret};

/// Names one shared secret among several. Not secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyId(pub [u8; 8]);

impl KeyId {
    /// The VM's own cookie. It has no id of its own: one derived from so few bits would let anyone who reads
    /// it try cookies offline.
    pub const VM_COOKIE: KeyId = KeyId([0; 8]);
}

/// Whose proof it is, so that one side's can never be sent back as the other's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The side that dialled.
    Client,
    /// The side that was dialled.
    Server,
}

/// A secret that the whole cluster shares.
pub struct Root {
    id: KeyId,
    key: Secret<[u8; 32]>,
}

impl Root {
    /// The root of a cluster that has nothing but the VM's cookie.
    ///
    /// # Errors
    /// [`Error::NoCookie`] when the cookie is empty or `nocookie`.
    pub fn from_vm_cookie(cookie: &[u8], cluster: &str) -> Result<Root, Error> {
        if cookie.is_empty() || cookie == b"nocookie" {
            return Err(Error::NoCookie);
        }
        let prk = extract(b"merlon/1 vm cookie", cookie);
        Ok(Root::expanded(KeyId::VM_COOKIE, &prk, cluster))
    }

    pub(crate) fn expanded(id: KeyId, prk: &Secret<[u8; 32]>, cluster: &str) -> Root {
        let cluster = cluster.as_bytes();
        let key = expand_one(prk, &[b"merlon/1 root", &length(cluster), cluster]);
        Root { id, key }
    }

    /// The id under which peers find this root.
    pub fn key_id(&self) -> KeyId {
        self.id
    }

    /// The key of the pair of nodes `a` and `b`, in either order.
    pub fn pair_key(&self, a: &[u8], b: &[u8]) -> PairKey {
        PairKey(self.pair(b"merlon/1 pair", a, b))
    }

    /// The cookie of the pair of nodes `a` and `b`, in either order: 48 characters of `A-Z2-7` (240 bits).
    /// The same pair under the same root always has the same cookie, as every new one is an atom.
    pub fn pair_cookie(&self, a: &[u8], b: &[u8]) -> Secret<String> {
        Secret::new(base32(self.pair(b"merlon/1 cookie", a, b).expose()))
    }

    /// Key material for whatever an application calls `info`, as many bytes as `out` has. No other use of this root
    /// gives the same.
    ///
    /// # Errors
    /// [`Error::TooLong`] when `out` is longer than 8160 bytes.
    pub fn derive(&self, info: &[u8], out: &mut [u8]) -> Result<(), Error> {
        let label: [&[u8]; 3] = [b"merlon/1 application", &length(info), info];
        hkdf_expand(Hash::Sha256, self.key.expose(), &label, out)
    }

    /// The key that seals one entry for one request: of this root, both names, the asker's nonce and the giver's salt.
    pub(crate) fn transfer_key(
        &self,
        from: &[u8],
        to: &[u8],
        nonce: &[u8; 32],
        salt: &[u8; 16],
    ) -> Secret<[u8; 32]> {
        let label: &[u8] = b"merlon/1 entry transfer";
        expand_one(
            &self.key,
            &[label, &length(from), from, &length(to), to, nonce, salt],
        )
    }

    /// The Ed25519 seed (RFC 8032, 5.1.5) of the CA that the cluster has under this root. No other use of it gives the same.
    pub fn ca_seed(&self) -> Secret<[u8; 32]> {
        expand_one(&self.key, &[b"merlon/1 ca seed ed25519"])
    }

    fn pair(&self, label: &[u8], a: &[u8], b: &[u8]) -> Secret<[u8; 32]> {
        let (first, second) = if a <= b { (a, b) } else { (b, a) };
        expand_one(
            &self.key,
            &[label, &length(first), first, &length(second), second],
        )
    }
}

/// What two nodes share, and nobody else.
pub struct PairKey(Secret<[u8; 32]>);

impl PairKey {
    /// The proof that `role` holds this key, in the TLS session of `exporter`, between nodes of these names.
    pub fn proof(&self, role: Role, exporter: &[u8; 32], client: &[u8], server: &[u8]) -> [u8; 32] {
        self.tag(role.handshake(), exporter, (client, server))
    }

    /// Checks the peer's proof in constant time.
    ///
    /// # Errors
    /// [`Error::BadProof`] when it is not the one that [`proof`](PairKey::proof) gives for the same arguments.
    pub fn verify(
        &self,
        role: Role,
        exporter: &[u8; 32],
        client: &[u8],
        server: &[u8],
        tag: &[u8],
    ) -> Result<(), Error> {
        self.check(role.handshake(), exporter, (client, server), tag)
    }

    /// The same on a link that is up: of another secret than the one of its handshake. Neither proof passes for the other.
    pub fn live_proof(
        &self,
        role: Role,
        exporter: &[u8; 32],
        client: &[u8],
        server: &[u8],
    ) -> [u8; 32] {
        self.tag(role.live(), exporter, (client, server))
    }

    /// Checks the peer's proof on a link that is up, in constant time.
    ///
    /// # Errors
    /// [`Error::BadProof`] when it is not the one that [`live_proof`](PairKey::live_proof) gives for the same arguments.
    pub fn verify_live(
        &self,
        role: Role,
        exporter: &[u8; 32],
        client: &[u8],
        server: &[u8],
        tag: &[u8],
    ) -> Result<(), Error> {
        self.check(role.live(), exporter, (client, server), tag)
    }

    fn tag(&self, label: &[u8], exporter: &[u8; 32], names: (&[u8], &[u8])) -> [u8; 32] {
        let lengths = (length(names.0), length(names.1));
        hmac_sha256(self.0.expose(), &parts(label, exporter, names, &lengths))
    }

    fn check(
        &self,
        label: &[u8],
        exporter: &[u8; 32],
        names: (&[u8], &[u8]),
        tag: &[u8],
    ) -> Result<(), Error> {
        let lengths = (length(names.0), length(names.1));
        let message = parts(label, exporter, names, &lengths).concat();
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.expose());
        let verified = hmac::verify(&key, &message, tag);
        if !knockout::out!("proof") {
            verified.map_err(|_| Error::BadProof)?;
        }
        Ok(())
    }
}

impl Role {
    fn handshake(self) -> &'static [u8] {
        match self {
            Role::Client => b"merlon/1 client",
            Role::Server => b"merlon/1 server",
        }
    }

    fn live(self) -> &'static [u8] {
        match self {
            Role::Client => b"merlon/1 live client",
            Role::Server => b"merlon/1 live server",
        }
    }
}

type Length = [u8; 8];

/// A length as it stands before what it measures, so that no two lists of names give the same bytes.
fn length(bytes: &[u8]) -> Length {
    (bytes.len() as u64).to_be_bytes()
}

fn parts<'a>(
    label: &'a [u8],
    exporter: &'a [u8; 32],
    (client, server): (&'a [u8], &'a [u8]),
    lengths: &'a (Length, Length),
) -> [&'a [u8]; 6] {
    [label, exporter, &lengths.0, client, &lengths.1, server]
}

/// The first 240 bits in base32 (RFC 4648 6), which ends even.
fn base32(bytes: &[u8; 32]) -> String {
    const DIGITS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut out = String::with_capacity(48);
    for group in bytes.chunks_exact(5) {
        let bits = group
            .iter()
            .fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
        for shift in (0..8).rev().map(|i| i * 5) {
            let digit = DIGITS.get((bits >> shift & 31) as usize);
            out.extend(digit.map(|d| char::from(*d)));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &[u8] = b"a@h";
    const B: &[u8] = b"b@h";

    fn root(cookie: &[u8]) -> Root {
        Root::from_vm_cookie(cookie, "prod").unwrap()
    }

    #[test]
    fn base32_is_that_of_the_rfc() {
        let mut bytes = [0; 32];
        bytes[..10].copy_from_slice(b"foobarfoob");
        assert_eq!(&base32(&bytes)[..16], "MZXW6YTBOJTG633C");
        assert_eq!(base32(&[0xff; 32]), "7".repeat(48));
    }

    #[test]
    fn a_node_without_a_cookie_cannot_prove_anything() {
        for cookie in [&b""[..], b"nocookie"] {
            assert_eq!(
                Root::from_vm_cookie(cookie, "prod").err(),
                Some(Error::NoCookie)
            );
        }
    }

    #[test]
    fn the_vm_cookie_shows_no_id_of_its_own() {
        assert_eq!(root(b"one").key_id(), KeyId::VM_COOKIE);
        assert_eq!(root(b"two").key_id(), KeyId([0; 8]));
    }

    #[test]
    fn both_nodes_of_a_pair_derive_the_same() {
        let root = root(b"cookie");
        let tag = root.pair_key(A, B).proof(Role::Client, &[9; 32], A, B);
        assert_eq!(
            root.pair_key(B, A)
                .verify(Role::Client, &[9; 32], A, B, &tag),
            Ok(())
        );
        assert_eq!(
            root.pair_cookie(A, B).expose(),
            root.pair_cookie(B, A).expose()
        );
    }

    /// Computed with Python's `hmac` from the words of this file alone.
    #[test]
    fn another_release_would_not_be_locked_out_by_an_accident() {
        let root = root(b"cookie");
        let cookie = root.pair_cookie(A, B);
        assert_eq!(
            cookie.expose(),
            "ZZJJYKZ5SYWTCHVWG6PKEZPDBRGCMSFSTWZTU7TBXDU5VDFK"
        );
        let hex = |tag: [u8; 32]| -> String { tag.iter().map(|b| format!("{b:02x}")).collect() };
        let key = root.pair_key(A, B);
        assert_eq!(
            hex(key.proof(Role::Client, &[9; 32], A, B)),
            "d071ce465521bf3ad15002d1ad6c16e28de38d32c7b7de2b0d430cb7548df4d1"
        );
        assert_eq!(
            hex(key.proof(Role::Server, &[9; 32], B, A)),
            "2c30c7f545c1f16b1323dd84dc00852c048728296aa3dd4366712fd048e36425"
        );
        assert_eq!(
            hex(key.live_proof(Role::Client, &[9; 32], A, B)),
            "e0a7bffa1dda98514920cc0537169e932c6db89ff6e9007116ee135e5cd2bdcc"
        );
        assert_eq!(
            hex(key.live_proof(Role::Server, &[9; 32], B, A)),
            "5f8a1a3e220e620c9ee327b9d300349b9d46df7e68e125a3d4f52562613e665a"
        );
    }

    #[test]
    fn a_pair_cookie_is_a_harmless_atom() {
        let cookie = root(b"cookie").pair_cookie(A, B);
        assert_eq!(cookie.expose().len(), 48);
        assert!(cookie
            .expose()
            .bytes()
            .all(|c| matches!(c, b'A'..=b'Z' | b'2'..=b'7')));
    }

    #[test]
    fn a_third_node_or_cluster_or_cookie_has_another_key() {
        let all = [
            root(b"cookie").pair_cookie(A, B),
            root(b"cookie").pair_cookie(A, b"c@h"),
            root(b"cookie").pair_cookie(A, A),
            root(b"other").pair_cookie(A, B),
            Root::from_vm_cookie(b"cookie", "test")
                .unwrap()
                .pair_cookie(A, B),
        ];
        let distinct: std::collections::HashSet<&String> = all.iter().map(Secret::expose).collect();
        assert_eq!(distinct.len(), all.len());
    }

    #[test]
    fn names_cannot_be_cut_elsewhere_to_the_same_key() {
        let root = root(b"cookie");
        assert_ne!(
            root.pair_cookie(b"ab", b"c").expose(),
            root.pair_cookie(b"a", b"bc").expose()
        );
        let key = root.pair_key(A, B);
        let tag = key.proof(Role::Client, &[0; 32], b"ab", b"c");
        assert_ne!(tag, key.proof(Role::Client, &[0; 32], b"a", b"bc"));
    }

    #[test]
    fn a_pair_cookie_does_not_give_the_pair_key_away() {
        let root = root(b"cookie");
        let key = base32(root.pair_key(A, B).0.expose());
        assert_ne!(&key, root.pair_cookie(A, B).expose());
    }

    /// Turns red with `MERLON_KNOCKOUT=proof`.
    #[test]
    fn knockout_proof_a_live_proof_and_one_of_a_handshake_are_two_things() {
        let key = root(b"cookie").pair_key(A, B);
        for role in [Role::Client, Role::Server] {
            let live = key.live_proof(role, &[1; 32], A, B);
            let first = key.proof(role, &[1; 32], A, B);
            assert_eq!(key.verify_live(role, &[1; 32], A, B, &live), Ok(()));
            let bad = Err(Error::BadProof);
            assert_eq!(key.verify_live(role, &[1; 32], A, B, &first), bad);
            assert_eq!(key.verify(role, &[1; 32], A, B, &live), bad);
            assert_eq!(key.verify_live(role, &[2; 32], A, B, &live), bad);
        }
    }

    /// Turns red with `MERLON_KNOCKOUT=proof`.
    #[test]
    fn knockout_proof_a_proof_of_another_secret_session_name_or_role_is_refused() {
        let key = root(b"cookie").pair_key(A, B);
        let tag = key.proof(Role::Server, &[1; 32], A, B);
        assert_eq!(key.verify(Role::Server, &[1; 32], A, B, &tag), Ok(()));
        let bad = Err(Error::BadProof);
        assert_eq!(
            root(b"wrong")
                .pair_key(A, B)
                .verify(Role::Server, &[1; 32], A, B, &tag),
            bad
        );
        assert_eq!(
            key.verify(Role::Server, &[2; 32], A, B, &tag),
            bad,
            "relayed"
        );
        assert_eq!(
            key.verify(Role::Client, &[1; 32], A, B, &tag),
            bad,
            "reflected"
        );
        assert_eq!(
            key.verify(Role::Server, &[1; 32], B, A, &tag),
            bad,
            "swapped"
        );
        assert_eq!(
            key.verify(Role::Server, &[1; 32], A, b"c@h", &tag),
            bad,
            "renamed"
        );
        assert_eq!(
            key.verify(Role::Server, &[1; 32], A, B, &tag[..31]),
            bad,
            "cut"
        );
        assert_eq!(key.verify(Role::Server, &[1; 32], A, B, &[]), bad, "empty");
        for bit in 0..256 {
            let mut flipped = tag;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(key.verify(Role::Server, &[1; 32], A, B, &flipped), bad);
        }
    }
}
