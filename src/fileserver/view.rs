//! What a file server knows of its cluster. The membership task alone writes it; requests read it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::{ClusterId, Epoch, ServerId};
use crate::protocol::registration::{DEFAULT_INVENTORY_MS, ServerEntry};

#[derive(Clone, Debug)]
pub(super) struct View {
    /// Known for good after the first admission.
    pub(super) bound: Option<(ClusterId, ServerId)>,
    /// Nothing until this process was admitted: reads are served before that, writes are not.
    pub(super) epoch: Option<Epoch>,
    /// The file servers, as the directory last told them. Never from a request.
    pub(super) servers: Arc<BTreeMap<ServerId, ServerEntry>>,
    /// The URLs of the directory nodes.
    pub(super) nodes: Arc<Vec<String>>,
    /// How often the directory wants the whole inventory.
    pub(super) inventory: Duration,
}

impl View {
    /// Before the first word of a directory node.
    pub(super) fn new(bound: Option<(ClusterId, ServerId)>) -> Self {
        Self {
            bound,
            epoch: None,
            servers: Arc::default(),
            nodes: Arc::default(),
            inventory: Duration::from_millis(DEFAULT_INVENTORY_MS),
        }
    }

    /// Takes in what a directory node said. One that lags behind may still name an older epoch of a server.
    pub(super) fn learn_servers(&mut self, told: Vec<ServerEntry>) {
        let mut servers = BTreeMap::new();
        for entry in told {
            let newer = self.servers.get(&entry.server_id).filter(|known| known.epoch > entry.epoch);
            servers.insert(entry.server_id, newer.cloned().unwrap_or(entry));
        }
        self.servers = Arc::new(servers);
    }
}
