use super::begin_upload::content;
use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::rows::{Content, ContentState, EntryKind, File, FileVersion, Layout, Run, Upload};
use crate::domain::stop::{Stop, astray, reject, require};
use crate::domain::terms::{FileRef, LockProof, PathRef, Precondition, Purpose};
use crate::domain::{ContentId, FileId, Outcome, RejectionKind, Sha256, UserId, Version, restored, rules, tables};

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
        let (upload, content, run) = change.known_upload(user, id)?;
        let purpose = self.purpose.as_ref().unwrap_or(&upload.purpose);
        let restores = matches!(purpose, Purpose::Restore { .. });
        let began = matches!(upload.purpose, Purpose::Restore { .. });
        require(restores == began, RejectionKind::InvalidRequest, "an upload for a restore becomes nothing else")?;
        if !restores && change.is_restoring()? {
            return Err(reject(RejectionKind::Restoring, restored::RESTORING));
        }
        let whole = run.extents > 0
            && upload.tail.is_empty()
            && run.size == self.size
            && upload.length.is_none_or(|length| length == run.size);
        let unfinished = "the upload is not whole yet: send what is missing, then finish it";
        require(whole, RejectionKind::VersionConflict, unfinished)?;
        if tables::losses(change.store)? != self.losses {
            let detail = "file servers have changed since the extents were looked at: look again";
            return Err(reject(RejectionKind::StaleReceipt, detail));
        }
        change.close_upload(user, id, &upload, run)?;
        let sealed = seal(change, id, &content, run, self.sha256)?;
        let taken = Taken { user, id, upload: &upload, sealed };
        match purpose {
            Purpose::Write(at) => taken.write(change, at),
            Purpose::Update { file, precondition, lock } => {
                taken.update(change, file, precondition.as_ref(), lock.as_ref())
            }
            Purpose::Restore { backup, row } => taken.restore(change, backup, row),
        }
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
