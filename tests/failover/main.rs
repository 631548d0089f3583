//! The failure suite: clusters of real processes that are killed, frozen and handed over while clients work, and a
//! check of everything that the clients were told.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "tests print what they measured")]

mod archipelago;
mod changes;
mod frozen;
mod history;
#[path = "../cluster/islands.rs"]
mod islands;
mod kills;
#[path = "../cluster/members.rs"]
#[allow(dead_code, reason = "shared with tests/cluster, which uses the rest")]
mod members;
mod partitions;
mod planned;
mod signals;
#[path = "../cluster/support.rs"]
#[allow(dead_code, reason = "shared with tests/cluster, which uses the rest")]
mod support;
mod work;
