//! Noticing that a file server is dead.
//!
//! ```text
//! forever: wait for a tick, a failed call, the end of a probe or of a consultation
//!          probe the servers that are suspect here
//!          if this node leads: for each that has been silent for `detection.dead_after`, ask all directory nodes;
//!                              where a majority of them does not reach it, propose that it is down
//! ```
//!
//! Every node runs the loop: suspicion is each node's own, and a leader that was just elected goes by what it heard
//! itself before. Probes and consultations are tasks of their own, one at a time for each server, so that several
//! deaths take no longer than one. What the loop remembers may be lost at any moment; the proposal names the epoch, so
//! that one which comes late hits nobody who has returned since.

mod consult;
mod journal;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use self::journal::ServerJournal;
use super::lookout::{Lookout, ReachCall};
use super::node::App;
use crate::consensus::QueryKind;
use crate::domain::query;
use crate::domain::rows::Server;
use crate::domain::{Command, Epoch, Proposal, ServerId, command};
use crate::telemetry::{Counter, Gauge, Histogram, Metrics};

/// How often the file servers are looked at while nothing happens.
const TICK: Duration = Duration::from_millis(100);
/// A suspicion that is new is looked into at once, and again after this time where it came back.
const PROBE_NEW: Duration = Duration::from_millis(200);
/// A server that a probe did not reach is probed again after so long…
const PROBE_AGAIN: Duration = Duration::from_secs(1);
/// …and the nodes are asked about it again.
const CONSULT_AGAIN: Duration = Duration::from_secs(1);

/// What the loop counts.
struct Counts {
    suspect: Gauge,
    down: Counter,
    seconds: Histogram,
}

impl Counts {
    fn new(metrics: &Metrics) -> Self {
        let buckets = [1.0, 2.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 15.0, 30.0, 60.0, 300.0];
        Self {
            suspect: metrics.gauge("ringmaster_fileservers_suspect", "File servers up that this node does not hear of"),
            down: metrics
                .counter("ringmaster_fileserver_down_total", "File servers that this node as leader has declared down"),
            seconds: metrics.histogram(
                "ringmaster_detection_seconds",
                "Time from the last sign of life of a dead file server to the entry that says so",
                buckets,
            ),
        }
    }
}

/// Runs until the node ends.
pub(crate) async fn run(node: App, lookout: Arc<Lookout>) {
    let mut detection = Detection::new(node, lookout);
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let servers = detection.node.servers.clone();
    let mut stopped = detection.node.handle().stopped();
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = servers.woken() => {}
            Some(ended) = detection.tasks.join_next() => {
                if let Ok(ended) = ended { detection.ended(&ended); }
            }
            changed = stopped.changed() => {
                if changed.is_err() || stopped.borrow().is_some() { return; }
            }
        }
        if detection.node.is_stopping() {
            return;
        }
        detection.step().await;
    }
}

struct Detection {
    node: App,
    lookout: Arc<Lookout>,
    counts: Counts,
    journal: ServerJournal,
    probes: BTreeMap<ServerId, Work>,
    consultations: BTreeMap<ServerId, Work>,
    tasks: JoinSet<Ended>,
}

/// What is done about one server.
#[derive(Clone, Copy, Debug)]
struct Work {
    running: bool,
    /// When it began, or ended if it has.
    at: Instant,
}

impl Work {
    fn may_begin(work: Option<&Self>, gap: Duration) -> bool {
        work.is_none_or(|work| !work.running && work.at.elapsed() >= gap)
    }
}

enum Ended {
    Probe(ServerId),
    Consultation(ServerId, Option<DeclaredDown>),
}

/// The entry that says so is applied.
struct DeclaredDown {
    after: Duration,
}

impl Detection {
    fn new(node: App, lookout: Arc<Lookout>) -> Self {
        let (counts, journal) = (Counts::new(&node.metrics), ServerJournal::new(&node.metrics));
        let (probes, consultations, tasks) = (BTreeMap::new(), BTreeMap::new(), JoinSet::new());
        Self { node, lookout, counts, journal, probes, consultations, tasks }
    }

