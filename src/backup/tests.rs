//! The form of an index, and what is done about a damaged one.

use std::fs;

use super::*;
use crate::domain::{MemoryStore, ReadStore, Store, Table};

/// Many rows of many sizes, in several tables.
fn store() -> MemoryStore {
    let mut store = MemoryStore::new();
    for at in 0_u32..5_000 {
        let key = at.to_be_bytes();
        let value = vec![u8::try_from(at % 251).expect("small"); at as usize % 97];
        store.put(Table::Names, &key, &value).expect("memory takes all");
        if at % 3 == 0 {
            store.put(Table::Operations, &[&key[..], b"x"].concat(), &value).expect("memory takes all");
        }
    }
    store.put(Table::Meta, b"fence", b"1").expect("memory takes all");
    store.put(Table::Meta, b"raft.applied", b"not the state machine's").expect("memory takes all");
    store
}

fn head() -> Head {
    Head::new("c".to_owned(), "test".to_owned(), 7, 1, 0)
}

fn bytes() -> Vec<u8> {
    let mut bytes = Vec::new();
    write_index(&store(), &head(), &mut |piece| {
        bytes.extend(piece);
        Ok(())
    })
    .expect("memory can be read");
    bytes
}

fn all(store: &dyn ReadStore, table: Table) -> Vec<(Vec<u8>, Vec<u8>)> {
    let rows = store.scan(table, &[], None, usize::MAX).expect("it can be read");
    rows.into_iter().filter(|(key, _)| !key.starts_with(b"raft.")).collect()
}

#[test]
fn an_index_reads_as_the_store_that_it_was_made_of() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("7.idx");
    fs::write(&path, bytes()).expect("it is written");
    let (index, store) = (Index::open(&path).expect("it is whole"), store());
    assert_eq!(index.head, head());
    for table in Table::ALL {
        assert_eq!(all(&index, table), all(&store, table), "{table:?}");
    }
    for key in [0_u32, 1, 2_500, 4_999, 5_000, u32::MAX] {
        let key = key.to_be_bytes();
        assert_eq!(index.get(Table::Names, &key), store.get(Table::Names, &key));
        for limit in [1, 700] {
            let to = 4_000_u32.to_be_bytes();
            let scan = |store: &dyn ReadStore| store.scan(Table::Names, &key, Some(&to), limit);
            assert_eq!(scan(&index), scan(&store));
        }
    }
    assert_eq!(index.get(Table::Meta, b"raft.applied"), Ok(None));
    assert_eq!(index.get(Table::Grants, b"x"), Ok(None));
}

#[test]
fn a_flipped_bit_or_a_cut_anywhere_is_found() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("7.idx");
    let good = bytes();
    let step = good.len() / 150;
    let places = (0..64).chain((64..good.len()).step_by(step)).chain(good.len() - 64..good.len());
    for at in places {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        fs::write(&path, &bad).expect("it is written");
        let error = Index::open(&path).err().unwrap_or_else(|| panic!("a bit at {at} went unnoticed")).to_string();
        assert!(error.contains("7.idx") && error.contains("damaged"), "{error}");
        fs::write(&path, &good[..at]).expect("it is written");
        assert!(Index::open(&path).is_err(), "a cut at {at} went unnoticed");
    }
    fs::write(&path, [&good[..], b"x"].concat()).expect("it is written");
    assert!(Index::open(&path).is_err(), "what follows went unnoticed");
}

