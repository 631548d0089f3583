//! Files' content: which copies a record names, and what follows from it in `Placements`, `Garbage`, `Repairs` and the
//! servers' counters.

use std::collections::BTreeSet;

use super::Change;
use crate::domain::command::{FileRef, LockProof, NewContent, PathRef, Precondition};
use crate::domain::rows::{Content, EntryKind, Garbage, Placement, Repair, RepairReason};
use crate::domain::rules::{self};
use crate::domain::stop::{Stop, reject, require};
use crate::domain::tables::{self, MAX_COPIES};
use crate::domain::{Fault, Fence, FileId, Outcome, RejectionKind, Replica, UserId, Version};

const MAX_CONTENT_TYPE_BYTES: usize = 255;
/// 256 TiB. Far above what a node admits; it keeps the sums in the servers' rows far from overflow.
const MAX_FILE_BYTES: u64 = 1 << 48;

impl Change<'_> {
    pub(super) fn write(&mut self, user: UserId, at: &PathRef, new: &NewContent) -> Result<Outcome, Stop> {
        let spot = rules::spot(self.store, user, at)?;
        check_shape(new)?;
        let replicas = self.admit(new)?;
        let content = Content {
            version: Version(1),
            size: new.size,
            sha256: new.sha256,
            content_type: new.content_type.clone(),
            blob_id: new.blob_id,
            replicas,
            placement_rev: 1,
            last_fence: Fence(0),
        };
        let entry = self.create(&spot, EntryKind::File(Box::new(content.clone())))?;
        self.enlist(entry.file_id, &content)?;
        self.stat(&entry, spot.path, spot.access)
    }

    pub(super) fn update(
        &mut self,
        user: UserId,
        file: &FileRef,
        new: &NewContent,
        precondition: Option<&Precondition>,
        lock: Option<&LockProof>,
    ) -> Result<Outcome, Stop> {
        let reached = rules::allow_update(self.store, user, file, precondition, lock)?;
        check_shape(new)?;
        let replicas = self.admit(new)?;
        let mut entry = reached.entry;
        let file_id = entry.file_id;
        let EntryKind::File(content) = &mut entry.kind else {
            return Err(Fault(format!("entry {file_id} is no file")).into());
        };
        require(
            content.blob_id != new.blob_id,
            RejectionKind::StaleReceipt,
            "this blob is the file's content already",
        )?;
        self.release(file_id, content)?;
        **content = Content {
            version: Version(content.version.0 + 1),
            size: new.size,
            sha256: new.sha256,
            content_type: new.content_type.clone(),
            blob_id: new.blob_id,
            replicas,
            placement_rev: content.placement_rev + 1,
            last_fence: content.last_fence,
        };
        self.enlist(file_id, content)?;
        entry.modified_at = self.wall;
        tables::put_entry(self.store, &entry)?;
        self.stat(&entry, reached.path, reached.access)
    }

    /// Judges the copies that a commit names; the node heals what is refused here, so it comes after all that a user
    /// would have to hear.
    fn admit(&self, new: &NewContent) -> Result<Vec<Replica>, Stop> {
        let stale = RejectionKind::StaleReceipt;
        let mut replicas = Vec::with_capacity(new.receipts.len());
        for receipt in &new.receipts {
            let id = receipt.server_id;
            let counts = tables::server(self.store, id)?.is_some_and(|server| server.counts(receipt.epoch));
            if !counts {
                return Err(reject(
                    stale,
                    format!("file server {id} is down or has another epoch: copy the blob anew"),
                ));
            }
            // A receipt may be stamped a little ahead of the log, by a leader that fell before its time was applied.
            let age_ms = self.now.0.saturating_sub(receipt.received_at.0);
            if age_ms > self.policy.receipt_ttl_ms {
                return Err(reject(stale, format!("the receipt of file server {id} is too old: renew it by HEAD")));
            }
            if tables::garbage(self.store, id, new.blob_id, receipt.copy_id)?.is_some() {
                return Err(reject(stale, format!("the copy on file server {id} is condemned: copy the blob anew")));
            }
            if tables::placement(self.store, id, new.blob_id)?.is_some() {
                return Err(reject(stale, format!("a record names the blob on file server {id}: use a fresh blob id")));
            }
            replicas.push(Replica { server_id: id, epoch: receipt.epoch, copy_id: receipt.copy_id });
        }
        let eligible = tables::servers(self.store)?.iter().filter(|server| server.is_eligible()).count();
        if replicas.len() < eligible.min(self.wanted_copies()) {
            return Err(reject(stale, "more copies can be made than were: copy the blob to another file server"));
        }
        Ok(replicas)
    }

    fn wanted_copies(&self) -> usize {
        usize::try_from(self.policy.copies).unwrap_or(usize::from(MAX_COPIES))
    }

    /// Enters a record's copies where copies are looked up by server. Copies that were too few are owed a repair.
    fn enlist(&mut self, file_id: FileId, content: &Content) -> Result<(), Fault> {
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
    pub(super) fn release(&mut self, file_id: FileId, content: &Content) -> Result<(), Fault> {
        for (position, replica) in content.replicas.iter().enumerate() {
            tables::delete_placement(self.store, replica.server_id, content.blob_id)?;
            let row = Garbage { since: self.now, deleted_at: None };
            tables::put_garbage(self.store, replica.server_id, content.blob_id, replica.copy_id, &row)?;
            self.count(replica, position, content.size, false)?;
        }
        tables::delete_repairs(self.store, file_id)
    }

    /// Counts one copy at its server, or counts it off. See `rows::Server` for what the counters mean.
    fn count(&mut self, replica: &Replica, position: usize, size: u64, add: bool) -> Result<(), Fault> {
        let id = replica.server_id;
        let Some(mut server) = tables::server(self.store, id)? else { return Ok(()) };
        if server.epoch != replica.epoch {
            return Ok(());
        }
        let step = |value: u64, by: u64| {
            let stepped = if add { value.checked_add(by) } else { value.checked_sub(by) };
            stepped.ok_or_else(|| Fault(format!("a counter of file server {id} does not add up")))
        };
        if position == 0 {
            server.primaries = step(server.primaries, 1)?;
        } else {
            server.backups = step(server.backups, 1)?;
        }
        server.bytes = step(server.bytes, size)?;
        tables::put_server(self.store, &server)
    }
}

/// What no receipt can mend.
fn check_shape(new: &NewContent) -> Result<(), Stop> {
    let invalid = RejectionKind::InvalidRequest;
    let plain = new.content_type.len() <= MAX_CONTENT_TYPE_BYTES && !new.content_type.chars().any(char::is_control);
    require(plain, invalid, "the content type is too long or has control characters: use at most 255 bytes")?;
    require(new.size <= MAX_FILE_BYTES, invalid, "the file is too large: store at most 256 TiB in one")?;
    let servers: BTreeSet<_> = new.receipts.iter().map(|receipt| receipt.server_id).collect();
    let counted = (1..=usize::from(MAX_COPIES)).contains(&new.receipts.len());
    require(
        counted && servers.len() == new.receipts.len(),
        invalid,
        "a commit names 1 to 5 copies, each on another file server",
    )
}
