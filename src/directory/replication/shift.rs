//! The repair scheduler of one leadership term: a queue, workers, and how far the round has come.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::commit::Committer;
use super::erase::erase;
use super::limits::Limits;
use super::walk::Walks;
use super::worker::{Mended, Worker};
use crate::consensus::QueryKind;
use crate::directory::node::App;
use crate::domain::plan::{Observed, OwedExtent, Plan, RoundPosition, Task, plan};
use crate::domain::query::{self, Signal};
use crate::domain::rows::{ServerState, SweepKind};
use crate::domain::{ClusterTime, Command, CopyAt, ExtentAt, Outcome, Proposal, ServerId};

/// Files that are looked after at once. Most wait for a stream at their servers.
const WORKERS: usize = 32;
/// Files that wait for a worker.
const QUEUE: usize = 512;
/// How many batches of one command are proposed before the loop turns to other things.
const BATCHES_AT_ONCE: usize = 8;
/// The same of what works off what was deleted, beside the loop: so many, and the rest with the next look. One is in flight at
/// a time, and users' commands come in between.
const REAPS_AT_ONCE: usize = 64;
/// How many windows in a row are looked at where nothing in them can be mended.
const PLANS_AT_ONCE: usize = 16;
/// Rounds that events call for are this far apart at least.
const EARLIEST: Duration = Duration::from_millis(500);
/// Rounds while the room of some file server is wanted are this far apart at most.
const WHILE_PRESSED: Duration = Duration::from_secs(4);
/// How many windows of garbage wait for the one that is being deleted; others are met again in the next round.
const ERASURES: usize = 40;
/// How often the state is looked at for such events.
const LOOK: Duration = Duration::from_millis(250);

/// What ended.
enum Ended {
    Extent(ExtentAt, Mended),
    Erasure(anyhow::Result<()>),
    Reaping(anyhow::Result<()>),
    Committer,
}

/// The leader's work. Dropping it stops everything that it has under way.
pub(crate) struct Shift {
    node: App,
    worker: Worker,
    tasks: JoinSet<Ended>,
    queue: VecDeque<OwedExtent>,
    /// Queued, or in a worker's hands.
    known: BTreeSet<ExtentAt>,
    walks: Walks,
    round: RoundPosition,
    began: Option<Instant>,
    /// The round has been through everything, and all of it is done.
    over: bool,
    /// The round has been through everything; some of it may still be in the works.
    passed: bool,
    /// A part of the job has failed in a way that nobody foresaw.
    broken: bool,
    erasing: bool,
    reaping: bool,
    to_erase: VecDeque<Vec<CopyAt>>,
    /// Servers whose room is wanted, and what no running read needs. As of the beginning of the round.
    pressed: BTreeSet<ServerId>,
    unread_before: ClusterTime,
    signal: Signal,
    /// Something has happened that the running round may have passed by.
    again: bool,
    looked: Option<Instant>,
    /// Servers that are down and have files, with the moment from which that is known here.
    recovering: BTreeMap<ServerId, Instant>,
}

