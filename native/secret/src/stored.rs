//! The text of a keyring without its secrets, so that all the rest of it can be looked at where secrets must not be.

use crate::keyring::{hex, nibble, MAX_LEN};
use crate::{Entry, Hash, Secret};

const HEADER: &[u8] = b"merlon keyring ";
const CHECKSUM: &[u8] = b"sha256 ";

/// What a store may keep.
pub enum Stored {
    /// The text of a keyring, its secrets blotted out: the last field of every line and whatever else is not in its place,
    /// each hex digit made a `0` and every other character an `x`. It has a right checksum if it had one.
    Text(Vec<u8>),
    /// Nothing but 64 hex digits: one secret.
    Plain(Secret<Vec<u8>>),
    /// Something else.
    Unknown,
}

/// What `text` is.
pub fn stored(text: &[u8]) -> Stored {
    if text.len() > MAX_LEN {
        return Stored::Unknown;
    }
    match unhex(text.trim_ascii()) {
        Some(secret) if secret.expose().len() == Entry::SECRET_LEN => Stored::Plain(secret),
        _ if text.starts_with(HEADER) => Stored::Text(blotted(text)),
        _ => Stored::Unknown,
    }
}

/// The last field of a line; lines count from 1.
pub fn last_field(text: &[u8], line: usize) -> Option<&[u8]> {
    let line = text
        .split(|byte| *byte == b'\n')
        .nth(line.checked_sub(1)?)?;
    line.rsplit(|byte| *byte == b' ').next()
}

/// What lower-case hex digits stand for.
pub fn unhex(digits: &[u8]) -> Option<Secret<Vec<u8>>> {
    let (pairs, rest) = digits.as_chunks::<2>();
    // Room for all of it at once: what a growing vector leaves behind is not wiped.
    let mut bytes = Secret::new(Vec::with_capacity(pairs.len()));
    for [high, low] in pairs {
        let byte = nibble(*high).ok()? << 4 | nibble(*low).ok()?;
        bytes.expose_mut().push(byte);
    }
    rest.is_empty().then_some(bytes)
}

fn blotted(text: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(text.len());
    for (number, line) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
        match line.strip_prefix(CHECKSUM) {
            _ if number == 0 => body.extend(first(line)),
            Some(sum) => body.extend(checksum(text, line, sum, &body)),
            None => body.extend(blot(line)),
        }
    }
    body
}

/// The checksum line of what has been blotted out, if it was right before; a wrong one if not.
fn checksum(text: &[u8], line: &[u8], sum: &[u8], body: &[u8]) -> Vec<u8> {
    let before = text
        .len()
        .checked_sub(line.len())
        .and_then(|end| text.get(..end));
    let right = before.is_some_and(|before| {
        text.ends_with(line) && sum.trim_ascii_end() == sha256(before).expose().as_bytes()
    });
    let sum = match right {
        true => sha256(body),
        false => Secret::new("0".repeat(64)),
    };
    let end: &[u8] = if line.ends_with(b"\n") { b"\n" } else { b"" };
    [CHECKSUM, sum.expose().as_bytes(), end].concat()
}

fn sha256(text: &[u8]) -> Secret<String> {
    hex(Hash::Sha256.digest(text).as_ref())
}

fn blot(line: &[u8]) -> Vec<u8> {
    hide_from(shown(line), line)
}

/// How much of a line is not secret: what is before its last field, and no more than the fields up to the KDF, as a spoilt
/// one may have more behind its secret.
fn shown(line: &[u8]) -> usize {
    let last = line.trim_ascii_end().iter().rposition(|byte| *byte == b' ');
    let fields = line.split_inclusive(|byte| *byte == b' ').take(5);
    let mut kdf = 0;
    for field in fields {
        kdf += field.len();
        if field == b"expand " || field.starts_with(b"argon2id,") {
            break;
        }
    }
    last.map_or(0, |at| at + 1).min(kdf)
}

/// The first line with its version alone: without its line ends a whole keyring is one.
fn first(line: &[u8]) -> Vec<u8> {
    let version = line.iter().skip(HEADER.len()).take(3);
    let digits = version.take_while(|byte| byte.is_ascii_digit()).count();
    hide_from(HEADER.len() + digits, line)
}

