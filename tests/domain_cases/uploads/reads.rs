//! Which extent has a byte.

use proptest::prelude::*;
use ringmaster::domain::{ContentId, ExtentAt, MemoryStore, ReadStore, Table, command, query};

use super::{ID, begin, rows, to};
use crate::cluster::{ADA, Cluster, Counted, file};

/// All extents of a content by their rows.
fn all(store: &MemoryStore, id: ContentId) -> Vec<(u64, u64)> {
    let (mut found, mut from) = (Vec::new(), 0);
    while let Some(next) = query::extents(store, id, from, 1).expect("no fault").pop() {
        assert_eq!(next.offset, from);
        from += next.extent.size;
        found.push((next.offset, next.extent.size));
    }
    found
}

/// What `extents` says of an offset, against what stands there.
fn assert_found(cluster: &Cluster, known: &[(u64, u64)], offset: u64, limit: usize) {
    let counted = Counted::new(&cluster.store);
    let found = query::extents(&counted, ID, offset, limit).expect("no fault");
    let found: Vec<_> = found.iter().map(|found| (found.offset, found.extent.size)).collect();
    let expected: Vec<_> = known.iter().filter(|(start, size)| start + size > offset).take(limit).copied().collect();
    assert_eq!(found, expected, "at byte {offset}");
    // A usual extent's size below it there is a beginning, or it is looked for in halves.
    assert!(counted.reads.get() <= 210 + 2 * limit, "{} reads at byte {offset}", counted.reads.get());
}

fn size() -> impl Strategy<Value = u64> {
    prop_oneof![
        6 => (1..20_u64).prop_map(|units| units * 64),
        2 => (1..100_u64).prop_map(|mib| mib << 20),
        1 => Just(1_u64 << 30),
        1 => Just(64_u64 << 20),
        1 => Just((64_u64 << 20) + 64),
        1 => Just((64_u64 << 20) - 64),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_extent_with_a_byte_is_found(
        sizes in proptest::collection::vec(size(), 1..80),
        last in proptest::option::of(1..5000_u64),
        offsets in proptest::collection::vec((any::<prop::sample::Index>(), 0..3_u64, any::<u64>()), 40),
        limit in 1..7_usize,
    ) {
        let mut cluster = Cluster::new();
        cluster.must(begin(ID, to("/a")).into());
        let sizes: Vec<u64> = sizes.into_iter().chain(last).collect();
        cluster.add(ID, &sizes);
        let mut start = 0;
        let known: Vec<(u64, u64)> = sizes.iter().map(|size| { start += size; (start - size, *size) }).collect();
        for finished in [false, true] {
            if finished {
                cluster.finish(ID).expect("it is whole");
            }
            prop_assert_eq!(&all(&cluster.store, ID), &known);
            for (place, kind, any) in &offsets {
                let (start, size) = known[place.index(known.len())];
                // At borders, beside them, and anywhere.
                let offset = match kind {
                    0 => start,
                    1 => start + size - 1,
                    _ => start + any % size,
                };
                assert_found(&cluster, &known, offset, limit);
            }
            for offset in [0, start - 1, start, start + 1, start + (1 << 40), u64::MAX] {
                assert_found(&cluster, &known, offset, limit);
            }
        }
    }
}

#[test]
fn the_smallest_extents_are_found_with_few_reads() {
    let mut cluster = Cluster::new();
    cluster.must(begin(ID, to("/a")).into());
    cluster.add(ID, &[64; 5000]);
    for offset in (0..5000 * 64).step_by(1237) {
        let counted = Counted::new(&cluster.store);
        let found = query::extents(&counted, ID, offset, 1).expect("no fault");
        assert_eq!(found[0].offset, offset / 64 * 64);
        assert!(counted.reads.get() <= 60, "{} reads", counted.reads.get());
    }
}

#[test]
fn of_what_is_gone_or_never_was_nothing_is_found() {
    let mut cluster = Cluster::new();
    cluster.large(ID, "/a", &[64, 64, 7]);
    for offset in [135, 136, 1 << 40, u64::MAX] {
        assert_eq!(query::extents(&cluster.store, ID, offset, 10).expect("no fault"), []);
    }
    assert_eq!(query::extents(&cluster.store, ContentId(1), 0, 10).expect("no fault"), []);
    assert_eq!(query::extents(&cluster.store, ID, 0, 0).expect("no fault"), []);
    let place = ExtentAt { content_id: ID, offset: 64 };
    assert!(query::extent(&cluster.store, place).expect("no fault").is_some());
    assert!(query::extent(&cluster.store, ExtentAt { offset: 65, ..place }).expect("no fault").is_none());
    // While the reaper takes it away, what is left is found and what is gone is not.
    cluster.delete_for_good("/a");
    assert!(query::extent(&cluster.store, place).expect("no fault").is_none(), "jobs leave the dead alone");
    cluster.now += super::HOUR;
    cluster.must(command::Reap { limit: 1, ..Default::default() }.into());
    assert_eq!(rows(&cluster, Table::Extents), 2);
    assert_eq!(query::extents(&cluster.store, ID, 63, 10).expect("no fault"), []);
    assert_eq!(query::extents(&cluster.store, ID, 64, 10).expect("no fault").len(), 2);
    cluster.upkeep();
    assert_eq!(query::extents(&cluster.store, ID, 64, 10).expect("no fault"), []);
}

#[test]
fn the_extents_of_a_file_are_listed_page_by_page() {
    let mut cluster = Cluster::new();
    let sizes: Vec<u64> = (1..=20).map(|units| units * 64).chain([3]).collect();
    cluster.large(ID, "/a", &sizes);
    for limit in [1, 2, 7, 21, 100] {
        let (mut found, mut cursor) = (Vec::new(), None);
        loop {
            let page = query::file_extents(&cluster.store, ADA, &file("/a"), cursor.as_deref(), limit);
            let page = page.expect("no fault").expect("ada may");
            assert!(page.extents.len() <= limit);
            found.extend(page.extents.iter().map(|at| at.extent.size));
            assert!(page.extents.iter().all(|at| at.counted.len() == 2));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(found, sizes, "{limit} a page");
    }
    cluster.write("/small");
    let page = query::file_extents(&cluster.store, ADA, &file("/small"), None, 5).expect("no fault").expect("ada may");
    assert_eq!((page.extents.len(), page.next), (1, None));
    let root = query::file_extents(&cluster.store, ADA, &file("/"), None, 5).expect("no fault");
    assert!(root.is_err(), "a directory has no bytes");
    let reads = cluster.store.scan(Table::Extents, &[], None, usize::MAX).expect("no fault").len();
    assert_eq!(reads, 21);
}
