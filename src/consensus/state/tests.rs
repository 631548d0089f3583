use std::path::Path;
use std::time::{Duration, Instant};

use rocksdb::perf::{PerfContext, PerfMetric, PerfStatsLevel, set_perf_stats};
use rocksdb::{DB, Options};

use super::super::machine::tests::Registers;
use super::super::records::AppliedRecord;
use super::super::types::{LeaderId, LogId, StoredMembership};
use super::super::{files, rocks};
use super::StateStore;
use super::in_memory::MemoryTables;
use crate::domain::{ReadStore, Table};

/// Where a test's state lies: it is opened there again and again.
trait Home {
    fn new() -> Self;

    fn open(&self) -> StateStore;

    /// How many generations there are.
    fn generations(&self) -> usize;
}

impl Home for tempfile::TempDir {
    fn new() -> Self {
        tempfile::tempdir().unwrap()
    }

    fn open(&self) -> StateStore {
        open(self.path())
    }

    fn generations(&self) -> usize {
        // Beside them is the file that names one.
        files::list_names(self.path()).unwrap().len() - 1
    }
}

impl Home for MemoryTables {
    fn new() -> Self {
        Self::new()
    }

    fn open(&self) -> StateStore {
        Self::open(self, &Registers).unwrap()
    }

    fn generations(&self) -> usize {
        Self::generations(self)
    }
}

