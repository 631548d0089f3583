use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::stop::{Stop, require};
use crate::domain::{ContentId, Outcome, RejectionKind, UserId, tables};

record! {
    /// Gives an upload up. What it has brought goes.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct EndUpload as "giving up of an upload" {
        pub user: UserId = 1,
        pub upload_id: ContentId = 2,
    }
}

impl Act for EndUpload {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = true;
    const WHILE_RESTORING: bool = true;
    const WHILE_FULL: bool = true;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        let completing = tables::upload(change.store, self.user, self.upload_id)?
            .and_then(|upload| upload.parts)
            .is_some_and(|parts| parts.completing.is_some());
        let detail = "this upload is being completed and cannot be given up: complete it with the same list of parts, if need \
                      be as another file, and delete that; left alone it ends by itself";
        require(!completing, RejectionKind::ChangeUnderWay, detail)?;
        let ended = change.end_upload(self.user, self.upload_id)?;
        Ok(Outcome::Progress { rows: u32::from(ended), more: false })
    }
}
