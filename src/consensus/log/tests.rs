use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use futures_util::StreamExt;
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
use super::super::state::in_memory::MemoryTables;
use super::super::stopper::Stopper;
use super::super::tests::executor::tasks;
use super::super::types::{Blob, Entry, LeaderId, LogId, TypeConfig, Vote};
use super::in_memory::MemoryDisk;
use super::medium::{Batch, Medium};
use super::on_disk::OnDisk;
use super::{LogOptions, LogStore};

/// Where a test's log lies: it is opened there again and again.
trait Home: Send + Sync + 'static {
    fn new() -> Self;

    fn dir(&self) -> &Path;

    fn open_with(&self, options: LogOptions) -> anyhow::Result<LogStore>;

    fn open(&self) -> anyhow::Result<LogStore> {
        self.open_with(options(self.dir()))
    }

    /// Changes the sealed record of an entry, or removes it, where it lies.
    fn tamper(&self, log: LogStore, index: u64, change: impl FnOnce(Vec<u8>) -> Option<Vec<u8>>);

    fn put_back(&self, index: u64, record: Vec<u8>);

    /// A state on the same medium.
    fn state(dir: &Path) -> StateStore;
}

struct Disk(tempfile::TempDir);

impl Home for Disk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn dir(&self) -> &Path {
        self.0.path()
    }

    fn open_with(&self, options: LogOptions) -> anyhow::Result<LogStore> {
        LogStore::open(&rocks::Shared::new(), options)
    }

    fn tamper(&self, log: LogStore, index: u64, change: impl FnOnce(Vec<u8>) -> Option<Vec<u8>>) {
        drop(log);
        let medium = OnDisk::open(&rocks::Shared::new(), self.dir()).unwrap();
        let mut batch = Batch::default();
        match change(medium.get(index)) {
            Some(record) => batch.put(index, record),
            None => batch.delete(index..index + 1),
        }
        medium.write(batch).unwrap();
    }

    fn put_back(&self, index: u64, record: Vec<u8>) {
        let mut batch = Batch::default();
        batch.put(index, record);
        OnDisk::open(&rocks::Shared::new(), self.dir()).unwrap().write(batch).unwrap();
    }

    fn state(dir: &Path) -> StateStore {
        StateStore::open(&rocks::Shared::new(), dir.join("state"), 1, &*shared_machine()).unwrap()
    }
}

struct Memory(MemoryDisk);

impl Home for Memory {
    fn new() -> Self {
        Self(MemoryDisk::new(|| Duration::from_millis(1)))
    }

    fn dir(&self) -> &Path {
        Path::new("/in/memory")
    }

    fn open_with(&self, options: LogOptions) -> anyhow::Result<LogStore> {
        self.0.open(options)
    }

    fn tamper(&self, _: LogStore, index: u64, change: impl FnOnce(Vec<u8>) -> Option<Vec<u8>>) {
        self.0.tamper(|entries| {
            let record = entries.remove(&index).unwrap();
            entries.extend(change(record).map(|record| (index, record)));
        });
    }

    fn put_back(&self, index: u64, record: Vec<u8>) {
        self.0.tamper(|entries| drop(entries.insert(index, record)));
    }

    fn state(_: &Path) -> StateStore {
        MemoryTables::new().open(&*shared_machine()).unwrap()
    }
}

