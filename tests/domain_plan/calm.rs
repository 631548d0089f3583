//! What must be true once nothing goes wrong any more.

use std::collections::BTreeSet;

use ringmaster::domain::plan::{Scene, mend};
use ringmaster::domain::rows::{Extent, ServerState, SweepKind};
use ringmaster::domain::{Command, ExtentAt, ReadStore, ServerId, Table, command};

use crate::acts::{Act, Disk};
use crate::machines::Dice;
use crate::sim::Sim;

/// After so many rounds, each a second long, everything has to be done.
const ROUNDS: usize = 60;

impl Sim {
    /// Trouble ends: what is under way arrives, the dead are given up or come back, and the job has its time.
    pub(crate) fn calm(&mut self, dice: &mut Dice) {
        while !self.commands.is_empty() {
            let pick = dice.roll(99) as usize;
            self.act(&Act::Command { pick });
        }
        while !self.deletions.is_empty() {
            let pick = dice.roll(99) as usize;
            self.act(&Act::Deletion { pick });
        }
        for server in self.servers().into_values() {
            let (server_id, epoch) = (server.server_id, server.epoch);
            if server.is_serving() && self.machine(server_id).is_none() {
                self.propose(Command::ServerDown(command::ServerDown { server_id, epoch })).expect("it serves");
            } else if server.full && server.is_serving() {
                self.propose(Command::ServerFull(command::ServerFull { server_id, epoch, full: false }))
                    .expect("it serves");
            }
        }
        self.rounds(dice);
    }

    pub(crate) fn rounds(&mut self, dice: &mut Dice) {
        for _ in 0..ROUNDS {
            self.now += 1000;
            for machine in 0..self.machines.len() {
                for command in self.inventory(machine, true) {
                    self.propose(command).expect("it is within bounds");
                }
            }
            for _ in 0..20 {
                let room = if dice.roll(4) == 0 { 3 } else { 512 };
                let more = self.plan(room, dice);
                let tasks = self.tasks.len();
                self.work(tasks, 0, dice);
                if !more {
                    break;
                }
            }
        }
        self.now += 1000;
    }

    /// Every machine comes back with the disk that it has, however long it has to wait for that.
    pub(crate) fn all_return(&mut self) {
        for machine in 0..self.machines.len() {
            let known = self.server(machine);
            if known.as_ref().is_some_and(|server| self.machine(server.server_id).is_none()) {
                self.now += 10 * 60 * 1000;
                self.start(machine, Disk::Intact);
            }
        }
    }

    pub(crate) fn assert_whole(&self) {
        let scene = Scene::read(&self.store, BTreeSet::new()).expect("no fault in memory");
        let up = scene.servers.values().filter(|server| server.state == ServerState::Up).count();
        for (file, content) in self.extents() {
            let holds = |id: &ServerId| {
                let serves = scene.servers[id].is_serving();
                let machine = self.machine(*id).filter(|_| serves);
                machine.and_then(|machine| self.machines[machine].good(content.blob_id))
            };
            let good = |replica: &&ringmaster::domain::Replica| {
                scene.servers[&replica.server_id].counts(replica) && holds(&replica.server_id) == Some(replica.copy_id)
            };
            let reachable = content.replicas.iter().any(|replica| holds(&replica.server_id).is_some());
            let whole = content.replicas.iter().filter(good).count();
            let counted =
                content.replicas.iter().filter(|replica| scene.servers[&replica.server_id].counts(replica)).count();
            assert_eq!(whole, counted, "{file}: {content:?} counts what is not there");
            let wanted = if up == 0 { 1 } else { scene.copies.min(up) };
            assert!(!reachable || whole >= wanted, "{file} has {whole} of {wanted} copies: {content:#?}");
            let surplus = reachable && up >= scene.copies && content.replicas.len() > scene.copies;
            assert!(!surplus, "{file} names too many copies: {content:?}");
        }
        self.assert_nothing_owed(&scene, up);
        self.assert_no_orphans();
    }

