//! What queries read, counted.

use std::cell::Cell;

use crate::domain::query::budget::MAX_READS;
use crate::domain::query::*;
use crate::domain::store::Row;
use crate::domain::terms::{FileRef, NewContent, PathRef, Policy, Receipt};
use crate::domain::{
    BlobId, ClusterId, Command, CopyId, Epoch, MemoryStore, Outcome, Permission, Proposal, ReadStore, ServerUuid,
    Sha256, Stamped, Table, apply, command,
};

const ADA: UserId = UserId(1);
const BOB: UserId = UserId(2);
/// What one step of a query may read beyond its budget: a path of 128 components, twice, and what is found there.
const STEP: usize = 2 * 128 + 64;

/// Counts gets and rows.
struct Counting<'a>(&'a MemoryStore, Cell<usize>);

impl ReadStore for Counting<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        self.1.set(self.1.get() + 1);
        self.0.get(table, key)
    }

    fn scan(&self, table: Table, from: &[u8], to: Option<&[u8]>, limit: usize) -> Result<Vec<Row>, Fault> {
        let rows = self.0.scan(table, from, to, limit)?;
        self.1.set(self.1.get() + 1 + rows.len());
        Ok(rows)
    }
}

struct Stage(MemoryStore);

impl Stage {
    fn new() -> Self {
        let mut stage = Self(MemoryStore::new());
        stage.run(Command::Bootstrap(command::Bootstrap {
            cluster_id: ClusterId(1),
            name: "cost".to_owned(),
            policy: Policy { versions_keep: 0, trash_ms: 0, ..Policy::default() },
        }));
        for name in ["ada", "bob"] {
            stage.run(Command::Signup(command::Signup { username: name.to_owned(), password_hash: "hash".to_owned() }));
        }
        let (url, zone) = ("http://server".to_owned(), String::new());
        stage.run(Command::RegisterServer(command::RegisterServer {
            uuid: ServerUuid(1),
            url,
            zone,
            capacity: 0,
            last: None,
            next: None,
        }));
        stage
    }

    fn run(&mut self, command: Command) -> Outcome {
        let proposal = Proposal { operation: None, command };
        let stamped = Stamped { at: ClusterTime(0), wall: WallTime(0), proposal };
        apply(&mut self.0, 1, &stamped).expect("no fault in memory").expect("the command is allowed")
    }

    fn path(path: &str) -> PathRef {
        PathRef { owner: None, path: FilePath::parse(path).expect("a path") }
    }

    fn write(&mut self, path: &str) -> FileId {
        let id = u128::from(self.0.rows().count() as u64);
        let (server_id, epoch, copy_id) = (ServerId(1), Epoch(1), CopyId(id));
        let receipts = vec![Receipt { server_id, epoch, copy_id, received_at: ClusterTime(0) }];
        let content =
            NewContent { blob_id: BlobId(id), size: 1, sha256: Sha256([0; 32]), content_type: String::new(), receipts };
        match self.run(Command::Write(command::Write { user: ADA, at: Self::path(path), content })) {
            Outcome::Stat(stat) => stat.file_id,
            other => panic!("a write was answered {other:?}"),
        }
    }

    fn mkdir(&mut self, path: &str) {
        self.run(Command::Mkdir(command::Mkdir { user: ADA, at: Self::path(path) }));
    }

    /// The answer, and what it read.
    fn ask<T: std::fmt::Debug>(&self, ask: impl FnOnce(&dyn ReadStore) -> Asked<T>) -> (T, usize) {
        let store = Counting(&self.0, Cell::new(0));
        let answer = ask(&store).expect("no fault in memory").expect("it is allowed");
        (answer, store.1.get())
    }
}

fn paths(page: &Page) -> Vec<String> {
    page.stats.iter().map(|stat| stat.path.to_string()).collect()
}

/// As many as a test that is run often may make; 300,000 are the same.
const EMPTY: usize = 10_500;

