//! A state, what is done to it, and what is asked of it.

use std::collections::BTreeSet;

use ringmaster::domain::plan::{Observed, RoundPosition, Scene, Task, mend};
use ringmaster::domain::query::{self, AccessMode, BlobRange, Held, HeldCopy, Reporter, Viewer};
use ringmaster::domain::restored::{Piece, piece};
use ringmaster::domain::terms::{NewExtent, PathRef, Policy, Purpose, Receipt};
use ringmaster::domain::{
    Answer, BlobId, ClusterId, ClusterTime, Command, ContentId, CopyId, Epoch, FilePath, Proposal, ReadStore, Schema,
    ServerId, ServerUuid, Sha256, Stamped, Table, UserId, WallTime, apply, check, command, plan,
};

use crate::commands::{command, place};
use crate::counting::{Counting, Work};
use crate::restored::{BACKUP, naming, restore};
use crate::source::Source;

/// What one entry may read and change.
const MAX_READS: usize = 5000;
const MAX_CHANGES: usize = 3000;

pub(crate) fn registration(uuid: u64) -> Command {
    command::RegisterServer {
        uuid: ServerUuid(uuid.into()),
        url: format!("http://server{uuid}"),
        zone: String::new(),
        capacity: 0,
        last: None,
        next: None,
    }
    .into()
}

#[derive(Default)]
pub(crate) struct Stage {
    pub(crate) counting: Counting,
    pub(crate) now: u64,
    index: u64,
    pub(crate) last: Work,
    /// The places of the commands that were not refused.
    pub(crate) taken: BTreeSet<usize>,
}

impl Stage {
    pub(crate) fn bootstrapped() -> Self {
        let mut stage = Self::default();
        stage
            .run(
                command::Bootstrap { cluster_id: ClusterId(1), name: "faults".to_owned(), policy: Policy::default() }
                    .into(),
            )
            .expect("a cluster begins");
        stage
    }

    pub(crate) fn servers(&mut self, count: u64) {
        for uuid in 0..count {
            self.run(registration(uuid)).expect("it is let in");
        }
    }

    pub(crate) fn signup(&mut self, username: &str) {
        let signup = command::Signup { username: username.to_owned(), password_hash: "hash".to_owned() };
        self.run(signup.into()).expect("the name is free");
    }

    /// A file of the first user's in two extents, under ids that stories meet.
    pub(crate) fn large(&mut self) {
        let (user, upload_id) = (UserId(1), ContentId(7));
        let at = PathRef { owner: None, path: FilePath::parse("/a").expect("the path is valid") };
        let begin = command::BeginUpload {
            user,
            upload_id,
            content_type: String::new(),
            length: None,
            idle_ms: 60_000,
            hash: vec![0; 105],
            purpose: Purpose::Write(at),
        };
        self.run(begin.into()).expect("the path is free");
        let receipt = |server| Receipt {
            server_id: ServerId(server),
            epoch: Epoch(1),
            copy_id: CopyId(server.into()),
            received_at: ClusterTime(0),
        };
        let extent = |blob| NewExtent {
            blob_id: BlobId(blob),
            size: 64,
            sha256: Sha256([1; 32]),
            receipts: vec![receipt(1), receipt(2)],
        };
        let extents = vec![extent(6), extent(7)];
        let (hash, tail) = (vec![0; 105], Vec::new());
        let add = command::AddExtents { user, upload_id, at: 0, had: 0, extents, hash, tail, length: None };
        self.run(add.into()).expect("they follow");
        let (size, sha256) = (128, Some(Sha256([2; 32])));
        let finish = command::FinishUpload { user, upload_id, size, sha256, losses: 0, purpose: None };
        self.run(finish.into()).expect("it is whole");
    }

    pub(crate) fn run(&mut self, command: Command) -> Answer {
        self.apply(&Stamped {
            at: ClusterTime(self.now),
            wall: WallTime(self.now),
            proposal: Proposal { operation: None, command },
        })
    }

