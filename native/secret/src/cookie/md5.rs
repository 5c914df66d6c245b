//! MD5 (RFC 1321) of messages of one block, over any kind of word: one `u32`, or lanes of them.

/// What MD5 does with words.
pub(super) trait Word: Copy {
    fn plus(self, other: Self) -> Self;
    fn plus_constant(self, constant: u32) -> Self;
    fn and(self, other: Self) -> Self;
    fn or(self, other: Self) -> Self;
    fn xor(self, other: Self) -> Self;
    fn not(self) -> Self;
    fn rotate(self, bits: u32) -> Self;
}

impl Word for u32 {
    fn plus(self, other: u32) -> u32 {
        self.wrapping_add(other)
    }
    fn plus_constant(self, constant: u32) -> u32 {
        self.wrapping_add(constant)
    }
    fn and(self, other: u32) -> u32 {
        self & other
    }
    fn or(self, other: u32) -> u32 {
        self | other
    }
    fn xor(self, other: u32) -> u32 {
        self ^ other
    }
    fn not(self) -> u32 {
        !self
    }
    fn rotate(self, bits: u32) -> u32 {
        self.rotate_left(bits)
    }
}

/// The state before the first step.
pub(super) const INITIAL: [u32; 4] = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476];

/// The constant of the last step and of the one before it.
pub(super) const LAST: [u32; 2] = [0x2ad7d2bb, 0xeb86d391];

#[inline(always)]
pub(super) fn f<V: Word>(x: V, y: V, z: V) -> V {
    x.and(y.xor(z)).xor(z)
}

#[inline(always)]
fn g<V: Word>(x: V, y: V, z: V) -> V {
    f(z, x, y)
}

#[inline(always)]
fn h<V: Word>(x: V, y: V, z: V) -> V {
    x.xor(y).xor(z)
}

#[inline(always)]
pub(super) fn i<V: Word>(x: V, y: V, z: V) -> V {
    y.xor(x.or(z.not()))
}

macro_rules! step {
    ($f:ident, $a:ident, $b:ident, $c:ident, $d:ident, $word:expr, $constant:expr, $bits:expr) => {
        $a = $b.plus(
            $a.plus($word.plus_constant($constant))
                .plus($f($b, $c, $d))
                .rotate($bits),
        );
    };
}

/// The first 59 steps of the block `m` from `state`. Later ones need not be done to tell most messages apart.
#[inline(always)]
#[rustfmt::skip]
pub(super) fn first_59<V: Word>(m: &[V; 16], state: [V; 4]) -> [V; 4] {
    let [mut a, mut b, mut c, mut d] = state;
    step!(f, a, b, c, d, m[0], 0xd76aa478, 7);
    step!(f, d, a, b, c, m[1], 0xe8c7b756, 12);
    step!(f, c, d, a, b, m[2], 0x242070db, 17);
    step!(f, b, c, d, a, m[3], 0xc1bdceee, 22);
    step!(f, a, b, c, d, m[4], 0xf57c0faf, 7);
    step!(f, d, a, b, c, m[5], 0x4787c62a, 12);
    step!(f, c, d, a, b, m[6], 0xa8304613, 17);
    step!(f, b, c, d, a, m[7], 0xfd469501, 22);
    step!(f, a, b, c, d, m[8], 0x698098d8, 7);
    step!(f, d, a, b, c, m[9], 0x8b44f7af, 12);
    step!(f, c, d, a, b, m[10], 0xffff5bb1, 17);
    step!(f, b, c, d, a, m[11], 0x895cd7be, 22);
    step!(f, a, b, c, d, m[12], 0x6b901122, 7);
    step!(f, d, a, b, c, m[13], 0xfd987193, 12);
    step!(f, c, d, a, b, m[14], 0xa679438e, 17);
    step!(f, b, c, d, a, m[15], 0x49b40821, 22);
    step!(g, a, b, c, d, m[1], 0xf61e2562, 5);
    step!(g, d, a, b, c, m[6], 0xc040b340, 9);
    step!(g, c, d, a, b, m[11], 0x265e5a51, 14);
    step!(g, b, c, d, a, m[0], 0xe9b6c7aa, 20);
    step!(g, a, b, c, d, m[5], 0xd62f105d, 5);
    step!(g, d, a, b, c, m[10], 0x02441453, 9);
    step!(g, c, d, a, b, m[15], 0xd8a1e681, 14);
    step!(g, b, c, d, a, m[4], 0xe7d3fbc8, 20);
    step!(g, a, b, c, d, m[9], 0x21e1cde6, 5);
    step!(g, d, a, b, c, m[14], 0xc33707d6, 9);
    step!(g, c, d, a, b, m[3], 0xf4d50d87, 14);
    step!(g, b, c, d, a, m[8], 0x455a14ed, 20);
    step!(g, a, b, c, d, m[13], 0xa9e3e905, 5);
    step!(g, d, a, b, c, m[2], 0xfcefa3f8, 9);
    step!(g, c, d, a, b, m[7], 0x676f02d9, 14);
    step!(g, b, c, d, a, m[12], 0x8d2a4c8a, 20);
    step!(h, a, b, c, d, m[5], 0xfffa3942, 4);
    step!(h, d, a, b, c, m[8], 0x8771f681, 11);
    step!(h, c, d, a, b, m[11], 0x6d9d6122, 16);
    step!(h, b, c, d, a, m[14], 0xfde5380c, 23);
    step!(h, a, b, c, d, m[1], 0xa4beea44, 4);
    step!(h, d, a, b, c, m[4], 0x4bdecfa9, 11);
    step!(h, c, d, a, b, m[7], 0xf6bb4b60, 16);
    step!(h, b, c, d, a, m[10], 0xbebfbc70, 23);
    step!(h, a, b, c, d, m[13], 0x289b7ec6, 4);
    step!(h, d, a, b, c, m[0], 0xeaa127fa, 11);
    step!(h, c, d, a, b, m[3], 0xd4ef3085, 16);
    step!(h, b, c, d, a, m[6], 0x04881d05, 23);
    step!(h, a, b, c, d, m[9], 0xd9d4d039, 4);
    step!(h, d, a, b, c, m[12], 0xe6db99e5, 11);
    step!(h, c, d, a, b, m[15], 0x1fa27cf8, 16);
    step!(h, b, c, d, a, m[2], 0xc4ac5665, 23);
    step!(i, a, b, c, d, m[0], 0xf4292244, 6);
    step!(i, d, a, b, c, m[7], 0x432aff97, 10);
    step!(i, c, d, a, b, m[14], 0xab9423a7, 15);
    step!(i, b, c, d, a, m[5], 0xfc93a039, 21);
    step!(i, a, b, c, d, m[12], 0x655b59c3, 6);
    step!(i, d, a, b, c, m[3], 0x8f0ccc92, 10);
    step!(i, c, d, a, b, m[10], 0xffeff47d, 15);
    step!(i, b, c, d, a, m[1], 0x85845dd1, 21);
    step!(i, a, b, c, d, m[8], 0x6fa87e4f, 6);
    step!(i, d, a, b, c, m[15], 0xfe2ce6e0, 10);
    step!(i, c, d, a, b, m[6], 0xa3014314, 15);
    [a, b, c, d]
}

