use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use sha2::Digest;
use tempfile::TempDir;

use super::*;
use crate::domain::Sha256;

const CHUNK: usize = sidecar::CHUNK_BYTES as usize;
const BLOB: BlobId = BlobId(0xabcd_0000_0000_0000_0000_0000_0000_0001);
const COPY: CopyId = CopyId(7);

fn open(dir: &Path) -> Arc<Store> {
    Store::open(dir, None, SharedClock::system()).expect("the store opens")
}

fn fresh() -> (TempDir, Arc<Store>) {
    let dir = TempDir::new().expect("a temporary directory");
    let store = open(dir.path());
    (dir, store)
}

/// Bytes without any regularity that a mistaken offset could hide in.
fn content(size: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

fn put(store: &Arc<Store>, blob_id: BlobId, copy_id: CopyId, bytes: &[u8]) -> Result<Stored, StoreError> {
    let mut writer = store.begin(NewCopy { blob_id, copy_id, length: None, replaces: None })?;
    for piece in bytes.chunks(100_003) {
        writer.write(piece)?;
    }
    writer.commit()
}

fn read(store: &Arc<Store>, blob_id: BlobId, range: &Range<u64>) -> Result<Vec<u8>, StoreError> {
    let mut reader = store.read(blob_id)?.select(range);
    let mut bytes = Vec::new();
    while !reader.is_done() {
        let block = reader.next_block();
        bytes.extend_from_slice(&block.bytes);
        if let Some(failure) = block.failure {
            return Err(failure);
        }
    }
    Ok(bytes)
}

fn read_all(store: &Arc<Store>, blob_id: BlobId) -> Result<Vec<u8>, StoreError> {
    read(store, blob_id, &(0..u64::MAX))
}

fn is_empty(dir: &Path) -> bool {
    fs::read_dir(dir).expect("the directory is there").next().is_none()
}

fn flip(path: &Path, byte: usize, bit: u8) {
    let mut bytes = fs::read(path).expect("the file is there");
    bytes[byte] ^= 1 << bit;
    fs::write(path, bytes).expect("the file is written");
}

#[test]
fn blobs_of_all_sizes_come_back() {
    let (dir, store) = fresh();
    let sizes = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 16 * CHUNK, 256 * CHUNK, 256 * CHUNK + 1, 300 * CHUNK + 17];
    for (number, size) in sizes.into_iter().enumerate() {
        let blob_id = BlobId(number as u128);
        let bytes = content(size);
        let stored = put(&store, blob_id, COPY, &bytes).expect("stored");
        assert_eq!(stored.record.size, size as u64);
        assert_eq!(stored.record.sha256, Sha256(sha2::Sha256::digest(&bytes).into()));
        assert!(!stored.existed);
        assert_eq!(read_all(&store, blob_id).expect("read"), bytes);
        assert_eq!(store.head(blob_id).expect("there"), stored.record);
    }
    assert!(is_empty(&dir.path().join("tmp")));
    let reopened = open(dir.path());
    for (number, size) in sizes.into_iter().enumerate() {
        assert_eq!(read_all(&reopened, BlobId(number as u128)).expect("read"), content(size));
    }
    reopened.count(|| false).expect("counted");
    let usage = reopened.usage().expect("measured");
    assert_eq!((usage.blobs, usage.used), (sizes.len() as u64, sizes.iter().sum::<usize>() as u64));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_range_is_the_slice(
        size in prop_oneof![0..3 * CHUNK, 16 * CHUNK - 2..16 * CHUNK + 2, 30 * CHUNK..40 * CHUNK],
        ranges in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 8),
    ) {
        let (_dir, store) = fresh();
        let bytes = content(size);
        put(&store, BLOB, COPY, &bytes).expect("stored");
        for (one, other) in ranges {
            let (one, other) = (one.index(size + 1), other.index(size + 1));
            let (start, end) = (one.min(other), one.max(other));
            let part = read(&store, BLOB, &(start as u64..end as u64)).expect("read");
            prop_assert!(part == bytes[start..end], "{start}..{end} of {size}");
        }
    }

    #[test]
    fn no_flipped_bit_is_served(
        size in 1..5 * CHUNK,
        in_sidecar in any::<bool>(),
        position in any::<prop::sample::Index>(),
        bit in 0_u8..8,
    ) {
        let (_dir, store) = fresh();
        let bytes = content(size);
        put(&store, BLOB, COPY, &bytes).expect("stored");
        let path = if in_sidecar { store.layout.sidecar(BLOB) } else { store.layout.data(BLOB) };
        let length = fs::metadata(&path).expect("there").len() as usize;
        flip(&path, position.index(length), bit);
        let failure = read_all(&store, BLOB).expect_err("damaged");
        assert!(matches!(failure, StoreError::Damaged { .. }), "{failure}");
        prop_assert!(store.damaged() > 0);
    }

    #[test]
    fn no_cut_file_is_served(size in 1..5 * CHUNK, in_sidecar in any::<bool>(), cut in any::<prop::sample::Index>()) {
        let (_dir, store) = fresh();
        put(&store, BLOB, COPY, &content(size)).expect("stored");
        let path = if in_sidecar { store.layout.sidecar(BLOB) } else { store.layout.data(BLOB) };
        let length = fs::metadata(&path).expect("there").len() as usize;
        fs::File::options().write(true).open(&path).expect("opens").set_len(cut.index(length) as u64).expect("cut");
        assert!(matches!(read_all(&store, BLOB), Err(StoreError::Damaged { .. })));
        assert!(matches!(store.head(BLOB), Err(StoreError::Damaged { .. })));
    }
}

