use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::rows::ServerState;
use crate::domain::stop::Stop;
use crate::domain::{Epoch, Outcome, ServerId, tables};

/// A server that was up for so long is not flapping.
const STEADY_MS: u64 = 10 * 60 * 1000;

record! {
    /// Marks a server down and closes the ring: one row of work and the ring's, however many files the server held. From
    /// here on its copies do not count, so in each record the next one is the primary at once.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct ServerDown as "death of a file server" {
        pub server_id: ServerId = 1,
        pub epoch: Epoch = 2,
    }
}

impl Act for ServerDown {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = true;
    const WHILE_RESTORING: bool = true;
    const WHILE_FULL: bool = true;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        let mut server = change.serving(self.server_id, self.epoch)?;
        let was_eligible = server.is_eligible();
        let steady = change.now.0.saturating_sub(server.changed_at.0) >= STEADY_MS;
        server.flaps = if steady { 1 } else { server.flaps.saturating_add(1) };
        server.state = ServerState::Down;
        server.down_since = Some(change.wall);
        server.changed_at = change.now;
        change.put_server(was_eligible, &server)?;
        change.leave_ring(self.server_id)?;
        tables::note_loss(change.store)?;
        Ok(Outcome::Done)
    }
}
