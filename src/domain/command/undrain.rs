use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::rows::{ServerState, SweepKind};
use crate::domain::stop::Stop;
use crate::domain::{Outcome, ServerId};

record! {
    /// Takes a draining server back.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Undrain as "undrain" {
        pub server_id: ServerId = 1,
    }
}

impl Act for Undrain {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = true;
    const WHILE_RESTORING: bool = true;
    const WHILE_FULL: bool = true;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        let mut server = change.known_server(self.server_id)?;
        let was_eligible = server.is_eligible();
        server.leaving = false;
        let drains = server.state == ServerState::Draining;
        if drains {
            server.state = ServerState::Up;
            server.changed_at = change.now;
        }
        change.put_server(was_eligible, &server)?;
        if drains {
            change.enter_ring(self.server_id)?;
            if server.named() > 0 {
                // What was copied away from it in the meantime may be one copy too many now.
                change.begin_sweep(SweepKind::Copies)?;
            }
        }
        Ok(Outcome::Done)
    }
}
