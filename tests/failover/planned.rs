//! Planned hand-overs under clients: by command, and by a restart of the directory, node by node.

use std::time::Duration;

use ringmaster::client::Directory;

use crate::signals::stop;
use crate::support::Cluster;
use crate::work::{Report, Work, from_environment};

const CLIENTS: usize = 8;
/// The numbers at which the outages are judged too.
const FULL_TRANSFERS: u64 = 20;
const FULL_RESTARTS: u64 = 5;

/// No request fails, and nothing is wrong. `full`: the outages are judged.
fn judge(report: &Report, label: &str, full: bool) {
    report.print(label);
    report.expect_clean();
    report.expect_no_failed_request();
    if full {
        let most = Duration::from_millis(250);
        report.expect_outages(most, most);
    }
}

/// `RINGMASTER_TEST_TRANSFERS=20 RINGMASTER_TEST_CLIENTS=32` is the full number.
#[tokio::test(flavor = "multi_thread")]
async fn hand_overs_by_command_under_clients_fail_no_request() {
    let transfers = from_environment("RINGMASTER_TEST_TRANSFERS").unwrap_or(4);
    let cluster = Cluster::start(3, 3).await;
    let urls = cluster.nodes.iter().map(|node| node.url.parse().expect("a url")).collect();
    let admin = Directory::new(urls, Some(cluster.admin.token.clone())).expect("a client");
    let work = Work::begin(&cluster, CLIENTS).await;
    work.goes_on().await;
    for round in 0..transfers {
        let leader = cluster.leader().await as u64 + 1;
        work.mark();
        // To one that is named, and to whoever is furthest.
        let to = (round % 2 == 0).then_some(leader % 3 + 1);
        let done = admin.transfer(to).await.expect("it is handed over");
        assert!(done.done, "{done:?}");
        assert!(to.is_none_or(|to| to == done.node_id), "{done:?}");
        work.goes_on().await;
    }
    judge(&work.end(&cluster).await, &format!("{transfers} hand-overs by command"), transfers >= FULL_TRANSFERS);
}

/// `RINGMASTER_TEST_RESTARTS=5 RINGMASTER_TEST_CLIENTS=32` is the full number.
#[tokio::test(flavor = "multi_thread")]
async fn rolling_restarts_under_clients_fail_no_request() {
    let restarts = from_environment("RINGMASTER_TEST_RESTARTS").unwrap_or(1);
    let mut cluster = Cluster::start(3, 3).await;
    let work = Work::begin(&cluster, CLIENTS).await;
    work.goes_on().await;
    for _ in 0..restarts {
        // The leader first, and then again wherever it is: each hand-over gives the next node a reason.
        let leader = cluster.leader().await;
        for node in [leader, (leader + 1) % 3, (leader + 2) % 3] {
            work.mark();
            stop(&mut cluster.nodes[node]).await;
            assert!(
                !cluster.nodes[node].log_text().contains("was not handed over"),
                "{}",
                cluster.nodes[node].log_tail()
            );
            work.goes_on().await;
            cluster.nodes[node].start();
            cluster.wait_ready().await;
            work.goes_on().await;
        }
    }
    judge(&work.end(&cluster).await, &format!("{restarts} rolling restarts"), restarts >= FULL_RESTARTS);
}