#[test]
fn what_is_before_a_bad_chunk_is_served_and_nothing_after() {
    let (_dir, store) = fresh();
    let bytes = content(40 * CHUNK);
    put(&store, BLOB, COPY, &bytes).expect("stored");
    flip(&store.layout.data(BLOB), 20 * CHUNK + 5, 3);
    let mut reader = store.read(BLOB).expect("opens");
    let mut served = Vec::new();
    let failure = loop {
        let block = reader.next_block();
        served.extend_from_slice(&block.bytes);
        if let Some(failure) = block.failure {
            break failure;
        }
    };
    assert!(matches!(failure, StoreError::Damaged { .. }));
    assert!(served == bytes[..20 * CHUNK]);
    let before = 3..20 * CHUNK as u64;
    assert!(read(&store, BLOB, &before).expect("good") == bytes[3..20 * CHUNK]);
    let after = 21 * CHUNK as u64..40 * CHUNK as u64;
    assert!(read(&store, BLOB, &after).expect("good") == bytes[21 * CHUNK..]);
}

#[test]
fn two_swapped_pages_of_checksums_are_noticed() {
    let (_dir, store) = fresh();
    put(&store, BLOB, COPY, &content(512 * CHUNK)).expect("stored");
    let path = store.layout.sidecar(BLOB);
    let bytes = fs::read(&path).expect("there");
    let (header, pages) = bytes.split_at(sidecar::HEADER_BYTES);
    let (one, two) = pages.split_at(pages.len() / 2);
    fs::write(&path, [header, two, one].concat()).expect("written");
    assert!(matches!(read_all(&store, BLOB), Err(StoreError::Damaged { .. })));
}

#[test]
fn the_same_copy_twice_is_one_copy_and_another_a_conflict() {
    let (_dir, store) = fresh();
    store.count(|| false).expect("counted");
    let first = put(&store, BLOB, COPY, b"bytes").expect("stored");
    let again = put(&store, BLOB, COPY, b"bytes").expect("the same");
    assert!(again.existed);
    assert_eq!(again.record, first.record);
    assert!(matches!(put(&store, BLOB, COPY, b"other"), Err(StoreError::Conflict(COPY))));
    assert!(matches!(put(&store, BLOB, CopyId(8), b"bytes"), Err(StoreError::Conflict(COPY))));
    assert!(!store.delete(BLOB, CopyId(8)).expect("no error"), "a late delete hits no other copy");
    assert_eq!(read_all(&store, BLOB).expect("still there"), b"bytes");
    assert!(store.delete(BLOB, COPY).expect("deleted"));
    assert!(!store.delete(BLOB, COPY).expect("no error"));
    assert!(matches!(store.head(BLOB), Err(StoreError::Missing)));
    put(&store, BLOB, CopyId(8), b"other").expect("the first is gone");
    let usage = store.usage().expect("measured");
    assert_eq!((usage.blobs, usage.used), (1, 5));
}

