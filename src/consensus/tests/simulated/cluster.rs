//! The nodes of a run, their disks, and what happens to them.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::{Instant, sleep};

use super::super::Echo;
use super::super::memory::Memory;
use super::dice::Dice;
use super::node::Node;
use super::world::{Wires, World};
use crate::clock::{Clock, SharedClock};
use crate::consensus::environment::Environment;
use crate::consensus::formation::{Home, Identity, Space};
use crate::consensus::handle::{Start, start};
use crate::consensus::machine::Replicated;
use crate::consensus::options::Settings;
use crate::consensus::storage::{self, Opened};
use crate::consensus::tasks::{Executor, Tasks, Work};
use crate::consensus::transport::KnownCluster;
use crate::consensus::{Handle, Member, Tuning};
use crate::domain::NodeId;
use crate::domain::terms::Policy;

/// How long a sync of a log takes, mostly, and one in so many.
const SYNC: (Duration, Duration) = (Duration::from_micros(200), Duration::from_millis(8));
const SLOW_SYNC: (Duration, Duration) = (Duration::from_millis(8), Duration::from_millis(80));
const SLOW_ONES: u64 = 10;
/// How long work that blocks takes.
const WORK: (Duration, Duration) = (Duration::ZERO, Duration::from_millis(2));

/// Nodes 1, 2, 3.
pub(super) struct Cluster {
    pub world: Arc<World>,
    members: Vec<Member>,
    dice: Dice,
    dir: tempfile::TempDir,
    disks: Vec<Memory>,
    lives: Vec<Option<Life>>,
}

/// A node from its start to a power cut.
struct Life {
    node: Arc<Node>,
    handle: Handle,
}

impl Cluster {
    /// Empty disks.
    pub(super) fn new(mut dice: Dice) -> Self {
        let world = World::new(dice.split());
        let ids = 1..=3_u64;
        let members =
            ids.clone().map(|id| Member { id: NodeId(id), url: format!("user://{id}"), peer: format!("peer://{id}") });
        let disks = ids.map(|id| {
            let (world, mut dice) = (Arc::clone(&world), dice.split());
            Memory::new(move || {
                let (from, to) = if dice.below(SLOW_ONES) == 0 { SLOW_SYNC } else { SYNC };
                let time = dice.time(from, to);
                world.note(format!("node {id} syncs for {} us", time.as_micros()));
                time
            })
        });
        let (members, disks) = (members.collect(), disks.collect());
        Self { world, members, dice, dir: tempfile::tempdir().unwrap(), disks, lives: (0..3).map(|_| None).collect() }
    }

    /// From now on no sync of a log makes anything durable.
    pub(super) fn lie_about_syncs(&self) {
        for disk in &self.disks {
            disk.log.lie();
        }
    }

    pub(super) fn ids(&self) -> Vec<u64> {
        (1..=self.members.len() as u64).collect()
    }

    /// The nodes that run.
    pub(super) fn handles(&self) -> Vec<Handle> {
        self.lives.iter().flatten().map(|life| life.handle.clone()).collect()
    }

    pub(super) async fn start(&mut self, id: u64) {
        self.world.note(format!("node {id} starts"));
        let (slot, world) = (id as usize - 1, Arc::clone(&self.world));
        let node = Node::new(self.dice.split());
        let cluster = KnownCluster::default();
        let clock = SharedClock::new(SimulatedClock {
            begun: Instant::now(),
            // No two machines agree on this one.
            wall_ms: 1_700_000_000_000 + self.dice.below(100_000),
            dice: Mutex::new(self.dice.split()),
        });
        let executor =
            OneThread { node: Arc::clone(&node), dice: Mutex::new(self.dice.split()), ended: AtomicBool::new(false) };
        let wires = Wires { world: Arc::clone(&world), from: NodeId(id), cluster: cluster.clone() };
        let environment = Environment { clock, tasks: Tasks::new(executor), peers: Arc::new(wires), cluster };
        let settings = Settings {
            node_id: NodeId(id),
            url: self.members[slot].url.clone(),
            peer_url: self.members[slot].peer.clone(),
            cluster_name: "simulated".into(),
            members: self.members.clone(),
            join: false,
            tuning: Tuning { snapshot_after: 60, keep_entries: 10, ..Tuning::default() },
        };
        let (data, disk) = (self.dir.path().join(format!("node-{id}")), self.disks[slot].clone());
        let listener = Arc::clone(&node);
        let start = start(Start {
            settings,
            environment,
            listen: Box::new(move |inbound| {
                world.listen(NodeId(id), listener, inbound);
                Ok(())
            }),
            open: Box::new(move |opening| {
                let opened = storage::open(&data, &disk, opening)?;
                Ok(Opened { home: Box::new(Roomy(opened.home)), ..opened })
            }),
            service: Arc::new(Echo),
            machine: Arc::new(Replicated { policy: Policy::default() }),
        });
        let handle = start.await.unwrap();
        self.follow(id, &node, &handle);
        self.lives[slot] = Some(Life { node, handle });
    }

