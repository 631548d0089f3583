//! Tests that need more of a machine than others: root, programs, the kernel's permission.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]

use std::io::Write as _;

/// Set by whoever wants a failure instead, as `scripts/failover-test --full` does. Nothing and the empty text are the
/// same.
const NO_SKIP: &str = "RINGMASTER_TEST_NO_SKIP";

/// Says that a test is skipped, since something cannot be made here, and why. The caller then returns.
///
/// It is said on standard error itself and on a line of its own: of a test that passes libtest throws away what it
/// prints, and with one thread it writes the test's name first.
///
/// # Panics
/// Where `RINGMASTER_TEST_NO_SKIP` is set.
#[track_caller]
pub fn skip(wanted: &str, why: &str) {
    let why = why.split_whitespace().collect::<Vec<_>>().join(" ");
    let why = why.trim_end_matches('.');
    let asked = std::env::var_os(NO_SKIP).is_some_and(|value| !value.is_empty());
    assert!(
        !asked,
        "{wanted} cannot be made here: {why}. {NO_SKIP} is set, so this test may not be skipped: run it as root with what is lacking (scripts/prerequisites installs the programs), or unset it"
    );
    let thread = std::thread::current();
    let name = thread.name().filter(|name| *name != "main").map(|name| format!(" {name}")).unwrap_or_default();
    let line = format!("\nSKIPPED{name}: {wanted} cannot be made here, run it as root with what is lacking: {why}\n");
    drop(std::io::stderr().write_all(line.as_bytes()));
}
