//! A repeat hears what the first attempt heard, whatever has become of the entry.

use super::*;
use crate::domain::record::Record;
use crate::domain::terms::{LockProof, Operation, Policy, Receipt};
use crate::domain::{
    BlobId, ClusterId, ClusterTime, Fence, FileId, FilePath, MemoryStore, Proposal, ServerId, ServerUuid, Sha256,
    Stamped, WallTime, apply, command, tables,
};

const ADA: UserId = UserId(1);
/// What is kept of an outcome, in bytes, at the most.
const KEPT_BYTES: usize = 64;
/// A real time, so that sizes are what they are in use.
const NOW: u64 = 1_800_000_000_000;

struct Stage {
    store: MemoryStore,
    now: u64,
    blobs: u128,
    /// What was answered, and to what.
    told: Vec<(Proposal, Answer)>,
}

impl Stage {
    fn new() -> Self {
        let mut stage = Self { store: MemoryStore::new(), now: NOW, blobs: u128::MAX / 3, told: Vec::new() };
        let (cluster_id, policy) = (ClusterId(1), Policy::default());
        stage.run(command::Bootstrap { cluster_id, name: "repeats".to_owned(), policy });
        for name in ["ada", "bob"] {
            stage.run(command::Signup { username: name.to_owned(), password_hash: "hash".to_owned() });
        }
        for uuid in [1, 2] {
            let (url, zone) = (format!("http://server{uuid}"), String::new());
            let uuid = ServerUuid(uuid);
            stage.run(command::RegisterServer { uuid, url, zone, capacity: 0, last: None, next: None });
        }
        tables::Counter::File.set(&mut stage.store, 1 << 32).expect("no fault in memory");
        stage
    }

    fn apply(&mut self, proposal: Proposal) -> Answer {
        let (at, wall) = (ClusterTime(self.now), WallTime(self.now));
        apply(&mut self.store, 1, &Stamped { at, wall, proposal }).expect("no fault in memory")
    }

    fn run(&mut self, command: impl Into<Command>) -> Outcome {
        self.apply(Proposal { operation: None, command: command.into() }).expect("the command is allowed")
    }

    /// Under a name of its own, and again at once. Says how many bytes are kept of it.
    fn once(&mut self, command: impl Into<Command>) -> (Answer, usize) {
        self.now += 1000;
        let id = format!("c:{}", self.told.len());
        let (command, fingerprint) = (command.into(), Sha256([1; 32]));
        let operation = Operation { user: ADA, id: id.clone(), fingerprint, ttl_ms: 0, from: String::new() };
        let proposal = Proposal { operation: Some(operation), command };
        let answer = self.apply(proposal.clone());
        self.told.push((proposal, answer.clone()));
        let done = tables::operation(&self.store, ADA, &id).expect("no fault in memory").expect("it is remembered");
        let empty = Done { kept: Kept::Whole(Ok(Outcome::Done)), ..done.clone() };
        let kept = done.to_bytes().len() - empty.to_bytes().len();
        self.repeat();
        (answer, kept)
    }

    /// Everything again: nothing happens, and each hears what it heard.
    fn repeat(&mut self) {
        for (mut proposal, answer) in self.told.clone() {
            // Another attempt brings other copies.
            if let Command::Write(command::Write { content, .. }) | Command::Update(command::Update { content, .. }) =
                &mut proposal.command
            {
                content.blob_id = BlobId(7);
                content.receipts.clear();
            }
            let before = self.store.clone();
            assert_eq!(shown(self.apply(proposal)), shown(answer));
            // The clock may have gone on.
            let rows = |store: &MemoryStore| store.rows().count();
            assert_eq!(rows(&self.store), rows(&before));
        }
    }

    fn content(&mut self) -> NewContent {
        self.blobs += 1;
        let receipt = |server| Receipt {
            server_id: ServerId(server),
            epoch: Epoch(1),
            copy_id: CopyId(self.blobs),
            received_at: ClusterTime(self.now),
        };
        NewContent {
            blob_id: BlobId(self.blobs),
            size: 1 << 40,
            sha256: Sha256([self.blobs as u8; 32]),
            content_type: "application/octet-stream".to_owned(),
            receipts: vec![receipt(1), receipt(2)],
        }
    }
}

/// What a user sees.
fn shown(mut answer: Answer) -> Answer {
    if let Ok(Outcome::Stat(stat)) = &mut answer {
        stat.content.iter_mut().for_each(|content| content.blob_id = BlobId(0));
        for replica in stat.content.iter_mut().flat_map(|content| &mut content.replicas) {
            (replica.epoch, replica.copy_id) = (Epoch(0), CopyId(0));
        }
        stat.lock.iter_mut().for_each(|lock| lock.deadline = ClusterTime(0));
    }
    answer
}

