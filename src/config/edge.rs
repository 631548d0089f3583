//! Where a process meets those who are not of the cluster: who may watch it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{DirectoryConfig, FileServerConfig, values};

/// What the port for metrics is above the one beside which it stands, or below it where there is none above.
const BESIDE: u16 = 100;

/// The certificate that a directory node shows users, and its key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    #[serde(default, deserialize_with = "values::optional_path")]
    pub(super) certificate: Option<PathBuf>,
    #[serde(default, deserialize_with = "values::optional_path")]
    pub(super) key: Option<PathBuf>,
}

impl DirectoryConfig {
    /// The files with the certificate for users and its key; nothing where they are served in plain HTTP.
    pub fn tls(&self) -> Option<(&Path, &Path)> {
        Some((self.tls.certificate.as_deref()?, self.tls.key.as_deref()?))
    }
}

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
    /// `taken` are the addresses that the process has already, the one beside which it stands first.
    fn listen(&self, taken: &[SocketAddr]) -> SocketAddr {
        let port = taken.first().map_or(0, SocketAddr::port);
        let is_free = |port: &u16| taken.iter().all(|taken| taken.port() != *port);
        let beside = (1..=3).filter_map(|hundreds| port.checked_add(hundreds * BESIDE)).find(is_free);
        let beside = beside.unwrap_or_else(|| port.saturating_sub(BESIDE));
        self.listen.unwrap_or_else(|| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), beside))
    }
}

macro_rules! watched {
    ($config:ident, $($section:ident . $listen:ident),+) => {
        impl $config {
            /// The address for those who watch this process.
            pub fn metrics_listen(&self) -> SocketAddr {
                self.metrics.listen(&[$(self.$section.$listen),+])
            }

            /// The file with the token that they have to send.
            pub fn metrics_token_file(&self) -> Option<&Path> {
                self.metrics.token_file.as_deref()
            }
        }
    };
}

watched!(DirectoryConfig, node.listen, node.peer_listen);
watched!(FileServerConfig, server.listen);
