//! A blob's bytes from whichever file server can give them, as one stream.
//!
//! The loop: take the next chunk from the source that is open; if there is none, or it fails, open the next source at
//! the offset reached. What was handed on is never sent again, so the client sees nothing of a change of source. The
//! first chunk is awaited before the answer, so that a file of which no copy can be read is still answered with an
//! error; later, the stream ends with one, and the HTTP layer breaks the connection off: a short body is never a whole one.
//!
//! Nothing is read ahead of the consumer but what the sockets hold. A reader that pulls is the smallest bound there is,
//! and a server's stall is then always a consumer's wait: the clock runs only while someone wants the chunk. The other
//! side of it: a file server drops a connection that nobody reads for minutes. What breaks after such a pause is opened
//! again where it was, and is held against nobody.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, stream};
use tokio::time::{Instant, sleep, timeout};

use crate::client::blobs::{BlobError, Blobs, Body, ServerAddress};
use crate::domain::{BlobId, ServerId};

/// A source that gives nothing for so long, while the consumer waits, has failed.
const STALL: Duration = Duration::from_secs(3);
/// Until the first bytes are there, all sources together have so long: the client waits for an answer.
const FIRST_BYTES: Duration = Duration::from_secs(8);
/// The same where all sources are known to be down: a refused connection is told at once, and whoever waits has other things
/// to do than to wait for a machine that is off. Eyeballed: far more than a file server on the same network needs.
const LAST_RESORT: Duration = Duration::from_millis(400);
/// A source whose next bytes were not asked for in so long may have dropped the connection, as it should.
const PAUSE: Duration = Duration::from_secs(30);
/// Before a source is tried for the second time: a file server that is being restarted needs a moment.
const SECOND_TRY: Duration = Duration::from_millis(250);
/// A source that gave so many bytes shows that the trouble before is over: sources that could not be reached then may be
/// tried again. Otherwise a download of hours could not live through two restarts of each server.
const PROGRESS: u64 = 64 * 1024 * 1024;

/// A source failed, and the download went on without it. Sent once for each failure.
#[derive(Debug)]
pub struct SourceFailed {
    pub server_id: ServerId,
    pub error: BlobError,
}

/// Why the bytes cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DownloadError {
    /// No copy can be reached now. Another look-up may name others.
    #[error("no copy of the file can be reached")]
    NoReplica,
    /// Copies were reached, and each is damaged or gone.
    #[error("every copy of the file is damaged")]
    Corrupt,
}

/// The bytes asked for, all of them, or an error at the end.
pub type Download = BoxStream<'static, Result<Bytes, DownloadError>>;

/// Opens `range` of a blob at the first of `sources` (in order of preference) that gives its first bytes.
///
/// # Errors
/// When no source does.
pub async fn download(
    blobs: Arc<dyn Blobs>,
    blob_id: BlobId,
    sources: Vec<ServerAddress>,
    range: Range<u64>,
    report: impl Fn(SourceFailed) + Send + Sync + 'static,
) -> Result<Download, DownloadError> {
    let sources = sources.into_iter().map(|at| Source { at, standing: SourceState::Fresh }).collect();
    let report = Box::new(report);
    let reader = Reader { blobs, blob_id, sources, left: range, open: None, second_try: SECOND_TRY, report };
    stream_of(reader, FIRST_BYTES).await
}

/// As [`download`], where all sources are known to be down: each is asked once, and soon given up. One of them may be there
/// all the same, cut off from the directory a moment ago or about to come back.
///
/// # Errors
/// As [`download`].
pub async fn download_from_the_dead(
    blobs: Arc<dyn Blobs>,
    blob_id: BlobId,
    sources: Vec<ServerAddress>,
    range: Range<u64>,
    report: impl Fn(SourceFailed) + Send + Sync + 'static,
) -> Result<Download, DownloadError> {
    let sources = sources.into_iter().map(|at| Source { at, standing: SourceState::Doubtful }).collect();
    let report = Box::new(report);
    let reader = Reader { blobs, blob_id, sources, left: range, open: None, second_try: Duration::ZERO, report };
    stream_of(reader, LAST_RESORT).await
}

/// The stream of what a reader gives, after its first bytes.
async fn stream_of(mut reader: Reader, patience: Duration) -> Result<Download, DownloadError> {
    let first = timeout(patience, reader.next()).await.unwrap_or(Err(DownloadError::NoReplica))?;
    Ok(stream::unfold((first, Some(reader)), |(ready, reader)| async {
        if let Some(bytes) = ready {
            return Some((Ok(bytes), (None, reader)));
        }
        let mut reader = reader?;
        match reader.next().await {
            Ok(bytes) => bytes.map(|bytes| (Ok(bytes), (None, Some(reader)))),
            Err(error) => Some((Err(error), (None, None))),
        }
    })
    .boxed())
}

/// What is known of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SourceState {
    Fresh,
    /// It could not be reached once; it may be tried again when nothing else is left.
    Doubtful,
    /// It could not be reached twice.
    Unreachable,
    /// It does not want to; another server may answer at its address.
    Refusing,
    /// It does not hold the blob.
    Missing,
    Damaged,
}

