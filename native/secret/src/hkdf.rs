use crate::hash::Tag;
use crate::{Error, Hash, Secret};

pub(crate) const LEN: usize = 32;

/// HKDF, extract and expand (RFC 5869). The parts of `info` are taken one after the other.
///
/// # Errors
/// [`Error::TooLong`] when `out` is longer than 255 outputs of the hash; `out` is then untouched.
pub fn hkdf(
    hash: Hash,
    salt: &[u8],
    ikm: &[u8],
    info: &[&[u8]],
    out: &mut [u8],
) -> Result<(), Error> {
    hkdf_expand(hash, hkdf_extract(hash, salt, ikm).as_ref(), info, out)
}

/// HKDF-Extract: a key as long as the hash, out of key material that need not be uniform.
pub fn hkdf_extract(hash: Hash, salt: &[u8], ikm: &[u8]) -> Tag {
    hash.hmac(salt, &[ikm])
}

/// HKDF-Expand: as many bytes as `out` has, out of a uniform key.
///
/// # Errors
/// [`Error::ShortKey`] when `prk` is shorter than the hash; [`Error::TooLong`] as [`hkdf`].
pub fn hkdf_expand(hash: Hash, prk: &[u8], info: &[&[u8]], out: &mut [u8]) -> Result<(), Error> {
    let (len, block) = (out.len(), hash.output_len());
    if prk.len() < block {
        return Err(Error::ShortKey { len: prk.len() });
    }
    if len > 255 * block {
        return Err(Error::TooLong { len });
    }
    let mut previous = None;
    for (counter, chunk) in (1..=255).zip(out.chunks_mut(block)) {
        let tag = expand_block(hash, prk, previous.as_ref(), info, counter);
        chunk
            .iter_mut()
            .zip(tag.as_ref())
            .for_each(|(o, b)| *o = *b);
        previous = Some(tag);
    }
    Ok(())
}

/// [`hkdf`] with SHA-256.
///
/// # Errors
/// As [`hkdf`].
pub fn hkdf_sha256(salt: &[u8], ikm: &[u8], info: &[&[u8]], out: &mut [u8]) -> Result<(), Error> {
    hkdf(Hash::Sha256, salt, ikm, info, out)
}

/// HKDF-Extract with SHA-256.
pub(crate) fn extract(salt: &[u8], ikm: &[u8]) -> Secret<[u8; LEN]> {
    Secret::new(hmac_sha256(salt, &[ikm]))
}

/// HKDF-Expand with SHA-256 to exactly one block, which cannot fail.
pub(crate) fn expand_one(prk: &Secret<[u8; LEN]>, info: &[&[u8]]) -> Secret<[u8; LEN]> {
    Secret::new(array(expand_block(
        Hash::Sha256,
        prk.expose(),
        None,
        info,
        1,
    )))
}

/// HMAC-SHA256 over the parts, one after the other.
pub(crate) fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; LEN] {
    array(Hash::Sha256.hmac(key, parts))
}

fn expand_block(
    hash: Hash,
    prk: &[u8],
    previous: Option<&Tag>,
    info: &[&[u8]],
    counter: u8,
) -> Tag {
    let previous = previous.map(Tag::as_ref).unwrap_or_default();
    let counter = [counter];
    let parts: Vec<&[u8]> = [&[previous], info, &[&counter]].concat();
    hash.hmac(prk, &parts)
}

fn array(tag: Tag) -> [u8; LEN] {
    let mut out = [0; LEN];
    out.iter_mut().zip(tag.as_ref()).for_each(|(o, b)| *o = *b);
    out
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

    /// RFC 5869 appendix A: salt, ikm, info, prk, okm.
    fn vectors() -> Vec<[Vec<u8>; 5]> {
        vec![
            [
                (0x00..=0x0c).collect(),
                vec![0x0b; 22],
                (0xf0..=0xf9).collect(),
                hex("077709362c2e32df0ddc3f0dc47bba63 90b6c73bb50f9c3122ec844ad7c2b3e5"),
                hex("3cb25f25faacd57a90434f64d0362f2a 2d2d0a90cf1a5a4c5db02d56ecc4c5bf 34007208d5b887185865"),
            ],
            [
                (0x60..=0xaf).collect(),
                (0x00..=0x4f).collect(),
                (0xb0..=0xff).collect(),
                hex("06a6b88c5853361a06104c9ceb35b45c ef760014904671014a193f40c15fc244"),
                hex("b11e398dc80327a1c8e7f78c596a4934 4f012eda2d4efad8a050cc4c19afa97c
                     59045a99cac7827271cb41c65e590e09 da3275600c2f09b8367793a9aca3db71
                     cc30c58179ec3e87c14c01d5c1f3434f 1d87"),
            ],
            [
                vec![],
                vec![0x0b; 22],
                vec![],
                hex("19ef24a32c717b167f33a91d6f648bdf 96596776afdb6377ac434c1c293ccb04"),
                hex("8da4e775a563c18f715f802a063c5a31 b8a11f5c5ee1879ec3454e5f3c738d2d 9d201395faa4b61a96c8"),
            ],
        ]
    }

    #[test]
    fn keys_of_another_kdf_would_not_interoperate() {
        for [salt, ikm, info, prk, okm] in vectors() {
            assert_eq!(extract(&salt, &ikm).expose().to_vec(), prk);
            let mut out = vec![0; okm.len()];
            hkdf_sha256(&salt, &ikm, &[&info], &mut out).unwrap();
            assert_eq!(out, okm);
            let (left, right) = info.split_at(info.len() / 2);
            hkdf_sha256(&salt, &ikm, &[left, right], &mut out).unwrap();
            assert_eq!(out, okm, "parts of info are one info");
        }
    }

    #[test]
    fn a_key_longer_than_hkdf_can_give_is_refused() {
        let mut most = vec![0; 255 * LEN];
        hkdf_sha256(b"s", b"k", &[], &mut most).unwrap();
        let blocks: std::collections::HashSet<&[u8]> = most.chunks(LEN).collect();
        assert_eq!(blocks.len(), 255, "no block repeats");
        let mut more = vec![0; 255 * LEN + 1];
        let refused = hkdf_sha256(b"s", b"k", &[], &mut more);
        assert_eq!(refused, Err(Error::TooLong { len: 255 * LEN + 1 }));
        assert!(more.iter().all(|b| *b == 0));
    }

    #[test]
    fn one_block_is_the_start_of_the_long_output() {
        let prk = extract(b"salt", b"ikm");
        let mut out = [0; LEN];
        hkdf_expand(Hash::Sha256, prk.expose(), &[b"info"], &mut out).unwrap();
        assert_eq!(&out, expand_one(&prk, &[b"info"]).expose());
    }
}