/// The digest of a padded block.
#[rustfmt::skip]
pub(super) fn digest(m: &[u32; 16]) -> [u32; 4] {
    let [mut a, mut b, mut c, mut d] = first_59(m, INITIAL);
    step!(i, b, c, d, a, m[13], 0x4e0811a1, 21);
    step!(i, a, b, c, d, m[4], 0xf7537e82, 6);
    step!(i, d, a, b, c, m[11], 0xbd3af235, 10);
    step!(i, c, d, a, b, m[2], 0x2ad7d2bb, 15);
    step!(i, b, c, d, a, m[9], 0xeb86d391, 21);
    let [a0, b0, c0, d0] = INITIAL;
    [a.plus(a0), b.plus(b0), c.plus(c0), d.plus(d0)]
}

/// The padded block of a message; none if it is longer than the 55 bytes that fit.
pub(super) fn block(message: &[u8]) -> Option<[u32; 16]> {
    let mut bytes = [0; 64];
    bytes.get_mut(..message.len())?.copy_from_slice(message);
    *bytes
        .get_mut(message.len())
        .filter(|_| message.len() < 56)? = 0x80;
    let mut words = [0; 16];
    for (word, four) in words.iter_mut().zip(bytes.chunks_exact(4)) {
        *word = four
            .iter()
            .rev()
            .fold(0, |word, byte| word << 8 | u32::from(*byte));
    }
    let [.., bits, _] = &mut words;
    *bits = message.len() as u32 * 8;
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 1321 A.5, those of one block.
    #[test]
    fn a_digest_of_another_hash_would_match_no_cookie() {
        for (message, expected) in [
            ("", "d41d8cd98f00b204e9800998ecf8427e"),
            ("a", "0cc175b9c0f1b6a831c399e269772661"),
            ("abc", "900150983cd24fb0d6963f7d28e17f72"),
            ("message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
            (
                "abcdefghijklmnopqrstuvwxyz",
                "c3fcd3d76192e4007dfb496cca67e13b",
            ),
        ] {
            let words = digest(&block(message.as_bytes()).unwrap());
            let hex: String = words
                .iter()
                .flat_map(|word| word.to_le_bytes())
                .map(|byte| format!("{byte:02x}"))
                .collect();
            assert_eq!(hex, expected, "{message}");
        }
    }

    #[test]
    fn what_does_not_fit_in_one_block_is_refused() {
        assert!(block(&[b'a'; 55]).is_some());
        assert!(block(&[b'a'; 56]).is_none());
        assert!(block(&[b'a'; 64]).is_none());
        assert!(block(&[b'a'; 65]).is_none());
    }
}