    async fn step(&mut self) {
        let servers = match self.node.handle().read_local_as(QueryKind::Job, |store| query::servers(store)).await {
            Ok(servers) => servers,
            Err(error) => {
                tracing::warn!(%error, "the file servers' rows cannot be read: none is watched");
                return;
            }
        };
        let known = |id: &ServerId| servers.iter().any(|server| server.server_id == *id);
        self.node.servers.keep_only(|id| known(&id));
        self.probes.retain(|id, work| work.running || known(id));
        self.consultations.retain(|id, work| work.running || known(id));

        let refusals = self.node.servers.refusals();
        self.journal.look(&servers, &refusals, |server| self.node.servers.is_suspect(server.server_id));
        let status = self.node.handle().status();
        let leads = status.leader == Some(status.node_id);
        let mut suspects = 0;
        for server in servers.iter().filter(|server| server.is_serving()) {
            let sighting = self.node.servers.look_at(server);
            if !sighting.suspect {
                continue;
            }
            suspects += 1;
            self.probe(server, if sighting.confirmed { PROBE_AGAIN } else { PROBE_NEW });
            if leads && sighting.heard.elapsed() >= self.node.settings.dead_after {
                self.consult(server, sighting.heard);
            }
        }
        self.counts.suspect.set(suspects);
    }

    fn probe(&mut self, server: &Server, gap: Duration) {
        let (server_id, epoch) = (server.server_id, server.epoch);
        if !Work::may_begin(self.probes.get(&server_id), gap) {
            return;
        }
        self.probes.insert(server_id, Work { running: true, at: Instant::now() });
        let (node, lookout) = (self.node.clone(), self.lookout.clone());
        self.tasks.spawn(async move {
            lookout.look(node.handle(), ReachCall { server_id, epoch }).await;
            Ended::Probe(server_id)
        });
    }

    fn consult(&mut self, server: &Server, heard: Instant) {
        let (server_id, epoch) = (server.server_id, server.epoch);
        if !Work::may_begin(self.consultations.get(&server_id), CONSULT_AGAIN) {
            return;
        }
        self.consultations.insert(server_id, Work { running: true, at: Instant::now() });
        let (node, lookout) = (self.node.clone(), self.lookout.clone());
        self.tasks.spawn(async move {
            let declared = consult(&node, &lookout, (server_id, epoch), heard).await;
            Ended::Consultation(server_id, declared)
        });
    }

    fn ended(&mut self, ended: &Ended) {
        let over = Work { running: false, at: Instant::now() };
        match ended {
            Ended::Probe(server_id) => {
                self.probes.insert(*server_id, over);
            }
            Ended::Consultation(server_id, declared) => {
                self.consultations.insert(*server_id, over);
                if let Some(declared) = declared {
                    self.counts.down.inc();
                    self.counts.seconds.observe(declared.after.as_secs_f64());
                }
            }
        }
    }
}

/// Asks the nodes about one server, and has it declared down if a majority of them does not reach it.
async fn consult(
    node: &App,
    lookout: &Lookout,
    (server_id, epoch): (ServerId, Epoch),
    heard: Instant,
) -> Option<DeclaredDown> {
    let poll = consult::consult(node.handle(), lookout, server_id, epoch).await;
    let silent_ms = u64::try_from(heard.elapsed().as_millis()).unwrap_or(u64::MAX);
    if !poll.condemns() {
        tracing::info!(%server_id, %epoch, silent_ms, %poll, "the directory nodes were asked about a silent file server: it stays");
        return None;
    }
    let proposal = Proposal { operation: None, command: Command::ServerDown(command::ServerDown { server_id, epoch }) };
    match node.handle().propose(proposal).await {
        Ok(Ok(_)) => {
            let after = heard.elapsed();
            tracing::warn!(%server_id, %epoch, silent_ms, %poll, "file server is declared down: a majority of the directory nodes does not reach it");
            Some(DeclaredDown { after })
        }
        // Somebody else was faster, or the server has returned in between.
        Ok(Err(rejection)) => {
            tracing::info!(%server_id, %epoch, reason = rejection.detail, "file server is not declared down");
            None
        }
        Err(error) => {
            tracing::warn!(%server_id, %epoch, %error, "that a file server is down could not be entered, and will be tried again");
            None
        }
    }
}
