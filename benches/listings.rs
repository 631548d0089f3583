//! 64 listings of one user at the same time, each of which reads as much as one page may, and beside them what the
//! leader's job asks four times a second and another user's `/stat`.
//!
//! `cargo bench --bench listings` fills a one-node cluster with directories that are shared one by one, the dearest thing
//! there is to list, and prints how long `plan` and `stat` take without the listings and with them. It fails when they are
//! kept waiting. `SHARED` and `SECONDS` in the environment change the size.

#![allow(clippy::print_stdout, reason = "a benchmark's output is its purpose")]

use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use ringmaster::clock::SharedClock;
use ringmaster::consensus::{Handle, Member, Options, PeerService, QueryKind, Tuning};
use ringmaster::domain::plan::{Observed, plan};
use ringmaster::domain::terms::{FileRef, PathRef, Policy};
use ringmaster::domain::{Command, FilePath, NodeId, Outcome, Permission, Proposal, UserId, command, query};
use ringmaster::protocol::secret::ClusterSecret;
use ringmaster::trust::{Authority, Credentials, Identity};

const LISTINGS: usize = 64;
const WRITERS: u64 = 64;
/// `plan` and `stat` may take this long beside the listings. On two cores they share these with a listing.
const LIMIT: Duration = Duration::from_millis(100);

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(run(number("SHARED", 12_000), Duration::from_secs(number("SECONDS", 10))))
}

struct NoCalls;

impl PeerService for NoCalls {
    fn serve(&self, _: NodeId, _: Bytes) -> BoxFuture<'static, Result<Bytes, String>> {
        Box::pin(async { Err("a cluster of one calls nobody".to_owned()) })
    }
}

async fn run(shared: u64, time: Duration) -> ExitCode {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let handle = start(dir.path()).await;
    let (ada, bob) = (signup(&handle, "ada").await, signup(&handle, "bob").await);
    fill(&handle, ada, shared).await;
    let alone = measure(&handle, ada, time).await;
    let (stop, pages) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let listings: Vec<_> = (0..LISTINGS)
        .map(|_| {
            let (handle, stop, pages) = (handle.clone(), stop.clone(), pages.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let page =
                        handle.read_as(QueryKind::Listing, move |store| query::all(store, bob, None, None, 1000));
                    drop(page.await.expect("a page").expect("bob may list"));
                    pages.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = pages.load(Ordering::Relaxed);
    let beside = measure(&handle, ada, time).await;
    let listed = pages.load(Ordering::Relaxed) - before;
    stop.store(true, Ordering::Relaxed);
    for listing in listings {
        listing.await.expect("it ended");
    }
    println!("{listed} pages in {} s", time.as_secs());
    let mut good = true;
    for (what, alone, beside) in [("plan", alone.0, beside.0), ("stat", alone.1, beside.1)] {
        println!("{what}: alone {alone}; beside {LISTINGS} listings {beside}");
        good &= beside.worst < LIMIT;
    }
    handle.shutdown().await;
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

struct Took {
    median: Duration,
    worst: Duration,
    count: usize,
}

impl std::fmt::Display for Took {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = |duration: Duration| duration.as_secs_f64() * 1000.0;
        write!(f, "median {:.1} ms, p99 {:.1} ms ({} times)", ms(self.median), ms(self.worst), self.count)
    }
}

fn took(mut times: Vec<Duration>) -> Took {
    times.sort_unstable();
    Took { median: times[times.len() / 2], worst: times[times.len() * 99 / 100], count: times.len() }
}

/// `plan` and `stat`, each again and again with a pause of 10 ms.
async fn measure(handle: &Handle, ada: UserId, time: Duration) -> (Took, Took) {
    let end = Instant::now() + time;
    let plans = async {
        let mut times = Vec::new();
        while Instant::now() < end {
            let begun = Instant::now();
            let planned = handle.read_local_as(QueryKind::Job, |store| {
                query::signal(store)?;
                plan(store, &Observed { room: 100, ..Observed::default() })
            });
            planned.await.expect("a plan");
            times.push(begun.elapsed());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        took(times)
    };
    let stats = async {
        let mut times = Vec::new();
        while Instant::now() < end {
            let begun = Instant::now();
            let file = FileRef::Path(PathRef { owner: None, path: FilePath::parse("/d0/0").expect("a path") });
            let stat = handle.read(move |store| query::stat(store, ada, &file)).await.expect("an answer");
            stat.expect("ada may see it");
            times.push(begun.elapsed());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        took(times)
    };
    futures_util::future::join(plans, stats).await
}

async fn start(dir: &std::path::Path) -> Handle {
    let peer_listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let peer = format!("http://{}", peer_listener.local_addr().expect("its address"));
    let url = "http://127.0.0.1:1".to_owned();
    let options = Options {
        node_id: NodeId(1),
        data_dir: dir.join("data"),
        peer_listener,
        url: url.clone(),
        peer_url: peer.clone(),
        cluster_name: "bench".to_owned(),
        members: vec![Member { id: NodeId(1), url, peer }],
        join: false,
        credentials: Credentials::issued(
            &Authority::new(&ClusterSecret::parse(&format!("{:064x}", 7)).expect("a secret")).expect("an authority"),
            Identity::Directory(NodeId(1)),
            &SharedClock::system(),
        )
        .expect("a certificate"),
        others: None,
        policy: Policy::default(),
        clock: SharedClock::system(),
        tuning: Tuning::default(),
    };
    let handle = Handle::start(options, Arc::new(NoCalls)).await.expect("the node starts");
    let mut status = handle.watch();
    status.wait_for(|status| status.ready && status.leader.is_some()).await.expect("the node leads");
    handle
}

async fn apply(handle: &Handle, command: Command) -> Outcome {
    handle.propose(Proposal { operation: None, command }).await.expect("it is applied").expect("it is accepted")
}

async fn signup(handle: &Handle, name: &str) -> UserId {
    match apply(
        handle,
        Command::Signup(command::Signup { username: name.to_owned(), password_hash: "none".to_owned() }),
    )
    .await
    {
        Outcome::User { user_id, .. } => user_id,
        other => panic!("{other:?}"),
    }
}

/// Directories ten levels deep, each shared by itself.
async fn fill(handle: &Handle, ada: UserId, shared: u64) {
    let next = Arc::new(AtomicU64::new(0));
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| {
            let (handle, next) = (handle.clone(), next.clone());
            tokio::spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= shared {
                        return;
                    }
                    let path = FilePath::parse(&format!("/d{}/{number}/a/b/c/d/e/f/g/h", number % 100));
                    let at = PathRef { owner: None, path: path.expect("a path") };
                    let file = match apply(&handle, Command::Mkdir(command::Mkdir { user: ada, at })).await {
                        Outcome::Stat(stat) => FileRef::Id(stat.file_id),
                        other => panic!("{other:?}"),
                    };
                    let (with, permission) = ("bob".to_owned(), Permission::Read);
                    apply(&handle, Command::Share(command::Share { user: ada, file, with, permission })).await;
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.expect("the writer finished");
    }
}
