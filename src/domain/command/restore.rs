//! A new cluster made from a backup: each content with its bytes stored anew, then the rows that name them, then the seal.
//!
//! Every step may be repeated. What is there already is passed over, and the counts of what came are compared with the
//! backup's at the end, so that no step can be left out. Until then no other change but the file servers' own is taken.

use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::restored::{self, Piece};
use crate::domain::rows::{self, Entry, EntryKind, Grant, OldVersion, Property, Retention, Trashed, Usage, User};
use crate::domain::stop::{Stop, reject, require};
use crate::domain::tables::{self, Counter, MAX_RETENTIONS};
use crate::domain::terms::{MAX_RESTORED, RestoredRow};
use crate::domain::{ClusterTime, Fence, FileId, Outcome, RejectionKind, Sha256, UserId, Version, rules};

record! {
    /// Rows of a backup's index, into a cluster that never had a user. Until `RestoreDone` nothing but this backup gets in.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Restore as "restored rows" {
        /// The index's SHA-256.
        pub backup: Sha256 = 1,
        /// At most `MAX_RESTORED`.
        pub rows: Vec<RestoredRow> = 2,
        /// Cluster time of the backup: what ends at a time ends as long after the restore as it would have after the backup.
        pub taken_at: ClusterTime = 3,
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
            put(change, piece, self.taken_at, &mut restore)?;
        }
        tables::put_restore(change.store, &restore)?;
        Ok(Outcome::Done)
    }
}

fn put(change: &mut Change<'_>, piece: Piece, taken_at: ClusterTime, restore: &mut rows::Restore) -> Result<(), Stop> {
    match piece {
        Piece::Entry(entry) => put_entry(change, *entry, restore),
        Piece::Version(file, old) => put_version(change, file, *old, taken_at, restore),
        Piece::Trash(place, row) => put_trashed(change, place, *row, taken_at, restore),
        Piece::Usage(user, bounds) => {
            let usage = tables::usage(change.store, user)?;
            let usage = Usage { max_bytes: bounds.max_bytes, max_files: bounds.max_files, ..usage };
            Ok(tables::put_usage(change.store, user, &usage)?)
        }
        Piece::Property(file, name, value) => put_property(change, file, Property { name, value }, restore),
        Piece::Retention(directory, row) => put_retention(change, directory, &row, restore),
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
        Piece::Content(..) | Piece::Left => {
            let detail = "a row was sent that a restore does not take over as it is: use this release's `restore`";
            Err(reject(RejectionKind::InvalidRequest, detail))
        }
    }
}

fn put_entry(change: &mut Change<'_>, mut entry: Entry, restore: &mut rows::Restore) -> Result<(), Stop> {
    if tables::entry(change.store, entry.file_id)?.is_some() {
        return Ok(());
    }
    // Counted as they come.
    entry.properties = None;
    if let EntryKind::File(file) = &mut entry.kind {
        (file.kept, file.oldest) = (0, Version(0));
        change.name_restored(&mut file.current, restore)?;
        change.count_room(entry.owner, file.current.size, 1)?;
    }
    change.link_restored(&entry)?;
    restore.entries = restore.entries.saturating_add(1);
    Ok(())
}

fn put_version(
    change: &mut Change<'_>,
    id: FileId,
    mut old: OldVersion,
    taken_at: ClusterTime,
    restore: &mut rows::Restore,
) -> Result<(), Stop> {
    let early = || restored::unfit("an old version comes before its file");
    let mut entry = tables::entry(change.store, id)?.ok_or_else(early)?;
    let EntryKind::File(file) = &mut entry.kind else { return Err(restored::unfit("a directory has a version")) };
    restored::check_version(&old, file)?;
    if tables::version(change.store, id, old.file.version)?.is_some() {
        return Ok(());
    }
    change.name_restored(&mut old.file, restore)?;
    file.oldest = if file.kept == 0 { old.file.version } else { file.oldest.min(old.file.version) };
    file.kept = file.kept.saturating_add(1);
    old.until = change.restored_until(old.until, taken_at);
    change.count_room(entry.owner, old.file.size, 0)?;
    tables::put_version(change.store, id, &old)?;
    tables::put_entry(change.store, &entry)?;
    restore.versions = restore.versions.saturating_add(1);
    Ok(())
}

fn put_trashed(
    change: &mut Change<'_>,
    (owner, deleted_at, id): (UserId, ClusterTime, FileId),
    mut row: Trashed,
    taken_at: ClusterTime,
    restore: &mut rows::Restore,
) -> Result<(), Stop> {
    if tables::trashed(change.store, owner, deleted_at, id)?.is_some() {
        return Ok(());
    }
    let known = tables::binned_at(change.store, owner, id)? == Some(deleted_at);
    require(known, RejectionKind::InvalidRequest, "the trash names an entry that is not in it: verify the backup")?;
    row.until = change.restored_until(row.until, taken_at);
    tables::put_trashed(change.store, owner, deleted_at, id, &row)?;
    restore.trash = restore.trash.saturating_add(1);
    Ok(())
}

fn put_property(
    change: &mut Change<'_>,
    id: FileId,
    property: Property,
    restore: &mut rows::Restore,
) -> Result<(), Stop> {
    let early = || restored::unfit("a property comes before its entry");
    let mut entry = tables::entry(change.store, id)?.ok_or_else(early)?;
    rules::check_property_name(&property.name)?;
    if tables::property(change.store, id, &property.name)?.is_some() {
        return Ok(());
    }
    change.set_properties(&mut entry, &[property], &[])?;
    restore.properties = restore.properties.saturating_add(1);
    Ok(())
}

fn put_retention(
    change: &mut Change<'_>,
    directory: FileId,
    row: &Retention,
    restore: &mut rows::Restore,
) -> Result<(), Stop> {
    restored::check_retention(row, tables::entry(change.store, directory)?.as_ref())?;
    if tables::retention(change.store, directory)?.is_some() {
        return Ok(());
    }
    let few = restore.retentions < MAX_RETENTIONS as u64;
    require(few, RejectionKind::InvalidRequest, "the backup has too many directories with a retention: verify it")?;
    tables::put_retention(change.store, directory, row)?;
    restore.retentions = restore.retentions.saturating_add(1);
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
    // Whoever had the code asks for another.
    tables::put_user(change.store, &User { code: None, ..user.clone() })?;
    change.give_none_below(Counter::User, user.user_id.0.saturating_add(1))?;
    restore.users = restore.users.saturating_add(1);
    Ok(())
}