    /// Through its bytes, as in the log.
    pub(crate) fn apply(&mut self, stamped: &Stamped) -> Answer {
        let bytes = stamped.encode(Schema::FIRST);
        let stamped = Stamped::decode(&bytes).expect("what was written can be read");
        self.index += 1;
        self.counting.take();
        let answer = apply(&mut self.counting, self.index, &stamped).expect("no entry is a fault");
        self.last = self.counting.take();
        if answer.is_ok() {
            self.taken.insert(place(&stamped.proposal.command));
        }
        assert!(self.last.reads() <= MAX_READS, "{:?} for {stamped:?}", self.last);
        assert!(self.last.changed <= MAX_CHANGES, "{:?} for {stamped:?}", self.last);
        answer
    }

    /// One step by what stands in the bytes.
    pub(crate) fn step(&mut self, bytes: &[u8], restoring: bool) {
        let mut s = Source::new(bytes);
        if restoring && !s.one_in(8) {
            self.run(restore(&mut s)).ok();
            return;
        }
        self.now = self.now.saturating_add(s.pick(64) * 1000);
        if s.one_in(8) {
            self.leader(&mut s);
            return;
        }
        let operation = s.one_in(4).then(|| s.operation());
        let (at, wall) = if s.one_in(64) { (s.number(), s.number()) } else { (self.now, self.now) };
        let command = command(&mut s);
        self.apply(&Stamped { at: ClusterTime(at), wall: WallTime(wall), proposal: Proposal { operation, command } })
            .ok();
    }

    /// Puts the cluster into service with whatever came.
    pub(crate) fn seal(&mut self) {
        let contents = self.counting.scan(Table::Contents, &[], None, 1000).expect("no fault");
        for (file, (key, value)) in (10_000..).zip(contents) {
            if let Ok(Piece::Content(id, content)) = piece(Table::Contents, &key, &value)
                && content.refs == 0
            {
                let rows = vec![naming(id, &content, file)];
                let named = command::Restore { backup: BACKUP, rows, taken_at: ClusterTime(0) };
                self.run(named.into()).expect("a file may name it");
            }
        }
        let Some(restore) = query::restore(&self.counting).expect("no fault") else { return };
        let done = command::RestoreDone {
            backup: restore.backup,
            entries: restore.entries,
            users: restore.users,
            grants: restore.grants,
            contents: restore.contents,
            versions: restore.versions,
            trash: restore.trash,
            retentions: restore.retentions,
            properties: restore.properties,
        };
        if restore.backup == BACKUP {
            self.run(done.into()).expect("all that came is there");
        }
    }

    /// What the leader's job does with what it finds: all of it, in a few rounds.
    pub(crate) fn leader(&mut self, s: &mut Source<'_>) {
        let mut round = RoundPosition::default();
        for _ in 0..4 {
            let suspect: BTreeSet<_> = s.many(Source::server).into_iter().take(2).collect();
            let observed = Observed {
                now: ClusterTime(self.now),
                suspect,
                pressed: s.many(Source::server).into_iter().take(2).collect(),
                unread_before: ClusterTime(s.number()),
                round: round.clone(),
                room: 1 + s.pick(100) as usize,
                walking: BTreeSet::new(),
            };
            let planned = plan(&self.counting, &observed).expect("no plan is a fault");
            round = planned.round;
            for task in planned.tasks {
                self.carry_out(task);
            }
        }
    }

    fn carry_out(&mut self, task: Task) {
        let (candidates, then) = match task {
            Task::Propose(command) => {
                self.run(command).ok();
                return;
            }
            Task::Erase(copies) => {
                self.run(command::Deleted { copies }.into()).ok();
                return;
            }
            Task::Mend(candidate) => (vec![candidate], None),
            Task::Walk(window) => {
                let (kind, since, through) = (window.kind, window.since, window.through);
                let (done, short, owed) = (window.done, window.short, window.owed);
                (window.extents, Some(command::AdvanceSweep { kind, since, through, done, short, owed }))
            }
        };
        for candidate in candidates {
            let scene = Scene::read(&self.counting, BTreeSet::new()).expect("no fault");
            let at = candidate.at;
            let Some(extent) = query::extent(&self.counting, at).expect("no fault") else { continue };
            let mended = mend(&self.counting, &scene, at, &extent, candidate.goal.as_deref()).expect("no fault");
            let Some(mend) = mended else { continue };
            let made: Vec<_> = mend
                .targets
                .iter()
                .filter_map(|id| scene.servers.get(id))
                .take(mend.missing)
                .map(|server| Receipt {
                    server_id: server.server_id,
                    epoch: server.epoch,
                    copy_id: CopyId(u128::from(self.index) + 100),
                    received_at: ClusterTime(self.now),
                })
                .collect();
            if let Some(change) = mend.settle(&made) {
                self.run(command::Rehome { changes: vec![change] }.into()).expect("it is within bounds");
            }
        }
        if let Some(then) = then {
            self.run(then.into()).ok();
        }
    }

