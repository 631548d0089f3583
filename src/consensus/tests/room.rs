use super::*;

/// What does not free room is refused before it is in the log.
#[tokio::test(flavor = "multi_thread")]
async fn with_a_full_disk_only_what_frees_room_is_proposed() {
    // More than any disk has.
    let tuning = Tuning { disk_reserve: Some(u64::MAX), ..Tuning::default() };
    let mut cluster = Cluster::of(On::Disk, 1, tuning);
    cluster.start(1).await;
    cluster.leader().await;
    let node = cluster.node(1);
    until_status(node, |status| status.full).await;
    assert_eq!(node.full_nodes().as_deref(), Some("node 1"));
    let before = node.status().last_log_index;
    let error = set(node, "a", "1").await.unwrap_err();
    assert!(matches!(&error, ProposeError::Full(nodes) if nodes == "node 1"), "{error}");
    assert_eq!(node.status().last_log_index, before);
    set(node, "free", "1").await.unwrap();
    assert_eq!(get(node, "free").await.as_deref(), Some("1"));
    assert_eq!(node.metrics().disk_floor, u64::MAX);
    assert!(node.metrics().is_full);
}
