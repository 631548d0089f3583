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
#[path = "transfer_real/uploads.rs"]
mod uploads;
