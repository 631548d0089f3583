//! Ringmaster: a distributed file system whose directory has no single point of failure.
//!
//! The modules are the architecture. Each stands on a floor and uses only what is below it:
//! `cli` (6); `directory`, `fileserver` (5); `consensus`, `client`, `backup`, `monitoring` (4); `listener` (3); `trust` (2);
//! `protocol`, `config`, `telemetry`, `clock` (1); `domain`, `local` (0). `tests/floors.rs` holds that.

pub mod backup;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod consensus;
pub mod directory;
pub mod domain;
pub mod fileserver;
pub mod listener;
pub mod local;
pub mod monitoring;
pub mod protocol;
pub mod telemetry;
pub mod trust;
