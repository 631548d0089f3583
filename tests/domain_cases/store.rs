//! An overlay is a store like any other.

use proptest::prelude::*;

use ringmaster::domain::{MemoryStore, Overlay, ReadStore, Store, Table};

#[derive(Clone, Debug)]
enum Step {
    Put(Vec<u8>, u8),
    Delete(Vec<u8>),
    Scan(Vec<u8>, Option<Vec<u8>>, usize),
    /// Writes the overlay out and starts another.
    Flush,
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(0..4_u8, 0..3)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (key(), any::<u8>()).prop_map(|(key, value)| Step::Put(key, value)),
        3 => key().prop_map(Step::Delete),
        3 => (key(), proptest::option::of(key()), 0..30_usize).prop_map(|(from, to, limit)| Step::Scan(from, to, limit)),
        1 => Just(Step::Flush),
    ]
}

fn flush(overlay: Overlay<'_>) -> Vec<(Table, Vec<u8>, Option<Vec<u8>>)> {
    overlay.into_changes().collect()
}

fn write(store: &mut dyn Store, changes: Vec<(Table, Vec<u8>, Option<Vec<u8>>)>) {
    for (table, key, value) in changes {
        match value {
            Some(value) => store.put(table, &key, &value),
            None => store.delete(table, &key),
        }
        .expect("no fault in memory");
    }
}

proptest! {
    /// Two overlays over a base against one plain store.
    #[test]
    fn an_overlay_reads_like_a_plain_store(rounds in proptest::collection::vec(proptest::collection::vec(step(), 0..40), 1..4)) {
        let mut plain = MemoryStore::new();
        let mut base = MemoryStore::new();
        for steps in rounds {
            let changes = {
                let mut outer = Overlay::new(&base);
                let mut pending = steps.into_iter();
                loop {
                    let mut flushed = false;
                    let changes = {
                        let mut inner = Overlay::new(&outer);
                        for step in pending.by_ref() {
                            match step {
                                Step::Put(key, value) => {
                                    plain.put(Table::Meta, &key, &[value]).expect("no fault");
                                    inner.put(Table::Meta, &key, &[value]).expect("no fault");
                                }
                                Step::Delete(key) => {
                                    plain.delete(Table::Meta, &key).expect("no fault");
                                    inner.delete(Table::Meta, &key).expect("no fault");
                                }
                                Step::Scan(from, to, limit) => {
                                    prop_assert_eq!(
                                        inner.scan(Table::Meta, &from, to.as_deref(), limit).expect("no fault"),
                                        plain.scan(Table::Meta, &from, to.as_deref(), limit).expect("no fault")
                                    );
                                    prop_assert_eq!(
                                        inner.get(Table::Meta, &from).expect("no fault"),
                                        plain.get(Table::Meta, &from).expect("no fault")
                                    );
                                }
                                Step::Flush => {
                                    flushed = true;
                                    break;
                                }
                            }
                        }
                        flush(inner)
                    };
                    write(&mut outer, changes);
                    if !flushed {
                        break;
                    }
                }
                flush(outer)
            };
            write(&mut base, changes);
            prop_assert!(base == plain);
        }
    }
}

/// More rows were deleted in the overlay than one look at the base reads.
#[test]
fn a_scan_passes_over_many_deleted_rows() {
    let mut base = MemoryStore::new();
    for number in 0..5000_u32 {
        base.put(Table::Names, &number.to_be_bytes(), b"x").expect("no fault");
    }
    let mut overlay = Overlay::new(&base);
    for number in 0..4999_u32 {
        overlay.delete(Table::Names, &number.to_be_bytes()).expect("no fault");
    }
    overlay.put(Table::Names, &9000_u32.to_be_bytes(), b"y").expect("no fault");
    let rows = overlay.scan(Table::Names, &[], None, 2).expect("no fault");
    let keys: Vec<_> = rows.into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, [4999_u32.to_be_bytes().to_vec(), 9000_u32.to_be_bytes().to_vec()]);
}
