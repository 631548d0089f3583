use super::begin_upload::{allow, count_begun};
use super::{Act, Schema};
use crate::domain::change::{Change, parts_outcome};
use crate::domain::record::declare::record;
use crate::domain::rows::{Parts, Pieces, Upload};
use crate::domain::stop::{Stop, require};
use crate::domain::terms::Purpose;
use crate::domain::{ContentId, Outcome, RejectionKind, UserId, rules, tables};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

record! {
    /// Begins an upload whose parts come in any order. Proposed again with the same id, it is the same upload.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct BeginParts as "beginning of an upload in parts" {
        pub user: UserId = 1,
        /// Fresh, chosen by the node.
        pub upload_id: ContentId = 2,
        pub content_type: String = 3,
        /// It ends when no part comes for so long: one second to a day.
        pub idle_ms: u64 = 4,
        /// A file or a new version of one.
        pub purpose: Purpose = choice,
    }
}

impl Act for BeginParts {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = true;
    const WHILE_RESTORING: bool = false;
    const WHILE_FULL: bool = false;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        let invalid = RejectionKind::InvalidRequest;
        let (user, id) = (self.user, self.upload_id);
        rules::check_content_type(&self.content_type)?;
        let lasting = (1000..=DAY_MS).contains(&self.idle_ms);
        require(lasting, invalid, "an upload waits for one second to a day for what is still to come")?;
        let file = matches!(self.purpose, Purpose::Write(_) | Purpose::Update { .. });
        require(file, invalid, "what comes in parts becomes a file: name its path or its file_id")?;
        if tables::upload(change.store, user, id)?.is_some() {
            let (upload, parts, _) = change.known_parts(user, id)?;
            let same = (&upload.purpose, &upload.content_type) == (&self.purpose, &self.content_type);
            let detail = "this Idempotency-Key was used for another upload: use a fresh one for each";
            require(same, RejectionKind::IdempotencyKeyReused, detail)?;
            return Ok(parts_outcome(id, &upload, &parts));
        }
        let taken = tables::content(change.store, id)?.is_some();
        require(!taken, RejectionKind::AlreadyExists, "this upload has come to its end: begin a new one")?;
        allow(change, user, &self.purpose, 0)?;
        count_begun(change, user)?;
        let parts = Parts::default();
        let upload = Upload {
            content_type: self.content_type.clone(),
            length: None,
            hash: Vec::new(),
            tail: Vec::new(),
            idle_ms: self.idle_ms,
            since: change.now,
            expires_at: change.now.plus_ms(self.idle_ms),
            wall_expires_at: change.wall_in(self.idle_ms),
            purpose: self.purpose.clone(),
            parts: Some(parts),
        };
        change.put_pieces(id, Pieces::default())?;
        tables::put_upload(change.store, user, id, &upload)?;
        Ok(parts_outcome(id, &upload, &parts))
    }
}
