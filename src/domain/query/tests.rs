//! Inventories and upkeep, over small clusters in memory.

mod cost;

use super::*;
use crate::domain::rows::SweepKind;
use crate::domain::terms::{FileRef, NewContent, PathRef, Receipt};
use crate::domain::{
    BlobId, ClusterId, Command, CopyAt, CopyId, Epoch, MemoryStore, Outcome, Permission, Proposal, RejectionKind,
    ServerUuid, Sha256, Stamped, apply, command,
};

const ADA: UserId = UserId(1);
const BOB: UserId = UserId(2);
const HOUR_MS: u64 = 60 * 60 * 1000;
const FIRST: Reporter = Reporter { server_id: ServerId(1), epoch: Epoch(1) };

/// A cluster with the accounts ada and bob and three servers.
struct Stage {
    store: MemoryStore,
    now: u64,
}

impl Stage {
    fn new() -> Self {
        let mut stage = Self { store: MemoryStore::new(), now: 0 };
        let policy = crate::domain::terms::Policy::default();
        stage.run(Command::Bootstrap(command::Bootstrap {
            cluster_id: ClusterId(1),
            name: "stage".to_owned(),
            policy,
        }));
        for name in ["ada", "bob"] {
            stage.run(Command::Signup(command::Signup { username: name.to_owned(), password_hash: "hash".to_owned() }));
        }
        for uuid in 1..=3 {
            stage.register(uuid);
        }
        stage
    }

    fn run(&mut self, command: Command) -> Outcome {
        let (at, wall) = (ClusterTime(self.now), WallTime(self.now));
        let stamped = Stamped { at, wall, proposal: Proposal { operation: None, command } };
        apply(&mut self.store, 1, &stamped).expect("no fault in memory").expect("the command is allowed")
    }

    fn register(&mut self, uuid: u128) {
        let (url, zone) = (format!("http://server{uuid}"), String::new());
        let uuid = ServerUuid(uuid);
        self.run(Command::RegisterServer(command::RegisterServer {
            uuid,
            url,
            zone,
            capacity: 0,
            last: None,
            next: None,
        }));
    }

    /// A file of ada's whose blob and copies have the id `id`.
    fn write(&mut self, id: u128, servers: [u64; 2]) -> FileId {
        let received_at = ClusterTime(self.now);
        let receipt =
            |server| Receipt { server_id: ServerId(server), epoch: Epoch(1), copy_id: CopyId(id), received_at };
        let content = NewContent {
            blob_id: BlobId(id),
            size: 10,
            sha256: Sha256([1; 32]),
            content_type: String::new(),
            receipts: servers.map(receipt).to_vec(),
        };
        let path = FilePath::parse(&format!("/{id}")).expect("a path");
        match self.run(Command::Write(command::Write { user: ADA, at: PathRef { owner: None, path }, content })) {
            Outcome::Stat(stat) => stat.file_id,
            other => panic!("a write was answered {other:?}"),
        }
    }

    fn report(&mut self, id: u128) {
        self.run(Command::Report(command::Report { copies: vec![at(id, id)] }));
    }

    fn down(&mut self, server: u64) {
        self.run(Command::ServerDown(command::ServerDown { server_id: ServerId(server), epoch: Epoch(1) }));
    }

    fn surplus(&self, held: &[Held]) -> Surplus {
        surplus(&self.store, FIRST, held).expect("no fault in memory").expect("not refused")
    }

    fn missing(&self, range: BlobRange, held: &[Held], limit: usize) -> Missing {
        missing(&self.store, FIRST, range, held, limit).expect("no fault in memory").expect("not refused")
    }

    fn upkeep(&self) -> Upkeep {
        upkeep(&self.store).expect("no fault in memory")
    }

    fn at_risk(&self, viewer: Viewer) -> Vec<AtRisk> {
        at_risk(&self.store, viewer).expect("no fault in memory")
    }
}

