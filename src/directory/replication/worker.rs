//! One file: what may be good is verified, what is missing is copied, and the record is changed.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::commit::{Committed, Committer};
use super::limits::Limits;
use crate::client::blobs::{BlobError, CopyOrder, ServerAddress, StoredCopy};
use crate::consensus::QueryKind;
use crate::directory::lookout::address;
use crate::directory::node::App;
use crate::domain::plan::{Mend, OwedExtent, Scene, mend};
use crate::domain::query;
use crate::domain::terms::{Receipt, Slot};
use crate::domain::{Command, CopyAt, CopyId, Proposal, ServerId, command};

/// A copying or a verification has so long, whatever the size…
const BASE: Duration = Duration::from_secs(20);
/// …and a second more for each of so many bytes.
const SLOWEST_BYTES_PER_SECOND: u64 = 4 * 1024 * 1024;
const SLOWEST_PACE: u64 = 64 * 1024;
/// A receipt that is older than this is shown again before the commit: it may have to wait there, too.
const FRESH: Duration = Duration::from_secs(60);
/// For so long after its return a server is waited for that does not verify its copies yet.
const SETTLING_MS: u64 = 60_000;

/// What came of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mended {
    /// The record has other copies now, or needs none.
    Done,
    /// Some of it could be done, or nothing: the next round will see.
    Not,
}

/// What every worker has.
#[derive(Clone)]
pub(super) struct Worker {
    pub(super) node: App,
    pub(super) limits: Limits,
    pub(super) committer: Committer,
}

/// What was found and made so far.
#[derive(Default)]
struct Found {
    /// Receipts that the record may name.
    receipts: Vec<Receipt>,
    /// Copies that were made here, and are nobody's until the record names them.
    made: Vec<CopyAt>,
    /// Servers where the named copy turned out to be bad or gone: a copy can be made in its place.
    bad: Vec<ServerId>,
    /// A server that has just come back could not say yet what it holds.
    unsettled: bool,
}

impl Worker {
    pub(super) async fn run(self, candidate: OwedExtent) -> Mended {
        match self.mend(&candidate).await {
            Ok(mended) => mended,
            Err(error) => {
                tracing::warn!(extent = %candidate.at, %error, "an extent could not be looked at and waits for the next round");
                Mended::Not
            }
        }
    }

    async fn mend(&self, candidate: &OwedExtent) -> anyhow::Result<Mended> {
        let node = self.node.clone();
        let (at, goal) = (candidate.at, candidate.goal.clone());
        // The record as it is now: the plan may be minutes old.
        let looked = self.node.handle().read_local_as(QueryKind::Job, move |store| {
            let scene = Scene::read(store, node.suspects(&query::servers(store)?))?;
            let extent = query::extent(store, at)?;
            let mend = extent.map(|extent| mend(store, &scene, at, &extent, goal.as_deref())).transpose()?.flatten();
            Ok(mend.map(|mend| (scene, mend)))
        });
        let Some((scene, mend)) = looked.await? else {
            // Nothing can be done for it now, which need not mean that nothing is owed to it.
            return Ok(if candidate.goal.is_some() { Mended::Done } else { Mended::Not });
        };

        let began = Instant::now();
        let mut found = Found::default();
        self.verify(&scene, &mend, &mut found).await;
        if found.unsettled && mend.counted > 0 {
            return Ok(Mended::Not);
        }
        let complete = self.copy(&scene, &mend, &mut found).await?;
        if began.elapsed() > FRESH {
            self.renew(&scene, &mend, &mut found).await;
        }
        let Some(change) = mend.settle(&found.receipts) else {
            self.condemn(found.made).await?;
            return Ok(Mended::Not);
        };
        let named: Vec<_> = change.slots.iter().filter_map(made_at).collect();
        match self.committer.commit(change).await {
            Committed::Done => {
                self.node.progress.mended.inc();
                found.made.retain(|copy| !named.contains(&(copy.server_id, copy.copy_id)));
                self.condemn(found.made).await?;
                Ok(if complete { Mended::Done } else { Mended::Not })
            }
            refused => {
                tracing::debug!(extent = %at, ?refused, "an extent changed while it was being mended");
                self.condemn(found.made).await?;
                Ok(Mended::Not)
            }
        }
    }