#[test]
fn a_dropped_writer_leaves_nothing() {
    let (dir, store) = fresh();
    let mut writer =
        store.begin(NewCopy { blob_id: BLOB, copy_id: COPY, length: Some(9_000_000), replaces: None }).expect("begun");
    writer.write(&content(3_000_000)).expect("written");
    assert!(!is_empty(&dir.path().join("tmp")));
    drop(writer);
    assert!(is_empty(&dir.path().join("tmp")));
    assert!(matches!(store.head(BLOB), Err(StoreError::Missing)));
    assert_eq!(store.in_flight.load(Ordering::Relaxed), 0);
}

/// The files of a finished copy, brought into each state that a crash can leave behind.
#[test]
fn a_crash_leaves_nothing_or_the_whole() {
    let states: [(&str, bool, bool, bool, bool); 6] = [
        // what, data in place, sidecar in place, data in tmp, sidecar in tmp
        ("before the first rename", false, false, true, true),
        ("between the renames", false, true, true, false),
        ("the renames reordered by the file system", true, false, false, true),
        ("a lone sidecar without a trace in tmp", false, true, false, false),
        ("while the sidecar was not made yet", false, false, true, false),
        ("a copy in place and another attempt under way", true, true, true, true),
    ];
    for (what, data_placed, sidecar_placed, data_left, sidecar_left) in states {
        let (dir, store) = fresh();
        put(&store, BLOB, COPY, &content(CHUNK + 1)).expect("stored");
        let files = [
            (store.layout.data(BLOB), data_placed, data_left, layout::Part::Data),
            (store.layout.sidecar(BLOB), sidecar_placed, sidecar_left, layout::Part::Sidecar),
        ];
        for (placed, stays, left, part) in &files {
            if *left {
                fs::copy(placed, store.layout.temporary(BLOB, COPY, 5, *part)).expect("copied");
            }
            if !stays {
                fs::remove_file(placed).expect("removed");
            }
        }
        drop(store);
        let store = open(dir.path());
        store.count(|| false).expect("counted");
        assert!(is_empty(&dir.path().join("tmp")), "{what}");
        if data_placed && sidecar_placed {
            assert_eq!(read_all(&store, BLOB).expect(what).len(), CHUNK + 1);
            continue;
        }
        assert!(matches!(store.head(BLOB), Err(StoreError::Missing)), "{what}");
        for (placed, ..) in &files {
            assert!(!placed.exists(), "{what}: {}", placed.display());
        }
        assert_eq!(store.usage().expect("measured").blobs, 0, "{what}");
        put(&store, BLOB, CopyId(9), b"anew").expect(what);
        assert_eq!(read_all(&store, BLOB).expect(what), b"anew");
    }
}

#[test]
fn data_without_its_sidecar_is_damaged_kept_and_gives_way() {
    let (dir, store) = fresh();
    put(&store, BLOB, COPY, b"bytes").expect("stored");
    fs::remove_file(store.layout.sidecar(BLOB)).expect("removed");
    drop(store);
    let store = open(dir.path());
    store.count(|| false).expect("counted");
    assert!(matches!(read_all(&store, BLOB), Err(StoreError::Damaged { .. })));
    assert!(store.layout.data(BLOB).exists(), "what may still be saved is not removed");
    let (listed, _) = store.list(None, 10).expect("listed");
    assert_eq!(listed, [Listed { blob_id: BLOB, size: 5, record: None }]);
    put(&store, BLOB, CopyId(8), b"mended").expect("gives way");
    assert_eq!(read_all(&store, BLOB).expect("read"), b"mended");
    assert_eq!(store.usage().expect("measured").used, 6);
}

