//! The copies of a write between its upload and its commit: what went missing is made anew, or waited for.

use std::time::{Duration, Instant};

use super::blob::{Blob, BlobWriter, NoRoom};
use super::errors::servers_changed;
use crate::client::blobs::{BlobError, ServerAddress, StoredCopy};
use crate::directory::error::{ApiError, ApiResult};
use crate::directory::lookout::address;
use crate::directory::transfer::upload::{Uploaded, restore_copies};
use crate::domain::query::{self, Ring};
use crate::domain::{ClusterTime, ServerId};
use crate::protocol::problem::Code;

/// How often is looked whether a missing server is back or was declared down.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

impl BlobWriter<'_> {
    /// The copies, with those that were lost on the way made anew, server to server, on the ring successors of the first
    /// that is left.
    pub(super) async fn whole(&self, uploaded: &Uploaded, wanted: usize, no_room: &mut NoRoom) -> Vec<StoredCopy> {
        let mut copies = uploaded.copies.clone();
        if copies.len() >= wanted {
            return copies;
        }
        let holders: Vec<ServerId> = copies.iter().map(|copy| copy.server_id).collect();
        let barred: Vec<ServerId> = uploaded.lost.iter().chain(&*no_room).copied().collect();
        match self.node.substitutes(&holders, &barred).await {
            Ok(candidates) => {
                let candidates = self.node.fresh_copies(&candidates);
                let restored = restore_copies(&self.node.blobs, uploaded, candidates, wanted - copies.len()).await;
                restored.failures.iter().for_each(|failure| self.note(failure, no_room));
                copies.extend(restored.copies);
            }
            Err(error) => {
                tracing::warn!(blob_id = %uploaded.blob_id, cause = ?error, "no place for a copy that was lost in mid-upload");
            }
        }
        copies
    }

    /// The copies as a commit can name them, and the cluster time at which they were seen: those that are still there,
    /// and others for those that are not. Waits until `until` for servers that are neither back nor declared down.
    ///
    /// # Errors
    /// When no copy is left, when nobody has room for another, and when the wait was in vain.
    pub(super) async fn mended(
        &self,
        blob: &Blob,
        mut copies: Vec<StoredCopy>,
        no_room: &mut NoRoom,
        until: Instant,
    ) -> ApiResult<(Vec<StoredCopy>, ClusterTime)> {
        let mut ring = self.node.handle().read(|store| query::ring(store)).await?;
        let mut waited = false;
        loop {
            let seen_at = self.node.handle().cluster_time();
            copies = self.renewed(blob, copies, no_room, &ring).await?;
            match Lack::of(&copies, &ring, no_room) {
                None => return Ok((copies, seen_at)),
                Some(Lack::Room) => return Err(self.node.no_room().await),
                Some(Lack::Verdict) if Instant::now() >= until => {
                    return Err(
                        servers_changed().because("a file server was neither reached nor declared down in time")
                    );
                }
                Some(Lack::Verdict) => {}
            }
            if !waited {
                waited = true;
                tracing::info!(blob_id = %blob.blob_id, copies = copies.len(), "a write waits until a file server is back or declared down");
            }
            self.node.servers.wake();
            tokio::time::sleep(LOOK_AGAIN).await;
            // What this node has applied is enough: if it lags behind, the wait is so much longer.
            ring = self.node.handle().read_local(|store| query::ring(store)).await?;
        }
    }

    /// The copies that their servers still hold, under those servers' present epochs; and new ones for the others.
    /// As many as the state asks for by now: a server may have come since the write was placed.
    async fn renewed(
        &self,
        blob: &Blob,
        copies: Vec<StoredCopy>,
        no_room: &mut NoRoom,
        ring: &Ring,
    ) -> ApiResult<Vec<StoredCopy>> {
        let (mut held, mut servers) = (Vec::new(), Vec::new());
        for copy in &copies {
            let Some(server) = ring.servers.iter().find(|server| server.server_id == copy.server_id) else { continue };
            // A copy on a server that is down would be refused, even where its bytes can be had.
            if !server.is_serving() {
                continue;
            }
            let at: ServerAddress = address(server);
            match self.node.blobs.head(&at, blob.blob_id).await {
                Ok(found) if found.copy_id == copy.copy_id && found.sha256 == blob.sha256 => {
                    held.push(found);
                    servers.push(at);
                }
                Ok(_) => {}
                Err(error) => self.note(&error, no_room),
            }
        }
        if held.is_empty() {
            return Err(ApiError::new(
                Code::NoFileServer,
                "the file servers that took the bytes went away, and nothing was stored: send it again",
            ));
        }
        let is_held = |id: ServerId| held.iter().any(|copy| copy.server_id == id);
        let lost: Vec<ServerId> = copies.iter().map(|copy| copy.server_id).filter(|id| !is_held(*id)).collect();
        let wanted = usize::try_from(ring.copies).unwrap_or(usize::MAX);
        let (blob_id, size, sha256) = (blob.blob_id, blob.size, blob.sha256);
        let uploaded = Uploaded { blob_id, size, sha256, copies: held, servers, lost, causes: Vec::new(), whole: None };
        Ok(self.whole(&uploaded, wanted, no_room).await)
    }

    /// What a failed call says about its server.
    pub(super) fn note(&self, error: &BlobError, no_room: &mut NoRoom) {
        if let BlobError::Full { server_id } = error {
            no_room.insert(*server_id);
        }
        self.node.note_blob_error(error);
    }
}

/// What keeps copies from being enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lack {
    /// A server that should take one does not answer, and is not declared down.
    Verdict,
    /// Every server that could take one has no room.
    Room,
}

impl Lack {
    /// `apply` counts the same way: as many copies as the policy asks for, or as there are servers that take files.
    fn of(copies: &[StoredCopy], ring: &Ring, no_room: &NoRoom) -> Option<Self> {
        let eligible = ring.servers.iter().filter(|server| server.is_eligible());
        let wanted = usize::try_from(ring.copies).unwrap_or(usize::MAX);
        if copies.len() >= eligible.clone().count().min(wanted) {
            return None;
        }
        let holds = |id: ServerId| copies.iter().any(|copy| copy.server_id == id);
        let mut others = eligible.map(|server| server.server_id).filter(|id| !holds(*id));
        Some(if others.all(|id| no_room.contains(&id)) { Self::Room } else { Self::Verdict })
    }
}
