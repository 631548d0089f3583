use super::super::ReadError;
use super::*;

over_both_media!(
    concurrent_reads_share_rounds,
    without_a_majority_reads_and_proposals_end_in_time,
    reads_on_followers_never_lag_behind_an_acknowledged_write,
);

async fn concurrent_reads_share_rounds(on: On) {
    let cluster = Cluster::started(on, 3, Tuning::default()).await;
    set(cluster.node(1), "a", "1").await.unwrap();
    for node in cluster.running() {
        let before = node.metrics();
        let readers = (0..500).map(|_| {
            let node = node.clone();
            tokio::spawn(async move { get(&node, "a").await })
        });
        for value in futures_util::future::join_all(readers).await {
            assert_eq!(value.unwrap().as_deref(), Some("1"));
        }
        let after = node.metrics();
        let rounds = after.read_rounds - before.read_rounds;
        assert_eq!(after.reads - before.reads, 500);
        assert!(rounds <= 100, "{rounds} rounds for 500 reads");
    }
}

async fn without_a_majority_reads_and_proposals_end_in_time(on: On) {
    let tuning = Tuning {
        propose_deadline: Duration::from_millis(1500),
        read_deadline: Duration::from_millis(1500),
        ..Tuning::default()
    };
    let mut cluster = Cluster::started(on, 3, tuning).await;
    let leader = cluster.leader().await;
    set(cluster.node(leader), "a", "1").await.unwrap();
    for id in (1..=3).filter(|id| *id != leader) {
        cluster.kill(id);
    }
    let node = cluster.node(leader);
    let begun = Instant::now();
    let error = node.read(|store| Ok(look(store, "a"))).await.unwrap_err();
    assert!(matches!(error, ReadError::NoLeader(_)), "{error}");
    until_status(node, |status| status.leader.is_none() && !status.ready).await;
    let error = set(node, "a", "2").await.unwrap_err();
    assert!(matches!(error, ProposeError::NoLeader(_)), "nothing was appended: {error}");
    assert!(begun.elapsed() < Duration::from_secs(20));
    let local = node.read_local(|store| Ok(look(store, "a"))).await.unwrap();
    assert_eq!(local.as_deref(), Some("1"));
}

/// A register that one client raises and others read: no read may see less than what was acknowledged before it began.
async fn reads_on_followers_never_lag_behind_an_acknowledged_write(on: On) {
    use std::sync::atomic::{AtomicU64, Ordering};
    let cluster = Cluster::started(on, 3, Tuning::default()).await;
    let acknowledged = Arc::new(AtomicU64::new(0));
    set(cluster.node(1), "n", "0").await.unwrap();
    let readers = cluster.running().flat_map(|node| [node.clone(), node.clone()]).map(|node| {
        let acknowledged = Arc::clone(&acknowledged);
        tokio::spawn(async move {
            let mut count = 0_u64;
            loop {
                let least = acknowledged.load(Ordering::SeqCst);
                let seen: u64 = get(&node, "n").await.unwrap().parse().unwrap();
                assert!(seen >= least, "read {seen} where {least} was acknowledged");
                count += 1;
                if least == 300 {
                    return count;
                }
            }
        })
    });
    let readers: Vec<_> = readers.collect();
    for value in 1..=300_u64 {
        set(cluster.node(value % 3 + 1), "n", &value.to_string()).await.unwrap();
        acknowledged.store(value, Ordering::SeqCst);
    }
    for reader in readers {
        assert!(reader.await.unwrap() > 0);
    }
}
