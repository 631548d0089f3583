//! Between the network, which is async, and the store, which blocks.
//!
//! A body is handed over in pieces of about a mebibyte, each to a blocking thread of its own, with the writer or
//! reader travelling along: one piece is on its way to or from the disk while the next one is being received or sent.
//! So a transfer holds two pieces in memory whatever its size, and a slow one holds no thread. A thread for each
//! transfer, fed by a channel, was the alternative; 500 slow clients would then have used up the pool.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use tokio::task::JoinHandle;

use super::store::{Block, CopyRecord, NewCopy, Reader, Store, StoreError, Stored, Writer};
use crate::domain::{BlobId, Sha256};

/// See the module's description.
const PIECE_BYTES: usize = 1024 * 1024;
/// A piece of many small frames is handed over early, since each frame costs memory beside its bytes.
const PIECE_FRAMES: usize = 128;

/// Why a body was not stored. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub(super) enum IntakeError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the body broke off: {0}")]
    Broken(Box<dyn std::error::Error + Send + Sync>),
    #[error("nothing came for {} s", .0.as_secs())]
    Stalled(Duration),
    #[error("the body is larger than the {0} bytes allowed")]
    TooLarge(u64),
    #[error("the body has {got} bytes, not {expected}")]
    WrongLength { got: u64, expected: u64 },
    #[error("the body has the digest {got}, not {expected}")]
    WrongDigest { got: Sha256, expected: Sha256 },
    #[error("the work was cut short: {0}")]
    Interrupted(String),
}

/// What a body must be to be kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) max_bytes: u64,
    pub(super) sha256: Option<Sha256>,
    /// The longest that the sender may send nothing.
    pub(super) stall: Duration,
}

/// Stores a body and answers once it is durable. Dropped, it leaves nothing behind.
///
/// # Errors
/// See [`IntakeError`].
pub(super) async fn take_in<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
    store: Arc<Store>,
    new: NewCopy,
    terms: Terms,
    body: impl Stream<Item = Result<Bytes, E>>,
) -> Result<Stored, IntakeError> {
    if new.length.is_some_and(|length| length > terms.max_bytes) {
        return Err(IntakeError::TooLarge(terms.max_bytes));
    }
    let mut writer = Held(Some(blocking(move || store.begin(new)).await??));
    let mut body = std::pin::pin!(body);
    let mut writing: Option<JoinHandle<Result<Writer, StoreError>>> = None;
    let mut received = 0;
    loop {
        let (piece, ended) = next_piece(&mut body, terms.stall).await?;
        received += piece.iter().map(|frame| frame.len() as u64).sum::<u64>();
        if received > terms.max_bytes {
            return Err(IntakeError::TooLarge(terms.max_bytes));
        }
        if let Some(writing) = writing.take() {
            writer = Held(Some(joined(writing).await??));
        }
        if ended {
            writer.write_and_keep(piece).await?;
            break;
        }
        writing = writer.0.take().map(|writer| tokio::task::spawn_blocking(move || write(writer, &piece)));
    }
    if let Some(expected) = new.length.filter(|expected| *expected != received) {
        return Err(IntakeError::WrongLength { got: received, expected });
    }
    let writer = writer.0.take().ok_or_else(|| IntakeError::Interrupted("the writer was lost".to_owned()))?;
    if let Some(expected) = terms.sha256 {
        let got = writer.sha256();
        if got != expected {
            drop(Held(Some(writer)));
            return Err(IntakeError::WrongDigest { got, expected });
        }
    }
    Ok(blocking(move || writer.commit()).await??)
}

/// A writer that is dropped where blocking is allowed: to remove a large file takes its time.
struct Held(Option<Writer>);

impl Held {
    async fn write_and_keep(&mut self, piece: Vec<Bytes>) -> Result<(), IntakeError> {
        if let Some(writer) = self.0.take() {
            self.0 = Some(blocking(move || write(writer, &piece)).await??);
        }
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let (Some(writer), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn_blocking(move || drop(writer));
        }
    }
}

fn write(mut writer: Writer, piece: &[Bytes]) -> Result<Writer, StoreError> {
    piece.iter().try_for_each(|frame| writer.write(frame))?;
    Ok(writer)
}

/// The next piece of a body, and whether it is the last.
async fn next_piece<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
    body: &mut (impl Stream<Item = Result<Bytes, E>> + Unpin),
    stall: Duration,
) -> Result<(Vec<Bytes>, bool), IntakeError> {
    let mut piece = Vec::new();
    let mut bytes = 0;
    while bytes < PIECE_BYTES && piece.len() < PIECE_FRAMES {
        match tokio::time::timeout(stall, body.next()).await {
            Err(_) => return Err(IntakeError::Stalled(stall)),
            Ok(Some(Err(error))) => return Err(IntakeError::Broken(error.into())),
            Ok(None) => return Ok((piece, true)),
            Ok(Some(Ok(frame))) => {
                bytes += frame.len();
                piece.push(frame);
            }
        }
    }
    Ok((piece, false))
}

