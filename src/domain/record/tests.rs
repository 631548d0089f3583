//! The bytes of each record, held by `tests/golden/records.txt`. A line there may be added; one that changes breaks
//! every disk that was written before. `UPDATE_GOLDEN=1` writes the file anew.

mod accounts;
mod member_keys;
mod operations;
mod parts;
mod properties;
mod reading;
mod retention;
mod uploads;
mod versions;

use self::versions::{extent, place};

use std::fmt::Debug;
use std::fmt::Write as _;
use std::path::Path;

use super::*;
use crate::domain::answer::{Access, ContentStat, LockStat, ReplicaStat, Stat};
use crate::domain::rows::{
    Children, ClusterInfo, Cursor, Entry, EntryKind, Garbage, GrantRow, Hold, Lock, Nothing, Number, Placement,
    Recount, Repair, RepairReason, Restore, RingOrder, Server, ServerState, Span, Sweep, SweepKind, Tally, Token, User,
};
use crate::domain::terms::{
    Etag, FileRef, LockProof, NewContent, NewHome, Operation, PathRef, Policy, Precondition, Receipt, RestoredRow, Slot,
};
use crate::domain::{
    Answer, BlobId, ClusterId, ClusterTime, Command, ContentId, CopyAt, CopyId, Epoch, ExtentAt, Fence, FileId,
    FilePath, HoldId, Incarnation, Outcome, Permission, Rejection, RejectionKind, Replica, Schema, ServerId,
    ServerUuid, Sha256, Table, UserId, Version, WallTime, check_frame, decode_answer, stamp,
};
use crate::domain::{Proposal, Stamped, command};

struct Golden {
    lines: String,
}

impl Golden {
    fn add<R: Record + PartialEq + Debug>(&mut self, name: &str, record: &R) {
        let bytes = record.to_bytes();
        assert_eq!(&R::from_bytes(&bytes).expect("what was written can be read"), record, "{name}");
        writeln!(self.lines, "{name} {}", hex::encode(bytes)).expect("a string takes all");
    }

    fn command(&mut self, name: &str, command: Command) {
        self.add(&format!("command.{name}"), &Proposal { operation: None, command });
    }

    fn answer(&mut self, name: &str, answer: Answer) {
        self.add(&format!("answer.{name}"), &answer);
    }
}

fn digest(byte: u8) -> Sha256 {
    Sha256([byte; 32])
}

fn path(text: &str) -> FilePath {
    FilePath::parse(text).expect("the path is valid")
}

fn at() -> PathRef {
    PathRef { owner: Some("ada".to_owned()), path: path("/docs/plan") }
}

/// One that keeps nothing and moves nothing, from before there were extents.
fn old_policy() -> Policy {
    Policy {
        rebalance_percent: 0,
        versions_keep: 0,
        versions_ms: 0,
        trash_ms: 0,
        extent_bytes: 0,
        part_min_bytes: 0,
        ..Policy::default()
    }
}

fn proof() -> LockProof {
    LockProof { fence: Fence(9), mac_hash: digest(9) }
}

fn new_content() -> NewContent {
    let receipt = |server| Receipt {
        server_id: ServerId(server),
        epoch: Epoch(2),
        copy_id: CopyId(u128::from(server) << 100),
        received_at: ClusterTime(1234),
    };
    NewContent {
        blob_id: BlobId(0xb10b),
        size: 1 << 40,
        sha256: digest(1),
        content_type: "text/plain".to_owned(),
        receipts: vec![receipt(1), receipt(2)],
    }
}

fn entry(kind: EntryKind) -> Entry {
    Entry {
        file_id: FileId(12),
        parent: FileId(2),
        name: "plän".to_owned(),
        owner: UserId(1),
        created_at: WallTime(1_800_000_000_000),
        modified_at: WallTime(1_800_000_000_001),
        kind,
        properties: None,
    }
}

fn stat(content: bool) -> Stat {
    Stat {
        file_id: FileId(12),
        path: path("/docs/plan"),
        owner: "ada".to_owned(),
        owner_id: UserId(1),
        access: Access::Write,
        created_at: WallTime(1),
        modified_at: WallTime(2),
        content: content.then(|| ContentStat {
            version: Version(3),
            size: 77,
            sha256: Some(digest(1)),
            content_type: String::new(),
            content_id: ContentId(6),
            extents: 1,
            blob_id: BlobId(5),
            replicas: vec![ReplicaStat { server_id: ServerId(1), epoch: Epoch(2), copy_id: CopyId(3), counts: true }],
        }),
        lock: content.then(|| LockStat {
            owner: "bob".to_owned(),
            fence: Fence(8),
            expires_at: WallTime(3),
            deadline: ClusterTime(4),
        }),
    }
}

