use super::begin_upload::allow;
use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::rows::Completing;
use crate::domain::stop::{Stop, reject, require};
use crate::domain::terms::{MAX_PARTS, Purpose};
use crate::domain::{ContentId, Outcome, RejectionKind, Sha256, UserId, rules};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

record! {
    /// Marks an upload: from here on nothing becomes of it but what this list of parts says. The node has judged the list by
    /// all parts as they were at `revision`: they are too many for one command.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct CompleteParts as "completion of an upload in parts" {
        pub user: UserId = 1,
        pub upload_id: ContentId = 2,
        pub revision: u64 = 3,
        /// Of the list.
        pub digest: Sha256 = 4,
        pub pieces: u64 = 5,
        /// Of the whole.
        pub size: u64 = 6,
        /// What it becomes, where that is not what it was begun for. The last command says so again.
        pub purpose: Option<Purpose> = 7,
    }
}

impl Act for CompleteParts {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = true;
    const WHILE_RESTORING: bool = false;
    const WHILE_FULL: bool = false;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        let (user, id) = (self.user, self.upload_id);
        let (mut upload, mut parts, pieces) = change.known_parts(user, id)?;
        if let Some(known) = parts.completing {
            if known.digest != self.digest {
                return Err(rules::other_list());
            }
            let more = parts.count > 0 || pieces.pieces < known.pieces;
            return Ok(Outcome::Progress { rows: known.through, more });
        }
        if parts.revision != self.revision {
            return Err(reject(RejectionKind::StaleState, "a part has come since the list was judged: judge it again"));
        }
        let fits = (1..=parts.count.min(MAX_PARTS.into())).contains(&self.pieces) && self.size <= parts.bytes;
        require(fits, RejectionKind::InvalidRequest, "the list has parts that the upload has not: list its parts")?;
        rules::check_size(self.size)?;
        // Nobody should be bound by a list in vain.
        allow(change, user, self.purpose.as_ref().unwrap_or(&upload.purpose), 0)?;
        let (digest, pieces, size) = (self.digest, self.pieces, self.size);
        parts.completing = Some(Completing { digest, pieces, size, through: 0 });
        upload.parts = Some(parts);
        change.prolong(user, id, &mut upload, DAY_MS)?;
        Ok(Outcome::Progress { rows: 0, more: true })
    }
}
