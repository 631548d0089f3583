//! What becomes of what a file was.

use super::Change;
use crate::domain::rows::{Entry, EntryKind, File, FileVersion, OldVersion};
use crate::domain::rules::Retained;
use crate::domain::stop::Stop;
use crate::domain::{Fault, FileId, UserId, Version, rules, tables};

/// Old versions that one update drops: more than one only after fewer were to be kept than before.
const MAX_DROPPED: usize = 8;
/// Versions that one update looks for, since some may have ended.
const MAX_LOOKS: usize = 32;
/// Of no more versions than these the oldest is found in one look: between two there may be any number that have ended.
const FEW: u64 = 64;

impl Change<'_> {
    /// Gives a file a new version; the one before is kept as long as what counts for the file allows. The entry's row is
    /// written, the content's is the caller's.
    pub(crate) fn supersede(
        &mut self,
        entry: &mut Entry,
        file: &mut File,
        next: FileVersion,
        retained: &Retained,
    ) -> Result<(), Stop> {
        let (id, owner, size) = (entry.file_id, entry.owner, next.size);
        self.end_void_lock(entry)?;
        let before = std::mem::replace(&mut file.current, next);
        let (keep, until_ms) = (u64::from(retained.versions_keep), retained.versions_ms);
        if retained.keeps_versions() {
            if file.kept == 0 {
                file.oldest = before.version;
            }
            file.kept = file.kept.saturating_add(1);
            let until = self.now.plus_ms(until_ms);
            let wall_until = self.wall_in(until_ms);
            let old = OldVersion { file: before, made_at: entry.modified_at, until, wall_until };
            tables::put_version(self.store, id, &old)?;
        } else {
            self.drop_content(before.content_id)?;
            self.free_room(owner, before.size, 0)?;
        }
        self.use_room(owner, size, 0)?;
        self.drop_versions(id, owner, file, keep, MAX_DROPPED)?;
        entry.modified_at = self.wall;
        entry.kind = EntryKind::File(Box::new(file.clone()));
        Ok(tables::put_entry(self.store, entry)?)
    }

    /// Drops the oldest versions of a file until `keep` are left, or `most` are dropped. The caller writes the entry's row.
    /// Answers with the number dropped.
    pub(crate) fn drop_versions(
        &mut self,
        id: FileId,
        owner: UserId,
        file: &mut File,
        keep: u64,
        most: usize,
    ) -> Result<usize, Fault> {
        let (mut dropped, mut looks) = (0, 0);
        while file.kept > keep && dropped < most && looks < most.max(MAX_LOOKS) && file.oldest < file.current.version {
            looks += 1;
            if let Some(old) = tables::version(self.store, id, file.oldest)? {
                self.drop_version(id, owner, &old)?;
                file.kept = file.kept.saturating_sub(1);
                dropped += 1;
                file.oldest = Version(file.oldest.0.saturating_add(1));
            } else if file.kept <= FEW {
                let left = tables::versions_below(self.store, id, file.current.version, FEW as usize)?;
                file.oldest = left.last().map_or(file.current.version, |old| old.file.version);
            } else {
                file.oldest = Version(file.oldest.0.saturating_add(1));
            }
        }
        if file.oldest >= file.current.version {
            file.kept = 0;
        }
        if file.kept == 0 {
            file.oldest = Version(0);
        }
        Ok(dropped)
    }

    /// Drops versions of a file that goes, at most `most`, whatever lies between them. Answers with the number dropped.
    pub(crate) fn drop_any_versions(
        &mut self,
        id: FileId,
        owner: UserId,
        file: &mut File,
        most: usize,
    ) -> Result<usize, Fault> {
        let dropped = self.drop_versions(id, owner, file, 0, most)?;
        if dropped > 0 || file.kept == 0 {
            return Ok(dropped);
        }
        // The oldest are too far away to be found by their numbers: from the other end.
        let newest = tables::versions_below(self.store, id, file.current.version, most)?;
        for old in &newest {
            self.drop_version(id, owner, old)?;
            file.kept = file.kept.saturating_sub(1);
        }
        if newest.is_empty() {
            file.kept = 0;
        }
        Ok(newest.len())
    }

    fn drop_version(&mut self, id: FileId, owner: UserId, old: &OldVersion) -> Result<(), Fault> {
        tables::delete_version(self.store, id, old)?;
        self.drop_content(old.file.content_id)?;
        self.free_room(owner, old.file.size, 0)
    }

    /// The time of an old version has come.
    pub(crate) fn end_version(&mut self, id: FileId, version: Version) -> Result<(), Fault> {
        let Some(old) = tables::version(self.store, id, version)? else { return Ok(()) };
        let Some(mut entry) = tables::entry(self.store, id)? else { return Ok(()) };
        self.drop_version(id, entry.owner, &old)?;
        if let EntryKind::File(file) = &mut entry.kind {
            file.kept = file.kept.saturating_sub(1);
            if file.kept == 0 {
                file.oldest = Version(0);
            }
            tables::put_entry(self.store, &entry)?;
        }
        Ok(())
    }

    /// Counts what comes into a user's tree, where it may.
    pub(crate) fn use_room(&mut self, owner: UserId, bytes: u64, files: u64) -> Result<(), Stop> {
        let usage = tables::usage(self.store, self.payer(owner)?)?;
        rules::check_room(&usage, &self.policy, bytes, files)?;
        Ok(self.count_room(owner, bytes, files)?)
    }

    /// Counts what is in a user's tree.
    pub(crate) fn count_room(&mut self, owner: UserId, bytes: u64, files: u64) -> Result<(), Fault> {
        let payer = self.payer(owner)?;
        let mut usage = tables::usage(self.store, payer)?;
        usage.bytes = usage.bytes.saturating_add(bytes);
        usage.files = usage.files.saturating_add(files);
        tables::put_usage(self.store, payer, &usage)
    }

    pub(crate) fn free_room(&mut self, owner: UserId, bytes: u64, files: u64) -> Result<(), Fault> {
        let payer = self.payer(owner)?;
        if payer != owner {
            self.count_left(owner, files)?;
        }
        let mut usage = tables::usage(self.store, payer)?;
        usage.bytes = usage.bytes.saturating_sub(bytes);
        usage.files = usage.files.saturating_sub(files);
        tables::put_usage(self.store, payer, &usage)
    }
}
