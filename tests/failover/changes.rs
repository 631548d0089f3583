//! Nodes are added, removed and replaced while a cut or a kill falls into the middle of it.

use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinHandle;

use crate::archipelago::Archipelago;
use crate::members::{begin_to_add, begun, says_that_it_was_removed};
use crate::support::until;
use crate::work::{Work, from_environment};

const CLIENTS: usize = 4;
/// `RINGMASTER_TEST_ROUNDS` says otherwise.
const ROUNDS: u64 = 1;
/// No accident comes later than this after the command, in milliseconds: most changes are done by then.
const LATEST: u64 = 300;

/// An operator's change of who takes part.
#[derive(Clone, Copy, Debug)]
enum Change {
    Add(usize),
    Remove(usize),
}

impl Change {
    /// Starts the new node, and sends the command.
    async fn begin(self, realm: &mut Archipelago) -> JoinHandle<(i32, String)> {
        if let Self::Add(id) = self
            && !realm.cluster.nodes[id - 1].is_started()
        {
            realm.cluster.nodes[id - 1].start();
        }
        match self {
            Self::Add(id) => begin_to_add(&realm.cluster, id).await,
            Self::Remove(id) => begun(&realm.cluster, &["cluster", "remove", &id.to_string()]),
        }
    }

    fn is_made(self, members: &[u64], voters: &[u64]) -> bool {
        match self {
            Self::Add(id) => voters.contains(&(id as u64)),
            Self::Remove(id) => !members.contains(&(id as u64)),
        }
    }

    /// The same command until it says that it is done, as an operator would after an accident.
    async fn repeat(self, realm: &mut Archipelago, first: (i32, String)) {
        let (mut code, mut said) = first;
        for _ in 0..20 {
            if code == 0 {
                return;
            }
            println!("{self:?} is said again after: {}", said.trim().replace('\n', " / "));
            tokio::time::sleep(Duration::from_millis(500)).await;
            (code, said) = self.begin(realm).await.await.expect("no panic");
        }
        panic!("{self:?} is never done: {said}");
    }
}

/// Moments that differ from run to run, and not for one seed.
struct Dice(u64);

