//! What this node has seen of the file servers: heartbeats, calls that failed, probes.
//!
//! Suspicion is this node's own, held in memory and never proposed: it sends reads and new files elsewhere at once,
//! and is wrong at no cost. What the whole cluster goes by stands in the replicated records.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::client::blobs::ServerAddress;
use crate::domain::rows::Server;
use crate::domain::{Epoch, ServerId};
use crate::protocol::registration::HeartbeatRequest;

/// How many heartbeats in a row may be missed before the server is suspect.
const MISSED_HEARTBEATS: u32 = 3;
/// For how long a file that was refused for want of room is remembered.
const ROOM_WANTED: Duration = Duration::from_secs(120);
/// A heartbeat this many periods old still shows that the server is there.
const RECENT_HEARTBEATS: u32 = 2;

/// Where a server is, by its record.
pub(crate) fn address(server: &Server) -> ServerAddress {
    ServerAddress { server_id: server.server_id, epoch: server.epoch, uuid: server.uuid, url: server.url.clone() }
}

/// The file servers as this node sees them.
#[derive(Debug)]
pub(crate) struct ServerWatch {
    heartbeat: Duration,
    since: Instant,
    seen: Mutex<BTreeMap<ServerId, Sight>>,
    wake: Notify,
    /// When a file was last refused for want of room.
    room_wanted: Mutex<Option<Instant>>,
}

#[derive(Clone, Debug)]
struct Sight {
    epoch: Epoch,
    /// The last sign of life in this epoch, a heartbeat or a probe. Before there was one: when this node learned of
    /// the epoch, so that a server which has just been admitted has time to say so.
    heard: Instant,
    heartbeat: Option<(Instant, HeartbeatRequest)>,
    /// Why its disk refused a call after that.
    refusal: Option<String>,
    /// Why the last call failed, where no sign of life came after it.
    failed: Option<String>,
    /// The suspicion is in the log.
    told: bool,
    /// A probe has failed since the last sign of life.
    confirmed: bool,
}

/// One server as the loop that watches them all has to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sighting {
    pub(crate) suspect: bool,
    /// A probe has failed since the last sign of life.
    pub(crate) confirmed: bool,
    /// The last sign of life.
    pub(crate) heard: Instant,
}

impl ServerWatch {
    pub(crate) fn new(heartbeat: Duration) -> Self {
        Self {
            heartbeat,
            since: Instant::now(),
            seen: Mutex::default(),
            wake: Notify::new(),
            room_wanted: Mutex::default(),
        }
    }

    /// A heartbeat has come from a server that the replicated state knows in just that epoch.
    pub(crate) fn heard(&self, heartbeat: HeartbeatRequest) {
        let (server_id, epoch, now) = (heartbeat.server_id, heartbeat.epoch, Instant::now());
        let mut seen = self.seen();
        let sight = self.sight(&mut seen, server_id, now);
        if sight.epoch > epoch {
            return;
        }
        sight.heartbeat = Some((now, heartbeat));
        sight.alive(server_id, epoch, now, "a heartbeat came");
    }

    /// A probe reached the server.
    pub(super) fn reached(&self, server_id: ServerId, epoch: Epoch) {
        let now = Instant::now();
        let mut seen = self.seen();
        let sight = self.sight(&mut seen, server_id, now);
        if sight.epoch == epoch {
            sight.alive(server_id, epoch, now, "a probe reached it");
        }
    }

    /// A probe did not reach the server.
    pub(super) fn not_reached(&self, server_id: ServerId, epoch: Epoch, cause: &str) {
        let mut seen = self.seen();
        let sight = self.sight(&mut seen, server_id, self.since);
        if sight.epoch == epoch && !sight.confirmed {
            sight.confirmed = true;
            sight.failed.get_or_insert_with(|| cause.to_owned());
            sight.tell(server_id);
            let silent_ms = millis(sight.heard.elapsed());
            tracing::info!(%server_id, %epoch, silent_ms, cause, "a probe does not reach the suspect file server either");
        }
    }

    /// A call to the server could not be made, or broke off: nothing more goes there until its next sign of life. It is
    /// probed at once.
    pub(crate) fn suspect(&self, server_id: ServerId, cause: &str) {
        let mut seen = self.seen();
        let sight = self.sight(&mut seen, server_id, self.since);
        if sight.failed.is_none() {
            sight.failed = Some(cause.to_owned());
            sight.tell(server_id);
            drop(seen);
            self.wake();
        }
    }

    /// Has suspect servers looked at now rather than at the next tick.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Returns when somebody wants suspect servers to be looked at.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// A server that was never heard of is given the time of a few heartbeats from this node's start.
    pub(crate) fn is_suspect(&self, server_id: ServerId) -> bool {
        self.seen().get(&server_id).map_or(self.since.elapsed() > self.patience(), |sight| self.doubts(sight))
    }

