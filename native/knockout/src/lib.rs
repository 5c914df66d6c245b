//! Security checks that a test can take out, to see that another test misses them (test/support/knockouts.sh).
//!
//! Only a build with `--cfg knockouts` can lack a check: there the environment variable `MERLON_KNOCKOUT` names the one
//! to leave out, so that one build serves all of them. Everywhere else [`out!`] is the constant `false`, and the compiler
//! drops what stands behind it.

#![forbid(unsafe_code)]

/// True when the check of this name is taken out: never, but for a build with `--cfg knockouts`.
#[macro_export]
macro_rules! out {
    ($name:literal) => {
        cfg!(knockouts) && $crate::named($name)
    };
}

/// True when `MERLON_KNOCKOUT` is this name. Behind [`out!`] only.
#[cfg(knockouts)]
pub fn named(name: &str) -> bool {
    std::env::var("MERLON_KNOCKOUT").is_ok_and(|out| out == name)
}

/// Never called: [`out!`] is false before it comes to this.
#[cfg(not(knockouts))]
pub const fn named(_: &str) -> bool {
    false
}
