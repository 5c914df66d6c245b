//! Secrets from where they live: files, the environment, programs, and servers over HTTP. All of it waits, up to a
//! deadline, so it is for dirty threads.
//!
//! It works while a VM boots: nothing here needs more than the operating system. What is read is in `Secret`s; the
//! buffers of the HTTP and TLS libraries, and the kernel's pipes, are theirs to wipe, which they do not.
//!
//! Knock-outs: with `MERLON_KNOCKOUT=file_mode` files and programs that others may read or change are taken.

#![forbid(unsafe_code)]

mod file;
mod http;
mod program;

pub use file::{read, Guard};
pub use program::{run, Error as ProgramError};

use merlon_secret::Secret;
use merlon_store::{Error, Outside, Request, Response};
use ring::rand::{SecureRandom, SystemRandom};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Longer than any keyring, in bytes.
pub const MAX_SECRET: usize = merlon_secret::keyring::MAX_LEN;

/// The real world, until a deadline.
pub struct World {
    deadline: Instant,
    ca: Option<String>,
    random: SystemRandom,
}

impl World {
    /// `ca`: a file with the only roots that servers are trusted by; without one, the system's.
    pub fn new(within: Duration, ca: Option<String>) -> World {
        World {
            deadline: Instant::now() + within,
            ca,
            random: SystemRandom::new(),
        }
    }
}

impl Outside for World {
    fn send(&mut self, request: &Request) -> Result<Response, Error> {
        http::send(request, self.deadline, self.ca.as_deref())
    }

    fn file(&mut self, path: &str, secret: bool) -> Result<Secret<Vec<u8>>, Error> {
        let guard = if secret {
            Guard::Private
        } else {
            Guard::Anyone
        };
        read(path, guard, MAX_SECRET)
    }

    fn variable(&mut self, name: &str) -> Option<Secret<String>> {
        variable(name)
    }

    fn now(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |since| since.as_secs())
    }

    fn random(&self) -> &dyn SecureRandom {
        &self.random
    }
}

/// A variable of the environment that this process was started with; empty is none. What the VM sets or removes later
/// is not seen here: it keeps an environment of its own.
pub fn variable(name: &str) -> Option<Secret<String>> {
    if name.is_empty() || name.contains(['=', '\0']) {
        return None;
    }
    let value = Secret::new(std::env::var(name).ok()?);
    (!value.expose().is_empty()).then_some(value)
}
