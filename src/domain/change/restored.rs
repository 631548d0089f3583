//! What a restore puts in, kept as whole as what users make.

use super::Change;
use crate::domain::restored::{self, GAP};
use crate::domain::rows::{Entry, FileVersion, NO_PARENT, Restore};
use crate::domain::stop::{Stop, reject, require};
use crate::domain::tables::{self, Counter};
use crate::domain::{ClusterTime, ContentId, Fault, Fence, RejectionKind, Sha256, rules};

impl Change<'_> {
    pub(crate) fn is_restoring(&self) -> Result<bool, Fault> {
        Ok(tables::restore(self.store)?.is_some_and(|restore| !restore.done))
    }

    /// Lets a backup into a cluster that nobody ever used, or the same one again.
    pub(crate) fn admit_backup(&mut self, backup: &Sha256) -> Result<Restore, Stop> {
        let refused = |detail: &str| Err(reject(RejectionKind::AlreadyExists, detail));
        match tables::restore(self.store)? {
            Some(restore) if restore.done => refused("this cluster was restored before: restore into a new one"),
            Some(restore) if restore.backup != *backup => {
                refused("another backup is being restored here: finish with that one, or begin with a new cluster")
            }
            Some(restore) => Ok(restore),
            None if !rules::is_unused(self.store)? => refused("this cluster is in use: restore into a new one"),
            None => {
                // What the backup has no row of begins at nothing there, and goes on above that all the same.
                tables::put_last_fence(self.store, Fence(GAP))?;
                for counter in [Counter::File, Counter::User] {
                    let first = counter.peek(self.store)?;
                    counter.set(self.store, first.saturating_add(GAP))?;
                }
                Ok(Restore {
                    backup: *backup,
                    entries: 0,
                    users: 0,
                    grants: 0,
                    done: false,
                    contents: 0,
                    unnamed: 0,
                    versions: 0,
                    trash: 0,
                    retentions: 0,
                    properties: 0,
                })
            }
        }
    }

    /// Puts an entry where the backup has it. Its parent may come later.
    pub(crate) fn link_restored(&mut self, entry: &Entry) -> Result<(), Stop> {
        restored::check_entry(entry)?;
        if entry.parent != NO_PARENT {
            if let Some(parent) = tables::entry(self.store, entry.parent)? {
                restored::check_parent(entry, &parent)?;
            }
            let taken = tables::child(self.store, entry.parent, &entry.name)?.is_some();
            require(
                !taken,
                RejectionKind::InvalidRequest,
                "the backup has two entries of one name in one directory: verify the backup",
            )?;
        }
        if !entry.is_directory() && tables::has_children(self.store, entry.file_id)? {
            return Err(restored::unfit("an entry is in a file"));
        }
        tables::link(self.store, entry)?;
        self.give_none_below(Counter::File, entry.file_id.0.saturating_add(1))?;
        if let Some(file) = entry.file()
            && file.last_fence > tables::last_fence(self.store)?
        {
            tables::put_last_fence(self.store, file.last_fence)?;
        }
        Ok(())
    }

    /// A content has come, and what names it comes later.
    pub(crate) fn unname_restored(&mut self, id: ContentId) -> Result<(), Stop> {
        let mut content = tables::known_content(self.store, id)?;
        content.refs = 0;
        Ok(tables::put_content(self.store, id, &content)?)
    }

    /// A version has come that names a content, which came before. What had no digest because it came in parts has one now:
    /// a restore sends it in order.
    pub(crate) fn name_restored(&mut self, file: &mut FileVersion, restore: &mut Restore) -> Result<(), Stop> {
        let early = || restored::unfit("a file comes before its content");
        let content = tables::content(self.store, file.content_id)?.ok_or_else(early)?;
        restored::check_named(file, &content)?;
        file.sha256 = content.sha256();
        if content.refs == 0 {
            restore.unnamed = restore.unnamed.saturating_sub(1);
        }
        self.name_content(file.content_id)?;
        Ok(())
    }

    /// When something ends that would have ended at `until` in the cluster from which the backup was taken at `taken_at`.
    pub(crate) fn restored_until(&self, until: ClusterTime, taken_at: ClusterTime) -> ClusterTime {
        self.now.plus_ms(until.0.saturating_sub(taken_at.0).clamp(1, restored::MAX_LEFT_MS))
    }

    /// Has a counter give no id below `next` from now on.
    pub(crate) fn give_none_below(&mut self, counter: Counter, next: u64) -> Result<(), Stop> {
        if counter.peek(self.store)? < next {
            counter.set(self.store, next)?;
        }
        Ok(())
    }
}