impl Shift {
    pub(crate) fn new(node: App) -> Self {
        let settings = node.settings.replication;
        let (committer, committing) = Committer::start(node.clone());
        let limits = Limits::new(settings.streams, settings.bytes_per_second);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            committing.await;
            Ended::Committer
        });
        Self {
            worker: Worker { node: node.clone(), limits, committer },
            node,
            tasks,
            queue: VecDeque::new(),
            known: BTreeSet::new(),
            walks: Walks::default(),
            round: RoundPosition::default(),
            began: None,
            over: true,
            passed: true,
            broken: false,
            erasing: false,
            reaping: false,
            to_erase: VecDeque::new(),
            pressed: BTreeSet::new(),
            unread_before: ClusterTime(0),
            signal: Signal::default(),
            again: false,
            looked: None,
            recovering: BTreeMap::new(),
        }
    }

    /// Returns when a piece of work has ended.
    pub(crate) async fn ended(&mut self) {
        match self.tasks.join_next().await {
            Some(Ok(ended)) => self.take_in(ended),
            Some(Err(error)) => self.broke(&error),
            None => {}
        }
    }

    /// What a failed task had in hand is not known: the whole shift is begun anew.
    fn broke(&mut self, error: &tokio::task::JoinError) {
        tracing::error!(%error, "a part of the replication job failed: it begins anew");
        self.broken = true;
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }

    fn take_in(&mut self, ended: Ended) {
        match ended {
            Ended::Extent(file, mended) => {
                self.known.remove(&file);
                self.walks.extent_done(file, mended == Mended::Done);
            }
            Ended::Erasure(outcome) => {
                self.erasing = false;
                if let Err(error) = outcome {
                    tracing::warn!(%error, "garbage could not be deleted and will be tried again");
                }
            }
            Ended::Reaping(outcome) => {
                self.reaping = false;
                if let Err(error) = outcome {
                    tracing::warn!(%error, "what was deleted could not be worked off and will be tried again");
                }
            }
            Ended::Committer => {}
        }
    }

    /// Looks at what is due and begins it.
    pub(crate) async fn step(&mut self) -> anyhow::Result<()> {
        while let Some(ended) = self.tasks.try_join_next() {
            match ended {
                Ok(ended) => self.take_in(ended),
                Err(error) => self.broke(&error),
            }
        }
        for command in self.walks.finished() {
            self.propose_all(command).await?;
        }
        let mut due = self.looked.is_none_or(|at| at.elapsed() >= LOOK);
        if due {
            self.looked = Some(Instant::now());
            self.look().await?;
        }
        if self.begin_round_if_due() {
            self.unread_before = if self.pressed.is_empty() { ClusterTime(0) } else { self.node.unread_before().await };
        }
        // The trash is looked at with each tick; files only while there is room for them.
        for _ in 0..PLANS_AT_ONCE {
            let hungry = !self.over && self.queue.len() < QUEUE / 2;
            if !(std::mem::take(&mut due) || hungry) || !self.plan_ahead().await? {
                break;
            }
        }
        self.assign();
        self.begin_erasure();
        self.node.progress.busy(self.known.len() - self.queue.len().min(self.known.len()), self.queue.len());
        Ok(())
    }

    /// Notices what calls for a round before its time.
    async fn look(&mut self) -> anyhow::Result<()> {
        let signal = self.node.handle().read_local_as(QueryKind::Job, |store| query::signal(store)).await?;
        self.note_recoveries(&signal);
        self.note_pressure(&signal);
        if signal != self.signal {
            self.signal = signal;
            self.again = true;
        }
        Ok(())
    }

    /// Notes when a dead server's last file is fully replicated again.
    fn note_recoveries(&mut self, signal: &Signal) {
        for server in &signal.servers {
            let id = server.server_id;
            if server.state == ServerState::Down && server.owes {
                self.recovering.entry(id).or_insert_with(Instant::now);
            } else if let Some(since) = self.recovering.remove(&id) {
                let seconds = since.elapsed().as_secs_f64();
                if server.state == ServerState::Down {
                    self.node.progress.repair_seconds.observe(seconds);
                    tracing::info!(server_id = %id, seconds, "everything that the dead file server held has its copies elsewhere");
                }
            }
        }
    }

    /// A full server wants room, and all do while a file was refused for want of it. What a disk refuses to delete is
    /// no room.
    fn note_pressure(&mut self, signal: &Signal) {
        let wanted = self.node.servers.is_room_wanted();
        let serving = signal.servers.iter().filter(|server| server.state != ServerState::Down);
        let pressed = serving.filter(|server| wanted || server.full).map(|server| server.server_id);
        self.pressed = pressed.filter(|id| self.node.servers.refusal(*id).is_none()).collect();
    }

    /// Whether one was begun.
    fn begin_round_if_due(&mut self) -> bool {
        let elapsed = self.began.map(|at| at.elapsed());
        let mut interval = self.node.settings.replication.interval;
        if !self.pressed.is_empty() {
            interval = interval.min(WHILE_PRESSED);
        }
        // Files that take long, and walks, do not hold up the next look at everything else.
        let due = elapsed.is_none_or(|elapsed| elapsed >= interval && (self.over || self.passed));
        let early = self.again && elapsed.is_none_or(|elapsed| elapsed >= EARLIEST);
        if !due && !early {
            return false;
        }
        if let Some(began) = self.began.filter(|_| !self.over) {
            tracing::debug!(ms = began.elapsed().as_millis(), "a round begins anew: something has changed");
        }
        self.round = RoundPosition::default();
        self.began = Some(Instant::now());
        self.over = false;
        self.passed = false;
        self.again = false;
        self.to_erase.clear();
        self.node.progress.round_began(self.node.clock.wall_ms());
        true
    }

    /// Whether the next call may find more: this one found nothing in its windows, and there are others.
    async fn plan_ahead(&mut self) -> anyhow::Result<bool> {
        let observed = Observed {
            now: self.node.handle().cluster_time(),
            round: self.round.clone(),
            room: if self.over { 0 } else { QUEUE - self.queue.len().min(QUEUE) },
            walking: self.walks.kinds(),
            pressed: self.pressed.clone(),
            unread_before: self.unread_before,
            ..Observed::default()
        };
        let node = self.node.clone();
        let reading = self.node.handle().read_local_as(QueryKind::Job, move |store| {
            let suspect = node.suspects(&query::servers(store)?);
            plan(store, &Observed { suspect, ..observed })
        });
        let Plan { tasks, round, more } = reading.await?;
        let idle = tasks.is_empty();
        for task in tasks {
            self.take_on(task).await?;
        }
        if self.over {
            return Ok(false);
        }
        self.round = round;
        self.passed = !more;
        if !more && idle && self.known.is_empty() && self.walks.kinds().is_empty() {
            self.over = true;
            if let Some(began) = self.began {
                self.node.progress.round_seconds.observe(began.elapsed().as_secs_f64());
            }
        }
        Ok(more && idle)
    }

    async fn take_on(&mut self, task: Task) -> anyhow::Result<()> {
        match task {
            Task::Propose(command @ Command::Reap(_)) => self.begin_reaping(command),
            Task::Propose(command) => self.propose_all(command).await?,
            Task::Mend(candidate) => self.enqueue(candidate),
            Task::Walk(mut window) => {
                // A file that is looked after already needs no second look, and the walk does not wait for it: it is owed what
                // it lacks when the walk has passed.
                let (known, extents) =
                    window.extents.into_iter().partition(|candidate| self.known.contains(&candidate.at));
                let known: Vec<OwedExtent> = known;
                window.extents = extents;
                if window.kind == SweepKind::Copies {
                    window.owed.extend(known.iter().map(|candidate| candidate.at));
                }
                let extents = window.extents.clone();
                self.walks.open(window);
                extents.into_iter().for_each(|candidate| self.enqueue(candidate));
            }
            Task::Erase(copies) if self.to_erase.len() < ERASURES => self.to_erase.push_back(copies),
            // The next round lists them again.
            Task::Erase(_) => {}
        }
        Ok(())
    }

    /// One after the other: each deletes as many copies at once as file servers bear beside their readers.
    fn begin_erasure(&mut self) {
        if !self.erasing
            && let Some(copies) = self.to_erase.pop_front()
        {
            self.erasing = true;
            let node = self.node.clone();
            self.tasks.spawn(async move { Ended::Erasure(erase(node, copies).await) });
        }
    }

    /// Beside everything else: repairs must not wait for a million files that were deleted.
    fn begin_reaping(&mut self, command: Command) {
        if !std::mem::replace(&mut self.reaping, true) {
            let node = self.node.clone();
            self.tasks.spawn(async move { Ended::Reaping(propose_batches(&node, command, REAPS_AT_ONCE).await) });
        }
    }

    fn enqueue(&mut self, candidate: OwedExtent) {
        if self.known.insert(candidate.at) {
            self.queue.push_back(candidate);
        }
    }

    fn assign(&mut self) {
        while self.known.len() - self.queue.len() < WORKERS
            && let Some(candidate) = self.queue.pop_front()
        {
            let (worker, file) = (self.worker.clone(), candidate.at);
            self.tasks.spawn(async move { Ended::Extent(file, worker.run(candidate).await) });
        }
    }

    /// In batches that each leave the log free in between; what is left after some is planned again.
    async fn propose_all(&self, command: Command) -> anyhow::Result<()> {
        propose_batches(&self.node, command, BATCHES_AT_ONCE).await
    }
}

async fn propose_batches(node: &App, command: Command, most: usize) -> anyhow::Result<()> {
    for _ in 0..most {
        let proposal = Proposal { operation: None, command: command.clone() };
        match node.handle().propose(proposal).await? {
            Ok(Outcome::Progress { more: true, rows }) if rows > 0 => {}
            Ok(_) => return Ok(()),
            // Somebody else was faster: the next look will see.
            Err(rejection) if !rejection.kind.is_final() => {
                tracing::debug!(?command, reason = rejection.detail, "a command of the leader's own came too late");
                return Ok(());
            }
            Err(rejection) => anyhow::bail!("{command:?} was refused: {}", rejection.detail),
        }
    }
    Ok(())
}
