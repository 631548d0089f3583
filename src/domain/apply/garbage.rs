//! Copies that are to go, that are gone, and that were found bad.

use super::Change;
use crate::domain::command::MAX_COPIES_LISTED;
use crate::domain::rows::EntryKind;
use crate::domain::stop::{Stop, require};
use crate::domain::tables::{self, Ending};
use crate::domain::{CopyAt, Fault, Outcome, RejectionKind};

impl Change<'_> {
    /// Lists what no record names. The log puts this and the commit that would name the copy in order, and whichever
    /// comes second is refused; so no clock decides between them.
    pub(super) fn condemn(&mut self, copies: &[CopyAt]) -> Result<Outcome, Stop> {
        check_count(copies)?;
        let mut rows = 0;
        for copy in copies {
            let known = tables::server(self.store, copy.server_id)?.is_some();
            let listed = tables::garbage(self.store, copy.server_id, copy.blob_id, copy.copy_id)?.is_some();
            // A server has one copy of a blob. If a record names another one there, this is what a repair made whose commit
            // was lost, and its bytes may be the only good ones.
            let named = tables::placement(self.store, copy.server_id, copy.blob_id)?.is_some();
            if known && !listed && !named {
                self.list_garbage(copy.server_id, copy.blob_id, copy.copy_id)?;
                rows += 1;
            }
        }
        Ok(Outcome::Progress { rows, more: false })
    }

    /// The row outlives the bytes, so that what was sent before the deletion arrives before the row goes: a late deletion,
    /// and every commit that has a receipt of the copy, since none is younger than the deletion.
    pub(super) fn deleted(&mut self, copies: &[CopyAt]) -> Result<Outcome, Stop> {
        check_count(copies)?;
        let mut rows = 0;
        for copy in copies {
            let (server, blob, id) = (copy.server_id, copy.blob_id, copy.copy_id);
            let Some(mut row) = tables::garbage(self.store, server, blob, id)? else { continue };
            if row.deleted_at.is_none() {
                row.deleted_at = Some(self.now);
                tables::put_garbage(self.store, server, blob, id, &row)?;
                let policy = &self.policy;
                let until = self.now.plus_ms(policy.garbage_linger_ms.max(policy.receipt_ttl_ms + 1));
                tables::put_expiry(self.store, until, &Ending::Garbage(server, blob, id))?;
                rows += 1;
            }
        }
        Ok(Outcome::Progress { rows, more: false })
    }

    /// A copy that was found damaged or missing stops counting at once; it stays named, since it may be the only one.
    pub(super) fn report(&mut self, copies: &[CopyAt]) -> Result<Outcome, Stop> {
        check_count(copies)?;
        let mut rows = 0;
        for copy in copies {
            rows += u32::from(self.mark_damaged(copy)?);
        }
        Ok(Outcome::Progress { rows, more: false })
    }

    fn mark_damaged(&mut self, copy: &CopyAt) -> Result<bool, Fault> {
        let Some(placement) = tables::placement(self.store, copy.server_id, copy.blob_id)? else { return Ok(false) };
        let mut entry = tables::known_entry(self.store, placement.file_id)?;
        let EntryKind::File(content) = &mut entry.kind else { return Ok(false) };
        let named = content
            .replicas
            .iter_mut()
            .find(|replica| (replica.server_id, replica.copy_id) == (copy.server_id, copy.copy_id) && !replica.damaged);
        let Some(replica) = named else { return Ok(false) };
        replica.damaged = true;
        content.placement_rev += 1;
        let content = content.clone();
        tables::put_entry(self.store, &entry)?;
        self.settle_repair(&entry, &content)?;
        Ok(true)
    }
}

fn check_count(copies: &[CopyAt]) -> Result<(), Stop> {
    let bounded = (1..=MAX_COPIES_LISTED).contains(&copies.len());
    require(bounded, RejectionKind::InvalidRequest, "one command names 1 to 250 copies")
}
