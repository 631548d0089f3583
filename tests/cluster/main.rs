//! Clusters of real processes, driven as users, operators and accidents would.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "tests print what they measured")]

mod accounts;
mod admin;
mod any_node;
mod backup;
mod bad_input;
mod clocks;
mod crash;
mod detection;
#[allow(dead_code, reason = "shared with tests/failover, which uses the rest")]
mod dice;
mod extents;
mod floods;
mod group_commit;
mod idempotency;
mod integrity;
#[allow(dead_code, reason = "shared with tests/failover, which uses the rest")]
mod islands;
mod joining;
mod kills;
mod large;
mod liars;
mod locking;
mod lost;
mod machine;
mod manners;
#[path = "../fileserver_support/tls.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests of the file server, which use the rest")]
mod member_tls;
mod modes;
mod monitoring;
mod orders;
mod origins;
mod partition;
mod parts;
mod placement;
mod planted;
mod privacy;
mod properties;
mod proxies;
mod reference;
mod repair;
mod reports;
mod retention;
mod room;
mod send_once;
mod sessions;
#[path = "../skip/mod.rs"]
mod skip;
mod strangers;
mod streaming;
#[allow(dead_code, reason = "shared with tests/failover, which uses the rest")]
mod support;
mod tls;
mod traced;
mod trash;
mod unwritable;
mod upheaval;
mod users;
mod verbs;
mod versions;
mod wholeness;