    /// The last heartbeat of a server, where it is not an old one.
    pub(crate) fn last(&self, server_id: ServerId) -> Option<HeartbeatRequest> {
        let seen = self.seen();
        let (at, heartbeat) = seen.get(&server_id)?.heartbeat.as_ref()?;
        (at.elapsed() <= self.patience()).then(|| heartbeat.clone())
    }

    /// A server's disk did not take a write. It says so itself with its next heartbeat, or takes writes again by then.
    pub(crate) fn refused(&self, server_id: ServerId, cause: &str) {
        let mut seen = self.seen();
        let sight = self.sight(&mut seen, server_id, self.since);
        sight.refusal.get_or_insert_with(|| cause.to_owned());
    }

    /// Why a server's disk takes no writes, where it is known to take none.
    pub(crate) fn refusal(&self, server_id: ServerId) -> Option<String> {
        let seen = self.seen();
        let sight = seen.get(&server_id)?;
        let told = sight.heartbeat.as_ref().and_then(|(_, heartbeat)| heartbeat.refusal.clone());
        told.or_else(|| sight.refusal.clone())
    }

    /// All servers whose disks are known to take no writes, with the reason.
    pub(crate) fn refusals(&self) -> BTreeMap<ServerId, String> {
        let known: Vec<ServerId> = self.seen().keys().copied().collect();
        known.into_iter().filter_map(|id| Some((id, self.refusal(id)?))).collect()
    }

    /// Whether nothing new is to be sent there.
    pub(crate) fn is_unfit(&self, server_id: ServerId) -> bool {
        self.is_suspect(server_id) || self.refusal(server_id).is_some()
    }

    /// Whether a heartbeat of this epoch came within the last two periods.
    pub(super) fn heard_lately(&self, server_id: ServerId, epoch: Epoch) -> bool {
        let seen = self.seen();
        let Some((at, heartbeat)) = seen.get(&server_id).and_then(|sight| sight.heartbeat.as_ref()) else {
            return false;
        };
        heartbeat.epoch == epoch && at.elapsed() <= self.heartbeat * RECENT_HEARTBEATS
    }

    /// Takes in what the replicated state says of a server that is up or draining, and tells how it looks from here.
    /// A suspicion that came of silence is logged here.
    pub(crate) fn look_at(&self, server: &Server) -> Sighting {
        let (server_id, now) = (server.server_id, Instant::now());
        let mut seen = self.seen();
        let sight = self.sight(&mut seen, server_id, now);
        if sight.epoch < server.epoch {
            *sight = Sight::new(server.epoch, now);
        }
        let suspect = self.doubts(sight);
        if suspect {
            sight.tell(server_id);
        }
        Sighting { suspect, confirmed: sight.confirmed, heard: sight.heard }
    }

    /// Forgets the servers that are no more.
    pub(crate) fn keep_only(&self, known: impl Fn(ServerId) -> bool) {
        self.seen().retain(|server_id, _| known(*server_id));
    }

    /// A file was refused for want of room.
    pub(crate) fn room_is_wanted(&self) {
        *self.room_wanted.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether some file was refused for want of room lately. Whoever it was will try again.
    pub(crate) fn is_room_wanted(&self) -> bool {
        let at = *self.room_wanted.lock().unwrap_or_else(PoisonError::into_inner);
        at.is_some_and(|at| at.elapsed() < ROOM_WANTED)
    }

    /// How long the silence of a server may last before it is suspect.
    fn patience(&self) -> Duration {
        self.heartbeat * MISSED_HEARTBEATS
    }

    fn doubts(&self, sight: &Sight) -> bool {
        sight.failed.is_some() || sight.heard.elapsed() > self.patience()
    }

    fn sight<'a>(&self, seen: &'a mut BTreeMap<ServerId, Sight>, server_id: ServerId, heard: Instant) -> &'a mut Sight {
        seen.entry(server_id).or_insert_with(|| Sight::new(Epoch(0), heard))
    }

    /// No code that holds this can panic between two steps of one change.
    fn seen(&self) -> MutexGuard<'_, BTreeMap<ServerId, Sight>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sight {
    fn new(epoch: Epoch, heard: Instant) -> Self {
        Self { epoch, heard, heartbeat: None, refusal: None, failed: None, told: false, confirmed: false }
    }

    fn alive(&mut self, server_id: ServerId, epoch: Epoch, now: Instant, sign: &str) {
        if self.told {
            let silent_ms = millis(now.saturating_duration_since(self.heard));
            tracing::info!(%server_id, %epoch, silent_ms, sign, "file server is heard of again");
        }
        let heartbeat = self.heartbeat.take();
        *self = Self { heartbeat, ..Self::new(epoch, now) };
    }

    fn tell(&mut self, server_id: ServerId) {
        if self.told {
            return;
        }
        self.told = true;
        let (epoch, silent_ms) = (self.epoch, millis(self.heard.elapsed()));
        let reason = self.failed.as_deref().unwrap_or("its heartbeats do not come");
        tracing::warn!(%server_id, %epoch, silent_ms, reason, "file server is suspect: nothing new is sent there");
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
