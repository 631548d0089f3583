//! What has to hold where a process meets those who are not of the cluster.

use std::net::SocketAddr;
use std::path::Path;

use super::Problems;

/// `others` are the addresses that the process has already.
pub(super) fn metrics(
    listen: SocketAddr,
    token_file: Option<&Path>,
    others: &[(&str, SocketAddr)],
    problems: &mut Problems,
) {
    problems.listen("metrics.listen", listen);
    for (key, other) in others {
        problems.require(listen != *other, || {
            format!("`metrics.listen` and `{key}` are both {other}: give each its own port")
        });
    }
    problems.require(listen.ip().to_canonical().is_loopback() || token_file.is_some(), || {
        format!(
            "`metrics.listen` is {listen}, which other machines reach, and everybody there could read what this process \
             counts: set `metrics.token_file` to a file with a token, or `metrics.listen` to 127.0.0.1:{}",
            listen.port()
        )
    });
}
