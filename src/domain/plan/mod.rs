//! What the leader should do next. It decides nothing that must be agreed on: it reads the state, and each
//! task ends in a command that `apply` judges by the state it finds then.
//!
//! What is owed is derived, not listed: the counters of the servers say how many records name a server that is down,
//! drains, or came back in a new epoch, and a scan of that server's `placements` finds them. So the death of a server
//! with a million files writes one row, a leader that falls takes no list with it, and nothing can be taken off a list
//! too early. Only what no counter tells stands in `repairs` and `sweeps`.
//!
//! What ends by itself (locks, sessions, remembered operations) is `endings`' alone: it waits for nothing here.
//!
//! The job goes in rounds. A round passes once through everything, in windows of bounded size, fewest counted copies
//! first within a window. What cannot be mended at the moment is passed by, and met again in the next round.

mod balance;
mod endings;
mod mend;
mod scene;

use std::collections::{BTreeMap, BTreeSet};

pub use balance::unable;
pub use endings::{Endings, endings};
pub use mend::{Mend, mend};
pub use scene::Scene;

use super::query;
use super::rows::{Extent, Server, Sweep, SweepKind};
use super::tables::{self, keys};
use super::terms::MAX_COPIES_LISTED;
use super::{BlobId, ClusterTime, Command, CopyAt, ExtentAt, Fault, ReadStore, ServerId, command};

/// How many rows one `Reap` works off: as many as a command may touch, some hundred and forty files with two copies. With a
/// quarter of that the way through the log took most of the time.
const BATCH_ROWS: u32 = 1000;
/// How many rows one `HandOver` works off. Eyeballed, too: seldom, and a user waits for it.
const HANDED_OVER: u32 = 800;
/// The most rows of one source that one call looks at. What comes of them fits into one command.
const WINDOW: usize = MAX_COPIES_LISTED;
/// A walk, most of whose files need nothing, looks at so many pages of that.
const WALK_PAGES: usize = 16;

/// What only the leader knows: it is in no table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Cluster time by the leader's own monotonic clock: it has watched it go by itself.
    pub now: ClusterTime,
    /// Servers that do not answer the leader. Nothing is planned onto them.
    pub suspect: BTreeSet<ServerId>,
    /// Servers whose room is wanted: of what is listed for deletion there, they lose at once what was listed before
    /// `unread_before`.
    pub pressed: BTreeSet<ServerId>,
    /// No read that runs needs what was listed before.
    pub unread_before: ClusterTime,
    /// How far this round has come.
    pub round: RoundPosition,
    /// How many more files can be taken on.
    pub room: usize,
    /// Walks of which a window is in the works: its files have to be done before the walk goes on.
    pub walking: BTreeSet<SweepKind>,
}

/// How far a round has come. A fresh one begins at the front of everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoundPosition {
    repairs: ScanPosition<Vec<u8>>,
    servers: BTreeMap<ServerId, ScanPosition<BlobId>>,
    garbage: ScanPosition<Vec<u8>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum ScanPosition<K> {
    #[default]
    Start,
    /// Everything up to this key was looked at.
    After(K),
    End,
}

impl<K> ScanPosition<K> {
    const fn after(&self) -> Option<Option<&K>> {
        match self {
            Self::Start => Some(None),
            Self::After(key) => Some(Some(key)),
            Self::End => None,
        }
    }

    /// Where the scan stands after a page of at most `limit` rows that ended with `last`.
    fn passed(count: usize, limit: usize, last: Option<K>) -> Self {
        match last {
            Some(last) if count == limit => Self::After(last),
            _ => Self::End,
        }
    }
}

/// An extent that lacks something, or has something too much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwedExtent {
    pub at: ExtentAt,
    /// How many of its copies count.
    pub counted: usize,
    /// Where it is to be, the primary first; nothing where it is to stay as near as possible to where it is.
    pub goal: Option<Vec<ServerId>>,
}

