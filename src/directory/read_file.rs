//! The bytes of a content on their way out, extent by extent.
//!
//! An extent is looked up when its bytes are due: hours may lie between the first one and the last, and copies move
//! meanwhile. A file may be replaced or deleted while it is read, which the reader sees nothing of: a content of several
//! extents is pinned as soon as it has been read for half of the time for which deleted bytes linger.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};

use super::lookout::address;
use super::node::App;
use super::transfer::download::{Download, DownloadError, SourceFailed, download, download_from_the_dead};
use crate::client::blobs::ServerAddress;
use crate::domain::answer::ReplicaStat;
use crate::domain::query::{self, ExtentStat};
use crate::domain::rows::{Server, ServerState};
use crate::domain::{BlobId, ContentId, CopyAt, CopyId, Fault, Proposal, ReadStore, ServerId, UserId, command};

/// Extents that are looked up at once.
const AHEAD: usize = 8;
/// How often an extent is looked up anew that cannot be read on: a repair may just have moved it.
const LOOKS: u32 = 2;
/// A pin lasts as long as garbage lingers, but no less and no more than this, and is renewed in a third of it. What nobody
/// reads any more is kept for no longer.
const SHORTEST_PIN: Duration = Duration::from_secs(15);
const LONGEST_PIN: Duration = Duration::from_secs(60 * 60);
/// Until a pin that could not be had is asked for again.
const PIN_AGAIN: Duration = Duration::from_secs(5);

/// One extent, and where its copies are.
pub(crate) struct Places {
    /// In its content.
    offset: u64,
    size: u64,
    blob_id: BlobId,
    replicas: Vec<ReplicaStat>,
    servers: BTreeMap<ServerId, Server>,
}

impl Places {
    /// The servers of `replicas` are looked up.
    pub(crate) fn find(
        store: &dyn ReadStore,
        blob_id: BlobId,
        bytes: Range<u64>,
        replicas: Vec<ReplicaStat>,
    ) -> Result<Self, Fault> {
        let mut servers = BTreeMap::new();
        for replica in &replicas {
            if let Some(server) = query::server(store, replica.server_id)? {
                servers.insert(replica.server_id, server);
            }
        }
        Ok(Self { offset: bytes.start, size: bytes.end - bytes.start, blob_id, replicas, servers })
    }

    fn of(store: &dyn ReadStore, found: ExtentStat) -> Result<Self, Fault> {
        let ExtentStat { offset, extent, counted } = found;
        let replicas = extent.replicas.iter().map(|replica| ReplicaStat {
            server_id: replica.server_id,
            epoch: replica.epoch,
            copy_id: replica.copy_id,
            counts: counted.contains(&replica.server_id),
        });
        Self::find(store, extent.blob_id, offset..offset.saturating_add(extent.size), replicas.collect())
    }

    /// The directory knows that every file server with a copy is down.
    pub(crate) fn is_lost_for_now(&self) -> bool {
        let server = |id: &ServerId| self.servers.get(id).map(|server| server.state);
        let down = |id: &ServerId| server(id).is_none_or(|state| state == ServerState::Down);
        self.replicas.iter().all(|replica| down(&replica.server_id))
    }

    /// Copies that count come before those that do not, and servers that this node has no doubt about before those that it
    /// has. A copy that does not count (its server was away) holds the right bytes all the same, and is the last resort.
    fn sources(&self, node: &App) -> Vec<ServerAddress> {
        let mut ranked: Vec<(u8, ServerAddress)> = Vec::new();
        for replica in &self.replicas {
            let Some(server) = self.servers.get(&replica.server_id) else { continue };
            let rank = match (replica.counts, node.servers.is_suspect(replica.server_id), server.state) {
                (true, false, _) => 0,
                (true, true, _) => 1,
                (false, false, ServerState::Up | ServerState::Draining) => 2,
                _ => 3,
            };
            ranked.push((rank, address(server)));
        }
        ranked.sort_by_key(|(rank, _)| *rank); // Stable: the record's order holds within a rank.
        ranked.into_iter().map(|(_, address)| address).collect()
    }

    /// The copies that are held to be good: that one of them is not is news.
    fn counted_copies(&self) -> Vec<(ServerAddress, CopyId)> {
        let counted = self.replicas.iter().filter(|replica| replica.counts);
        counted.filter_map(|replica| Some((address(self.servers.get(&replica.server_id)?), replica.copy_id))).collect()
    }

    /// Opens those of `range`, which counts in the content, that the extent has.
    async fn open(&self, node: &App, range: &Range<u64>) -> Result<Download, DownloadError> {
        let first = range.start.saturating_sub(self.offset);
        let last = range.end.saturating_sub(self.offset).min(self.size);
        let reporter = node.clone();
        let (blob_id, size) = (self.blob_id, self.size);
        let counted = self.counted_copies();
        let report = move |failed: SourceFailed| {
            if let Some((at, copy_id)) = counted.iter().find(|(at, _)| at.server_id == failed.server_id) {
                let copy = CopyAt { server_id: at.server_id, blob_id, copy_id: *copy_id };
                reporter.doubt(at.clone(), copy, size, &failed.error);
            }
            reporter.note_blob_error(&failed.error);
            reporter.counters.fallovers.inc();
            tracing::warn!(server_id = %failed.server_id, error = %failed.error, "a copy could not be read: the next one is");
        };
        let (blobs, sources) = (node.blobs.clone(), self.sources(node));
        if self.is_lost_for_now() {
            return download_from_the_dead(blobs, blob_id, sources, first..last, report).await;
        }
        download(blobs, blob_id, sources, first..last, report).await
    }
}

