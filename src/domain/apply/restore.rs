//! A new cluster made from a backup: rows first, then each file with its bytes stored anew, then the seal.
//!
//! Every step may be repeated. What is there already is passed over, and the counts of what came are compared with the
//! backup's at the end, so that no step can be left out. Until then no other change but the file servers' own is taken.

use super::Change;
use crate::domain::backup::{self, GAP, Piece};
use crate::domain::command::{MAX_RESTORED, NewContent, RestoredRow};
use crate::domain::rows::{Entry, EntryKind, Grant, Restore};
use crate::domain::stop::{Stop, reject, require};
use crate::domain::tables::{self, Counter};
use crate::domain::{Command, Fault, Fence, Outcome, RejectionKind, Sha256, query};

/// Whether a cluster takes the command while it is being restored.
pub(super) fn allows(command: &Command) -> bool {
    !matches!(
        command,
        Command::SetPolicy { .. }
            | Command::Signup { .. }
            | Command::OpenSession { .. }
            | Command::CloseSession { .. }
            | Command::Mkdir { .. }
            | Command::Write { .. }
            | Command::Update { .. }
            | Command::Move { .. }
            | Command::Delete { .. }
            | Command::Share { .. }
            | Command::Unshare { .. }
            | Command::Lock { .. }
            | Command::Renew { .. }
            | Command::Unlock { .. }
            // What is in the trash may have come before what is below it.
            | Command::Reap { .. }
            | Command::Hold { .. }
            | Command::Release { .. }
    )
}

/// A row that cannot be read is the sender's fault here, and must not stop the node.
fn unreadable(fault: Fault) -> Stop {
    reject(
        RejectionKind::InvalidRequest,
        format!("a row of the backup cannot be read ({}): verify the backup", fault.0),
    )
}

impl Change<'_> {
    pub(super) fn restore(&mut self, backup: &Sha256, rows: &[RestoredRow]) -> Result<Outcome, Stop> {
        let mut restore = self.admit_backup(backup)?;
        require(rows.len() <= MAX_RESTORED, RejectionKind::InvalidRequest, "too many rows at once: send 200 at most")?;
        for row in rows {
            let piece = backup::piece(row.table, &row.key, &row.value).map_err(unreadable)?;
            self.put_piece(piece, &mut restore)?;
        }
        tables::put_restore(self.store, &restore)?;
        Ok(Outcome::Done)
    }

    fn put_piece(&mut self, piece: Piece, restore: &mut Restore) -> Result<(), Stop> {
        match piece {
            Piece::Directory(entry) => {
                if tables::entry(self.store, entry.file_id)?.is_none() {
                    tables::link(self.store, &entry)?;
                    restore.entries += 1;
                }
            }
            Piece::User(user) => {
                if tables::user(self.store, user.user_id)?.is_none() {
                    tables::put_user(self.store, &user)?;
                    restore.users += 1;
                }
            }
            Piece::Grant(user, file_id, permission) => {
                if tables::grant(self.store, user, file_id)?.is_none() {
                    tables::put_grant(self.store, &Grant { user, file_id, permission })?;
                    restore.grants += 1;
                }
            }
            Piece::Policy(policy) => {
                super::cluster::check_policy(&policy)?;
                tables::put_policy(self.store, &policy)?;
            }
            Piece::NextFileId(next) => Counter::File.set(self.store, next.saturating_add(GAP))?,
            Piece::NextUserId(next) => Counter::User.set(self.store, next.saturating_add(GAP))?,
            Piece::Fence(last) => tables::put_last_fence(self.store, Fence(last.saturating_add(GAP)))?,
            Piece::File(_) | Piece::Left => {
                let detail = "a row was sent that a restore does not take over as it is: use this release's `restore`";
                return Err(reject(RejectionKind::InvalidRequest, detail));
            }
        }
        Ok(())
    }

    /// Answers with one row where the file names these copies now, with none where it was there before.
    pub(super) fn restore_file(&mut self, backup: &Sha256, row: &[u8], new: &NewContent) -> Result<Outcome, Stop> {
        let given = backup::file(row).map_err(unreadable)?;
        let Some((file_id, old)) = given else {
            return Err(reject(RejectionKind::InvalidRequest, "this row is no file's: send files with their bytes"));
        };
        // Before the question whether the backup is still let in: a repeated proposal must hear what the first did.
        if let Some(there) = tables::entry(self.store, file_id)? {
            let ours = there.content().is_some_and(|content| content.blob_id == new.blob_id);
            return Ok(Outcome::Progress { rows: u32::from(ours), more: false });
        }
        let mut restore = self.admit_backup(backup)?;
        let same = old.size == new.size && old.sha256 == new.sha256;
        require(
            same,
            RejectionKind::InvalidRequest,
            "these are not the bytes that the row tells of: verify the backup",
        )?;
        super::content::check_shape(new)?;
        let mut entry = <Entry as crate::domain::record::Record>::from_bytes(row).map_err(unreadable)?;
        let mut content = old;
        content.blob_id = new.blob_id;
        content.replicas = self.admit(new)?;
        content.placement_rev += 1;
        entry.kind = EntryKind::File(Box::new(content.clone()));
        tables::link(self.store, &entry)?;
        self.enlist(file_id, &content)?;
        restore.entries += 1;
        tables::put_restore(self.store, &restore)?;
        Ok(Outcome::Progress { rows: 1, more: false })
    }

    pub(super) fn restore_done(&mut self, backup: &Sha256, counts: [u64; 3]) -> Result<Outcome, Stop> {
        if tables::restore(self.store)?.is_some_and(|restore| restore.done && restore.backup == *backup) {
            return Ok(Outcome::Done);
        }
        let mut restore = self.admit_backup(backup)?;
        let came = [restore.entries, restore.users, restore.grants];
        if came != counts {
            let detail = format!(
                "the backup has {counts:?} entries, users and grants, and {came:?} came: run the same restore again"
            );
            return Err(reject(RejectionKind::InvalidRequest, detail));
        }
        restore.done = true;
        tables::put_restore(self.store, &restore)?;
        Ok(Outcome::Done)
    }

    /// Lets a backup into a cluster that nobody ever used, or the same one again.
    fn admit_backup(&mut self, backup: &Sha256) -> Result<Restore, Stop> {
        let refused = |detail: &str| Err(reject(RejectionKind::AlreadyExists, detail));
        match tables::restore(self.store)? {
            Some(restore) if restore.done => refused("this cluster was restored before: restore into a new one"),
            Some(restore) if restore.backup != *backup => {
                refused("another backup is being restored here: finish with that one, or begin with a new cluster")
            }
            Some(restore) => Ok(restore),
            None if !query::is_unused(self.store)? => refused("this cluster is in use: restore into a new one"),
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
}
