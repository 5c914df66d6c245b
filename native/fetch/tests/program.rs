//! Programs that hang, flood, fail, or can be changed by others.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use merlon_fetch::{run, ProgramError as Error};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

fn sh_within(script: &str, within: u64) -> Result<String, Error> {
    let args = ["-c".to_string(), script.to_string()];
    let output = run("/bin/sh", &args, Duration::from_millis(within), 1000)?;
    Ok(String::from_utf8(output.expose().clone()).unwrap())
}

fn sh(script: &str) -> Result<String, Error> {
    sh_within(script, 10_000)
}

#[test]
fn its_output_is_what_it_writes_and_its_arguments_are_no_shells() {
    assert_eq!(sh("echo text; echo more >&2"), Ok("text\n".to_string()));
    let args = ["%s".to_string(), "$HOME; `id`".to_string()];
    let output = run("/usr/bin/printf", &args, Duration::from_secs(10), 1000).unwrap();
    assert_eq!(output.expose(), b"$HOME; `id`");
}

#[test]
fn nothing_of_this_processs_environment_and_no_input_reach_it() {
    assert!(std::env::var("CARGO_MANIFEST_DIR").is_ok());
    let seen = sh("env; cat").unwrap();
    let names: Vec<_> = seen
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, _)| name)
        .collect();
    let known = ["PATH", "LC_ALL", "PWD", "_", "SHLVL", "OLDPWD"];
    assert!(names.iter().all(|name| known.contains(name)), "{names:?}");
    assert!(names.contains(&"PATH"));
}

/// A VM has sockets and files that are not marked for it: one that was handed on would stay open as long as whatever the
/// program has left behind.
#[test]
fn no_open_file_or_socket_of_this_process_reaches_it() {
    let file = fs::File::open("/dev/null").unwrap();
    rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).unwrap();
    let listed = sh("ls /dev/fd/").unwrap();
    // The last is of the folder that is listed.
    assert_eq!(listed, "0\n1\n2\n3\n");
}

#[test]
fn one_that_fails_writes_nothing_or_is_killed_gives_nothing() {
    assert_eq!(sh("echo text; exit 1"), Err(Error::Exit { status: 1 }));
    assert_eq!(sh("kill -9 $$"), Err(Error::Signal { signal: 9 }));
    assert_eq!(sh("true"), Err(Error::Empty));
}

#[test]
fn one_that_floods_is_stopped() {
    let begin = Instant::now();
    assert_eq!(
        sh("while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxx; done"),
        Err(Error::TooLarge)
    );
    assert!(begin.elapsed() < Duration::from_secs(5));
    assert_eq!(
        sh("head -c 1000 /dev/zero").map(|text| text.len()),
        Ok(1000)
    );
}

/// Whether any process has this number in its command line.
fn is_running(mark: &str) -> bool {
    let lines = fs::read_dir("/proc").unwrap().flatten();
    lines
        .filter_map(|entry| fs::read(entry.path().join("cmdline")).ok())
        .any(|line| {
            line.split(|byte| *byte == 0)
                .any(|word| word == mark.as_bytes())
        })
}

#[test]
fn one_that_hangs_is_killed_with_all_that_it_has_started() {
    let pid = std::process::id();
    for (number, script) in [
        "sleep MARK",
        "sleep MARK; true",
        "sleep MARK & sleep MARK & wait",
        "sleep MARK & exit 0",
        "trap '' TERM HUP INT; while :; do sleep MARK; done",
        "exec >&-; sleep MARK; true",
    ]
    .into_iter()
    .enumerate()
    {
        let mark = format!("10{number}.{pid}");
        let begin = Instant::now();
        assert_eq!(
            sh_within(&script.replace("MARK", &mark), 300),
            Err(Error::Timeout),
            "{script}"
        );
        assert!(begin.elapsed() < Duration::from_secs(2), "{script}");
        // A signal takes a moment.
        let gone = (0..100).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            !is_running(&mark)
        });
        assert!(gone, "{script}");
    }
}

/// A folder, and what comes of running a script in it that has this mode.
fn script(name: &str) -> (PathBuf, impl Fn(u32) -> Option<Error>) {
    let dir = std::env::temp_dir().join(format!("merlon-program-{name}-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let path = dir.join("program");
    fs::write(&path, "#!/bin/sh\necho text\n").unwrap();
    let run_with = move |mode| {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        run(path.to_str().unwrap(), &[], Duration::from_secs(5), 100).err()
    };
    (dir, run_with)
}

/// Turns red with `MERLON_KNOCKOUT=file_mode`.
#[test]
fn knockout_file_mode_a_program_that_others_may_change_is_not_started() {
    let (dir, with) = script("changed");
    let refused = Some(Error::Program { why: "too_open" });
    assert_eq!((with(0o777), with(0o720)), (refused.clone(), refused));
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn one_that_is_none_is_not_started() {
    let (dir, with) = script("none");
    let refused = |why| Some(Error::Program { why });
    assert_eq!(with(0o600), refused("not_executable"));
    assert_eq!(with(0o700), None);
    fs::remove_dir_all(&dir).unwrap();
    let start = |program: &str| run(program, &[], Duration::from_secs(5), 100).err();
    assert_eq!(start("true"), refused("not_absolute"));
    assert_eq!(start("/nowhere/true"), refused("enoent"));
    assert_eq!(start("/tmp"), refused("not_a_file"));
}
