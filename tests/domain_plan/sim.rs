//! A cluster in memory: the state machine, the machines, and what is under way between them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ringmaster::domain::answer::{Outcome, Stat};
use ringmaster::domain::placement::{Candidate as Place, choose};
use ringmaster::domain::plan::RoundPosition;
use ringmaster::domain::rows::{Extent, Server, ServerState, SweepKind};
use ringmaster::domain::terms::{FileRef, NewContent, PathRef, Policy, Receipt};
use ringmaster::domain::{
    Answer, BlobId, ClusterId, ClusterTime, Command, ContentId, CopyAt, CopyId, ExtentAt, FileId, FilePath,
    Incarnation, MemoryStore, Proposal, ReadStore, ServerId, ServerUuid, Sha256, Stamped, Table, UserId, WallTime,
    apply, check, command, query,
};

use crate::acts::{Act, Disk, MACHINES};
use crate::machines::{Dice, Machine, Stored};

pub(crate) const ADA: UserId = UserId(1);
pub(crate) const LINGER_MS: u64 = 1000;
pub(crate) const GRACE_MS: u64 = 2000;

pub(crate) struct Sim {
    pub(crate) store: MemoryStore,
    pub(crate) machines: Vec<Machine>,
    pub(crate) now: u64,
    log: u64,
    fresh: u128,
    names: u64,
    pub(crate) files: BTreeSet<FileId>,
    /// Commands that were sent and may arrive at any time, in any order, or never.
    pub(crate) commands: Vec<Command>,
    /// The same for deletions.
    pub(crate) deletions: Vec<(usize, CopyAt)>,
    /// What deletions took from disks.
    erased: BTreeSet<CopyAt>,
    /// What the leader has in mind.
    pub(crate) round: RoundPosition,
    pub(crate) walking: BTreeSet<SweepKind>,
    pub(crate) tasks: VecDeque<ringmaster::domain::plan::Task>,
}

pub(crate) fn policy(copies: u32) -> Policy {
    Policy {
        copies,
        garbage_linger_ms: LINGER_MS,
        garbage_grace_ms: GRACE_MS,
        receipt_ttl_ms: 10_000,
        versions_keep: 0,
        trash_ms: 0,
        ..Policy::default()
    }
}

impl Sim {
    pub(crate) fn new() -> Self {
        let mut sim = Self {
            store: MemoryStore::new(),
            machines: (0..MACHINES).map(|number| Machine::new(number as u128)).collect(),
            now: 1000,
            log: 0,
            fresh: 1000,
            names: 0,
            files: BTreeSet::new(),
            commands: Vec::new(),
            deletions: Vec::new(),
            erased: BTreeSet::new(),
            round: RoundPosition::default(),
            walking: BTreeSet::new(),
            tasks: VecDeque::new(),
        };
        let bootstrap = Command::Bootstrap(command::Bootstrap {
            cluster_id: ClusterId(1),
            name: "plan".to_owned(),
            policy: policy(2),
        });
        sim.propose(bootstrap).expect("the policy is valid");
        let signup = Command::Signup(command::Signup { username: "ada".to_owned(), password_hash: "hash".to_owned() });
        sim.propose(signup).expect("the name is free");
        for machine in 0..3 {
            sim.start(machine, Disk::Intact);
        }
        sim
    }

    pub(crate) fn fresh(&mut self) -> u128 {
        self.fresh += 1;
        self.fresh
    }

    pub(crate) fn servers(&self) -> BTreeMap<ServerId, Server> {
        let servers = query::servers(&self.store).expect("no fault in memory");
        servers.into_iter().map(|server| (server.server_id, server)).collect()
    }

    pub(crate) fn entry(&self, file: FileId) -> Option<Stat> {
        query::stat(&self.store, ADA, &FileRef::Id(file)).expect("no fault in memory").ok()
    }

    /// Where the only extent of a file is.
    pub(crate) fn place(&self, file: FileId) -> Option<ExtentAt> {
        Some(self.entry(file)?.content?.content_id.start())
    }

    pub(crate) fn extent(&self, at: ExtentAt) -> Option<Extent> {
        query::extent(&self.store, at).expect("no fault in memory")
    }

    /// All extents that records name, those of dead contents too: somebody may read them.
    pub(crate) fn named(&self) -> Vec<(ExtentAt, Extent)> {
        let rows = self.store.scan(Table::Contents, &[], None, usize::MAX).expect("no fault in memory");
        let ids = rows.iter().map(|(key, _)| ContentId(u128::from_be_bytes(key[..].try_into().expect("an id"))));
        let extents = ids.flat_map(|content_id| {
            let found = query::extents(&self.store, content_id, 0, usize::MAX).expect("no fault in memory");
            found.into_iter().map(move |found| (ExtentAt { content_id, offset: found.offset }, found.extent))
        });
        extents.collect()
    }

