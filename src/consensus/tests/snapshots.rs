use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_away_for_long_gets_a_snapshot() {
    let tuning = Tuning { snapshot_after: 200, keep_entries: 20, snapshot_chunk_bytes: 1000, ..Tuning::default() };
    let mut cluster = Cluster::started(3, tuning).await;
    let away = cluster.follower().await;
    set(cluster.node(1), "before", "1").await.unwrap();
    cluster.kill(away);
    let leader = cluster.leader().await;
    for round in 0..700 {
        set(cluster.node(leader), &format!("k{}", round % 300), &format!("{round}{}", "x".repeat(100))).await.unwrap();
    }
    // openraft keeps what it is about to send to the missing node until that has failed once more.
    until(|| (cluster.node(leader).metrics().purged_index >= 300).then_some(())).await;
    cluster.start(away).await;
    let node = cluster.node(away);
    let value = get(node, "k299").await.unwrap();
    assert!(value.starts_with("599"), "{value}");
    assert_eq!(get(node, "before").await.as_deref(), Some("1"));
    // It came as a snapshot, since the entries are gone from the leader's log; and only what is in use is kept.
    let commits = node.metrics().commits;
    assert!(commits < 450, "{commits} entries were applied one by one");
    for id in 1..=3 {
        let dir = cluster.data_dir(id).join("snapshots");
        until(|| (std::fs::read_dir(&dir).unwrap().count() == 1).then_some(())).await;
    }
    assert_eq!(
        std::fs::read_dir(cluster.data_dir(away).join("state")).unwrap().count(),
        2,
        "one database and its name"
    );
    // And again after a restart, from its own disk.
    cluster.kill(away);
    cluster.start(away).await;
    assert!(get(cluster.node(away), "k299").await.unwrap().starts_with("599"));
    set(cluster.node(away), "after", "1").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_replayed_from_where_the_state_was() {
    let tuning = Tuning { snapshot_after: 300, keep_entries: 10, max_batch_entries: 7, ..Tuning::default() };
    let mut cluster = Cluster::started(1, tuning).await;
    for round in 0..100 {
        set(cluster.node(1), &format!("k{round}"), "1").await.unwrap();
    }
    cluster.kill(1);
    // As if a power failure had taken everything that the state had not synced: an empty state is the extreme of it.
    until(|| std::fs::remove_dir_all(cluster.data_dir(1).join("state")).ok()).await;
    cluster.start(1).await;
    cluster.leader().await;
    let there = cluster.node(1).read(|store| Ok((0..100).filter(|n| look(store, &format!("k{n}")).is_some()).count()));
    assert_eq!(there.await.unwrap(), 100);
    // With a snapshot on the disk, and the log behind it purged, the snapshot comes first.
    for round in 100..450 {
        set(cluster.node(1), &format!("k{round}"), "1").await.unwrap();
    }
    until(|| (cluster.node(1).metrics().snapshots >= 1).then_some(())).await;
    cluster.kill(1);
    until(|| std::fs::remove_dir_all(cluster.data_dir(1).join("state")).ok()).await;
    cluster.start(1).await;
    cluster.leader().await;
    let there = cluster.node(1).read(|store| Ok((0..450).filter(|n| look(store, &format!("k{n}")).is_some()).count()));
    assert_eq!(there.await.unwrap(), 450);
}