fn rows(golden: &mut Golden) {
    golden.add("row.directory", &entry(EntryKind::Directory(Span { components: 2, bytes: 30 })));
    versions::rows(golden);
    retention::rows(golden);
    properties::rows(golden);
    golden.add("row.number", &Number(300));
    golden.add("row.number.zero", &Number(0));
    golden.add("row.nothing", &Nothing {});
    golden.add("row.mark", &Cursor(vec![1, 2, 3]));
    golden.add("row.ring", &RingOrder(vec![ServerId(3), ServerId(1)]));
    golden.add("row.placement", &Placement { at: place(), copy_id: CopyId(3) });
    golden.add("row.grant.read", &GrantRow(Permission::Read));
    golden.add("row.grant.write", &GrantRow(Permission::Write));
    golden.add("row.policy", &old_policy());
    golden.add("row.policy.rebalance", &Policy { extent_bytes: 0, part_min_bytes: 0, ..Policy::default() });
    let sweep = Sweep { since: ClusterTime(5), through: Some(place()), short: true, resting: true, again: false };
    golden.add("row.sweep", &sweep);
    golden.add("row.sweep.again", &Sweep { again: true, ..sweep });
    golden.add("row.replica.damaged", &Replica { damaged: true, ..extent().replicas[0] });
    golden.add("row.cluster", &ClusterInfo { cluster_id: ClusterId(1 << 127), name: "local".to_owned() });
    golden.add(
        "row.user",
        &User {
            user_id: UserId(1),
            username: "ada".to_owned(),
            password_hash: "$argon2id$v=19$".to_owned(),
            admin: true,
            root: FileId(2),
            created_at: WallTime(7),
            disabled: false,
            code: None,
        },
    );
    golden.add("row.session", &accounts::session());
    golden.add(
        "row.lock",
        &Lock {
            owner: UserId(1),
            mac_hash: digest(4),
            fence: Fence(8),
            ttl_ms: 60_000,
            expires_at: ClusterTime(9),
            wall_expires_at: WallTime(10),
            tree: UserId(2),
        },
    );
    let server = |state, down_since| Server {
        server_id: ServerId(1),
        uuid: ServerUuid(0xabc),
        url: "http://127.0.0.1:3031".to_owned(),
        zone: "a".to_owned(),
        epoch: Epoch(2),
        state,
        full: true,
        capacity: 1 << 40,
        primaries: 3,
        backups: 4,
        bytes: 5,
        stale: 0,
        down_since,
        changed_at: ClusterTime(0),
        flaps: 0,
        incarnation: None,
        previous: None,
        leaving: false,
        recount: None,
    };
    let leaving = Server {
        stale: 7,
        changed_at: ClusterTime(8),
        flaps: 9,
        incarnation: Some(Incarnation(10)),
        leaving: true,
        ..server(ServerState::Draining, None)
    };
    golden.add("row.server.leaving", &leaving);
    let tally = Tally { primaries: 1, backups: 2, bytes: 3, stale: 4 };
    let recount = |through| Some(Recount { through, tally });
    golden.add("row.server.recount", &Server { recount: recount(Some(BlobId(5))), ..leaving.clone() });
    golden.add("row.server.recount.new", &Server { recount: Some(Recount::default()), ..leaving.clone() });
    golden.add("row.server.again", &Server { previous: Some(Incarnation(9)), ..leaving });
    golden.add("row.server.up", &server(ServerState::Up, None));
    golden.add("row.server.down", &server(ServerState::Down, Some(WallTime(6))));
    golden.add("row.server.draining", &server(ServerState::Draining, None));
    golden.add("row.garbage", &Garbage { since: ClusterTime(1), deleted_at: None });
    golden.add("row.garbage.deleted", &Garbage { since: ClusterTime(1), deleted_at: Some(ClusterTime(0)) });
    golden.add("row.repair.short", &Repair { reason: RepairReason::ShortWrite, since: ClusterTime(1) });
    golden.add("row.repair.bad", &Repair { reason: RepairReason::BadCopy, since: ClusterTime(1) });
    golden.add("row.hold", &Hold { since: ClusterTime(1), expires_at: ClusterTime(2) });
    retention::restored(golden);
    accounts::rows(golden);
    operations::add(golden);
    uploads::rows(golden);
    parts::rows(golden);
    member_keys::rows(golden);
}

