//! `check` finds what is broken.

use ringmaster::domain::store::Row;
use ringmaster::domain::terms::LockProof;
use ringmaster::domain::{Command, ContentId, Fence, MemoryStore, ReadStore, Sha256, Store, Table, check, command};

use crate::cluster::{ADA, Cluster, file};
use crate::uploads::{begin, to};

/// A bit of everything, also in the trash, half worked off.
fn rich() -> Cluster {
    let mut cluster = Cluster::new();
    for path in ["/docs/a", "/docs/b", "/old/x/1", "/old/x/2", "/old/y", "/f"] {
        cluster.write(path);
    }
    cluster.mkdir("/bare");
    cluster.share("/docs", "bob");
    cluster.share("/old/y", "bob");
    cluster.must(Command::Lock(command::Lock {
        user: ADA,
        file: file("/docs/a"),
        ttl_ms: 5000,
        mac_hash: Sha256([1; 32]),
    }));
    cluster.must(Command::Lock(command::Lock { user: ADA, file: file("/f"), ttl_ms: 5000, mac_hash: Sha256([1; 32]) }));
    cluster.must(Command::Unlock(command::Unlock {
        user: ADA,
        lock: LockProof { fence: Fence(2), mac_hash: Sha256([1; 32]) },
    }));
    cluster.must(Command::OpenSession(command::OpenSession { user: ADA, token_hash: Sha256([2; 32]) }));
    cluster.delete("/old").expect("ada may delete");
    cluster.must(Command::Reap(command::Reap { limit: 1, ..Default::default() }));
    large(&mut cluster);
    cluster.sound();
    cluster
}

/// Contents of several extents: one that is read, one that is dead and read, one that is being sent.
fn large(cluster: &mut Cluster) {
    for (id, path) in [(0xa1, "/large"), (0xa2, "/dead")] {
        cluster.large(ContentId(id), path, &[64, 128, 7]);
        cluster.must(command::PinContent { user: ADA, content_id: ContentId(id), ttl_ms: 60_000 }.into());
    }
    cluster.delete_for_good("/dead");
    cluster.must(begin(ContentId(0xa3), to("/open")).into());
    cluster.add(ContentId(0xa3), &[64, 128]);
    let tail = command::AddExtents { tail: vec![1; 9], ..cluster.more(ContentId(0xa3), &[]) };
    cluster.must(tail.into());
    cluster.must(begin(ContentId(0xa4), to("/begun")).into());
}

fn is_noticed(store: &MemoryStore) -> bool {
    // A row that cannot be followed at all is a fault rather than a violation.
    check(store).map_or(true, |broken| !broken.is_empty())
}

/// Tables of which a row may be missing without anything being broken: it is a wish, a debt, or a default.
const LONE: [Table; 5] = [Table::Garbage, Table::Repairs, Table::Sweeps, Table::Policy, Table::Meta];

#[test]
fn a_missing_row_is_noticed_in_every_table() {
    let whole = rich().store;
    let rows: Vec<_> = whole.rows().map(|(table, key, _)| (table, key.to_vec())).collect();
    for (table, key) in rows {
        if LONE.contains(&table) {
            continue;
        }
        let mut broken = whole.clone();
        broken.delete(table, &key).expect("no fault in memory");
        assert!(is_noticed(&broken), "{table:?} {key:?}");
    }
}

#[test]
fn a_row_under_another_key_is_noticed_in_every_table() {
    let whole = rich().store;
    let rows: Vec<_> = whole.rows().map(|(table, key, value)| (table, key.to_vec(), value.to_vec())).collect();
    for (table, mut key, value) in rows {
        if LONE.contains(&table) || table == Table::Ring {
            continue;
        }
        let last = key.len() - 1;
        key[last] ^= 0x40;
        let mut broken = whole.clone();
        broken.put(table, &key, &value).expect("no fault in memory");
        assert!(is_noticed(&broken), "{table:?} {key:?}");
    }
}

/// Values that belong to another row of the same table.
#[test]
fn exchanged_values_are_noticed() {
    let whole = rich().store;
    for table in [Table::Entries, Table::Names, Table::Servers, Table::Users, Table::Usernames] {
        let rows = whole.scan(table, &[], None, 2).expect("no fault in memory");
        let mut broken = whole.clone();
        broken.put(table, &rows[0].0, &rows[1].1).expect("no fault in memory");
        broken.put(table, &rows[1].0, &rows[0].1).expect("no fault in memory");
        assert!(is_noticed(&broken), "{table:?}");
    }
}

#[test]
fn violations_are_told_by_name() {
    let named = |table: Table, pick: fn(&[Row]) -> usize| {
        let mut store = rich().store;
        let rows = store.scan(table, &[], None, 100).expect("no fault in memory");
        store.delete(table, &rows[pick(&rows)].0).expect("no fault in memory");
        check(&store)
            .expect("it can still be read")
            .into_iter()
            .map(|violation| violation.invariant)
            .collect::<Vec<_>>()
    };
    let first = |_: &[Row]| 0;
    assert_eq!(named(Table::GrantsByFile, first), ["grants_have_their_reverse"]);
    assert_eq!(named(Table::LocksByOwner, first), ["locks_are_known_by_owner"]);
    assert_eq!(named(Table::Ring, first), ["ring_is_who_is_up_and_not_draining"]);
    assert_eq!(named(Table::Placements, first), ["replicas_have_placements"]);
    assert_eq!(named(Table::Names, |rows| rows.len() - 1), ["entries_have_their_names", "what_is_counted_is_there"]);
    assert_eq!(named(Table::Bare, first), ["entries_have_their_names", "what_is_counted_is_there"]);
    assert_eq!(named(Table::Children, first), ["children_are_counted"]);
    assert_eq!(named(Table::Tokens, first), ["sessions_by_user_are_open", "expiries_end_something"]);
    assert_eq!(named(Table::Sessions, first), ["sessions_are_known_by_user"]);
    assert_eq!(named(Table::Dead, first), ["dead_contents_are_listed"]);
    let uploads = ["refs_add_up", "expiries_end_something"];
    assert_eq!(named(Table::Uploads, first)[1..], uploads);
}
