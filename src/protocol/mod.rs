//! What goes over HTTP: JSON shapes, error codes, capabilities and tickets. Types and their checks only; nothing
//! here opens a connection.

pub mod api;
pub mod problem;
pub mod secret;
pub mod ticket;
