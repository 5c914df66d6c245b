//! Files that others may read, that are none, or that are more than a secret can be.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use merlon_fetch::{read, Guard};
use merlon_store::Error;
use std::fs;
use std::os::unix::fs::{symlink, PermissionsExt};
use std::path::PathBuf;
use std::process::Command;

struct Dir(PathBuf);

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn dir(name: &str) -> Dir {
    let path = std::env::temp_dir().join(format!("merlon-file-{name}-{}", std::process::id()));
    fs::create_dir_all(&path).unwrap();
    Dir(path)
}

fn file(dir: &Dir, name: &str, text: &str, mode: u32) -> String {
    let path = dir.0.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path.to_str().unwrap().to_string()
}

fn private(path: &str) -> Result<String, &'static str> {
    match read(path, Guard::Private, 100) {
        Ok(bytes) => Ok(String::from_utf8(bytes.expose().clone()).unwrap()),
        Err(Error::File { path: named, why }) if named == path => Err(why),
        Err(error) => panic!("{error:?}"),
    }
}

/// Turns red with `MERLON_KNOCKOUT=file_mode`.
#[test]
fn knockout_file_mode_a_secret_that_others_may_read_is_refused() {
    let dir = dir("mode");
    assert_eq!(
        private(&file(&dir, "good", "text", 0o600)),
        Ok("text".to_string())
    );
    assert_eq!(
        private(&file(&dir, "world", "text", 0o644)),
        Err("too_open")
    );
    let open = file(&dir, "open", "text", 0o644);
    assert!(read(&open, Guard::Anyone, 100).is_ok());
}

/// Kubernetes lays a secret as NAME -> ..data/NAME, ..data -> ..TIME, and exchanges ..data.
#[test]
fn links_are_followed_to_what_is_checked() {
    let dir = dir("links");
    for (name, text, mode) in [
        ("one", "first", 0o600),
        ("two", "second", 0o400),
        ("three", "x", 0o644),
    ] {
        fs::create_dir(dir.0.join(name)).unwrap();
        file(&dir, &format!("{name}/keyring"), text, mode);
    }
    let (data, name) = (dir.0.join("..data"), dir.0.join("keyring"));
    symlink("..data/keyring", &name).unwrap();
    let path = name.to_str().unwrap();
    for (folder, read) in [
        ("one", Ok("first".to_string())),
        ("two", Ok("second".to_string())),
        ("three", Err("too_open")),
        ("nowhere", Err("enoent")),
    ] {
        let _ = fs::remove_file(&data);
        symlink(folder, &data).unwrap();
        assert_eq!(private(path), read);
    }
}

#[test]
fn what_is_no_file_empty_or_too_big_is_refused_and_a_pipe_is_not_waited_for() {
    let dir = dir("none");
    assert_eq!(private(&file(&dir, "empty", "", 0o600)), Err("empty"));
    assert_eq!(
        private(&file(&dir, "most", &"x".repeat(100), 0o600)).map(|text| text.len()),
        Ok(100)
    );
    assert_eq!(
        private(&file(&dir, "more", &"x".repeat(101), 0o600)),
        Err("too_big")
    );
    let pipe = dir.0.join("pipe");
    assert!(Command::new("mkfifo")
        .arg(&pipe)
        .status()
        .unwrap()
        .success());
    assert_eq!(private(pipe.to_str().unwrap()), Err("not_a_file"));
    assert_eq!(private(dir.0.to_str().unwrap()), Err("not_a_file"));
    assert_eq!(private("/nowhere/at/all"), Err("enoent"));
    assert_eq!(private("/dev/zero"), Err("not_a_file"));
}
