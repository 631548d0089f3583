use super::super::{MembershipChange, MembershipError, MembershipProgress, Role, Stage};
use super::*;

over_both_media!(
    one_node_becomes_three_and_one_again,
    a_node_that_was_away_when_it_was_removed_hears_of_it,
    what_cannot_be_added_or_removed_is_refused_with_the_reason,
    too_few_reachable_voters_are_not_left_behind,
    a_learner_catches_up_by_a_snapshot_before_it_votes,
    leadership_goes_to_the_node_that_is_named,
    a_planned_hand_over_is_hardly_noticed,
);

impl Cluster {
    /// `first` members that have formed a cluster, and as many others that wait.
    async fn with_waiting(on: On, first: u64, spares: u64, tuning: Tuning) -> Self {
        let mut cluster = Self::with_spares(on, first, spares, tuning);
        for id in 1..=first + spares {
            cluster.start(id).await;
        }
        until(|| cluster.leader_of_members()).await;
        cluster
    }

    fn leader_of_members(&self) -> Option<u64> {
        self.running().find(|node| node.metrics().is_leader).map(|node| node.status().node_id.0)
    }

    fn add(&self, id: u64) -> MembershipChange {
        MembershipChange::add(&self.members[id as usize - 1])
    }
}

/// Repeats a change until it is done.
async fn carry_out(node: &Handle, change: &MembershipChange) -> Result<MembershipProgress, MembershipError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let progress = node.change(change.clone()).await?;
        if progress.is_done() {
            return Ok(progress);
        }
        assert!(Instant::now() < deadline, "{change}: {progress:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn refusal(node: &Handle, change: &MembershipChange) -> String {
    match carry_out(node, change).await {
        Err(MembershipError::Refused(text)) => text,
        other => panic!("{change}: {other:?}"),
    }
}

async fn farewell(node: &Handle) -> String {
    let mut stopped = node.stopped();
    let message = tokio::time::timeout(PATIENCE, stopped.wait_for(Option::is_some)).await.unwrap();
    message.unwrap().clone().unwrap()
}

fn voters(node: &Handle) -> Vec<u64> {
    node.status().members.iter().filter(|member| member.voter).map(|member| member.id.0).collect()
}

async fn one_node_becomes_three_and_one_again(on: On) {
    let mut cluster = Cluster::with_waiting(on, 1, 2, Tuning::default()).await;
    set(cluster.node(1), "a", "1").await.unwrap();
    for id in [2, 3] {
        assert!(cluster.node(id).status().waiting_for.unwrap().contains("cluster add"));
        // Through any node, and as often as one likes.
        let through = cluster.node(id - 1).clone();
        let change = cluster.add(id);
        for _ in 0..2 {
            assert_eq!(carry_out(&through, &change).await.unwrap(), MembershipProgress::at(id, Stage::Voter));
        }
        assert_eq!(get(cluster.node(id), "a").await.as_deref(), Some("1"));
        let status = until_status(cluster.node(id), |status| status.role == Role::Follower && status.ready).await;
        assert_eq!(status.members.len() as u64, id);
    }
    assert_eq!(voters(cluster.node(1)), [1, 2, 3]);
    // A node that joined starts again as one of them.
    cluster.kill(3);
    cluster.start(3).await;
    assert_eq!(get(cluster.node(3), "a").await.as_deref(), Some("1"));
    // Who leads has to have heard of it, or would refuse to leave the others without a majority.
    for id in 1..=3 {
        until_status(cluster.node(id), |status| status.members.iter().all(|member| member.reachable)).await;
    }
    // The one that formed the cluster goes, and leads most likely: it hands over before.
    let removed = loop {
        match carry_out(cluster.node(2), &MembershipChange::remove(NodeId(1), false)).await {
            // The one that leads then has just begun, and has not heard the other yet.
            Err(MembershipError::Refused(text)) if text.contains("no majority") => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            done => break done.unwrap(),
        }
    };
    assert_eq!(removed.stage, Stage::Removed);
    assert!(farewell(cluster.node(1)).await.starts_with("this node was removed from the cluster"));
    cluster.kill(1);
    assert_eq!(voters(cluster.node(2)), [2, 3]);
    let removed = loop {
        match carry_out(cluster.node(2), &MembershipChange::remove(NodeId(1), false)).await {
            // The one that leads then has just begun, and has not heard the other yet.
            Err(MembershipError::Refused(text)) if text.contains("no majority") => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            done => break done.unwrap(),
        }
    };
    assert_eq!(removed.stage, Stage::Removed);
    carry_out(cluster.node(3), &MembershipChange::remove(NodeId(2), false)).await.unwrap();
    farewell(cluster.node(2)).await;
    cluster.kill(2);
    until(|| (voters(cluster.node(3)) == [3]).then_some(())).await;
    set(cluster.node(3), "b", "1").await.unwrap();
    let text = refusal(cluster.node(3), &MembershipChange::remove(NodeId(3), true)).await;
    assert!(text.contains("the last one that votes"), "{text}");
    // Neither comes back, and says why.
    for id in [1, 2] {
        let options = cluster.options(id).await;
        until(|| super::super::formation::DataDir::take(&options.data_dir).ok()).await;
        let text = format!("{:#}", cluster.try_start(options).await.err().unwrap());
        assert!(text.contains("this node was removed from the cluster"), "{text}");
    }
}

