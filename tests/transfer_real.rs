//! The data path against real file servers: bodies to several at once, and blobs from whichever can give them, while
//! servers die, stall and break off.
#![allow(clippy::print_stderr, reason = "seeds must be seen")]

#[path = "transfer_real/content.rs"]
mod content;
#[path = "transfer_real/downloads.rs"]
mod downloads;
#[path = "transfer_real/proxy.rs"]
mod proxy;
#[path = "transfer_real/servers.rs"]
mod servers;
#[path = "fileserver_support/tls.rs"]
#[allow(dead_code, unreachable_pub, reason = "the tests of the file server use all of it")]
mod tls;
#[path = "transfer_real/uploads.rs"]
mod uploads;
