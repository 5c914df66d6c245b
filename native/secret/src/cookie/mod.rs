//! What a cookie of OTP's own generator is worth: how to tell one, and how to find one.
//!
//! OTP (`auth:create_cookie/1`) makes 20 letters from one number, the nanoseconds from the start of the VM to that
//! moment, modulo 2^36. [`seed_of`] gives that number back from the letters; [`Capture::search`] finds it from one
//! answer of the distribution's handshake.

mod generator;
mod lattice;
mod md5;
mod search;

pub use generator::{cookie_of, seed_of, LEN, SEEDS};
pub use search::{Capture, Simd};
