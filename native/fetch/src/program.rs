//! The output of a program, without the VM: a port's output would be an Erlang binary, which nothing wipes, and
//! would outlive its use on a heap. The program writes into a socket instead of a pipe, because sockets can be
//! read with a timeout.

use crate::file::{up_to, why};
use merlon_secret::Secret;
use merlon_sock::inherit_nothing;
use rustix::process::{kill_process_group, Pid, Signal};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Why a program has given nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// It can't be started, or others than its owner may change it.
    Program {
        /// A stable word.
        why: &'static str,
    },
    /// It did not end in time, and was killed.
    Timeout,
    /// It wrote more than is taken, and was killed.
    TooLarge,
    /// It wrote nothing.
    Empty,
    /// It ended with another status than 0.
    Exit {
        /// That.
        status: i32,
    },
    /// A signal ended it.
    Signal {
        /// Its number.
        signal: i32,
    },
}

impl Error {
    /// Its stable name.
    pub fn code(&self) -> &'static str {
        match self {
            Error::Program { .. } => "program",
            Error::Timeout => "timeout",
            Error::TooLarge => "too_large",
            Error::Empty => "empty",
            Error::Exit { .. } => "exit_status",
            Error::Signal { .. } => "signal",
        }
    }
}

/// Between two looks at whether a program that has closed its output is gone.
const PAUSE: Duration = Duration::from_millis(10);

/// What the program writes to its standard output, at most `most` bytes. No shell, no input, nothing of this process's
/// environment, none of its files and sockets; what it says on its standard error goes nowhere, as it may hold anything.
pub fn run(
    program: &str,
    args: &[String],
    within: Duration,
    most: usize,
) -> Result<Secret<Vec<u8>>, Error> {
    check(program)?;
    let deadline = Instant::now() + within;
    let unstarted = |error: io::Error| Error::Program { why: why(&error) };
    inherit_nothing().map_err(unstarted)?;
    let (ours, theirs) = UnixStream::pair().map_err(unstarted)?;
    let child = start(program, args, theirs).map_err(unstarted)?;
    let mut running = Running {
        child,
        waited: false,
    };
    let output = up_to(
        Until {
            stream: ours,
            deadline,
        },
        most,
    );
    match output {
        Ok(output) if output.expose().len() > most => Err(Error::TooLarge),
        Ok(output) => ended(running.wait(deadline)?, output),
        Err(_) => Err(Error::Timeout),
    }
}

/// Whoever can change the program can have the secret, and more.
fn check(program: &str) -> Result<(), Error> {
    let refuse = |why| Error::Program { why };
    if !program.starts_with('/') {
        return Err(refuse("not_absolute"));
    }
    let info = std::fs::metadata(program).map_err(|error| refuse(why(&error)))?;
    match info.permissions().mode() {
        _ if !info.is_file() => Err(refuse("not_a_file")),
        mode if mode & 0o111 == 0 => Err(refuse("not_executable")),
        _ if info.mode() & 0o022 != 0 && !knockout::out!("file_mode") => Err(refuse("too_open")),
        _ => Ok(()),
    }
}

fn start(program: &str, args: &[String], output: UnixStream) -> io::Result<Child> {
    Command::new(program)
        .args(args)
        .env_clear()
        .env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        )
        .env("LC_ALL", "C")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(OwnedFd::from(output))
        .stderr(Stdio::null())
        // Of its own, so that what it starts can be killed with it.
        .process_group(0)
        .spawn()
}

/// A program that does not outlive this value, nor what it has started in its group.
struct Running {
    child: Child,
    /// From then on its number may be another's.
    waited: bool,
}

impl Running {
    /// It has closed its output; that it goes on for ever is not to be waited for.
    fn wait(&mut self, deadline: Instant) -> Result<ExitStatus, Error> {
        loop {
            let status = self.child.try_wait();
            self.waited = !matches!(status, Ok(None));
            match status {
                Ok(Some(status)) => return Ok(status),
                Ok(None) if Instant::now() >= deadline => return Err(Error::Timeout),
                Ok(None) => std::thread::sleep(PAUSE),
                // Somebody else has waited for it, or nobody can: its status is unknown, and so no good one.
                Err(_) => return Err(Error::Program { why: "no_status" }),
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let (Some(group), false) = (group, self.waited) {
            let _ = kill_process_group(group, Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

fn ended(status: ExitStatus, output: Secret<Vec<u8>>) -> Result<Secret<Vec<u8>>, Error> {
    match (status.code(), status.signal()) {
        (Some(0), _) if output.expose().is_empty() => Err(Error::Empty),
        (Some(0), _) => Ok(output),
        (Some(status), _) => Err(Error::Exit { status }),
        (None, signal) => Err(Error::Signal {
            signal: signal.unwrap_or(0),
        }),
    }
}

/// Reads until the deadline.
struct Until {
    stream: UnixStream,
    deadline: Instant,
}

impl Read for Until {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(Some(left))?;
        self.stream.read(bytes)
    }
}
