use std::num::NonZeroU32;

use crate::{Error, Hash};

/// Fills `out` by PBKDF2-HMAC (RFC 8018 5.2).
///
/// # Errors
/// [`Error::Range`] when there are no iterations.
pub fn pbkdf2(
    hash: Hash,
    iterations: u32,
    password: &[u8],
    salt: &[u8],
    out: &mut [u8],
) -> Result<(), Error> {
    let iterations = NonZeroU32::new(iterations).ok_or(Error::Range {
        name: "iterations",
        min: 1,
        max: u64::from(u32::MAX),
    })?;
    ring::pbkdf2::derive(hash.pbkdf2(), iterations, salt, password, out);
    Ok(())
}