fn hide_from(shown: usize, line: &[u8]) -> Vec<u8> {
    let hide = |byte: u8| match byte {
        b'\n' | b'=' => byte,
        b'0'..=b'9' | b'a'..=b'f' => b'0',
        _ => b'x',
    };
    let each = |(at, byte): (usize, &u8)| if at < shown { *byte } else { hide(*byte) };
    line.iter().enumerate().map(each).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    fn keyring(secret: &str) -> String {
        let body = format!("merlon keyring 1\nid created begin end expand {secret}\n");
        let sum = sha256(body.as_bytes());
        format!("{body}sha256 {}\n", sum.expose())
    }

    fn text(stored: Stored) -> String {
        match stored {
            Stored::Text(text) => String::from_utf8(text).unwrap(),
            _ => panic!("no text"),
        }
    }

    #[test]
    fn nothing_of_a_secret_is_in_the_blotted_text_and_all_else_is() {
        let zeros = "0".repeat(64);
        assert_eq!(text(stored(keyring(SECRET).as_bytes())), keyring(&zeros));
        let broken = keyring("My Passphrase+/=").replace('\n', "\r\n");
        let blotted = text(stored(broken.as_bytes()));
        assert!(!blotted.contains("Passphrase"), "{blotted}");
    }

    #[test]
    fn a_line_without_fields_is_blotted_out_as_a_whole() {
        let blotted = text(stored(b"merlon keyring 1\nzecret\n"));
        assert_eq!(blotted, "merlon keyring 1\nx00x0x\n");
    }

    /// Line ends that became spaces, a space at the end, a remark: all that people do to a text.
    #[test]
    fn nothing_of_a_secret_is_in_the_blotted_text_of_a_spoilt_keyring() {
        let good = keyring(SECRET);
        for spoilt in [
            good.replace('\n', " "),
            good.replace('\n', "\r"),
            good.replace('\n', "\t"),
            good.replace(SECRET, &format!("{SECRET} ")),
            good.replace(SECRET, &format!("{SECRET} # the new one")),
            good.replace("created", "x created"),
            good.replace("created ", "")
                .replace(SECRET, &format!("{SECRET} # the new one")),
            good.replace("keyring 1", &format!("keyring {SECRET}")),
        ] {
            let blotted = text(stored(spoilt.as_bytes()));
            assert!(!blotted.contains("33445566"), "{spoilt:?} {blotted:?}");
        }
    }

    #[test]
    fn a_wrong_checksum_stays_wrong() {
        let changed = keyring(SECRET).replacen("begin", "since", 1);
        let blotted = text(stored(changed.as_bytes()));
        assert!(blotted.ends_with(&format!("sha256 {}\n", "0".repeat(64))));
        // One in the middle of the text, too.
        let twice = format!("{}{}", keyring(SECRET), keyring(SECRET));
        assert!(text(stored(twice.as_bytes())).contains(&"0".repeat(64)));
    }

    #[test]
    fn a_single_secret_is_known_by_its_64_digits() {
        let plain = |text: &str| matches!(stored(text.as_bytes()), Stored::Plain(_));
        assert!(plain(SECRET));
        assert!(plain(&format!("{SECRET}\n")));
        assert!(!plain(&SECRET.to_uppercase()));
        assert!(!plain(&SECRET.replacen('0', "", 1)));
        assert!(!plain("correct horse battery staple"));
        assert_eq!(
            unhex(SECRET.as_bytes()).unwrap().expose().get(..3),
            Some(&[0, 0x11, 0x22][..])
        );
    }

    #[test]
    fn digits_come_in_pairs_and_in_lower_case() {
        let said = |digits: &str| unhex(digits.as_bytes()).map(|bytes| bytes.expose().clone());
        assert_eq!(said("00ff7a"), Some(vec![0, 0xff, 0x7a]));
        assert_eq!(said(""), Some(vec![]));
        for wrong in ["0", "00f", "FF", "0g", "0x", "00 "] {
            assert_eq!(said(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_last_field_of_each_line_is_found() {
        let text = keyring(SECRET);
        assert_eq!(last_field(text.as_bytes(), 2), Some(SECRET.as_bytes()));
        assert_eq!(last_field(text.as_bytes(), 1), Some(&b"1"[..]));
        assert_eq!(last_field(text.as_bytes(), 0), None);
        assert_eq!(last_field(text.as_bytes(), 9), None);
    }

    #[test]
    fn what_is_too_long_or_nothing_of_ours_is_not_looked_at() {
        assert!(matches!(stored(b""), Stored::Unknown));
        assert!(matches!(stored(b"<html>"), Stored::Unknown));
        let long = format!("merlon keyring 1\n{}", "x".repeat(MAX_LEN));
        assert!(matches!(stored(long.as_bytes()), Stored::Unknown));
    }
}
