//! The text of a keyring file, changed without its secrets leaving this crate. Which lines are good is for the Erlang
//! side to say, which reads every file before it counts; here a line is found by its id and keeps what it has.

use ring::digest::{digest, SHA256};

use crate::{Entry, Error, Secret};

/// Bytes of the largest file that is read: more than 16 entries of any kind.
pub const MAX_LEN: usize = 64 * 1024;

const HEADER: &[u8] = b"merlon keyring 1";
const MAX_ENTRIES: usize = 16;
/// `sha256 HEX` and a newline.
const SUM_LEN: usize = 7 + 64 + 1;

/// A change to one entry, which its id names (16 hex digits). Times are as they stand in the file.
pub enum Change<'a> {
    /// Other times, where they are earlier: who asks for a change may not know yet what another has made of the file.
    Dates {
        /// Which entry.
        id: &'a str,
        /// From when it counts.
        not_before: &'a str,
        /// Until when, or `never`.
        not_after: &'a str,
    },
    /// The line goes, and its secret with it.
    Drop {
        /// Which entry.
        id: &'a str,
    },
}

/// A line to add.
pub struct NewEntry<'a> {
    /// Its secret, which gives its id.
    pub secret: &'a [u8; Entry::SECRET_LEN],
    /// When it was made.
    pub created: &'a str,
    /// From when it counts.
    pub not_before: &'a str,
    /// Until when, or `never`.
    pub not_after: &'a str,
}

/// The file after the changes, with `new` at its end. An entry that is there already is not added again.
///
/// # Errors
/// [`Error::BadKeyring`] when the text is no keyring or a time is no word, [`Error::UnknownEntry`] when there is nothing to
/// change, [`Error::KeyringFull`] beyond 16 entries, or none.
pub fn edit(
    text: &[u8],
    changes: &[Change],
    new: Option<&NewEntry>,
) -> Result<Secret<Vec<u8>>, Error> {
    let lines = entries(text)?;
    let known = |id: &str| lines.iter().any(|line| id_of(line) == id.as_bytes());
    if !changes.iter().all(|change| known(change.id())) {
        return Err(Error::UnknownEntry);
    }
    // Room for all of it at once: what a growing vector leaves behind is not wiped.
    let mut out = Secret::new(Vec::with_capacity(text.len() + 512 + 64 * changes.len()));
    out.expose_mut().extend_from_slice(HEADER);
    out.expose_mut().push(b'\n');
    let mut count = 0;
    for line in &lines {
        count += usize::from(keep(line, changes, out.expose_mut())?);
    }
    if let Some(new) = new {
        count += usize::from(add(new, &lines, out.expose_mut())?);
    }
    if count == 0 || count > MAX_ENTRIES {
        return Err(Error::KeyringFull);
    }
    let sum = checksum(out.expose());
    out.expose_mut().extend_from_slice(sum.as_bytes());
    Ok(out)
}

/// The secret of an entry that is only expanded.
///
/// # Errors
/// [`Error::BadKeyring`], or [`Error::UnknownEntry`] when there is none such.
pub fn secret(text: &[u8], id: &str) -> Result<Secret<[u8; Entry::SECRET_LEN]>, Error> {
    let lines = entries(text)?;
    let mut lines = lines.iter();
    let line = lines.find(|line| id_of(line) == id.as_bytes());
    let fields: Vec<&[u8]> = line.into_iter().flat_map(|line| fields(line)).collect();
    let [_, _, _, _, b"expand", digits] = fields.as_slice() else {
        return Err(Error::UnknownEntry);
    };
    let mut secret = Secret::new([0; Entry::SECRET_LEN]);
    let (pairs, rest) = digits.as_chunks::<2>();
    if pairs.len() != Entry::SECRET_LEN || !rest.is_empty() {
        return Err(Error::BadKeyring);
    }
    for (byte, [high, low]) in secret.expose_mut().iter_mut().zip(pairs) {
        *byte = nibble(*high)? << 4 | nibble(*low)?;
    }
    Ok(secret)
}

impl Change<'_> {
    fn id(&self) -> &str {
        match self {
            Change::Dates { id, .. } | Change::Drop { id } => id,
        }
    }
}