    /// What is still on a list cannot be helped.
    fn assert_nothing_owed(&self, scene: &Scene, up: usize) {
        for (key, _) in self.store.scan(Table::Repairs, &[], None, 1000).expect("no fault in memory") {
            let file = crate::sim::place_in(&key[1..]);
            let content = self.extent(file).expect("a repair is owed to an extent");
            let stuck = mend(&self.store, scene, file, &content, None).expect("no fault in memory");
            // Where no copy is left, there is something to try for ever.
            let dead = !content.replicas.iter().any(|replica| scene.servers[&replica.server_id].counts(replica));
            assert!(stuck.is_none() || dead, "{file} is owed a repair that could be made: {stuck:#?}");
            let damaged = content.replicas.iter().any(|replica| replica.damaged);
            assert!(damaged || content.replicas.len() != scene.copies, "{file} is owed nothing: {content:?}");
        }
        for server in scene.servers.values() {
            let unsound = server.stale > 0 || (server.state != ServerState::Up && server.named() > 0);
            let named = self.extents().into_iter().map(|(_, extent)| extent).filter(|content| {
                let unsound = |replica: &ringmaster::domain::Replica| {
                    replica.server_id == server.server_id
                        && (server.state != ServerState::Up || replica.epoch != server.epoch)
                };
                content.replicas.iter().any(unsound)
            });
            let needed = named.into_iter().all(|content| {
                let counted =
                    content.replicas.iter().filter(|replica| scene.servers[&replica.server_id].counts(replica)).count();
                up < scene.copies || counted == 0
            });
            assert!(!unsound || needed, "server {} could be made sound: {server:?}", server.server_id);
        }
        // A walk for balance waits while files are in danger.
        let waits = |kind: &SweepKind| *kind == SweepKind::Balance && up < scene.copies;
        let running: Vec<_> = self.running().into_iter().filter(|kind| !waits(kind)).collect();
        assert!(running.is_empty() || !self.is_sound(scene), "walks find no end: {running:?}");
    }

    /// What is on the disks of servers that serve is what records name.
    fn assert_no_orphans(&self) {
        for (number, machine) in self.machines.iter().enumerate() {
            let Some(server) = self.server(number) else { continue };
            if !machine.answers(server.server_id, server.epoch) || !server.is_serving() {
                continue;
            }
            for (blob, stored) in &machine.disk.blobs {
                let named = self.named().iter().any(|(_, content)| {
                    let here = |replica: &ringmaster::domain::Replica| {
                        // In the place of one that does not count it may yet be taken.
                        replica.server_id == server.server_id
                            && (replica.copy_id == stored.copy_id || !server.counts(replica))
                    };
                    content.blob_id == *blob && content.replicas.iter().any(here)
                });
                assert!(named, "machine {number} as server {} holds an orphan: {blob} {stored:?}", server.server_id);
            }
        }
    }

    /// After a walk for balance: primaries are level, and backups are at their primaries' successors.
    pub(crate) fn assert_level(&self) {
        let scene = Scene::read(&self.store, BTreeSet::new()).expect("no fault in memory");
        if scene.ring.len() < scene.copies || !self.is_sound(&scene) {
            return;
        }
        let counts: Vec<u64> = scene.ring.iter().map(|id| scene.servers[id].primaries).collect();
        let (least, most) = (counts.iter().min().expect("a server"), counts.iter().max().expect("a server"));
        // A file that no disk has any more stays where it is named, and may be one of many. And nothing is taken from who
        // has no more than an even share: 3, 3, 3 and 0 stay as they are.
        let counts_at = |replica: &ringmaster::domain::Replica| scene.servers[&replica.server_id].counts(replica);
        let lost = |(_, extent): &(ExtentAt, Extent)| !extent.replicas.iter().any(counts_at);
        let share = counts.iter().sum::<u64>().div_ceil(counts.len() as u64);
        let level = most - least <= 2 || *most <= share || self.extents().iter().any(lost);
        assert!(level, "after a walk for balance the primaries are {counts:?}");
        for (file, content) in self.extents() {
            if !content.replicas.iter().all(|replica| scene.servers[&replica.server_id].counts(replica)) {
                continue; // No disk has it any more.
            }
            let at: Vec<ServerId> = content.replicas.iter().map(|replica| replica.server_id).collect();
            let start = scene.ring.iter().position(|id| *id == at[0]).expect("a primary is in the ring");
            let ring = scene.ring.iter().cycle().skip(start).copied();
            assert_eq!(at, ring.take(scene.copies).collect::<Vec<_>>(), "{file} in the ring {:?}", scene.ring);
        }
    }

    fn is_sound(&self, scene: &Scene) -> bool {
        let unsound = |server: &ringmaster::domain::rows::Server| {
            server.stale > 0 || (server.state != ServerState::Up && server.named() > 0)
        };
        !scene.servers.values().any(unsound)
    }

    /// No walk is under way: it ended, or rests.
    pub(crate) fn running(&self) -> Vec<SweepKind> {
        let signal = ringmaster::domain::query::signal(&self.store).expect("no fault in memory");
        let kinds = SweepKind::ALL.into_iter().zip(signal.sweeps);
        kinds.filter(|(_, sweep)| sweep.is_some_and(|(_, resting)| !resting)).map(|(kind, _)| kind).collect()
    }
}
