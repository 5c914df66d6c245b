//! scrypt (RFC 7914). The crate of that name takes its memory where a refusal aborts the process, and leaves it
//! unwiped: what is in it lets passwords be tried at the price of one iteration of PBKDF2.

use zeroize::Zeroize;

use crate::memory::blocks;
use crate::{pbkdf2, Error, Hash};

/// Costs of scrypt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScryptParams {
    /// The binary logarithm of N.
    pub log_n: u32,
    /// The size of a block, in 128 bytes.
    pub r: u32,
    /// How often the memory is used, one time after the other.
    pub p: u32,
}

/// 64 bytes: the 16 words of Salsa20, the diagonals of its matrix as rows, so that each step of a round works on
/// whole rows.
type Block = [Row; 4];
type Row = [u32; 4];

/// Where the words of a block are in its rows.
const DIAGONALS: [[usize; 4]; 4] = [[0, 5, 10, 15], [4, 9, 14, 3], [8, 13, 2, 7], [12, 1, 6, 11]];

/// Fills `out` by scrypt. The memory is wiped afterwards. Costs are the caller's to check.
///
/// # Errors
/// [`Error::OutOfMemory`] when the memory can't be had, [`Error::Range`] when it can't even be counted.
pub fn scrypt(
    params: &ScryptParams,
    password: &[u8],
    salt: &[u8],
    out: &mut [u8],
) -> Result<(), Error> {
    let (n, block) = (1 << params.log_n.min(31), 2 * params.r as usize);
    let mut bytes = blocks(block * params.p as usize * 64, 0u8)?;
    pbkdf2(Hash::Sha256, 1, password, salt, bytes.expose_mut())?;
    let mut memory = blocks(n * block, [[0; 4]; 4])?;
    let mut state = blocks(2 * block, [[0; 4]; 4])?;
    let (state, spare) = state.expose_mut().split_at_mut(block);
    for chunk in bytes.expose_mut().chunks_exact_mut(block * 64) {
        load(chunk, state);
        mix_memory(state, spare, memory.expose_mut());
        store(state, chunk);
    }
    pbkdf2(Hash::Sha256, 1, password, bytes.expose(), out)
}

/// ROMix: fills the memory with a chain of blocks, then goes to and fro in it.
fn mix_memory(state: &mut [Block], spare: &mut [Block], memory: &mut [Block]) {
    let len = state.len();
    let n = memory.len() / len.max(1);
    for place in memory.chunks_exact_mut(len) {
        place.copy_from_slice(state);
        mix(place, state);
    }
    for _ in 0..n {
        let j = state.last().map_or(0, |last| last[0][0] as usize) & (n - 1);
        let there = memory.get(j * len..(j + 1) * len).unwrap_or_default();
        for ((spare, a), b) in spare.iter_mut().zip(&*state).zip(there) {
            *spare = xor(a, b);
        }
        mix(spare, state);
    }
}

/// BlockMix: what comes of the even blocks goes to the first half of `out`, that of the odd ones to the second.
fn mix(blocks: &[Block], out: &mut [Block]) {
    let mut last = blocks.last().copied().unwrap_or_default();
    let (evens, odds) = out.split_at_mut(blocks.len() / 2);
    for ((pair, even), odd) in blocks.chunks_exact(2).zip(evens).zip(odds) {
        if let [a, b] = pair {
            *even = salsa20_8(xor(&last, a));
            *odd = salsa20_8(xor(even, b));
            last = *odd;
        }
    }
}

#[inline(always)]
fn salsa20_8(start: Block) -> Block {
    let [mut a, mut b, mut c, mut d] = start;
    for _ in 0..4 {
        [a, b, c, d] = half_round(half_round([a, b, c, d]));
    }
    let sum = |x: Row, y: Row| zip(x, y, u32::wrapping_add);
    let [sa, sb, sc, sd] = start;
    [sum(a, sa), sum(b, sb), sum(c, sc), sum(d, sd)]
}

/// The columns, after which the rows stand where the columns were.
#[inline(always)]
fn half_round([a, b, c, d]: Block) -> Block {
    let b = step(b, a, d, 7);
    let c = step(c, b, a, 9);
    let d = step(d, c, b, 13);
    let a = step(a, d, c, 18);
    let turn = |[w, x, y, z]: Row| [x, y, z, w];
    [a, turn(d), turn(turn(c)), turn(turn(turn(b)))]
}

#[inline(always)]
fn step(target: Row, x: Row, y: Row, bits: u32) -> Row {
    let sum = zip(x, y, u32::wrapping_add);
    zip(target, sum, |t, s| t ^ s.rotate_left(bits))
}

#[inline(always)]
fn zip([a, b, c, d]: Row, [e, f, g, h]: Row, f4: impl Fn(u32, u32) -> u32) -> Row {
    [f4(a, e), f4(b, f), f4(c, g), f4(d, h)]
}

#[inline(always)]
fn xor(a: &Block, b: &Block) -> Block {
    let rows = |i: usize| {
        let row = |block: &Block| block.get(i).copied().unwrap_or_default();
        zip(row(a), row(b), |x, y| x ^ y)
    };
    [rows(0), rows(1), rows(2), rows(3)]
}

fn load(bytes: &[u8], blocks: &mut [Block]) {
    for (bytes, block) in bytes.chunks_exact(64).zip(blocks) {
        let mut words = [0; 16];
        for (word, four) in words.iter_mut().zip(bytes.chunks_exact(4)) {
            *word = four.iter().rev().fold(0, |w, b| w << 8 | u32::from(*b));
        }
        let place = |i: usize| words.get(i).copied().unwrap_or_default();
        *block = DIAGONALS.map(|row| row.map(place));
        words.zeroize();
    }
}

fn store(blocks: &[Block], bytes: &mut [u8]) {
    for (block, bytes) in blocks.iter().zip(bytes.chunks_exact_mut(64)) {
        let places = DIAGONALS.iter().flatten();
        for (place, word) in places.zip(block.iter().flatten()) {
            let target = bytes.chunks_exact_mut(4).nth(*place).unwrap_or_default();
            target.copy_from_slice(&word.to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7914 section 8.
    #[test]
    fn salsa20_8_is_that_of_the_rfc() {
        let mut bytes = hex(
            "7e879a214f3ec9867ca940e641718f26baee555b8c61c1b50df846116dcd3b1d
                             ee24f319df9b3d8514121e4b5ac5aa3276021d2909c74829edebc68db8b8c25e",
        );
        let mut block = [[[0; 4]; 4]];
        load(&bytes, &mut block);
        block[0] = salsa20_8(block[0]);
        store(&block, &mut bytes);
        assert_eq!(
            bytes,
            hex(
                "a41f859c6608cc993b81cacb020cef05044b2181a2fd337dfd7b1c6396682f29
                 b4393168e3c9e6bcfe6bc5b7a06d96bae424cc102c91745c24ad673dc7618f81"
            )
        );
    }

    #[test]
    fn blocks_come_out_as_they_went_in() {
        let bytes: Vec<u8> = (0..128).collect();
        let (mut blocks, mut again) = ([[[0; 4]; 4]; 2], vec![0; 128]);
        load(&bytes, &mut blocks);
        store(&blocks, &mut again);
        assert_eq!(bytes, again);
    }

    fn hex(s: &str) -> Vec<u8> {
        let digits: Vec<u8> = s.bytes().filter(u8::is_ascii_hexdigit).collect();
        let byte = |p: &[u8]| u8::from_str_radix(std::str::from_utf8(p).unwrap(), 16).unwrap();
        digits.chunks(2).map(byte).collect()
    }
}
