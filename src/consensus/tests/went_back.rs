//! Nodes whose disks are put back to an older state, in part or as a whole.

use std::path::Path;

use super::crashes::copy;
use super::*;

/// A copy of what a node has, while it does not run.
async fn keep(cluster: &Cluster, id: u64) -> tempfile::TempDir {
    let (data, kept) = (cluster.data_dir(id), tempfile::tempdir().unwrap());
    until(|| crate::consensus::formation::DataDir::take(&data).ok()).await;
    copy(&data, kept.path());
    kept
}

async fn put_back(cluster: &Cluster, id: u64, kept: &Path, part: &str) {
    let data = cluster.data_dir(id);
    until(|| crate::consensus::formation::DataDir::take(&data).ok()).await;
    copy(&kept.join(part), &data.join(part));
}

/// A node that is kept as it is, takes part in some more, and is down then.
async fn one_with_a_past(id_of: impl AsyncFn(&Cluster) -> u64) -> (Cluster, u64, tempfile::TempDir) {
    let mut cluster = Cluster::started(On::Disk, 3, Tuning::default()).await;
    set(cluster.node(1), "a", "1").await.unwrap();
    let id = id_of(&cluster).await;
    until_status(cluster.node(id), |status| status.ready && status.lag == 0).await;
    cluster.kill(id);
    let kept = keep(&cluster, id).await;
    cluster.start(id).await;
    let other = id % 3 + 1;
    until_status(cluster.node(id), |status| status.ready).await;
    set(cluster.node(other), "b", "2").await.unwrap();
    assert_eq!(get(cluster.node(id), "b").await.as_deref(), Some("2"));
    has_acknowledged(&cluster, id).await;
    cluster.kill(id);
    (cluster, id, kept)
}

/// Somebody has its word for all that it has: what it says last may be on its way when it ends, and counts for nothing.
async fn has_acknowledged(cluster: &Cluster, id: u64) {
    let last = cluster.node(id).status().last_log_index;
    let others = || cluster.running().filter(|node| node.status().node_id.0 != id);
    until(|| others().any(|node| node.acknowledged_by(NodeId(id)).is_some_and(|at| at.index >= last)).then_some(()))
        .await;
}