    /// All extents of files and of what is still being sent.
    pub(crate) fn extents(&self) -> Vec<(ExtentAt, Extent)> {
        self.named().into_iter().filter(|(at, _)| self.extent(*at).is_some()).collect()
    }

    pub(crate) fn policy(&self) -> Policy {
        query::policy(&self.store).expect("no fault in memory")
    }

    /// The machine that answers as this server, in the epoch that the directory knows.
    pub(crate) fn machine(&self, id: ServerId) -> Option<usize> {
        let epoch = query::server(&self.store, id).expect("no fault in memory")?.epoch;
        self.machines.iter().position(|machine| machine.answers(id, epoch))
    }

    /// The server with the identity of this machine's disk.
    pub(crate) fn server(&self, machine: usize) -> Option<Server> {
        let uuid = self.machines[machine].disk.uuid;
        self.servers().into_values().find(|server| server.uuid == uuid)
    }

    /// How many copies of each extent count.
    fn counted(&self) -> BTreeMap<ExtentAt, usize> {
        let servers = self.servers();
        let count = |extent: &Extent| {
            extent.replicas.iter().filter(|replica| servers[&replica.server_id].counts(replica)).count()
        };
        self.extents().iter().map(|(at, extent)| (*at, count(extent))).collect()
    }

    /// What the records are at that a command is to give other copies.
    fn revisions(&self, command: &Command) -> BTreeMap<ExtentAt, (BlobId, u64)> {
        let Command::Rehome(command::Rehome { changes }) = command else { return BTreeMap::new() };
        let revision = |at| self.extent(at).map(|extent| (at, (extent.blob_id, extent.placement_rev)));
        changes.iter().filter_map(|change| revision(change.at)).collect()
    }

    /// Applies one entry of the log, and holds every promise against it.
    pub(crate) fn propose(&mut self, command: Command) -> Answer {
        self.log += 1;
        assert!(self.log < 50_000, "a job finds no end");
        let (before, revisions, time) = (self.counted(), self.revisions(&command), ClusterTime(self.now));
        let proposal = Proposal { operation: None, command: command.clone() };
        let stamped = Stamped { at: time, wall: WallTime(self.now), proposal };
        let answer = apply(&mut self.store, self.log, &stamped).expect("no fault in memory");
        if let Ok(Outcome::Stat(stat)) = &answer {
            self.files.insert(stat.file_id);
        }
        let broken = check(&self.store).expect("no fault in memory");
        assert!(broken.is_empty(), "after {command:?}: {broken:#?}");
        self.assert_ring();
        self.assert_kept(&command, &before);
        assert_made_for(&command, &answer, &revisions);
        answer
    }

    /// One cycle over exactly the servers that are up.
    fn assert_ring(&self) {
        let ring = query::ring(&self.store).expect("no fault in memory").order;
        let up = self.servers().into_values().filter(|server| server.state == ServerState::Up);
        assert_eq!(ring, up.map(|server| server.server_id).collect::<Vec<_>>());
    }

    /// Three commands may take from what counts, because they say that it does not: `ServerDown`, `Report`, and
    /// `RegisterServer` of a disk that is not the one that it was. No other leaves a file with fewer than it had, or than
    /// the policy asks for; and none names a copy that was deleted.
    fn assert_kept(&self, command: &Command, before: &BTreeMap<ExtentAt, usize>) {
        let telling = matches!(command, Command::ServerDown(_) | Command::Report(_) | Command::RegisterServer(_));
        let copies = self.policy().copies as usize;
        for (at, counted) in self.counted() {
            let Some(old) = before.get(&at) else { continue };
            assert!(telling || counted >= copies.min(*old), "{command:?} left {at} with {counted} of {old} copies");
        }
        for (at, extent) in self.named() {
            for replica in extent.replicas {
                let copy = CopyAt { server_id: replica.server_id, blob_id: extent.blob_id, copy_id: replica.copy_id };
                assert!(!self.erased.contains(&copy), "after {command:?} {at} names {copy:?}, which was deleted");
            }
        }
    }

    /// Carries out a deletion, whenever it arrives.
    pub(crate) fn erase(&mut self, machine: usize, copy: CopyAt) {
        if self.machines[machine].delete(copy.blob_id, copy.copy_id) {
            let named = self.named().iter().any(|(_, content)| {
                let at = |replica: &ringmaster::domain::Replica| {
                    (replica.server_id, replica.copy_id) == (copy.server_id, copy.copy_id)
                };
                content.blob_id == copy.blob_id && content.replicas.iter().any(at)
            });
            assert!(!named, "{copy:?} was deleted, and a record names it");
            self.erased.insert(copy);
        }
    }

