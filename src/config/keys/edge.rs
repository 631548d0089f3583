//! The keys for where a process meets those who are not of the cluster.

use super::DefaultValue::Absent;
use super::Takes::{Address, Path};
use super::{Key, key};

pub(super) const METRICS_LISTEN: Key = key(
    "metrics.listen",
    Address,
    Absent("`127.0.0.1`, with the port of `node.listen` or `server.listen` and 100"),
    "address for `/metrics` and `/healthz`, in plain HTTP; other machines reach it only with `metrics.token_file`",
);
pub(super) const METRICS_TOKEN_FILE: Key = key(
    "metrics.token_file",
    Path,
    Absent("none: `metrics.listen` is on this machine alone"),
    "file with a token of 16 letters and digits or more, which whoever reads `/metrics` has to send as `Authorization: Bearer`",
);
