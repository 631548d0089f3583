use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::stop::Stop;
use crate::domain::{ContentId, Outcome, UserId};

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
        let ended = change.end_upload(self.user, self.upload_id)?;
        Ok(Outcome::Progress { rows: u32::from(ended), more: false })
    }
}