    /// Whatever stands in the log leaves the state whole, as long as there is time: at the end of all time everything ends
    /// at once.
    pub(crate) fn assert_sound(&self) {
        if query::cluster_time(&self.counting).expect("no fault").0 < 1 << 53 {
            let broken = check(&self.counting).expect("no fault");
            assert!(broken.is_empty(), "{broken:#?}");
        }
    }

    /// Every question, and what `check` has to say: nothing of it is a fault.
    pub(crate) fn ask(&self, s: &mut Source<'_>) {
        let store = &self.counting;
        let viewer = s.user();
        check(store).expect("no fault");
        for user in [viewer, s.user()] {
            let mut cursor = None;
            for _ in 0..4 {
                let limit = 1 + s.pick(30) as usize;
                let Ok(page) = query::all(store, user, None, cursor.as_deref(), limit).expect("no fault") else {
                    break;
                };
                cursor = page.next;
                if cursor.is_none() {
                    break;
                }
            }
            query::all(store, user, Some(&s.text()), None, 10).expect("no fault").ok();
            for _ in 0..3 {
                let file = s.file_ref();
                query::stat(store, user, &file).expect("no fault").ok();
                query::list(store, user, &file, None, 20).expect("no fault").ok();
                query::retention(store, user, &file).expect("no fault").ok();
                query::properties(store, user, &file).expect("no fault").ok();
                query::precheck_write(store, user, &s.at(), 1).expect("no fault").ok();
                let (precondition, lock) = (s.precondition(), s.lock_proof());
                query::precheck_update(store, user, &file, precondition.as_ref(), lock.as_ref(), 1)
                    .expect("no fault")
                    .ok();
                let id = s.file();
                query::access(store, user, id, AccessMode::Write, lock.as_ref()).expect("no fault");
                query::full_path(store, id).expect("no fault");
                query::holders(store, s.blob()).expect("no fault");
            }
            query::locks(store, user, None, 20).expect("no fault").ok();
            query::retentions(store, user).expect("no fault").ok();
            query::at_risk(store, Viewer::User(user)).expect("no fault");
        }
        query::at_risk(store, Viewer::Admin).expect("no fault");
        let upkeep = query::upkeep(store).expect("no fault");
        upkeep.pending();
        upkeep.oldest_age_ms(ClusterTime(self.now));
        query::signal(store).expect("no fault");
        query::session(store, &Sha256([1; 32]), ClusterTime(0)).expect("no fault");
        query::ring(store).expect("no fault");
        let id = s.content_id();
        query::upload(store, viewer, id).expect("no fault").ok();
        query::uploads(store, viewer, None, 20).expect("no fault").ok();
        query::extents(store, id, s.number(), 20).expect("no fault");
        query::file_extents(store, viewer, &s.file_ref(), None, 20).expect("no fault").ok();
        let reporter = Reporter { server_id: s.server(), epoch: s.epoch() };
        let held: Vec<_> = (0..8)
            .map(|blob| Held {
                blob_id: BlobId(blob),
                copy: s.maybe(|s| HeldCopy { copy_id: s.copy_id(), age_ms: s.number() }),
            })
            .collect();
        query::surplus(store, reporter, &held).expect("no fault").ok();
        query::missing(store, reporter, BlobRange::default(), &held, 5).expect("no fault").ok();
    }
}