fn commands(golden: &mut Golden) {
    let user = UserId(1);
    let by_id = || FileRef::Id(FileId(12));
    let by_path = || FileRef::Path(at());
    golden.add(
        "stamped",
        &Stamped {
            at: ClusterTime(1),
            wall: WallTime(2),
            proposal: Proposal {
                operation: Some(Operation {
                    user,
                    id: "key".to_owned(),
                    fingerprint: digest(3),
                    ttl_ms: 0,
                    from: String::new(),
                }),
                command: Command::Expire(command::Expire { limit: 10 }),
            },
        },
    );
    let policy = Policy { copies: 5, ..old_policy() };
    golden.command(
        "bootstrap",
        Command::Bootstrap(command::Bootstrap {
            cluster_id: ClusterId(1),
            name: "local".to_owned(),
            policy: old_policy(),
        }),
    );
    golden.command("set_policy", Command::SetPolicy(command::SetPolicy(policy)));
    golden.command(
        "signup",
        Command::Signup(command::Signup { username: "ada".to_owned(), password_hash: "$argon2id$".to_owned() }),
    );
    golden.command("open_session", Command::OpenSession(command::OpenSession { user, token_hash: digest(1) }));
    golden.command("close_session", Command::CloseSession(command::CloseSession { token_hash: digest(1) }));
    golden.command("mkdir", Command::Mkdir(command::Mkdir { user, at: at() }));
    golden.command(
        "mkdir.root",
        Command::Mkdir(command::Mkdir { user, at: PathRef { owner: None, path: FilePath::default() } }),
    );
    golden.command("write", Command::Write(command::Write { user, at: at(), content: new_content() }));
    golden.command(
        "update",
        Command::Update(command::Update {
            user,
            file: by_id(),
            content: new_content(),
            precondition: Some(Precondition {
                exists: false,
                one_of: vec![Etag { file_id: FileId(12), version: Version(3) }],
            }),
            lock: Some(proof()),
        }),
    );
    golden.command(
        "update.exists",
        Command::Update(command::Update {
            user,
            file: by_path(),
            content: new_content(),
            precondition: Some(Precondition { exists: true, one_of: Vec::new() }),
            lock: None,
        }),
    );
    golden.command(
        "move",
        Command::Move(command::Move { user, from: by_path(), to: at(), lock: Some(proof()), break_locks: false }),
    );
    golden.command(
        "delete",
        Command::Delete(command::Delete {
            user,
            file: by_id(),
            recursive: true,
            precondition: Some(Precondition { exists: false, one_of: Vec::new() }),
            lock: Some(proof()),
            permanently: false,
            break_locks: false,
        }),
    );
    versions::commands(golden);
    retention::commands(golden);
    properties::commands(golden);
    golden.command(
        "share",
        Command::Share(command::Share { user, file: by_id(), with: "bob".to_owned(), permission: Permission::Write }),
    );
    golden.command("unshare", Command::Unshare(command::Unshare { user, file: by_path(), with: "bob".to_owned() }));
    golden.command("lock", Command::Lock(command::Lock { user, file: by_id(), ttl_ms: 60_000, mac_hash: digest(4) }));
    golden.command("renew", Command::Renew(command::Renew { user, lock: proof(), ttl_ms: 60_000 }));
    golden.command("unlock", Command::Unlock(command::Unlock { user, lock: proof() }));
    golden.command("expire", Command::Expire(command::Expire { limit: 250 }));
    golden.command("reap", Command::Reap(command::Reap { limit: 250, ..Default::default() }));
    golden.command(
        "register_server",
        Command::RegisterServer(command::RegisterServer {
            uuid: ServerUuid(5),
            url: "http://127.0.0.1:3031".to_owned(),
            zone: "a".to_owned(),
            capacity: 6,
            last: None,
            next: None,
        }),
    );
    golden.command(
        "register_server.again",
        Command::RegisterServer(command::RegisterServer {
            uuid: ServerUuid(5),
            url: "http://127.0.0.1:3031".to_owned(),
            zone: String::new(),
            capacity: 6,
            last: Some(Incarnation(7)),
            next: Some(Incarnation(8)),
        }),
    );
    golden.command("server_down", Command::ServerDown(command::ServerDown { server_id: ServerId(1), epoch: Epoch(2) }));
    golden.command(
        "server_full",
        Command::ServerFull(command::ServerFull { server_id: ServerId(1), epoch: Epoch(2), full: true }),
    );
    upkeep(golden);
    backup(golden);
    uploads::commands(golden);
    parts::commands(golden);
    member_keys::commands(golden);
    accounts::commands(golden);
}