/// Each of these once on a disk and once in memory.
macro_rules! over_both_media {
    ($($name:ident),* $(,)?) => {
        mod on_disk {
            $(#[test] fn $name() { super::$name::<tempfile::TempDir>(); })*
        }

        mod in_memory {
            $(#[test] fn $name() { super::$name::<super::MemoryTables>(); })*
        }
    };
}

over_both_media!(
    a_view_shows_one_state_whatever_is_written_after,
    a_replaced_database_serves_its_last_reader_and_is_gone_then,
    a_snapshot_that_is_not_what_it_says_is_not_installed,
    rows_held_in_memory_are_those_of_the_medium,
);

fn open(dir: &Path) -> StateStore {
    StateStore::open(&rocks::Shared::new(), dir.to_owned(), 1, &Registers).unwrap()
}

/// A checkpoint of a state with one row, in a directory that it is given.
fn checkpoint_of<H: Home>(dir: &tempfile::TempDir, key: &[u8], index: u64) -> std::path::PathBuf {
    let home = H::new();
    let source = home.open();
    put(&source, key, index);
    let checkpoint = dir.path().join("checkpoint");
    source.db().checkpoint(&checkpoint).unwrap();
    checkpoint
}

fn mark(index: u64) -> AppliedRecord {
    AppliedRecord::new(Some(&LogId::new(LeaderId { term: 1, node_id: 1 }, index)), &StoredMembership::default())
}

fn put(store: &StateStore, key: &[u8], index: u64) {
    let row = (Table::Names, key.to_vec(), Some(b"value".to_vec()));
    store.db().write(std::iter::once(row), &mark(index), None).unwrap();
}

fn has(store: &StateStore, key: &[u8]) -> bool {
    store.db().view().get(Table::Names, key).unwrap().is_some()
}

fn a_view_shows_one_state_whatever_is_written_after<H: Home>() {
    let home = H::new();
    let store = home.open();
    for (index, key) in [b"a", b"b", b"d"].into_iter().enumerate() {
        put(&store, key, index as u64);
    }
    let db = store.db();
    let view = db.view();
    put(&store, b"c", 9);
    let keys = |rows: Vec<(Vec<u8>, Vec<u8>)>| rows.into_iter().map(|(key, _)| key).collect::<Vec<_>>();
    assert_eq!(keys(view.scan(Table::Names, b"b", None, 10).unwrap()), [b"b".to_vec(), b"d".to_vec()]);
    assert_eq!(keys(view.scan(Table::Names, b"a", Some(b"d"), 10).unwrap()), [b"a".to_vec(), b"b".to_vec()]);
    assert_eq!(keys(db.view().scan(Table::Names, b"", None, 2).unwrap()), [b"a".to_vec(), b"b".to_vec()]);
    assert_eq!(view.scan(Table::Names, b"d", Some(b"a"), 10).unwrap(), []);
    assert!(db.latest().get(Table::Names, b"c").unwrap().is_some());
}

fn a_replaced_database_serves_its_last_reader_and_is_gone_then<H: Home>() {
    let (home, dir) = (H::new(), tempfile::tempdir().unwrap());
    let store = home.open();
    put(&store, b"old", 1);
    let checkpoint = checkpoint_of::<H>(&dir, b"new", 7);
    let reader = store.db();
    store.replace(&checkpoint, &mark(7), &Registers).unwrap();
    assert!(has(&store, b"new") && !has(&store, b"old"));
    assert_eq!(store.applied().index, Some(7));
    assert!(reader.view().get(Table::Names, b"old").unwrap().is_some());
    assert_eq!(home.generations(), 2);
    drop(reader);
    assert_eq!(home.generations(), 1);
    drop(store);
    assert!(has(&home.open(), b"new"));
}

fn a_snapshot_that_is_not_what_it_says_is_not_installed<H: Home>() {
    let (home, dir) = (H::new(), tempfile::tempdir().unwrap());
    let store = home.open();
    put(&store, b"old", 1);
    let checkpoint = checkpoint_of::<H>(&dir, b"new", 7);
    assert!(store.replace(&checkpoint, &mark(8), &Registers).is_err());
    assert!(has(&store, b"old"));
    drop(store);
    assert!(has(&home.open(), b"old"));
    assert_eq!(home.generations(), 1);
}

fn rows_held_in_memory_are_those_of_the_medium<H: Home>() {
    let (home, dir) = (H::new(), tempfile::tempdir().unwrap());
    let same = |store: &StateStore, value: Option<&[u8]>| {
        let db = store.db();
        for reads in [db.latest(), db.view()] {
            assert_eq!(reads.get(Table::Servers, b"s").unwrap().as_deref(), value);
            assert_eq!(reads.scan(Table::Servers, b"", None, 2).unwrap().len(), usize::from(value.is_some()));
        }
    };
    let store = home.open();
    let write = |value: Option<&[u8]>, index| {
        let change = (Table::Servers, b"s".to_vec(), value.map(<[u8]>::to_vec));
        store.db().write([change].into_iter(), &mark(index), None).unwrap();
        same(&store, value);
    };
    write(Some(b"1"), 1);
    write(None, 2);
    write(Some(b"2"), 3);
    store.db().checkpoint(&dir.path().join("checkpoint")).unwrap();
    write(Some(b"3"), 4);
    store.replace(&dir.path().join("checkpoint"), &mark(3), &Registers).unwrap();
    same(&store, Some(b"2"));
    drop(store);
    same(&home.open(), Some(b"2"));
}

/// A crash of the process takes nothing, a power cut what was written last.
#[test]
fn a_power_cut_leaves_the_state_at_some_point_after_its_last_checkpoint() {
    for stay in 0..=3 {
        let (home, dir) = (MemoryTables::new(), tempfile::tempdir().unwrap());
        let store = home.open(&Registers).unwrap();
        put(&store, b"0", 1);
        store.db().checkpoint(&dir.path().join("checkpoint")).unwrap();
        for (index, key) in [b"1", b"2", b"3"].into_iter().enumerate() {
            put(&store, key, index as u64 + 2);
        }
        home.cut_power(|unsynced| {
            assert_eq!(unsynced, 3);
            stay
        });
        let row = (Table::Names, b"late".to_vec(), None);
        assert!(store.db().write(std::iter::once(row), &mark(9), None).is_err(), "the power is off");
        let store = home.open(&Registers).unwrap();
        assert_eq!(store.applied().index, Some(1 + stay as u64));
        for (number, key) in [b"0", b"1", b"2", b"3"].into_iter().enumerate() {
            assert_eq!(has(&store, key), number <= stay);
        }
    }
}

#[test]
fn a_crash_while_installing_leaves_the_old_or_the_new_state() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let checkpoint = checkpoint_of::<tempfile::TempDir>(&other, b"new", 7);
    let store = open(dir.path());
    put(&store, b"old", 1);
    drop(store);

    // Before the pointer is replaced: a half-built generation and a half-written pointer.
    std::fs::create_dir(dir.path().join("2")).unwrap();
    std::fs::write(dir.path().join("2/000009.sst"), "half").unwrap();
    std::fs::write(dir.path().join("current.new"), "2").unwrap();
    let store = open(dir.path());
    assert!(has(&store, b"old"));
    assert!(!dir.path().join("2").exists());
    drop(store);

    // After it: the old generation is still there.
    files::clone_database(&checkpoint, &dir.path().join("2")).unwrap();
    std::fs::write(dir.path().join("current"), "2\n").unwrap();
    let store = open(dir.path());
    assert!(has(&store, b"new"));
    assert!(!dir.path().join("1").exists());
}

#[test]
fn a_damaged_state_database_is_named_and_nothing_is_deleted() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    std::fs::write(dir.path().join("current"), "first").unwrap();
    let error = StateStore::open(&rocks::Shared::new(), dir.path().to_owned(), 3, &Registers).err().unwrap();
    let text = format!("{error:#}");
    assert!(text.contains(dir.path().to_str().unwrap()) && text.contains("cluster remove 3"), "{text}");
    assert!(dir.path().join("1/CURRENT").exists());
}

