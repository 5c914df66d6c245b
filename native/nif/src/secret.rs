//! Secrets as resources: bytes that go in, and that no function gives back.

use crate::term::ok;
use merlon_secret::Secret;
use rustler::{Atom, Binary, Decoder, Env, NifResult, Resource, ResourceArc, Term};

/// Key material on this side of the boundary, wiped when the last reference is gone.
pub struct SecretBytes(pub Secret<Vec<u8>>);

#[rustler::resource_impl]
impl Resource for SecretBytes {}

/// What a key may be given as.
pub enum Key<'a> {
    Binary(Binary<'a>),
    Secret(ResourceArc<SecretBytes>),
}

impl Key<'_> {
    pub fn bytes(&self) -> &[u8] {
        match self {
            Key::Binary(binary) => binary,
            Key::Secret(secret) => secret.0.expose(),
        }
    }
}

impl<'a> Decoder<'a> for Key<'a> {
    fn decode(term: Term<'a>) -> NifResult<Key<'a>> {
        match term.is_binary() {
            true => term.decode().map(Key::Binary),
            false => term.decode().map(Key::Secret),
        }
    }
}

/// How a result is given: `{binary, Len}` or `{secret, Len}`.
#[derive(Clone, Copy)]
pub struct Output {
    secret: bool,
    pub len: usize,
}

rustler::atoms! { binary, secret }

/// More than any function of keys gives (HKDF-SHA512: 255 * 64).
const MAX_OUTPUT: usize = 255 * 64 + 1;

impl<'a> Decoder<'a> for Output {
    fn decode(term: Term<'a>) -> NifResult<Output> {
        let (kind, len): (Atom, usize) = term.decode()?;
        let secret = kind == secret();
        Ok(Output { secret, len })
    }
}

impl Output {
    /// The same kind with that length.
    pub fn of(self, len: usize) -> Output {
        Output { len, ..self }
    }

    /// `{ok, Binary}` or `{ok, Secret}` with what `fill` has written. What is too long is left to `fill` to refuse.
    pub fn fill<'a, E>(
        self,
        env: Env<'a>,
        fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
        refused: impl FnOnce(E) -> Term<'a>,
    ) -> Term<'a> {
        let mut out = Secret::new(vec![0; self.len.min(MAX_OUTPUT)]);
        match fill(out.expose_mut()) {
            Ok(()) if self.secret => ok(env, ResourceArc::new(SecretBytes(out))),
            Ok(()) => ok(env, crate::term::binary(env, out.expose())),
            Err(error) => refused(error),
        }
    }
}

/// `{ok, Secret}` of these bytes.
#[rustler::nif]
fn secret_new<'a>(env: Env<'a>, bytes: Binary<'a>) -> Term<'a> {
    ok(
        env,
        ResourceArc::new(SecretBytes(Secret::new(bytes.to_vec()))),
    )
}

/// Whether the system has given random bytes.
pub fn random(bytes: &mut [u8]) -> bool {
    use ring::rand::{SecureRandom, SystemRandom};
    SystemRandom::new().fill(bytes).is_ok()
}
