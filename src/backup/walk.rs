//! The extents and contents of an index, one after another, for work that waits for the network.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::index::Index;
use crate::domain::rows::Extent;
use crate::domain::{BlobId, ContentId, Sha256, Table, restored};

/// An extent as an index has it.
#[derive(Clone, Debug)]
pub struct NamedExtent {
    pub content_id: ContentId,
    pub extent: Extent,
}

/// A content as an index has it.
#[derive(Clone, Debug)]
pub struct NamedContent {
    pub content_id: ContentId,
    /// Its row.
    pub row: Vec<u8>,
    pub size: u64,
    /// Nothing where the bytes came in parts.
    pub sha256: Option<Sha256>,
    /// In the order of its bytes.
    pub blobs: Vec<BlobId>,
}

/// Reads the extents on a thread for blocking work, at most `ahead` before they are asked for. The last one may be an
/// error. It ends early when the receiver is dropped.
pub fn extents(index: Arc<Index>, ahead: usize) -> mpsc::Receiver<anyhow::Result<NamedExtent>> {
    walk(ahead, move |give| index.each_extent(|content_id, extent| give(NamedExtent { content_id, extent })))
}

/// The same for the contents.
pub fn contents(index: Arc<Index>, ahead: usize) -> mpsc::Receiver<anyhow::Result<NamedContent>> {
    walk(ahead, move |give| {
        index.each(Table::Contents, |key, value| match restored::blobs(&*index, key, value)? {
            Some((content_id, blobs)) => {
                let (size, sha256) = restored::content(value)?;
                give(NamedContent { content_id, row: value.to_vec(), size, sha256, blobs })
            }
            None => Ok(()),
        })
    })
}

fn walk<T: Send + 'static>(
    ahead: usize,
    walk: impl FnOnce(&dyn Fn(T) -> anyhow::Result<()>) -> anyhow::Result<()> + Send + 'static,
) -> mpsc::Receiver<anyhow::Result<T>> {
    let (sender, receiver) = mpsc::channel(ahead);
    tokio::task::spawn_blocking(move || {
        let give = |found| sender.blocking_send(Ok(found)).map_err(|_| anyhow::anyhow!("nobody asks for more"));
        if let Err(error) = walk(&give) {
            // Whoever has gone has no use for it.
            let _ = sender.blocking_send(Err(error));
        }
    });
    receiver
}