/// A content that somebody reads.
pub(crate) struct ReadFile {
    pub(crate) user: UserId,
    pub(crate) content_id: ContentId,
    /// How many extents it has.
    pub(crate) extents: u64,
}

impl ReadFile {
    /// Opens a range of it, which is not empty. `first` is its first extent, as it was looked up just now.
    ///
    /// # Errors
    /// When the first bytes cannot be had.
    pub(crate) async fn open(&self, node: &App, first: &Places, range: Range<u64>) -> Result<Download, DownloadError> {
        if self.extents <= 1 {
            return first.open(node, &range).await;
        }
        let reading = Reading {
            node: node.clone(),
            content_id: self.content_id,
            left: range,
            ahead: VecDeque::new(),
            open: None,
            looks: 0,
            _pin: KeepPinned::new(node.clone(), self.user, self.content_id),
        };
        let mut reading = Box::pin(reading.stream());
        // The first bytes are awaited, so that what cannot be read is answered with an error.
        let first = match reading.next().await {
            Some(Ok(bytes)) => bytes,
            Some(Err(error)) => return Err(error),
            None => return Ok(stream::empty().boxed()),
        };
        Ok(stream::once(std::future::ready(Ok(first))).chain(reading).boxed())
    }
}

/// A read over several extents.
struct Reading {
    node: App,
    content_id: ContentId,
    /// What the consumer does not have yet.
    left: Range<u64>,
    ahead: VecDeque<Places>,
    open: Option<Download>,
    /// How often the extent was looked up anew since the last bytes.
    looks: u32,
    _pin: KeepPinned,
}

impl Reading {
    fn stream(self) -> impl stream::Stream<Item = Result<Bytes, DownloadError>> {
        stream::unfold(Some(self), |reading| async {
            let mut reading = reading?;
            match reading.next().await {
                Ok(bytes) => bytes.map(|bytes| (Ok(bytes), Some(reading))),
                Err(error) => Some((Err(error), None)),
            }
        })
    }

    async fn next(&mut self) -> Result<Option<Bytes>, DownloadError> {
        while !self.left.is_empty() {
            let Some(open) = &mut self.open else {
                let opened = self.open_next().await;
                self.open = self.settle(opened)?;
                continue;
            };
            match open.next().await {
                Some(Ok(bytes)) => {
                    self.left.start += bytes.len() as u64;
                    self.looks = 0;
                    return Ok(Some(bytes));
                }
                Some(Err(error)) => {
                    self.open = None;
                    self.settle(Err::<(), _>(error))?;
                }
                None => self.open = None,
            }
        }
        Ok(None)
    }

    /// Has what failed looked up anew, unless that was done already.
    fn settle<T>(&mut self, outcome: Result<T, DownloadError>) -> Result<Option<T>, DownloadError> {
        match outcome {
            Ok(done) => Ok(Some(done)),
            Err(error) => {
                self.looks += 1;
                self.ahead.clear();
                if self.looks < LOOKS { Ok(None) } else { Err(error) }
            }
        }
    }

    async fn open_next(&mut self) -> Result<Download, DownloadError> {
        let start = self.left.start;
        while self.ahead.front().is_some_and(|places| places.offset + places.size <= start) {
            self.ahead.pop_front();
        }
        if self.ahead.is_empty() {
            let id = self.content_id;
            let look = move |store: &dyn ReadStore| {
                let found = query::extents(store, id, start, AHEAD)?;
                found.into_iter().map(|extent| Places::of(store, extent)).collect::<Result<VecDeque<_>, _>>()
            };
            let found = self.node.handle().read_local(look).await;
            self.ahead = found.map_err(|error| {
                tracing::warn!(content_id = %id, %error, "the extents of a file that is being read cannot be looked up");
                DownloadError::NoReplica
            })?;
        }
        let places = self.ahead.front().ok_or(DownloadError::NoReplica)?;
        places.open(&self.node, &self.left).await
    }
}

/// Keeps a content pinned while it is read, from when the read has lasted a while.
struct KeepPinned(tokio::task::JoinHandle<()>);

impl KeepPinned {
    fn new(node: App, user: UserId, content_id: ContentId) -> Self {
        Self(tokio::spawn(async move {
            let linger = match node.handle().read_local(|store| query::policy(store)).await {
                Ok(policy) => Duration::from_millis(policy.garbage_linger_ms),
                Err(_) => Duration::ZERO,
            };
            let ttl = linger.clamp(SHORTEST_PIN, LONGEST_PIN);
            let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
            let mut wait = linger / 2;
            loop {
                tokio::time::sleep(wait).await;
                let command = command::PinContent { user, content_id, ttl_ms };
                wait = ttl / 3;
                if let Err(error) = node.propose(Proposal { operation: None, command: command.into() }).await {
                    tracing::debug!(%content_id, cause = ?error, "a file that is being read for a long time was not pinned");
                    wait = PIN_AGAIN;
                }
            }
        }))
    }
}

impl Drop for KeepPinned {
    fn drop(&mut self) {
        self.0.abort();
    }
}