/// A copy on the first server.
fn at(blob: u128, copy: u128) -> CopyAt {
    CopyAt { server_id: ServerId(1), blob_id: BlobId(blob), copy_id: CopyId(copy) }
}

fn held(blob: u128, copy: u128, age_ms: u64) -> Held {
    Held { blob_id: BlobId(blob), copy: Some(HeldCopy { copy_id: CopyId(copy), age_ms }) }
}

fn ruined(blob: u128) -> Held {
    Held { blob_id: BlobId(blob), copy: None }
}

#[test]
fn what_no_record_names_is_an_orphan_once_it_is_old() {
    let mut stage = Stage::new();
    stage.write(1, [1, 2]);
    let held = [held(1, 1, 2 * HOUR_MS), held(2, 9, HOUR_MS), held(3, 9, HOUR_MS - 1)];
    assert_eq!(stage.surplus(&held), Surplus { orphans: vec![at(2, 9)], damaged: vec![] });
    stage.run(Command::Condemn(command::Condemn { copies: vec![at(2, 9)] }));
    assert_eq!(stage.surplus(&held), Surplus::default(), "what is listed is not listed again");
}

#[test]
fn another_copy_in_the_place_of_the_named_one_is_kept_and_the_named_one_is_missing() {
    let mut stage = Stage::new();
    stage.write(1, [1, 2]);
    let held = [held(1, 7, 2 * HOUR_MS)];
    assert_eq!(stage.surplus(&held), Surplus::default(), "it may be the only good one: a repair takes it over");
    assert_eq!(stage.missing(BlobRange::default(), &held, 100).copies, [at(1, 1)]);
}

#[test]
fn a_ruined_copy_is_reported_under_the_name_that_the_record_has_for_it() {
    let mut stage = Stage::new();
    stage.write(1, [1, 2]);
    let held = [ruined(1), ruined(2)];
    assert_eq!(stage.surplus(&held), Surplus { orphans: vec![at(2, 0)], damaged: vec![at(1, 1)] });
    assert_eq!(stage.missing(BlobRange::default(), &held, 100).copies, [], "it is known to be damaged");
    stage.report(1);
    assert_eq!(stage.surplus(&held).damaged, [], "it was reported before");
}

#[test]
fn what_is_missing_is_found_within_the_range_alone_and_page_by_page() {
    let mut stage = Stage::new();
    for id in 1..=6 {
        stage.write(id, if id == 4 { [2, 3] } else { [1, 2] });
    }
    let range = BlobRange { after: Some(BlobId(1)), through: Some(BlobId(5)) };
    let held = [held(3, 3, 0)];
    assert_eq!(stage.missing(range, &held, 100), Missing { copies: vec![at(2, 2), at(5, 5)], next: None });
    let first = stage.missing(range, &held, 2);
    assert_eq!(first, Missing { copies: vec![at(2, 2)], next: Some(BlobId(3)) });
    let rest = BlobRange { after: first.next, ..range };
    assert_eq!(stage.missing(rest, &held, 2), Missing { copies: vec![at(5, 5)], next: None });
    stage.report(5);
    assert_eq!(stage.missing(rest, &held, 2).copies, [], "it was reported before");
    let all = stage.missing(BlobRange::default(), &[], 100).copies;
    assert_eq!(all, [at(1, 1), at(2, 2), at(3, 3), at(6, 6)]);
}

