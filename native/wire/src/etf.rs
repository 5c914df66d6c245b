//! External terms, looked at before the VM builds them: [`scan`] reads the bytes that `binary_to_term` would read and
//! refuses what is over a [`Budget`]. It does not recurse, keeps one small frame for each open container and one piece
//! of 8 KiB of a compressed term beside the window that inflating needs, and takes no claimed size for true: its time is linear in the bytes read. [`unpack`]
//! keeps what it inflates, for a term that is going to be built: it is not inflated a second time.
//!
//! Format: "External Term Format" of the ERTS User's Guide, OTP 25 to 28. What only the building of a term can show
//! (a map's key given twice, a float's text) is left to the VM, which refuses it too.

mod atoms;
mod inflate;
mod range;
mod refusal;
mod scanner;
mod source;
mod stack;

use crate::Error;
pub use atoms::MAX_ATOM;
use atoms::{Atoms, Ignored, NewAtoms};
use inflate::Inflate;
pub use refusal::{Kind, Limit, Refusal};
use scanner::Scanner;
use source::{Slice, Source};
use std::borrow::Cow;

const VERSION: u8 = 131;
const COMPRESSED: u8 = 80;

/// What a term may cost, each the largest value accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Bytes of the external term as it came.
    pub bytes: u64,
    /// Bytes of a compressed term when it is inflated; 0 for no compressed terms.
    pub inflated: u64,
    /// Terms: each element, key, value and tail, and each character of a string.
    pub terms: u64,
    /// Containers inside each other: tuples, lists, maps, funs with their environment.
    pub depth: u64,
    /// Atoms that the VM does not have yet, each counted once; only [`survey`] looks.
    pub new_atoms: u64,
    /// Bytes of a binary.
    pub binary: u64,
    /// Bytes of an integer's magnitude.
    pub bignum: u64,
    /// Numbers in an Elixir `Range`.
    pub range: u64,
    /// Kinds of terms that are let in, a sum of [`Kind::bit`].
    pub allow: u64,
}

impl Budget {
    /// Everything.
    pub const UNLIMITED: Budget = Budget {
        bytes: u64::MAX,
        inflated: u64::MAX,
        terms: u64::MAX,
        depth: u64::MAX,
        new_atoms: u64::MAX,
        binary: u64::MAX,
        bignum: u64::MAX,
        range: u64::MAX,
        allow: u64::MAX,
    };
}

/// What a term did cost, in the units of [`Budget`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Bytes as they came.
    pub bytes: u64,
    /// Bytes inflated, 0 if the term is not compressed.
    pub inflated: u64,
    /// Terms.
    pub terms: u64,
    /// Most containers inside each other.
    pub depth: u64,
    /// Atoms that the VM does not have.
    pub new_atoms: u64,
    /// The largest binary's bytes.
    pub binary: u64,
    /// The largest integer's bytes.
    pub bignum: u64,
    /// The largest range's numbers.
    pub range: u64,
}

/// Whether `term` is one whole external term within the budget.
///
/// # Errors
/// [`Error::Term`].
pub fn scan(term: &[u8], budget: &Budget) -> Result<Counts, Error> {
    Ok(run(term, budget, &mut Ignored)?)
}

/// [`scan`], and the names of the atoms that are not `known`: no more than the budget's.
///
/// # Errors
/// [`Error::Term`].
pub fn survey(
    term: &[u8],
    budget: &Budget,
    known: impl FnMut(&str) -> bool,
) -> Result<(Counts, Vec<String>), Error> {
    let mut atoms = NewAtoms::new(budget.new_atoms, known);
    let mut counts = run(term, budget, &mut atoms)?;
    let names = atoms.into_names();
    counts.new_atoms = names.len() as u64;
    Ok((counts, names))
}

/// [`scan`], and the term to be built: as it came, or inflated.
///
/// # Errors
/// [`Error::Term`].
pub fn unpack<'a>(term: &'a [u8], budget: &Budget) -> Result<Cow<'a, [u8]>, Error> {
    let [VERSION, COMPRESSED, head @ ..] = term else {
        return scan(term, budget).map(|_| Cow::Borrowed(term));
    };
    within(Limit::Bytes, term.len() as u64, budget.bytes)?;
    let (zlib, inflated) = claim(head, budget)?;
    let mut source = Inflate::keeping(zlib, inflated);
    match source.whole()? {
        Some(inner) => in_memory(inner, 0, budget, &mut Ignored)?,
        None => streamed(&mut source, budget, &mut Ignored)?,
    };
    Ok(Cow::Owned(source.into_bytes()))
}

fn run(term: &[u8], budget: &Budget, atoms: &mut impl Atoms) -> Result<Counts, Refusal> {
    let bytes = term.len() as u64;
    within(Limit::Bytes, bytes, budget.bytes)?;
    let counts = match term {
        [VERSION, COMPRESSED, head @ ..] => compressed(head, budget, atoms)?,
        [VERSION, plain @ ..] => in_memory(plain, 1, budget, atoms)?,
        [] => return Err(Refusal::Cut { at: 0 }),
        [..] => return Err(Refusal::Version),
    };
    Ok(Counts { bytes, ..counts })
}

fn compressed(head: &[u8], budget: &Budget, atoms: &mut impl Atoms) -> Result<Counts, Refusal> {
    let (zlib, inflated) = claim(head, budget)?;
    let counts = streamed(&mut Inflate::new(zlib, inflated), budget, atoms)?;
    Ok(Counts { inflated, ..counts })
}

/// The zlib stream, and what it claims to inflate to.
fn claim<'a>(head: &'a [u8], budget: &Budget) -> Result<(&'a [u8], u64), Refusal> {
    let (size, zlib) = head.split_first_chunk().ok_or(Refusal::Cut {
        at: 2 + head.len() as u64,
    })?;
    let inflated = u64::from(u32::from_be_bytes(*size));
    within(Limit::Inflated, inflated, budget.inflated)?;
    Ok((zlib, inflated))
}

/// What names no range is read once, and its maps are as lists.
fn in_memory(
    bytes: &[u8],
    before: u64,
    budget: &Budget,
    atoms: &mut impl Atoms,
) -> Result<Counts, Refusal> {
    let source = || Slice::new(bytes, before);
    match whole::<false>(&mut source(), budget, atoms)? {
        (_, true) => streamed(&mut source(), budget, atoms),
        (counts, false) => Ok(counts),
    }
}

/// What can be read once only.
fn streamed(
    source: &mut impl Source,
    budget: &Budget,
    atoms: &mut impl Atoms,
) -> Result<Counts, Refusal> {
    whole::<true>(source, budget, atoms).map(|(counts, _)| counts)
}

fn whole<const RANGES: bool>(
    source: &mut impl Source,
    budget: &Budget,
    atoms: &mut impl Atoms,
) -> Result<(Counts, bool), Refusal> {
    let seen = Scanner::<_, _, RANGES>::new(source, budget, atoms).run()?;
    match source.left() {
        0 => source.end().map(|()| seen),
        bytes => Err(Refusal::Trailing { bytes }),
    }
}

/// The one place where a budget is held against what it is for.
fn within(what: Limit, value: u64, max: u64) -> Result<(), Refusal> {
    if value > max && !knockout::out!("term_budget") {
        return Err(Refusal::Over { what, max });
    }
    Ok(())
}
