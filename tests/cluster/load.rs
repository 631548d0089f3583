//! Clients as the command line has them, at work while something happens to the directory.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ringmaster::client::{Directory, Page, Source, WriteOptions};
use ringmaster::protocol::api::{FileName, Mkdir};
use tokio::task::JoinHandle;

use crate::support::{Cluster, noise, until};

/// What one client met.
#[derive(Default)]
struct Diary {
    acknowledged: Vec<String>,
    errors: Vec<String>,
    /// From the last success before to the first after, in each round, longest first.
    silences: Vec<Duration>,
}

/// Clients that write, make directories, list and look, each on its own, until they are told to stop.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    /// Raised at each event; a client's longest silence is taken between two of them.
    round: Arc<AtomicU64>,
    done: Arc<AtomicU64>,
    clients: Vec<JoinHandle<Diary>>,
}

pub(crate) fn name(path: &str) -> FileName {
    FileName { path: Some(path.to_owned()), ..FileName::default() }
}

/// A client of the cluster's first nodes, with the deadlines of the command line.
pub(crate) fn client(cluster: &Cluster) -> Directory {
    let urls = cluster.nodes.iter().map(|node| node.url.parse().expect("a url")).collect();
    Directory::new(urls, Some(cluster.admin.token.clone())).expect("a client")
}

impl Load {
    pub(crate) fn begin(cluster: &Cluster, clients: usize, label: &str) -> Self {
        let (stop, round, done) = (Arc::default(), Arc::default(), Arc::default());
        let clients = (0..clients).map(|number| {
            let at = format!("/{label}-{number}");
            tokio::spawn(work(client(cluster), at, Arc::clone(&stop), Arc::clone(&round), Arc::clone(&done)))
        });
        let clients = clients.collect();
        Self { stop, round, done, clients }
    }

    /// Waits until much has been done since now.
    pub(crate) async fn goes_on(&self) {
        let wanted = self.done.load(Ordering::Relaxed) + 4 * self.clients.len() as u64;
        until("the clients get on", async || self.done.load(Ordering::Relaxed) >= wanted).await;
    }

    pub(crate) fn next_round(&self) {
        self.round.fetch_add(1, Ordering::Relaxed);
    }

    /// Stops the clients; no request of theirs failed, and everything acknowledged is there. The silences, sorted.
    pub(crate) async fn end(self, cluster: &Cluster) -> Vec<Duration> {
        self.stop.store(true, Ordering::Relaxed);
        let (mut silences, mut acknowledged) = (Vec::new(), Vec::new());
        for client in self.clients {
            let diary = client.await.expect("no panic");
            assert_eq!(diary.errors, Vec::<String>::new());
            silences.extend(diary.silences);
            acknowledged.extend(diary.acknowledged);
        }
        assert!(!acknowledged.is_empty());
        let reader = client(cluster);
        for path in &acknowledged {
            reader.stat(&name(path)).await.unwrap_or_else(|error| panic!("{path} was acknowledged: {error}"));
        }
        println!("{} acknowledged changes are all there", acknowledged.len());
        silences.sort_unstable();
        silences
    }
}

async fn work(
    client: Directory,
    at: String,
    stop: Arc<AtomicBool>,
    round: Arc<AtomicU64>,
    done: Arc<AtomicU64>,
) -> Diary {
    let mut diary = Diary::default();
    let (mut last, mut seen, mut longest) = (Instant::now(), round.load(Ordering::Relaxed), Duration::ZERO);
    for step in 0_u64.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let path = format!("{at}/{step}");
        let (result, changed) = match step % 4 {
            0 => {
                let mkdir = Mkdir { path: path.clone(), owner: None };
                (client.mkdir(&mkdir).await.map(drop), true)
            }
            1 => {
                let source = Source::bytes(noise(step, 2_000));
                (client.write(&name(&path), source, WriteOptions::default()).await.map(drop), true)
            }
            2 => (client.stat(&name(&format!("{at}/{}", step - 1))).await.map(drop), false),
            _ => (client.list(&name(&at), &Page::default()).await.map(drop), false),
        };
        match result {
            Ok(()) if changed => diary.acknowledged.push(path),
            Ok(()) => {}
            Err(error) => diary.errors.push(format!("{path}: {error}")),
        }
        done.fetch_add(1, Ordering::Relaxed);
        longest = longest.max(last.elapsed());
        last = Instant::now();
        let now = round.load(Ordering::Relaxed);
        if now != seen {
            diary.silences.push(longest);
            (seen, longest) = (now, Duration::ZERO);
        }
    }
    diary
}

pub(crate) fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// Prints a distribution.
pub(crate) fn report(what: &str, sorted: &[Duration]) {
    let mut line = format!("{what}: {} silences,", sorted.len());
    for percent in [50, 90, 99, 100] {
        let _ = write!(line, " p{percent} {} ms", percentile(sorted, percent).as_millis());
    }
    println!("{line}");
}