/// A copy whose first bytes have been read and checked.
pub(super) struct Opened {
    pub(super) record: CopyRecord,
    /// The part that is being read.
    pub(super) range: Range<u64>,
    reader: Reader,
    first: Block,
}

/// Opens a copy and reads its first bytes, so that damage there still can be an answer. `pick` chooses the part, by
/// the copy's size; where it finds none, its error comes back in the inner result.
///
/// # Errors
/// As [`Store::read`]; `Damaged` too where the first chunk is.
pub(super) async fn open<E: Send + 'static>(
    store: Arc<Store>,
    blob_id: BlobId,
    pick: impl FnOnce(u64) -> Result<Range<u64>, E> + Send + 'static,
) -> Result<Result<Opened, E>, IntakeError> {
    let opened = blocking(move || {
        let reader = store.read(blob_id)?;
        let record = reader.record();
        let range = match pick(record.size) {
            Ok(range) => range,
            Err(error) => return Ok(Err(error)),
        };
        let mut reader = reader.select(&range);
        let mut first = reader.next_block();
        match first.failure.take() {
            Some(failure) if first.bytes.is_empty() => Err(failure),
            failure => Ok(Ok(Opened { record, range, reader, first: Block { failure, ..first } })),
        }
    });
    Ok(opened.await??)
}

impl Opened {
    /// The bytes. What fails a check ends the stream with an error, never silently.
    pub(super) fn into_stream(self) -> impl Stream<Item = Result<Bytes, IntakeError>> + Send + 'static {
        enum State {
            Send(Block, Reader),
            Read(JoinHandle<(Block, Reader)>),
            Fail(StoreError),
            End,
        }
        stream::unfold(State::Send(self.first, self.reader), |state| async move {
            let (block, reader) = match state {
                State::End => return None,
                State::Fail(error) => {
                    // The HTTP server drops what it has not sent when a body fails, but sends while a body is not ready.
                    // The good bytes before a bad chunk shall arrive: whoever goes on from there meets the bad chunk
                    // first, and is told what is wrong instead of seeing one more broken connection.
                    tokio::task::yield_now().await;
                    return Some((Err(error.into()), State::End));
                }
                State::Send(block, reader) => (block, reader),
                State::Read(reading) => match joined(reading).await {
                    Ok(read) => read,
                    Err(error) => return Some((Err(error), State::End)),
                },
            };
            let Block { bytes, failure } = block;
            match failure {
                Some(error) if bytes.is_empty() => Some((Err(error.into()), State::End)),
                Some(error) => Some((Ok(bytes), State::Fail(error))),
                None if bytes.is_empty() => None,
                None if reader.is_done() => Some((Ok(bytes), State::End)),
                None => Some((Ok(bytes), State::Read(read_ahead(reader)))),
            }
        })
    }
}

fn read_ahead(mut reader: Reader) -> JoinHandle<(Block, Reader)> {
    tokio::task::spawn_blocking(move || (reader.next_block(), reader))
}

/// Runs what blocks where blocking is allowed.
///
/// # Errors
/// When it panicked, or the runtime is shutting down.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, IntakeError> {
    joined(tokio::task::spawn_blocking(work)).await
}

async fn joined<T>(task: JoinHandle<T>) -> Result<T, IntakeError> {
    task.await.map_err(|error| IntakeError::Interrupted(error.to_string()))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::clock::SharedClock;
    use crate::domain::CopyId;

    #[tokio::test]
    async fn a_sender_that_stalls_is_given_up_and_leaves_nothing() {
        let dir = TempDir::new().expect("a temporary directory");
        let store = Store::open(dir.path(), None, SharedClock::system()).expect("opens");
        let new = NewCopy { blob_id: BlobId(1), copy_id: CopyId(1), length: None, replaces: None };
        let terms = Terms { max_bytes: u64::MAX, sha256: None, stall: Duration::from_millis(50) };
        let begun = stream::iter([Ok::<_, std::io::Error>(Bytes::from(vec![1; 3_000_000]))]);
        let result = take_in(Arc::clone(&store), new, terms, begun.chain(stream::pending())).await;
        assert!(matches!(result, Err(IntakeError::Stalled(_))), "{result:?}");
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while std::fs::read_dir(dir.path().join("tmp")).expect("there").next().is_some() {
            assert!(std::time::Instant::now() < deadline, "temporary files stay");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(matches!(store.head(BlobId(1)), Err(StoreError::Missing)));
    }
}
