//! File servers and the ring.

use super::Change;
use crate::domain::rows::{Server, ServerState, SweepKind};
use crate::domain::stop::{Stop, reject, require};
use crate::domain::tables::{self, Counter, MAX_SERVERS};
use crate::domain::{Epoch, Fault, Incarnation, Outcome, RejectionKind, ServerId, ServerUuid};

const MAX_URL_BYTES: usize = 2048;
const MAX_ZONE_BYTES: usize = 255;

/// A server that was up for so long is not flapping.
const STEADY_MS: u64 = 10 * 60 * 1000;
/// From the third time in a row it has to wait, twice as long each time.
const FLAPS_FORGIVEN: u32 = 2;
const FIRST_WAIT_MS: u64 = 10 * 1000;
const MAX_WAIT_MS: u64 = 10 * 60 * 1000;

/// What a file server says about itself.
pub(super) struct Applicant<'a> {
    pub(super) uuid: ServerUuid,
    pub(super) url: &'a str,
    pub(super) zone: &'a str,
    pub(super) capacity: u64,
    pub(super) last: Option<Incarnation>,
    pub(super) next: Option<Incarnation>,
}

impl Applicant<'_> {
    /// Whether it is the data directory of the last registration, gone on from there. A repeated registration shows the
    /// same `next`; a disk from a backup, or a copied one, shows a `last` that others have followed.
    fn continues(&self, server: &Server) -> bool {
        server.incarnation.is_none() || self.last == server.incarnation || self.next == server.incarnation
    }
}