#[test]
fn a_newer_sidecar_is_not_taken_for_damage() {
    let (_dir, store) = fresh();
    put(&store, BLOB, COPY, b"bytes").expect("stored");
    let path = store.layout.sidecar(BLOB);
    let mut bytes = fs::read(&path).expect("there");
    bytes[7] = 2;
    let crc = crc32c::crc32c(&bytes[..sidecar::HEADER_BYTES - 4]);
    bytes[sidecar::HEADER_BYTES - 4..sidecar::HEADER_BYTES].copy_from_slice(&crc.to_be_bytes());
    fs::write(&path, bytes).expect("written");
    assert!(matches!(store.head(BLOB), Err(StoreError::Newer(2))));
    assert!(matches!(put(&store, BLOB, CopyId(8), b"other"), Err(StoreError::Newer(2))));
    assert!(matches!(store.delete(BLOB, COPY), Err(StoreError::Newer(2))));
}

#[test]
fn listings_are_sorted_and_paged() {
    let (_dir, store) = fresh();
    let mut ids: Vec<BlobId> =
        (0..60_u128).map(|n| BlobId(n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))).collect();
    ids.extend([BlobId(u128::MAX), BlobId(u128::MAX - 1)]);
    for id in &ids {
        put(&store, *id, COPY, b"x").expect("stored");
    }
    ids.sort_unstable();
    for limit in [1, 7, 62, 1000] {
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let (page, more) = store.list(after, limit).expect("listed");
            assert!(page.len() <= limit);
            seen.extend(page.iter().map(|listed| listed.blob_id));
            after = page.last().map(|last| last.blob_id);
            if !more {
                break;
            }
        }
        assert_eq!(seen, ids);
    }
}

#[test]
fn the_operators_limit_holds() {
    let dir = TempDir::new().expect("a temporary directory");
    let store = Store::open(dir.path(), Some(1000), SharedClock::system()).expect("opens");
    store.count(|| false).expect("counted");
    assert_eq!(store.usage().expect("measured").capacity, 1000);
    put(&store, BlobId(1), COPY, &[1; 600]).expect("fits");
    assert!(matches!(put(&store, BlobId(2), COPY, &[1; 600]), Err(StoreError::Full)));
    let announced = store.begin(NewCopy { blob_id: BlobId(2), copy_id: COPY, length: Some(600), replaces: None });
    assert!(matches!(announced, Err(StoreError::Full)));
    put(&store, BlobId(3), COPY, &[1; 300]).expect("fits");
    assert!(store.delete(BlobId(1), COPY).expect("deleted"));
    put(&store, BlobId(2), COPY, &[1; 600]).expect("fits now");
    assert!(is_empty(&dir.path().join("tmp")));
}

#[test]
fn a_reader_meets_a_whole_copy_whatever_comes_and_goes() {
    let (_dir, store) = fresh();
    let copies: Vec<Vec<u8>> = (0..2_u8).map(|n| content(2 * CHUNK).iter().map(|byte| byte ^ n).collect()).collect();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut met = 0;
            while !done.load(Ordering::Relaxed) {
                match read_all(&store, BLOB) {
                    Ok(bytes) => {
                        assert!(copies.contains(&bytes));
                        met += 1;
                    }
                    Err(StoreError::Missing) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            met
        });
        // From 1: the id 0 names no copy.
        for round in 1..=60 {
            let copy_id = CopyId(round);
            put(&store, BLOB, copy_id, &copies[(round % 2) as usize]).expect("stored");
            assert!(store.delete(BLOB, copy_id).expect("deleted"));
        }
        done.store(true, Ordering::Relaxed);
        assert!(reader.join().expect("no panic") > 0);
    });
    assert_eq!(store.damaged(), 0);
}
