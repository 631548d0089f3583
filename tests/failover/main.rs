//! The failure suite: clusters of real processes that are killed, frozen and handed over while clients work, a check of
//! everything that the clients were told, and bugs that are planted to see that it would be noticed.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "tests print what they measured")]

mod agreement;
mod archipelago;
mod catch_up;
mod changes;
#[path = "../cluster/dice.rs"]
mod dice;
mod disks;
mod frozen;
mod full_disk;
mod goodbye;
mod history;
#[path = "../cluster/islands.rs"]
mod islands;
mod kills;
mod members;
mod membership;
mod moments;
mod moved;
mod partitions;
mod planned;
mod planted;
mod power;
mod signals;
#[path = "../skip/mod.rs"]
mod skip;
mod slow_disk;
#[path = "../cluster/support.rs"]
#[allow(dead_code, reason = "shared with tests/cluster, which uses the rest")]
mod support;
mod traces;
mod unwritable;
mod upgrade;
mod went_back;
mod work;
