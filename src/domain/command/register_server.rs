use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::rows::{Recount, Server, ServerState};
use crate::domain::stop::{Stop, reject, require};
use crate::domain::tables::{self, Counter, MAX_SERVERS};
use crate::domain::{Epoch, Incarnation, Outcome, RejectionKind, ServerId, ServerUuid};

const MAX_URL_BYTES: usize = 2048;
const MAX_ZONE_BYTES: usize = 255;

/// From the third time in a row it has to wait, twice as long each time.
const FLAPS_FORGIVEN: u32 = 2;
const FIRST_WAIT_MS: u64 = 10 * 1000;
const MAX_WAIT_MS: u64 = 10 * 60 * 1000;

record! {
    /// What a file server says about itself. A new data directory becomes a new server. One that is known and up only
    /// tells where it is now; one that had been declared down, or is not the directory that it was, comes back in a new
    /// epoch, in which none of its copies counts yet.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct RegisterServer as "registration" {
        pub uuid: ServerUuid = 1,
        /// 1 to 2,048 bytes.
        pub url: String = 2,
        /// At most 255 bytes.
        pub zone: String = 3,
        /// Bytes.
        pub capacity: u64 = 4,
        /// What the data directory kept of its last registration.
        pub last: Option<Incarnation> = 5,
        /// What it keeps of this one.
        pub next: Option<Incarnation> = 6,
    }
}

impl Act for RegisterServer {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = true;
    const WHILE_RESTORING: bool = true;
    const WHILE_FULL: bool = true;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        let invalid = RejectionKind::InvalidRequest;
        let plain = |text: &str, max: usize| text.len() <= max && !text.chars().any(char::is_control);
        let url = &self.url;
        require(!url.is_empty() && plain(url, MAX_URL_BYTES), invalid, "a file server's url is 1 to 2,048 bytes")?;
        require(plain(&self.zone, MAX_ZONE_BYTES), invalid, "a file server's zone is at most 255 bytes")?;

        let servers = tables::servers(change.store)?;
        let count = servers.len();
        let known = servers.into_iter().find(|server| server.uuid == self.uuid);
        if let Some(server) = &known
            && self.next.is_some()
            && self.next == server.previous
        {
            // It was sent before the last one and comes after it: nothing is news in it.
            return Ok(Outcome::Server { server_id: server.server_id, epoch: server.epoch });
        }
        let was_eligible = known.as_ref().is_some_and(Server::is_eligible);
        let mut server = match known {
            Some(server) if server.state == ServerState::Down || !self.continues(&server) => {
                tables::note_loss(change.store)?;
                back(change, server)?
            }
            Some(server) => server,
            None => {
                require(
                    count < MAX_SERVERS,
                    invalid,
                    "the cluster has 1,000 file servers, which is the most it can have",
                )?;
                newcomer(change, self.uuid)?
            }
        };
        server.url.clone_from(url);
        server.zone.clone_from(&self.zone);
        server.capacity = self.capacity;
        if self.next.is_some() && self.next != server.incarnation {
            server.previous = server.incarnation;
            server.incarnation = self.next;
        }
        change.put_server(was_eligible, &server)?;
        if server.state == ServerState::Up {
            change.enter_ring(server.server_id)?;
        }
        Ok(Outcome::Server { server_id: server.server_id, epoch: server.epoch })
    }
}

impl RegisterServer {
    /// Whether it is the data directory of the last registration, gone on from there. A repeated registration shows the
    /// same `next`; a disk from a backup, or a copied one, shows a `last` that others have followed.
    fn continues(&self, server: &Server) -> bool {
        server.incarnation.is_none() || self.last == server.incarnation || self.next == server.incarnation
    }
}

fn newcomer(change: &mut Change<'_>, uuid: ServerUuid) -> Result<Server, Stop> {
    Ok(Server {
        server_id: ServerId(Counter::Server.take(change.store)?),
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
        changed_at: change.now,
        flaps: 0,
        incarnation: None,
        previous: None,
        leaving: false,
        recount: None,
    })
}

/// A server in a new epoch.
fn back(change: &Change<'_>, server: Server) -> Result<Server, Stop> {
    let wait_ms = wait_ms(&server);
    let waited_ms = change.now.0.saturating_sub(server.changed_at.0);
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
    let leaving = server.leaving && !server.is_empty();
    let mut back = Server {
        epoch: Epoch(server.epoch.0.saturating_add(1)),
        state: if leaving { ServerState::Draining } else { ServerState::Up },
        full: false,
        down_since: None,
        changed_at: change.now,
        leaving,
        recount: server.recount.map(|recount| Recount { tally: recount.tally.aged(), ..recount }),
        ..server
    };
    back.set_tally(back.tally().aged());
    Ok(back)
}

/// For how long after its death a server is kept out.
fn wait_ms(server: &Server) -> u64 {
    match server.flaps.checked_sub(FLAPS_FORGIVEN + 1) {
        None => 0,
        Some(doublings) => FIRST_WAIT_MS.saturating_mul(2_u64.saturating_pow(doublings)).min(MAX_WAIT_MS),
    }
}
