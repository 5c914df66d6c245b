use merlon_secret::Secret;
use merlon_store::Error;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;

/// Who may have access to a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// Its owner alone; of a file of root's, its group may read it too: that is how Kubernetes and systemd hand secrets
    /// to those who are not root.
    Private,
    /// Whoever can.
    Anyone,
}

/// What is in a regular file, links followed.
pub fn read(path: &str, guard: Guard, most: usize) -> Result<Secret<Vec<u8>>, Error> {
    let refuse = |why| Error::File {
        path: path.to_string(),
        why,
    };
    let unread = |error: io::Error| refuse(why(&error));
    // A pipe or a device is not even opened: that could wait for ever.
    if !std::fs::metadata(path).map_err(unread)?.is_file() {
        return Err(refuse("not_a_file"));
    }
    let file = File::open(path).map_err(unread)?;
    // What is checked is the open file, not the name: it can't be exchanged in between.
    let info = file.metadata().map_err(unread)?;
    if !info.is_file() {
        return Err(refuse("not_a_file"));
    }
    if guard == Guard::Private && !is_private(info.mode(), info.uid()) {
        return Err(refuse("too_open"));
    }
    let bytes = up_to(file, most).map_err(unread)?;
    match bytes.expose().len() {
        0 => Err(refuse("empty")),
        len if len > most => Err(refuse("too_big")),
        _ => Ok(bytes),
    }
}

fn is_private(mode: u32, owner: u32) -> bool {
    let others = if owner == 0 { 0o037 } else { 0o077 };
    mode & others == 0 || knockout::out!("file_mode")
}

/// At most one byte more than `most`, into memory that never moves, so that none of it stays unwiped.
pub(crate) fn up_to(from: impl Read, most: usize) -> io::Result<Secret<Vec<u8>>> {
    let mut bytes = Secret::new(Vec::with_capacity(most + 1));
    let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    let mut from = from.take(limit);
    let mut chunk = Secret::new([0; 4096]);
    loop {
        let read = match from.read(chunk.expose_mut()) {
            Ok(0) => return Ok(bytes),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        bytes.expose_mut().extend(chunk.expose().iter().take(read));
    }
}

/// The POSIX name, as far as it tells anybody what to do.
pub(crate) fn why(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "enoent",
        io::ErrorKind::PermissionDenied => "eacces",
        io::ErrorKind::NotADirectory => "enotdir",
        io::ErrorKind::InvalidInput => "einval",
        io::ErrorKind::ConnectionRefused => "econnrefused",
        io::ErrorKind::ConnectionReset => "econnreset",
        io::ErrorKind::HostUnreachable => "ehostunreach",
        io::ErrorKind::NetworkUnreachable => "enetunreach",
        io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe => "closed",
        _ => "eio",
    }
}

#[cfg(test)]
mod tests {
    use super::is_private;

    /// Turns red with `MERLON_KNOCKOUT=file_mode`.
    #[test]
    fn knockout_file_mode_a_file_that_others_may_use_is_refused() {
        for mode in [0o644, 0o604, 0o640, 0o620, 0o601, 0o777] {
            assert!(!is_private(mode, 1000), "{mode:o}");
        }
        for mode in [0o644, 0o660, 0o404, 0o450] {
            assert!(!is_private(mode, 0), "{mode:o} of root");
        }
    }

    #[test]
    fn its_owner_may_read_it_and_of_roots_the_group() {
        for mode in [0o600, 0o400, 0o700] {
            assert!(is_private(mode, 1000), "{mode:o}");
        }
        assert!(is_private(0o440, 0));
        assert!(is_private(0o640, 0));
    }
}