#[test]
fn all_beside_empty_directories_costs_what_it_costs_without_them() {
    let mut stage = Stage::new();
    for number in 0..100 {
        stage.write(&format!("/d{:02}/file{number:02}", number % 10));
    }
    stage.write("/last");
    let (before, reads) = stage.ask(|store| all(store, ADA, None, None, 1000));
    assert_eq!(before.stats.len(), 101);
    for number in 0..EMPTY {
        // Before, between and behind those with files, and below them.
        let at = ["/c", "/d05/", "/d05x", "/e/f/g"][number % 4];
        stage.mkdir(&format!("{at}{number}"));
    }
    let (after, beside) = stage.ask(|store| all(store, ADA, None, None, 1000));
    assert_eq!((paths(&after), after.next), (paths(&before), None));
    assert_eq!(beside, reads);
    // The same for a directory that once had files, and for one that was moved, and one below which all is deleted.
    stage.run(Command::Move(command::Move {
        user: ADA,
        from: FileRef::Path(Stage::path("/d05")),
        to: Stage::path("/z/y"),
        lock: None,
        break_locks: false,
    }));
    for path in ["/d06", "/z/y/file05", "/z/y/file15"] {
        let file = FileRef::Path(Stage::path(path));
        stage.run(Command::Delete(command::Delete {
            user: ADA,
            file,
            recursive: true,
            precondition: None,
            lock: None,
            permanently: false,
            break_locks: false,
        }));
    }
    let (rest, reads) = stage.ask(|store| all(store, ADA, None, None, 1000));
    assert_eq!(rest.stats.len(), 101 - 10 - 2);
    assert!(paths(&rest).contains(&"/z/y/file25".to_owned()), "{:?}", paths(&rest));
    assert!(reads < beside + 10, "{reads}, {beside}");
    assert_eq!(crate::domain::check(&stage.0).expect("it can be read"), []);
}

#[test]
fn a_query_ends_when_its_budget_is_spent_and_goes_on_from_there() {
    let mut stage = Stage::new();
    let deep: String = (0..60).map(|level| format!("/{level}")).collect();
    for number in 0..300 {
        let file_id = stage.write(&format!("{deep}/{number:03}"));
        let file = FileRef::Id(file_id);
        stage.run(Command::Share(command::Share {
            user: ADA,
            file,
            with: "bob".to_owned(),
            permission: Permission::Write,
        }));
        stage.run(Command::Lock(command::Lock {
            user: BOB,
            file: FileRef::Id(file_id),
            ttl_ms: 60_000,
            mac_hash: Sha256([number as u8; 32]),
        }));
    }
    // Each file that was shared by itself costs its path, up and down.
    let (mut cursor, mut files, mut pages) = (None::<String>, 0, 0);
    loop {
        let (page, reads) = stage.ask(|store| all(store, BOB, None, cursor.as_deref(), 1000));
        assert!(reads <= MAX_READS + STEP, "{reads}");
        (files, pages) = (files + page.stats.len(), pages + 1);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(files, 300);
    assert!(pages > 2, "{pages}");
    let (mut cursor, mut held, mut pages) = (None::<String>, 0, 0);
    loop {
        let (page, reads) = stage.ask(|store| locks(store, BOB, cursor.as_deref(), 1000));
        assert!(reads <= MAX_READS + STEP, "{reads}");
        (held, pages) = (held + page.locks.len(), pages + 1);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(held, 300);
    assert!(pages > 2, "{pages}");
    // Those that name one file are bounded by its path.
    let file = FileRef::Path(Stage::path(&format!("{deep}/000")));
    let (_, reads) = stage.ask(|store| stat(store, ADA, &file));
    assert!(reads <= STEP, "{reads}");
}

#[test]
fn whether_a_directory_is_empty_takes_one_read() {
    let mut stage = Stage::new();
    for number in 0..50 {
        stage.write(&format!("/d/{number}"));
    }
    let has_children = |stage: &Stage, id| {
        let store = Counting(&stage.0, Cell::new(0));
        (crate::domain::tables::has_children(&store, id).expect("no fault"), store.1.get())
    };
    let (found, _) = stage.ask(|store| stat(store, ADA, &FileRef::Path(Stage::path("/d"))));
    assert_eq!(has_children(&stage, found.file_id), (true, 1));
    for number in 0..50 {
        let file = FileRef::Path(Stage::path(&format!("/d/{number}")));
        stage.run(Command::Delete(command::Delete {
            user: ADA,
            file,
            recursive: false,
            precondition: None,
            lock: None,
            permanently: false,
            break_locks: false,
        }));
    }
    assert_eq!(has_children(&stage, found.file_id), (false, 1));
    assert_eq!(crate::domain::check(&stage.0).expect("it can be read"), []);
}
