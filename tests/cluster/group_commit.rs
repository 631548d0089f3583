//! Writers share the log's syncs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Cluster, Setup};

const WRITERS: usize = 64;
const ROUNDS: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_writers_share_syncs() {
    let setup = Setup::new(3, 2).with("RINGMASTER__RAFT__SYNC_DELAY", "2ms");
    let cluster = Arc::new(Cluster::set_up(setup).await);
    for writer in 0..WRITERS {
        let (status, answer) =
            cluster.put(&cluster.admin, writer % 3, &format!("/write?path=/locks/{writer}"), "x", &[]).await;
        assert_eq!(status, 201, "{answer}");
    }
    let leader = cluster.leader().await;
    let before = (
        cluster.metric(leader, "ringmaster_raft_log_syncs_total").await,
        cluster.metric(leader, "ringmaster_raft_commits_total").await,
    );
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let cluster = cluster.clone();
        writers.push(tokio::spawn(async move {
            for round in 0..ROUNDS {
                let admin = &cluster.admin;
                let (status, held) =
                    cluster.post(admin, leader, "/lock", &json!({"path": format!("/locks/{writer}")})).await;
                assert_eq!(status, 200, "{held}");
                assert_eq!(
                    cluster.post(admin, leader, "/unlock", &json!({"lock_token": held["lock_token"]})).await.0,
                    204
                );
                let made = json!({"path": format!("/made-{writer}-{round}")});
                assert_eq!(cluster.post(admin, leader, "/mkdir", &made).await.0, 201);
            }
        }));
    }
    for writer in writers {
        writer.await.expect("the writer finished");
    }
    assert_eq!(cluster.leader().await, leader, "the counters are one leader's");
    let syncs = cluster.metric(leader, "ringmaster_raft_log_syncs_total").await - before.0;
    let commits = cluster.metric(leader, "ringmaster_raft_commits_total").await - before.1;
    println!(
        "{WRITERS} writers: {commits} commits, {syncs} syncs, {:.1} commits a sync",
        commits as f64 / syncs as f64
    );
    assert!(commits >= (WRITERS * ROUNDS * 3) as u64);
    // Some seven on a busy machine; what counts is that there is by no means one for each.
    assert!(syncs * 4 <= commits, "{syncs} syncs for {commits} commits");
}

/// With each sync slowed to a quarter of a second, a write that waited for the leader's sync and then for a follower's
/// could never be answered in less than half a second; one that waits for both at once can. The fastest of several
/// decides, so that a busy machine cannot fail this; and the leader syncs once for each.
#[tokio::test(flavor = "multi_thread")]
async fn one_writer_waits_for_two_syncs_in_parallel() {
    const SYNC: Duration = Duration::from_millis(250);
    const WRITES: u32 = 8;
    // A vote takes two such syncs, so elections must wait longer than that.
    let setup = Setup::new(3, 2)
        .with("RINGMASTER__RAFT__SYNC_DELAY", "250ms")
        .with("RINGMASTER__RAFT__ELECTION_MIN", "2s")
        .with("RINGMASTER__RAFT__ELECTION_MAX", "4s");
    let cluster = Cluster::set_up(setup).await;
    let leader = cluster.leader().await;
    let before = cluster.metric(leader, "ringmaster_raft_log_syncs_total").await;
    let mut fastest = Duration::MAX;
    for write in 0..WRITES {
        let start = Instant::now();
        let (status, answer) =
            cluster.post(&cluster.admin, leader, "/mkdir", &json!({"path": format!("/{write}")})).await;
        assert_eq!(status, 201, "{answer}");
        fastest = fastest.min(start.elapsed());
    }
    let syncs = cluster.metric(leader, "ringmaster_raft_log_syncs_total").await - before;
    println!("one writer: fastest {fastest:?}, {syncs} syncs for {WRITES} commits");
    assert!(fastest >= SYNC, "a write was acknowledged before its sync");
    assert!(fastest < SYNC * 2, "the syncs of leader and follower wait for one another: {fastest:?}");
    assert!(syncs <= u64::from(WRITES) + 2, "{syncs} syncs for {WRITES} commits");
}