async fn a_node_that_was_away_when_it_was_removed_hears_of_it(on: On) {
    let mut cluster = Cluster::with_waiting(on, 3, 2, Tuning::default()).await;
    let away = cluster.follower_of_members().await;
    cluster.kill(away);
    let through = cluster.leader_of_members().unwrap();
    let through = cluster.node(through).clone();
    carry_out(&through, &MembershipChange::remove(NodeId(away), false)).await.unwrap();
    cluster.start(away).await;
    assert!(farewell(cluster.node(away)).await.contains(&format!("has let node {away} go for good")));
    cluster.kill(away);
    until(|| std::fs::remove_dir_all(cluster.data_dir(away)).ok()).await;
    cluster.kept[away as usize - 1] = Kept::new(on);

    // Its id is nobody's any more, with an empty disk neither, and however it asks.
    cluster.start(away).await;
    let text = farewell(cluster.node(away)).await;
    assert!(text.contains("has used this id"), "{text}");
    cluster.kill(away);
    let text =
        refusal(&through, &MembershipChange::add(&Member { id: NodeId(away), ..cluster.members[3].clone() })).await;
    assert!(text.contains("was used before") && text.contains("such as 4"), "{text}");
    // Under a new one its machine is welcome.
    carry_out(&through, &cluster.add(4)).await.unwrap();
    assert_eq!(voters(&through).len(), 3);
    set(cluster.node(4), "a", "1").await.unwrap();
}

impl Cluster {
    async fn follower_of_members(&self) -> u64 {
        let leader = until(|| self.leader_of_members()).await;
        (1..=self.first).find(|id| *id != leader).unwrap()
    }
}

async fn what_cannot_be_added_or_removed_is_refused_with_the_reason(on: On) {
    let mut cluster = Cluster::with_waiting(on, 3, 2, Tuning::default()).await;
    let leader = until(|| cluster.leader_of_members()).await;
    let node = cluster.node(leader).clone();
    let member = |id: u64, at: &Member| Member { id: NodeId(id), ..at.clone() };
    let nobody = Member { id: NodeId(9), url: "http://user.invalid/9".into(), peer: "https://127.0.0.1:9".into() };
    for (change, expected) in [
        (MembershipChange::add(&nobody), "does not answer"),
        (MembershipChange::add(&member(9, &cluster.members[3])), "directory node 4 of this cluster answers there"),
        (MembershipChange::add(&member(9, &cluster.members[0])), "at that address already"),
        (
            MembershipChange::add(&Member { url: "http://other.invalid".into(), ..cluster.members[0].clone() }),
            "member already",
        ),
        (MembershipChange::remove(NodeId(9), false), "there is no node 9"),
        (MembershipChange::Transfer { to: Some(9) }, "has no vote"),
    ] {
        let text = refusal(&node, &change).await;
        assert!(text.contains(expected), "{change}: {text}");
    }
    // A node of another secret, of another cluster's name, one that does not wait.
    cluster.kill(4);
    let mut options = cluster.options(4).await;
    until(|| super::super::formation::DataDir::take(&options.data_dir).ok()).await;
    options.credentials = super::credentials(8, 4);
    let stranger = cluster.try_start(options).await.unwrap();
    let text = refusal(&node, &cluster.add(4)).await;
    assert!(text.contains("another cluster secret"), "{text}");
    drop(stranger);
    let mut options = cluster.options(4).await;
    until(|| super::super::formation::DataDir::take(&options.data_dir).ok()).await;
    options.join = false;
    options.members = cluster.members[3..].to_vec();
    let own = cluster.try_start(options).await.unwrap();
    let text = refusal(&node, &cluster.add(4)).await;
    assert!(text.contains("does not wait to be added"), "{text}");
    drop(own);

    // One change at a time.
    let (one, other) = (cluster.add(5), MembershipChange::remove(NodeId(leader), false));
    let (first, second) = tokio::join!(node.change(one.clone()), async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        node.change(other).await
    });
    first.unwrap();
    if let Err(error) = &second {
        assert!(matches!(error, MembershipError::Busy(_)), "{error}");
    }
}