async fn says_that_it_went_back(cluster: &mut Cluster, id: u64) {
    // Again and again, however often it is started.
    for _ in 0..2 {
        cluster.start(id).await;
        let mut stopped = cluster.node(id).stopped();
        let said = until(|| stopped.borrow_and_update().clone()).await;
        assert!(said.contains("went back in time") && said.contains(&format!("cluster remove {id}")), "{said}");
        cluster.kill(id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_went_back_one_entry_ends_and_the_others_say_so() {
    let (mut cluster, id, kept) = one_with_a_past(async |cluster| cluster.follower().await).await;
    put_back(&cluster, id, kept.path(), "raft").await;
    put_back(&cluster, id, kept.path(), "state").await;
    says_that_it_went_back(&mut cluster, id).await;
    for other in (1..=3).filter(|other| *other != id) {
        let node = cluster.node(other);
        let status = until_status(node, |status| status.members[id as usize - 1].trouble.is_some()).await;
        assert_eq!(status.members.iter().filter(|member| member.trouble.is_some()).count(), 1);
        assert_eq!(node.metrics().in_trouble, 1);
    }
    // What they have is theirs still, and they go on.
    let leader = cluster.leader().await;
    set(cluster.node(leader), "c", "3").await.unwrap();
    assert_eq!(get(cluster.node(leader), "b").await.as_deref(), Some("2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_went_back_ends() {
    let (mut cluster, id, kept) = one_with_a_past(async |cluster| cluster.leader().await).await;
    for part in ["raft", "state", "snapshots"] {
        put_back(&cluster, id, kept.path(), part).await;
    }
    says_that_it_went_back(&mut cluster, id).await;
}

/// Everything was down in between: what the others know is on their disks.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_went_back_while_all_were_down_is_found_out() {
    let (mut cluster, id, kept) = one_with_a_past(async |cluster| cluster.follower().await).await;
    // It is written down within a second.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    for other in 1..=3 {
        cluster.kill(other);
    }
    put_back(&cluster, id, kept.path(), "raft").await;
    put_back(&cluster, id, kept.path(), "state").await;
    for other in (1..=3).filter(|other| *other != id) {
        cluster.start(other).await;
    }
    says_that_it_went_back(&mut cluster, id).await;
    let leader = cluster.leader().await;
    assert_eq!(get(cluster.node(leader), "b").await.as_deref(), Some("2"));
}

/// Those who know better come up after it has begun.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_went_back_and_is_up_first_ends_when_it_hears_of_it() {
    let (mut cluster, id, kept) = one_with_a_past(async |cluster| cluster.follower().await).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    for other in 1..=3 {
        cluster.kill(other);
    }
    put_back(&cluster, id, kept.path(), "raft").await;
    put_back(&cluster, id, kept.path(), "state").await;
    cluster.start(id).await;
    let mut stopped = cluster.node(id).stopped();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(*stopped.borrow_and_update(), None, "alone, it cannot know");
    for other in (1..=3).filter(|other| *other != id) {
        cluster.start(other).await;
    }
    let said = until(|| stopped.borrow_and_update().clone()).await;
    assert!(said.contains("went back in time"), "{said}");
    cluster.kill(id);
    let leader = cluster.leader().await;
    assert_eq!(get(cluster.node(leader), "b").await.as_deref(), Some("2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_that_went_back_end_both_and_nothing_is_elected_on_them() {
    let mut cluster = Cluster::started(On::Disk, 3, Tuning::default()).await;
    set(cluster.node(1), "a", "1").await.unwrap();
    let leader = cluster.leader().await;
    let two: Vec<u64> = (1..=3).filter(|id| *id != leader).collect();
    let mut kept = Vec::new();
    for id in &two {
        cluster.kill(*id);
        kept.push(keep(&cluster, *id).await);
        cluster.start(*id).await;
        until_status(cluster.node(*id), |status| status.ready).await;
    }
    set(cluster.node(leader), "b", "2").await.unwrap();
    for id in &two {
        assert_eq!(get(cluster.node(*id), "b").await.as_deref(), Some("2"));
        has_acknowledged(&cluster, *id).await;
    }
    for (id, kept) in two.iter().zip(&kept) {
        cluster.kill(*id);
        put_back(&cluster, *id, kept.path(), "raft").await;
        put_back(&cluster, *id, kept.path(), "state").await;
    }
    for id in &two {
        cluster.start(*id).await;
    }
    for id in &two {
        let mut stopped = cluster.node(*id).stopped();
        let said = until(|| stopped.borrow_and_update().clone()).await;
        assert!(said.contains("went back in time"), "{said}");
    }
}

/// All of it comes from the log again, which has what was acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_went_back_alone_catches_up() {
    let (mut cluster, id, kept) = one_with_a_past(async |cluster| cluster.follower().await).await;
    put_back(&cluster, id, kept.path(), "state").await;
    std::fs::copy(kept.path().join("node.json"), cluster.data_dir(id).join("node.json")).unwrap();
    cluster.start(id).await;
    until_status(cluster.node(id), |status| status.ready).await;
    assert_eq!(get(cluster.node(id), "b").await.as_deref(), Some("2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_runs_beside_the_original_ends() {
    let mut cluster = Cluster::started(On::Disk, 3, Tuning::default()).await;
    set(cluster.node(1), "a", "1").await.unwrap();
    let id = cluster.follower().await;
    cluster.kill(id);
    let kept = keep(&cluster, id).await;
    cluster.start(id).await;
    until_status(cluster.node(id), |status| status.ready).await;
    std::fs::remove_file(kept.path().join("LOCK")).unwrap();
    cluster.listeners[id as usize - 1] = Some(TcpListener::bind("127.0.0.1:0").unwrap());
    let mut options = cluster.options(id).await;
    options.data_dir = kept.path().to_owned();
    options.peer_url = format!("https://{}", options.peer_listener.local_addr().unwrap());
    let twin = cluster.try_start(options).await.unwrap();
    let mut stopped = twin.stopped();
    let said = until(|| stopped.borrow_and_update().clone()).await;
    assert!(said.contains("another process runs as node"), "{said}");
    assert_eq!(*cluster.node(id).stopped().borrow(), None);
}
