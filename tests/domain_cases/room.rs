//! Room that is wanted: what was deleted gives way early, as far as no read needs it, and where it is wanted alone.

use ringmaster::domain::plan::{Observed, Task};
use ringmaster::domain::{ClusterTime, CopyAt, ServerId, plan, query};

use crate::cluster::Cluster;

const MINUTE: u64 = 60_000;

fn erasures(cluster: &Cluster, pressed: &[ServerId], unread_before: u64) -> Vec<CopyAt> {
    let observed = Observed {
        now: ClusterTime(cluster.now),
        room: 100,
        pressed: pressed.iter().copied().collect(),
        unread_before: ClusterTime(unread_before),
        ..Observed::default()
    };
    let tasks = plan(&cluster.store, &observed).expect("no fault in memory").tasks;
    tasks
        .into_iter()
        .filter_map(|task| if let Task::Erase(copies) = task { Some(copies) } else { None })
        .flatten()
        .collect()
}

#[test]
fn what_is_deleted_gives_way_where_room_is_wanted_and_no_read_needs_it() {
    let mut cluster = Cluster::new();
    cluster.write("/a");
    cluster.write("/b");
    cluster.delete("/a").expect("it goes");
    let first = cluster.now;
    cluster.now += MINUTE;
    cluster.delete("/b").expect("it goes");
    let second = cluster.now;
    cluster.now += MINUTE;

    let upkeep = query::upkeep(&cluster.store).expect("no fault in memory");
    let servers: Vec<ServerId> = upkeep.to_delete.keys().copied().collect();
    assert!(servers.len() >= 2, "{upkeep:?}");
    assert_eq!(upkeep.to_delete.values().map(|listed| listed.copies).sum::<u64>(), 4);
    let oldest = upkeep.to_delete.values().map(|listed| listed.first).min();
    let newest = upkeep.to_delete.values().map(|listed| listed.last).max();
    assert!(oldest <= Some(ClusterTime(first)) && newest > Some(ClusterTime(first)), "{upkeep:?}");
    assert!(newest <= Some(ClusterTime(second)), "{upkeep:?}");

    assert!(erasures(&cluster, &[], u64::MAX).is_empty(), "nobody wants the room");
    assert!(erasures(&cluster, &servers, 0).is_empty(), "a read from the beginning runs");
    let early = erasures(&cluster, &servers, first + 1);
    assert_eq!(early.len(), 2, "both copies of the first file");
    assert!(erasures(&cluster, &servers, oldest.expect("some").0).is_empty(), "a read of that very moment needs them");
    let of_one = erasures(&cluster, &servers[..1], u64::MAX);
    assert!(!of_one.is_empty() && of_one.iter().all(|copy| copy.server_id == servers[0]), "{of_one:?}");
    assert_eq!(erasures(&cluster, &servers, u64::MAX).len(), 4);
}
