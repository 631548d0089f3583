//! Data directories as a crash leaves them in the middle of a snapshot's way: each is opened again.

use std::path::Path;

use super::*;
use crate::consensus::files;

const KEPT: u64 = 20;

fn tuning() -> Tuning {
    Tuning { snapshot_after: 200, keep_entries: KEPT, snapshot_chunk_bytes: 1000, ..Tuning::default() }
}

pub(super) fn copy(from: &Path, to: &Path) {
    files::remove_dir(to).unwrap();
    std::fs::create_dir_all(to).unwrap();
    for name in files::list_names(from).unwrap() {
        let (from, to) = (from.join(&name), to.join(&name));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            std::fs::copy(&from, &to).unwrap();
        }
    }
}

/// A cluster whose node `away` lacks the log that the others have purged; nobody runs.
async fn one_far_behind() -> (Cluster, u64, u64) {
    let mut cluster = Cluster::started(On::Disk, 3, tuning()).await;
    set(cluster.node(1), "before", "1").await.unwrap();
    let (away, leader) = (cluster.follower().await, cluster.leader().await);
    cluster.kill(away);
    for round in 0..700 {
        set(cluster.node(leader), &format!("k{}", round % 300), &round.to_string()).await.unwrap();
    }
    until(|| (cluster.node(leader).metrics().purged_index >= 300).then_some(())).await;
    for id in 1..=3 {
        cluster.kill(id);
        // It lets go of its files a moment later.
        let data = cluster.data_dir(id);
        until(|| crate::consensus::formation::DataDir::take(&data).ok()).await;
    }
    (cluster, away, leader)
}

async fn comes_back_whole(mut cluster: Cluster, away: u64) {
    for id in 1..=3 {
        cluster.start(id).await;
    }
    cluster.leader().await;
    assert_eq!(get(cluster.node(away), "k299").await.as_deref(), Some("599"));
    assert_eq!(get(cluster.node(away), "k99").await.as_deref(), Some("699"));
    assert_eq!(get(cluster.node(away), "before").await.as_deref(), Some("1"));
    set(cluster.node(away), "after", "1").await.unwrap();
    for id in 1..=3 {
        let data = cluster.data_dir(id);
        let names = |name: &str| files::list_names(&data.join(name)).unwrap();
        until(|| (names("snapshots").len() == 1 && names("state").len() == 2).then_some(())).await;
    }
    // And once more from what it has now: its log goes on from the snapshot.
    cluster.kill(away);
    cluster.start(away).await;
    cluster.leader().await;
    assert_eq!(get(cluster.node(away), "after").await.as_deref(), Some("1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_state_was_replaced_and_before_the_snapshot_was_kept() {
    let (cluster, away, leader) = one_far_behind().await;
    // The state is far ahead of the log and of the last snapshot.
    copy(&cluster.data_dir(leader).join("state"), &cluster.data_dir(away).join("state"));
    comes_back_whole(cluster, away).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_snapshot_was_kept_and_before_the_log_was_purged() {
    let (cluster, away, leader) = one_far_behind().await;
    for part in ["state", "snapshots"] {
        copy(&cluster.data_dir(leader).join(part), &cluster.data_dir(away).join(part));
    }
    comes_back_whole(cluster, away).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_next_state_half_built_and_snapshots_half_made_and_half_received() {
    let (cluster, away, leader) = one_far_behind().await;
    let (from, to) = (cluster.data_dir(leader), cluster.data_dir(away));
    copy(&from.join("state"), &to.join("rest"));
    let generation = std::fs::read_to_string(from.join("state/current")).unwrap();
    // The next generation, built and not pointed to, and a pointer that was being written.
    copy(&to.join("rest").join(generation.trim()), &to.join("state/2"));
    files::remove_dir(&to.join("rest")).unwrap();
    std::fs::write(to.join("state/current.new"), "2").unwrap();
    // RocksDB makes a checkpoint under another name first.
    std::fs::create_dir_all(to.join("snapshots/new-0/db.tmp")).unwrap();
    // Received and not yet installed, and received in part with an offer that was being written.
    copy(&to.join("state/2"), &to.join("snapshots/new-1/db"));
    copy(&to.join("state/2"), &to.join("snapshots/incoming/db"));
    std::fs::write(to.join("snapshots/incoming/offer.new"), "half").unwrap();
    comes_back_whole(cluster, away).await;
}