/// A part of a walk over all files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    pub kind: SweepKind,
    pub since: ClusterTime,
    pub through: Option<ExtentAt>,
    /// It is the last one.
    pub done: bool,
    /// Some file in it cannot be given what it should have.
    pub short: bool,
    pub extents: Vec<OwedExtent>,
    /// Those that nothing can be done for at the moment, though there are servers enough, or that are on the list of
    /// repairs and need none any more: `AdvanceSweep` sees to it that the list is right.
    pub owed: Vec<ExtentAt>,
}

/// One piece of work, safe to do twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// Proposing this command is all there is to do.
    Propose(Command),
    Mend(OwedExtent),
    /// The files of the window, and then `AdvanceSweep`.
    Walk(Window),
    /// Delete the bytes of these copies, and then `Deleted`.
    Erase(Vec<CopyAt>),
}

/// What is due now, the most urgent first, and how far the round has come with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub tasks: Vec<Task>,
    pub round: RoundPosition,
    /// The round has more to look at.
    pub more: bool,
}

/// # Errors
/// When the storage fails.
pub fn plan(store: &dyn ReadStore, observed: &Observed) -> Result<Plan, Fault> {
    let mut planner = Planner {
        store,
        observed,
        scene: Scene::read(store, observed.suspect.clone())?,
        room: observed.room,
        planned: BTreeSet::new(),
        plan: Plan { round: observed.round.clone(), ..Plan::default() },
    };
    planner.housekeeping()?;
    planner.repairs()?;
    planner.unsound_servers()?;
    planner.walks()?;
    planner.garbage()?;
    let RoundPosition { repairs, servers, garbage } = &planner.plan.round;
    let open = *repairs != ScanPosition::End
        || *garbage != ScanPosition::End
        || servers.values().any(|mark| *mark != ScanPosition::End);
    planner.plan.more = open;
    Ok(planner.plan)
}

/// What holds up repairs, drains and levelling out, in words with what to do; nothing where enough file servers take files.
/// `refusals` are the servers whose disks take no writes, with the reason, which no table has.
///
/// # Errors
/// When the storage fails.
pub fn hindrance(store: &dyn ReadStore, refusals: &BTreeMap<ServerId, String>) -> Result<Option<String>, Fault> {
    Ok(balance::hindrance(&Scene::read(store, BTreeSet::new())?, refusals))
}

struct Planner<'a> {
    store: &'a dyn ReadStore,
    observed: &'a Observed,
    scene: Scene,
    room: usize,
    /// What this call has planned already.
    planned: BTreeSet<ExtentAt>,
    plan: Plan,
}

