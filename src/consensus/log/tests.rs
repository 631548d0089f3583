use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use openraft::StorageError;
use openraft::storage::{RaftLogReader, RaftLogStorage, RaftLogStorageExt};
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::type_config::TypeConfigExt;

use super::super::apply::StateMachine;
use super::super::deferral::Deferral;
use super::super::machine::tests::shared_machine;
use super::super::rocks;
use super::super::snapshot::Snapshots;
use super::super::state::StateStore;
use super::super::stopper::Stopper;
use super::super::types::{Blob, Entry, LeaderId, LogId, TypeConfig, Vote};
use super::{LogOptions, LogStore};

struct OnDisk;

impl StoreBuilder<TypeConfig, LogStore, StateMachine, tempfile::TempDir> for OnDisk {
    async fn build(&self) -> Result<(tempfile::TempDir, LogStore, StateMachine), StorageError<TypeConfig>> {
        let dir = tempfile::tempdir().unwrap();
        let machine = shared_machine();
        let store = StateStore::open(&rocks::Shared::new(), dir.path().join("state"), 1, &*machine).unwrap();
        let machine = StateMachine {
            store: Arc::new(store),
            machine,
            snapshots: Arc::new(Snapshots::open(dir.path().join("snapshots")).unwrap()),
            max_batch_entries: 3,
            max_batch_bytes: 1 << 20,
            deferral: Deferral::default(),
            commits: Arc::new(AtomicU64::new(0)),
            stopper: Stopper::new(),
        };
        let log = open(&dir.path().join("raft")).unwrap();
        Ok((dir, log, machine))
    }
}

#[test]
fn openraft_s_own_suite_passes() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(Suite::test_all(OnDisk)).unwrap();
}

fn open(dir: &Path) -> anyhow::Result<LogStore> {
    open_with(dir, Stopper::new())
}

fn open_with(dir: &Path, stopper: Stopper) -> anyhow::Result<LogStore> {
    let options = LogOptions { dir: dir.to_owned(), node_id: 2, max_read_bytes: 1000, sync_delay: None, stopper };
    LogStore::open(&rocks::Shared::new(), options)
}

fn id(index: u64) -> LogId {
    LogId::new(LeaderId { term: 1, node_id: 1 }, index)
}

fn entry(index: u64, size: usize) -> Entry {
    // Bytes that do not compress away, so that damage hits one of them.
    let bytes: Vec<u8> = (0..size).map(|at| (at as u64 * 31 + index * 17) as u8).collect();
    Entry { log_id: id(index), payload: openraft::EntryPayload::Normal(Blob::from(bytes)) }
}

async fn fill(log: &mut LogStore, indexes: std::ops::Range<u64>) {
    for index in indexes {
        log.blocking_append([entry(index, 100)]).await.unwrap();
    }
}

async fn indexes(log: &mut LogStore) -> Vec<u64> {
    log.try_get_log_entries(..).await.unwrap().iter().map(|entry| entry.log_id.index).collect()
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path()).unwrap();
    assert!(log.is_pristine());
    log.save_vote(&Vote::new_committed(4, 2)).await.unwrap();
    fill(&mut log, 0..10).await;
    log.truncate_after(Some(id(7))).await.unwrap();
    log.purge(id(3)).await.unwrap();
    log.save_committed(Some(id(6))).await.unwrap();
    drop(log);

    let mut log = open(dir.path()).unwrap();
    assert!(!log.is_pristine());
    assert_eq!(indexes(&mut log).await, [4, 5, 6, 7]);
    assert_eq!(log.read_vote().await.unwrap(), Some(Vote::new_committed(4, 2)));
    assert_eq!(log.read_committed().await.unwrap(), Some(id(6)));
    let state = log.get_log_state().await.unwrap();
    assert_eq!((state.last_purged_log_id, state.last_log_id), (Some(id(3)), Some(id(7))));
}

#[tokio::test]
async fn a_read_for_replication_is_bounded_in_bytes_and_never_empty() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path()).unwrap();
    fill(&mut log, 0..20).await;
    log.blocking_append([entry(20, 5000)]).await.unwrap();
    let some = log.limited_get_log_entries(0, 21).await.unwrap();
    assert!((5..10).contains(&some.len()), "{}", some.len());
    assert_eq!(log.limited_get_log_entries(20, 21).await.unwrap().len(), 1);
}