impl SourceState {
    fn after(self, error: &BlobError) -> Self {
        match error {
            BlobError::Corrupt { .. } => Self::Damaged,
            BlobError::Missing { .. } => Self::Missing,
            BlobError::Refused { .. } | BlobError::Full { .. } | BlobError::Unwritable { .. } => Self::Refusing,
            BlobError::Unreachable { .. } | BlobError::BodyBroken(_) => match self {
                Self::Fresh => Self::Doubtful,
                _ => Self::Unreachable,
            },
        }
    }
}

struct Source {
    at: ServerAddress,
    standing: SourceState,
}

struct Open {
    /// Its place in `sources`.
    source: usize,
    body: Body,
    /// Since it was opened.
    given: u64,
    /// When the consumer got the last bytes; at first, when it was opened.
    asked: Instant,
}

struct Reader {
    blobs: Arc<dyn Blobs>,
    blob_id: BlobId,
    sources: Vec<Source>,
    /// What the consumer does not have yet.
    left: Range<u64>,
    open: Option<Open>,
    /// Before a source is tried for the second time.
    second_try: Duration,
    report: Box<dyn Fn(SourceFailed) + Send + Sync>,
}

impl Reader {
    /// The next bytes; nothing behind the last ones.
    async fn next(&mut self) -> Result<Option<Bytes>, DownloadError> {
        while !self.left.is_empty() {
            let Some(mut open) = self.open.take() else {
                self.open_next().await?;
                continue;
            };
            let paused = open.asked.elapsed() > PAUSE;
            match chunk(&mut open.body, self.sources[open.source].at.server_id).await {
                Ok(mut bytes) => {
                    let wanted = self.left.end - self.left.start;
                    bytes.truncate(usize::try_from(wanted).unwrap_or(usize::MAX));
                    self.left.start += bytes.len() as u64;
                    open.given += bytes.len() as u64;
                    open.asked = Instant::now();
                    if open.given >= PROGRESS {
                        open.given = 0;
                        self.forgive();
                    }
                    self.open = Some(open);
                    return Ok(Some(bytes));
                }
                Err(error) if paused => {
                    let server_id = self.sources[open.source].at.server_id;
                    tracing::debug!(%server_id, %error, "a download that paused is opened again");
                }
                Err(error) => self.fail(open.source, error),
            }
        }
        self.open = None;
        Ok(None)
    }

    /// Opens the best source there is.
    async fn open_next(&mut self) -> Result<(), DownloadError> {
        let best = |standing| self.sources.iter().position(|source| source.standing == standing);
        let source = match (best(SourceState::Fresh), best(SourceState::Doubtful)) {
            (Some(fresh), _) => fresh,
            (None, Some(doubtful)) => {
                sleep(self.second_try).await;
                doubtful
            }
            (None, None) => return Err(self.verdict()),
        };
        let at = &self.sources[source].at;
        let opened = timeout(STALL, self.blobs.get(at, self.blob_id, Some(self.left.clone()))).await;
        match opened.unwrap_or_else(|_| Err(stalled(at.server_id))) {
            Ok(body) => self.open = Some(Open { source, body, given: 0, asked: Instant::now() }),
            Err(error) => self.fail(source, error),
        }
        Ok(())
    }

    fn fail(&mut self, source: usize, error: BlobError) {
        let Source { at, standing } = &mut self.sources[source];
        *standing = standing.after(&error);
        (self.report)(SourceFailed { server_id: at.server_id, error });
    }

    fn forgive(&mut self) {
        for source in &mut self.sources {
            if source.standing == SourceState::Unreachable {
                source.standing = SourceState::Doubtful;
            }
        }
    }

    /// A source that was not reached may yet hold good bytes; only if none is of that kind is the file damaged.
    fn verdict(&self) -> DownloadError {
        let mut known = self.sources.iter().map(|source| source.standing);
        let hopeless = known.clone().all(|standing| matches!(standing, SourceState::Missing | SourceState::Damaged));
        if hopeless && known.any(|standing| standing == SourceState::Damaged) {
            DownloadError::Corrupt
        } else {
            DownloadError::NoReplica
        }
    }
}

/// The next bytes of a body that has some left to give.
async fn chunk(body: &mut Body, server_id: ServerId) -> Result<Bytes, BlobError> {
    loop {
        match timeout(STALL, body.next()).await {
            Ok(Some(Ok(bytes))) if bytes.is_empty() => {}
            Ok(Some(chunk)) => return chunk,
            Ok(None) => {
                let cause = "its answer is shorter than what was asked for".to_owned();
                return Err(BlobError::Unreachable { server_id, cause });
            }
            Err(_) => return Err(stalled(server_id)),
        }
    }
}

fn stalled(server_id: ServerId) -> BlobError {
    BlobError::Unreachable { server_id, cause: format!("it gave nothing for {} s", STALL.as_secs()) }
}
