//! No command does more than a bounded part of what is large.

use ringmaster::domain::terms::Policy;
use ringmaster::domain::{ClusterTime, ContentId, Outcome, Table, command, query};

use super::{ID, begin, end, rows, to};
use crate::cluster::{Cluster, Counted};

fn reap(cluster: &mut Cluster, limit: u32) -> (u32, bool) {
    match cluster.must(command::Reap { limit, ..Default::default() }.into()) {
        Outcome::Progress { rows, more } => (rows, more),
        other => panic!("{other:?}"),
    }
}

/// Many contents that each have many extents: their rows are counted, not their number.
#[test]
fn what_is_dead_goes_in_bounded_steps() {
    let mut cluster = Cluster::new();
    cluster.must(command::SetPolicy(Policy { garbage_linger_ms: 1000, ..Policy::default() }).into());
    for number in 0..32 {
        let id = ContentId(number);
        cluster.must(begin(id, to("/a")).into());
        cluster.add(id, &[64; 50]);
        cluster.must(end(id));
    }
    cluster.sound();
    assert_eq!(reap(&mut cluster, 1000), (0, false), "nothing is due");
    cluster.now += 1000;
    let mut steps = 0;
    loop {
        let (counted, more) = reap(&mut cluster, u32::MAX);
        assert!(cluster.touched <= 1100, "{} rows at once", cluster.touched);
        assert!(cluster.touched <= counted as usize + 5, "{} rows are said to be {counted}", cluster.touched);
        assert!(cluster.reads <= 3000, "{}", cluster.reads);
        steps += 1;
        if !more {
            break;
        }
        assert!(counted > 0);
    }
    assert!(steps > 5, "{steps}");
    cluster.sound();
    assert_eq!((rows(&cluster, Table::Contents), rows(&cluster, Table::Garbage)), (0, 32 * 50 * 2));
}

/// However small the steps are, they come to an end.
#[test]
fn the_smallest_steps_get_somewhere() {
    let mut cluster = Cluster::new();
    cluster.must(command::SetPolicy(Policy { garbage_linger_ms: 0, ..Policy::default() }).into());
    for number in 0..3 {
        let id = ContentId(number);
        cluster.must(begin(id, to("/a")).into());
        cluster.add(id, &[64; 5]);
        cluster.must(end(id));
    }
    for (limit, most) in [(0, 60), (1, 60), (16, 60)] {
        let mut copy = Cluster::new();
        copy.store.clone_from(&cluster.store);
        let mut steps = 0;
        while query::trash_pending(&copy.store, copy.time(), ClusterTime(0)).expect("no fault") {
            reap(&mut copy, limit);
            copy.sound();
            steps += 1;
            assert!(steps <= most, "no end at {limit} rows a step");
        }
        assert_eq!(rows(&copy, Table::Extents), 0);
    }
}

/// Whatever the number of extents, names are names.
#[test]
fn a_large_file_is_named_copied_and_deleted_like_a_small_one() {
    let mut cluster = Cluster::new();
    cluster.must(command::SetPolicy(Policy { versions_keep: 2, ..Policy::default() }).into());
    cluster.large(ID, "/a", &[64; 1000]);
    cluster.sound();
    let from = crate::cluster::file("/a");
    cluster.must(command::CopyFile { user: crate::cluster::ADA, from, to: crate::cluster::at("/b") }.into());
    assert!(cluster.touched <= 10 && cluster.reads <= 20, "{} {}", cluster.touched, cluster.reads);
    cluster.delete("/a").expect("it goes");
    assert!(cluster.touched <= 10 && cluster.reads <= 20, "{} {}", cluster.touched, cluster.reads);
    cluster.delete_for_good("/b");
    assert!(cluster.touched <= 10 && cluster.reads <= 20, "{} {}", cluster.touched, cluster.reads);
    cluster.sound();
    for offset in [0, 64, 63_999, 64_000, u64::MAX] {
        let counted = Counted::new(&cluster.store);
        query::extents(&counted, ID, offset, 1).expect("no fault");
        assert!(counted.reads.get() <= 200, "{} at {offset}", counted.reads.get());
    }
    cluster.cleared();
}
