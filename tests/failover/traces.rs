//! What happens leaves a line in the log with its reason, and a count: changes of the leader, and of file servers.

use std::time::Duration;

use crate::members::in_background;
use crate::signals::{freeze, stop, thaw};
use crate::support::{Cluster, until};

async fn step_downs(cluster: &Cluster, node: usize, reason: &str) -> u64 {
    cluster.metric(node, &format!("ringmaster_raft_step_downs_total{{reason=\"{reason}\"}}")).await
}

async fn line(cluster: &Cluster, node: usize, words: &[&str]) {
    until(&format!("node {} has a line with {words:?}", node + 1), async || {
        cluster.nodes[node].log_text().lines().any(|line| words.iter().all(|word| line.contains(word)))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_change_of_the_leader_has_its_line_and_its_count() {
    let mut cluster = Cluster::start(3, 1).await;
    let first = cluster.leader().await;
    line(&cluster, first, &["this node leads now", "reason"]).await;
    let changes = cluster.metric((first + 1) % 3, "ringmaster_raft_leader_changes_total").await;
    assert!(changes >= 1);

    // An admin asks.
    let second = (first + 1) % 3;
    until("leadership goes where it is told", async || {
        in_background(&cluster, &["cluster", "transfer", &(second + 1).to_string()]).await.0 == 0
    })
    .await;
    until("it is counted", async || step_downs(&cluster, first, "asked").await == 1).await;
    line(&cluster, first, &["this node leads no more", "an admin had another node lead"]).await;
    line(&cluster, first, &["another node leads", &format!("leader={}", second + 1)]).await;
    line(&cluster, second, &["this node leads now", &format!("former=\"{}\"", first + 1)]).await;
    for node in 0..3 {
        until("every node counts it", async || cluster.metric(node, "ringmaster_raft_leader_changes_total").await >= 2)
            .await;
    }

    // It stands still, as under overload, and the others go on without it.
    freeze(&cluster.nodes[second]);
    let other = (second + 1) % 3;
    until("another one leads", async || {
        let leader = cluster.get(other, "/cluster").await.1["leader_id"].as_u64();
        leader.is_some_and(|id| id != second as u64 + 1)
    })
    .await;
    line(&cluster, other, &["no leader is known any more", &format!("former={}", second + 1)]).await;
    assert!(cluster.metric(other, "ringmaster_raft_leader_losses_total").await >= 1);
    thaw(&cluster.nodes[second]);
    cluster.wait_ready().await;
    until("it is counted", async || {
        step_downs(&cluster, second, "overtaken").await + step_downs(&cluster, second, "no_majority").await == 1
    })
    .await;
    line(&cluster, second, &["WARN", "this node leads no more", "overload"]).await;

    // A shutdown.
    let third = cluster.leader().await;
    stop(&mut cluster.nodes[third]).await;
    line(&cluster, third, &["this node leads no more", "it is shutting down"]).await;

    // Nobody is left but the leader.
    let last = cluster.leader().await;
    let followers = (0..3).filter(|node| *node != last && *node != third);
    for node in followers.collect::<Vec<_>>() {
        cluster.nodes[node].kill();
    }
    until("it is counted", async || step_downs(&cluster, last, "no_majority").await >= 1).await;
    line(&cluster, last, &["WARN", "this node leads no more", "it hears no majority"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_change_of_a_file_server_has_its_line_and_its_count() {
    let mut cluster = Cluster::start(3, 3).await;
    let count = async |cluster: &Cluster, node: usize, change: &str| {
        let text = cluster.metrics(&cluster.nodes[node]).await;
        let name = format!("ringmaster_fileserver_changes_total{{change=\"{change}\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&name)?.parse::<u64>().ok()).unwrap_or_default()
    };
    cluster.servers[0].kill();
    for node in 0..3 {
        until("its death is counted", async || count(&cluster, node, "down").await == 1).await;
        line(&cluster, node, &["a file server has changed", "change=\"down\"", "reason"]).await;
        assert!(count(&cluster, node, "suspect").await >= 1);
    }
    cluster.servers[0].start();
    for node in 0..3 {
        until("its return is counted", async || count(&cluster, node, "returned").await == 1).await;
        line(&cluster, node, &["a file server has changed", "change=\"returned\""]).await;
    }
    cluster.wait_for_servers(3).await;
    for (arguments, change) in
        [(&["ring", "drain", "1"][..], "draining"), (&["ring", "drain", "1", "--cancel"], "kept")]
    {
        let (code, said) = in_background(&cluster, arguments).await;
        assert_eq!(code, 0, "{said}");
        for node in 0..3 {
            until("it is counted", async || count(&cluster, node, change).await >= 1).await;
            line(&cluster, node, &["a file server has changed", &format!("change=\"{change}\"")]).await;
        }
    }
    // Nothing is told of what only seems to have changed, such as a start.
    cluster.nodes[0].kill();
    cluster.nodes[0].start();
    cluster.wait_ready().await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(count(&cluster, 0, "joined").await + count(&cluster, 0, "returned").await, 0);
}
