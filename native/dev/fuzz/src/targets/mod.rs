//! The targets: one file each, and one line in [`TARGETS`].

mod certificate;
mod content;
mod control;
mod csr;
mod etf;
mod frame;
mod join;
mod lane;
mod preamble;
mod record;
mod tls;

/// Something that reads a peer's bytes.
pub struct Target {
    /// Its name on the command line.
    pub name: &'static str,
    /// Valid inputs to start from.
    pub corpus: fn() -> Vec<Vec<u8>>,
    /// Runs one input and checks every promise by assertions. The number stands for what happened: inputs that
    /// give a new one are kept for further mutation.
    pub run: fn(&[u8]) -> u64,
}

/// All targets.
pub const TARGETS: &[Target] = &[
    record::TARGET,
    content::TARGET,
    frame::TARGET,
    lane::TARGET,
    preamble::TARGET,
    control::TARGET,
    etf::TARGET,
    certificate::TARGET,
    csr::TARGET,
    tls::TARGET,
    join::TARGET,
];

/// A number that stands for what happened.
fn outcome(what: impl std::hash::Hash) -> u64 {
    use std::hash::{DefaultHasher, Hasher};
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}
