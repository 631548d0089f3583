//! The death of a file server is a few rows, however many files it held: one with a million placements beside one with a
//! thousand, in one run.
//!
//! `cargo bench --bench server_down` fills two one-node clusters through consensus itself (`Write` commands with the
//! records of real files; no bytes are stored), each file on servers 1 and 2. Then it applies `ServerDown` of server 1 and
//! its return, in turn, to what RocksDB has, and throws the changes away, so that each repetition meets the same state;
//! the two clusters alternate. At last it has the entry committed and applied in earnest. It fails when a bound of the
//! design does not hold. `PLACEMENTS` and `ROUNDS` in the environment change the size.

#![allow(clippy::print_stdout, reason = "a benchmark's output is its purpose")]

use std::net::TcpListener;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use ringmaster::clock::SharedClock;
use ringmaster::consensus::{Handle, Member, Options, PeerService, Tuning};
use ringmaster::domain::terms::{NewContent, PathRef, Policy, Receipt};
use ringmaster::domain::{
    BlobId, ClusterTime, Command, CopyId, Epoch, FilePath, NodeId, Outcome, Overlay, Proposal, ReadStore, ServerId,
    ServerUuid, Sha256, Stamped, UserId, WallTime, apply, command, query,
};
use ringmaster::protocol::secret::ClusterSecret;
use ringmaster::trust::{Authority, Credentials, Identity};

const SMALL: u64 = 1_000;
const SERVERS: u64 = 4;
const WRITERS: u64 = 256;
const FILES_IN_A_DIRECTORY: u64 = 1_000;

/// The server's row, the ring's, the clock's.
const ROWS_LIMIT: usize = 4;

