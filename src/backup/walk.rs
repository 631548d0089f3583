//! The files of an index, one after another, for work that waits for the network.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::index::Index;
use crate::domain::rows::Content;
use crate::domain::{FileId, Table, restored};

/// A file as an index has it.
#[derive(Clone, Debug)]
pub struct NamedFile {
    pub file_id: FileId,
    pub content: Content,
    /// Its row of `Entries`.
    pub row: Vec<u8>,
}

/// Reads the files on a thread for blocking work, at most `ahead` before they are asked for. The last one may be an
/// error. It ends early when the receiver is dropped.
pub fn files(index: Arc<Index>, ahead: usize) -> mpsc::Receiver<anyhow::Result<NamedFile>> {
    let (sender, receiver) = mpsc::channel(ahead);
    tokio::task::spawn_blocking(move || {
        let walked = index.each(Table::Entries, |_, value| {
            if let Some((file_id, content)) = restored::file(value)? {
                let file = NamedFile { file_id, content, row: value.to_vec() };
                sender.blocking_send(Ok(file)).map_err(|_| anyhow::anyhow!("nobody asks for files any more"))?;
            }
            Ok(())
        });
        if let Err(error) = walked {
            // Whoever has gone has no use for it.
            let _ = sender.blocking_send(Err(error));
        }
    });
    receiver
}
