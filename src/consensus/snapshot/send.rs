//! Sending a snapshot, file by file, in bounded pieces.

use std::fs::File;
use std::io::Read;

use anyhow::{Context, ensure};
use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::super::tasks::Tasks;
use super::super::types::Blob;
use super::SnapshotFiles;
use super::receive::{Offer, Piece, offer_of};

/// The other side of a transfer.
pub(crate) trait Destination: Sync {
    /// Offers a snapshot, and hears how much of each file is there already.
    fn begin(&self, offer: &Offer) -> BoxFuture<'_, anyhow::Result<Vec<u64>>>;
    fn write(&self, piece: &Piece) -> BoxFuture<'_, anyhow::Result<()>>;
}

/// Sends all files of `source` and gives the name of the snapshot. At most one piece is in memory.
///
/// # Errors
/// When a file cannot be read, or the other side refuses or cannot be reached.
pub(crate) async fn send(
    source: &SnapshotFiles,
    piece_bytes: usize,
    tasks: &Tasks,
    destination: &dyn Destination,
) -> anyhow::Result<String> {
    let files = source.clone();
    let offer = blocking(tasks, move || offer_of(&files)).await?;
    let there = destination.begin(&offer).await?;
    ensure!(there.len() == offer.files.len(), "the answer to the offer has another number of files");
    for (number, (offered, there)) in offer.files.iter().zip(there).enumerate() {
        let path = source.database().join(&offered.name);
        let mut file = File::open(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let (mut offset, mut crc, size) = (0, 0, offered.size);
        if there == size && size > 0 {
            continue;
        }
        ensure!(there <= size, "more of {} is there than was offered", offered.name);
        loop {
            // What is there already is read for the checksum only.
            let read_only = offset < there;
            let end = if read_only { there } else { size };
            let step = usize::try_from(end - offset).unwrap_or(usize::MAX).min(piece_bytes);
            let (returned, data) = blocking(tasks, move || read(file, step)).await?;
            file = returned;
            crc = crc32c::crc32c_append(crc, &data);
            let start = offset;
            offset += data.len() as u64;
            if !read_only {
                let piece = Piece { snapshot: offer.name.clone(), file: number, offset: start, data: Blob(data), crc };
                destination.write(&piece).await?;
            }
            if offset >= size {
                break;
            }
        }
    }
    Ok(offer.name)
}

fn read(mut file: File, count: usize) -> anyhow::Result<(File, Bytes)> {
    let mut data = vec![0; count];
    file.read_exact(&mut data).context("cannot read a snapshot's file")?;
    Ok((file, data.into()))
}

async fn blocking<T: Send + 'static>(
    tasks: &Tasks,
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    tasks.blocking(work).await.context("reading a snapshot failed")?
}