#[tokio::test]
async fn many_appends_share_syncs() {
    let dir = tempfile::tempdir().unwrap();
    let options = LogOptions {
        dir: dir.path().to_owned(),
        node_id: 1,
        max_read_bytes: 1000,
        sync_delay: Some(Duration::from_millis(20)),
        stopper: Stopper::new(),
    };
    let mut log = LogStore::open(&rocks::Shared::new(), options).unwrap();
    let mut waiting = Vec::new();
    for index in 0..100 {
        let (sender, receiver) = <TypeConfig as TypeConfigExt>::oneshot();
        log.append([entry(index, 10)], super::IoFlushed::signal(sender)).await.unwrap();
        waiting.push(receiver);
    }
    // Readable before they are synced.
    assert_eq!(log.try_get_log_entries(..).await.unwrap().len(), 100);
    for receiver in waiting {
        receiver.await.unwrap().unwrap();
    }
    assert!(log.syncs() <= 3, "{} syncs", log.syncs());
}

/// The largest file with the given ending.
fn largest(dir: &Path, ending: &str) -> PathBuf {
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.to_str().unwrap().ends_with(ending));
    files.max_by_key(|path| path.metadata().unwrap().len()).unwrap()
}

fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 4;
    std::fs::write(path, bytes).unwrap();
}

fn assert_explains(error: &anyhow::Error, dir: &Path) {
    let text = format!("{error:#}");
    assert!(text.contains("is damaged"), "{text}");
    assert!(text.contains(dir.to_str().unwrap()), "{text}");
    assert!(text.contains("cluster remove 2"), "{text}");
}

#[tokio::test]
async fn a_flipped_bit_in_the_write_ahead_log_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path()).unwrap();
    fill(&mut log, 0..50).await;
    drop(log);
    let path = largest(dir.path(), ".log");
    let size = path.metadata().unwrap().len() as usize;
    flip(&path, size / 2);
    let before = std::fs::read(&path).unwrap();
    assert_explains(&open(dir.path()).err().unwrap(), dir.path());
    assert_eq!(std::fs::read(&path).unwrap(), before, "nothing is deleted or repaired");
}

#[tokio::test]
async fn a_torn_last_write_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path()).unwrap();
    fill(&mut log, 0..50).await;
    drop(log);
    let path = largest(dir.path(), ".log");
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(path.metadata().unwrap().len() - 40).unwrap();
    let mut log = open(dir.path()).unwrap();
    assert_eq!(indexes(&mut log).await.len(), 49);
}

#[tokio::test]
async fn a_flipped_bit_in_a_table_file_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path()).unwrap();
    fill(&mut log, 0..200).await;
    log.0.db.flush_cf(super::family(&log.0.db, super::ENTRIES)).unwrap();
    drop(log);
    let path = largest(dir.path(), ".sst");
    flip(&path, 5000);
    assert_explains(&open(dir.path()).err().unwrap(), dir.path());
    assert!(path.exists());
}

#[tokio::test]
async fn an_entry_damaged_under_a_valid_block_checksum_stops_the_node() {
    let dir = tempfile::tempdir().unwrap();
    let stopper = Stopper::new();
    let mut log = open_with(dir.path(), stopper.clone()).unwrap();
    fill(&mut log, 0..5).await;
    let family = super::family(&log.0.db, super::ENTRIES);
    let mut bytes = log.0.db.get_cf(family, 3_u64.to_be_bytes()).unwrap().unwrap();
    bytes[20] ^= 1;
    log.0.db.put_cf(family, 3_u64.to_be_bytes(), &bytes).unwrap();
    assert!(log.try_get_log_entries(0..5).await.is_err());
    assert_explains(&anyhow::Error::msg(stopper.message().unwrap()), dir.path());
    drop(log);
    assert_explains(&open(dir.path()).err().unwrap(), dir.path());
}

#[tokio::test]
async fn a_missing_entry_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    for missing in [0_u64, 3] {
        let path = dir.path().join(missing.to_string());
        let mut log = open(&path).unwrap();
        fill(&mut log, 0..5).await;
        log.0.db.delete_cf(super::family(&log.0.db, super::ENTRIES), missing.to_be_bytes()).unwrap();
        drop(log);
        assert_explains(&open(&path).err().unwrap(), &path);
    }
}
