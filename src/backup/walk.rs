//! The extents of an index, one after another, for work that waits for the network.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::index::Index;
use crate::domain::rows::Extent;
use crate::domain::{ContentId, Table, restored};

/// An extent as an index has it.
#[derive(Clone, Debug)]
pub struct NamedExtent {
    pub content_id: ContentId,
    pub extent: Extent,
    /// Its row.
    pub row: Vec<u8>,
}

/// Reads the extents on a thread for blocking work, at most `ahead` before they are asked for. The last one may be an
/// error. It ends early when the receiver is dropped.
pub fn extents(index: Arc<Index>, ahead: usize) -> mpsc::Receiver<anyhow::Result<NamedExtent>> {
    let (sender, receiver) = mpsc::channel(ahead);
    tokio::task::spawn_blocking(move || {
        let visit = |table, key: &[u8], value: &[u8]| {
            if let Some((content_id, extent)) = restored::extents(table, key, value)? {
                let named = NamedExtent { content_id, extent, row: value.to_vec() };
                sender.blocking_send(Ok(named)).map_err(|_| anyhow::anyhow!("nobody asks for extents any more"))?;
            }
            Ok(())
        };
        for table in [Table::Contents, Table::Extents] {
            if let Err(error) = index.each(table, |key, value| visit(table, key, value)) {
                // Whoever has gone has no use for it.
                let _ = sender.blocking_send(Err(error));
                return;
            }
        }
    });
    receiver
}