#[test]
fn a_server_that_was_away_registers_before_it_reports() {
    let mut stage = Stage::new();
    stage.write(1, [1, 2]);
    stage.down(1);
    let refused = |stage: &Stage, reporter| {
        let refusal = surplus(&stage.store, reporter, &[]).expect("no fault in memory").expect_err("refused");
        assert_eq!(refusal.kind, RejectionKind::VersionConflict);
        assert!(missing(&stage.store, reporter, BlobRange::default(), &[], 9).expect("no fault in memory").is_err());
    };
    refused(&stage, FIRST);
    stage.register(1);
    refused(&stage, FIRST);
    refused(&stage, Reporter { server_id: ServerId(9), epoch: Epoch(1) });
    let back = Reporter { epoch: Epoch(2), ..FIRST };
    let found = missing(&stage.store, back, BlobRange::default(), &[], 9).expect("no fault in memory");
    assert_eq!(found.expect("not refused").copies, [], "copies of older epochs are the job's");
}

#[test]
fn a_sound_cluster_owes_nothing() {
    let mut stage = Stage::new();
    stage.write(1, [1, 2]);
    let upkeep = stage.upkeep();
    assert_eq!(upkeep, Upkeep { linger_ms: upkeep.linger_ms, ..Upkeep::default() });
    assert_eq!(stage.at_risk(Viewer::Admin), []);
}

#[test]
fn what_is_owed_is_counted_by_where_it_comes_from() {
    let mut stage = Stage::new();
    stage.write(1, [1, 2]);
    stage.write(2, [2, 3]);
    stage.write(3, [1, 3]);
    stage.now = 1_000;
    stage.report(1);
    stage.now = 2_000;
    stage.down(3);
    let upkeep = stage.upkeep();
    assert_eq!(upkeep.by_copies, [0, 1, 0, 0, 0, 0]);
    let counts = (upkeep.servers_down, upkeep.to_replace, upkeep.to_verify, upkeep.to_move, upkeep.bytes_left);
    assert_eq!(counts, (1, 2, 0, 0, 20));
    assert_eq!((upkeep.pending(), upkeep.oldest), (3, Some(ClusterTime(1_000))));

    stage.now = 3_000;
    stage.register(3);
    stage.run(Command::Drain(command::Drain { server_id: ServerId(2) }));
    let upkeep = stage.upkeep();
    let counts = (upkeep.servers_down, upkeep.to_replace, upkeep.to_verify, upkeep.to_move, upkeep.bytes_left);
    assert_eq!(counts, (0, 0, 2, 2, 20));
    assert_eq!(upkeep.pending(), 3);
    stage.run(Command::Condemn(command::Condemn { copies: vec![at(8, 8)] }));
    stage.run(Command::StartSweep(command::StartSweep { kind: SweepKind::Balance }));
    let upkeep = stage.upkeep();
    assert_eq!((upkeep.garbage, upkeep.sweeps.len(), upkeep.sweeps[0].0), (1, 1, SweepKind::Balance));
}

#[test]
fn files_at_risk_come_with_the_fewest_copies_first_and_named_for_their_readers() {
    let mut stage = Stage::new();
    stage.write(1, [1, 2]);
    let two = stage.write(2, [2, 3]);
    let three = stage.write(3, [1, 3]);
    stage.down(1);
    stage.down(3);
    let share = |file_id| {
        Command::Share(command::Share {
            user: ADA,
            file: FileRef::Id(file_id),
            with: "bob".to_owned(),
            permission: Permission::Read,
        })
    };
    stage.run(share(two));
    let all = stage.at_risk(Viewer::Admin);
    let brief: Vec<_> = all.iter().map(|file| file.copies).collect();
    assert_eq!((brief, all[0].file_id), (vec![0, 1, 1], three));
    let named = |files: &[AtRisk]| -> Vec<String> {
        let names = files.iter().filter_map(|file| file.name.as_ref());
        names.map(|(owner, path)| format!("{owner}:{path}")).collect()
    };
    assert_eq!(named(&all), ["ada:/3", "ada:/1", "ada:/2"]);
    assert_eq!(named(&stage.at_risk(Viewer::User(ADA))).len(), 3);
    let bobs = stage.at_risk(Viewer::User(BOB));
    assert_eq!((bobs.len(), named(&bobs)), (3, vec!["ada:/2".to_owned()]));
}
