//! Clients at work, what they were told, and the verdict on it.

mod client;
mod inspect;
mod report;

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ringmaster::client::{Directory, Limits};
use tokio::task::JoinHandle;

use crate::history::{Moment, NAMES, Outcome, Record, check};
use crate::support::{Cluster, until};

use self::client::Client;
use self::report::Outage;
pub(crate) use self::report::Report;

/// Clients that share the files of one place.
const CLIENTS_IN_A_GROUP: usize = 4;
/// One in so many groups' clients is impatient: it gives up early, so that there are unknown outcomes.
const PATIENT_TO_IMPATIENT: usize = 4;
/// A group goes on to a fresh place after so many requests, or unknown outcomes, in the last one: the check of a place
/// takes longer with each.
const REQUESTS_IN_A_PLACE: u32 = 400;
const UNKNOWN_IN_A_PLACE: u32 = 5;
/// The smallest that extents can be.
const EXTENT: usize = 4 << 20;
/// Places of one group are numbered up to this.
const MOST_PLACES: u32 = 1_000_000;

/// Clients that write, read, update, lock, unlock, list, move and delete through all nodes, and write down what they did.
///
/// Most are clients as the command line has them, with its deadlines; their outages are measured, and none of their
/// requests may fail. Beside them there are some impatient ones, which ask one node after the other and give up early:
/// theirs are the unknown outcomes, the requests through followers and the repeats under one key.
pub(crate) struct Work {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

struct Shared {
    record: Record,
    seed: u64,
    /// The directory that everything is below.
    root: String,
    stop: AtomicBool,
    groups: Vec<Group>,
    patient: Vec<Patient>,
    /// When events happened.
    marks: Mutex<Vec<Moment>>,
    failed: Mutex<Vec<String>>,
    /// What no history is needed to see is wrong.
    wrong: Mutex<Vec<String>>,
    /// The most that a client waits between two requests, in microseconds.
    pause: u64,
}

#[derive(Default)]
struct Group {
    place: AtomicU32,
    requests: AtomicU32,
    unknown: AtomicU32,
}

/// What is counted of a client with the command line's deadlines.
#[derive(Default)]
struct Patient {
    successes: AtomicU64,
    moments: Mutex<Vec<Moment>>,
}

impl Work {
    /// Starts the clients, `RINGMASTER_TEST_CLIENTS` where that is given, on a few files that they share, so that they
    /// race. Uses `RINGMASTER_TEST_SEED` or a random seed, and prints it.
    pub(crate) async fn begin(cluster: &Cluster, clients: usize) -> Self {
        static RUNS: AtomicU64 = AtomicU64::new(1);
        let clients = from_environment("RINGMASTER_TEST_CLIENTS").map_or(clients, |given| given as usize);
        let fresh = u64::from(std::process::id()) << 8 | RUNS.fetch_add(1, Ordering::Relaxed);
        let seed = from_environment("RINGMASTER_TEST_SEED").unwrap_or(fresh);
        println!("RINGMASTER_TEST_SEED={seed}");
        let policy = serde_json::json!({"extent_bytes": EXTENT});
        let running = (0..cluster.nodes.len()).find(|node| cluster.nodes[*node].is_started()).expect("a node");
        let (status, answer) = cluster.insist(&cluster.admin, running, "/admin/policy", &policy).await;
        assert_eq!(status, 200, "{answer}");
        let impatient = clients.div_ceil(PATIENT_TO_IMPATIENT);
        let groups = clients.div_ceil(CLIENTS_IN_A_GROUP);
        // The name is fresh also where the seed is not.
        let name = format!("work-{seed}-{fresh:x}");
        let shared = Arc::new(Shared {
            record: Record::begin(cluster.dir.path(), &name),
            seed,
            root: format!("/{name}"),
            stop: AtomicBool::new(false),
            groups: (0..groups).map(|_| Group::default()).collect(),
            patient: (0..clients).map(|_| Patient::default()).collect(),
            marks: Mutex::default(),
            failed: Mutex::default(),
            wrong: Mutex::default(),
            pause: 2_000 * (clients + impatient) as u64,
        });
        let nodes = cluster.nodes.iter().filter(|node| node.is_started());
        let urls: Vec<url::Url> = nodes.map(|node| node.url.parse().expect("a url")).collect();
        let token = || Some(cluster.admin.token.clone());
        let patient = (0..clients).map(|number| {
            let directory = Directory::new(urls.clone(), token()).expect("a client");
            Client::new(number, &shared, vec![directory]).work()
        });
        let impatient = (0..impatient).map(|number| {
            let directory = Directory::with_limits(urls.clone(), token(), hasty()).expect("a client");
            let each = urls.iter().map(|url| directory.at(url.clone()).expect("a url")).collect();
            Client::new(clients + number, &shared, each).work()
        });
        let mut running: Vec<JoinHandle<()>> = patient.map(tokio::spawn).collect();
        running.extend(impatient.map(tokio::spawn));
        Self { shared, clients: running }
    }