impl Planner<'_> {
    fn housekeeping(&mut self) -> Result<(), Fault> {
        let pressed = !self.observed.pressed.is_empty();
        let unread_before = if pressed { self.observed.unread_before } else { ClusterTime(0) };
        let pending = query::trash_pending(self.store, self.observed.now, unread_before)?;
        if pending && !query::is_restoring(self.store)? {
            self.plan.tasks.push(Task::Propose(Command::Reap(command::Reap { limit: BATCH_ROWS, unread_before })));
        }
        if !tables::removals(self.store)?.is_empty() {
            self.plan.tasks.push(Task::Propose(Command::HandOver(command::HandOver { limit: HANDED_OVER })));
        }
        for server in self.scene.servers.values().filter(|server| server.recount.is_some()) {
            let server_id = server.server_id;
            self.plan.tasks.push(Task::Propose(Command::Recount(command::Recount { server_id })));
        }
        if self.balance_is_due()? {
            self.plan.tasks.push(Task::Propose(Command::StartSweep(command::StartSweep { kind: SweepKind::Balance })));
        }
        Ok(())
    }

    /// What stands in `repairs`, by its keys the fewest copies first.
    fn repairs(&mut self) -> Result<(), Fault> {
        let Some(after) = self.plan.round.repairs.after() else { return Ok(()) };
        let from = after.map(|key| keys::after(key)).unwrap_or_default();
        let limit = WINDOW.min(self.room);
        if limit == 0 {
            return Ok(());
        }
        let rows = tables::repairs_from(self.store, &from, limit)?;
        for (_, at, _) in &rows {
            self.consider(*at)?;
        }
        self.plan.round.repairs =
            ScanPosition::passed(rows.len(), limit, rows.into_iter().next_back().map(|(key, ..)| key));
        Ok(())
    }

    /// The records that name servers that are down, that drain, or that came back in a new epoch.
    fn unsound_servers(&mut self) -> Result<(), Fault> {
        let unsound: Vec<ServerId> =
            self.scene.servers.values().filter(|server| server.is_unsound()).map(|server| server.server_id).collect();
        self.plan.round.servers.retain(|id, _| unsound.contains(id));
        let mut found = Vec::new();
        for (position, id) in unsound.iter().enumerate() {
            let mark = self.plan.round.servers.entry(*id).or_default();
            let Some(after) = mark.after() else { continue };
            let after = after.copied();
            // Each gets its share, so that a server with a million files does not keep the others waiting.
            let limit = WINDOW.min(self.room / (unsound.len() - position));
            if limit == 0 {
                continue;
            }
            let rows = tables::placements_after(self.store, *id, after, limit)?;
            for (_, placement) in &rows {
                let at = placement.at;
                if self.planned.contains(&at) {
                    continue;
                }
                let Some(extent) = tables::live_extent(self.store, at)? else { continue };
                if let Some(mend) = mend(self.store, &self.scene, at, &extent, None)? {
                    found.push(OwedExtent { at, counted: mend.counted, goal: None });
                    self.planned.insert(at);
                    self.room -= 1;
                }
            }
            let last = rows.last().map(|(blob, _)| *blob);
            self.plan.round.servers.insert(*id, ScanPosition::passed(rows.len(), limit, last));
        }
        found.sort_by_key(|owed| owed.counted);
        self.plan.tasks.extend(found.into_iter().map(Task::Mend));
        Ok(())
    }

    fn consider(&mut self, at: ExtentAt) -> Result<(), Fault> {
        let Some(extent) = tables::live_extent(self.store, at)? else { return Ok(()) };
        if let Some(mend) = mend(self.store, &self.scene, at, &extent, None)? {
            self.plan.tasks.push(Task::Mend(OwedExtent { at, counted: mend.counted, goal: None }));
            self.planned.insert(at);
            self.room -= 1;
        }
        Ok(())
    }

    fn walks(&mut self) -> Result<(), Fault> {
        for kind in SweepKind::ALL {
            let running = tables::sweep(self.store, kind)?.filter(|sweep| !sweep.resting);
            let Some(sweep) = running else { continue };
            // Files are not moved for the sake of balance while others are in danger.
            let waits = kind == SweepKind::Balance && self.scene.servers.values().any(Server::is_unsound);
            if !waits && self.room > 0 && !self.observed.walking.contains(&kind) {
                self.walk(kind, &sweep)?;
            }
        }
        Ok(())
    }

    fn walk(&mut self, kind: SweepKind, sweep: &Sweep) -> Result<(), Fault> {
        let (since, through) = (sweep.since, sweep.through);
        let (extents, owed) = (Vec::new(), Vec::new());
        let mut window = Window { kind, since, through, done: false, short: false, extents, owed };
        let mut loads = balance::Loads::new(&self.scene);
        for _ in 0..WALK_PAGES {
            // All that is found may have to be owed, in one command.
            let found = window.extents.len() + window.owed.len();
            let limit = (WINDOW - found).min(self.room - window.extents.len());
            if window.done || limit == 0 {
                break;
            }
            let (extents, done) = tables::extents_after(self.store, window.through, limit)?;
            window.done = done;
            window.through = extents.last().map(|(at, _)| *at).or(window.through);
            for (at, extent) in &extents {
                self.pass(*at, extent, &mut window, &mut loads)?;
            }
        }
        if kind == SweepKind::Balance && window.done {
            // Another walk would come to no more.
            window.short |= loads.are_uneven(tables::policy(self.store)?.rebalance_percent);
        }
        window.extents.sort_by_key(|owed| owed.counted);
        self.room = self.room.saturating_sub(window.extents.len());
        self.plan.tasks.push(Task::Walk(window));
        Ok(())
    }

    /// What a walk finds at one extent.
    fn pass(
        &self,
        at: ExtentAt,
        extent: &Extent,
        window: &mut Window,
        loads: &mut balance::Loads,
    ) -> Result<(), Fault> {
        let copying = window.kind == SweepKind::Copies;
        let goal = if copying { None } else { loads.goal(&self.scene, extent) };
        if !copying && goal.is_none() {
            return Ok(());
        }
        match mend(self.store, &self.scene, at, extent, goal.as_deref())? {
            Some(mend) => {
                window.short |= copying && mend.falls_short();
                window.extents.push(OwedExtent { at, counted: mend.counted, goal });
            }
            None if !copying => window.short = true,
            None => {
                let lacks = self.scene.fit(extent) < self.scene.copies;
                // Where some server could take a copy, what hinders it will pass; and no server's coming would tell of it.
                let passing = lacks && self.scene.has_place(extent);
                window.short |= lacks;
                if passing || extent.owed.is_some() {
                    window.owed.push(at);
                }
            }
        }
        Ok(())
    }

    fn balance_is_due(&self) -> Result<bool, Fault> {
        let known = tables::sweep(self.store, SweepKind::Balance)?.is_some();
        let copying = tables::sweep(self.store, SweepKind::Copies)?.is_some_and(|sweep| !sweep.resting);
        let calm = !known && !copying && !self.scene.servers.values().any(Server::is_unsound);
        Ok(calm && balance::is_uneven(&self.scene, tables::policy(self.store)?.rebalance_percent))
    }

    /// Copies that have been listed for long enough. While a hold stands nothing is erased. An erasure that was planned
    /// before hits what was garbage before, and so nothing that the holder's index names.
    fn garbage(&mut self) -> Result<(), Fault> {
        let Some(after) = self.plan.round.garbage.after() else { return Ok(()) };
        if tables::holds(self.store, 1)? > 0 {
            self.plan.round.garbage = ScanPosition::End;
            return Ok(());
        }
        let from = after.map(|key| keys::after(key)).unwrap_or_default();
        let linger_ms = tables::policy(self.store)?.garbage_linger_ms;
        let rows = tables::garbage_from(self.store, &from, WINDOW)?;
        let (mut erase, mut gone) = (Vec::new(), Vec::new());
        for (_, copy, row) in &rows {
            let is_over = row.since.plus_ms(linger_ms) <= self.observed.now;
            let gives_way = row.since < self.observed.unread_before && self.observed.pressed.contains(&copy.server_id);
            if row.deleted_at.is_some() || !(is_over || gives_way) {
                continue;
            }
            match self.scene.servers.get(&copy.server_id) {
                Some(server) if server.is_serving() && !self.scene.suspect.contains(&server.server_id) => {
                    erase.push(*copy);
                }
                // Its bytes wait for its return.
                Some(_) => {}
                // Its bytes went with it.
                None => gone.push(*copy),
            }
        }
        self.plan.round.garbage =
            ScanPosition::passed(rows.len(), WINDOW, rows.into_iter().next_back().map(|(key, ..)| key));
        for copies in gone.chunks(MAX_COPIES_LISTED) {
            self.plan.tasks.push(Task::Propose(Command::Deleted(command::Deleted { copies: copies.to_vec() })));
        }
        if !erase.is_empty() {
            self.plan.tasks.push(Task::Erase(erase));
        }
        Ok(())
    }
}
