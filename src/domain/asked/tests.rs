//! The bytes of each request's fingerprint, held by `tests/golden/requests.txt`. A line there that changes makes every
//! repeat across an upgrade a refusal. `UPDATE_GOLDEN=1` writes the file anew.

use std::fmt::Write as _;
use std::path::Path;

use super::*;
use crate::domain::rows::SweepKind;
use crate::domain::terms::{Etag, FileRef, LockProof, PathRef, Precondition, Receipt};
use crate::domain::{
    ClusterTime, CopyId, Epoch, Fence, FileId, FilePath, Permission, ServerId, UserId, Version, command,
};

const USER: UserId = UserId(1);

fn path(owner: Option<&str>, path: &str) -> PathRef {
    PathRef { owner: owner.map(str::to_owned), path: FilePath::parse(path).expect("the path is valid") }
}

/// With a blob and a copy of one attempt.
fn content(attempt: u8) -> NewContent {
    let (server_id, epoch, received_at) = (ServerId(attempt.into()), Epoch(1), ClusterTime(attempt.into()));
    NewContent {
        blob_id: BlobId(attempt.into()),
        size: 77,
        sha256: Sha256([1; 32]),
        content_type: "text/plain".to_owned(),
        receipts: vec![Receipt { server_id, epoch, copy_id: CopyId(attempt.into()), received_at }],
    }
}

fn update(attempt: u8) -> Command {
    let one_of = vec![Etag { file_id: FileId(12), version: Version(3) }];
    let precondition = Some(Precondition { exists: false, one_of });
    let (file, content, lock) = (FileRef::Id(FileId(12)), content(attempt), Some(proof()));
    command::Update { user: USER, file, content, precondition, lock }.into()
}

fn write(attempt: u8) -> Command {
    command::Write { user: USER, at: path(Some("ada"), "/docs/plan"), content: content(attempt) }.into()
}

fn proof() -> LockProof {
    LockProof { fence: Fence(9), mac_hash: Sha256([9; 32]) }
}

fn all() -> Vec<(&'static str, Asked)> {
    let user = USER;
    let by_id = || FileRef::Id(FileId(12));
    let (from, to) = (FileRef::Path(path(None, "/a")), path(None, "/b"));
    let mac_hash = Sha256([4; 32]);
    let server_id = ServerId(1);
    let commands: Vec<(&'static str, Command)> = vec![
        ("write", write(1)),
        ("update", update(1)),
        ("mkdir", command::Mkdir { user, at: path(None, "/a") }.into()),
        ("move", command::Move { user, from, to, lock: Some(proof()), break_locks: false }.into()),
        (
            "delete",
            command::Delete {
                user,
                file: by_id(),
                recursive: true,
                precondition: None,
                lock: None,
                permanently: false,
                break_locks: false,
            }
            .into(),
        ),
        ("share", command::Share { user, file: by_id(), with: "bob".to_owned(), permission: Permission::Write }.into()),
        ("unshare", command::Unshare { user, file: by_id(), with: "bob".to_owned() }.into()),
        ("lock", command::Lock { user, file: by_id(), ttl_ms: 60_000, mac_hash }.into()),
        ("renew", command::Renew { user, lock: proof(), ttl_ms: 60_000 }.into()),
        ("unlock", command::Unlock { user, lock: proof() }.into()),
        ("drain", command::Drain { server_id }.into()),
        ("undrain", command::Undrain { server_id }.into()),
        ("rebalance", command::StartSweep { kind: SweepKind::Balance }.into()),
        ("rebalance.stop", command::StopSweep { kind: SweepKind::Balance }.into()),
    ];
    let mut all: Vec<_> = commands.into_iter().map(|(name, command)| (name, Asked::change(command))).collect();
    all.push(("write.refused", Asked::refused(write(1))));
    all.push(("update.refused", Asked::refused(update(1))));
    all.push(("policy", Asked::Policy(PolicyAsked { copies: Some(3), ..PolicyAsked::default() })));
    all.push(("policy.nothing", Asked::Policy(PolicyAsked::default())));
    let (username, password) = ("ada".to_owned(), "correct horse".to_owned());
    let code = |text: &str| Some(text.to_owned());
    let signup = |setup_code, invite| {
        let (username, password) = (username.clone(), password.clone());
        Asked::Signup { username, password, setup_code, invite }
    };
    all.push(("signup", signup(None, None)));
    all.push(("signup.first", signup(code("ABCDE"), None)));
    all.push(("password", Asked::Password { old: password.clone(), new: "another horse".to_owned() }));
    all.push(("signup.invited", signup(None, code("abcde"))));
    all
}

#[test]
fn the_bytes_of_a_request_never_change() {
    let mut lines = String::new();
    for (name, asked) in all() {
        writeln!(lines, "{name} {}", hex::encode(asked.bytes())).expect("a string takes all");
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/requests.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, &lines).expect("the golden file can be written");
    }
    let known = std::fs::read_to_string(&file).expect("the golden file can be read");
    assert_eq!(lines, known, "a fingerprint changed: repeats of what is remembered would be refused");
}

#[test]
fn two_attempts_are_one_request_and_two_requests_are_not() {
    assert!(Asked::change(write(1)) == Asked::change(write(2)));
    assert!(Asked::refused(update(1)) == Asked::refused(update(2)));
    let mut bytes: Vec<_> = all().iter().map(|(_, asked)| asked.bytes()).collect();
    bytes.sort();
    bytes.dedup();
    assert_eq!(bytes.len(), all().len());
}
