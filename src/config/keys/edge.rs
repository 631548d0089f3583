//! The keys for where a process meets those who are not of the cluster.

use super::DefaultValue::{Absent, Value};
use super::Takes::{Address, Boolean, Networks, Path};
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

pub(super) const TLS_CERTIFICATE: Key = key(
    "tls.certificate",
    Path,
    Absent("none: plain HTTP, see `insecure`"),
    "file with the certificate for `node.listen` in PEM, the authorities between behind it; read again when it changes, and on SIGHUP",
);
pub(super) const TLS_KEY: Key = key(
    "tls.key",
    Path,
    Absent("none"),
    "file with the certificate's private key in PEM, for its owner alone; read again with it",
);
pub(super) const INSECURE: Key = key(
    "insecure",
    Boolean,
    Value("false"),
    "stands above all sections; `true` serves users of other machines without `tls.certificate`: passwords and files go over the network in clear, unless a proxy in front speaks TLS and the way to it is private",
);

pub(super) const TRUSTED_PROXIES: Key = key(
    "trusted_proxies",
    Networks,
    Value(""),
    "stands above all sections; proxies in front whose `X-Forwarded-For` or `Forwarded` is believed: the rightmost address that is none of them is where a request comes from",
);
