//! A leader that is frozen and thawed: the others go on meanwhile, and it says nothing that has become wrong.

use std::time::{Duration, Instant};

use crate::signals::{freeze, thaw};
use crate::support::Cluster;
use crate::work::{Work, from_environment};

const CLIENTS: usize = 8;
const FROZEN: Duration = Duration::from_secs(10);
/// Requests reach its sockets so long before it wakes up.
const BEFORE_IT_THAWS: Duration = Duration::from_secs(2);
/// The number at which the outages are judged too.
const FULL: u64 = 3;

/// `RINGMASTER_TEST_FREEZES=3 RINGMASTER_TEST_CLIENTS=32` is the full number.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_frozen_and_thawed_answers_nothing_stale_and_the_others_go_on() {
    let freezes = from_environment("RINGMASTER_TEST_FREEZES").unwrap_or(1);
    let cluster = Cluster::start(3, 3).await;
    let work = Work::begin(&cluster, CLIENTS).await;
    work.goes_on().await;
    for _ in 0..freezes {
        let leader = cluster.leader().await;
        work.mark();
        freeze(&cluster.nodes[leader]);
        let began = Instant::now();
        work.goes_on().await;
        while began.elapsed() < FROZEN - BEFORE_IT_THAWS {
            work.goes_on().await;
        }
        // It still takes itself for the leader when it reads these, and much has been acknowledged without it; some of
        // it after they were sent.
        let looks = work.look_through(&cluster, leader);
        work.goes_on().await;
        while began.elapsed() < FROZEN {
            work.goes_on().await;
        }
        thaw(&cluster.nodes[leader]);
        looks.await.expect("no panic");
        cluster.wait_ready().await;
        work.goes_on().await;
    }
    let report = work.end(&cluster).await;
    report.print(&format!("a leader frozen {freezes} times for {} s", FROZEN.as_secs()));
    report.expect_clean();
    report.expect_no_failed_request();
    if freezes >= FULL {
        report.expect_outages(Duration::from_secs(1), Duration::from_secs(2));
    }
}
