use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::rows::{Content, EntryKind};
use crate::domain::stop::{Stop, astray, require};
use crate::domain::terms::{FileRef, LockProof, NewContent, Precondition};
use crate::domain::{Outcome, RejectionKind, UserId, Version, rules, tables};

record! {
    /// A new version of a file that is there.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Update as "update" {
        pub user: UserId = 1,
        pub file: FileRef = 2,
        pub content: NewContent = 3,
        pub precondition: Option<Precondition> = 4,
        pub lock: Option<LockProof> = 5,
    }
}

impl Act for Update {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = false;
    const WHILE_RESTORING: bool = false;
    const WHILE_FULL: bool = false;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        let (precondition, lock) = (self.precondition.as_ref(), self.lock.as_ref());
        let reached = rules::allow_update(change.store, self.user, &self.file, precondition, lock)?;
        let new = &self.content;
        rules::check_content(new)?;
        let replicas = change.admit(new)?;
        let mut entry = reached.entry;
        let file_id = entry.file_id;
        let EntryKind::File(content) = &mut entry.kind else {
            return Err(astray(format!("entry {file_id} is no file")));
        };
        require(
            content.blob_id != new.blob_id,
            RejectionKind::StaleReceipt,
            "this blob is the file's content already",
        )?;
        change.release(file_id, content)?;
        let owed = change.owed_by(replicas.len());
        **content = Content {
            version: Version(content.version.0.saturating_add(1)),
            size: new.size,
            sha256: new.sha256,
            content_type: new.content_type.clone(),
            blob_id: new.blob_id,
            replicas,
            placement_rev: content.placement_rev.saturating_add(1),
            last_fence: content.last_fence,
            owed,
        };
        change.enlist(file_id, content)?;
        entry.modified_at = change.wall;
        tables::put_entry(change.store, &entry)?;
        change.stat(&entry, reached.path, reached.access)
    }
}
