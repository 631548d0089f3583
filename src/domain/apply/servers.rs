//! File servers and the ring.

use super::Change;
use crate::domain::rows::{Server, ServerState};
use crate::domain::stop::{Stop, reject, require};
use crate::domain::tables::{self, Counter, MAX_SERVERS};
use crate::domain::{Epoch, Outcome, RejectionKind, ServerId, ServerUuid};

const MAX_URL_BYTES: usize = 2048;
const MAX_ZONE_BYTES: usize = 255;

impl Change<'_> {
    /// A new data directory becomes a new server at the end of the ring. One that is known and up only tells where it
    /// is now; one that had been declared down comes back in a new epoch, in which none of its copies counts yet.
    pub(super) fn register_server(
        &mut self,
        uuid: ServerUuid,
        url: &str,
        zone: &str,
        capacity: u64,
    ) -> Result<Outcome, Stop> {
        let invalid = RejectionKind::InvalidRequest;
        let plain = |text: &str, max: usize| text.len() <= max && !text.chars().any(char::is_control);
        require(!url.is_empty() && plain(url, MAX_URL_BYTES), invalid, "a file server's url is 1 to 2,048 bytes")?;
        require(plain(zone, MAX_ZONE_BYTES), invalid, "a file server's zone is at most 255 bytes")?;

        let servers = tables::servers(self.store)?;
        let count = servers.len();
        let known = servers.into_iter().find(|server| server.uuid == uuid);
        let was_down = known.as_ref().is_none_or(|server| server.state == ServerState::Down);
        let mut server = match known {
            Some(server) if was_down => Server {
                epoch: Epoch(server.epoch.0 + 1),
                state: ServerState::Up,
                full: false,
                primaries: 0,
                backups: 0,
                bytes: 0,
                down_since: None,
                ..server
            },
            Some(server) => server,
            None => {
                require(
                    count < MAX_SERVERS,
                    invalid,
                    "the cluster has 1,000 file servers, which is the most it can have",
                )?;
                Server {
                    server_id: ServerId(Counter::Server.take(self.store)?),
                    uuid,
                    url: String::new(),
                    zone: String::new(),
                    epoch: Epoch(1),
                    state: ServerState::Up,
                    full: false,
                    capacity: 0,
                    primaries: 0,
                    backups: 0,
                    bytes: 0,
                    down_since: None,
                }
            }
        };
        server.url = url.to_owned();
        server.zone = zone.to_owned();
        server.capacity = capacity;
        tables::put_server(self.store, &server)?;
        if was_down {
            let mut ring = tables::ring(self.store)?;
            ring.push(server.server_id);
            tables::put_ring(self.store, ring)?;
        }
        Ok(Outcome::Server { server_id: server.server_id, epoch: server.epoch })
    }

    /// One row of work and the ring's, however many files the server held: from here on its copies do not count, so in
    /// each record the next one is the primary at once.
    pub(super) fn server_down(&mut self, id: ServerId, epoch: Epoch) -> Result<Outcome, Stop> {
        let mut server = self.serving(id, epoch)?;
        server.state = ServerState::Down;
        server.down_since = Some(self.wall);
        tables::put_server(self.store, &server)?;
        let mut ring = tables::ring(self.store)?;
        ring.retain(|other| *other != id);
        tables::put_ring(self.store, ring)?;
        Ok(Outcome::Done)
    }

    pub(super) fn server_full(&mut self, id: ServerId, epoch: Epoch, full: bool) -> Result<Outcome, Stop> {
        let mut server = self.serving(id, epoch)?;
        server.full = full;
        tables::put_server(self.store, &server)?;
        Ok(Outcome::Done)
    }

    /// The server, if it is still the one that the leader has watched.
    fn serving(&self, id: ServerId, epoch: Epoch) -> Result<Server, Stop> {
        tables::server(self.store, id)?
            .filter(|server| server.counts(epoch))
            .ok_or_else(|| reject(RejectionKind::StaleState, format!("file server {id} is down or has another epoch")))
    }
}
