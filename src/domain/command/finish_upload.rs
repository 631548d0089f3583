use super::begin_upload::content;
use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::rows::{Content, ContentState, Done, EntryKind, File, FileVersion, Layout, Part, Run, Upload};
use crate::domain::stop::{Stop, astray, reject, require};
use crate::domain::tables::{self, Ending};
use crate::domain::terms::{FileRef, LockProof, PathRef, Precondition, Purpose};
use crate::domain::{
    Command, ContentId, FileId, Outcome, RejectionKind, Sha256, UserId, Version, remembered, restored, rules,
};

record! {
    /// Names what an upload has brought, which makes a file of it. Nothing is added to it any more.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct FinishUpload as "end of an upload" {
        pub user: UserId = 1,
        pub upload_id: ContentId = 2,
        /// Of the whole.
        pub size: u64 = 3,
        pub sha256: Option<Sha256> = 4,
        /// How often copies had stopped counting when the node looked whether each extent has one.
        pub losses: u64 = 5,
        /// What it becomes, where that is not what it was begun for.
        pub purpose: Option<Purpose> = 6,
    }
}

impl Act for FinishUpload {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = false;
    const WHILE_RESTORING: bool = true;
    const WHILE_FULL: bool = false;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        let (user, id) = (self.user, self.upload_id);
        if let Some(Purpose::Restore { .. }) = &self.purpose
            && tables::content(change.store, id)?.is_some_and(|content| content.state == ContentState::Sealed)
        {
            // A repeated proposal must hear what the first did.
            return Ok(Outcome::Progress { rows: 1, more: false });
        }
        let upload = rules::known_upload(change.store, user, id)?;
        let purpose = self.purpose.as_ref().unwrap_or(&upload.purpose);
        let restores = matches!(purpose, Purpose::Restore { .. });
        let kept = same_kind(purpose, &upload.purpose);
        require(kept, RejectionKind::InvalidRequest, "an upload for a restore, or for a part, becomes nothing else")?;
        if !restores && change.is_restoring()? {
            return Err(reject(RejectionKind::Restoring, restored::RESTORING));
        }
        let sealed = match &upload.parts {
            Some(_) => self.put_together(change)?,
            None => self.sent(change, &upload)?,
        };
        let taken = Taken { user, id, upload: &upload, sealed };
        match purpose {
            Purpose::Write(at) => taken.write(change, at),
            Purpose::Update { file, precondition, lock } => {
                taken.update(change, file, precondition.as_ref(), lock.as_ref())
            }
            Purpose::Restore { backup, row } => taken.restore(change, backup, row),
            Purpose::Part { upload_id, number } => taken.part(change, *upload_id, *number),
        }
        .and_then(|outcome| self.remember(change, &upload, outcome))
    }
}

/// What was begun for a file may become any.
const fn same_kind(a: &Purpose, b: &Purpose) -> bool {
    match (a, b) {
        (Purpose::Restore { .. }, Purpose::Restore { .. }) | (Purpose::Part { .. }, Purpose::Part { .. }) => true,
        (Purpose::Restore { .. } | Purpose::Part { .. }, _) | (_, Purpose::Restore { .. } | Purpose::Part { .. }) => {
            false
        }
        (Purpose::Write(_) | Purpose::Update { .. }, Purpose::Write(_) | Purpose::Update { .. }) => true,
    }
}

impl FinishUpload {
    fn check_looked(&self, change: &Change<'_>) -> Result<(), Stop> {
        let detail = "file servers have changed since the extents were looked at: look again";
        require(tables::losses(change.store)? == self.losses, RejectionKind::StaleReceipt, detail)
    }

    /// The content of an upload whose bytes came in order.
    fn sent(&self, change: &mut Change<'_>, upload: &Upload) -> Result<Content, Stop> {
        let (_, content, run) = change.known_upload(self.user, self.upload_id)?;
        let whole = run.extents > 0
            && upload.tail.is_empty()
            && run.size == self.size
            && upload.length.is_none_or(|length| length == run.size);
        let unfinished = "the upload is not whole yet: send what is missing, then finish it";
        require(whole, RejectionKind::VersionConflict, unfinished)?;
        self.check_looked(change)?;
        change.close_upload(self.user, self.upload_id, upload, run.size)?;
        seal(change, self.upload_id, &content, run, self.sha256)
    }

    /// The content of an upload in parts, all of which are pieces.
    fn put_together(&self, change: &mut Change<'_>) -> Result<Content, Stop> {
        let (upload, parts, pieces) = change.known_parts(self.user, self.upload_id)?;
        let unfinished = "the parts of this upload are not put together yet: complete it with the list of its parts";
        let whole = parts.completing.is_some_and(|known| {
            parts.count == 0 && (pieces.pieces, pieces.size) == (known.pieces, known.size) && self.size == known.size
        });
        require(whole, RejectionKind::VersionConflict, unfinished)?;
        self.check_looked(change)?;
        change.close_upload(self.user, self.upload_id, &upload, parts.bytes)?;
        Ok(Content {
            made_for: FileId(0),
            refs: 1,
            state: ContentState::Sealed,
            layout: Layout::Pieces(pieces),
            part_of: None,
        })
    }

