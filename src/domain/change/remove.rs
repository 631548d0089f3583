//! The end of one entry, with all the rows that are about it.

use super::Change;
use crate::domain::rows::Entry;
use crate::domain::{Fault, tables};

/// Rows that the end of an entry touches at most, grants left aside: entry, name, three of a lock, a repair,
/// and for each of five copies placement, garbage and server.
const MAX_ROWS: u32 = 2 + 3 + 1 + 5 * 3;

/// What removing an entry came to.
pub(crate) struct Removal {
    /// Rows that were touched, or a little more.
    pub(crate) rows: u32,
    /// Whether the entry is gone, rather than only some of its grants.
    pub(crate) complete: bool,
}

impl Change<'_> {
    /// Removes a file or an empty directory. Where it was shared with more than `max_grants` users, as many grants go
    /// and the entry stays.
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
        if let Some(content) = entry.content() {
            if let Some(lock) = tables::lock(self.store, id)? {
                tables::delete_lock(self.store, id, &lock)?;
            }
            self.release(id, content)?;
            rows += MAX_ROWS;
        } else {
            rows += 2;
        }
        tables::delete_entry(self.store, entry)?;
        Ok(Removal { rows, complete: true })
    }
}
