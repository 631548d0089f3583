use std::collections::BTreeMap;

use super::*;

over_both_media!(
    acknowledged_proposals_survive_killed_leaders_and_a_restart_of_all,
    leadership_is_handed_over_at_shutdown_without_an_outage,
    cluster_time_goes_on_across_leaders,
    a_proposal_that_must_not_be_repeated_says_that_its_outcome_is_unknown,
    a_killed_leader_is_replaced_soon,
    a_leader_without_a_majority_says_so_long_before_the_deadlines,
    a_follower_without_a_leader_says_so_long_before_the_deadlines,
);

async fn acknowledged_proposals_survive_killed_leaders_and_a_restart_of_all(on: On) {
    let mut cluster = Cluster::started(on, 3, Tuning::default()).await;
    let mut acknowledged = BTreeMap::new();
    for round in 0..3 {
        let leader = cluster.leader().await;
        let survivor = cluster.node(cluster.follower().await).clone();
        let writers: Vec<_> = (0..8)
            .map(|writer| {
                let node = survivor.clone();
                tokio::spawn(async move {
                    let mut done = Vec::new();
                    for step in 0..30 {
                        let (key, value) = (format!("{round}-{writer}-{step}"), format!("{writer}{step}"));
                        // A proposal that may be repeated rides out the election.
                        set(&node, &key, &value).await.unwrap();
                        done.push((key, value));
                    }
                    done
                })
            })
            .collect();
        let begun = survivor.metrics().applied_index;
        until(|| (survivor.metrics().applied_index > begun + 20).then_some(())).await;
        cluster.kill(leader);
        for writer in writers {
            acknowledged.extend(writer.await.unwrap());
        }
        drop(survivor);
        assert_ne!(cluster.leader().await, leader);
        cluster.start(leader).await;
        cluster.leader().await;
    }
    for id in 1..=3 {
        cluster.kill(id);
    }
    for id in 1..=3 {
        cluster.start(id).await;
    }
    cluster.leader().await;
    for node in cluster.running() {
        let expected = acknowledged.clone();
        let missing = node
            .read(move |store| {
                Ok(expected.into_iter().filter(|(key, value)| look(store, key).as_ref() != Some(value)).count())
            })
            .await
            .unwrap();
        assert_eq!(missing, 0);
    }
}

async fn leadership_is_handed_over_at_shutdown_without_an_outage(on: On) {
    let mut cluster = Cluster::started(on, 3, Tuning::default()).await;
    let leader = cluster.leader().await;
    let follower = cluster.follower().await;
    let old = cluster.node(leader).clone();
    let begun = Instant::now();
    old.shutdown().await;
    assert!(matches!(set(&old, "a", "1").await, Err(ProposeError::Stopped(_))));
    drop(old);
    cluster.kill(leader);
    set(cluster.node(follower), "a", "1").await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_ne!(cluster.leader().await, leader);
    cluster.start(leader).await;
    let next = cluster.leader().await;
    cluster.node(next).transfer_leadership().await.unwrap();
    assert_ne!(cluster.leader().await, next);
}

async fn cluster_time_goes_on_across_leaders(on: On) {
    let mut cluster = Cluster::started(on, 3, Tuning::default()).await;
    let mut last = 0;
    for _ in 0..3 {
        let leader = cluster.leader().await;
        set(cluster.node(leader), "a", "1").await.unwrap();
        let now = cluster.node(leader).cluster_time().0;
        assert!(now >= last, "{now} after {last}");
        tokio::time::sleep(Duration::from_millis(30)).await;
        last = cluster.node(leader).cluster_time().0;
        assert!(last > now, "it stands still");
        set(cluster.node(leader), "a", "2").await.unwrap();
        last = cluster
            .node(leader)
            .read_local(|store| super::super::machine::Machine::cluster_time(&Registers, store))
            .await
            .unwrap()
            .0;
        cluster.kill(leader);
        cluster.leader().await;
        cluster.start(leader).await;
    }
}

