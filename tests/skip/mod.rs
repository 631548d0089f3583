//! Tests that need more of a machine than others: root, programs, the kernel's permission.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]

use std::io::Write as _;

/// Set by whoever wants a failure instead, as `.ci/run` does. Nothing and the empty text are the same.
const NO_SKIP: &str = "RINGMASTER_TEST_NO_SKIP";
/// Of a process' capabilities, those to administer networks and to mount, by their bits.
const NET_ADMIN: u32 = 12;
const SYS_ADMIN: u32 = 21;

/// Says that a test is skipped, since something cannot be made here, and why. The caller then returns.
///
/// It is said on standard error itself and on a line of its own: of a test that passes libtest throws away what it
/// prints, and with one thread it writes the test's name first.
///
/// # Panics
/// Where skipping would hide that something is lacking: for root, unless the kernel itself forbids it, as in a container
/// without privileges; and for everybody if `RINGMASTER_TEST_NO_SKIP` is set.
#[track_caller]
pub fn skip(wanted: &str, why: &str) {
    let why = why.split_whitespace().collect::<Vec<_>>().join(" ");
    let why = why.trim_end_matches('.');
    let asked = std::env::var_os(NO_SKIP).is_some_and(|value| !value.is_empty());
    assert!(
        !asked,
        "{wanted} cannot be made here: {why}. {NO_SKIP} is set, so this test may not be skipped: run it as root with what is lacking (scripts/prerequisites installs the programs), or unset it"
    );
    assert!(
        !may_do_anything() || is_forbidden(why),
        "{wanted} cannot be made here, although this is root: {why}. Install what is lacking (scripts/prerequisites), then try again"
    );
    let thread = std::thread::current();
    let name = thread.name().filter(|name| *name != "main").map(|name| format!(" {name}")).unwrap_or_default();
    let line = format!("\nSKIPPED{name}: {wanted} cannot be made here, run it as root with what is lacking: {why}\n");
    drop(std::io::stderr().write_all(line.as_bytes()));
}

/// Root, and not one in a container that has been left without root's powers.
fn may_do_anything() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str, at: usize| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.split_whitespace().nth(at)).unwrap_or_default()
    };
    let capabilities = u64::from_str_radix(field("CapEff:", 0), 16).unwrap_or(0);
    let has = |bit: u32| capabilities & 1 << bit != 0;
    // The second id is the effective one.
    field("Uid:", 1) == "0" && has(NET_ADMIN) && has(SYS_ADMIN)
}

/// Whether the kernel has refused. Programs quote it.
fn is_forbidden(why: &str) -> bool {
    ["not permitted", "ermission denied", "ead-only file system"].iter().any(|words| why.contains(words))
}