    /// Waits until every client has had several successes since now.
    pub(crate) async fn goes_on(&self) {
        let count = |patient: &Patient| patient.successes.load(Ordering::Relaxed);
        let wanted: Vec<u64> = self.shared.patient.iter().map(|patient| count(patient) + 3).collect();
        until("every client gets on", async || {
            self.shared.patient.iter().zip(&wanted).all(|(patient, wanted)| count(patient) >= *wanted)
        })
        .await;
    }

    /// An event happens now: outages are measured from it to the next one.
    pub(crate) fn mark(&self) {
        lock(&self.shared.marks).push(self.shared.record.now());
    }

    /// Reads the files that are worked on, each with requests of its own, through one node alone and with the command
    /// line's patience: whatever that node does meanwhile, its answers are part of the history.
    pub(crate) fn look_through(&self, cluster: &Cluster, node: usize) -> JoinHandle<()> {
        inspect::look_through(&self.shared, cluster, node)
    }

    /// Stops the clients, reads every file through every running node, and checks the history. Never panics for a
    /// violation: it lists them.
    pub(crate) async fn end(self, cluster: &Cluster) -> Report {
        self.shared.stop.store(true, Ordering::Relaxed);
        let stopped_at = self.shared.record.now();
        for client in self.clients {
            client.await.expect("no panic in a client");
        }
        inspect::inspect(&self.shared, cluster).await;
        let shared = &self.shared;
        let ops = shared.record.ops();
        let (mut violations, checked) = {
            let began = std::time::Instant::now();
            let ops = ops.clone();
            let found = tokio::task::spawn_blocking(move || check(&ops)).await.expect("the check ends");
            (found, began.elapsed())
        };
        println!("{} requests checked in {} ms", ops.len(), checked.as_millis());
        violations.extend(std::mem::take(&mut *lock(&shared.wrong)));
        let kept = (!violations.is_empty()).then(|| shared.record.keep());
        if let Some(kept) = &kept {
            let mut text = format!("seed {}: the history is kept in {}", shared.seed, kept.display());
            let _ = write!(text, " (places are {}/GROUP-NUMBER)", shared.root);
            violations.push(text);
        }
        let acknowledged = |outcome: &Outcome| outcome.is_success();
        Report {
            violations,
            kept,
            failed: std::mem::take(&mut *lock(&shared.failed)),
            outages: shared.outages(stopped_at),
            acknowledged: ops.iter().filter(|op| op.act.changes() && acknowledged(&op.outcome)).count(),
            unknown: ops.iter().filter(|op| op.act.changes() && op.outcome == Outcome::Unknown).count(),
            seed: shared.seed,
        }
    }
}

/// The deadlines of an impatient client.
fn hasty() -> Limits {
    let milliseconds = Duration::from_millis;
    Limits {
        retry_for: milliseconds(900),
        connect: milliseconds(300),
        answer: milliseconds(700),
        stall: milliseconds(700),
        min_backoff: milliseconds(50),
        max_backoff: milliseconds(200),
    }
}

impl Shared {
    /// The place that a group works in, counted up by one request.
    fn place(&self, group: usize) -> u32 {
        let state = &self.groups[group];
        let requests = state.requests.fetch_add(1, Ordering::Relaxed);
        if requests >= REQUESTS_IN_A_PLACE || state.unknown.load(Ordering::Relaxed) >= UNKNOWN_IN_A_PLACE {
            state.requests.store(0, Ordering::Relaxed);
            state.unknown.store(0, Ordering::Relaxed);
            state.place.fetch_add(1, Ordering::Relaxed);
        }
        group as u32 * MOST_PLACES + state.place.load(Ordering::Relaxed)
    }

    fn directory(&self, place: u32) -> String {
        format!("{}/{}-{}", self.root, place / MOST_PLACES, place % MOST_PLACES)
    }

    fn path(&self, place: u32, slot: usize) -> String {
        format!("{}/{}", self.directory(place), NAMES[slot])
    }

    /// The outage of each patient client at each mark, sorted.
    fn outages(&self, end: Moment) -> Vec<Outage> {
        let marks = lock(&self.marks).clone();
        let mut outages = Vec::new();
        for patient in &self.patient {
            let mut moments = lock(&patient.moments).clone();
            moments.push(end.max(moments.last().copied().unwrap_or(0)));
            let nexts = marks.iter().skip(1).chain([&Moment::MAX]);
            outages.extend(marks.iter().zip(nexts).filter_map(|(mark, next)| report::outage(&moments, *mark, *next)));
        }
        outages.sort_unstable();
        outages
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn from_environment(name: &str) -> Option<u64> {
    let given = std::env::var(name).ok()?;
    Some(given.parse().unwrap_or_else(|_| panic!("{name} is a number, not {given:?}")))
}