impl Dice {
    fn new() -> Self {
        let seed = from_environment("RINGMASTER_TEST_SEED").unwrap_or_else(|| u64::from(std::process::id()));
        println!("RINGMASTER_TEST_SEED={seed}");
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    /// Some time after a command was sent.
    async fn moment(&mut self) {
        tokio::time::sleep(Duration::from_millis(self.below(LATEST))).await;
    }
}

/// Members and voters as a node has them.
async fn members(realm: &Archipelago, node: usize) -> (Vec<u64>, Vec<u64>) {
    let answer = realm.cluster.get(node, "/cluster").await.1;
    let nodes = answer["nodes"].as_array().cloned().unwrap_or_default();
    let id = |node: &Value| node["node_id"].as_u64();
    let votes = |node: &&Value| node["role"] != "learner";
    (nodes.iter().filter_map(id).collect(), nodes.iter().filter(votes).filter_map(id).collect())
}

/// Every node that runs knows the change as made, and all know the same members.
async fn expect_made(realm: &Archipelago, change: Change) {
    let running = realm.all_but(&[]);
    until(&format!("{change:?} is made everywhere"), async || {
        let first = members(realm, running[0]).await;
        let mut same = true;
        for node in &running {
            same &= members(realm, *node).await == first;
        }
        same && change.is_made(&first.0, &first.1)
    })
    .await;
}

/// Waits until a node has been taken in, or its command has ended.
async fn until_taken_in(realm: &Archipelago, id: usize, command: &JoinHandle<(i32, String)>) {
    let node = realm.all_but(&[id - 1])[0];
    until(&format!("node {id} is taken in"), async || {
        members(realm, node).await.0.contains(&(id as u64)) || command.is_finished()
    })
    .await;
}

/// Makes a change during which a node is cut off from the others for a while.
async fn cut_during(realm: &mut Archipelago, work: &Work, dice: &mut Dice, change: Change, stranded: usize) {
    println!("{change:?} while node {} is cut off", stranded + 1);
    work.goes_on().await;
    work.mark();
    let command = change.begin(realm).await;
    match change {
        // In the middle of catching up.
        Change::Add(id) if id == stranded + 1 => until_taken_in(realm, id, &command).await,
        _ => dice.moment().await,
    }
    realm.strand(&[stranded]);
    // The others serve meanwhile, whatever the change is at.
    work.goes_on().await;
    tokio::time::sleep(Duration::from_millis(1_000 + dice.below(1_500))).await;
    work.goes_on().await;
    work.mark();
    realm.islands.heal();
    change.repeat(realm, command.await.expect("no panic")).await;
    if let Change::Remove(id) = change {
        says_that_it_was_removed(&mut realm.cluster, id).await;
    }
    realm.cluster.wait_ready().await;
    expect_made(realm, change).await;
    work.goes_on().await;
}

async fn expect_all_well(mut realm: Archipelago, work: Work, label: &str) {
    let report = work.end(&realm.cluster).await;
    report.print(label);
    report.expect_clean();
    report.expect_no_failed_request();
    realm.expect_agreement().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_become_five_and_three_again_with_a_partition_during_each_change() {
    let rounds = from_environment("RINGMASTER_TEST_ROUNDS").unwrap_or(ROUNDS) as usize;
    let mut dice = Dice::new();
    for _ in 0..rounds {
        let Some(mut realm) = Archipelago::rise(3, 2).await else { return };
        let work = Work::begin(&realm.cluster, CLIENTS).await;
        // The new node is cut off in the middle of catching up, the leader at some moment of the change.
        cut_during(&mut realm, &work, &mut dice, Change::Add(4), 3).await;
        let leader = realm.cluster.leader().await;
        cut_during(&mut realm, &work, &mut dice, Change::Add(5), leader).await;
        // The leader is removed and cut off; another one is removed while a third one is away.
        let leader = realm.cluster.leader().await;
        cut_during(&mut realm, &work, &mut dice, Change::Remove(leader + 1), leader).await;
        let away = realm.cluster.leader().await;
        let gone = realm.all_but(&[away])[0];
        cut_during(&mut realm, &work, &mut dice, Change::Remove(gone + 1), away).await;
        expect_all_well(realm, work, "3 to 5 to 3 with cuts").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_node_is_replaced_with_a_partition_during_it() {
    let mut dice = Dice::new();
    let Some(mut realm) = Archipelago::rise(3, 1).await else { return };
    let work = Work::begin(&realm.cluster, CLIENTS).await;
    work.goes_on().await;
    let dead = realm.cluster.leader().await;
    work.mark();
    realm.cluster.nodes[dead].kill();
    std::fs::remove_dir_all(&realm.cluster.nodes[dead].data).expect("its disk is lost");
    work.goes_on().await;
    // Of the two that are left neither can do without the other, so the cut stops everything for its time, and no more.
    let change = Change::Remove(dead + 1);
    let command = change.begin(&mut realm).await;
    dice.moment().await;
    let leader = realm.leader_of(&realm.all_but(&[])).await;
    realm.strand(&[leader]);
    tokio::time::sleep(Duration::from_millis(1_000 + dice.below(1_500))).await;
    work.mark();
    realm.islands.heal();
    change.repeat(&mut realm, command.await.expect("no panic")).await;
    expect_made(&realm, change).await;
    work.goes_on().await;
    // With two voters the cut of the newcomer costs nothing until it votes, and then nobody is to spare either.
    let change = Change::Add(4);
    let command = change.begin(&mut realm).await;
    until_taken_in(&realm, 4, &command).await;
    realm.strand(&[3]);
    tokio::time::sleep(Duration::from_millis(1_000 + dice.below(1_500))).await;
    realm.islands.heal();
    change.repeat(&mut realm, command.await.expect("no panic")).await;
    realm.cluster.wait_ready().await;
    expect_made(&realm, change).await;
    work.goes_on().await;
    expect_all_well(realm, work, "a dead node replaced with cuts").await;
}

/// `RINGMASTER_TEST_ROUNDS=10` for more of them.
#[tokio::test(flavor = "multi_thread")]
async fn leader_and_newcomer_are_killed_in_the_middle_of_cluster_add() {
    let rounds = from_environment("RINGMASTER_TEST_ROUNDS").unwrap_or(ROUNDS) as usize;
    let mut dice = Dice::new();
    for _ in 0..rounds {
        let Some(mut realm) = Archipelago::rise(3, 2).await else { return };
        let work = Work::begin(&realm.cluster, CLIENTS).await;
        for (id, newcomer) in [(4, false), (5, true)] {
            work.goes_on().await;
            let change = Change::Add(id);
            let victim = if newcomer { id - 1 } else { realm.cluster.leader().await };
            println!("{change:?} while node {} is killed", victim + 1);
            let command = change.begin(&mut realm).await;
            dice.moment().await;
            work.mark();
            realm.cluster.nodes[victim].kill();
            work.goes_on().await;
            realm.cluster.nodes[victim].start();
            change.repeat(&mut realm, command.await.expect("no panic")).await;
            realm.cluster.wait_ready().await;
            expect_made(&realm, change).await;
            // They are voters in earnest: five can do without two.
            work.goes_on().await;
        }
        expect_all_well(realm, work, "kills during cluster add").await;
    }
}
