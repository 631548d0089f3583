//! Signals to processes of a cluster.

use std::process::Command;

use crate::support::Process;

fn send(process: &Process, signal: &str) {
    let sent = Command::new("kill").args([signal, &process.pid().to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()), "{} runs", process.name);
}

/// From here on it does nothing, though its sockets take what is sent.
pub(crate) fn freeze(process: &Process) {
    send(process, "-STOP");
}

pub(crate) fn thaw(process: &Process) {
    send(process, "-CONT");
}

/// SIGTERM: it ends when it has finished what it has in hand.
pub(crate) fn terminate(process: &Process) {
    send(process, "-TERM");
}

/// SIGTERM, and its end.
pub(crate) async fn stop(process: &mut Process) {
    terminate(process);
    assert_eq!(process.wait_exit().await, Some(0), "{}", process.log_tail());
}
