//! The leader's job on simulated machines, as `directory::replication` does it; each step may go wrong.

use std::collections::BTreeSet;

use ringmaster::domain::answer::Outcome;
use ringmaster::domain::plan::{Mend, Observed, OwedExtent, Plan, Scene, Task, Window, endings, mend, plan};
use ringmaster::domain::rows::SweepKind;
use ringmaster::domain::terms::{MAX_COPIES_LISTED, NewHome, Receipt};
use ringmaster::domain::{
    BlobId, ClusterTime, Command, CopyAt, CopyId, ExtentAt, MemoryStore, Proposal, ServerId, Stamped, WallTime, apply,
    command, query,
};

use crate::machines::Dice;
use crate::sim::{GRACE_MS, Sim};

/// What becomes of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Good,
    /// It is not done.
    Lost,
    /// It is done some time, or never; whoever waits for it learns nothing.
    Late,
}

fn fate(trouble: u8, dice: &mut Dice) -> Fate {
    match dice.roll(100) {
        roll if roll >= u64::from(trouble) => Fate::Good,
        roll if roll % 2 == 0 => Fate::Lost,
        _ => Fate::Late,
    }
}

impl Sim {
    /// Servers that do not answer. The leader may not have noticed.
    fn suspects(&self, dice: &mut Dice) -> BTreeSet<ServerId> {
        let silent = self.servers().into_values().filter(|server| server.is_serving());
        silent.map(|server| server.server_id).filter(|id| self.machine(*id).is_none() && dice.roll(2) == 0).collect()
    }

    pub(crate) fn work(&mut self, pieces: usize, trouble: u8, dice: &mut Dice) {
        for _ in 0..pieces {
            if self.tasks.is_empty() {
                let room = if dice.roll(3) == 0 { 1 + dice.roll(4) as usize } else { 512 };
                if !self.plan(room, dice) {
                    return;
                }
            }
            if let Some(task) = self.tasks.pop_front() {
                self.carry_out(task, trouble, dice);
            }
        }
    }

    /// Takes on what is due. Whether the round has come to its end with that; the next one starts at the front.
    pub(crate) fn plan(&mut self, room: usize, dice: &mut Dice) -> bool {
        let servers = query::servers(&self.store).expect("no fault in memory");
        let full = servers.iter().filter(|server| server.full);
        let observed = Observed {
            now: ClusterTime(self.now),
            suspect: self.suspects(dice),
            // Nobody reads here, so full servers lose what they can at once.
            pressed: full.map(|server| server.server_id).collect(),
            unread_before: ClusterTime(self.now),
            round: self.round.clone(),
            room,
            walking: self.walking.clone(),
        };
        let Plan { tasks, round, more } = plan(&self.store, &observed).expect("no fault in memory");
        self.assert_planned(&tasks, room);
        for task in &tasks {
            if let Task::Walk(window) = task {
                self.walking.insert(window.kind);
            }
        }
        if let Some(expire) = endings(&self.store, observed.now).expect("no fault in memory").due {
            self.tasks.push_back(Task::Propose(Command::Expire(expire)));
        }
        let idle = tasks.is_empty() && self.tasks.is_empty() && !more;
        self.tasks.extend(tasks);
        self.round = if idle { Default::default() } else { round };
        !idle
    }

    /// No file twice, no more than there is room for, nothing listed that is longer than a command takes.
    fn assert_planned(&self, tasks: &[Task], room: usize) {
        let mut files = BTreeSet::new();
        for task in tasks {
            match task {
                Task::Mend(candidate) => assert!(files.insert(candidate.at), "{candidate:?} is planned twice"),
                Task::Walk(window) => {
                    assert!(window.extents.len() + window.owed.len() <= MAX_COPIES_LISTED);
                    files.extend(window.extents.iter().map(|candidate| candidate.at));
                }
                Task::Erase(copies) => assert!(copies.len() <= MAX_COPIES_LISTED),
                Task::Propose(_) => {}
            }
        }
        assert!(files.len() <= room, "{} files for a room of {room}", files.len());
    }

