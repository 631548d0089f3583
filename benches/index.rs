//! The index lives on the disk: a node with a million entries beside one with ten thousand, in one run.
//!
//! `cargo bench --bench index` fills two one-node clusters through consensus itself (`Write` commands with the records
//! of real files; no bytes are stored), then starts the real program on both, and prints how long each took to
//! become ready, how much memory it has, and how fast it answers `/stat` of random files under the same load. The rounds
//! of the two alternate, so that whatever else the machine does falls on both. It fails when a bound of the design does
//! not hold. At the end the larger one's files are deleted for good, while somebody asks for what is left. `ENTRIES` and `ROUNDS` in the environment change the size.

#![allow(clippy::print_stdout, reason = "a benchmark's output is its purpose")]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use ringmaster::clock::SharedClock;
use ringmaster::consensus::{Handle, Member, Options, PeerService, Tuning, inspect};
use ringmaster::domain::terms::{NewContent, PathRef, Policy, Receipt};
use ringmaster::domain::{
    BlobId, Command as Change, CopyId, FilePath, NodeId, Outcome, Proposal, ServerUuid, Sha256, command,
};
use ringmaster::protocol::secret::ClusterSecret;
use ringmaster::trust::{Authority, Credentials, Identity};

const SMALL: u64 = 10_000;
const WRITERS: u64 = 256;
const CLIENTS: u64 = 4;
const STATS_A_ROUND: u64 = 2_000;
const FILES_IN_A_DIRECTORY: u64 = 1_000;
const PASSWORD: &str = "a password for benchmarks";

const MEMORY_LIMIT: u64 = 500 << 20;
/// Files a second.
const DELETIONS_LIMIT: f64 = 5_000.0;
const READY_LIMIT: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let large = number("ENTRIES", 1_000_000);
    let rounds = number("ROUNDS", 10);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(run(large, rounds))
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

async fn run(large: u64, rounds: u64) -> ExitCode {
    let mut nodes = Vec::new();
    for entries in [SMALL, large] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let start = Instant::now();
        fill(dir.path(), entries).await;
        let seconds = start.elapsed().as_secs_f64();
        println!("{entries} entries written in {seconds:.1} s: {:.0} commits/s", entries as f64 / seconds);
        let rows = inspect(&dir.path().join("data")).expect("it can be read").rows;
        println!("{:.2} rows a file", rows as f64 / entries as f64);
        nodes.push(Node::start(dir, entries).await);
    }
    for node in &mut nodes {
        node.settle().await;
        node.log_in().await;
        node.round(STATS_A_ROUND).await; // Warms the caches of both alike.
        node.latencies.clear();
        node.busy = Duration::ZERO;
    }
    for _ in 0..rounds {
        for node in &mut nodes {
            node.round(STATS_A_ROUND).await;
        }
    }
    println!(
        "\n{:>10} {:>8} {:>8} {:>10} {:>8} {:>8} {:>8}",
        "entries", "ready", "memory", "bytes/file", "stat/s", "p50", "p99"
    );
    for node in &mut nodes {
        node.latencies.sort_unstable();
        println!(
            "{:>10} {:>5} ms {:>4} MiB {:>10.0} {:>8.0} {:>5} µs {:>5} µs",
            node.entries,
            node.ready.as_millis(),
            node.memory() >> 20,
            node.bytes() as f64 / node.entries as f64,
            node.latencies.len() as f64 / node.busy.as_secs_f64(),
            node.percentile(50),
            node.percentile(99),
        );
    }
    let deletions = nodes[1].delete_all().await;
    let (small, big) = (&nodes[0], &nodes[1]);
    let bounds = [
        ("memory under 500 MiB", big.memory() < MEMORY_LIMIT),
        ("restart to ready under 5 s", big.ready < READY_LIMIT),
        ("p99 of /stat at most twice the small one's", big.percentile(99) <= 2 * small.percentile(99)),
        ("more than 5,000 files deleted a second", deletions > DELETIONS_LIMIT),
    ];
    let mut good = true;
    for (bound, holds) in bounds {
        println!("{} {bound}", if holds { "ok    " } else { "BROKEN" });
        good &= holds;
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

struct NoCalls;

impl PeerService for NoCalls {
    fn serve(&self, _: NodeId, _: Bytes) -> BoxFuture<'static, Result<Bytes, String>> {
        Box::pin(async { Err("a cluster of one calls nobody".to_owned()) })
    }
}

