use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::super::tests::executor::tasks;
use super::super::types::Blob;
use super::*;

/// A transfer between two directories that breaks off after a number of pieces.
struct Link {
    receiver: Receiver,
    pieces: AtomicU64,
    breaks_after: u64,
    from: u64,
}

impl Destination for Link {
    fn begin(&self, offer: &Offer) -> BoxFuture<'_, anyhow::Result<Vec<u64>>> {
        let result = self.receiver.begin(self.from, offer.clone());
        async move { result }.boxed()
    }

    fn write(&self, piece: &Piece) -> BoxFuture<'_, anyhow::Result<()>> {
        let count = self.pieces.fetch_add(1, Ordering::Relaxed);
        let result = if count == self.breaks_after {
            Err(anyhow::anyhow!("broken off"))
        } else {
            self.receiver.write(self.from, piece)
        };
        async move { result }.boxed()
    }
}

fn source(dir: &Path) -> SnapshotFiles {
    let snapshot = dir.join("00000000000000000009-1-1");
    std::fs::create_dir_all(snapshot.join(DATABASE)).unwrap();
    for (name, size) in [("000007.sst", 25_000), ("CURRENT", 16), ("EMPTY", 0), ("MANIFEST-000005", 1000)] {
        let bytes: Vec<u8> = (0..size).map(|at| (at * 7 % 251) as u8).collect();
        std::fs::write(snapshot.join(DATABASE).join(name), bytes).unwrap();
    }
    SnapshotFiles::new(snapshot)
}

fn link(dir: &Path, breaks_after: u64) -> Link {
    let snapshots = Arc::new(Snapshots::open(dir.join("snapshots")).unwrap());
    Link { receiver: Receiver::new(snapshots), pieces: AtomicU64::new(0), breaks_after, from: 1 }
}

fn content(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let names = files::list_names(dir).unwrap();
    names.into_iter().map(|name| (name.clone(), std::fs::read(dir.join(name)).unwrap())).collect()
}

#[tokio::test]
async fn a_transfer_that_broke_off_goes_on_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let source = source(dir.path());
    let link = link(dir.path(), 10);
    assert!(send(&source, 1000, &tasks(), &link).await.is_err());
    assert!(link.receiver.finish(1, &source.name()).is_err(), "it is not complete");
    let name = send(&source, 1000, &tasks(), &link).await.unwrap();
    // 25 of the table, one of each other file, and the one that was lost.
    assert_eq!(link.pieces.load(Ordering::Relaxed), 25 + 3 + 1);
    assert!(link.receiver.finish(2, &name).is_err(), "another node's");
    let received = link.receiver.finish(1, &name).unwrap();
    assert_eq!(content(&received.database()), content(&source.database()));
    let path = received.0.dir.clone();
    assert!(path.exists());
    drop(received);
    assert!(!path.exists(), "what nobody adopts is removed");
}