/// The lines between the header and the checksum, which must be right.
fn entries(text: &[u8]) -> Result<Vec<&[u8]>, Error> {
    let body = text.len().checked_sub(SUM_LEN).ok_or(Error::BadKeyring)?;
    let (body, sum) = text.split_at_checked(body).ok_or(Error::BadKeyring)?;
    if text.len() > MAX_LEN || checksum(body).as_bytes() != sum {
        return Err(Error::BadKeyring);
    }
    let mut lines = body.split(|byte| *byte == b'\n');
    match (lines.next(), lines.next_back()) {
        (Some(HEADER), Some(b"")) => Ok(lines.collect()),
        _ => Err(Error::BadKeyring),
    }
}

fn keep(line: &[u8], changes: &[Change], out: &mut Vec<u8>) -> Result<bool, Error> {
    let mut changes = changes.iter();
    match changes.find(|change| change.id().as_bytes() == id_of(line)) {
        Some(Change::Drop { .. }) => return Ok(false),
        Some(Change::Dates {
            not_before,
            not_after,
            ..
        }) => {
            let mut parts: Vec<&[u8]> = fields(line).collect();
            if let [_, _, begin, end, ..] = parts.as_mut_slice() {
                *begin = (*begin).min(time(not_before)?);
                *end = (*end).min(time(not_after)?);
            }
            join(&parts, out);
        }
        None => out.extend_from_slice(line),
    }
    out.push(b'\n');
    Ok(true)
}

fn add(new: &NewEntry, lines: &[&[u8]], out: &mut Vec<u8>) -> Result<bool, Error> {
    let id = hex(&Entry::new(new.secret, 0, None).key_id().0);
    if lines
        .iter()
        .any(|line| id_of(line) == id.expose().as_bytes())
    {
        return Ok(false);
    }
    let digits = hex(new.secret);
    let times = (
        time(new.created)?,
        time(new.not_before)?,
        time(new.not_after)?,
    );
    let (id, digits) = (id.expose().as_bytes(), digits.expose().as_bytes());
    join(&[id, times.0, times.1, times.2, b"expand", digits], out);
    out.push(b'\n');
    Ok(true)
}

fn id_of(line: &[u8]) -> &[u8] {
    fields(line).next().unwrap_or_default()
}

fn fields(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| *byte == b' ')
}

fn join(parts: &[&[u8]], out: &mut Vec<u8>) {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(part);
    }
}

/// As it may stand in a line without making two of it. The earlier of two is the lesser, and `never` comes last.
fn time(text: &str) -> Result<&[u8], Error> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b':';
    match text.len() {
        1..=20 if text.bytes().all(word) => Ok(text.as_bytes()),
        _ => Err(Error::BadKeyring),
    }
}

fn checksum(body: &[u8]) -> String {
    let sum = hex(digest(&SHA256, body).as_ref());
    format!("sha256 {}\n", sum.expose())
}

pub(crate) fn hex(bytes: &[u8]) -> Secret<String> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = String::with_capacity(2 * bytes.len());
    for nibble in bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]) {
        out.extend(DIGITS.get(usize::from(nibble)).map(|d| char::from(*d)));
    }
    Secret::new(out)
}

