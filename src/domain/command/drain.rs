use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::rows::ServerState;
use crate::domain::stop::Stop;
use crate::domain::{Outcome, ServerId};

record! {
    /// Takes a server out of the ring, to be emptied. It leaves at once; its copies count until the job has moved them.
    /// Again is no change.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Drain as "drain" {
        pub server_id: ServerId = 1,
    }
}

impl Act for Drain {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = true;
    const WHILE_RESTORING: bool = true;
    const WHILE_FULL: bool = true;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        let mut server = change.known_server(self.server_id)?;
        let was_eligible = server.is_eligible();
        server.leaving = true;
        if server.state == ServerState::Up {
            server.state = ServerState::Draining;
            server.changed_at = change.now;
        }
        change.put_server(was_eligible, &server)?;
        change.leave_ring(self.server_id)?;
        Ok(Outcome::Done)
    }
}
