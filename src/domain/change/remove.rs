//! The end of one entry, with all the rows that are about it.

use super::Change;
use crate::domain::rows::{Entry, EntryKind};
use crate::domain::{Fault, tables};

/// Rows that the end of an entry touches, grants, properties and versions left aside: entry and name. Those of the parent's
/// children, of usage and of servers are shared with what goes beside it.
const ROWS: u32 = 2;
/// Three of a lock, and when it ends.
const ROWS_OF_LOCK: u32 = 4;
/// Those of an older version at most: two of an older one, its content, a repair, and for each of five copies placement, garbage and
/// server.
const MAX_ROWS_OF_VERSION: u32 = 2 + 1 + 1 + 5 * 3;
/// Older versions that go at once.
pub(crate) const MAX_VERSIONS_AT_ONCE: usize = 8;

/// What removing an entry came to.
pub(crate) struct Removal {
    /// Rows that were touched, or a little more.
    pub(crate) rows: u32,
    /// Whether the entry is gone, rather than only some of its grants or versions.
    pub(crate) complete: bool,
}

impl Change<'_> {
    /// Removes a file or an empty directory. Where it was shared with more than `max_grants` users, as many grants go
    /// and the entry stays; so it is with older versions. Properties are few, and go at once.
    pub(crate) fn remove_entry(&mut self, entry: &Entry, max_grants: usize) -> Result<Removal, Fault> {
        let id = entry.file_id;
        let grantees = tables::grantees(self.store, id, max_grants + 1)?;
        for user in grantees.iter().take(max_grants) {
            tables::delete_grant(self.store, *user, id)?;
        }
        let mut rows = u32::try_from(grantees.len() * 2).unwrap_or(u32::MAX);
        if grantees.len() > max_grants {
            return Ok(Removal { rows, complete: false });
        }
        rows += u32::try_from(self.drop_properties(entry)?).unwrap_or(u32::MAX);
        if let Some(file) = entry.file() {
            let mut file = file.clone();
            let dropped = self.drop_any_versions(id, entry.owner, &mut file, MAX_VERSIONS_AT_ONCE)?;
            rows += u32::try_from(dropped).unwrap_or(u32::MAX).saturating_mul(MAX_ROWS_OF_VERSION);
            if file.kept > 0 {
                let entry = Entry { kind: EntryKind::File(Box::new(file)), properties: None, ..entry.clone() };
                tables::put_entry(self.store, &entry)?;
                return Ok(Removal { rows, complete: false });
            }
            if let Some(lock) = tables::lock(self.store, id)? {
                tables::delete_lock(self.store, id, &lock)?;
                rows += ROWS_OF_LOCK;
            }
            rows += ROWS + u32::try_from(self.drop_content(file.current.content_id)?).unwrap_or(u32::MAX);
            self.free_room(entry.owner, file.current.size, 1)?;
        } else {
            rows += 3 + u32::from(tables::delete_retention(self.store, id)?);
        }
        tables::delete_entry(self.store, entry)?;
        Ok(Removal { rows, complete: true })
    }
}
