//! Directory nodes that are cut off from one another under clients that reach them all.

use std::time::{Duration, Instant};

use crate::archipelago::Archipelago;
use crate::islands::Place;
use crate::work::{Work, from_environment};

const CLIENTS: usize = 6;
/// `RINGMASTER_TEST_PARTITIONS` says otherwise.
const PARTITIONS: u64 = 4;
/// The number of partitions at which all outages of this file are judged too.
const FULL: u64 = 5;
/// A machine that is busy enough holds an election of its own now and then: a cut that met one is made again.
const ATTEMPTS: usize = 4;
/// Several times as long as a node waits before it wants to be elected.
const SEVERAL_ELECTIONS: Duration = Duration::from_secs(2);
const LASTS: Duration = Duration::from_secs(3);

fn partitions() -> u64 {
    from_environment("RINGMASTER_TEST_PARTITIONS").unwrap_or(PARTITIONS)
}

/// One cut under load.
struct Cut {
    label: &'static str,
    /// Who acknowledges nothing while it lasts, as places behind the leader: 0 is the leader itself.
    minority: &'static [usize],
    /// With the leader's position and the minority's.
    make: fn(&Archipelago, usize, &[usize]),
    /// Whether nothing passes between the minority and the others in either direction.
    is_complete: bool,
}

impl Cut {
    const fn complete(label: &'static str, minority: &'static [usize]) -> Self {
        Self { label, minority, make: |realm, _, minority| realm.strand(minority), is_complete: true }
    }

    /// Makes the cut, looks at both sides while it lasts, heals it. Where the leader is in the minority another one is
    /// elected, and else nobody.
    async fn happen(&self, realm: &Archipelago, work: &Work) {
        for attempt in 0..ATTEMPTS {
            if self.happens(realm, work, attempt).await {
                return;
            }
            println!("{}: leadership has moved for another reason, or for this one: once more", self.label);
        }
        panic!("{}: leadership has moved {ATTEMPTS} times, a node that is cut off deposes others", self.label);
    }

    /// Whether leadership did what it should.
    async fn happens(&self, realm: &Archipelago, work: &Work, attempt: usize) -> bool {
        let (cluster, label) = (&realm.cluster, self.label);
        work.goes_on().await;
        let leader = cluster.leader().await;
        let term = cluster.metric(leader, "ringmaster_raft_term").await;
        let minority: Vec<usize> = self.minority.iter().map(|behind| (leader + behind) % cluster.nodes.len()).collect();
        let majority = realm.all_but(&minority);
        work.mark();
        let begun = Instant::now();
        (self.make)(realm, leader, &minority);
        work.goes_on().await;
        let on = begun.elapsed();
        realm.wait_ready(&minority, false).await;
        let (alone, terms) = (Instant::now(), terms(realm, &minority).await);
        realm.wait_ready(&majority, true).await;
        let slowest = realm.nothing_from(&minority, &majority, &format!("{label}-{attempt}")).await;
        work.goes_on().await;
        while alone.elapsed() < SEVERAL_ELECTIONS {
            work.goes_on().await;
        }
        let next = realm.leader_of(&majority).await;
        assert!(majority.contains(&next), "{label}: node {} leads in a minority", next + 1);
        if self.is_complete {
            let later = self::terms(realm, &minority).await;
            assert_eq!(later, terms, "{label}: a node without a majority counts terms up, and would depose the leader");
        }
        // What reaches these on the eve of the healing is read under it, and is part of the history.
        let looks: Vec<_> = minority.iter().map(|node| work.look_through(cluster, *node)).collect();
        realm.islands.heal();
        cluster.wait_ready().await;
        for look in looks {
            look.await.expect("no panic");
        }
        work.goes_on().await;
        println!(
            "{label}: all clients got on {} ms after the cut; the minority's slowest answer took {} ms",
            on.as_millis(),
            slowest.as_millis()
        );
        let after = cluster.leader().await;
        let has_moved = cluster.metric(after, "ringmaster_raft_term").await > term;
        has_moved == self.minority.contains(&0)
    }
}

async fn terms(realm: &Archipelago, nodes: &[usize]) -> Vec<u64> {
    let mut terms = Vec::new();
    for node in nodes {
        terms.push(realm.cluster.metric(*node, "ringmaster_raft_term").await);
    }
    terms
}