    fn carry_out(&mut self, task: Task, trouble: u8, dice: &mut Dice) {
        match task {
            Task::Propose(command) => self.send(command, trouble, dice),
            Task::Mend(candidate) => _ = self.mend(&candidate, trouble, dice),
            Task::Walk(window) => self.walk(window, trouble, dice),
            Task::Erase(copies) => {
                let mut gone = Vec::new();
                for copy in copies {
                    let Some(machine) = self.machine(copy.server_id) else { continue };
                    match fate(trouble, dice) {
                        Fate::Good => {
                            self.erase(machine, copy);
                            gone.push(copy);
                        }
                        // It is asked once more, and the first request arrives in the end.
                        Fate::Late => self.deletions.push((machine, copy)),
                        Fate::Lost => {}
                    }
                }
                if !gone.is_empty() {
                    self.send(Command::Deleted(command::Deleted { copies: gone }), trouble, dice);
                }
            }
        }
    }

    fn send(&mut self, command: Command, trouble: u8, dice: &mut Dice) {
        match fate(trouble, dice) {
            Fate::Good => _ = self.propose(command),
            Fate::Lost => {}
            Fate::Late => self.commands.push(command),
        }
    }

    fn walk(&mut self, window: Window, trouble: u8, dice: &mut Dice) {
        self.walking.remove(&window.kind);
        let mut owed = window.owed;
        for candidate in &window.extents {
            if !self.mend(candidate, trouble, dice) {
                owed.push(candidate.at);
            }
        }
        let Window { kind, since, through, done, mut short, .. } = window;
        if kind == SweepKind::Balance {
            short |= !owed.is_empty();
            owed.clear();
        }
        self.send(
            Command::AdvanceSweep(command::AdvanceSweep { kind, since, through, done, short, owed }),
            trouble,
            dice,
        );
    }

