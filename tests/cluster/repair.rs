//! Files whose servers die get their copies back, and what servers bring back is taken in.

use crate::support::{Cluster, Setup, noise};

/// Detection, rounds and garbage in seconds rather than minutes.
pub(crate) fn brisk(nodes: usize, servers: usize) -> Setup {
    Setup::new(nodes, servers)
        .with("RINGMASTER__DETECTION__HEARTBEAT", "200ms")
        .with("RINGMASTER__DETECTION__DEAD_AFTER", "1s")
        .with("RINGMASTER__REPLICATION__INTERVAL", "2s")
        .with("RINGMASTER__GARBAGE__LINGER", "1s")
        .with("RINGMASTER__GARBAGE__GRACE", "3s")
}

pub(crate) async fn fill(cluster: &Cluster, files: usize) {
    for number in 0..files {
        let (status, answer) = cluster
            .put(&cluster.admin, 0, &format!("/write?path=/f{number}"), noise(number as u64, 20_000 + number), &[])
            .await;
        assert_eq!(status, 201, "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_any_single_death_everything_has_two_copies_again() {
    let mut cluster = Cluster::set_up(brisk(3, 4)).await;
    fill(&cluster, 60).await;
    for dead in 0..4 {
        cluster.servers[dead].kill();
        cluster.wait_state(dead, "down").await;
        cluster.wait_whole(&cluster.admin, 2).await;
        cluster.servers[dead].start();
        cluster.wait_state(dead, "up").await;
        cluster.wait_whole(&cluster.admin, 2).await;
    }
    cluster.wait_no_orphans(&cluster.admin).await;
    assert!(cluster.blobs_on_disks().len() == 120, "two copies of each of 60 files");
}
