//! Accounts that are being removed.
//!
//! What an account has may be a million files, each of which says whose it is. So the first command says who the heir is,
//! and hangs the account's root into the heir's tree, or trash, as a directory: one row, and everything is where it
//! will be. Then a walk below it goes on in batches, and writes the heir into each entry. Until it is done `rules` take
//! what is the account's for the heir's, and nothing is moved or removed there that the walk would miss. Room is
//! the heir's from the first command on.
//!
//! Removing the entries and making them anew for the heir was considered: it would lose ids, versions, grants and locks.

use super::Change;
use crate::domain::rows::{DOOMED, Entry, Lock, NO_PARENT, Removal, Retention, Usage, User};
use crate::domain::stop::{Stop, reject};
use crate::domain::tables::{self, keys};
use crate::domain::terms::PathRef;
use crate::domain::{Fault, Fence, FileId, FilePath, RejectionKind, UserId, rules};

/// Names that one look into a directory reads.
const LOOK: usize = 32;
/// Looks of one command: going into a directory changes no row.
const MAX_LOOKS: u32 = 250;
/// What one step takes of locks, grants, entries of the trash; and of uploads.
const BATCH: usize = 50;
const UPLOADS: usize = 10;
/// Names that are tried for the directory.
const MAX_NAMES: u32 = 100;

