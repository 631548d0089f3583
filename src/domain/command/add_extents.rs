use super::{Act, Schema};
use crate::domain::change::{Change, upload_outcome};
use crate::domain::record::declare::record;
use crate::domain::rows::{Run, Upload};
use crate::domain::stop::{Stop, reject, require};
use crate::domain::tables;
use crate::domain::terms::{EXTENT_UNIT, MAX_EXTENTS_ADDED, NewExtent, Purpose};
use crate::domain::{ContentId, ExtentAt, Fault, Outcome, RejectionKind, UserId, rules};

/// The most extents of one content. With the default size of an extent that is 64 TiB.
const MAX_EXTENTS: u64 = 1 << 20;

record! {
    /// Adds extents to an upload, behind those that it has; all of them or none. The same ones again are fine.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct AddExtents as "extents of an upload" {
        pub user: UserId = 1,
        pub upload_id: ContentId = 2,
        /// Where they begin: how many bytes the upload's extents have so far.
        pub at: u64 = 3,
        /// How many bytes came behind these so far, which the first extent has taken in or the new tail has.
        pub had: u64 = 4,
        /// At most `MAX_EXTENTS_ADDED`. All but the last one of an upload are multiples of `EXTENT_UNIT`.
        pub extents: Vec<NewExtent> = 5,
        /// The state of the SHA-256 over all extents, these with them.
        pub hash: Vec<u8> = 6,
        /// What came behind them and is too little for an extent.
        pub tail: Vec<u8> = 7,
        /// The size of the whole, where it is only known now.
        pub length: Option<u64> = 8,
    }
}

impl Act for AddExtents {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = true;
    const WHILE_RESTORING: bool = true;
    const WHILE_FULL: bool = false;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        let (user, id) = (self.user, self.upload_id);
        let (mut upload, _, mut run) = change.known_upload(user, id)?;
        self.check()?;
        if self.is_there(change, &upload, run)? {
            return Ok(upload_outcome(id, &upload, run));
        }
        if (self.at, self.had) != (run.size, upload.tail.len() as u64) {
            let size = run.size.saturating_add(upload.tail.len() as u64);
            let detail = format!("another attempt has brought this upload to byte {size}: go on from there");
            return Err(reject(RejectionKind::VersionConflict, detail));
        }
        let bytes = self.extents.iter().fold(0, |sum: u64, new| sum.saturating_add(new.size));
        self.set_length(&mut upload)?;
        self.check_size(&upload, run, bytes)?;
        if matches!(upload.purpose, Purpose::Restore { .. }) {
            // It is nobody's yet, and was allowed to whoever it comes to.
            change.count_room(user, bytes, 0)?;
        } else {
            change.use_room(user, bytes, 0)?;
        }
        for new in &self.extents {
            let extent = change.admit_copies(new.blob_id, new.size, new.sha256, &new.receipts)?;
            let at = ExtentAt { content_id: id, offset: run.size };
            change.enlist(at, &extent)?;
            tables::add_extent(change.store, at, &extent)?;
            run.size = run.size.saturating_add(new.size);
            run.extents = run.extents.saturating_add(1);
        }
        change.put_open_content(id, run)?;
        upload.hash.clone_from(&self.hash);
        upload.tail.clone_from(&self.tail);
        let idle_ms = upload.idle_ms;
        change.prolong(user, id, &mut upload, idle_ms)?;
        Ok(upload_outcome(id, &upload, run))
    }
}

impl AddExtents {
    /// What can be told from the command alone.
    fn check(&self) -> Result<(), Stop> {
        let invalid = RejectionKind::InvalidRequest;
        require(self.extents.len() <= MAX_EXTENTS_ADDED, invalid, "one command adds at most 40 extents")?;
        require((self.tail.len() as u64) < EXTENT_UNIT, invalid, "what is left over is at most 63 bytes")?;
        rules::check_hash_state(&self.hash)?;
        self.extents.iter().try_for_each(rules::check_extent)?;
        let (last, others) = self.extents.split_last().map_or((0, &[][..]), |(last, others)| (last.size, others));
        let even = |size: u64| size > 0 && size.is_multiple_of(EXTENT_UNIT);
        let whole =
            others.iter().all(|new| even(new.size)) && (self.tail.is_empty() || even(last) || self.extents.is_empty());
        require(whole, invalid, "extents but the last are multiples of 64 bytes")
    }

    /// Whether these are the newest extents already.
    fn is_there(&self, change: &Change<'_>, upload: &Upload, run: Run) -> Result<bool, Fault> {
        let told = self.length.is_none() || self.length == upload.length;
        if !told || (&self.hash, &self.tail) != (&upload.hash, &upload.tail) {
            return Ok(false);
        }
        let there = tables::extents_of(change.store, self.upload_id, self.at, self.extents.len() + 1)?;
        let ours = there.iter().map(|(_, extent)| extent.blob_id).eq(self.extents.iter().map(|new| new.blob_id));
        Ok(ours && self.at <= run.size && (!self.extents.is_empty() || self.at == run.size))
    }

    fn set_length(&self, upload: &mut Upload) -> Result<(), Stop> {
        let same = self.length.is_none() || upload.length.is_none() || self.length == upload.length;
        let detail = "this upload has another length: begin a new one";
        require(same, RejectionKind::InvalidRequest, detail)?;
        upload.length = upload.length.or(self.length);
        Ok(())
    }

    fn check_size(&self, upload: &Upload, run: Run, bytes: u64) -> Result<(), Stop> {
        let invalid = RejectionKind::InvalidRequest;
        let ended = !run.size.is_multiple_of(EXTENT_UNIT) || (run.extents > 0 && run.size == 0);
        let more = !self.extents.is_empty() || !self.tail.is_empty();
        require(!(ended && more), invalid, "the last extent of this upload has come: finish it")?;
        let empty = self.extents.iter().any(|new| new.size == 0);
        let alone = self.extents.len() == 1 && run.extents == 0 && self.tail.is_empty();
        require(!empty || alone, invalid, "an extent is empty: only a file without bytes has one")?;
        let came = bytes.saturating_add(self.tail.len() as u64);
        let whole = came >= upload.tail.len() as u64;
        require(whole, invalid, "what came before is left out: go on behind the bytes that the upload has")?;
        let size = run.size.saturating_add(came);
        let longer = upload.length.is_some_and(|length| size > length);
        require(!longer, invalid, "more bytes came than were announced: begin a new upload with the right length")?;
        rules::check_size(size)?;
        let many = run.extents.saturating_add(self.extents.len() as u64) > MAX_EXTENTS;
        require(!many, invalid, "the upload has more than a million pieces: send larger ones")
    }
}
