//! What a restore puts in, kept as whole as what users make.

use super::Change;
use crate::domain::restored::{self, GAP};
use crate::domain::rows::{Entry, NO_PARENT, Restore};
use crate::domain::stop::{Stop, reject, require};
use crate::domain::tables::{self, Counter};
use crate::domain::{Fence, RejectionKind, Sha256, rules};

impl Change<'_> {
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
                Ok(Restore { backup: *backup, entries: 0, users: 0, grants: 0, done: false })
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
        if let Some(content) = entry.content()
            && content.last_fence > tables::last_fence(self.store)?
        {
            tables::put_last_fence(self.store, content.last_fence)?;
        }
        Ok(())
    }

    /// Has a counter give no id below `next` from now on.
    pub(crate) fn give_none_below(&mut self, counter: Counter, next: u64) -> Result<(), Stop> {
        if counter.peek(self.store)? < next {
            counter.set(self.store, next)?;
        }
        Ok(())
    }
}
