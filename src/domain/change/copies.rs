//! Which copies an extent names, and what follows from it in `Placements`, `Garbage`, `Repairs` and the servers' counters.

use super::Change;
use crate::domain::rows::{Extent, Garbage, Placement, Recount, Repair, RepairReason};
use crate::domain::stop::{Stop, reject};
use crate::domain::tables::{self, MAX_COPIES};
use crate::domain::terms::{NewContent, Receipt};
use crate::domain::{BlobId, ClusterTime, CopyId, ExtentAt, Fault, RejectionKind, Replica, ServerId, Sha256};

impl Change<'_> {
    /// An extent of the copies that a commit names.
    pub(crate) fn admit(&mut self, new: &NewContent) -> Result<Extent, Stop> {
        self.admit_copies(new.blob_id, new.size, new.sha256, &new.receipts)
    }

    /// Judges the copies that a commit names, and makes an extent of them; the node heals what is refused here, so it comes
    /// after all that a user would have to hear. Copies that are more than the policy asks for by now become garbage at
    /// once: no job would look for them.
    pub(crate) fn admit_copies(
        &mut self,
        blob_id: BlobId,
        size: u64,
        sha256: Sha256,
        receipts: &[Receipt],
    ) -> Result<Extent, Stop> {
        let stale = RejectionKind::StaleReceipt;
        let mut replicas = Vec::with_capacity(receipts.len());
        for receipt in receipts {
            replicas.push(self.judge(blob_id, receipt)?);
            let id = receipt.server_id;
            if tables::placement(self.store, id, blob_id)?.is_some() {
                return Err(reject(stale, format!("a record names the blob on file server {id}: use a fresh blob id")));
            }
        }
        let copies = replicas.len();
        if copies < self.wanted_copies() && (copies as u64) < tables::eligible(self.store)? {
            return Err(reject(stale, "more copies can be made than were: copy the blob to another file server"));
        }
        for surplus in replicas.split_off(replicas.len().min(self.wanted_copies())) {
            self.list_garbage(surplus.server_id, blob_id, surplus.copy_id)?;
        }
        let too_few = replicas.len() < self.wanted_copies();
        Ok(Extent {
            blob_id,
            size,
            sha256,
            owed: too_few.then(|| u32::try_from(replicas.len()).unwrap_or(u32::MAX)),
            replicas,
            placement_rev: 1,
        })
    }

    /// The replica that a receipt stands for, if it still stands.
    pub(crate) fn judge(&self, blob: BlobId, receipt: &Receipt) -> Result<Replica, Stop> {
        let stale = RejectionKind::StaleReceipt;
        let id = receipt.server_id;
        let serves = tables::server(self.store, id)?.is_some_and(|server| server.serves(receipt.epoch));
        if !serves {
            return Err(reject(stale, format!("file server {id} is down or has another epoch: copy the blob anew")));
        }
        // A receipt may be stamped a little ahead of the log, by a leader that fell before its time was applied.
        let age_ms = self.now.0.saturating_sub(receipt.received_at.0);
        if age_ms > self.policy.receipt_ttl_ms {
            return Err(reject(stale, format!("the receipt of file server {id} is too old: renew it by HEAD")));
        }
        if tables::garbage(self.store, id, blob, receipt.copy_id)?.is_some() {
            return Err(reject(stale, format!("the copy on file server {id} is condemned: copy the blob anew")));
        }
        Ok(Replica { server_id: id, epoch: receipt.epoch, copy_id: receipt.copy_id, damaged: false })
    }

    pub(crate) fn wanted_copies(&self) -> usize {
        usize::try_from(self.policy.copies).unwrap_or(usize::from(MAX_COPIES))
    }

    /// Enters an extent's copies where copies are looked up by server. Copies that were too few are owed a repair.
    pub(crate) fn enlist(&mut self, at: ExtentAt, extent: &Extent) -> Result<(), Fault> {
        for (position, replica) in extent.replicas.iter().enumerate() {
            let placement = Placement { at, copy_id: replica.copy_id };
            tables::put_placement(self.store, replica.server_id, extent.blob_id, &placement)?;
            self.count(extent.blob_id, replica, position, extent.size, true)?;
        }
        if let Some(copies) = extent.owed {
            let repair = Repair { reason: RepairReason::ShortWrite, since: self.now };
            tables::put_repair(self.store, copies, at, &repair)?;
        }
        Ok(())
    }

    /// The reverse: its copies become garbage, those of older epochs too, since their bytes may still be on a disk.
    pub(crate) fn release(&mut self, at: ExtentAt, extent: &Extent) -> Result<(), Fault> {
        self.release_of(at, extent, self.now)
    }

    /// The same for an extent that nothing names since then.
    pub(crate) fn release_of(&mut self, at: ExtentAt, extent: &Extent, since: ClusterTime) -> Result<(), Fault> {
        for (position, replica) in extent.replicas.iter().enumerate() {
            let (server, blob, copy) = (replica.server_id, extent.blob_id, replica.copy_id);
            tables::delete_placement(self.store, server, blob)?;
            tables::put_garbage(self.store, server, blob, copy, &Garbage { since, deleted_at: None })?;
            self.count(extent.blob_id, replica, position, extent.size, false)?;
        }
        match extent.owed {
            Some(copies) => tables::delete_repair(self.store, copies, at),
            None => Ok(()),
        }
    }

    pub(crate) fn list_garbage(&mut self, server: ServerId, blob: BlobId, copy: CopyId) -> Result<(), Fault> {
        let row = Garbage { since: self.now, deleted_at: None };
        tables::put_garbage(self.store, server, blob, copy, &row)
    }

    /// Counts a copy of a blob at its server, or counts it off. See `rows::Server` for what the counters mean.
    ///
    /// Counters follow from the records, so they are never worth a fault: one that does not add up is counted anew, by
    /// `Recount`.
    pub(crate) fn count(
        &mut self,
        blob: BlobId,
        replica: &Replica,
        position: usize,
        size: u64,
        add: bool,
    ) -> Result<(), Fault> {
        let Some(mut server) = tables::server(self.store, replica.server_id)? else { return Ok(()) };
        let stale = server.epoch != replica.epoch;
        let mut tally = server.tally();
        let exact = tally.step(stale, position, size, add);
        server.set_tally(tally);
        match &mut server.recount {
            Some(recount) if recount.through.is_some_and(|through| blob <= through) => {
                if !recount.tally.step(stale, position, size, add) {
                    *recount = Recount::default();
                }
            }
            Some(_) => {}
            None if exact => {}
            None => server.recount = Some(Recount::default()),
        }
        tables::put_server(self.store, &server)
    }

    /// How many of the copies count.
    pub(crate) fn counted(&self, replicas: &[Replica]) -> Result<usize, Fault> {
        let mut counted = 0;
        for replica in replicas {
            let counts = tables::server(self.store, replica.server_id)?.is_some_and(|server| server.counts(replica));
            counted += usize::from(counts);
        }
        Ok(counted)
    }
}
