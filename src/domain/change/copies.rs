//! Which copies a record names, and what follows from it in `Placements`, `Garbage`, `Repairs` and the servers' counters.

use super::Change;
use crate::domain::rows::{Content, Garbage, Placement, Repair, RepairReason};
use crate::domain::stop::{Stop, reject};
use crate::domain::tables::{self, MAX_COPIES};
use crate::domain::terms::{NewContent, Receipt};
use crate::domain::{BlobId, CopyId, Fault, FileId, RejectionKind, Replica, ServerId};

impl Change<'_> {
    /// Judges the copies that a commit names; the node heals what is refused here, so it comes after all that a user
    /// would have to hear.
    /// Copies that are more than the policy asks for by now become garbage at once: no job would look for them.
    pub(crate) fn admit(&mut self, new: &NewContent) -> Result<Vec<Replica>, Stop> {
        let stale = RejectionKind::StaleReceipt;
        let mut replicas = Vec::with_capacity(new.receipts.len());
        for receipt in &new.receipts {
            replicas.push(self.judge(new.blob_id, receipt)?);
            let id = receipt.server_id;
            if tables::placement(self.store, id, new.blob_id)?.is_some() {
                return Err(reject(stale, format!("a record names the blob on file server {id}: use a fresh blob id")));
            }
        }
        let eligible = tables::servers(self.store)?.iter().filter(|server| server.is_eligible()).count();
        if replicas.len() < eligible.min(self.wanted_copies()) {
            return Err(reject(stale, "more copies can be made than were: copy the blob to another file server"));
        }
        for surplus in replicas.split_off(replicas.len().min(self.wanted_copies())) {
            self.list_garbage(surplus.server_id, new.blob_id, surplus.copy_id)?;
        }
        Ok(replicas)
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

    /// Enters a record's copies where copies are looked up by server. Copies that were too few are owed a repair.
    pub(crate) fn enlist(&mut self, file_id: FileId, content: &Content) -> Result<(), Fault> {
        let placement = Placement { file_id, version: content.version };
        for (position, replica) in content.replicas.iter().enumerate() {
            tables::put_placement(self.store, replica.server_id, content.blob_id, &placement)?;
            self.count(replica, position, content.size, true)?;
        }
        if content.replicas.len() < self.wanted_copies() {
            let copies = u8::try_from(content.replicas.len()).unwrap_or(MAX_COPIES);
            let repair = Repair { reason: RepairReason::ShortWrite, since: self.now };
            tables::put_repair(self.store, copies, file_id, &repair)?;
        }
        Ok(())
    }

    /// The reverse: its copies become garbage, those of older epochs too, since their bytes may still be on a disk.
    pub(crate) fn release(&mut self, file_id: FileId, content: &Content) -> Result<(), Fault> {
        for (position, replica) in content.replicas.iter().enumerate() {
            tables::delete_placement(self.store, replica.server_id, content.blob_id)?;
            self.list_garbage(replica.server_id, content.blob_id, replica.copy_id)?;
            self.count(replica, position, content.size, false)?;
        }
        tables::delete_repairs(self.store, file_id)
    }

    pub(crate) fn list_garbage(&mut self, server: ServerId, blob: BlobId, copy: CopyId) -> Result<(), Fault> {
        let row = Garbage { since: self.now, deleted_at: None };
        tables::put_garbage(self.store, server, blob, copy, &row)
    }

    /// Counts one copy at its server, or counts it off. See `rows::Server` for what the counters mean.
    pub(crate) fn count(&mut self, replica: &Replica, position: usize, size: u64, add: bool) -> Result<(), Fault> {
        let id = replica.server_id;
        let Some(mut server) = tables::server(self.store, id)? else { return Ok(()) };
        let step = |value: u64, by: u64| {
            let stepped = if add { value.checked_add(by) } else { value.checked_sub(by) };
            stepped.ok_or_else(|| Fault(format!("a counter of file server {id} does not add up")))
        };
        if server.epoch != replica.epoch {
            server.stale = step(server.stale, 1)?;
            return tables::put_server(self.store, &server);
        }
        if position == 0 {
            server.primaries = step(server.primaries, 1)?;
        } else {
            server.backups = step(server.backups, 1)?;
        }
        server.bytes = step(server.bytes, size)?;
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