/// Writes the records of `entries` files into a fresh one-node cluster in `dir`.
async fn fill(dir: &Path, entries: u64) {
    let (http, peer) = (free_port(), free_port());
    let secret = format!("{:064x}", 7);
    std::fs::write(dir.join("cluster.secret"), &secret).expect("the secret is written");
    std::fs::set_permissions(dir.join("cluster.secret"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .expect("set");
    std::fs::write(dir.join("node.toml"), config(http, peer)).expect("the configuration is written");
    let member = Member { id: NodeId(1), url: url(http), peer: url(peer) };
    let options = Options {
        node_id: NodeId(1),
        data_dir: dir.join("data"),
        peer_listener: TcpListener::bind(("127.0.0.1", peer)).expect("the port is free"),
        url: url(http),
        peer_url: url(peer),
        cluster_name: "bench".to_owned(),
        members: vec![member],
        join: false,
        credentials: Credentials::issued(
            &Authority::new(&ClusterSecret::parse(&secret).expect("a secret")).expect("an authority"),
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
    let password_hash = hash(PASSWORD);
    let user =
        match apply(&handle, Change::Signup(command::Signup { username: "bench".to_owned(), password_hash })).await {
            Outcome::User { user_id, .. } => user_id,
            other => panic!("{other:?}"),
        };
    let mut servers = Vec::new();
    for at in 0..4 {
        let command = Change::RegisterServer(command::RegisterServer {
            uuid: ServerUuid(at + 1),
            url: format!("http://127.0.0.1:{}", at + 1),
            zone: "a".to_owned(),
            capacity: u64::MAX / 8,
            last: None,
            next: None,
        });
        match apply(&handle, command).await {
            Outcome::Server { server_id, epoch } => servers.push((server_id, epoch)),
            other => panic!("{other:?}"),
        }
    }
    let next = Arc::new(AtomicU64::new(0));
    let mut writers = Vec::new();
    for _ in 0..WRITERS {
        let (handle, next, servers) = (handle.clone(), next.clone(), servers.clone());
        writers.push(tokio::spawn(async move {
            loop {
                let file = next.fetch_add(1, Ordering::Relaxed);
                if file >= entries {
                    return;
                }
                let receipt = |at: u64| {
                    let (server_id, epoch) = servers[(file + at) as usize % servers.len()];
                    let copy_id = CopyId(u128::from(file) << 8 | u128::from(at));
                    Receipt { server_id, epoch, copy_id, received_at: handle.cluster_time() }
                };
                let content = NewContent {
                    blob_id: BlobId(spread(file)),
                    size: file,
                    sha256: Sha256([file as u8; 32]),
                    content_type: "application/octet-stream".to_owned(),
                    receipts: vec![receipt(0), receipt(1)],
                };
                let at = PathRef { owner: None, path: FilePath::parse(&path_of(file)).expect("a path") };
                apply(&handle, Change::Write(command::Write { user, at, content })).await;
            }
        }));
    }
    for writer in writers {
        writer.await.expect("the writer finished");
    }
    handle.shutdown().await;
}

async fn apply(handle: &Handle, command: Change) -> Outcome {
    handle.propose(Proposal { operation: None, command }).await.expect("it is applied").expect("it is accepted")
}

/// Ids as they are in life: anywhere in their range.
fn spread(file: u64) -> u128 {
    u128::from(file + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835)
}

fn path_of(file: u64) -> String {
    format!("/bench/{:06}/file-{file:09}", file / FILES_IN_A_DIRECTORY)
}

fn hash(password: &str) -> String {
    use argon2::PasswordHasher as _;
    argon2::Argon2::default()
        .hash_password_with_salt(password.as_bytes(), b"salt for a bench")
        .expect("it hashes")
        .to_string()
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port()
}

fn config(http: u16, peer: u16) -> String {
    let (http_url, peer_url) = (url(http), url(peer));
    format!(
        "[node]\nid = 1\ndata_dir = \"data\"\nlisten = \"127.0.0.1:{http}\"\nadvertise = \"{http_url}\"\n\
         peer_listen = \"127.0.0.1:{peer}\"\npeer_advertise = \"{peer_url}\"\n[cluster]\nname = \"bench\"\n\
         secret_file = \"cluster.secret\"\n[[cluster.members]]\nid = 1\nurl = \"{http_url}\"\npeer = \"{peer_url}\"\n"
    )
}

/// The real program on a filled data directory.
struct Node {
    entries: u64,
    url: String,
    child: Child,
    ready: Duration,
    http: reqwest::Client,
    token: String,
    latencies: Vec<u64>,
    asked: u64,
    busy: Duration,
    dir: tempfile::TempDir,
}

impl Node {
    async fn start(dir: tempfile::TempDir, entries: u64) -> Self {
        let config: PathBuf = dir.path().join("node.toml");
        let text = std::fs::read_to_string(&config).expect("the configuration");
        let url = text
            .lines()
            .find_map(|line| line.strip_prefix("advertise = \"")?.strip_suffix('"'))
            .expect("a url")
            .to_owned();
        let http = ringmaster::trust::http().build().expect("a client");
        let start = Instant::now();
        let child = Command::new(env!("CARGO_BIN_EXE_ringmaster"))
            .args(["directory", "--config"])
            .arg(&config)
            .env("RINGMASTER_LOG", "warn")
            .stdin(Stdio::null())
            .spawn()
            .expect("the program starts");
        while !http.get(format!("{url}/readyz")).send().await.is_ok_and(|answer| answer.status().is_success()) {
            assert!(
                start.elapsed() < Duration::from_secs(120),
                "the node with {entries} entries does not become ready"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let (token, latencies) = (String::new(), Vec::new());
        Self {
            entries,
            url,
            child,
            ready: start.elapsed(),
            http,
            token,
            latencies,
            asked: 0,
            busy: Duration::ZERO,
            dir,
        }
    }

    /// Waits until the compactions that the filling left behind are done: they take both cores of a small machine, and
    /// are not what is measured.
    async fn settle(&self) {
        for _ in 0..120 {
            let before = self.cpu_ticks();
            tokio::time::sleep(Duration::from_secs(1)).await;
            if self.cpu_ticks() - before < 10 {
                return; // Under a tenth of a core.
            }
        }
        println!("the node with {} entries is still busy after two minutes", self.entries);
    }

    /// Processor time so far, in hundredths of a second.
    fn cpu_ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("the process is there");
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        after_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum()
    }

    async fn log_in(&mut self) {
        let body = serde_json::json!({"username": "bench", "password": PASSWORD});
        let answer = self.http.post(format!("{}/login", self.url)).json(&body).send().await.expect("an answer");
        let login: serde_json::Value = answer.json().await.expect("JSON");
        self.token = login["token"].as_str().expect("a token").to_owned();
    }

    async fn round(&mut self, stats: u64) {
        let (begun, mut clients) = (Instant::now(), Vec::new());
        for client in 0..CLIENTS {
            let (http, url, token, entries) = (self.http.clone(), self.url.clone(), self.token.clone(), self.entries);
            let first = self.asked + client;
            clients.push(tokio::spawn(async move {
                let mut latencies = Vec::new();
                for at in (first..first + stats).step_by(CLIENTS as usize) {
                    let file = (spread(at) >> 64) as u64 % entries;
                    let start = Instant::now();
                    let answer =
                        http.get(format!("{url}/stat?path={}", path_of(file))).bearer_auth(&token).send().await;
                    let answer = answer.expect("an answer");
                    assert_eq!(answer.status(), 200);
                    answer.bytes().await.expect("the whole answer");
                    latencies.push(start.elapsed().as_micros() as u64);
                }
                latencies
            }));
        }
        for client in clients {
            self.latencies.extend(client.await.expect("the client finished"));
        }
        self.busy += begun.elapsed();
        self.asked += stats;
    }

    /// Deletes all files for good, and says how many a second are gone. Somebody else asks for the root meanwhile.
    async fn delete_all(&self) -> f64 {
        let get = async |call: &str| {
            let answer = self.http.get(format!("{}{call}", self.url)).bearer_auth(&self.token).send().await;
            answer.expect("an answer").json::<serde_json::Value>().await.expect("JSON")
        };
        let body = serde_json::json!({"path": "/bench", "recursive": true, "permanently": true});
        let begun = Instant::now();
        let request = self.http.post(format!("{}/delete", self.url)).bearer_auth(&self.token).json(&body);
        assert_eq!(request.send().await.expect("an answer").status(), 204);
        let mut latencies = Vec::new();
        while get("/usage").await["files"] != 0 {
            assert!(begun.elapsed() < Duration::from_secs(1_800), "the files are not gone in half an hour");
            let asked = Instant::now();
            get("/stat?path=/").await;
            latencies.push(asked.elapsed().as_micros() as u64);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let seconds = begun.elapsed().as_secs_f64();
        latencies.sort_unstable();
        let percentile = |percent: usize| latencies.get(latencies.len() * percent / 100).copied().unwrap_or_default();
        let rate = self.entries as f64 / seconds;
        println!(
            "\n{} files deleted in {seconds:.1} s: {rate:.0} files/s; /stat meanwhile p50 {} µs, p99 {} µs",
            self.entries,
            percentile(50),
            percentile(99)
        );
        rate
    }

    /// Of the sorted latencies, in microseconds.
    fn percentile(&self, percent: usize) -> u64 {
        self.latencies[(self.latencies.len() * percent / 100).min(self.latencies.len() - 1)]
    }

    /// What the state takes on the disk.
    fn bytes(&self) -> u64 {
        let mut left = vec![self.dir.path().join("data/state")];
        let mut bytes = 0;
        while let Some(dir) = left.pop() {
            for entry in std::fs::read_dir(dir).expect("a directory").flatten() {
                match entry.metadata() {
                    Ok(meta) if meta.is_dir() => left.push(entry.path()),
                    Ok(meta) if entry.path().extension().is_some_and(|name| name == "sst") => bytes += meta.len(),
                    _ => {} // What is deleted while this looks is not there.
                }
            }
        }
        bytes
    }

    /// The largest resident memory so far, in bytes.
    fn memory(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("the process is there");
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("Linux tells it");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number") * 1024
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