#[test]
fn a_folder_is_of_one_cluster_and_has_one_writer() {
    let dir = tempfile::tempdir().expect("a directory");
    let folder = Folder::create(dir.path()).expect("it is made");
    folder.claim(&head()).expect("it is free");
    folder.claim(&head()).expect("it is ours");
    let other = Head { cluster_id: "d".to_owned(), ..head() };
    assert!(folder.claim(&other).is_err());
    assert!(Folder::create(dir.path()).is_err(), "two writers");
    assert!(folder.latest().is_err(), "nothing is finished");
    for index in [9, 10] {
        let temporary = folder.temporary_index();
        fs::write(&temporary, bytes()).expect("it is written");
        folder.land_index(&temporary, index).expect("it lands");
    }
    assert!(folder.latest().expect("a backup").ends_with("00000000000000000010.idx"));
    fs::write(dir.path().join("latest"), "00000000000000000011.idx\n").expect("it is written");
    let error = folder.latest().expect_err("latest names what is not there").to_string();
    assert!(error.contains("--index 10"), "{error}");
    assert!(folder.of_entry(9).is_ok());
    assert!(folder.of_entry(8).expect_err("there is none").to_string().contains("9, 10"));
}

#[test]
fn a_folder_with_other_things_in_it_is_left_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::create_dir(dir.path().join("tmp")).expect("it is made");
    fs::write(dir.path().join("tmp/precious"), "x").expect("it is written");
    let folder = Folder::create(dir.path()).expect("a folder called tmp may be a backup's");
    drop(folder);
    assert!(dir.path().join("tmp/precious").is_file());
    fs::write(dir.path().join("photo.jpg"), "x").expect("it is written");
    let error = Folder::create(dir.path()).err().expect("it is not empty").to_string();
    assert!(error.contains("photo.jpg") && error.contains("empty folder"), "{error}");
}

#[test]
fn a_disk_of_its_own_and_stray_files_are_in_nobodys_way() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::create_dir(dir.path().join("lost+found")).expect("it is made");
    let folder = Folder::create(dir.path()).expect("every new disk has one");
    folder.claim(&head()).expect("it is free");
    let blobs = dir.path().join("blobs");
    for dir in ["lost+found", "ab"] {
        fs::create_dir(blobs.join(dir)).expect("it is made");
    }
    let strays = [blobs.join("notes.txt"), blobs.join("cd"), blobs.join("ab/notes.txt")];
    for stray in &strays {
        fs::write(stray, "x").expect("it is written");
    }
    let temporary = folder.temporary_index();
    fs::write(&temporary, bytes()).expect("it is written");
    folder.land_index(&temporary, 7).expect("it lands");
    fs::write(blobs.join("ab").join("ab".repeat(16)), "x").expect("it is written");
    assert_eq!(folder.sweep(1).expect("it sweeps").blobs, 1);
    assert!(strays.iter().all(|stray| stray.is_file()));
    drop(folder);

    fs::remove_dir(dir.path().join("lost+found")).expect("it is empty");
    fs::write(dir.path().join("lost+found"), "x").expect("it is written");
    assert!(Folder::create(dir.path()).is_err(), "a file of that name is somebody's");
}

#[test]
fn what_is_being_read_is_not_swept() {
    let dir = tempfile::tempdir().expect("a directory");
    let folder = Folder::create(dir.path()).expect("it is made");
    folder.claim(&head()).expect("it is free");
    let temporary = folder.temporary_index();
    fs::write(&temporary, bytes()).expect("it is written");
    folder.land_index(&temporary, 7).expect("it lands");
    let reader = Folder::open(dir.path()).expect("it is a backup");
    let second = Folder::open(dir.path()).expect("readers share");
    let error = folder.sweep(1).expect_err("it is read").to_string();
    assert!(error.contains("reads in"), "{error}");
    drop((reader, second));
    folder.sweep(1).expect("nobody reads any more");
}

#[test]
fn an_index_of_a_newer_schema_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("7.idx");
    let mut bytes = Vec::new();
    let newer = Head { schema_version: crate::domain::Schema::NEWEST.0 + 1, ..head() };
    write_index(&store(), &newer, &mut |piece| {
        bytes.extend(piece);
        Ok(())
    })
    .expect("memory can be read");
    fs::write(&path, bytes).expect("it is written");
    let error = Index::open(&path).err().expect("it is not understood").to_string();
    assert!(error.contains("use release"), "{error}");
}
