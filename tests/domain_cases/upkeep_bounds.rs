//! No command of failure and repair touches more than about a thousand rows, and none takes more than it says.

use ringmaster::domain::answer::Outcome;
use ringmaster::domain::rows::SweepKind;
use ringmaster::domain::terms::{MAX_COPIES_LISTED, MAX_REHOMES, NewContent, NewHome, Policy, Receipt, Slot};
use ringmaster::domain::{
    BlobId, ClusterTime, Command, CopyAt, CopyId, Epoch, ExtentAt, RejectionKind, ServerId, Sha256, command, query,
};

use crate::cluster::{ADA, Cluster, at};

const MAX_ROWS: usize = 1100;
const COPIES: u64 = 5;

fn receipt(server: u64, copy: u64) -> Receipt {
    Receipt { server_id: ServerId(server), epoch: Epoch(1), copy_id: CopyId(copy.into()), received_at: ClusterTime(0) }
}

fn copy(server: u64, file: u64) -> CopyAt {
    CopyAt { server_id: ServerId(server), blob_id: BlobId((1000 + file).into()), copy_id: CopyId((file * 10).into()) }
}

/// Ten servers, and so many files with five copies each, on the first five. Their copies are as `copy` says.
fn filled(files: u64) -> (Cluster, Vec<ExtentAt>) {
    let mut cluster = Cluster::new();
    for server in 3..=10 {
        cluster.server(server);
    }
    cluster.must(Command::SetPolicy(command::SetPolicy(Policy {
        copies: 5,
        rebalance_percent: 0,
        versions_keep: 0,
        trash_ms: 0,
        ..Policy::default()
    })));
    let mut ids = Vec::new();
    for file in 0..files {
        let content = NewContent {
            blob_id: copy(1, file).blob_id,
            size: 10,
            sha256: Sha256([1; 32]),
            content_type: String::new(),
            receipts: (1..=COPIES).map(|server| receipt(server, file * 10)).collect(),
        };
        match cluster.must(Command::Write(command::Write { user: ADA, at: at(&format!("/{file}")), content })) {
            Outcome::Stat(stat) => ids.push(stat.content.expect("a file").content_id.start()),
            other => panic!("a write was answered {other:?}"),
        }
    }
    (cluster, ids)
}

fn refused(cluster: &mut Cluster, command: Command) {
    let refusal = cluster.run(command).expect_err("it is out of bounds");
    assert_eq!(refusal.kind, RejectionKind::InvalidRequest);
}

#[test]
fn the_death_and_the_return_of_a_server_cost_the_same_however_many_files_it_held() {
    let touched = [0, 700].map(|files| {
        let (mut cluster, _) = filled(files);
        let mut touched = Vec::new();
        cluster.must(Command::ServerDown(command::ServerDown { server_id: ServerId(1), epoch: Epoch(1) }));
        touched.push(cluster.touched);
        let server = query::server(&cluster.store, ServerId(1)).expect("no fault").expect("it is known");
        assert_eq!(server.named(), files);
        cluster.server(1);
        touched.push(cluster.touched);
        for command in [
            Command::Drain(command::Drain { server_id: ServerId(1) }),
            Command::Undrain(command::Undrain { server_id: ServerId(1) }),
            Command::StartSweep(command::StartSweep { kind: SweepKind::Balance }),
            Command::StopSweep(command::StopSweep { kind: SweepKind::Balance }),
        ] {
            cluster.must(command);
            touched.push(cluster.touched);
        }
        cluster.sound();
        touched
    });
    assert_eq!(touched[0], touched[1]);
    assert!(touched[1].iter().all(|rows| *rows <= 5), "{touched:?}");
}

#[test]
fn a_batch_of_records_gets_all_its_copies_anew() {
    let (mut cluster, files) = filled(MAX_REHOMES as u64 + 1);
    let change = |(position, file): (u64, &ExtentAt)| NewHome {
        at: *file,
        blob_id: copy(1, position).blob_id,
        placement_rev: 1,
        slots: (6..=10).map(|server| Slot::Made(receipt(server, 7777))).collect(),
    };
    let changes: Vec<_> = (0..).zip(&files).map(change).collect();
    refused(&mut cluster, Command::Rehome(command::Rehome { changes: changes.clone() }));
    refused(&mut cluster, Command::Rehome(command::Rehome { changes: Vec::new() }));
    let outcome = cluster.must(Command::Rehome(command::Rehome { changes: changes[1..].to_vec() }));
    assert_eq!(outcome, Outcome::Rehomed { refused: Vec::new() });
    assert!(cluster.touched <= MAX_ROWS, "{}", cluster.touched);
    cluster.sound();
    // Again: each met another revision.
    let outcome = cluster.must(Command::Rehome(command::Rehome { changes: changes[1..].to_vec() }));
    assert_eq!(outcome, Outcome::Rehomed { refused: (0..MAX_REHOMES as u32).collect() });
}