    pub(crate) fn act(&mut self, act: &Act) {
        match act {
            Act::Write { lost, late } => {
                let at = self.new_place();
                let Some(content) = self.upload(*lost) else { return };
                self.commit(Command::Write(command::Write { user: ADA, at, content }), *late);
            }
            Act::Update { file, lost, late } => {
                let Some(file) = self.pick(*file) else { return };
                let Some(content) = self.upload(*lost) else { return };
                let file = FileRef::Id(file);
                let command =
                    Command::Update(command::Update { user: ADA, file, content, precondition: None, lock: None });
                self.commit(command, *late);
            }
            Act::Delete { file } => {
                let Some(file) = self.pick(*file) else { return };
                let file = FileRef::Id(file);
                let delete = Command::Delete(command::Delete {
                    user: ADA,
                    file,
                    recursive: false,
                    precondition: None,
                    lock: None,
                    permanently: false,
                    break_locks: false,
                });
                self.propose(delete).expect("ada may delete");
            }
            Act::Send { upload, extents, lost, late } => self.send_extents(*upload, *extents, *lost, *late),
            Act::Finish { upload, file, late } => self.finish(*upload, *file, *late),
            Act::GiveUp { upload } => self.give_up(*upload),
            Act::Part { upload, number, lost, late } => self.put_part(*upload, *number, *lost, *late),
            Act::Complete { upload, steps, late } => self.complete(*upload, *steps, *late),
            Act::Start { machine, disk } => self.start(*machine, *disk),
            Act::Kill { machine } => self.machines[*machine].alive = false,
            Act::Down { machine } => {
                if let Some(server) = self.server(*machine) {
                    _ = self.propose(Command::ServerDown(command::ServerDown {
                        server_id: server.server_id,
                        epoch: server.epoch,
                    }));
                }
            }
            Act::Image { machine } => self.machines[*machine].image = Some(self.machines[*machine].disk.clone()),
            Act::Rot { machine, copy, gone } => self.rot(*machine, *copy, *gone),
            Act::Drain { machine } => self.at(*machine, |server_id| Command::Drain(command::Drain { server_id })),
            Act::Undrain { machine } => self.at(*machine, |server_id| Command::Undrain(command::Undrain { server_id })),
            Act::Remove { machine } => {
                self.at(*machine, |server_id| Command::RemoveServer(command::RemoveServer { server_id }))
            }
            Act::Full { machine, full } => {
                if let Some(server) = self.server(*machine) {
                    let (server_id, epoch) = (server.server_id, server.epoch);
                    _ = self.propose(Command::ServerFull(command::ServerFull { server_id, epoch, full: *full }));
                }
            }
            Act::Copies { copies } => {
                self.propose(Command::SetPolicy(command::SetPolicy(policy(*copies)))).expect("it is within bounds");
            }
            Act::Wait { ms } => self.now += ms,
            Act::Inventory { machine, scrub, late } => {
                for command in self.inventory(*machine, *scrub) {
                    self.commit(command, *late);
                }
            }
            Act::Rebalance { stop } => {
                let kind = SweepKind::Balance;
                let command = if *stop {
                    Command::StopSweep(command::StopSweep { kind })
                } else {
                    Command::StartSweep(command::StartSweep { kind })
                };
                self.propose(command).expect("a walk may begin and end");
            }
            Act::NewLeader => self.forget(),
            Act::Work { pieces, trouble, seed } => self.work(*pieces, *trouble, &mut Dice(*seed)),
            Act::Command { pick } => {
                if !self.commands.is_empty() {
                    let command = self.commands.swap_remove(pick % self.commands.len());
                    _ = self.propose(command);
                }
            }
            Act::Deletion { pick } => {
                if !self.deletions.is_empty() {
                    let (machine, copy) = self.deletions.swap_remove(pick % self.deletions.len());
                    self.erase(machine, copy);
                }
            }
        }
    }

    /// Where nothing is yet.
    pub(crate) fn new_place(&mut self) -> PathRef {
        self.names += 1;
        PathRef { owner: None, path: FilePath::parse(&format!("/{}", self.names)).expect("a path") }
    }

    fn at(&mut self, machine: usize, command: impl Fn(ServerId) -> Command) {
        if let Some(server) = self.server(machine) {
            _ = self.propose(command(server.server_id));
        }
    }

    /// Now, or some time, or never.
    pub(crate) fn commit(&mut self, command: Command, late: bool) {
        if late {
            self.commands.push(command);
        } else {
            _ = self.propose(command);
        }
    }

