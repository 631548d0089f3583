//! The data path of a directory node: bodies from clients to file servers and back, each with constant memory whatever
//! the size of the file. Nothing here knows about Raft, paths or permissions: the caller says which blob, which servers
//! and how many bytes.

pub mod condition;
pub(crate) mod dates;
pub mod digest;
pub mod download;
pub mod even;
pub mod range;
pub mod repeat;
pub mod replay;
pub mod stretch;
pub mod upload;
