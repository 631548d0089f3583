use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::stop::Stop;
use crate::domain::{Epoch, Outcome, ServerId};

record! {
    /// Whether a file server has room for new files, by its own word.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct ServerFull as "word of a full file server" {
        pub server_id: ServerId = 1,
        pub epoch: Epoch = 2,
        pub full: bool = 3,
    }
}

impl Act for ServerFull {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = true;
    const WHILE_RESTORING: bool = true;
    const WHILE_FULL: bool = true;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        let mut server = change.serving(self.server_id, self.epoch)?;
        let was_eligible = server.is_eligible();
        let was_full = std::mem::replace(&mut server.full, self.full);
        change.put_server(was_eligible, &server)?;
        if was_full && !self.full {
            change.wake_sweeps()?;
        }
        Ok(Outcome::Done)
    }
}