async fn end_well(realm: Archipelago, work: Work, label: &str) {
    let report = realm.end_well(work, label).await;
    if partitions() >= FULL {
        report.expect_outages(Duration::from_secs(1), Duration::from_secs(2));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_in_a_minority_acknowledges_nothing_and_the_majority_goes_on() {
    let Some(realm) = Archipelago::rise(3, 0).await else { return };
    let work = Work::begin(&realm.cluster, CLIENTS).await;
    Cut::complete("leader alone", &[0]).happen(&realm, &work).await;
    // A follower alone disturbs nobody, neither before nor after it is back.
    Cut::complete("follower alone", &[1]).happen(&realm, &work).await;
    end_well(realm, work, "minorities of three nodes").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_unheard_or_deaf_is_replaced() {
    let Some(realm) = Archipelago::rise(3, 0).await else { return };
    let work = Work::begin(&realm.cluster, CLIENTS).await;
    let cut = |label, make| Cut { label, minority: &[0], make, is_complete: false };
    cut("leader unheard", |realm, leader, _| realm.unheard(leader)).happen(&realm, &work).await;
    cut("leader deaf", |realm, leader, _| realm.deaf(leader)).happen(&realm, &work).await;
    end_well(realm, work, "a leader in one-way cuts").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_the_leader_alone_cannot_reach_deposes_nobody() {
    let Some(realm) = Archipelago::rise(3, 0).await else { return };
    let work = Work::begin(&realm.cluster, CLIENTS).await;
    let cut = |label, make| Cut { label, minority: &[1], make, is_complete: false };
    let both = cut("both ways", |realm, leader, follower| {
        realm.islands.cut(Place::Island(leader), Place::Island(follower[0]));
    });
    let unheard = cut("leader unheard by one", |realm, leader, follower| {
        realm.islands.mute(Place::Island(leader), Place::Island(follower[0]));
    });
    let deaf = cut("leader deaf to one", |realm, leader, follower| {
        realm.islands.mute(Place::Island(follower[0]), Place::Island(leader));
    });
    for cut in [both, unheard, deaf] {
        cut.happen(&realm, &work).await;
    }
    end_well(realm, work, "cuts between the leader and one follower").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_the_clients_cannot_reach_serves_them_through_the_others() {
    let Some(realm) = Archipelago::rise(3, 0).await else { return };
    let work = Work::begin(&realm.cluster, CLIENTS).await;
    let mut stayed = false;
    for _ in 0..ATTEMPTS {
        work.goes_on().await;
        let leader = realm.cluster.leader().await;
        let others = realm.all_but(&[leader]);
        work.mark();
        realm.islands.cut(Place::Mainland, Place::Island(leader));
        for _ in 0..3 {
            work.goes_on().await;
            assert!(!realm.is_ready(leader).await, "nothing comes through the cut");
        }
        // It is cut off from clients alone.
        stayed = realm.leader_of(&others).await == leader;
        realm.islands.heal();
        realm.wait_ready(&[leader], true).await;
        if stayed {
            break;
        }
    }
    assert!(stayed, "a leader that the clients cannot reach was deposed {ATTEMPTS} times");
    end_well(realm, work, "clients cut off from the leader").await;
}

/// `RINGMASTER_TEST_PARTITIONS=20` for more of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_heals_each_three_seconds() {
    let Some(realm) = Archipelago::rise(3, 0).await else { return };
    let work = Work::begin(&realm.cluster, CLIENTS).await;
    work.goes_on().await;
    for round in 0..partitions() {
        // By turns the leader of the moment, and whoever's turn it is.
        let node = if round % 2 == 0 { realm.cluster.leader().await } else { round as usize / 2 % 3 };
        work.mark();
        realm.strand(&[node]);
        let begun = Instant::now();
        work.goes_on().await;
        realm.wait_ready(&[node], false).await;
        while begun.elapsed() < LASTS {
            work.goes_on().await;
        }
        assert!(!realm.is_ready(node).await, "node {} is alone, and says that it is ready", node + 1);
        realm.islands.heal();
        let healed = Instant::now();
        work.goes_on().await;
        tokio::time::sleep(LASTS.saturating_sub(healed.elapsed())).await;
    }
    realm.cluster.wait_ready().await;
    end_well(realm, work, "partitions of three seconds").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_five_nodes_two_are_cut_off() {
    let Some(realm) = Archipelago::rise(5, 0).await else { return };
    let work = Work::begin(&realm.cluster, CLIENTS).await;
    Cut::complete("leader and follower", &[0, 1]).happen(&realm, &work).await;
    Cut::complete("two followers", &[1, 2]).happen(&realm, &work).await;
    end_well(realm, work, "minorities of five nodes").await;
}
