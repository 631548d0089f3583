//! Nodes are added, removed and replaced while a cut or a kill falls into the middle of it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::archipelago::Archipelago;
use crate::dice::Dice;
use crate::members::{begin_to_add, begun, says_that_it_was_removed};
use crate::signals::{freeze, thaw};
use crate::support::{DEADLINE, until};
use crate::work::{Work, from_environment};

const CLIENTS: usize = 4;
/// In this time the news that a change is made reaches whoever asked for it.
const SAYS_SO: Duration = Duration::from_millis(50);
/// So many more rounds at most, where accidents came too late.
const MORE_ROUNDS: u64 = 4;

/// `RINGMASTER_TEST_ROUNDS=10` for more of them.
fn rounds() -> u64 {
    from_environment("RINGMASTER_TEST_ROUNDS").unwrap_or(1)
}

/// A command under way: its exit code and what it said.
type Command = JoinHandle<(i32, String)>;

/// An operator's change of who takes part.
#[derive(Clone, Copy, Debug)]
enum Change {
    Add(usize),
    Remove(usize),
}

impl Change {
    /// Starts the new node, and sends the command.
    async fn begin(self, realm: &mut Archipelago) -> Command {
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

    /// No accident comes later than this after a change has begun, in milliseconds: most are done soon after.
    fn latest(self, victim: usize) -> u64 {
        match self {
            // It has been taken in by then.
            Self::Add(id) if id == victim + 1 => 30,
            Self::Add(_) => 250,
            Self::Remove(_) => 25,
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

/// Whether a change runs, by what the leader tells an admin who asks for another one: none is begun for a node that is
/// not there.
async fn is_under_way(realm: &Archipelago, leader: usize) -> bool {
    let other = json!({"node_id": 99});
    let (_, answer) = realm.cluster.post(&realm.cluster.admin, leader, "/admin/members/remove", &other).await;
    answer["code"] == "change_under_way"
}

/// What befalls a node while a change is made.
#[derive(Clone, Copy)]
enum Accident {
    /// It stands still for as long as it takes to cut it off, so that this happens at one moment.
    Cut,
    Kill,
}

impl Accident {
    /// Makes a change and befalls a node in its middle. The command, and whether it was the middle.
    async fn befall(self, realm: &mut Archipelago, dice: &mut Dice, change: Change, victim: usize) -> (Command, bool) {
        let leader = realm.cluster.leader().await;
        let command = change.begin(realm).await;
        let begun = async || match change {
            // In the middle of catching up.
            Change::Add(id) if id == victim + 1 => members(realm, leader).await.0.contains(&(id as u64)),
            _ => is_under_way(realm, leader).await,
        };
        let start = Instant::now();
        while !begun().await && !command.is_finished() {
            assert!(start.elapsed() < DEADLINE, "{change:?} never begins");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        tokio::time::sleep(Duration::from_millis(dice.below(change.latest(victim)))).await;
        match self {
            Self::Cut => freeze(&realm.cluster.nodes[victim]),
            Self::Kill => realm.cluster.nodes[victim].kill(),
        }
        // Whoever has made a change says so at once.
        tokio::time::sleep(SAYS_SO).await;
        let within = !command.is_finished();
        if let Self::Cut = self {
            realm.strand(&[victim]);
            thaw(&realm.cluster.nodes[victim]);
        }
        let when = if within { "in the middle of" } else { "beside" };
        println!(
            "node {} is {} {when} {change:?}",
            victim + 1,
            if let Self::Cut = self { "cut off" } else { "killed" }
        );
        (command, within)
    }
}

/// Makes a change during which a node is cut off from the others for a while. Whether the change was at its middle.
async fn cut_during(realm: &mut Archipelago, work: &Work, dice: &mut Dice, change: Change, stranded: usize) -> bool {
    work.goes_on().await;
    work.mark();
    let (command, within) = Accident::Cut.befall(realm, dice, change, stranded).await;
    // The others serve meanwhile, whatever the change is at.
    work.goes_on().await;
    tokio::time::sleep(Duration::from_millis(1_000 + dice.below(1_500))).await;
    work.goes_on().await;
    realm.islands.heal();
    change.repeat(realm, command.await.expect("no panic")).await;
    if let Change::Remove(id) = change {
        says_that_it_was_removed(&mut realm.cluster, id).await;
    }
    realm.cluster.wait_ready().await;
    expect_made(realm, change).await;
    work.goes_on().await;
    within
}

/// Has a story happen, and happen again for each kind of accident in it that came too late.
async fn until_all_hit<const KINDS: usize>(rounds: u64, mut story: impl AsyncFnMut() -> Option<[bool; KINDS]>) {
    let mut hit = [false; KINDS];
    for round in 1..=rounds + MORE_ROUNDS {
        let Some(now) = story().await else { return };
        hit.iter_mut().zip(now).for_each(|(hit, now)| *hit |= now);
        if round >= rounds && hit.iter().all(|hit| *hit) {
            return;
        }
    }
    panic!("of the accidents {hit:?} were in the middle of their change");
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_become_five_and_three_again_with_a_partition_during_each_change() {
    let mut dice = Dice::of_this_run("cuts during changes");
    until_all_hit(rounds(), async || {
        let mut realm = Archipelago::rise(3, 2).await?;
        let work = Work::begin(&realm.cluster, CLIENTS).await;
        // The new node is cut off in the middle of catching up, the leader at some moment of the change.
        let newcomer = cut_during(&mut realm, &work, &mut dice, Change::Add(4), 3).await;
        let leader = realm.cluster.leader().await;
        let adding = cut_during(&mut realm, &work, &mut dice, Change::Add(5), leader).await;
        // The leader is removed and cut off; another one is removed while the leader of then is cut off.
        let leader = realm.cluster.leader().await;
        let removed = cut_during(&mut realm, &work, &mut dice, Change::Remove(leader + 1), leader).await;
        let away = realm.cluster.leader().await;
        let gone = realm.all_but(&[away])[0];
        let removing = cut_during(&mut realm, &work, &mut dice, Change::Remove(gone + 1), away).await;
        realm.end_well(work, "3 to 5 to 3 with cuts").await;
        Some([newcomer, adding, removed, removing])
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_node_is_replaced_with_a_partition_during_it() {
    let mut dice = Dice::of_this_run("cuts during a replacement");
    until_all_hit(1, async || {
        let mut realm = Archipelago::rise(3, 1).await?;
        let work = Work::begin(&realm.cluster, CLIENTS).await;
        work.goes_on().await;
        let dead = realm.cluster.leader().await;
        work.mark();
        realm.cluster.nodes[dead].kill();
        std::fs::remove_dir_all(&realm.cluster.nodes[dead].data).expect("its disk is lost");
        work.goes_on().await;
        // Of the two that are left neither can do without the other: the cut stops everything for its time, no more.
        let change = Change::Remove(dead + 1);
        let leader = realm.cluster.leader().await;
        work.mark();
        let (command, removing) = Accident::Cut.befall(&mut realm, &mut dice, change, leader).await;
        tokio::time::sleep(Duration::from_millis(1_000 + dice.below(1_500))).await;
        realm.islands.heal();
        change.repeat(&mut realm, command.await.expect("no panic")).await;
        expect_made(&realm, change).await;
        work.goes_on().await;
        // With two voters the cut of the newcomer costs nothing until it votes, and then nobody is to spare either.
        let change = Change::Add(4);
        let (command, adding) = Accident::Cut.befall(&mut realm, &mut dice, change, 3).await;
        tokio::time::sleep(Duration::from_millis(1_000 + dice.below(1_500))).await;
        realm.islands.heal();
        change.repeat(&mut realm, command.await.expect("no panic")).await;
        realm.cluster.wait_ready().await;
        expect_made(&realm, change).await;
        work.goes_on().await;
        realm.end_well(work, "a dead node replaced with cuts").await;
        Some([removing, adding])
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leader_and_newcomer_are_killed_in_the_middle_of_cluster_add() {
    let mut dice = Dice::of_this_run("kills during cluster add");
    until_all_hit(rounds(), async || {
        let mut realm = Archipelago::rise(3, 2).await?;
        let work = Work::begin(&realm.cluster, CLIENTS).await;
        let mut within = [false; 2];
        for (within, id) in within.iter_mut().zip([4, 5]) {
            work.goes_on().await;
            let change = Change::Add(id);
            // The leader, and then the newcomer.
            let victim = if id == 4 { realm.cluster.leader().await } else { id - 1 };
            work.mark();
            let command;
            (command, *within) = Accident::Kill.befall(&mut realm, &mut dice, change, victim).await;
            work.goes_on().await;
            realm.cluster.nodes[victim].start();
            change.repeat(&mut realm, command.await.expect("no panic")).await;
            realm.cluster.wait_ready().await;
            expect_made(&realm, change).await;
            work.goes_on().await;
        }
        // They are voters in earnest: five can do without two, and these two are needed then.
        let leader = realm.cluster.leader().await;
        let away: Vec<usize> = (0..3).filter(|node| *node != leader).take(2).collect();
        work.mark();
        away.iter().for_each(|node| realm.cluster.nodes[*node].kill());
        work.goes_on().await;
        work.goes_on().await;
        away.iter().for_each(|node| realm.cluster.nodes[*node].start());
        realm.cluster.wait_ready().await;
        realm.end_well(work, "kills during cluster add").await;
        Some(within)
    })
    .await;
}