async fn a_proposal_that_must_not_be_repeated_says_that_its_outcome_is_unknown(on: On) {
    let tuning = Tuning {
        sync_delay: Some(Duration::from_millis(150)),
        election_min: Duration::from_millis(1000),
        election_max: Duration::from_millis(1500),
        ..Tuning::default()
    };
    let mut cluster = Cluster::started(on, 3, tuning).await;
    let (leader, follower) = (cluster.leader().await, cluster.follower().await);
    let node = cluster.node(follower).clone();
    let before = cluster.node(leader).status().last_log_index;
    let proposing = tokio::spawn(async move { node.propose_bytes("a=1".into(), false).await });
    until(|| (cluster.node(leader).status().last_log_index > before).then_some(())).await;
    cluster.kill(leader);
    let result = proposing.await.unwrap();
    assert!(matches!(result, Err(ProposeError::OutcomeUnknown(_))), "{result:?}");
}

async fn a_killed_leader_is_replaced_soon(on: On) {
    let mut cluster = Cluster::started(on, 3, Tuning::default()).await;
    let mut outages = Vec::new();
    for round in 0..5 {
        let (leader, follower) = (cluster.leader().await, cluster.follower().await);
        let follower = cluster.node(follower).clone();
        set(&follower, "a", "before").await.unwrap();
        let begun = Instant::now();
        cluster.kill(leader);
        set(&follower, "a", &round.to_string()).await.unwrap();
        outages.push(begun.elapsed());
        drop(follower);
        cluster.start(leader).await;
    }
    outages.sort();
    assert!(outages[2] < Duration::from_secs(4), "{outages:?}");
}

async fn a_leader_without_a_majority_says_so_long_before_the_deadlines(on: On) {
    let long = Duration::from_secs(600);
    let tuning = Tuning { propose_deadline: long, read_deadline: long, ..Tuning::default() };
    let mut cluster = Cluster::started(on, 3, tuning).await;
    let leader = cluster.leader().await;
    let node = cluster.node(leader).clone();
    set(&node, "a", "1").await.unwrap();
    for id in (1..=3).filter(|id| *id != leader) {
        cluster.kill(id);
    }
    // Unknown where it is in the log before the leader knows; afterwards plainly refused.
    let caught = node.propose_bytes("a=2".into(), true).await;
    assert!(matches!(caught, Err(ProposeError::OutcomeUnknown(_) | ProposeError::NoLeader(_))), "{caught:?}");
    let index = node.status().last_log_index;
    let refused = node.propose_bytes("a=3".into(), true).await;
    assert!(matches!(refused, Err(ProposeError::NoLeader(_))), "{refused:?}");
    assert_eq!(node.status().last_log_index, index, "what is refused is not in the log");
    let read = node.read(|store| Ok(look(store, "a"))).await;
    assert!(matches!(read, Err(ReadError::NoLeader(_))), "{read:?}");
    let status = node.status();
    assert_eq!((status.leader, status.ready), (None, false));
    assert!(node.has_lost_leader());
    // What was unknown may come to be; what was refused does not.
    for id in (1..=3).filter(|id| *id != leader) {
        cluster.start(id).await;
    }
    cluster.leader().await;
    until_status(&node, |status| status.ready).await;
    let now = get(&node, "a").await;
    assert!(matches!(now.as_deref(), Some("1" | "2")), "{now:?}");
}

async fn a_follower_without_a_leader_says_so_long_before_the_deadlines(on: On) {
    let long = Duration::from_secs(600);
    let tuning = Tuning { propose_deadline: long, read_deadline: long, ..Tuning::default() };
    let mut cluster = Cluster::started(on, 3, tuning).await;
    let alone = cluster.follower().await;
    let node = cluster.node(alone).clone();
    for id in (1..=3).filter(|id| *id != alone) {
        cluster.kill(id);
    }
    let proposed = node.propose_bytes("a=1".into(), true).await;
    assert!(matches!(proposed, Err(ProposeError::NoLeader(_) | ProposeError::OutcomeUnknown(_))), "{proposed:?}");
    let refused = node.propose_bytes("a=1".into(), true).await;
    assert!(matches!(refused, Err(ProposeError::NoLeader(_))), "{refused:?}");
    let read = node.read(|store| Ok(look(store, "a"))).await;
    assert!(matches!(read, Err(ReadError::NoLeader(_))), "{read:?}");
    assert!(!node.status().ready);
}