    /// Has the servers that came back look at what they still hold.
    async fn verify(&self, scene: &Scene, mend: &Mend, found: &mut Found) {
        for (server_id, copy_id) in &mend.verify {
            let Some(at) = scene.servers.get(server_id).map(address) else { continue };
            let _stream = self.limits.streams(&[*server_id]).await;
            let verified = match self.verify_one(mend, &at, *copy_id).await {
                // Another copy may be there: an earlier repair's, whose commit was lost.
                Err(BlobError::Missing { .. }) => self.adopt(mend, &at).await,
                answer => answer,
            };
            match verified {
                Ok(copy) if copy.sha256 == mend.sha256 && copy.size == mend.size => {
                    self.node.progress.verified.inc();
                    found.receipts.push(self.receipt(&copy));
                }
                Ok(_) => found.bad.push(*server_id),
                Err(error @ (BlobError::Missing { .. } | BlobError::Corrupt { .. })) => {
                    tracing::info!(extent = %mend.at, blob_id = %mend.blob_id, %error, "a copy that was to be taken back is not good");
                    found.bad.push(*server_id);
                }
                Err(error) => {
                    self.note(mend, "verified", &error);
                    let now = self.node.handle().cluster_time();
                    found.unsettled |= scene.servers[server_id].changed_at.plus_ms(SETTLING_MS) > now;
                }
            }
        }
    }

    /// Makes the copies that are still missing. Whether all were made.
    async fn copy(&self, scene: &Scene, mend: &Mend, found: &mut Found) -> anyhow::Result<bool> {
        let mut missing = mend.still_missing(scene, &found.receipts);
        let in_place = found.bad.iter().copied().filter(|id| scene.can_replace(*id));
        let targets: Vec<ServerId> = in_place.chain(mend.targets.iter().copied()).collect();
        let verified = found.receipts.iter().map(|receipt| receipt.server_id);
        let mut sources: Vec<ServerId> = verified.chain(mend.sources.iter().copied()).collect();
        sources.retain(|id| !found.bad.contains(id));
        let mut targets = targets.into_iter();
        while missing > 0 {
            let Some(target) = targets.next() else { return Ok(false) };
            let Some(to) = scene.servers.get(&target).map(address) else { continue };
            while let Some(source) = sources.iter().copied().find(|id| *id != target) {
                let Some(from) = scene.servers.get(&source).map(address) else { break };
                match self.copy_one(mend, &to, from).await {
                    Ok(copy) => {
                        found.receipts.push(self.receipt(&copy));
                        let (server_id, copy_id) = (copy.server_id, copy.copy_id);
                        found.made.push(CopyAt { server_id, blob_id: mend.blob_id, copy_id });
                        missing -= 1;
                        break;
                    }
                    Err(error) => {
                        self.note(mend, "copied", &error);
                        if blamed(&error) != source {
                            break;
                        }
                        // The fault is the source's: another one may do.
                        sources.retain(|id| *id != source);
                        self.report(mend, source, &error).await?;
                    }
                }
            }
        }
        Ok(true)
    }

    async fn copy_one(&self, mend: &Mend, to: &ServerAddress, source: ServerAddress) -> Result<StoredCopy, BlobError> {
        let allowance = self.limits.bytes(mend.size).await;
        let _streams = self.limits.streams(&[to.server_id, source.server_id]).await;
        let mut order = CopyOrder {
            blob_id: mend.blob_id,
            copy_id: CopyId(self.node.clock.random_u128()),
            source,
            size: mend.size,
            sha256: mend.sha256,
            bytes_per_second: Some(allowance.bytes_per_second),
            replaces: mend.listed_at(to.server_id).to_vec(),
        };
        let mut copied = self.in_time(to.server_id, mend.size, self.node.blobs.copy(to, order.clone())).await;
        if let Err(BlobError::Refused { .. }) = copied
            && mend.copy_at(to.server_id).is_none()
            && let Ok(there) = self.node.blobs.head(to, mend.blob_id).await
        {
            // A copy that no record names: of an upload that lost this server, or of an earlier attempt whose commit was lost.
            // It is not taken over, since whoever made it may yet delete it under its id.
            order.replaces.push(there.copy_id);
            copied = self.in_time(to.server_id, mend.size, self.node.blobs.copy(to, order)).await;
        }
        if copied.is_ok() {
            allowance.spend();
            self.node.progress.copied(mend.size);
        }
        copied
    }

    async fn verify_one(&self, mend: &Mend, at: &ServerAddress, copy_id: CopyId) -> Result<StoredCopy, BlobError> {
        self.in_time(at.server_id, mend.size, self.node.blobs.verify(at, mend.blob_id, copy_id, mend.size)).await
    }

