//! HTTP clients: of the directory (used by the CLI, the tests and the benchmarks) and of the file servers (used by
//! directory nodes and by file servers among themselves).
//!
//! [`Directory`] is the former. A call goes to one node, and to the next when that one cannot be reached, breaks
//! off, says 503 or says that it does not know the outcome; always under the same `Idempotency-Key`, so that a
//! change takes effect once however often it is sent. Every call ends by its deadline.

mod accounts;
mod admin;
mod answer;
mod attempt;
mod backup;
pub mod blobs;
mod calls;
mod directory;
mod download;
mod error;
mod nodes;
mod parts;
mod properties;
mod request;
pub mod request_id;
mod resumable;
mod retention;
mod retry;
mod source;
mod spool;
mod upload;
mod versions;
mod vigil;

pub use backup::restored_row;
pub use calls::Page;
pub use directory::Directory;
pub use download::{Downloaded, ReadHead, ReadOptions};
pub use error::{ClientError, ErrorKind};
pub use retry::Limits;
pub use source::{Progress, Source, SourceReader};
pub use upload::{UpdateOptions, WriteOptions, etag};
