//! What goes over HTTP: JSON shapes, error codes, capabilities and tickets. Types and their checks only; nothing
//! here opens a connection.

pub mod accounts;
pub mod admin;
pub mod api;
pub mod blob;
pub mod capability;
pub mod health;
pub mod inventory;
pub mod join;
pub mod problem;
pub mod properties;
pub mod registration;
pub mod restore;
pub mod retention;
pub mod secret;
pub mod setup;
pub mod signature;
mod spelling;
pub mod ticket;

pub use spelling::parse_sha256;
pub mod uploads;
pub mod versions;
