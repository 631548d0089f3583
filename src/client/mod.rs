//! HTTP clients: of the directory (used by the CLI, the tests and the benchmarks) and of the file servers (used by
//! directory nodes and by file servers among themselves).

pub mod blobs;