fn upkeep(golden: &mut Golden) {
    let receipt = Receipt { server_id: ServerId(2), epoch: Epoch(3), copy_id: CopyId(4), received_at: ClusterTime(5) };
    let change = NewHome {
        at: place(),
        blob_id: BlobId(0xb10b),
        placement_rev: 6,
        slots: vec![Slot::Kept(ServerId(1)), Slot::Made(receipt)],
    };
    golden.command("rehome", Command::Rehome(command::Rehome { changes: vec![change] }));
    let copies = vec![CopyAt { server_id: ServerId(1), blob_id: BlobId(2), copy_id: CopyId(3) }];
    golden.command("condemn", Command::Condemn(command::Condemn { copies: copies.clone() }));
    golden.command("deleted", Command::Deleted(command::Deleted { copies: copies.clone() }));
    golden.command("report", Command::Report(command::Report { copies }));
    golden.command("drain", Command::Drain(command::Drain { server_id: ServerId(1) }));
    golden.command("undrain", Command::Undrain(command::Undrain { server_id: ServerId(1) }));
    golden.command("remove_server", Command::RemoveServer(command::RemoveServer { server_id: ServerId(1) }));
    golden.command("start_sweep", Command::StartSweep(command::StartSweep { kind: SweepKind::Copies }));
    golden.command("stop_sweep", Command::StopSweep(command::StopSweep { kind: SweepKind::Balance }));
    golden.command(
        "advance_sweep",
        Command::AdvanceSweep(command::AdvanceSweep {
            kind: SweepKind::Balance,
            since: ClusterTime(7),
            through: Some(place()),
            done: true,
            short: true,
            owed: vec![ContentId(3).start(), place()],
        }),
    );
}

fn backup(golden: &mut Golden) {
    let (hold_id, backup) = (HoldId(1 << 100), digest(5));
    golden.command("hold", Command::Hold(command::Hold { hold_id, ttl_ms: 60_000, renew: false }));
    golden.command("hold.renew", Command::Hold(command::Hold { hold_id, ttl_ms: 60_000, renew: true }));
    golden.command("release", Command::Release(command::Release { hold_id }));
    let row = RestoredRow { table: Table::Users, key: vec![1, 2], value: vec![3] };
    golden.command("restore", Command::Restore(command::Restore { backup, rows: vec![row], taken_at: ClusterTime(5) }));
    golden.command(
        "restore_content",
        Command::RestoreContent(command::RestoreContent {
            backup,
            content_id: ContentId(6),
            row: vec![1, 4],
            content: new_content(),
        }),
    );
    golden.command("recount", Command::Recount(command::Recount { server_id: ServerId(1) }));
    golden.command(
        "restore_done",
        Command::RestoreDone(command::RestoreDone {
            backup,
            entries: 1,
            users: 2,
            grants: 3,
            contents: 4,
            versions: 5,
            trash: 6,
            retentions: 0,
            properties: 0,
        }),
    );
}

fn answers(golden: &mut Golden) {
    golden.answer("done", Ok(Outcome::Done));
    golden.answer("user", Ok(Outcome::User { user_id: UserId(1), username: "ada".to_owned(), admin: true }));
    golden.answer("session", Ok(Outcome::Session { expires_at: WallTime(5) }));
    golden.answer("stat.file", Ok(Outcome::Stat(Box::new(stat(true)))));
    golden.answer("stat.directory", Ok(Outcome::Stat(Box::new(stat(false)))));
    golden.answer(
        "granted",
        Ok(Outcome::Granted { file_id: FileId(12), username: "bob".to_owned(), permission: Permission::Read }),
    );
    golden.answer("locked", Ok(Outcome::Locked { file_id: FileId(12), fence: Fence(8), expires_at: WallTime(5) }));
    golden.answer("server", Ok(Outcome::Server { server_id: ServerId(1), epoch: Epoch(2) }));
    golden.answer("progress", Ok(Outcome::Progress { rows: 3, more: true }));
    golden.answer("rehomed", Ok(Outcome::Rehomed { refused: vec![0, 300] }));
    let kinds = [
        RejectionKind::InvalidRequest,
        RejectionKind::InvalidPath,
        RejectionKind::Unauthenticated,
        RejectionKind::Forbidden,
        RejectionKind::NotFound,
        RejectionKind::AlreadyExists,
        RejectionKind::NotEmpty,
        RejectionKind::VersionConflict,
        RejectionKind::IdempotencyKeyReused,
        RejectionKind::Locked,
        RejectionKind::TooManyRequests,
        RejectionKind::NoFileServer,
        RejectionKind::StorageFull,
        RejectionKind::StaleReceipt,
        RejectionKind::StaleState,
        RejectionKind::Restoring,
        RejectionKind::QuotaExceeded,
        RejectionKind::ChangeUnderWay,
    ];
    for kind in kinds {
        golden.answer(&format!("rejected.{kind:?}"), Err(Rejection { kind, detail: "why".to_owned() }));
    }
    uploads::answers(golden);
}

#[test]
fn records_keep_their_bytes() {
    let mut golden = Golden { lines: String::new() };
    rows(&mut golden);
    commands(&mut golden);
    answers(&mut golden);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/records.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, &golden.lines).expect("the golden file can be written");
    }
    let kept = std::fs::read_to_string(&file).expect("the golden file is there");
    for (kept, now) in kept.lines().zip(golden.lines.lines()) {
        assert_eq!(kept, now);
    }
    assert_eq!(kept.lines().count(), golden.lines.lines().count());
}
