//! What a write reads does not grow with the cluster.

use ringmaster::domain::terms::{FileRef, NewContent, Operation, PathRef, Receipt};
use ringmaster::domain::{
    BlobId, ClusterTime, Command, CopyId, Epoch, FilePath, Proposal, ServerId, Sha256, Stamped, UserId, WallTime,
    command,
};

use crate::counting::Work;
use crate::stage::Stage;

const COPIES: usize = 2;
/// The operation, the account, what its owner uses, that the content is new, and the parent or the file itself. What is held
/// in memory (cluster time, the policy, the servers) is not counted.
const FIXED: usize = 5;
/// How many names its directory holds, and whether any is a directory's without files: there a new name would be looked for,
/// too.
const NEW_NAME: usize = 1;
/// Whether a record names the blob there, and whether the copy is condemned.
const A_COPY: usize = 2;

fn content(blob: u128, servers: [u64; COPIES]) -> NewContent {
    let receipt = |server| Receipt {
        server_id: ServerId(server),
        epoch: Epoch(1),
        copy_id: CopyId(blob),
        received_at: ClusterTime(0),
    };
    NewContent {
        blob_id: BlobId(blob),
        size: 10,
        sha256: Sha256([1; 32]),
        content_type: String::new(),
        receipts: servers.map(receipt).to_vec(),
    }
}

fn at(owner: Option<&str>, path: &str) -> PathRef {
    PathRef { owner: owner.map(str::to_owned), path: FilePath::parse(path).expect("the path is valid") }
}

/// Under an operation id, as users send it.
fn send(stage: &mut Stage, id: &str, user: UserId, command: impl Into<Command>) -> Work {
    let operation =
        Some(Operation { user, id: id.to_owned(), fingerprint: Sha256([7; 32]), ttl_ms: 0, from: String::new() });
    let proposal = Proposal { operation, command: command.into() };
    let stamped = Stamped { at: ClusterTime(stage.now), wall: WallTime(0), proposal };
    stage.apply(&stamped).expect("the command is allowed");
    stage.last
}

/// What a write and an update of ada's read, and the same by bob in ada's tree, in a cluster of that size.
fn reads(servers: u64, files: u64) -> [Work; 4] {
    let mut stage = Stage::bootstrapped();
    stage.signup("a");
    stage.signup("b");
    stage.servers(servers);
    let (ada, bob) = (UserId(1), UserId(2));
    for file in 0..files {
        let path = format!("/d{}/{file}", file % 100);
        let servers = [1 + file % servers, 1 + (file + 1) % servers];
        let write =
            command::Write { user: ada, at: at(None, &path), content: content(u128::from(file) + 100, servers) };
        stage.run(write.into()).expect("the command is allowed");
    }
    let shared = command::Mkdir { user: ada, at: at(None, "/x/y") };
    stage.run(shared.into()).expect("the command is allowed");
    let share = command::Share {
        user: ada,
        file: FileRef::Path(at(None, "/")),
        with: "b".to_owned(),
        permission: ringmaster::domain::Permission::Read,
    };
    stage.run(share.into()).expect("the command is allowed");
    let share = command::Share {
        user: ada,
        file: FileRef::Path(at(None, "/x/y")),
        with: "b".to_owned(),
        permission: ringmaster::domain::Permission::Write,
    };
    stage.run(share.into()).expect("the command is allowed");
    // What directories say of how long they keep is looked up in memory.
    for path in ["/", "/x", "/x/y"] {
        let directory = FileRef::Path(at(None, path));
        let (versions_keep, versions_ms) = (Some(5), None);
        let set = command::SetRetention { user: ada, directory, versions_keep, versions_ms, trash_ms: Some(1) };
        stage.run(set.into()).expect("the command is allowed");
    }
    // Spans rise when a path reaches further than any before, and only then.
    let longest = command::Write { user: ada, at: at(None, "/x/y/the longest"), content: content(90, [1, 2]) };
    stage.run(longest.into()).expect("the command is allowed");
    let update = |user, at: PathRef, blob| command::Update {
        user,
        file: FileRef::Path(at),
        content: content(blob, [1, 2]),
        precondition: None,
        lock: None,
    };
    let write = command::Write { user: ada, at: at(None, "/x/y/mine"), content: content(1, [1, 2]) };
    let theirs = at(Some("a"), "/x/y/theirs");
    let other = command::Write { user: bob, at: theirs.clone(), content: content(3, [1, 2]) };
    [
        send(&mut stage, "1", ada, write),
        send(&mut stage, "2", ada, update(ada, at(None, "/x/y/mine"), 2)),
        send(&mut stage, "3", bob, other),
        send(&mut stage, "4", bob, update(bob, theirs, 4)),
    ]
}

/// `RINGMASTER_TEST_FILES` sets the size of the larger cluster.
#[test]
fn a_write_reads_as_much_in_a_large_cluster_as_in_a_small_one() {
    let files = std::env::var("RINGMASTER_TEST_FILES").ok().and_then(|text| text.parse().ok()).unwrap_or(20_000);
    let (small, large) = (reads(3, 10), reads(1000, files));
    assert_eq!(small, large);
    assert!(small.iter().all(|work| work.scanned == 0), "{small:?}");
    let depth = 3;
    let [write, update, other_write, other_update] = small.map(|work| work.gets);
    let most = depth + FIXED + A_COPY * COPIES;
    assert_eq!((write, update), (most + NEW_NAME, most));
    // The owner's name and account, and what is granted on the way, of an update on the file as well.
    let most = most + depth + 2;
    assert_eq!((other_write, other_update), (most + NEW_NAME, most + 1));
}
