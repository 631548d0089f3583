use super::{Act, Schema};
use crate::domain::change::{Change, upload_outcome};
use crate::domain::record::declare::record;
use crate::domain::rows::{Content, Run, Upload};
use crate::domain::stop::{Stop, reject, require};
use crate::domain::terms::Purpose;
use crate::domain::{ContentId, Outcome, RejectionKind, UserId, restored, rules, tables};

/// Uploads that a user may have begun at a time.
const MAX_UPLOADS: u64 = 1000;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

record! {
    /// Begins an upload in several extents. Proposed again with the same id, it is the same upload.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct BeginUpload as "beginning of an upload" {
        pub user: UserId = 1,
        /// Fresh, chosen by the node; of a content of a backup, the content's id there.
        pub upload_id: ContentId = 2,
        pub content_type: String = 3,
        /// The size of the whole, where it is known.
        pub length: Option<u64> = 4,
        /// It ends when nothing is added for so long: one second to a day.
        pub idle_ms: u64 = 5,
        /// The state of a SHA-256 of nothing.
        pub hash: Vec<u8> = 6,
        pub purpose: Purpose = choice,
    }
}

impl Act for BeginUpload {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = true;
    const WHILE_RESTORING: bool = true;
    const WHILE_FULL: bool = false;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        let invalid = RejectionKind::InvalidRequest;
        let (user, id) = (self.user, self.upload_id);
        rules::check_content_type(&self.content_type)?;
        rules::check_hash_state(&self.hash)?;
        rules::check_size(self.length.unwrap_or(0))?;
        let lasting = (1000..=DAY_MS).contains(&self.idle_ms);
        require(lasting, invalid, "an upload waits for one second to a day for what is still to come")?;
        if tables::upload(change.store, user, id)?.is_some() {
            let (upload, _, run) = change.known_upload(user, id)?;
            let same = (&upload.purpose, &upload.content_type) == (&self.purpose, &self.content_type);
            let detail = "this Idempotency-Key was used for another upload: use a fresh one for each";
            require(same, RejectionKind::IdempotencyKeyReused, detail)?;
            return Ok(upload_outcome(id, &upload, run));
        }
        let taken = tables::content(change.store, id)?.is_some();
        require(!taken, RejectionKind::AlreadyExists, "this upload has come to its end: begin a new one")?;
        self.allow(change)?;

        count_begun(change, user)?;
        let upload = Upload {
            content_type: self.content_type.clone(),
            length: self.length,
            hash: self.hash.clone(),
            tail: Vec::new(),
            idle_ms: self.idle_ms,
            since: change.now,
            expires_at: change.now.plus_ms(self.idle_ms),
            wall_expires_at: change.wall_in(self.idle_ms),
            purpose: self.purpose.clone(),
            parts: None,
        };
        let run = Run { size: 0, sha256: None, extents: 0 };
        change.put_open_content(id, run)?;
        tables::put_upload(change.store, user, id, &upload)?;
        Ok(upload_outcome(id, &upload, run))
    }
}

impl BeginUpload {
    /// Whether the upload could become what it is for, as things are now: nobody should send a terabyte in vain.
    fn allow(&self, change: &mut Change<'_>) -> Result<(), Stop> {
        match &self.purpose {
            Purpose::Restore { backup, row } => {
                // It may be the first that comes.
                let restore = change.admit_backup(backup)?;
                tables::put_restore(change.store, &restore)?;
                restored::check_content(&content(row)?)
            }
            _ if change.is_restoring()? => Err(reject(RejectionKind::Restoring, restored::RESTORING)),
            purpose => allow(change, self.user, purpose, self.length.unwrap_or(0)),
        }
    }
}

/// Counts an upload for who begins it.
pub(super) fn count_begun(change: &mut Change<'_>, user: UserId) -> Result<(), Stop> {
    let mut usage = tables::usage(change.store, user)?;
    if usage.uploads >= MAX_UPLOADS {
        let detail = "you have begun 1,000 uploads already: finish some of them, or give them up";
        return Err(reject(RejectionKind::TooManyRequests, detail));
    }
    usage.uploads = usage.uploads.saturating_add(1);
    Ok(tables::put_usage(change.store, user, &usage)?)
}

/// Whether so many bytes of a user could become this now.
pub(super) fn allow(change: &Change<'_>, user: UserId, purpose: &Purpose, bytes: u64) -> Result<(), Stop> {
    match purpose {
        Purpose::Restore { .. } => Err(reject(RejectionKind::InvalidRequest, "a restore sends contents whole")),
        Purpose::Write(at) => {
            let spot = rules::spot(change.store, user, at)?;
            check_room(change, user, spot.owner, (bytes, 1), 0)
        }
        Purpose::Update { file, precondition, lock } => {
            let (precondition, lock) = (precondition.as_ref(), lock.as_ref());
            let reached = rules::allow_update(change.store, user, file, precondition, lock)?;
            let goes = reached.entry.file().map_or(0, |file| file.current.size);
            let goes = if change.retained(&reached)?.keeps_versions() { 0 } else { goes };
            check_room(change, user, reached.entry.owner, (bytes, 0), goes)
        }
        Purpose::Part { upload_id, number } => {
            change.open_parts(user, *upload_id, *number)?;
            check_room(change, user, user, (bytes, 0), 0)
        }
    }
}

/// Until it is finished an upload counts for who sends it, and what it replaces in the owner's tree counts as well. After
/// that it is the owner's, from whom `goes` bytes go.
fn check_room(
    change: &Change<'_>,
    user: UserId,
    owner: UserId,
    (bytes, files): (u64, u64),
    goes: u64,
) -> Result<(), Stop> {
    let own = tables::usage(change.store, user)?;
    rules::check_room(&own, &change.policy, bytes, if owner == user { files } else { 0 })?;
    if owner == user {
        return Ok(());
    }
    let mut usage = tables::usage(change.store, owner)?;
    usage.bytes = usage.bytes.saturating_sub(goes);
    rules::check_room(&usage, &change.policy, bytes, files)
}

pub(super) fn content(row: &[u8]) -> Result<Content, Stop> {
    use crate::domain::record::Record as _;
    Content::from_bytes(row).map_err(restored::unreadable)
}
