//! Where the calls of other directory nodes come in, each to whom it is for.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::lookout::Lookout;
use super::peers::{PeerCall, PeerReply, decode, encode};
use super::placement::PlacementDesk;
use super::progress::Progress;
use super::reads::Reads;
use super::timekeeping;
use crate::clock::SharedClock;
use crate::consensus::{Handle, PeerService};
use crate::domain::NodeId;

/// Answers calls of other nodes.
pub(crate) struct Switchboard {
    desk: PlacementDesk,
    lookout: Arc<Lookout>,
    progress: Arc<Progress>,
    reads: Reads,
    clock: SharedClock,
    handle: Mutex<Option<Handle>>,
}

impl Switchboard {
    pub(crate) fn new(
        desk: PlacementDesk,
        lookout: Arc<Lookout>,
        (progress, reads): (Arc<Progress>, Reads),
        clock: SharedClock,
    ) -> Self {
        Self { desk, lookout, progress, reads, clock, handle: Mutex::new(None) }
    }

    /// Calls are answered from here on. Consensus needs this before it exists itself.
    pub(crate) fn open(&self, handle: Handle) {
        *self.slot() = Some(handle);
    }

    /// Calls are no longer answered. Consensus holds this and this holds consensus: without it neither would ever be
    /// dropped, and the databases never closed.
    pub(crate) fn close(&self) {
        let handle = self.slot().take();
        drop(handle); // After the slot is free again: this may be the last one, and take its time.
    }

    fn slot(&self) -> MutexGuard<'_, Option<Handle>> {
        self.handle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, call: PeerCall) -> Result<PeerReply, String> {
        let handle = self.slot().clone();
        let handle = handle.ok_or_else(|| "the node is starting or stopping: ask again".to_owned())?;
        Ok(match call {
            PeerCall::Placer(call) => PeerReply::Placer(self.desk.answer(&handle, call).await),
            PeerCall::JobStatus => PeerReply::JobStatus(self.progress.status()),
            PeerCall::Time => timekeeping::told(&self.clock),
            PeerCall::OldestRead => PeerReply::OldestRead { seen_at: self.reads.oldest().map(|seen_at| seen_at.0) },
            PeerCall::RoomWanted => {
                self.lookout.servers.room_is_wanted();
                PeerReply::Noted
            }
            PeerCall::Reach(call) => PeerReply::Reach(self.lookout.answer(&handle, call).await),
        })
    }
}

/// What consensus calls.
pub(crate) struct PeerCalls(pub(crate) Arc<Switchboard>);

impl PeerService for PeerCalls {
    fn serve(&self, _from: NodeId, request: Bytes) -> BoxFuture<'static, Result<Bytes, String>> {
        let board = self.0.clone();
        Box::pin(async move {
            let call = decode(&request).map_err(|error| error.to_string())?;
            Ok(encode(&board.answer(call).await?))
        })
    }
}