/// Each of these once on a disk and once in memory.
macro_rules! over_both_media {
    ($($name:ident),* $(,)?) => {
        mod on_disk {
            use super::Home;
            $(#[tokio::test] async fn $name() { super::$name(&super::Disk::new()).await; })*
        }

        mod in_memory {
            use super::Home;
            $(#[tokio::test] async fn $name() { super::$name(&super::Memory::new()).await; })*
        }
    };
}

over_both_media!(
    everything_is_there_after_a_restart,
    a_read_for_replication_is_bounded_in_bytes_and_never_empty,
    many_appends_share_syncs,
    an_entry_damaged_under_a_valid_block_checksum_stops_the_node,
    a_missing_entry_is_an_error,
    an_entry_of_an_earlier_leader_than_the_one_before_it_is_an_error,
);

fn options(dir: &Path) -> LogOptions {
    LogOptions {
        dir: dir.to_owned(),
        node_id: 2,
        max_read_bytes: 1000,
        sync_delay: None,
        stopper: Stopper::new(),
        tasks: tasks(),
    }
}

fn open(dir: &Path) -> anyhow::Result<LogStore> {
    LogStore::open(&rocks::Shared::new(), options(dir))
}

struct SuiteOver<H>(PhantomData<H>);

impl<H: Home> StoreBuilder<TypeConfig, LogStore, StateMachine, (H, tempfile::TempDir)> for SuiteOver<H> {
    async fn build(&self) -> Result<((H, tempfile::TempDir), LogStore, StateMachine), StorageError<TypeConfig>> {
        let (home, dir) = (H::new(), tempfile::tempdir().unwrap());
        let machine = StateMachine {
            store: Arc::new(H::state(dir.path())),
            machine: shared_machine(),
            snapshots: Arc::new(Snapshots::open(dir.path().join("snapshots")).unwrap()),
            max_batch_entries: 3,
            max_batch_bytes: 1 << 20,
            deferral: Deferral::default(),
            commits: Arc::new(AtomicU64::new(0)),
            stopper: Stopper::new(),
            tasks: tasks(),
        };
        let log = home.open().unwrap();
        Ok(((home, dir), log, machine))
    }
}

#[test]
fn openraft_s_own_suite_passes() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(Suite::test_all(SuiteOver::<Disk>(PhantomData))).unwrap();
    runtime.block_on(Suite::test_all(SuiteOver::<Memory>(PhantomData))).unwrap();
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

async fn everything_is_there_after_a_restart(home: &impl Home) {
    let mut log = home.open().unwrap();
    assert!(log.is_pristine());
    log.save_vote(&Vote::new_committed(4, 2)).await.unwrap();
    fill(&mut log, 0..10).await;
    log.truncate_after(Some(id(7))).await.unwrap();
    log.purge(id(3)).await.unwrap();
    log.save_committed(Some(id(6))).await.unwrap();
    drop(log);

    let mut log = home.open().unwrap();
    assert!(!log.is_pristine());
    assert_eq!(indexes(&mut log).await, [4, 5, 6, 7]);
    assert_eq!(log.read_vote().await.unwrap(), Some(Vote::new_committed(4, 2)));
    assert_eq!(log.read_committed().await.unwrap(), Some(id(6)));
    let state = log.get_log_state().await.unwrap();
    assert_eq!((state.last_purged_log_id, state.last_log_id), (Some(id(3)), Some(id(7))));
}

async fn a_read_for_replication_is_bounded_in_bytes_and_never_empty(home: &impl Home) {
    let mut log = home.open().unwrap();
    fill(&mut log, 0..20).await;
    log.blocking_append([entry(20, 5000)]).await.unwrap();
    let some = log.limited_get_log_entries(0, 21).await.unwrap();
    assert!((5..10).contains(&some.len()), "{}", some.len());
    assert_eq!(log.limited_get_log_entries(20, 21).await.unwrap().len(), 1);
}

async fn many_appends_share_syncs(home: &impl Home) {
    let delayed = LogOptions { sync_delay: Some(Duration::from_millis(20)), ..options(home.dir()) };
    let mut log = home.open_with(delayed).unwrap();
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

async fn an_entry_damaged_under_a_valid_block_checksum_stops_the_node(home: &impl Home) {
    let mut log = home.open().unwrap();
    fill(&mut log, 0..5).await;
    home.tamper(log, 3, |mut record| {
        record[20] ^= 1;
        Some(record)
    });
    assert_explains(&home.open().err().unwrap(), home.dir());
}

async fn a_missing_entry_is_an_error(home: &impl Home) {
    for missing in [0_u64, 3] {
        let mut log = home.open().unwrap();
        log.truncate_after(None).await.unwrap();
        fill(&mut log, 0..5).await;
        let mut removed = Vec::new();
        home.tamper(log, missing, |record| {
            removed = record;
            None
        });
        let error = home.open().err().unwrap();
        assert_explains(&error, home.dir());
        assert!(format!("{error:#}").contains(&format!("the entries {missing} to {missing} are missing")), "{error:#}");
        home.put_back(missing, removed);
    }
}

async fn an_entry_of_an_earlier_leader_than_the_one_before_it_is_an_error(home: &impl Home) {
    let mut log = home.open().unwrap();
    fill(&mut log, 0..3).await;
    let of = |term, index| Entry {
        log_id: LogId::new(LeaderId { term, node_id: 1 }, index),
        payload: openraft::EntryPayload::Blank,
    };
    log.blocking_append([of(3, 3)]).await.unwrap();
    log.blocking_append([of(2, 4)]).await.unwrap();
    drop(log);
    let error = home.open().err().unwrap();
    assert_explains(&error, home.dir());
    assert!(format!("{error:#}").contains("entry 4 is of an earlier leader"), "{error:#}");
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
    drop(log);
    OnDisk::open(&rocks::Shared::new(), dir.path()).unwrap().flush();
    let path = largest(dir.path(), ".sst");
    flip(&path, 5000);
    assert_explains(&open(dir.path()).err().unwrap(), dir.path());
    assert!(path.exists());
}

/// A log in memory can be spoilt while it is open.
#[tokio::test]
async fn damage_is_seen_by_whoever_reads_and_stops_the_node() {
    type Spoil = fn(&mut std::collections::BTreeMap<u64, Vec<u8>>);
    let cases: [(Spoil, &str); 5] = [
        (|entries| entries.get_mut(&3).unwrap()[20] ^= 1, "entry 3: the record is damaged"),
        (|entries| drop(entries.remove(&3)), "the entries 3 to 3 are missing"),
        // At either end of what is read nothing but the range tells that something is missing.
        (|entries| entries.retain(|index, _| *index >= 4), "the entries 2 to 3 are missing"),
        (|entries| entries.retain(|index, _| *index < 6), "the entries 6 to 7 are missing"),
        (|entries| entries.clear(), "the entries 2 to 7 are missing"),
    ];
    for (spoil, says) in cases {
        let (disk, stopper) = (Memory::new(), Stopper::new());
        let mut log = disk.open_with(LogOptions { stopper: stopper.clone(), ..options(disk.dir()) }).unwrap();
        fill(&mut log, 0..10).await;
        assert_eq!(log.try_get_log_entries(2..8).await.unwrap().len(), 6);
        disk.0.tamper(spoil);
        assert!(log.try_get_log_entries(2..8).await.is_err());
        assert_explains(&anyhow::Error::msg(stopper.message().unwrap()), disk.dir());
        assert!(stopper.message().unwrap().contains(says), "{:?}", stopper.message());
        assert!(log.entries_stream(2..8).await.any(|entry| async move { entry.is_err() }).await, "{says}");
    }
}

/// What a reader sees while entries go is no damage.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_is_overtaken_by_a_purge_or_a_truncation_is_no_damage() {
    let (disk, stopper) = (Disk::new(), Stopper::new());
    let mut log = disk.open_with(LogOptions { stopper: stopper.clone(), ..options(disk.dir()) }).unwrap();
    fill(&mut log, 0..50).await;
    let mut reader = log.clone();
    let reading = tokio::spawn(async move {
        let mut reads = 0;
        while reader.try_get_log_entries(0..2000).await.unwrap().last().unwrap().log_id.index < 1500 {
            reads += 1;
            tokio::task::yield_now().await;
        }
        reads
    });
    for index in (50..1501).step_by(3) {
        fill(&mut log, index..index + 3).await;
        log.truncate_after(Some(id(index + 1))).await.unwrap();
        fill(&mut log, index + 2..index + 3).await;
        log.purge(id(index - 20)).await.unwrap();
    }
    assert!(reading.await.unwrap() > 0);
    assert_eq!(stopper.message(), None);
}

#[tokio::test]
async fn a_power_cut_leaves_what_was_synced_and_of_the_rest_what_was_written_first() {
    for stay in 0..=4 {
        let disk = MemoryDisk::new(|| Duration::from_secs(600));
        let home = Memory(disk.clone());
        let mut log = home.open().unwrap();
        let (sender, _never) = <TypeConfig as TypeConfigExt>::oneshot();
        log.append([entry(0, 10)], super::IoFlushed::signal(sender)).await.unwrap();
        log.save_committed(Some(id(0))).await.unwrap();
        for index in 1..3 {
            let (sender, _never) = <TypeConfig as TypeConfigExt>::oneshot();
            log.append([entry(index, 10)], super::IoFlushed::signal(sender)).await.unwrap();
        }
        disk.cut_power(|unsynced| {
            assert_eq!(unsynced, 4);
            stay
        });
        assert!(log.save_committed(None).await.is_err(), "the power is off");
        let mut log = home.open().unwrap();
        assert_eq!(indexes(&mut log).await, [0, 1, 2][..[0, 1, 1, 2, 3][stay]]);
        assert_eq!(log.read_committed().await.unwrap(), (stay >= 2).then(|| id(0)));
    }
}

/// A snapshot may be installed right after it, durably: entries that contradict it must not come back.
#[tokio::test]
async fn a_truncation_outlives_a_power_cut() {
    let home = Memory::new();
    let mut log = home.open().unwrap();
    fill(&mut log, 0..10).await;
    log.truncate_after(Some(id(4))).await.unwrap();
    home.0.cut_power(|_| 0);
    let mut log = home.open().unwrap();
    assert_eq!(indexes(&mut log).await, [0, 1, 2, 3, 4]);
}