    /// Has the servers show again what was shown long ago; what they do not hold any more is not named.
    async fn renew(&self, scene: &Scene, mend: &Mend, found: &mut Found) {
        let mut renewed = Vec::with_capacity(found.receipts.len());
        for receipt in &found.receipts {
            let Some(at) = scene.servers.get(&receipt.server_id).map(address) else { continue };
            match self.node.blobs.head(&at, mend.blob_id).await {
                Ok(copy) if copy.copy_id == receipt.copy_id => renewed.push(self.receipt(&copy)),
                Ok(_) => {}
                Err(error) => self.note(mend, "shown again", &error),
            }
        }
        found.receipts = renewed;
    }

    /// A copying or a verification, for as long as it may take at a fair part of what the job may use.
    async fn in_time<T>(
        &self,
        server_id: ServerId,
        size: u64,
        call: impl Future<Output = Result<T, BlobError>>,
    ) -> Result<T, BlobError> {
        let settings = self.node.settings.replication;
        let share = settings.bytes_per_second / (2 * u64::from(settings.streams.max(1)));
        let limit = BASE + Duration::from_secs(size / share.clamp(SLOWEST_PACE, SLOWEST_BYTES_PER_SECOND));
        timeout(limit, call).await.unwrap_or_else(|_| {
            Err(BlobError::Unreachable { server_id, cause: format!("it was not done within {} s", limit.as_secs()) })
        })
    }

    /// Whichever copy the server has, if it is the blob and not to be deleted.
    async fn adopt(&self, mend: &Mend, at: &ServerAddress) -> Result<StoredCopy, BlobError> {
        let copy = self.node.blobs.head(at, mend.blob_id).await?;
        let listed = mend.listed_at(at.server_id).contains(&copy.copy_id);
        if listed || (copy.size, copy.sha256) != (mend.size, mend.sha256) {
            return Err(BlobError::Missing { server_id: at.server_id });
        }
        self.verify_one(mend, at, copy.copy_id).await
    }

    /// Stamped when the copy is there: from then on its age counts.
    fn receipt(&self, copy: &StoredCopy) -> Receipt {
        Receipt {
            server_id: copy.server_id,
            epoch: copy.epoch,
            copy_id: copy.copy_id,
            received_at: self.node.handle().cluster_time(),
        }
    }

    fn note(&self, mend: &Mend, what: &str, error: &BlobError) {
        self.node.note_blob_error(error);
        self.node.progress.failed.inc();
        tracing::info!(extent = %mend.at, blob_id = %mend.blob_id, %error, "a copy could not be {what}");
    }

    /// A source that turned out to be bad stops counting.
    async fn report(&self, mend: &Mend, source: ServerId, error: &BlobError) -> anyhow::Result<()> {
        let bad = matches!(error, BlobError::Missing { .. } | BlobError::Corrupt { .. });
        let Some(copy_id) = mend.copy_at(source).filter(|_| bad) else { return Ok(()) };
        let copy = CopyAt { server_id: source, blob_id: mend.blob_id, copy_id };
        self.node.report_copies(&[copy]).await.map_err(|error| anyhow::anyhow!("{error:?}"))?;
        Ok(())
    }

    /// What was made for nothing goes the way of all copies that nobody names.
    async fn condemn(&self, made: Vec<CopyAt>) -> anyhow::Result<()> {
        if made.is_empty() {
            return Ok(());
        }
        self.propose(Command::Condemn(command::Condemn { copies: made })).await
    }

    async fn propose(&self, command: Command) -> anyhow::Result<()> {
        match self.node.handle().propose(Proposal { operation: None, command }).await? {
            Ok(_) => Ok(()),
            Err(rejection) => anyhow::bail!("refused: {}", rejection.detail),
        }
    }
}

/// Whose fault it is.
fn blamed(error: &BlobError) -> ServerId {
    match error {
        BlobError::Unreachable { server_id, .. }
        | BlobError::Missing { server_id }
        | BlobError::Corrupt { server_id }
        | BlobError::Full { server_id }
        | BlobError::Unwritable { server_id, .. }
        | BlobError::Refused { server_id, .. } => *server_id,
        BlobError::BodyBroken(_) => ServerId(0),
    }
}

/// The copy that a slot names anew.
fn made_at(slot: &Slot) -> Option<(ServerId, CopyId)> {
    match slot {
        Slot::Made(receipt) => Some((receipt.server_id, receipt.copy_id)),
        Slot::Kept(_) => None,
    }
}