fn main() -> ExitCode {
    let large = number("PLACEMENTS", 1_000_000);
    let rounds = number("ROUNDS", 2_000).max(1);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(run(large, rounds))
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// One of the two clusters, and what was measured of it.
struct Subject {
    placements: u64,
    handle: Handle,
    rows: usize,
    down: Vec<Duration>,
    back: Vec<Duration>,
    /// Proposed, synced and applied.
    committed: Duration,
    _dir: tempfile::TempDir,
}

async fn run(large: u64, rounds: u64) -> ExitCode {
    let mut subjects = Vec::new();
    for placements in [SMALL, large] {
        let start = Instant::now();
        let dir = tempfile::tempdir().expect("a temporary directory");
        let handle = fill(dir.path(), placements).await;
        println!("{placements} files on server 1, written in {:.1} s", start.elapsed().as_secs_f64());
        let (down, back) = (Vec::new(), Vec::new());
        subjects.push(Subject { placements, handle, rows: 0, down, back, committed: Duration::ZERO, _dir: dir });
    }
    let warm_up = rounds.min(100);
    for round in 0..warm_up + rounds {
        for subject in &mut subjects {
            subject.rehearse(round >= warm_up).await;
        }
    }
    println!(
        "\n{:>10} {:>6} {:>22} {:>22} {:>12}",
        "placements", "rows", "down p50 / p99", "back p50 / p99", "committed"
    );
    for subject in &mut subjects {
        subject.down.sort_unstable();
        subject.back.sort_unstable();
        subject.die().await;
        println!(
            "{:>10} {:>6} {:>8} / {:>8} µs {:>8} / {:>8} µs {:>9} µs",
            subject.placements,
            subject.rows,
            percentile(&subject.down, 50).as_micros(),
            percentile(&subject.down, 99).as_micros(),
            percentile(&subject.back, 50).as_micros(),
            percentile(&subject.back, 99).as_micros(),
            subject.committed.as_micros(),
        );
    }
    let (small, big) = (&subjects[0], &subjects[1]);
    let noise = Duration::from_micros(50);
    let bounds = [
        ("as many rows for one as for the other", small.rows == big.rows),
        ("no more than four rows", big.rows <= ROWS_LIMIT),
        (
            "p50 at most twice the small one's, or 50 µs more",
            percentile(&big.down, 50) <= (2 * percentile(&small.down, 50)).max(percentile(&small.down, 50) + noise),
        ),
    ];
    let mut good = true;
    for (bound, holds) in bounds {
        println!("{} {bound}", if holds { "ok    " } else { "BROKEN" });
        good &= holds;
    }
    for subject in subjects {
        subject.handle.shutdown().await;
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

impl Subject {
    /// Applies the death and the return of server 1 to the state on the disk, and throws both away.
    async fn rehearse(&mut self, counts: bool) {
        let measured = self.handle.read_local(|store| {
            let death = Command::ServerDown(command::ServerDown { server_id: ServerId(1), epoch: Epoch(1) });
            let now = query::cluster_time(store)?.plus_ms(1);
            let mut overlay = Overlay::new(store);
            let down = timed(&mut overlay, now, death)?;
            let rows = overlay.len();
            let back = timed(&mut overlay, now.plus_ms(1), registration(1))?;
            Ok((rows, down, back))
        });
        let (rows, down, back) = measured.await.expect("the state can be read");
        self.rows = self.rows.max(rows);
        if counts {
            self.down.push(down);
            self.back.push(back);
        }
    }

    /// In earnest, once.
    async fn die(&mut self) {
        let start = Instant::now();
        propose(&self.handle, Command::ServerDown(command::ServerDown { server_id: ServerId(1), epoch: Epoch(1) }))
            .await;
        self.committed = start.elapsed();
        let known = self.handle.read_local(|store: &dyn ReadStore| query::server(store, ServerId(1))).await;
        let server = known.expect("the state can be read").expect("it is known");
        assert_eq!(server.named(), self.placements, "all that it held is named still");
    }
}

fn timed(overlay: &mut Overlay<'_>, at: ClusterTime, command: Command) -> Result<Duration, ringmaster::domain::Fault> {
    let stamped = Stamped { at, wall: WallTime(0), proposal: Proposal { operation: None, command } };
    let start = Instant::now();
    let answer = apply(overlay, 0, &stamped)?;
    let took = start.elapsed();
    answer.expect("it is accepted");
    Ok(took)
}

fn registration(server: u64) -> Command {
    Command::RegisterServer(command::RegisterServer {
        uuid: ServerUuid(server.into()),
        url: format!("http://127.0.0.1:{server}"),
        zone: "a".to_owned(),
        capacity: u64::MAX / 8,
        last: None,
        next: None,
    })
}

struct NoCalls;

impl PeerService for NoCalls {
    fn serve(&self, _: NodeId, _: Bytes) -> BoxFuture<'static, Result<Bytes, String>> {
        Box::pin(async { Err("a cluster of one calls nobody".to_owned()) })
    }
}

/// A fresh one-node cluster in `dir` with four servers and the records of so many files on the first two.
async fn fill(dir: &Path, files: u64) -> Handle {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let peer_url = format!("http://{}", listener.local_addr().expect("an address"));
    // Nobody calls it: the node has no HTTP server here.
    let url = "http://127.0.0.1:1".to_owned();
    let options = Options {
        node_id: NodeId(1),
        data_dir: dir.join("data"),
        peer_listener: listener,
        url: url.clone(),
        peer_url: peer_url.clone(),
        cluster_name: "bench".to_owned(),
        members: vec![Member { id: NodeId(1), url, peer: peer_url }],
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
    let signup = Command::Signup(command::Signup { username: "bench".to_owned(), password_hash: "none".to_owned() });
    let Outcome::User { user_id: user, .. } = propose(&handle, signup).await else { panic!("no account") };
    for server in 1..=SERVERS {
        propose(&handle, registration(server)).await;
    }
    let next = Arc::new(AtomicU64::new(0));
    let mut writers = Vec::new();
    for _ in 0..WRITERS {
        let (handle, next) = (handle.clone(), next.clone());
        writers.push(tokio::spawn(async move {
            loop {
                let file = next.fetch_add(1, Ordering::Relaxed);
                if file >= files {
                    return;
                }
                let command = write(user, file, handle.cluster_time());
                propose(&handle, command).await;
            }
        }));
    }
    for writer in writers {
        writer.await.expect("the writer finished");
    }
    handle
}

fn write(user: UserId, file: u64, received_at: ClusterTime) -> Command {
    let receipt = |server| Receipt {
        server_id: ServerId(server),
        epoch: Epoch(1),
        copy_id: CopyId(u128::from(file) << 8 | u128::from(server)),
        received_at,
    };
    let path = format!("/bench/{:06}/file-{file:09}", file / FILES_IN_A_DIRECTORY);
    let content = NewContent {
        // Ids as they are in life: anywhere in their range.
        blob_id: BlobId(u128::from(file + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835)),
        size: file,
        sha256: Sha256([1; 32]),
        content_type: "application/octet-stream".to_owned(),
        receipts: vec![receipt(1), receipt(2)],
    };
    Command::Write(command::Write {
        user,
        at: PathRef { owner: None, path: FilePath::parse(&path).expect("a path") },
        content,
    })
}

async fn propose(handle: &Handle, command: Command) -> Outcome {
    handle.propose(Proposal { operation: None, command }).await.expect("it is applied").expect("it is accepted")
}
