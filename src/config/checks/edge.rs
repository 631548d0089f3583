//! What has to hold where a process meets those who are not of the cluster.

use std::net::SocketAddr;
use std::path::Path;

use super::super::DirectoryConfig;
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

/// Users of other machines are served over TLS, unless somebody has said that they need not be.
pub(super) fn users(config: &DirectoryConfig, problems: &mut Problems) {
    let (listen, advertise) = (config.node.listen, config.node.advertise());
    let (certificate, key) = (&config.tls.certificate, &config.tls.key);
    problems.require(certificate.is_some() == key.is_some(), || {
        let (there, missing) = if key.is_some() { ("key", "certificate") } else { ("certificate", "key") };
        format!("`tls.{there}` is set and `tls.{missing}` is not: set both, or neither")
    });
    let some = certificate.is_some() || key.is_some();
    problems.require(some || config.insecure || listen.ip().to_canonical().is_loopback(), || {
        format!(
            "`node.listen` is {listen}, which other machines reach, and there is no TLS: whoever is on the way could read \
             passwords and files. Set `tls.certificate` and `tls.key` under [tls]; or, where a proxy in front speaks TLS and \
             the way from it is private, write `insecure = true` above all sections"
        )
    });
    problems.require(!some || advertise.is_https(), || {
        format!("`node.advertise` is {advertise}, but `tls.certificate` is set: write it as https://")
    });
}