#[test]
fn a_change_names_one_to_five_copies_each_on_another_server() {
    let (mut cluster, files) = filled(1);
    let mut tries = |slots: Vec<Slot>| {
        let change = NewHome { at: files[0], blob_id: copy(1, 0).blob_id, placement_rev: 1, slots };
        cluster.must(Command::Rehome(command::Rehome { changes: vec![change] }))
            == Outcome::Rehomed { refused: vec![0] }
    };
    let kept = |servers: &[u64]| servers.iter().map(|id| Slot::Kept(ServerId(*id))).collect::<Vec<_>>();
    assert!(tries(Vec::new()), "none");
    assert!(tries(kept(&[1, 2, 3, 4])), "one fewer than there were");
    assert!(tries(kept(&[1, 2, 3, 4, 4])), "one twice");
    assert!(tries(kept(&[1, 2, 3, 4, 6])), "one that is not there");
    assert!(tries([kept(&[1, 2, 3, 4, 5]), vec![Slot::Made(receipt(6, 1))]].concat()), "six");
    assert!(!tries(kept(&[5, 4, 3, 2, 1])), "the same in another order");
    cluster.sound();
}

#[test]
fn copies_are_listed_reported_and_entered_as_gone_in_batches() {
    let most = MAX_COPIES_LISTED as u64;
    let (mut cluster, _) = filled(most + 1);
    let named: Vec<_> = (0..=most).map(|file| copy(1, file)).collect();
    let orphans: Vec<_> = (0..=most).map(|file| copy(6, file)).collect();
    let kinds: [fn(Vec<CopyAt>) -> Command; 3] = [
        |copies| Command::Condemn(command::Condemn { copies }),
        |copies| Command::Deleted(command::Deleted { copies }),
        |copies| Command::Report(command::Report { copies }),
    ];
    for kind in kinds {
        refused(&mut cluster, kind(named.clone()));
        refused(&mut cluster, kind(Vec::new()));
    }
    let mut rows = |command, expected| {
        assert_eq!(cluster.must(command), Outcome::Progress { rows: expected, more: false });
        assert!(cluster.touched <= MAX_ROWS, "{}", cluster.touched);
        cluster.sound();
    };
    rows(Command::Condemn(command::Condemn { copies: named[1..].to_vec() }), 0);
    rows(Command::Condemn(command::Condemn { copies: orphans[1..].to_vec() }), 250);
    rows(Command::Deleted(command::Deleted { copies: orphans[1..].to_vec() }), 250);
    rows(Command::Deleted(command::Deleted { copies: orphans[1..].to_vec() }), 0);
    rows(Command::Report(command::Report { copies: named[1..].to_vec() }), 250);
    rows(Command::Report(command::Report { copies: named[1..].to_vec() }), 0);
}

#[test]
fn a_walk_owes_so_many_files_at_once() {
    let (mut cluster, files) = filled(MAX_COPIES_LISTED as u64 + 1);
    cluster.must(Command::SetPolicy(command::SetPolicy(Policy {
        copies: 3,
        rebalance_percent: 0,
        versions_keep: 0,
        trash_ms: 0,
        ..Policy::default()
    })));
    let since = query::signal(&cluster.store).expect("no fault").sweeps[0].expect("it has begun").0;
    let advance = |owed: &[ExtentAt]| {
        Command::AdvanceSweep(command::AdvanceSweep {
            kind: SweepKind::Copies,
            since,
            through: None,
            done: false,
            short: false,
            owed: owed.to_vec(),
        })
    };
    refused(&mut cluster, advance(&files));
    cluster.must(advance(&files[1..]));
    assert!(cluster.touched <= MAX_ROWS, "{}", cluster.touched);
    cluster.sound();
}

/// A late commit must not name what was deleted: the row stays as long as a receipt may.
#[test]
fn a_garbage_row_outlives_every_receipt_of_its_copy() {
    let mut cluster = Cluster::new();
    let policy =
        Policy { garbage_linger_ms: 1, garbage_grace_ms: 1, versions_keep: 0, trash_ms: 0, ..Policy::default() };
    cluster.must(Command::SetPolicy(command::SetPolicy(policy.clone())));
    let content = cluster.content();
    let copies: Vec<_> = (content.receipts.iter())
        .map(|made| CopyAt { server_id: made.server_id, blob_id: content.blob_id, copy_id: made.copy_id })
        .collect();
    cluster.must(Command::Condemn(command::Condemn { copies: copies.clone() }));
    cluster.must(Command::Deleted(command::Deleted { copies }));
    cluster.now = policy.receipt_ttl_ms;
    cluster.must(Command::Expire(command::Expire { limit: 100 }));
    let late = cluster.run(Command::Write(command::Write { user: ADA, at: at("/late"), content: content.clone() }));
    assert_eq!(late.expect_err("its copies are gone").kind, RejectionKind::StaleReceipt);
    cluster.now += 1;
    cluster.must(Command::Expire(command::Expire { limit: 100 }));
    let late = cluster.run(Command::Write(command::Write { user: ADA, at: at("/late"), content }));
    assert_eq!(late.expect_err("its receipts are too old").kind, RejectionKind::StaleReceipt);
    cluster.sound();
}
