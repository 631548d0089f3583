//! New content of files.

use std::collections::BTreeSet;

use super::Change;
use crate::domain::command::{FileRef, LockProof, NewContent, PathRef, Precondition};
use crate::domain::rows::{Content, EntryKind};
use crate::domain::rules::{self};
use crate::domain::stop::{Stop, require};
use crate::domain::tables::{self, MAX_COPIES};
use crate::domain::{Fault, Fence, Outcome, RejectionKind, UserId, Version};

const MAX_CONTENT_TYPE_BYTES: usize = 255;
/// 256 TiB. Far above what a node admits; it keeps the sums in the servers' rows far from overflow.
const MAX_FILE_BYTES: u64 = 1 << 48;

impl Change<'_> {
    pub(super) fn write(&mut self, user: UserId, at: &PathRef, new: &NewContent) -> Result<Outcome, Stop> {
        let spot = rules::spot(self.store, user, at)?;
        check_shape(new)?;
        let replicas = self.admit(new)?;
        let content = Content {
            version: Version(1),
            size: new.size,
            sha256: new.sha256,
            content_type: new.content_type.clone(),
            blob_id: new.blob_id,
            replicas,
            placement_rev: 1,
            last_fence: Fence(0),
        };
        let entry = self.create(&spot, EntryKind::File(Box::new(content.clone())))?;
        self.enlist(entry.file_id, &content)?;
        self.stat(&entry, spot.path, spot.access)
    }

    pub(super) fn update(
        &mut self,
        user: UserId,
        file: &FileRef,
        new: &NewContent,
        precondition: Option<&Precondition>,
        lock: Option<&LockProof>,
    ) -> Result<Outcome, Stop> {
        let reached = rules::allow_update(self.store, user, file, precondition, lock)?;
        check_shape(new)?;
        let replicas = self.admit(new)?;
        let mut entry = reached.entry;
        let file_id = entry.file_id;
        let EntryKind::File(content) = &mut entry.kind else {
            return Err(Fault(format!("entry {file_id} is no file")).into());
        };
        require(
            content.blob_id != new.blob_id,
            RejectionKind::StaleReceipt,
            "this blob is the file's content already",
        )?;
        self.release(file_id, content)?;
        **content = Content {
            version: Version(content.version.0 + 1),
            size: new.size,
            sha256: new.sha256,
            content_type: new.content_type.clone(),
            blob_id: new.blob_id,
            replicas,
            placement_rev: content.placement_rev + 1,
            last_fence: content.last_fence,
        };
        self.enlist(file_id, content)?;
        entry.modified_at = self.wall;
        tables::put_entry(self.store, &entry)?;
        self.stat(&entry, reached.path, reached.access)
    }
}

/// What no receipt can mend.
pub(super) fn check_shape(new: &NewContent) -> Result<(), Stop> {
    let invalid = RejectionKind::InvalidRequest;
    let plain = new.content_type.len() <= MAX_CONTENT_TYPE_BYTES && !new.content_type.chars().any(char::is_control);
    require(plain, invalid, "the content type is too long or has control characters: use at most 255 bytes")?;
    require(new.size <= MAX_FILE_BYTES, invalid, "the file is too large: store at most 256 TiB in one")?;
    let servers: BTreeSet<_> = new.receipts.iter().map(|receipt| receipt.server_id).collect();
    let counted = (1..=usize::from(MAX_COPIES)).contains(&new.receipts.len());
    require(
        counted && servers.len() == new.receipts.len(),
        invalid,
        "a commit names 1 to 5 copies, each on another file server",
    )
}
