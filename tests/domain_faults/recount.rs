//! Counters that do not add up are counted anew, whatever goes on meanwhile.

use std::collections::BTreeSet;

use proptest::prelude::*;
use ringmaster::domain::plan::{Observed, Task};
use ringmaster::domain::terms::{FileRef, NewContent, PathRef, Receipt};
use ringmaster::domain::{
    BlobId, ClusterTime, Command, CopyId, Epoch, FilePath, Outcome, ReadStore, RejectionKind, ServerId, Sha256, Store,
    Table, UserId, check, command, plan, query,
};

use crate::stage::Stage;

const ADA: UserId = UserId(1);
/// More than two batches at each server.
const FILES: u64 = 600;

/// A server's row without its counters: fields 9 to 11.
fn without_counters(row: &[u8]) -> Vec<u8> {
    fn varint(bytes: &[u8], at: &mut usize) -> usize {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = bytes[*at];
            *at += 1;
            value |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return value;
            }
        }
    }
    let (mut at, mut kept) = (1, vec![row[0]]);
    while at < row.len() {
        let start = at;
        let key = varint(row, &mut at);
        let value = varint(row, &mut at);
        at += if key & 7 == 2 { value } else { 0 };
        if !(9..=11).contains(&(key >> 3)) {
            kept.extend_from_slice(&row[start..at]);
        }
    }
    kept
}

fn content(stage: &Stage, blob: u64) -> NewContent {
    let receipt = |id| {
        let server = query::server(&stage.counting, ServerId(id)).expect("no fault").expect("it is known");
        Receipt {
            server_id: ServerId(id),
            epoch: server.epoch,
            copy_id: CopyId(blob.into()),
            received_at: ClusterTime(stage.now),
        }
    };
    NewContent {
        // Not in the order in which they were made, so that they come to lie before and behind the recount.
        blob_id: BlobId(u128::from(blob.wrapping_mul(0x9e37_79b9_7f4a_7c15))),
        size: 10 + blob % 7,
        sha256: Sha256([1; 32]),
        content_type: String::new(),
        receipts: [1 + blob % 2, 2 - blob % 2].map(receipt).to_vec(),
    }
}

fn at(file: u64) -> PathRef {
    PathRef { owner: None, path: FilePath::parse(&format!("/{file}")).expect("the path is valid") }
}

fn write(stage: &mut Stage, file: u64) {
    let content = content(stage, file);
    stage.run(command::Write { user: ADA, at: at(file), content }.into()).ok();
}

fn delete(stage: &mut Stage, file: u64) {
    let file = FileRef::Path(at(file));
    let delete = command::Delete {
        user: ADA,
        file,
        recursive: false,
        precondition: None,
        lock: None,
        permanently: true,
        break_locks: false,
    };
    stage.run(delete.into()).ok();
}

/// Two servers with many files, and nothing in the counters.
fn damaged() -> Stage {
    let mut stage = Stage::bootstrapped();
    stage.signup("a");
    stage.servers(2);
    for file in 0..FILES {
        write(&mut stage, file);
    }
    for (key, value) in stage.counting.scan(Table::Servers, &[], None, 10).expect("no fault") {
        stage.counting.put(Table::Servers, &key, &without_counters(&value)).expect("no fault");
    }
    stage
}

fn recounting(stage: &Stage) -> Vec<ServerId> {
    let servers = query::servers(&stage.counting).expect("no fault");
    servers.iter().filter(|server| server.recount.is_some()).map(|server| server.server_id).collect()
}

fn recounts(stage: &Stage) -> Vec<Command> {
    let observed = Observed { now: ClusterTime(stage.now), room: 10, suspect: BTreeSet::new(), ..Observed::default() };
    let tasks = plan(&stage.counting, &observed).expect("no fault").tasks;
    let of_it = |task| match task {
        Task::Propose(command @ Command::Recount(_)) => Some(command),
        _ => None,
    };
    tasks.into_iter().filter_map(of_it).collect()
}

fn assert_sound(stage: &Stage) {
    let broken = check(&stage.counting).expect("no fault");
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn a_counter_below_nothing_is_counted_anew_in_batches() {
    let mut stage = damaged();
    assert!(recounts(&stage).is_empty(), "nobody has noticed yet");
    delete(&mut stage, 0);
    assert_eq!(recounting(&stage), [ServerId(1), ServerId(2)]);
    assert_sound(&stage);
    // What they say is not believed meanwhile.
    stage.run(command::Drain { server_id: ServerId(1) }.into()).expect("it is known");
    let refusal = stage.run(command::RemoveServer { server_id: ServerId(1) }.into()).expect_err("it has files");
    assert_eq!(refusal.kind, RejectionKind::NotEmpty);
    for command in recounts(&stage) {
        let mut batches = 1;
        while let Outcome::Progress { more: true, rows } = stage.run(command.clone()).expect("it is taken") {
            assert_eq!(rows, 250);
            batches += 1;
        }
        assert_eq!(batches, 3);
        assert_sound(&stage);
    }
    assert!(recounting(&stage).is_empty() && recounts(&stage).is_empty());
    let server = query::server(&stage.counting, ServerId(1)).expect("no fault").expect("it is known");
    assert_eq!(server.named(), FILES - 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_changes_meanwhile_is_counted(steps in proptest::collection::vec((0..8_u8, 0..2 * FILES), 20..80)) {
        let mut stage = damaged();
        delete(&mut stage, 0);
        for (act, file) in steps {
            stage.now += 20_000;
            match act {
                0 => {
                    for command in recounts(&stage) {
                        stage.run(command).expect("it is taken");
                    }
                }
                1 => {
                    let (server_id, epoch) = (ServerId(1 + file % 2), Epoch(1 + file % 3));
                    stage.run(command::ServerDown { server_id, epoch }.into()).ok();
                }
                2 => {
                    stage.run(crate::stage::registration(file % 2)).ok();
                }
                3 => {
                    let content = content(&stage, file + 10_000 + stage.now);
                    let update = command::Update {
                        user: ADA,
                        file: FileRef::Path(at(file)),
                        content,
                        precondition: None,
                        lock: None,
                    };
                    stage.run(update.into()).ok();
                }
                4 | 5 => delete(&mut stage, file),
                _ => write(&mut stage, file),
            }
            if act < 3 {
                assert_sound(&stage);
            }
        }
        while !recounting(&stage).is_empty() {
            for command in recounts(&stage) {
                stage.run(command).expect("it is taken");
            }
        }
        assert_sound(&stage);
    }
}