impl Change<'_> {
    /// Whose room an entry of this owner takes.
    pub(crate) fn payer(&self, owner: UserId) -> Result<UserId, Fault> {
        Ok(tables::removal(self.store, owner)?.map_or(owner, |removal| removal.heir))
    }

    /// So many files are not the account's any more that is being removed.
    pub(crate) fn count_left(&mut self, user: UserId, files: u64) -> Result<(), Fault> {
        if files > 0
            && let Some(mut removal) = tables::removal(self.store, user)?
        {
            removal.files = removal.files.saturating_sub(files);
            tables::put_removal(self.store, user, &removal)?;
        }
        Ok(())
    }

    /// `trash_of` has it all in that admin's trash, rather than the heir's tree.
    pub(crate) fn begin_removal(&mut self, user: User, heir: &User, trash_of: Option<UserId>) -> Result<(), Stop> {
        self.end_sessions(user.user_id, None)?;
        for (hash, invite) in tables::invites(self.store, 1000)? {
            if invite.made_by == user.user_id {
                tables::delete_invite(self.store, &hash, &invite)?;
            }
        }
        let had = tables::usage(self.store, user.user_id)?;
        let has = tables::usage(self.store, heir.user_id)?;
        let sum = Usage {
            bytes: has.bytes.saturating_add(had.bytes),
            files: has.files.saturating_add(had.files),
            uploads: has.uploads.saturating_add(had.uploads),
            ..has
        };
        tables::put_usage(self.store, heir.user_id, &sum)?;
        tables::put_usage(self.store, user.user_id, &Usage::default())?;
        let removal = Removal { heir: heir.user_id, root: user.root, files: had.files, through: None, walked: false };

        let mut root = tables::known_entry(self.store, user.root)?;
        let filled = tables::has_children(self.store, root.file_id)?;
        if !filled || (trash_of.is_some() && self.policy.trash_ms == 0) {
            self.doom(root)?;
        } else if let Some(admin) = trash_of {
            self.hand_over_entry(&mut root, user.user_id, heir.user_id)?;
            let path = FilePath::parse(&format!("/{}", user.username)).unwrap_or_default();
            self.bin(root, path, admin, self.policy.trash_ms)?;
        } else {
            self.hang_below(&user.username, root, &user, heir)?;
        }
        tables::put_removal(self.store, user.user_id, &removal)?;
        let user = User { disabled: true, admin: false, code: None, ..user };
        Ok(tables::put_user(self.store, &user)?)
    }

    /// Makes what was a root a directory of the heir's.
    fn hang_below(&mut self, name: &str, mut root: Entry, user: &User, heir: &User) -> Result<(), Stop> {
        for number in 1..=MAX_NAMES {
            let name = if number == 1 { format!("/{name}") } else { format!("/{name}-{number}") };
            let path = FilePath::parse(&name).unwrap_or_default();
            if tables::child(self.store, heir.root, &name[1..])?.is_some() {
                continue;
            }
            let spot = rules::spot_in(self.store, heir, &PathRef { owner: None, path })?;
            let below = rules::check_depth(&spot.path, &root)?;
            (root.parent, root.name) = self.make_parents(&spot, below)?;
            self.hand_over_entry(&mut root, user.user_id, heir.user_id)?;
            return Ok(tables::link(self.store, &root)?);
        }
        let detail = "the heir has a hundred directories of that name: rename some, or name another heir";
        Err(reject(RejectionKind::AlreadyExists, detail))
    }

    /// Goes on until about `limit` rows were touched.
    pub(crate) fn go_on_with_removal(
        &mut self,
        user: UserId,
        mut removal: Removal,
        limit: u32,
        rows: &mut u32,
    ) -> Result<(), Fault> {
        while *rows < limit {
            if !self.end_what_is_held(user, rows)? {
                break;
            }
        }
        if *rows < limit && !removal.walked {
            self.walk_removal(user, &mut removal, limit, rows)?;
            let files = tables::removal(self.store, user)?.map_or(0, |now| now.files);
            removal.files = files;
            tables::put_removal(self.store, user, &removal)?;
            *rows = rows.saturating_add(1);
        }
        // Files of the account that are doomed still count by it.
        let gone = removal.files == 0 || !tables::has_children(self.store, DOOMED)?;
        if removal.walked && gone && *rows < limit {
            tables::delete_removal(self.store, user)?;
            tables::put_usage(self.store, user, &Usage::default())?;
            if let Some(user) = tables::user(self.store, user)? {
                tables::delete_user(self.store, &user)?;
            }
            *rows = rows.saturating_add(4);
        }
        Ok(())
    }

    /// Ends some of what the account holds elsewhere. Whether there was any.
    fn end_what_is_held(&mut self, user: UserId, rows: &mut u32) -> Result<bool, Fault> {
        let before = *rows;
        for (fence, file) in tables::locks_of(self.store, user, Fence(0), BATCH)? {
            match tables::lock(self.store, file)? {
                Some(lock) if (lock.owner, lock.fence) == (user, fence) => {
                    tables::delete_lock(self.store, file, &lock)?;
                }
                // It would be found again and again.
                _ => self.store.delete(crate::domain::Table::LocksByOwner, &keys::lock_by_owner(user, fence))?,
            }
            *rows = rows.saturating_add(4);
        }
        for grant in tables::grants_of(self.store, user, FileId(0), BATCH)? {
            tables::delete_grant(self.store, user, grant.file_id)?;
            *rows = rows.saturating_add(2);
        }
        for (id, _) in tables::uploads_of(self.store, user, None, UPLOADS)? {
            self.end_upload(user, id)?;
            *rows = rows.saturating_add(6);
        }
        for (deleted_at, file, _) in tables::trash_of(self.store, user, &[], BATCH)? {
            self.unbin(user, deleted_at, file)?;
            *rows = rows.saturating_add(7);
        }
        for hash in tables::sessions_of(self.store, user, &[], BATCH)? {
            if let Some(token) = tables::token(self.store, &hash)? {
                tables::delete_token(self.store, &hash, &token)?;
            }
            *rows = rows.saturating_add(3);
        }
        Ok(*rows > before)
    }

    /// Writes the heir into entries below what was the root, directories before what is in them.
    fn walk_removal(&mut self, user: UserId, removal: &mut Removal, limit: u32, rows: &mut u32) -> Result<(), Fault> {
        let start = keys::entry(removal.root).to_vec();
        let mut from = removal.through.take().unwrap_or_else(|| start.clone());
        for _ in 0..MAX_LOOKS {
            if *rows >= limit {
                break;
            }
            // What is doomed goes as the account's. It may have come there since.
            let root = tables::entry(self.store, removal.root)?;
            if root.is_none_or(|root| root.parent == DOOMED) {
                removal.walked = true;
                return Ok(());
            }
            let Some(directory) = from.first_chunk::<8>().map(|id| FileId(u64::from_be_bytes(*id))) else { break };
            let children = tables::children(self.store, directory, &from, LOOK)?;
            if children.is_empty() {
                if directory == removal.root {
                    removal.walked = true;
                    return Ok(());
                }
                from = match tables::entry(self.store, directory)? {
                    Some(entry) if entry.parent != NO_PARENT => keys::after(&keys::name(entry.parent, &entry.name)),
                    // It was removed meanwhile, and with it the way back: once more from the front.
                    _ => start.clone(),
                };
                continue;
            }
            for (name, id) in children {
                from = keys::after(&keys::name(directory, &name));
                let Some(mut entry) = tables::entry(self.store, id)? else { continue };
                if entry.owner == user {
                    *rows = rows.saturating_add(self.hand_over_entry(&mut entry, user, removal.heir)?);
                    tables::put_entry(self.store, &entry)?;
                }
                if entry.is_directory() {
                    from = keys::entry(id).to_vec();
                    break;
                }
                if *rows >= limit {
                    break;
                }
            }
        }
        removal.through = Some(from);
        Ok(())
    }

    /// Makes an entry the heir's, with what is kept of it elsewhere. Its own row is the caller's to write. How many rows
    /// that takes.
    fn hand_over_entry(&mut self, entry: &mut Entry, user: UserId, heir: UserId) -> Result<u32, Fault> {
        let id = entry.file_id;
        entry.owner = heir;
        // Who owns it needs no grant.
        tables::delete_grant(self.store, heir, id)?;
        if entry.is_directory() {
            if let Some(own) = tables::retention(self.store, id)? {
                tables::put_retention(self.store, id, &Retention { owner: heir, ..own })?;
            }
            return Ok(4);
        }
        self.count_left(user, 1)?;
        if let Some(lock) = tables::lock(self.store, id)? {
            tables::delete_lock(self.store, id, &lock)?;
            tables::put_lock(self.store, id, &Lock { tree: heir, ..lock })?;
        }
        Ok(8)
    }
}
