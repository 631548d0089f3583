//! A state machine small enough to see through, and tests of the adapter around it.

use std::path::Path;
use std::sync::Arc;

use super::super::records::AppliedRecord;
use super::super::rocks;
use super::super::types::{LeaderId, LogId, StoredMembership};
use super::{Machine, StateStore};
use crate::domain::{ClusterId, ClusterTime, Fault, ReadStore, Store, Table, WallTime};

const TIME: &[u8] = b"time";
const CLUSTER: &[u8] = b"cluster";

/// Keys and values: a proposal reads `key=value` and is answered with the index of its entry. It faults where
/// the times in the log run backwards, and at the proposal `fault`.
pub(crate) struct Registers;

impl Machine for Registers {
    fn stamp(&self, at: ClusterTime, wall: WallTime, proposal: &[u8]) -> Result<Vec<u8>, Fault> {
        Ok([&at.0.to_be_bytes(), &wall.0.to_be_bytes(), proposal].concat())
    }

    fn apply(&self, store: &mut dyn Store, index: u64, entry: &[u8]) -> Result<Vec<u8>, Fault> {
        let (at, rest) = entry.split_at(8);
        let at = ClusterTime(u64::from_be_bytes(at.try_into().unwrap()));
        if at < self.cluster_time(store)? {
            return Err(Fault(format!("cluster time runs backwards at entry {index}")));
        }
        let text = &rest[8..];
        if text == b"fault" {
            return Err(Fault("the proposal asks for one".into()));
        }
        let equals = text.iter().position(|byte| *byte == b'=').ok_or_else(|| Fault("no register".into()))?;
        store.put(Table::Meta, TIME, &at.0.to_be_bytes())?;
        store.put(Table::Entries, &text[..equals], &text[equals + 1..])?;
        Ok(index.to_be_bytes().to_vec())
    }

    fn cluster_time(&self, store: &dyn ReadStore) -> Result<ClusterTime, Fault> {
        let bytes = store.get(Table::Meta, TIME)?;
        Ok(ClusterTime(bytes.map_or(0, |bytes| u64::from_be_bytes(bytes.try_into().unwrap()))))
    }

    fn bootstrap(&self, store: &dyn ReadStore, cluster: ClusterId, _: &str) -> Result<Option<Vec<u8>>, Fault> {
        let done = store.get(Table::Entries, CLUSTER)?.is_some();
        Ok((!done).then(|| [CLUSTER, b"=", cluster.to_string().as_bytes()].concat()))
    }
}

fn open(dir: &Path) -> StateStore {
    StateStore::open(&rocks::Shared::new(), dir.to_owned(), 1, &Registers).unwrap()
}

fn mark(index: u64) -> AppliedRecord {
    AppliedRecord::new(Some(&LogId::new(LeaderId { term: 1, node_id: 1 }, index)), &StoredMembership::default())
}

fn put(store: &StateStore, key: &[u8], index: u64) {
    let row = (Table::Names, key.to_vec(), Some(b"value".to_vec()));
    store.db().write(std::iter::once(row), &mark(index)).unwrap();
}

fn has(store: &StateStore, key: &[u8]) -> bool {
    store.db().view().get(Table::Names, key).unwrap().is_some()
}

#[test]
fn a_view_shows_one_state_whatever_is_written_after() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
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
}

#[test]
fn a_replaced_database_serves_its_last_reader_and_is_gone_then() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (store, source) = (open(dir.path()), open(other.path()));
    put(&store, b"old", 1);
    put(&source, b"new", 7);
    let checkpoint = other.path().join("checkpoint");
    source.db().checkpoint(&checkpoint).unwrap();

    let reader = store.db();
    store.replace(&checkpoint, &mark(7), &Registers).unwrap();
    assert!(has(&store, b"new") && !has(&store, b"old"));
    assert_eq!(store.applied().index, Some(7));
    assert!(reader.view().get(Table::Names, b"old").unwrap().is_some());
    assert!(dir.path().join("1").exists());
    drop(reader);
    assert!(!dir.path().join("1").exists());
    drop(store);
    assert!(has(&open(dir.path()), b"new"));
}

#[test]
fn a_snapshot_that_is_not_what_it_says_is_not_installed() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (store, source) = (open(dir.path()), open(other.path()));
    put(&store, b"old", 1);
    put(&source, b"new", 7);
    let checkpoint = other.path().join("checkpoint");
    source.db().checkpoint(&checkpoint).unwrap();
    assert!(store.replace(&checkpoint, &mark(8), &Registers).is_err());
    assert!(has(&store, b"old"));
    drop(store);
    assert!(has(&open(dir.path()), b"old"));
}

#[test]
fn a_crash_while_installing_leaves_the_old_or_the_new_state() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let source = open(other.path());
    put(&source, b"new", 7);
    let checkpoint = other.path().join("checkpoint");
    source.db().checkpoint(&checkpoint).unwrap();
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
    super::super::files::clone_database(&checkpoint, &dir.path().join("2")).unwrap();
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

/// What the test suite of openraft runs on.
pub(crate) fn shared_machine() -> Arc<dyn Machine> {
    Arc::new(Registers)
}