    /// Whether the file needs no more.
    fn mend(&mut self, candidate: &OwedExtent, trouble: u8, dice: &mut Dice) -> bool {
        let scene = Scene::read(&self.store, self.suspects(dice)).expect("no fault in memory");
        let Some(extent) = self.extent(candidate.at) else { return true };
        let mend =
            mend(&self.store, &scene, candidate.at, &extent, candidate.goal.as_deref()).expect("no fault in memory");
        // Nothing can be done for it now, which need not mean that nothing is owed to it.
        let Some(mend) = mend else { return candidate.goal.is_some() };

        let (mut receipts, mut made, mut bad) = (Vec::new(), Vec::new(), Vec::new());
        for (server, _) in &mend.verify {
            let Some(machine) = self.machine(*server).filter(|_| fate(trouble, dice) == Fate::Good) else { continue };
            let good = self.machines[machine].good(mend.blob_id);
            match good.filter(|copy_id| !mend.listed_at(*server).contains(copy_id)) {
                Some(copy_id) => receipts.push(self.receipt(*server, copy_id)),
                None => bad.push(*server),
            }
        }
        let missing = mend.still_missing(&scene, &receipts);
        let complete = self.copy(&scene, &mend, missing, &bad, &mut receipts, &mut made, trouble, dice);
        let Some(change) = mend.settle(&receipts) else {
            self.condemn(made, trouble, dice);
            return false;
        };
        self.assert_safe(&change);
        match fate(trouble, dice) {
            Fate::Good => {
                let answer = self.propose(Command::Rehome(command::Rehome { changes: vec![change] }));
                let done = answer == Ok(Outcome::Rehomed { refused: Vec::new() });
                if !done {
                    self.condemn(made, trouble, dice);
                }
                done && complete
            }
            fate => {
                if fate == Fate::Late {
                    self.commands.push(Command::Rehome(command::Rehome { changes: vec![change] }));
                }
                // Unknown is treated like refused: whichever comes first holds.
                self.condemn(made, trouble, dice);
                false
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the worker's state, spelled out")]
    fn copy(
        &mut self,
        scene: &Scene,
        mend: &Mend,
        mut missing: usize,
        bad: &[ServerId],
        receipts: &mut Vec<Receipt>,
        made: &mut Vec<CopyAt>,
        trouble: u8,
        dice: &mut Dice,
    ) -> bool {
        let in_place = bad.iter().copied().filter(|id| scene.can_replace(*id));
        let targets: Vec<ServerId> = in_place.chain(mend.targets.iter().copied()).collect();
        let verified = receipts.iter().map(|receipt| receipt.server_id);
        let mut sources: Vec<ServerId> = verified.chain(mend.sources.iter().copied()).collect();
        sources.retain(|id| !bad.contains(id));
        for target in targets {
            if missing == 0 {
                break;
            }
            let (Some(machine), Fate::Good) = (self.machine(target), fate(trouble, dice)) else { continue };
            while let Some(source) = sources.iter().copied().find(|id| *id != target) {
                let there = self.machine(source);
                if there.is_some_and(|there| self.machines[there].good(mend.blob_id).is_some()) {
                    let (wished, now) = (CopyId(self.fresh()), self.now);
                    let copy_id = self.machines[machine].take(mend.blob_id, wished, mend.listed_at(target), now);
                    // The answer may be lost after all was done.
                    if fate(trouble, dice) == Fate::Good {
                        receipts.push(self.receipt(target, copy_id));
                        made.push(CopyAt { server_id: target, blob_id: mend.blob_id, copy_id });
                        missing -= 1;
                    }
                    break;
                }
                sources.retain(|id| *id != source);
                if let (Some(_), Some(copy_id)) = (there, mend.copy_at(source)) {
                    let copies = vec![CopyAt { server_id: source, blob_id: mend.blob_id, copy_id }];
                    self.send(Command::Report(command::Report { copies }), trouble, dice);
                }
            }
        }
        missing == 0
    }

    fn receipt(&self, server_id: ServerId, copy_id: CopyId) -> Receipt {
        let epoch = self.servers()[&server_id].epoch;
        Receipt { server_id, epoch, copy_id, received_at: ClusterTime(self.now) }
    }

    fn condemn(&mut self, copies: Vec<CopyAt>, trouble: u8, dice: &mut Dice) {
        if !copies.is_empty() {
            self.send(Command::Condemn(command::Condemn { copies }), trouble, dice);
        }
    }

    /// On the state that it was made for, a change leaves no fewer copies than there were.
    fn assert_safe(&self, change: &NewHome) {
        let count = |store: &MemoryStore, at: ExtentAt| {
            let extent = ringmaster::domain::query::extent(store, at).expect("no fault in memory");
            let replicas = extent.expect("it is there").replicas;
            let server = |id| ringmaster::domain::query::server(store, id).expect("no fault").expect("it is known");
            replicas.iter().filter(|replica| server(replica.server_id).counts(replica)).count()
        };
        let mut after = self.store.clone();
        let proposal =
            Proposal { operation: None, command: Command::Rehome(command::Rehome { changes: vec![change.clone()] }) };
        let stamped = Stamped { at: ClusterTime(self.now), wall: WallTime(0), proposal };
        apply(&mut after, 1, &stamped).expect("no fault in memory").expect("it is within bounds");
        let (old, new) = (count(&self.store, change.at), count(&after, change.at));
        assert!(new >= old.min(self.policy().copies as usize), "{change:?} goes from {old} to {new}");
    }

    /// What the directory makes of a server's inventory. Of a blob that a record names there under another copy, that
    /// record's copy cannot be there, and the one that is may be all there is: it is not condemned.
    pub(crate) fn inventory(&self, machine: usize, scrub: bool) -> Vec<Command> {
        let Some(server) = self.server(machine) else { return Vec::new() };
        let (server_id, host) = (server.server_id, &self.machines[machine]);
        if !host.answers(server_id, server.epoch) || !server.is_serving() {
            return Vec::new();
        }
        let at = |blob_id: BlobId, copy_id: CopyId| CopyAt { server_id, blob_id, copy_id };
        let (mut unnamed, mut bad, mut named) = (Vec::new(), Vec::new(), BTreeSet::new());
        for (_, content) in self.named() {
            let Some(replica) = content.replicas.iter().find(|replica| replica.server_id == server_id) else {
                continue;
            };
            named.insert(content.blob_id);
            let stored = host.disk.blobs.get(&content.blob_id);
            let whole = stored.is_some_and(|stored| stored.copy_id == replica.copy_id && (stored.good || !scrub));
            if server.counts(replica) && !whole {
                bad.push(at(content.blob_id, replica.copy_id));
            }
        }
        for (blob, stored) in &host.disk.blobs {
            if !named.contains(blob) && stored.since + GRACE_MS <= self.now {
                unnamed.push(at(*blob, stored.copy_id));
            }
        }
        let mut commands = Vec::new();
        if !unnamed.is_empty() {
            commands.push(Command::Condemn(command::Condemn { copies: unnamed }));
        }
        if !bad.is_empty() {
            commands.push(Command::Report(command::Report { copies: bad }));
        }
        commands
    }
}
