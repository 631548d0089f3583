use super::*;

over_both_media!(a_node_that_was_away_for_long_gets_a_snapshot, the_log_is_replayed_from_where_the_state_was,);

async fn a_node_that_was_away_for_long_gets_a_snapshot(on: On) {
    let tuning = Tuning { snapshot_after: 200, keep_entries: 20, snapshot_chunk_bytes: 1000, ..Tuning::default() };
    let mut cluster = Cluster::started(on, 3, tuning).await;
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
    if on == On::Disk {
        let state = cluster.data_dir(away).join("state");
        assert_eq!(std::fs::read_dir(state).unwrap().count(), 2, "one database and its name");
    }
    // And again after a restart, from its own disk.
    cluster.kill(away);
    cluster.start(away).await;
    assert!(get(cluster.node(away), "k299").await.unwrap().starts_with("599"));
    set(cluster.node(away), "after", "1").await.unwrap();
}

async fn the_log_is_replayed_from_where_the_state_was(on: On) {
    let tuning = Tuning { snapshot_after: 300, keep_entries: 10, max_batch_entries: 7, ..Tuning::default() };
    let mut cluster = Cluster::started(on, 1, tuning).await;
    for round in 0..100 {
        set(cluster.node(1), &format!("k{round}"), "1").await.unwrap();
    }
    cluster.kill(1);
    cluster.lose_state(1).await;
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
    cluster.lose_state(1).await;
    cluster.start(1).await;
    cluster.leader().await;
    let there = cluster.node(1).read(|store| Ok((0..450).filter(|n| look(store, &format!("k{n}")).is_some()).count()));
    assert_eq!(there.await.unwrap(), 450);
}

fn size_of(dir: &std::path::Path) -> u64 {
    std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(data) if data.is_dir() => size_of(&entry.path()),
            Ok(data) => data.len(),
            // It went away meanwhile, which is the point.
            Err(_) => 0,
        })
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_disk_holds_what_is_in_use_and_not_what_was_ever_written() {
    const ROUNDS: usize = 400;
    const WRITERS: usize = 16;
    const BYTES: usize = 32 << 10;
    // By size alone: far fewer entries than the count asks for.
    let tuning = Tuning { snapshot_after_bytes: 16 << 20, keep_entries: 10, ..Tuning::default() };
    let cluster = Cluster::started(On::Disk, 1, tuning).await;
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let node = cluster.node(1).clone();
            tokio::spawn(async move {
                let mut state = writer as u64 + 1;
                for _ in 0..ROUNDS {
                    let noise = (0..BYTES).map(|_| {
                        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                        char::from(b'a' + (state >> 59) as u8)
                    });
                    set(&node, &format!("w{writer}"), &noise.collect::<String>()).await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let written = (ROUNDS * WRITERS * BYTES) as u64;
    let (raft, snapshots) = (cluster.data_dir(1).join("raft"), cluster.data_dir(1).join("snapshots"));
    // The size is looked at once a second.
    until(|| (cluster.node(1).metrics().snapshots > 0 && cluster.node(1).metrics().purged_index > 0).then_some(()))
        .await;
    // RocksDB keeps closed write-ahead logs up to twice its memtables, 64 MiB; the rest is what follows a snapshot.
    until(|| (size_of(&raft) < written * 6 / 10).then_some(())).await;
    until(|| (std::fs::read_dir(&snapshots).unwrap().count() == 1).then_some(())).await;
}
