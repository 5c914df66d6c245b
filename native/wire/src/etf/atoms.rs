//! Names of atoms: whether they are some, and which of them are new.

use super::{within, Limit, Refusal};
use std::borrow::Cow;
use std::collections::HashSet;

/// Bytes of the longest atom: 255 characters in UTF-8.
pub const MAX_ATOM: usize = 1020;
const MAX_CHARACTERS: usize = 255;

/// How an atom is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    Latin1,
    Utf8,
}

/// What is done with a name that is an atom's.
pub trait Atoms {
    /// Whether it may be.
    fn see(&mut self, name: &[u8], spelling: Spelling) -> Result<(), Refusal>;
}

/// Whether these bytes can be an atom. The VM looks at the characters only where there are too many bytes, so does this.
#[inline]
pub fn is_atom(name: &[u8], spelling: Spelling) -> bool {
    match spelling {
        Spelling::Latin1 => name.len() <= MAX_CHARACTERS,
        Spelling::Utf8 if name.is_ascii() => name.len() <= MAX_CHARACTERS,
        Spelling::Utf8 => std::str::from_utf8(name).is_ok_and(|text| {
            text.len() <= MAX_CHARACTERS || text.chars().count() <= MAX_CHARACTERS
        }),
    }
}

/// Nothing is.
pub struct Ignored;

impl Atoms for Ignored {
    #[inline]
    fn see(&mut self, _name: &[u8], _spelling: Spelling) -> Result<(), Refusal> {
        Ok(())
    }
}

/// Those that are not known are kept, no more than `max`.
pub struct NewAtoms<F> {
    known: F,
    names: HashSet<String>,
    max: u64,
}

impl<F: FnMut(&str) -> bool> NewAtoms<F> {
    pub fn new(max: u64, known: F) -> Self {
        let names = HashSet::new();
        NewAtoms { known, names, max }
    }

    pub fn into_names(self) -> Vec<String> {
        self.names.into_iter().collect()
    }
}

impl<F: FnMut(&str) -> bool> Atoms for NewAtoms<F> {
    fn see(&mut self, name: &[u8], spelling: Spelling) -> Result<(), Refusal> {
        let name = text(name, spelling);
        if self.names.contains(name.as_ref()) || (self.known)(&name) {
            return Ok(());
        }
        within(Limit::NewAtoms, self.names.len() as u64 + 1, self.max)?;
        self.names.insert(name.into_owned());
        Ok(())
    }
}

fn text(name: &[u8], spelling: Spelling) -> Cow<'_, str> {
    match spelling {
        Spelling::Latin1 if !name.is_ascii() => name.iter().map(|byte| char::from(*byte)).collect(),
        _ => String::from_utf8_lossy(name), // nothing is lost: it is UTF-8 by is_atom
    }
}
