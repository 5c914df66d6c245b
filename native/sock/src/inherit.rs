use rustix::io::{fcntl_setfd, FdFlags};
use std::fs;
use std::io;
use std::os::fd::{BorrowedFd, RawFd};

/// Marks every file and socket of this process but the standard ones to be closed in programs that it starts. The VM
/// leaves its own unmarked, as it starts its programs from another process.
///
/// # Errors
/// What comes of listing them.
pub fn inherit_nothing() -> io::Result<()> {
    for entry in fs::read_dir("/dev/fd")? {
        match entry?.file_name().to_str().map(str::parse::<RawFd>) {
            Some(Ok(fd)) if fd > 2 => mark(fd),
            _ => (),
        }
    }
    Ok(())
}

#[allow(unsafe_code)]
fn mark(fd: RawFd) {
    // SAFETY: used in the one call below, which takes any number: one that somebody has closed by now is refused, and
    // one that is another's by now may be marked too. It is never closed here, nor -1.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    let _ = fcntl_setfd(fd, FdFlags::CLOEXEC);
}
