//! openraft's state machine: batches of committed entries, and snapshots in order with them.
//!
//! One batch is one write to RocksDB, with the mark of the last entry in it, and the answers go out after that write.
//! The write is not synced: what a power failure takes is applied again from the Raft log, which is only purged up to a
//! snapshot, and a snapshot is synced.
//!
//! Applying runs on threads for blocking work. A compaction stall then delays answers; it does not delay a heartbeat.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::{Stream, StreamExt, TryStreamExt};
use openraft::storage::{ApplyResponder, EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend};

use super::damage;
use super::deferral::Deferral;
use super::machine::Machine;
use super::records::AppliedRecord;
use super::snapshot::{Snapshot, SnapshotFiles, Snapshots};
use super::state::{Applied, StateStore};
use super::stopper::Stopper;
use super::tasks::Tasks;
use super::types::{Blob, Entry, LogId, SnapshotMeta, StoredMembership, TypeConfig};
use crate::domain::{Fault, Overlay};

/// The state machine as openraft drives it: one task owns it.
pub(crate) struct StateMachine {
    pub store: Arc<StateStore>,
    pub machine: Arc<dyn Machine>,
    pub snapshots: Arc<Snapshots>,
    pub max_batch_entries: usize,
    pub max_batch_bytes: usize,
    pub deferral: Deferral,
    /// Entries applied by this process.
    pub commits: Arc<AtomicU64>,
    pub stopper: Stopper,
    pub tasks: Tasks,
}

type Answered = (Vec<Entry>, Vec<Option<ApplyResponder<TypeConfig>>>);

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotData = SnapshotFiles;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        self.store.db().applied_state().map_err(|fault| self.fatal(&fault))
    }

    async fn apply<S>(&mut self, entries: S) -> io::Result<()>
    where
        S: Stream<Item = Result<EntryResponder<TypeConfig>, io::Error>> + Unpin + OptionalSend,
    {
        let mut entries = entries.fuse();
        loop {
            let (batch, responders) = self.next_batch(&mut entries).await?;
            if batch.is_empty() {
                return Ok(());
            }
            let (store, machine) = (Arc::clone(&self.store), Arc::clone(&self.machine));
            let count = batch.len() as u64;
            let answers = self.blocking(move || apply_batch(&store, &*machine, batch)).await?;
            let answers = answers.map_err(|fault| self.fatal(&fault))?;
            self.commits.fetch_add(count, Ordering::Relaxed);
            for (answer, responder) in answers.into_iter().zip(responders) {
                if let Some(responder) = responder {
                    responder.send(answer);
                }
            }
        }
    }

    /// Takes the checkpoint here, between two batches, so that rows and mark belong together. What is left to the
    /// builder is nothing.
    async fn try_create_snapshot_builder(&mut self, force: bool) -> Option<Builder> {
        if !force && self.deferral.defers() {
            return None;
        }
        let (store, snapshots) = (Arc::clone(&self.store), Arc::clone(&self.snapshots));
        let taken = self.blocking(move || snapshots.take(&store.db())).await;
        Some(Builder { taken: Some(taken.and_then(|taken| taken.map_err(|error| self.failed(&error)))) })
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        let builder = self.try_create_snapshot_builder(true).await;
        builder.expect("a builder is always made")
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: SnapshotFiles) -> io::Result<()> {
        let (store, machine) = (Arc::clone(&self.store), Arc::clone(&self.machine));
        let snapshots = Arc::clone(&self.snapshots);
        let mark = AppliedRecord::new(meta.last_log_id.as_ref(), &meta.last_membership);
        let work = move || -> anyhow::Result<()> {
            // Opened before it is kept: a damaged one must not be what the next start begins with. After a crash in between
            // the state is newer than the snapshot, as it is most of the time.
            store.replace(&snapshot.database(), &mark, &*machine)?;
            snapshots.adopt(&snapshot, &mark)?;
            Ok(())
        };
        let installed = self.blocking(work).await?;
        installed.map_err(|error| self.failed(&error))
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        Ok(self.snapshots.current())
    }
}

impl Drop for StateMachine {
    /// openraft does not notice a panic of the task that owns this; the node would stand still in silence.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.stopper.stop("the state machine panicked: this is a bug, see the log for where");
        }
    }
}

impl StateMachine {
    /// As many entries as one write holds, and who waits for their answers. Empty at the end of the stream.
    async fn next_batch<S>(&self, entries: &mut S) -> io::Result<Answered>
    where
        S: Stream<Item = Result<EntryResponder<TypeConfig>, io::Error>> + Unpin + OptionalSend,
    {
        let (mut batch, mut responders, mut bytes) = (Vec::new(), Vec::new(), 0);
        while batch.len() < self.max_batch_entries && bytes < self.max_batch_bytes {
            let Some((entry, responder)) = entries.try_next().await? else { break };
            if let EntryPayload::Normal(command) = &entry.payload {
                bytes += command.0.len();
            }
            batch.push(entry);
            responders.push(responder);
        }
        Ok((batch, responders))
    }

    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
        let done = self.tasks.blocking(work).await;
        done.map_err(|ended| io::Error::other(format!("the state machine failed: {ended}")))
    }

    /// A fault while applying stops the node: going on would part it from the others.
    fn fatal(&self, fault: &Fault) -> io::Error {
        let text = fault.to_string();
        let message = damage::with_remedy(&*text);
        self.stopper.stop(if message == text {
            format!(
                "{fault}. This node stops, because going on without that change would part it from the others. Nothing \
                 acknowledged is lost: look at the disk, or start the version that the other nodes run"
            )
        } else {
            message
        });
        io::Error::other(fault.to_string())
    }

    fn failed(&self, error: &anyhow::Error) -> io::Error {
        let message = damage::with_remedy(format!("{error:#}"));
        self.stopper.stop(message.clone());
        io::Error::other(message)
    }
}

/// Applies a batch and writes it.
fn apply_batch(store: &StateStore, machine: &dyn Machine, batch: Vec<Entry>) -> Result<Vec<Blob>, Fault> {
    let db = store.db();
    let latest = db.latest();
    let (_, mut membership) = db.applied_state()?;
    let mut overlay = Overlay::new(&latest);
    let mut answers = Vec::with_capacity(batch.len());
    let (mut last, mut used) = (None, None);
    for entry in batch {
        let answer = match entry.payload {
            EntryPayload::Blank => Blob::default(),
            EntryPayload::Normal(command) => machine.apply(&mut overlay, entry.log_id.index, &command.0)?.into(),
            EntryPayload::Membership(change) => {
                let ids: &mut BTreeSet<u64> = match &mut used {
                    Some(ids) => ids,
                    None => used.insert(db.roster()?.used),
                };
                ids.extend(change.nodes().map(|(id, _)| *id));
                membership = StoredMembership::new(Some(entry.log_id), change);
                Blob::default()
            }
        };
        answers.push(answer);
        last = Some(entry.log_id);
    }
    let time = machine.cluster_time(&overlay)?;
    db.write(overlay.into_changes(), &AppliedRecord::new(last.as_ref(), &membership), used)?;
    store.set_applied(Applied { index: last.map(|id| id.index), time });
    Ok(answers)
}

/// A snapshot that is taken already.
pub(crate) struct Builder {
    taken: Option<io::Result<Snapshot>>,
}

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    type SnapshotData = SnapshotFiles;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        self.taken.take().unwrap_or_else(|| Err(io::Error::other("a snapshot builder builds once")))
    }
}