fn at(path: &str) -> PathRef {
    PathRef { owner: None, path: FilePath::parse(path).expect("the path is valid") }
}

fn id_of(answer: &Answer) -> FileId {
    match answer {
        Ok(Outcome::Stat(stat)) => stat.file_id,
        other => panic!("{other:?} is no entry"),
    }
}

#[test]
fn a_repeat_hears_the_first_answer_whatever_has_become_of_the_file() {
    let mut stage = Stage::new();
    let (user, precondition) = (ADA, None);
    let content = stage.content();
    let (made, kept) = stage.once(command::Write { user, at: at("/a/file"), content });
    assert!(kept <= KEPT_BYTES, "a write keeps {kept} bytes");
    let file = FileRef::Id(id_of(&made));
    let (_, kept) = stage.once(command::Mkdir { user, at: at("/b") });
    assert!(kept <= KEPT_BYTES, "a mkdir keeps {kept} bytes");

    // The file moves on, is locked, renamed, and deleted.
    let (content, by_path) = (stage.content(), FileRef::Path(at("/a/file")));
    let update = command::Update { user, file: by_path, content, precondition: None, lock: None };
    let (_, kept) = stage.once(update);
    assert!(kept <= KEPT_BYTES, "an update keeps {kept} bytes");
    let mac_hash = Sha256([5; 32]);
    let (_, kept) = stage.once(command::Lock { user, file: file.clone(), ttl_ms: 60_000, mac_hash });
    assert!(kept <= KEPT_BYTES, "a lock keeps {kept} bytes");
    let lock = Some(LockProof { fence: Fence(1), mac_hash });
    let (content, by_path) = (stage.content(), FileRef::Path(at("/a/file")));
    let (_, kept) = stage.once(command::Update { user, file: by_path, content, precondition: None, lock });
    assert!(kept <= KEPT_BYTES, "an update with a lock keeps {kept} bytes");
    let content = stage.content();
    let by_id = command::Update { user, file: file.clone(), content, precondition, lock };
    assert_eq!(id_of(&stage.once(by_id).0), id_of(&made));
    let moved = command::Move { user, from: FileRef::Path(at("/a/file")), to: at("/b/file"), lock, break_locks: false };
    assert_eq!(id_of(&stage.once(moved).0), id_of(&made));
    let delete = command::Delete {
        user,
        file,
        recursive: false,
        precondition: None,
        lock,
        permanently: false,
        break_locks: false,
    };
    assert_eq!(stage.once(delete).0, Ok(Outcome::Done));
    let content = stage.content();
    let (other, _) = stage.once(command::Write { user, at: at("/a/file"), content });
    assert_ne!(id_of(&other), id_of(&made));
    stage.repeat();
}

#[test]
fn a_write_into_the_tree_of_another_is_told_again_in_that_tree() {
    let mut stage = Stage::new();
    let bob = UserId(2);
    let root = FileRef::Path(PathRef { owner: None, path: FilePath::default() });
    let permission = crate::domain::Permission::Write;
    stage.run(command::Share { user: bob, file: root.clone(), with: "ada".to_owned(), permission });
    let at = PathRef { owner: Some("bob".to_owned()), ..at("/file") };
    let content = stage.content();
    let (made, kept) = stage.once(command::Write { user: ADA, at, content });
    assert!(kept <= KEPT_BYTES, "{kept}");
    stage.run(command::Unshare { user: bob, file: root, with: "ada".to_owned() });
    stage.repeat();
    let delete = command::Delete {
        user: bob,
        file: FileRef::Id(id_of(&made)),
        recursive: false,
        precondition: None,
        lock: None,
        permanently: false,
        break_locks: false,
    };
    stage.run(delete);
    stage.repeat();
}

/// A name that a node makes is good for its own retries alone.
#[test]
fn an_operation_may_ask_to_be_forgotten_sooner_and_never_later() {
    let mut stage = Stage::new();
    let policy = Policy::default().operation_ttl_ms;
    for (ttl_ms, kept_for) in [(0, policy), (600_000, 600_000), (u64::MAX, policy)] {
        let (id, fingerprint) = (format!("n:{ttl_ms}"), Sha256([1; 32]));
        let operation = Operation { user: ADA, id: id.clone(), fingerprint, ttl_ms, from: String::new() };
        let command = command::Mkdir { user: ADA, at: at(&format!("/{ttl_ms}")) }.into();
        stage.apply(Proposal { operation: Some(operation), command }).expect("it is allowed");
        let done = tables::operation(&stage.store, ADA, &id).expect("no fault in memory").expect("it is remembered");
        assert_eq!(done.expires_at, ClusterTime(stage.now + kept_for));
    }
}