    /// Puts each change of a node's state in the trace.
    fn follow(&self, id: u64, node: &Arc<Node>, handle: &Handle) {
        let (world, mut status, mut stopped) = (Arc::clone(&self.world), handle.watch(), handle.stopped());
        node.spawn(async move {
            loop {
                let now = status.borrow_and_update().clone();
                world.note(format!(
                    "node {id} {:?} of term {} under {:?}, log {:?}, applied {:?}, ready {}",
                    now.role, now.term, now.leader, now.last_log_index, now.applied_index, now.ready
                ));
                if status.changed().await.is_err() {
                    return;
                }
            }
        });
        let world = Arc::clone(&self.world);
        node.spawn(async move {
            if let Ok(message) = stopped.wait_for(Option::is_some).await {
                world.note(format!("node {id} stops: {:?}", *message));
            }
        });
    }

    /// Takes the power from some nodes at once. Of what they had not synced, each keeps as much as chance leaves it.
    pub(super) async fn cut_power(&mut self, ids: &[u64]) {
        for id in ids {
            let Some(Life { node, handle }) = self.lives[*id as usize - 1].take() else { continue };
            self.world.silence(NodeId(*id));
            node.end();
            let disk = &self.disks[*id as usize - 1];
            let (log, state) = (&mut self.dice.split(), &mut self.dice.split());
            let stays = |dice: &mut Dice, what: &str, of: usize| {
                let stay = usize::try_from(dice.below(of as u64 + 1)).unwrap();
                let lost = if stay < of { "some are lost" } else { "none is lost" };
                self.world
                    .note(format!("node {id} loses power: its {what} keeps {stay} of {of} unsynced writes, {lost}"));
                stay
            };
            disk.log.cut_power(|of| stays(log, "log", of));
            disk.state.cut_power(|of| stays(state, "state", of));
            drop(handle);
        }
        // Time only moves when nothing can run any more: whatever the nodes were at is gone then.
        sleep(Duration::from_millis(1)).await;
    }
}

/// A node's tasks, among those of the others on one thread.
struct OneThread {
    node: Arc<Node>,
    dice: Mutex<Dice>,
    ended: AtomicBool,
}

impl OneThread {
    /// Work that blocks is a task that takes its time first.
    fn work(&self, work: Work) {
        let time = self.dice.lock().unwrap().time(WORK.0, WORK.1);
        self.node.spawn(async move {
            sleep(time).await;
            work();
        });
    }
}

impl Executor for OneThread {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        drop(self.node.spawn(task));
    }

    fn spawn_service(&self, task: BoxFuture<'static, ()>) {
        drop(self.node.spawn(task));
    }

    fn run_blocking(&self, work: Work) {
        self.work(work);
    }

    fn run_query(&self, work: Work) {
        self.work(work);
    }

    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
        self.node.end();
    }
}

struct SimulatedClock {
    begun: Instant,
    wall_ms: u64,
    dice: Mutex<Dice>,
}

impl Clock for SimulatedClock {
    fn monotonic(&self) -> Duration {
        self.begun.elapsed()
    }

    fn wall_ms(&self) -> u64 {
        self.wall_ms + u64::try_from(self.monotonic().as_millis()).unwrap()
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        let mut dice = self.dice.lock().unwrap();
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&dice.draw().to_be_bytes()[..chunk.len()]);
        }
    }
}

/// A data directory whose disk is always as full as it was.
struct Roomy(Box<dyn Home>);

impl Home for Roomy {
    fn save(&self, identity: &Identity) -> anyhow::Result<()> {
        self.0.save(identity)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn space(&self) -> Option<Space> {
        Some(Space { free: 1 << 40, whole: 1 << 41 })
    }
}
