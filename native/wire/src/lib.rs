//! What travels inside the TLS channel: distribution frames, small ones in a stream
//! ([`frame`]) and big ones beside it ([`lane`]), and the messages with which two carriers introduce themselves
//! ([`preamble`]) and later go on to talk ([`control`]). Beside them, terms that come from anywhere: [`etf`].
//!
//! Where this differs from a plain reading of the project's contract: `encode` gives a `Result`, as a name or a
//! list that a peer would refuse is better refused here.

#![forbid(unsafe_code)]

pub mod control;
mod error;
pub mod etf;
pub mod fragment;
pub mod frame;
pub mod lane;
pub mod preamble;

pub use error::Error;