    pub(crate) fn pick(&self, pick: usize) -> Option<FileId> {
        let files: Vec<_> = self.files.iter().copied().filter(|file| self.entry(*file).is_some()).collect();
        files.get(pick % files.len().max(1)).copied()
    }

    /// Stores a new blob as the node that takes an upload does; nothing where no server takes it.
    pub(crate) fn upload(&mut self, lost: u8) -> Option<NewContent> {
        let blob_id = BlobId(self.fresh());
        let servers = self.servers();
        let places: Vec<_> = servers.values().map(Place::from).collect();
        let ring = query::ring(&self.store).expect("no fault in memory");
        let chosen = choose(&places, &ring.order, ring.copies, &BTreeMap::new(), &BTreeSet::new(), 10)?;
        let mut receipts = Vec::new();
        for (position, server_id) in chosen.into_iter().enumerate() {
            let Some(machine) = self.machine(server_id) else { continue };
            let copy_id = CopyId(self.fresh());
            self.machines[machine].take(blob_id, copy_id, &[], self.now);
            // Its answer may be lost, or the node that asked.
            if position >= usize::from(lost) || lost == 0 {
                let (epoch, received_at) = (servers[&server_id].epoch, ClusterTime(self.now));
                receipts.push(Receipt { server_id, epoch, copy_id, received_at });
            }
        }
        let content_type = String::new();
        let content = NewContent { blob_id, size: 10, sha256: Sha256([1; 32]), content_type, receipts };
        (!content.receipts.is_empty()).then_some(content)
    }

    pub(crate) fn start(&mut self, machine: usize, disk: Disk) {
        let (fresh, next) = (self.fresh(), Incarnation(self.fresh()));
        let host = &mut self.machines[machine];
        match disk {
            Disk::Intact => {}
            Disk::Stale => host.disk = host.image.clone().unwrap_or_else(|| host.disk.clone()),
            Disk::Wiped => host.disk.blobs.clear(),
            Disk::Holed => {
                let mut odd = 0_u8;
                host.disk.blobs.retain(|_, stored| {
                    odd = (odd + 1) % 3;
                    stored.good &= odd != 1;
                    odd != 0
                });
            }
            Disk::New => {
                host.disk.blobs.clear();
                host.disk.uuid = ServerUuid(fresh);
                host.disk.last = None;
            }
        }
        host.alive = true;
        let (uuid, last) = (host.disk.uuid, host.disk.last);
        // Kept on the disk before it is told.
        host.disk.last = Some(next);
        let url = format!("http://machine{machine}");
        let register = Command::RegisterServer(command::RegisterServer {
            uuid,
            url,
            zone: String::new(),
            capacity: 0,
            last,
            next: Some(next),
        });
        match self.propose(register) {
            Ok(Outcome::Server { server_id, epoch }) => self.machines[machine].admitted = Some((server_id, epoch)),
            Ok(other) => panic!("a registration was answered {other:?}"),
            Err(_) => self.machines[machine].admitted = None,
        }
    }

    fn rot(&mut self, machine: usize, copy: usize, gone: bool) {
        let blobs = &mut self.machines[machine].disk.blobs;
        let Some(blob) = blobs.keys().copied().nth(copy % blobs.len().max(1)) else { return };
        if gone {
            blobs.remove(&blob);
        } else {
            blobs.entry(blob).and_modify(|stored: &mut Stored| stored.good = false);
        }
    }

    pub(crate) fn forget(&mut self) {
        self.round = RoundPosition::default();
        self.walking.clear();
        self.tasks.clear();
    }
}

/// A change takes effect on the state of the record that it was made for, or not at all: it may say that a copy is good
/// which was found bad since.
fn assert_made_for(command: &Command, answer: &Answer, before: &BTreeMap<ExtentAt, (BlobId, u64)>) {
    let (Command::Rehome(command::Rehome { changes }), Ok(Outcome::Rehomed { refused })) = (command, answer) else {
        return;
    };
    for (_, change) in (0..).zip(changes).filter(|(position, _)| !refused.contains(position)) {
        let made_for = (change.blob_id, change.placement_rev);
        let there = before.get(&change.at);
        assert_eq!(there, Some(&made_for), "{change:?} took effect on another state of its record");
    }
}

/// A place as it stands in a key.
pub(crate) fn place_in(key: &[u8]) -> ExtentAt {
    let (id, offset) = key.split_at(16);
    ExtentAt {
        content_id: ContentId(u128::from_be_bytes(id.try_into().expect("sixteen bytes"))),
        offset: u64::from_be_bytes(offset.try_into().expect("eight bytes")),
    }
}