    /// Whoever completes an upload in parts again hears the same for as long as any outcome is remembered.
    fn remember(&self, change: &mut Change<'_>, upload: &Upload, outcome: Outcome) -> Result<Outcome, Stop> {
        if let Some(completing) = upload.parts.and_then(|parts| parts.completing) {
            let (user, id) = (self.user, remembered::completion(self.upload_id));
            let answer = Ok(outcome.clone());
            let kept = remembered::keep(&answer, user, &Command::FinishUpload(self.clone()));
            let expires_at = change.now.plus_ms(change.policy.operation_ttl_ms);
            let done = Done { fingerprint: completing.digest, expires_at, kept };
            tables::put_operation(change.store, user, &id, &done)?;
            tables::put_expiry(change.store, expires_at, &Ending::Operation(user, id))?;
        }
        Ok(outcome)
    }
}

/// The content as it is from now on. One extent needs no row of its own.
fn seal(
    change: &mut Change<'_>,
    id: ContentId,
    content: &Content,
    run: Run,
    sha256: Option<Sha256>,
) -> Result<Content, Stop> {
    let mut layout = Layout::Many(Run { sha256, ..run });
    if run.extents == 1 {
        let extent = tables::extent(change.store, id.start())?;
        let extent = extent.ok_or_else(|| astray(format!("content {id} has no first extent")))?;
        tables::delete_extent(change.store, id.start())?;
        layout = Layout::One(extent);
    }
    Ok(Content { state: ContentState::Sealed, layout, ..content.clone() })
}

/// A whole upload on its way to its name.
struct Taken<'a> {
    user: UserId,
    id: ContentId,
    upload: &'a Upload,
    sealed: Content,
}

impl Taken<'_> {
    fn version(&self, version: Version) -> FileVersion {
        FileVersion {
            version,
            content_id: self.id,
            size: self.sealed.size(),
            sha256: self.sealed.sha256(),
            content_type: self.upload.content_type.clone(),
            made_by: self.user,
        }
    }

    fn put(self, change: &mut Change<'_>, made_for: FileId) -> Result<(), Stop> {
        Ok(tables::put_content(change.store, self.id, &Content { made_for, ..self.sealed })?)
    }

    fn write(self, change: &mut Change<'_>, at: &PathRef) -> Result<Outcome, Stop> {
        let spot = rules::spot(change.store, self.user, at)?;
        let first = self.version(Version(1));
        change.use_room(spot.owner, first.size, 1)?;
        let entry = change.create(&spot, EntryKind::File(Box::new(File::new(first))))?;
        self.put(change, entry.file_id)?;
        change.stat(&entry, spot.path, spot.access)
    }

    fn update(
        self,
        change: &mut Change<'_>,
        file: &FileRef,
        precondition: Option<&Precondition>,
        lock: Option<&LockProof>,
    ) -> Result<Outcome, Stop> {
        let reached = rules::allow_update(change.store, self.user, file, precondition, lock)?;
        let retained = change.retained(&reached)?;
        let mut entry = reached.entry;
        let file_id = entry.file_id;
        let Some(mut file) = entry.file().cloned() else {
            return Err(astray(format!("entry {file_id} is no file")));
        };
        let next = self.version(file.current.version.next());
        change.supersede(&mut entry, &mut file, next, &retained)?;
        self.put(change, file_id)?;
        change.stat(&entry, reached.path, reached.access)
    }

    /// It is a part of another upload.
    fn part(self, change: &mut Change<'_>, upload_id: ContentId, number: u32) -> Result<Outcome, Stop> {
        let open = change.open_parts(self.user, upload_id, number)?;
        let (content_id, size) = (self.id, self.sealed.size());
        let Some(sha256) = self.sealed.sha256() else {
            return Err(reject(RejectionKind::InvalidRequest, "a part has a digest: finish it with one"));
        };
        let content = Content { part_of: Some(upload_id), ..self.sealed };
        tables::put_content(change.store, content_id, &content)?;
        let part = Part { content_id, size, sha256, put_at: change.wall };
        change.place_part((self.user, upload_id), open, number, &part)
    }

    /// What names it comes later.
    fn restore(self, change: &mut Change<'_>, backup: &Sha256, row: &[u8]) -> Result<Outcome, Stop> {
        let mut restore = change.admit_backup(backup)?;
        let row = content(row)?;
        restored::check_content(&row)?;
        require(
            row.size() == self.sealed.size() && row.sha256().is_none_or(|digest| self.sealed.sha256() == Some(digest)),
            RejectionKind::InvalidRequest,
            "these are not the bytes that the row tells of: verify the backup",
        )?;
        let id = self.id;
        self.put(change, FileId(row.made_for.0))?;
        change.unname_restored(id)?;
        restore.contents = restore.contents.saturating_add(1);
        restore.unnamed = restore.unnamed.saturating_add(1);
        tables::put_restore(change.store, &restore)?;
        Ok(Outcome::Progress { rows: 1, more: false })
    }
}
