//! Directory nodes that are cut off from one another under clients that reach them all.

use std::time::{Duration, Instant};

use crate::archipelago::Archipelago;
use crate::islands::{Islands, Place};
use crate::work::{Work, from_environment};

const CLIENTS: usize = 6;
/// `RINGMASTER_TEST_PARTITIONS` says otherwise.
const PARTITIONS: u64 = 4;

/// One cut under load.
struct Cut<'a> {
    label: &'a str,
    /// Who acknowledges nothing while it lasts.
    minority: Vec<usize>,
    /// Whether the leader is among them, so that another one is elected.
    deposes: bool,
}

impl Cut<'_> {
    /// Makes the cut, looks at both sides while it lasts, heals it.
    async fn happen(&self, realm: &Archipelago, work: &Work, make: impl FnOnce(&Archipelago)) {
        let Self { label, minority, deposes } = self;
        let majority = realm.all_but(minority);
        work.goes_on().await;
        let before = realm.cluster.leader().await;
        work.mark();
        let begun = Instant::now();
        make(realm);
        work.goes_on().await;
        let on = begun.elapsed();
        realm.wait_ready(minority, false).await;
        realm.wait_ready(&majority, true).await;
        let slowest = realm.nothing_from(minority, &majority, label).await;
        work.goes_on().await;
        let leader = realm.leader_of(&majority).await;
        assert_eq!(before != leader, *deposes, "{label}: node {} led and node {} does", before + 1, leader + 1);
        // What reaches these on the eve of the healing is read under it, and is part of the history.
        let looks: Vec<_> = minority.iter().map(|node| work.look_through(&realm.cluster, *node)).collect();
        work.mark();
        realm.islands.heal();
        realm.cluster.wait_ready().await;
        for look in looks {
            look.await.expect("no panic");
        }
        work.goes_on().await;
        println!(
            "{label}: all clients got on {} ms after the cut; the minority's slowest answer took {} ms",
            on.as_millis(),
            slowest.as_millis()
        );
    }
}

async fn expect_all_well(mut realm: Archipelago, work: Work, label: &str) {
    work.goes_on().await;
    let report = work.end(&realm.cluster).await;
    report.print(label);
    report.expect_clean();
    report.expect_no_failed_request();
    realm.expect_agreement().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_in_a_minority_acknowledges_nothing_and_the_majority_goes_on() {
    let Some(realm) = Archipelago::rise(3, 0).await else { return };
    let work = Work::begin(&realm.cluster, CLIENTS).await;
    let leader = realm.cluster.leader().await;
    let cut = Cut { label: "leader alone", minority: vec![leader], deposes: true };
    cut.happen(&realm, &work, |realm| realm.strand(&[leader])).await;
    // A follower alone disturbs nobody, neither before nor after it is back.
    let leader = realm.cluster.leader().await;
    let follower = (leader + 1) % 3;
    let cut = Cut { label: "follower alone", minority: vec![follower], deposes: false };
    cut.happen(&realm, &work, |realm| realm.strand(&[follower])).await;
    assert_eq!(realm.cluster.leader().await, leader, "who comes back from an island deposes nobody");
    expect_all_well(realm, work, "minorities of three nodes").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_unheard_or_deaf_is_replaced() {
    let Some(realm) = Archipelago::rise(3, 0).await else { return };
    let work = Work::begin(&realm.cluster, CLIENTS).await;
    let leader = realm.cluster.leader().await;
    let cut = Cut { label: "leader unheard", minority: vec![leader], deposes: true };
    cut.happen(&realm, &work, |realm| realm.unheard(leader)).await;
    let leader = realm.cluster.leader().await;
    let cut = Cut { label: "leader deaf", minority: vec![leader], deposes: true };
    cut.happen(&realm, &work, |realm| realm.deaf(leader)).await;
    expect_all_well(realm, work, "a leader in one-way cuts").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_the_leader_alone_cannot_reach_deposes_nobody() {
    let Some(realm) = Archipelago::rise(3, 0).await else { return };
    let work = Work::begin(&realm.cluster, CLIENTS).await;
    for label in ["both ways", "leader unheard by one", "leader deaf to one"] {
        let leader = realm.cluster.leader().await;
        let follower = (leader + 1) % 3;
        let (one, other) = (Place::Island(leader), Place::Island(follower));
        let cut = Cut { label, minority: vec![follower], deposes: false };
        let make = |islands: &Islands| match label {
            "both ways" => islands.cut(one, other),
            "leader unheard by one" => islands.mute(one, other),
            _ => islands.mute(other, one),
        };
        cut.happen(&realm, &work, |realm| make(&realm.islands)).await;
    }
    expect_all_well(realm, work, "cuts between the leader and one follower").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_the_clients_cannot_reach_serves_them_through_the_others() {
    let Some(realm) = Archipelago::rise(3, 0).await else { return };
    let work = Work::begin(&realm.cluster, CLIENTS).await;
    work.goes_on().await;
    let leader = realm.cluster.leader().await;
    work.mark();
    realm.islands.cut(Place::Mainland, Place::Island(leader));
    for _ in 0..3 {
        work.goes_on().await;
    }
    assert_eq!(realm.leader_of(&realm.all_but(&[leader])).await, leader, "it is cut off from clients alone");
    work.mark();
    realm.islands.heal();
    work.goes_on().await;
    expect_all_well(realm, work, "clients cut off from the leader").await;
}

/// `RINGMASTER_TEST_PARTITIONS=20` for more of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_heals_each_three_seconds() {
    let Some(realm) = Archipelago::rise(3, 0).await else { return };
    let work = Work::begin(&realm.cluster, CLIENTS).await;
    for round in 0..from_environment("RINGMASTER_TEST_PARTITIONS").unwrap_or(PARTITIONS) {
        work.goes_on().await;
        // By turns the leader of the moment, and whoever's turn it is.
        let node = if round % 2 == 0 { realm.cluster.leader().await } else { round as usize / 2 % 3 };
        work.mark();
        realm.strand(&[node]);
        tokio::time::sleep(Duration::from_secs(3)).await;
        work.mark();
        realm.islands.heal();
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
    realm.cluster.wait_ready().await;
    expect_all_well(realm, work, "partitions of three seconds").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_five_nodes_two_are_cut_off() {
    let Some(realm) = Archipelago::rise(5, 0).await else { return };
    let work = Work::begin(&realm.cluster, CLIENTS).await;
    let leader = realm.cluster.leader().await;
    let minority = vec![leader, (leader + 1) % 5];
    let cut = Cut { label: "leader and follower", minority: minority.clone(), deposes: true };
    cut.happen(&realm, &work, |realm| realm.strand(&minority)).await;
    let leader = realm.cluster.leader().await;
    let minority = vec![(leader + 1) % 5, (leader + 2) % 5];
    let cut = Cut { label: "two followers", minority: minority.clone(), deposes: false };
    cut.happen(&realm, &work, |realm| realm.strand(&minority)).await;
    expect_all_well(realm, work, "minorities of five nodes").await;
}