/// What a scan for the first row of a table passes over.
fn passed(store: &StateStore, table: Table) -> u64 {
    set_perf_stats(PerfStatsLevel::EnableCount);
    let mut counts = PerfContext::default();
    counts.reset();
    assert_eq!(store.db().view().scan(table, &[], None, 1).unwrap().len(), 1);
    let passed = counts.metric(PerfMetric::InternalDeleteSkippedCount);
    set_perf_stats(PerfStatsLevel::Disable);
    passed
}

/// Waits until it is no more than so many.
fn settles(store: &StateStore, table: Table, most: u64) {
    let begun = Instant::now();
    while passed(store, table) > most {
        assert!(begun.elapsed() < Duration::from_secs(30), "{}", passed(store, table));
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Puts rows in a table and deletes them in order, all but the last.
fn eat(store: &StateStore, table: Table, count: u32, flush: bool) {
    for (value, count) in [(Some(b"a repair's or so"), count), (None, count - 1)] {
        for first in (0..count).step_by(1_000) {
            let rows = first..count.min(first + 1_000);
            let rows = rows.map(|row| (table, row.to_be_bytes().to_vec(), value.map(|value| value.to_vec())));
            store.db().write(rows, &mark(1), None).unwrap();
        }
        if flush {
            store.db().flush(table);
        }
    }
}

/// The cost of a queue in an LSM tree.
#[test]
fn the_first_row_of_a_queue_is_not_behind_all_that_was_deleted_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    eat(&store, Table::Operations, 20_000, true);
    settles(&store, Table::Operations, 1_000);
    eat(&store, Table::Entries, 20_000, true);
    let other = passed(&store, Table::Entries);
    assert!(other > 10_000, "this table is none, and shows what it would be: {other}");
    // Nobody flushes what is small enough for its memtable.
    eat(&store, Table::Repairs, 150_000, false);
    settles(&store, Table::Repairs, 50_000);
    eat(&store, Table::Tokens, 150_000, false);
    let other = passed(&store, Table::Tokens);
    assert!(other > 100_000, "this one's memtable is larger, and shows what it would be: {other}");
}

/// As an older release meets it after an upgrade that was taken back.
#[test]
fn a_family_that_nobody_knows_is_opened_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let generation = dir.path().join("1");
    let open_all = |extra: &[&str]| {
        let known = DB::list_cf(&Options::default(), &generation).unwrap();
        let names: Vec<&str> = known.iter().map(String::as_str).chain(extra.iter().copied()).collect();
        let mut options = Options::default();
        options.create_missing_column_families(true);
        DB::open_cf(&options, &generation, names).unwrap()
    };
    let db = open_all(&["of_the_future"]);
    db.put_cf(db.cf_handle("of_the_future").unwrap(), b"key", b"value").unwrap();
    drop(db);

    let store = open(dir.path());
    put(&store, b"a", 1);
    let copy = tempfile::tempdir().unwrap();
    store.db().checkpoint(&copy.path().join("checkpoint")).unwrap();
    store.replace(&copy.path().join("checkpoint"), &mark(1), &Registers).unwrap();
    assert!(has(&store, b"a"));
    drop(store);

    let generation = dir.path().join("2");
    let names = DB::list_cf(&Options::default(), &generation).unwrap();
    let db = DB::open_cf(&Options::default(), &generation, names).unwrap();
    let kept = db.get_cf(db.cf_handle("of_the_future").unwrap(), b"key").unwrap();
    assert_eq!(kept.as_deref(), Some(b"value".as_slice()), "a snapshot has it, too");
}
