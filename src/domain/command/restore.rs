//! A new cluster made from a backup: rows first, then each file with its bytes stored anew, then the seal.
//!
//! Every step may be repeated. What is there already is passed over, and the counts of what came are compared with the
//! backup's at the end, so that no step can be left out. Until then no other change but the file servers' own is taken.

use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::restored::{self, Piece};
use crate::domain::rows::{self, Entry, Grant, User};
use crate::domain::stop::{Stop, reject, require};
use crate::domain::tables::{self, Counter};
use crate::domain::terms::{MAX_RESTORED, RestoredRow};
use crate::domain::{Fence, Outcome, RejectionKind, Sha256, rules};

record! {
    /// Rows of a backup's index, into a cluster that never had a user. Until `RestoreDone` nothing but this backup gets in.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Restore as "restored rows" {
        /// The index's SHA-256.
        pub backup: Sha256 = 1,
        /// At most `MAX_RESTORED`.
        pub rows: Vec<RestoredRow> = 2,
    }
}

impl Act for Restore {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = true;
    const WHILE_RESTORING: bool = true;
    const WHILE_FULL: bool = false;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        let mut restore = change.admit_backup(&self.backup)?;
        let bounded = self.rows.len() <= MAX_RESTORED;
        require(bounded, RejectionKind::InvalidRequest, "too many rows at once: send 200 at most")?;
        for row in &self.rows {
            let piece = restored::piece(row.table, &row.key, &row.value).map_err(restored::unreadable)?;
            put(change, piece, &mut restore)?;
        }
        tables::put_restore(change.store, &restore)?;
        Ok(Outcome::Done)
    }
}

fn put(change: &mut Change<'_>, piece: Piece, restore: &mut rows::Restore) -> Result<(), Stop> {
    match piece {
        Piece::Directory(entry) => put_directory(change, &entry, restore),
        Piece::User(user) => put_user(change, &user, restore),
        Piece::Grant(user, file_id, permission) => {
            restored::check_grant(user, file_id)?;
            if tables::grant(change.store, user, file_id)?.is_none() {
                tables::put_grant(change.store, &Grant { user, file_id, permission })?;
                restore.grants = restore.grants.saturating_add(1);
            }
            Ok(())
        }
        Piece::Policy(policy) => {
            rules::check_policy(&policy)?;
            Ok(tables::put_policy(change.store, &policy)?)
        }
        Piece::NextFileId(next) => change.give_none_below(Counter::File, restored::beyond(next)?),
        Piece::NextUserId(next) => change.give_none_below(Counter::User, restored::beyond(next)?),
        Piece::Fence(last) => {
            let last = tables::last_fence(change.store)?.max(Fence(restored::beyond(last)?));
            Ok(tables::put_last_fence(change.store, last)?)
        }
        Piece::File(_) | Piece::Left => {
            let detail = "a row was sent that a restore does not take over as it is: use this release's `restore`";
            Err(reject(RejectionKind::InvalidRequest, detail))
        }
    }
}

fn put_directory(change: &mut Change<'_>, entry: &Entry, restore: &mut rows::Restore) -> Result<(), Stop> {
    if tables::entry(change.store, entry.file_id)?.is_none() {
        change.link_restored(entry)?;
        restore.entries = restore.entries.saturating_add(1);
    }
    Ok(())
}

fn put_user(change: &mut Change<'_>, user: &User, restore: &mut rows::Restore) -> Result<(), Stop> {
    restored::check_user(user)?;
    if tables::user(change.store, user.user_id)?.is_some() {
        return Ok(());
    }
    let taken = tables::user_id(change.store, &user.username)?.is_some();
    require(!taken, RejectionKind::InvalidRequest, "the backup has a username twice: verify the backup")?;
    let root = tables::entry(change.store, user.root)?;
    restored::check_root(user, root.as_ref())?;
    tables::put_user(change.store, user)?;
    change.give_none_below(Counter::User, user.user_id.0.saturating_add(1))?;
    restore.users = restore.users.saturating_add(1);
    Ok(())
}
