use super::*;

over_both_media!(
    any_node_proposes_and_every_node_reads_it_at_once,
    concurrent_writers_share_syncs,
    a_lone_writer_waits_for_two_syncs_in_parallel,
    what_is_too_large_is_refused_before_the_log,
    a_fault_while_applying_stops_the_node_with_a_message,
    nodes_ask_one_another,
);

async fn any_node_proposes_and_every_node_reads_it_at_once(on: On) {
    let cluster = Cluster::started(on, 3, Tuning::default()).await;
    for round in 0..20 {
        let value = round.to_string();
        set(cluster.node(round % 3 + 1), "a", &value).await.unwrap();
        for node in cluster.running() {
            assert_eq!(get(node, "a").await.as_ref(), Some(&value));
        }
    }
}

async fn concurrent_writers_share_syncs(on: On) {
    let tuning = Tuning { sync_delay: Some(Duration::from_millis(2)), ..Tuning::default() };
    let cluster = Cluster::started(on, 3, tuning).await;
    let leader = cluster.node(cluster.leader().await).clone();
    for written_at in [leader.clone(), cluster.node(cluster.follower().await).clone()] {
        let before = leader.metrics();
        let writers = (0..64).map(|writer| {
            let node = written_at.clone();
            tokio::spawn(async move {
                for round in 0..40 {
                    set(&node, &format!("w{writer}"), &round.to_string()).await.unwrap();
                }
            })
        });
        for writer in futures_util::future::join_all(writers).await {
            writer.unwrap();
        }
        let after = leader.metrics();
        let (syncs, commits) = (after.log_syncs - before.log_syncs, after.commits - before.commits);
        assert!(commits >= 64 * 40);
        assert!(syncs * 8 <= commits, "{syncs} syncs for {commits} commits");
    }
}

async fn a_lone_writer_waits_for_two_syncs_in_parallel(on: On) {
    let delay = Duration::from_millis(100);
    let tuning = Tuning {
        sync_delay: Some(delay),
        election_min: Duration::from_millis(1500),
        election_max: Duration::from_millis(2500),
        ..Tuning::default()
    };
    let cluster = Cluster::started(on, 3, tuning).await;
    let leader = cluster.node(cluster.leader().await);
    let mut fastest = Duration::MAX;
    for round in 0..10 {
        let begun = Instant::now();
        set(leader, "a", &round.to_string()).await.unwrap();
        let took = begun.elapsed();
        assert!(took >= delay, "answered before it was on any disk");
        fastest = fastest.min(took);
    }
    assert!(fastest < delay * 2, "the leader's sync and the follower's come one after the other: {fastest:?}");
}

async fn what_is_too_large_is_refused_before_the_log(on: On) {
    let cluster = Cluster::started(on, 3, Tuning::default()).await;
    for node in cluster.running() {
        let before = node.status().last_log_index;
        let error = set(node, "a", &"x".repeat(1 << 20)).await.unwrap_err();
        assert!(matches!(&error, ProposeError::Refused(text) if text.contains("1048576")), "{error}");
        assert_eq!(node.status().last_log_index, before);
    }
    let almost = "x".repeat((1 << 20) - 10);
    set(cluster.node(1), "a", &almost).await.unwrap();
    assert_eq!(get(cluster.node(2), "a").await, Some(almost));
}

async fn a_fault_while_applying_stops_the_node_with_a_message(on: On) {
    let mut cluster = Cluster::started(on, 1, Tuning::default()).await;
    let node = cluster.node(1).clone();
    let error = node.propose_bytes("fault".into(), false).await.unwrap_err();
    assert!(matches!(error, ProposeError::OutcomeUnknown(_)), "{error}");
    let mut stopped = node.stopped();
    let message = stopped.wait_for(Option::is_some).await.unwrap().clone().unwrap();
    assert!(message.contains("the proposal asks for one"), "{message}");
    assert!(matches!(set(&node, "a", "1").await, Err(ProposeError::Stopped(_))));
    // It comes again at every start: the entry is in the log for good.
    drop((stopped, node));
    cluster.kill(1);
    cluster.start(1).await;
    let mut stopped = cluster.node(1).stopped();
    let message = stopped.wait_for(Option::is_some).await.unwrap().clone().unwrap();
    assert!(message.contains("the proposal asks for one"), "{message}");
}

async fn nodes_ask_one_another(on: On) {
    let cluster = Cluster::started(on, 3, Tuning::default()).await;
    let (leader, follower) = (cluster.leader().await, cluster.follower().await);
    let node = cluster.node(follower);
    assert_eq!(node.ask_leader("hi".into()).await.unwrap(), format!("{follower}hi"));
    assert_eq!(cluster.node(leader).ask_leader("hi".into()).await.unwrap(), format!("{leader}hi"));
    assert_eq!(node.ask(NodeId(leader), "x".into()).await.unwrap(), format!("{follower}x"));
    let refused = node.ask_leader(Bytes::new()).await.unwrap_err();
    assert!(refused.to_string().contains("an empty request"), "{refused}");
    assert!(node.ask(NodeId(77), "x".into()).await.is_err());
}
