//! Three nodes in one thread, from a seed: the real consensus over the real state machine, with a network, disks and time
//! that are not. A run can be repeated to the last message.

mod cluster;
mod dice;
mod node;
mod world;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use self::cluster::Cluster;
use self::dice::Dice;
pub(crate) use self::node::Node;
use self::world::World;
use crate::consensus::state::digest;
use crate::consensus::{Handle, ProposeError};
use crate::domain::command::{FileRef, Operation, PathRef};
use crate::domain::{Command, FilePath, Outcome, Proposal, Sha256, UserId, check, query};

/// Far more than a run takes, in its own time.
const PATIENCE: Duration = Duration::from_secs(120);
const CLIENTS: u64 = 3;

/// What a run came to.
struct Run {
    trace: Vec<String>,
    acknowledged: usize,
    /// Changes of leader.
    terms: usize,
}

/// The nodes that clients can go to. Those that are down are not among them.
type Doors = Arc<Mutex<Vec<Handle>>>;

fn run(seed: u64) -> Run {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(scenario(seed))
}

/// They form a cluster from empty disks, elect, and take what clients propose. One of them or all lose power at some
/// moment, come back after a while, and go on.
async fn scenario(seed: u64) -> Run {
    let mut dice = Dice::new(seed);
    let mut cluster = Cluster::new(dice.split());
    let world = Arc::clone(&cluster.world);
    for id in cluster.ids() {
        sleep(dice.time(Duration::ZERO, Duration::from_millis(300))).await;
        cluster.start(id).await;
    }
    let (doors, user) = (Doors::default(), sign_up(&cluster).await);
    *doors.lock().unwrap() = cluster.handles();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            tokio::spawn(make_directories(Arc::clone(&world), Arc::clone(&doors), user, client, dice.split()))
        })
        .collect();

    sleep(dice.time(Duration::from_millis(100), Duration::from_millis(1500))).await;
    let victims = match dice.below(4) {
        0 => cluster.ids(),
        node => vec![node],
    };
    doors.lock().unwrap().clear();
    cluster.cut_power(&victims).await;
    *doors.lock().unwrap() = cluster.handles();
    sleep(dice.time(Duration::from_millis(50), Duration::from_secs(3))).await;
    for id in victims {
        cluster.start(id).await;
        *doors.lock().unwrap() = cluster.handles();
    }

    let mut acknowledged = BTreeSet::new();
    for client in clients {
        acknowledged.extend(client.await.unwrap());
    }
    agree(&cluster, user, &acknowledged).await;
    let trace = world.trace();
    let leads = |line: &&String| line.contains("Leader of term");
    let terms: BTreeSet<_> =
        trace.iter().filter(leads).filter_map(|line| line.split("term ").nth(1)?.split(' ').next()).collect();
    let terms = terms.len();
    Run { trace, acknowledged: acknowledged.len(), terms }
}

/// Waits for a condition, in the run's time.
async fn until<T>(mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "it did not come about in time");
        sleep(Duration::from_millis(10)).await;
    }
}

/// The first account of the cluster.
async fn sign_up(cluster: &Cluster) -> UserId {
    let handles = cluster.handles();
    let leader = until(|| handles.iter().find(|handle| handle.metrics().is_leader)).await;
    let command = Command::Signup { username: "first".into(), password_hash: "hash".into() };
    match leader.propose(Proposal { operation: None, command }).await.unwrap().unwrap() {
        Outcome::User { user_id, .. } => user_id,
        other => panic!("{other:?}"),
    }
}

/// One client: it makes a directory after another, through any node, and repeats each until it has its answer. Gives the
/// paths that were acknowledged.
async fn make_directories(world: Arc<World>, doors: Doors, user: UserId, client: u64, mut dice: Dice) -> Vec<String> {
    let mut made = Vec::new();
    let deadline = world.now() + Duration::from_secs(6);
    while world.now() < deadline {
        let path = format!("/{client}-{}", made.len());
        let proposal = Proposal {
            operation: Some(Operation { user, id: path.clone(), fingerprint: Sha256([client as u8; 32]) }),
            command: Command::Mkdir { user, at: at(&path) },
        };
        loop {
            let door = {
                let doors = doors.lock().unwrap();
                let choice = dice.draw();
                doors.get(choice as usize % doors.len().max(1)).cloned()
            };
            let Some(door) = door else {
                sleep(Duration::from_millis(50)).await;
                continue;
            };
            match door.propose(proposal.clone()).await {
                Ok(answer) => {
                    world.note(format!("client {client} made {path}: {}", answer.is_ok()));
                    assert!(matches!(answer, Ok(Outcome::Stat(_))), "{answer:?}");
                    break;
                }
                Err(
                    error @ (ProposeError::NoLeader(_) | ProposeError::OutcomeUnknown(_) | ProposeError::Stopped(_)),
                ) => {
                    world.note(format!("client {client} tries again to make {path}: {error}"));
                    sleep(dice.time(Duration::from_millis(1), Duration::from_millis(100))).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
        made.push(path);
        sleep(dice.time(Duration::ZERO, Duration::from_millis(40))).await;
    }
    made
}

fn at(path: &str) -> PathRef {
    PathRef { owner: None, path: FilePath::parse(path).unwrap() }
}

/// Every node has what was acknowledged, the same rows, and nothing wrong in them.
async fn agree(cluster: &Cluster, user: UserId, acknowledged: &BTreeSet<String>) {
    let handles = cluster.handles();
    assert_eq!(handles.len(), 3);
    let mut states = Vec::new();
    for handle in &handles {
        let expected = acknowledged.clone();
        let looked = handle.read(move |store| {
            let missing = |path: &&String| query::stat(store, user, &FileRef::Path(at(path))).unwrap().is_err();
            let missing: Vec<String> = expected.iter().filter(missing).cloned().collect();
            Ok((missing, check(store)?, digest(store)?))
        });
        let (missing, violations, rows) = looked.await.unwrap();
        assert_eq!(missing, Vec::<String>::new(), "acknowledged and lost");
        assert!(violations.is_empty(), "{violations:?}");
        cluster.world.note(format!("{} has {rows:?}", handle.status().node_id));
        states.push(rows);
    }
    states.dedup();
    assert_eq!(states.len(), 1);
}

/// Two seeds, each twice. Where a run differs from its repetition, the first line tells.
#[test]
fn a_run_is_repeated_to_the_last_message_from_its_seed() {
    let mut first_lines = BTreeSet::new();
    for seed in [1, 2] {
        let (once, again) = (run(seed), run(seed));
        for (number, (line, repeated)) in once.trace.iter().zip(&again.trace).enumerate() {
            assert_eq!(line, repeated, "seed {seed}: line {number} of {}", once.trace.len());
        }
        assert_eq!(once.trace.len(), again.trace.len(), "seed {seed}");
        assert!(once.trace.len() > 1000 && once.acknowledged > 50, "{} {}", once.trace.len(), once.acknowledged);
        first_lines.insert(once.trace);
    }
    assert_eq!(first_lines.len(), 2, "another seed is another run");
}