async fn too_few_reachable_voters_are_not_left_behind(on: On) {
    let mut cluster = Cluster::started(on, 3, Tuning::default()).await;
    let (leader, follower) = (cluster.leader().await, cluster.follower().await);
    let third = 6 - leader - follower;
    let node = cluster.node(leader).clone();
    until_status(&node, |status| status.members.iter().all(|m| m.reachable)).await;
    cluster.kill(third);
    let change = MembershipChange::remove(NodeId(follower), false);
    // Once the leader misses the third: until then it may count it, and the rule would not apply.
    let gone = until_status(&node, |status| status.members.iter().any(|m| !m.reachable)).await;
    assert_eq!(gone.members.iter().find(|m| !m.reachable).unwrap().id, NodeId(third));
    let text = refusal(&node, &change).await;
    assert!(text.contains("--force") && text.contains("1 of the 2"), "{text}");
    // The dead one may go, and then the other one may.
    carry_out(&node, &MembershipChange::remove(NodeId(third), false)).await.unwrap();
    carry_out(&node, &change).await.unwrap();
    set(&node, "a", "1").await.unwrap();
    assert_eq!(voters(&node), [leader]);
}

async fn a_learner_catches_up_by_a_snapshot_before_it_votes(on: On) {
    let tuning = Tuning { snapshot_after: 300, keep_entries: 20, snapshot_chunk_bytes: 1000, ..Tuning::default() };
    let cluster = Cluster::with_waiting(on, 1, 1, tuning).await;
    for round in 0..700 {
        set(cluster.node(1), &format!("k{}", round % 300), &"x".repeat(100)).await.unwrap();
    }
    until(|| (cluster.node(1).metrics().purged_index >= 300).then_some(())).await;
    carry_out(cluster.node(1), &cluster.add(2)).await.unwrap();
    assert!(get(cluster.node(2), "k299").await.is_some());
    assert!(cluster.node(2).metrics().commits < 450, "most of it came as a snapshot");
    let status = until_status(cluster.node(1), |status| {
        status.members.iter().all(|member| member.reachable && member.lag == Some(0) && !member.version.is_empty())
    });
    let status = status.await;
    assert!(status.members.iter().all(|member| member.disk_free.is_some_and(|free| free > 0)));
    assert!(status.members.iter().all(|member| member.snapshot_index.is_some()));
}

async fn leadership_goes_to_the_node_that_is_named(on: On) {
    let cluster = Cluster::started(on, 3, Tuning::default()).await;
    for to in [2, 3, 1, 1] {
        let through = cluster.node(2);
        let change = MembershipChange::Transfer { to: Some(to) };
        let progress = loop {
            match carry_out(through, &change).await {
                // The leader has just begun, and has not heard this one yet.
                Err(MembershipError::Refused(text))
                    if text.contains("does not answer") || text.contains("wait until it has caught up") =>
                {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                done => break done.unwrap(),
            }
        };
        assert_eq!(progress, MembershipProgress::at(to, Stage::Leads));
        assert_eq!(cluster.leader().await, to);
    }
    let progress = carry_out(cluster.node(2), &MembershipChange::Transfer { to: None }).await.unwrap();
    assert_eq!(progress.stage, Stage::Leads);
    assert_ne!(progress.node, 1, "another one than the one that led");
    assert_eq!(cluster.leader().await, progress.node);
}

/// The longest silence of a writer at each node, while leadership goes round.
async fn a_planned_hand_over_is_hardly_noticed(on: On) {
    let cluster = Cluster::started(on, 3, Tuning::default()).await;
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let writers: Vec<_> = (1..=3)
        .map(|id| {
            let (node, stop) = (cluster.node(id).clone(), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut longest = Duration::ZERO;
                for round in 0.. {
                    let begun = Instant::now();
                    set(&node, &format!("w{id}"), &round.to_string()).await.unwrap();
                    longest = longest.max(begun.elapsed());
                    if stop.load(std::sync::atomic::Ordering::Relaxed) {
                        break;
                    }
                }
                longest
            })
        })
        .collect();
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        carry_out(cluster.node(1), &MembershipChange::Transfer { to: None }).await.unwrap();
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    for writer in writers {
        let longest = writer.await.unwrap();
        assert!(longest < Duration::from_secs(2), "{longest:?}");
    }
}
