//! Tests of tests: one is run once more, in a process with a planted bug, and has to fail for the right reason.
//!
//! The bug stands in the environment of that process, and so of all directory nodes and file servers that it starts.

#![allow(clippy::print_stdout, reason = "tests print what they measured")]
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use ringmaster::domain::plant::{self, Plant};

/// How directory nodes and file servers are told.
const VARIABLE: &str = "RINGMASTER__TEST__PLANT";
/// How sizes of tests are given. A planted bug is caught at the smallest.
const SIZES: &str = "RINGMASTER_TEST_";
const SEED: &str = "RINGMASTER_TEST_SEED";
/// Far more than any of these tests takes, which may wait several times for as long as they wait for one condition.
const PATIENCE: Duration = Duration::from_secs(600);
/// Of what a failed test printed, as much as is shown.
const SHOWN: usize = 4_000;

/// Plants the bug that this process was started with, for a test whose code under test runs in the process itself.
/// Whether there is one.
pub fn begin() -> bool {
    let Ok(name) = std::env::var(VARIABLE) else { return false };
    plant::set(name.parse().expect("the name of a bug"));
    true
}

/// Runs the test `name` of this binary with a bug. It has to fail, and to say one of `complaints`: a failure for another
/// reason proves nothing.
pub fn expect_caught(bug: Plant, name: &str, complaints: &[&str]) {
    let mut output = tempfile::tempfile().expect("a temporary file");
    let began = Instant::now();
    let status = run(bug, name, &output);
    let mut said = Vec::new();
    output.rewind().and_then(|()| output.read_to_end(&mut said)).expect("what it printed can be read");
    let said = String::from_utf8_lossy(&said);
    let mut from = said.len().saturating_sub(SHOWN);
    while !said.is_char_boundary(from) {
        from += 1;
    }
    let end = &said[from..];
    assert!(!status.success(), "{name} passes with the bug {bug}: nothing has caught it\n{end}");
    let line = said.lines().find(|line| complaints.iter().any(|complaint| line.contains(complaint)));
    let line = line.unwrap_or_else(|| panic!("{name} failed with the bug {bug}, but not by {complaints:?}\n{end}"));
    let line: String = line.chars().take(200).collect();
    println!("{bug} is caught by {name} in {:.1} s: {line}", began.elapsed().as_secs_f64());
}

fn run(bug: Plant, name: &str, output: &File) -> ExitStatus {
    let handle = || Stdio::from(output.try_clone().expect("a handle of it"));
    let mut command = Command::new(std::env::current_exe().expect("this binary has a path"));
    for (variable, _) in std::env::vars_os() {
        if variable.to_string_lossy().starts_with(SIZES) && variable != SEED {
            command.env_remove(variable);
        }
    }
    let mut child = command
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(VARIABLE, bug.name())
        .env_remove("PROPTEST_CASES")
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stdout(handle())
        .stderr(handle())
        .process_group(0)
        .spawn()
        .expect("this binary starts again");
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("its status is known") {
            return status;
        }
        if began.elapsed() > PATIENCE {
            // With all that it has started.
            let _ = Command::new("kill").args(["-9", "--", &format!("-{}", child.id())]).status();
            let _ = child.wait();
            panic!("{name} came to no end with the bug {bug}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