#[tokio::test]
async fn a_transfer_goes_on_after_the_receiver_was_killed() {
    let dir = tempfile::tempdir().unwrap();
    let source = source(dir.path());
    let database = dir.path().join("snapshots").join(INCOMING).join(DATABASE);
    for lost in [0, 300] {
        let link = link(dir.path(), 10);
        assert!(send(&source, 1000, &tasks(), &link).await.is_err());
        assert_eq!(link.receiver.received(), 10_000);
        drop(link); // It has no farewell: this is what a kill leaves.
        let part = database.join(format!("000007.sst{}", receive::PART));
        // A piece of which a part was written.
        let file = std::fs::OpenOptions::new().write(true).open(&part).unwrap();
        file.set_len(10_000 - lost).unwrap();

        let link = self::link(dir.path(), u64::MAX);
        assert!(link.receiver.finish(1, &source.name()).is_err(), "it is not complete");
        let name = send(&source, 1000, &tasks(), &link).await.unwrap();
        assert_eq!(link.receiver.resumed(), 10_000 - lost);
        assert_eq!(link.receiver.received(), 25_000 + 16 + 1000 - 10_000 + lost);
        drop(link);
        // Complete, and killed before the end was told: nothing comes again but the file that has no bytes.
        let link = self::link(dir.path(), u64::MAX);
        send(&source, 1000, &tasks(), &link).await.unwrap();
        assert_eq!(link.pieces.load(Ordering::Relaxed), 1);
        let received = link.receiver.finish(1, &name).unwrap();
        assert_eq!(content(&received.database()), content(&source.database()));
        assert!(!dir.path().join("snapshots").join(INCOMING).exists());
    }
    assert_eq!(files::list_names(&dir.path().join("snapshots")).unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn of_what_a_crash_of_the_machine_left_nothing_is_believed_unchecked() {
    let dir = tempfile::tempdir().unwrap();
    let source = source(dir.path());
    let database = dir.path().join("snapshots").join(INCOMING).join(DATABASE);
    let part = database.join(format!("000007.sst{}", receive::PART));
    // Zeros where bytes were written and not synced; and all of a file's length, without its name.
    for (length, resumed) in [(9_000, 9_000), (25_000, 24_999)] {
        let link = link(dir.path(), 10);
        assert!(send(&source, 1000, &tasks(), &link).await.is_err());
        drop(link);
        std::fs::write(&part, vec![0; length]).unwrap();
        let link = self::link(dir.path(), u64::MAX);
        let first = send(&source, 1000, &tasks(), &link).await;
        assert_eq!(link.receiver.resumed(), resumed);
        assert!(first.unwrap_err().to_string().contains("damaged"));
        send(&source, 1000, &tasks(), &link).await.unwrap();
        let received = link.receiver.finish(1, &source.name()).unwrap();
        assert_eq!(content(&received.database()), content(&source.database()));
    }
    // Another offer, and one that cannot be read.
    for change in [true, false] {
        let link = link(dir.path(), 10);
        assert!(send(&source, 1000, &tasks(), &link).await.is_err());
        drop(link);
        if change {
            std::fs::write(source.database().join("CURRENT"), "longer than sixteen bytes").unwrap();
        } else {
            std::fs::write(dir.path().join("snapshots").join(INCOMING).join(receive::OFFER), "nonsense").unwrap();
        }
        let link = self::link(dir.path(), u64::MAX);
        send(&source, 1000, &tasks(), &link).await.unwrap();
        assert_eq!(link.receiver.resumed(), 0);
        let received = link.receiver.finish(1, &source.name()).unwrap();
        assert_eq!(content(&received.database()), content(&source.database()));
    }
}

#[tokio::test]
async fn damaged_misplaced_and_strange_pieces_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let link = link(dir.path(), u64::MAX);
    let offer = |name: &str| Offer { name: "s".into(), files: vec![receive::FileOffer { name: name.into(), size: 6 }] };
    for name in ["../escape", "a/b", "", ".hidden", "nul\0"] {
        assert!(link.receiver.begin(1, offer(name)).is_err(), "{name:?}");
    }
    assert_eq!(link.receiver.begin(1, offer("f")).unwrap(), [0]);
    let piece = |offset: u64, data: &'static [u8], crc: u32| Piece {
        snapshot: "s".into(),
        file: 0,
        offset,
        data: Blob(Bytes::from_static(data)),
        crc,
    };
    let crc = crc32c::crc32c(b"abc");
    assert!(link.receiver.write(1, &piece(0, b"abd", crc)).unwrap_err().to_string().contains("damaged"));
    // After each refusal the snapshot is offered anew, and begins at the beginning.
    for (refused, whole) in [
        (piece(3, b"abc", crc), false),
        (piece(0, b"abc", crc), true),
        (piece(3, b"defg", crc32c::crc32c(b"abcdefg")), true),
    ] {
        assert_eq!(link.receiver.begin(1, offer("f")).unwrap(), [0]);
        if whole {
            link.receiver.write(1, &piece(0, b"abc", crc)).unwrap();
        }
        assert!(link.receiver.write(1, &refused).is_err());
        assert!(link.receiver.write(1, &piece(0, b"abc", crc)).is_err(), "it is not under way any more");
    }
    assert_eq!(link.receiver.begin(1, offer("f")).unwrap(), [0]);
    link.receiver.write(1, &piece(0, b"abc", crc)).unwrap();
    assert_eq!(link.receiver.begin(1, offer("f")).unwrap(), [3], "a transfer that broke off goes on");
    assert!(link.receiver.finish(1, "s").is_err());
    link.receiver.write(1, &piece(3, b"def", crc32c::crc32c(b"abcdef"))).unwrap();
    assert_eq!(std::fs::read(link.receiver.finish(1, "s").unwrap().database().join("f")).unwrap(), b"abcdef");
}

#[test]
fn what_stopped_arriving_or_was_overtaken_does_not_stay() {
    let dir = tempfile::tempdir().unwrap();
    let link = link(dir.path(), u64::MAX);
    let root = dir.path().join("snapshots");
    let offer = Offer {
        name: "00000000000000000009-1-1".into(),
        files: vec![receive::FileOffer { name: "f".into(), size: 6 }],
    };
    let long = std::time::Duration::from_secs(60);
    for (idle, applied, stays) in
        [(long, None, true), (long, Some(8), true), (long, Some(9), false), (std::time::Duration::ZERO, None, false)]
    {
        link.receiver.begin(1, offer.clone()).unwrap();
        link.receiver.forget(idle, applied);
        assert_eq!(files::list_names(&root).unwrap().len(), usize::from(stays), "{idle:?} {applied:?}");
    }
}

#[test]
fn only_the_newest_whole_snapshot_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mark = |index| AppliedRecord {
        last: Some(records::LogIdRecord { term: 1, leader: 1, index }),
        membership_id: None,
        membership: None,
    };
    for index in [3, 9, 5] {
        let path = dir.path().join(name_of(&mark(index)));
        std::fs::create_dir_all(path.join(DATABASE)).unwrap();
        std::fs::write(path.join(MARK), records::seal(MARK.as_bytes(), &mark(index))).unwrap();
    }
    // Without a mark, with a damaged one, and one that was being made.
    for name in ["00000000000000000011-1-1", "00000000000000000012-1-1", "new-4"] {
        std::fs::create_dir_all(dir.path().join(name)).unwrap();
    }
    std::fs::write(dir.path().join("00000000000000000012-1-1").join(MARK), "nonsense").unwrap();
    let snapshots = Snapshots::open(dir.path().to_owned()).unwrap();
    assert_eq!(snapshots.current().unwrap().meta.last_log_id.unwrap().index, 9);
    assert_eq!(files::list_names(dir.path()).unwrap(), [name_of(&mark(9))]);
}