impl Change<'_> {
    /// A new data directory becomes a new server. One that is known and up only tells where it is now; one that had been
    /// declared down, or is not the directory that it was, comes back in a new epoch, in which none of its copies counts
    /// yet.
    pub(super) fn register_server(&mut self, applicant: &Applicant<'_>) -> Result<Outcome, Stop> {
        let invalid = RejectionKind::InvalidRequest;
        let plain = |text: &str, max: usize| text.len() <= max && !text.chars().any(char::is_control);
        let url = applicant.url;
        require(!url.is_empty() && plain(url, MAX_URL_BYTES), invalid, "a file server's url is 1 to 2,048 bytes")?;
        require(plain(applicant.zone, MAX_ZONE_BYTES), invalid, "a file server's zone is at most 255 bytes")?;

        let servers = tables::servers(self.store)?;
        let count = servers.len();
        let known = servers.into_iter().find(|server| server.uuid == applicant.uuid);
        if let Some(server) = &known
            && applicant.next.is_some()
            && applicant.next == server.previous
        {
            // It was sent before the last one and comes after it: nothing is news in it.
            return Ok(Outcome::Server { server_id: server.server_id, epoch: server.epoch });
        }
        let mut server = match known {
            Some(server) if server.state == ServerState::Down || !applicant.continues(&server) => self.back(server)?,
            Some(server) => server,
            None => {
                require(
                    count < MAX_SERVERS,
                    invalid,
                    "the cluster has 1,000 file servers, which is the most it can have",
                )?;
                self.newcomer(applicant.uuid)?
            }
        };
        server.url = url.to_owned();
        server.zone = applicant.zone.to_owned();
        server.capacity = applicant.capacity;
        if applicant.next.is_some() && applicant.next != server.incarnation {
            server.previous = server.incarnation;
            server.incarnation = applicant.next;
        }
        tables::put_server(self.store, &server)?;
        if server.state == ServerState::Up {
            self.enter_ring(server.server_id)?;
        }
        Ok(Outcome::Server { server_id: server.server_id, epoch: server.epoch })
    }

    fn newcomer(&mut self, uuid: ServerUuid) -> Result<Server, Fault> {
        Ok(Server {
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
            stale: 0,
            down_since: None,
            changed_at: self.now,
            flaps: 0,
            incarnation: None,
            previous: None,
            leaving: false,
        })
    }

    /// A server in a new epoch.
    fn back(&self, server: Server) -> Result<Server, Stop> {
        let wait_ms = wait_ms(&server);
        let waited_ms = self.now.0.saturating_sub(server.changed_at.0);
        if server.state == ServerState::Down && waited_ms < wait_ms {
            let seconds = (wait_ms - waited_ms).div_ceil(1000);
            return Err(reject(
                RejectionKind::TooManyRequests,
                format!(
                    "this file server was declared down {} times in a row: look at its machine; it is let back in after {seconds} s",
                    server.flaps
                ),
            ));
        }
        let leaving = server.leaving && server.named() > 0;
        Ok(Server {
            epoch: Epoch(server.epoch.0 + 1),
            state: if leaving { ServerState::Draining } else { ServerState::Up },
            full: false,
            primaries: 0,
            backups: 0,
            bytes: 0,
            stale: server.named(),
            down_since: None,
            changed_at: self.now,
            leaving,
            ..server
        })
    }

    /// One row of work and the ring's, however many files the server held: from here on its copies do not count, so in
    /// each record the next one is the primary at once.
    pub(super) fn server_down(&mut self, id: ServerId, epoch: Epoch) -> Result<Outcome, Stop> {
        let mut server = self.serving(id, epoch)?;
        let steady = self.now.0.saturating_sub(server.changed_at.0) >= STEADY_MS;
        server.flaps = if steady { 1 } else { server.flaps.saturating_add(1) };
        server.state = ServerState::Down;
        server.down_since = Some(self.wall);
        server.changed_at = self.now;
        tables::put_server(self.store, &server)?;
        self.leave_ring(id)?;
        Ok(Outcome::Done)
    }

    pub(super) fn server_full(&mut self, id: ServerId, epoch: Epoch, full: bool) -> Result<Outcome, Stop> {
        let mut server = self.serving(id, epoch)?;
        let was_full = std::mem::replace(&mut server.full, full);
        tables::put_server(self.store, &server)?;
        if was_full && !full {
            self.wake_sweeps()?;
        }
        Ok(Outcome::Done)
    }

    /// It leaves the ring at once; its copies count until the job has moved them. Again is no change.
    pub(super) fn drain(&mut self, id: ServerId) -> Result<Outcome, Stop> {
        let mut server = self.known_server(id)?;
        server.leaving = true;
        if server.state == ServerState::Up {
            server.state = ServerState::Draining;
            server.changed_at = self.now;
        }
        tables::put_server(self.store, &server)?;
        self.leave_ring(id)?;
        Ok(Outcome::Done)
    }

    pub(super) fn undrain(&mut self, id: ServerId) -> Result<Outcome, Stop> {
        let mut server = self.known_server(id)?;
        server.leaving = false;
        let drains = server.state == ServerState::Draining;
        if drains {
            server.state = ServerState::Up;
            server.changed_at = self.now;
        }
        tables::put_server(self.store, &server)?;
        if drains {
            self.enter_ring(id)?;
            if server.named() > 0 {
                // What was copied away from it in the meantime may be one copy too many now.
                self.begin(SweepKind::Copies)?;
            }
        }
        Ok(Outcome::Done)
    }

    /// Its garbage rows stay until their bytes are given up: see `plan`.
    pub(super) fn remove_server(&mut self, id: ServerId) -> Result<Outcome, Stop> {
        let Some(server) = tables::server(self.store, id)? else { return Ok(Outcome::Done) };
        let invalid = RejectionKind::InvalidRequest;
        require(
            server.state != ServerState::Up,
            invalid,
            "the file server is in use: drain it first, and remove it when nothing is left on it",
        )?;
        let named = server.named();
        if named > 0 {
            return Err(reject(
                RejectionKind::NotEmpty,
                format!("{named} copies are still named on file server {id}: wait until they have been moved"),
            ));
        }
        tables::delete_server(self.store, id)?;
        Ok(Outcome::Done)
    }

    /// The ring is in the order of the ids. A newcomer has the highest and comes last; one that returns comes back to
    /// where it was, so that the files from before have their backups at their primaries' successors again.
    fn enter_ring(&mut self, id: ServerId) -> Result<(), Fault> {
        let mut ring = tables::ring(self.store)?;
        if let Err(position) = ring.binary_search(&id) {
            ring.insert(position, id);
            tables::put_ring(self.store, ring)?;
            self.wake_sweeps()?;
        }
        Ok(())
    }

    fn leave_ring(&mut self, id: ServerId) -> Result<(), Fault> {
        let mut ring = tables::ring(self.store)?;
        if ring.contains(&id) {
            ring.retain(|other| *other != id);
            tables::put_ring(self.store, ring)?;
        }
        Ok(())
    }

    /// The server, if it is still the one that the leader has watched.
    fn serving(&self, id: ServerId, epoch: Epoch) -> Result<Server, Stop> {
        tables::server(self.store, id)?
            .filter(|server| server.serves(epoch))
            .ok_or_else(|| reject(RejectionKind::StaleState, format!("file server {id} is down or has another epoch")))
    }

    fn known_server(&self, id: ServerId) -> Result<Server, Stop> {
        tables::server(self.store, id)?.ok_or_else(|| {
            reject(RejectionKind::NotFound, format!("there is no file server {id}: see `ringmaster ring status`"))
        })
    }
}

/// For how long after its death a server is kept out.
fn wait_ms(server: &Server) -> u64 {
    match server.flaps.checked_sub(FLAPS_FORGIVEN + 1) {
        None => 0,
        Some(doublings) => FIRST_WAIT_MS.saturating_mul(2_u64.saturating_pow(doublings)).min(MAX_WAIT_MS),
    }
}
