//! Planned hand-overs under load: by command, by SIGTERM, and a restart of the whole directory node by node.

use std::process::Command;
use std::time::Duration;

use crate::load::{Load, client, percentile, report};
use crate::support::{Cluster, Process};

const CLIENTS: usize = 8;

fn send_signal(process: &Process, signal: &str) {
    let sent = Command::new("kill").args([signal, &process.pid().to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()), "it runs");
}

/// SIGTERM, and its end.
pub(crate) async fn stop(process: &mut Process) {
    send_signal(process, "-TERM");
    assert_eq!(process.wait_exit().await, Some(0), "{}", process.log_tail());
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_hand_overs_by_command_under_load_fail_no_request() {
    let cluster = Cluster::start(3, 2).await;
    let load = Load::begin(&cluster, CLIENTS, "transfer");
    load.goes_on().await;
    let admin = client(&cluster);
    let mut leader = cluster.leader().await as u64 + 1;
    for round in 0..20 {
        load.next_round();
        let to = (round % 2 == 0).then_some(leader % 3 + 1);
        let done = admin.transfer(to).await.expect("it is handed over");
        assert!(done.done, "{done:?}");
        assert_ne!(done.node_id, leader);
        assert!(to.is_none_or(|to| to == done.node_id), "{done:?}");
        leader = done.node_id;
        load.goes_on().await;
        load.next_round();
    }
    let silences = load.end(&cluster).await;
    report("twenty transfers", &silences);
    assert!(percentile(&silences, 50) < Duration::from_millis(500), "{silences:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_of_the_leader_and_rolling_restarts_fail_no_request() {
    let mut cluster = Cluster::start(3, 2).await;
    let load = Load::begin(&cluster, CLIENTS, "rolling");
    load.goes_on().await;
    for _ in 0..2 {
        for node in 0..3 {
            load.next_round();
            stop(&mut cluster.nodes[node]).await;
            load.goes_on().await;
            cluster.nodes[node].start();
            cluster.wait_ready().await;
            load.goes_on().await;
        }
    }
    for _ in 0..3 {
        load.next_round();
        let leader = cluster.leader().await;
        stop(&mut cluster.nodes[leader]).await;
        assert!(!cluster.nodes[leader].log_text().contains("was not handed over"));
        load.goes_on().await;
        cluster.nodes[leader].start();
        cluster.wait_ready().await;
    }
    load.next_round();
    load.goes_on().await;
    let silences = load.end(&cluster).await;
    report("two rolling restarts and three stopped leaders", &silences);
    assert!(percentile(&silences, 50) < Duration::from_millis(800), "{silences:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_leader_is_left_at_once() {
    let cluster = Cluster::start(3, 2).await;
    let load = Load::begin(&cluster, CLIENTS, "frozen");
    load.goes_on().await;
    for _ in 0..2 {
        load.next_round();
        let frozen = cluster.leader().await;
        send_signal(&cluster.nodes[frozen], "-STOP");
        load.goes_on().await;
        load.next_round();
        // Everybody works on the others meanwhile.
        for _ in 0..3 {
            load.goes_on().await;
        }
        send_signal(&cluster.nodes[frozen], "-CONT");
        cluster.wait_ready().await;
        load.goes_on().await;
    }
    let silences = load.end(&cluster).await;
    report("a leader frozen twice", &silences);
    assert!(percentile(&silences, 99) < Duration::from_secs(6), "{silences:?}");
}
