//! Where a process meets those who are not of the cluster: who may watch it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{DirectoryConfig, FileServerConfig, values};

/// What the port for metrics is above the one beside which it stands, or below it where there is none above.
const BESIDE: u16 = 100;

/// Where a process is watched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    #[serde(default)]
    listen: Option<SocketAddr>,
    #[serde(default, deserialize_with = "values::optional_path")]
    token_file: Option<PathBuf>,
}

impl Metrics {
    fn listen(&self, beside: SocketAddr) -> SocketAddr {
        self.listen.unwrap_or_else(|| {
            let port = beside.port();
            let port = port.checked_add(BESIDE).unwrap_or_else(|| port.saturating_sub(BESIDE));
            SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
        })
    }
}

macro_rules! watched {
    ($config:ident, $beside:ident) => {
        impl $config {
            /// The address for those who watch this process.
            pub fn metrics_listen(&self) -> SocketAddr {
                self.metrics.listen(self.$beside.listen)
            }

            /// The file with the token that they have to send.
            pub fn metrics_token_file(&self) -> Option<&Path> {
                self.metrics.token_file.as_deref()
            }
        }
    };
}

watched!(DirectoryConfig, node);
watched!(FileServerConfig, server);