pub(crate) fn nibble(digit: u8) -> Result<u8, Error> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(Error::BadKeyring),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: &str = "2026-11-27T12:00:00Z";

    fn new(secret: &[u8; 32]) -> NewEntry<'_> {
        NewEntry {
            secret,
            created: TIME,
            not_before: TIME,
            not_after: "never",
        }
    }

    fn file(secrets: &[u8]) -> Vec<u8> {
        let empty = [HEADER, b"\n"].concat();
        let mut text = [&empty[..], checksum(&empty).as_bytes()].concat();
        for secret in secrets {
            text = edit(&text, &[], Some(&new(&[*secret; 32])))
                .unwrap()
                .expose()
                .clone();
        }
        text
    }

    fn id(secret: u8) -> String {
        hex(&Entry::new(&[secret; 32], 0, None).key_id().0)
            .expose()
            .clone()
    }

    #[test]
    fn a_line_keeps_its_secret_and_gets_other_times() {
        let text = file(&[1, 2]);
        let (one, two) = (id(1), id(2));
        let dates = Change::Dates {
            id: &one,
            not_before: TIME,
            not_after: "2027-01-01T00:00:00Z",
        };
        let edited = edit(&text, &[dates], None).unwrap();
        let said = String::from_utf8(edited.expose().clone()).unwrap();
        let line = format!(
            "{one} {TIME} {TIME} 2027-01-01T00:00:00Z expand {}",
            "01".repeat(32)
        );
        assert!(said.lines().any(|known| known == line));
        assert_eq!(secret(edited.expose(), &two).unwrap().expose(), &[2; 32]);
    }

    /// Two rotate at once: whoever has not seen yet that an entry ends soon does not let it live on.
    #[test]
    fn times_are_only_ever_moved_to_earlier_ones() {
        let text = file(&[1]);
        let one = id(1);
        let times = |text: &[u8], not_before, not_after| {
            let id = &one;
            let dates = Change::Dates {
                id,
                not_before,
                not_after,
            };
            let edited = edit(text, &[dates], None).unwrap().expose().clone();
            let line = String::from_utf8(edited.clone()).unwrap();
            let fields: Vec<_> = line.lines().nth(1).unwrap().split(' ').collect();
            (edited, format!("{} {}", fields[2], fields[3]))
        };
        let (soon, _) = times(&text, TIME, "2026-11-28T00:00:00Z");
        for (begin, end) in [
            (TIME, "2026-11-28T00:00:01Z"),
            (TIME, "never"),
            ("2026-11-27T23:00:00Z", "9999-12-31T23:59:59Z"),
        ] {
            let (_, said) = times(&soon, begin, end);
            assert_eq!(
                said,
                format!("{TIME} 2026-11-28T00:00:00Z"),
                "{begin} {end}"
            );
        }
        let (_, earlier) = times(&soon, "2026-11-26T00:00:00Z", "2026-11-27T13:00:00Z");
        assert_eq!(earlier, "2026-11-26T00:00:00Z 2026-11-27T13:00:00Z");
    }

    #[test]
    fn a_dropped_secret_is_gone_but_never_the_last() {
        let text = file(&[1, 2]);
        let (one, two) = (id(1), id(2));
        let edited = edit(&text, &[Change::Drop { id: &one }], None).unwrap();
        assert!(!edited.expose().windows(8).any(|bytes| bytes == b"01010101"));
        assert_eq!(
            secret(edited.expose(), &one).err(),
            Some(Error::UnknownEntry)
        );
        let last = edit(edited.expose(), &[Change::Drop { id: &two }], None);
        assert_eq!(last.err(), Some(Error::KeyringFull));
    }

    #[test]
    fn an_entry_stands_there_once_and_there_are_16_at_most() {
        let text = file(&[1]);
        assert_eq!(
            edit(&text, &[], Some(&new(&[1; 32]))).unwrap().expose(),
            &text
        );
        let full = file(&(1..=16).collect::<Vec<u8>>());
        let more = edit(&full, &[], Some(&new(&[17; 32])));
        assert_eq!(more.err(), Some(Error::KeyringFull));
    }

    #[test]
    fn a_damaged_file_is_left_alone() {
        let text = file(&[1]);
        for at in 0..text.len() {
            let mut bad = text.clone();
            bad[at] ^= 1;
            assert_eq!(
                edit(&bad, &[], None).err(),
                Some(Error::BadKeyring),
                "byte {at}"
            );
            assert!(edit(&text[..at], &[], None).is_err());
        }
        let unknown = Change::Drop { id: &id(2) };
        assert_eq!(
            edit(&text, &[unknown], None).err(),
            Some(Error::UnknownEntry)
        );
    }

    #[test]
    fn a_time_can_not_bring_a_line_with_it() {
        let one = id(1);
        for not_after in [
            "",
            "never\n",
            "never x",
            "2026-11-27T12:00:00Z\nx",
            "0123456789012345678901",
        ] {
            let dates = Change::Dates {
                id: &one,
                not_before: TIME,
                not_after,
            };
            assert_eq!(
                edit(&file(&[1]), &[dates], None).err(),
                Some(Error::BadKeyring)
            );
        }
    }

    #[test]
    fn what_is_not_only_expanded_is_not_given() {
        let text = file(&[1]);
        let body = String::from_utf8(text[..text.len() - SUM_LEN].to_vec()).unwrap();
        let body = body.replace(" expand ", " argon2id ");
        let text = [body.as_bytes(), checksum(body.as_bytes()).as_bytes()].concat();
        assert_eq!(secret(&text, &id(1)).err(), Some(Error::UnknownEntry));
    }
}
