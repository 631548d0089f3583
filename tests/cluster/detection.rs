//! File servers that die, hang, come back, or are somebody else.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use ringmaster::protocol::secret::ClusterSecret;

use crate::support::{Cluster, Process, Setup, User, join_token, noise, until, write_secret};

/// With heartbeats each 200 ms a server is declared down after little more than a second.
pub(crate) fn quick(nodes: usize, servers: usize) -> Setup {
    Setup::new(nodes, servers)
        .with("RINGMASTER__DETECTION__HEARTBEAT", "200ms")
        .with("RINGMASTER__DETECTION__DEAD_AFTER", "1s")
}

/// How long a server hangs. Long enough for heartbeats, probes and the job to meet it many times.
const FROZEN: Duration = Duration::from_secs(60);

/// What a node's `/ring` says of the server at a position.
async fn row(cluster: &Cluster, node: usize, server: usize) -> Value {
    let ring = cluster.get(node, "/ring").await.1;
    let url = cluster.servers[server].url.as_str();
    // A stranger may have registered at the same address later.
    ring["servers"].as_array().and_then(|rows| rows.iter().find(|row| row["url"] == url).cloned()).unwrap_or_default()
}

async fn wait_state(cluster: &Cluster, server: usize, state: &str) -> Value {
    let mut last = Value::Null;
    for node in 0..cluster.nodes.len() {
        until(&format!("{} is {state} at node {node}", cluster.servers[server].name), async || {
            last = row(cluster, node, server).await;
            last["state"] == state
        })
        .await;
    }
    last
}

async fn sum(cluster: &Cluster, metric: &str) -> u64 {
    let mut sum = 0;
    for node in 0..cluster.nodes.len() {
        sum += cluster.metric(node, metric).await;
    }
    sum
}

fn signal(process: &Process, signal: &str) {
    let done = Command::new("kill").args([signal, &process.pid().to_string()]).status().expect("kill is there");
    assert!(done.success());
}

/// Writes and reads through all nodes until it is told to stop; nothing may fail.
struct Traffic {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Traffic {
    /// Each of four clients waits so long between a file and the next.
    fn start(cluster: &Cluster, name: &'static str, pause: Duration) -> Self {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let tasks = (0..4_usize)
            .map(|writer| {
                let (http, user, stop, done) =
                    (cluster.http.clone(), cluster.admin.clone(), stop.clone(), done.clone());
                let urls: Vec<String> = cluster.nodes.iter().map(|node| node.url.clone()).collect();
                tokio::spawn(async move {
                    let mut turn = writer;
                    while !stop.load(Ordering::Relaxed) {
                        turn += 1;
                        let url = &urls[turn % urls.len()];
                        round(&http, &user, url, &format!("/{name}/{writer}/{turn}"), turn as u64).await;
                        done.fetch_add(1, Ordering::Relaxed);
                        tokio::time::sleep(pause).await;
                    }
                })
            })
            .collect();
        Self { stop, done, tasks }
    }

    /// Waits until so many more files were written and read.
    async fn goes_on(&self, count: u64) {
        let wanted = self.done.load(Ordering::Relaxed) + count;
        until("reads and writes go on", async || self.done.load(Ordering::Relaxed) >= wanted || self.has_failed())
            .await;
    }

    fn has_failed(&self) -> bool {
        self.tasks.iter().any(tokio::task::JoinHandle::is_finished)
    }

    async fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.expect("no read and no write failed");
        }
        self.done.load(Ordering::Relaxed)
    }
}

async fn round(http: &reqwest::Client, user: &User, url: &str, path: &str, seed: u64) {
    let bytes = noise(seed, 20_000);
    let put = http.put(format!("{url}/write?path={path}")).bearer_auth(&user.token).body(bytes.clone());
    let answer = put.send().await.expect("an answer");
    let status = answer.status().as_u16();
    assert_eq!(status, 201, "{path}: {}", answer.text().await.unwrap_or_default());
    let get = http.get(format!("{url}/read?path={path}")).bearer_auth(&user.token);
    let answer = get.send().await.expect("an answer");
    assert_eq!(answer.status(), 200, "{path}");
    assert!(answer.bytes().await.expect("the whole body") == bytes, "other bytes in {path}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_server_costs_one_entry_and_no_request() {
    let mut cluster = Cluster::set_up(quick(3, 4)).await;
    // Nothing else happens: what is entered is the death.
    let before = cluster.metric(0, "ringmaster_raft_applied_index").await;
    let term = cluster.metric(0, "ringmaster_raft_term").await;
    let start = Instant::now();
    cluster.servers[1].kill();
    let dead = wait_state(&cluster, 1, "down").await;
    println!("declared down {:?} after kill -9", start.elapsed());
    assert!(dead["down_since"].is_string(), "{dead}");
    for node in 0..3 {
        let order = cluster.get(node, "/ring").await.1["order"].clone();
        let order = order.as_array().expect("an order");
        assert!(order.len() == 3 && !order.contains(&dead["server_id"]), "the ring is closed: {order:?}");
    }
    let entries = cluster.metric(0, "ringmaster_raft_applied_index").await - before;
    let downs = sum(&cluster, "ringmaster_fileserver_down_total").await;
    if downs == 1 && cluster.metric(0, "ringmaster_raft_term").await == term {
        assert_eq!(entries, 1, "entries for one death");
        assert_eq!(sum(&cluster, "ringmaster_detection_seconds_count").await, 1);
    } else {
        // An election has entries of its own, and so has another server that a busy machine held up.
        println!("{entries} entries for {downs} deaths, with an election or without");
    }
    until("nobody is suspect", async || sum(&cluster, "ringmaster_fileservers_suspect").await == 0).await;

    cluster.servers[1].start();
    let back = wait_state(&cluster, 1, "up").await;
    assert!(back["epoch"].as_u64() > dead["epoch"].as_u64(), "a return is a new epoch: {back}, {dead}");

    // The same while there is traffic.
    let traffic = Traffic::start(&cluster, "traffic", Duration::ZERO);
    traffic.goes_on(20).await;
    cluster.servers[2].kill();
    wait_state(&cluster, 2, "down").await;
    traffic.goes_on(20).await;
    cluster.servers[2].start();
    wait_state(&cluster, 2, "up").await;
    traffic.goes_on(20).await;
    println!("{} files were written and read meanwhile", traffic.end().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_for_a_minute_is_declared_down_and_comes_back_without_a_storm() {
    let cluster = Cluster::set_up(quick(3, 3)).await;
    let traffic = Traffic::start(&cluster, "hang", Duration::from_millis(100));
    traffic.goes_on(20).await;
    let before = row(&cluster, 0, 0).await;
    let stopped = Instant::now();
    signal(&cluster.servers[0], "-STOP");
    wait_state(&cluster, 0, "down").await;
    traffic.goes_on(20).await;
    // What is written while it hangs never names it, so all that it is owed is what it held before.
    let held = cluster.total_bytes(&cluster.admin).await;
    while stopped.elapsed() < FROZEN {
        traffic.goes_on(1).await;
        assert_eq!(row(&cluster, 0, 0).await["state"], "down", "nobody takes it back while it hangs");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let replaced = sum(&cluster, "ringmaster_repair_bytes_total").await;
    signal(&cluster.servers[0], "-CONT");
    let back = wait_state(&cluster, 0, "up").await;
    assert_eq!(back["epoch"].as_u64(), before["epoch"].as_u64().map(|epoch| epoch + 1));
    traffic.goes_on(20).await;
    let files = traffic.end().await;
    cluster.wait_whole(&cluster.admin, 2).await;
    let (copied, total) =
        (sum(&cluster, "ringmaster_repair_bytes_total").await, cluster.total_bytes(&cluster.admin).await);
    println!(
        "stopped for {FROZEN:?} among {files} files of {total} bytes: {replaced} bytes copied meanwhile, {copied} in all"
    );
    assert!(replaced <= held, "{replaced} bytes copied where one copy of everything has {held}");
    // Levelling the counts after its return may move each copy once.
    assert!(copied <= held + 2 * total, "{copied} bytes copied among files of {total}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_at_a_dead_servers_address_is_not_taken_for_it() {
    let mut cluster = Cluster::set_up(quick(3, 3)).await;
    let dead = row(&cluster, 0, 1).await;
    cluster.servers[1].kill();
    let config = std::fs::read_to_string(&cluster.servers[1].config).expect("its configuration");
    let config = config.replace("fileserver-2", "stranger");
    let secret = ClusterSecret::parse(&cluster.secret).expect("a secret");
    write_secret(&cluster.dir.path().join("stranger.token"), join_token(&secret, None).as_str());
    let url = cluster.servers[1].url.clone();
    let mut stranger =
        Process::new(cluster.dir.path(), "fileserver", "stranger".to_owned(), url, &config, Vec::new(), Vec::new());
    stranger.start();
    for node in 0..3 {
        until("the dead one is down, and the stranger is a new server", async || {
            let ring = cluster.get(node, "/ring").await.1;
            let rows = ring["servers"].as_array().cloned().unwrap_or_default();
            let state = |id: &Value| rows.iter().find(|row| row["server_id"] == *id).map(|row| row["state"].clone());
            state(&dead["server_id"]) == Some("down".into()) && state(&4.into()) == Some("up".into())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_copied_disk_one_process_is_admitted() {
    let mut cluster = Cluster::set_up(quick(1, 2)).await;
    // The disk is copied while its server is stopped; then both run, the original first.
    cluster.servers[1].kill();
    let copy = cluster.dir.path().join("copy");
    let copied = Command::new("cp").arg("-a").arg(&cluster.servers[1].data).arg(&copy).status().expect("cp is there");
    assert!(copied.success());
    cluster.servers[1].start();
    cluster.wait_for_servers(2).await;
    let ports = [(); 2].map(|()| crate::support::Port::take());
    let config = std::fs::read_to_string(&cluster.servers[1].config).expect("its configuration");
    let moves = cluster.servers[1].ports.iter().zip(&ports);
    let config = moves.fold(config, |config, (old, new)| config.replace(&old.address(), &new.address()));
    let config = config.replace("fileserver-2", "copy");
    let url = ports[0].url();
    let mut second =
        Process::new(cluster.dir.path(), "fileserver", "copy".to_owned(), url, &config, ports.into(), Vec::new());
    second.start();
    until("the copy is refused", async || second.log_text().contains("two processes have the identity")).await;
    assert_eq!(row(&cluster, 0, 1).await["state"], "up", "the original is where it was");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_servers_one_is_dead_and_a_write_is_accepted_with_one_copy() {
    let mut cluster = Cluster::set_up(quick(3, 2)).await;
    cluster.servers[1].kill();
    let start = Instant::now();
    let follower = cluster.follower().await;
    let (status, stat) = cluster.put(&cluster.admin, follower, "/write?path=/f", "bytes", &[]).await;
    let took = start.elapsed();
    println!("answered {took:?} after the death");
    assert_eq!(status, 201, "{stat}");
    assert_eq!(stat["replicas"].as_array().map(Vec::len), Some(1), "{stat}");
    assert!(took < Duration::from_secs(15), "it took {took:?}");
    assert_eq!(cluster.read(&cluster.admin, 0, "/f").await, Ok(b"bytes".to_vec()));
    wait_state(&cluster, 1, "down").await;
}

/// With the default of 5 s there is time to come back before the verdict.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_waits_for_a_server_that_is_only_restarted() {
    let mut cluster = Cluster::start(1, 2).await;
    cluster.servers[1].kill();
    let put = cluster.http.put(format!("{}/write?path=/f", cluster.url(0))).bearer_auth(&cluster.admin.token);
    let write = tokio::spawn(put.body("bytes").send());
    until("the write waits", async || cluster.nodes[0].log_text().contains("a write waits until")).await;
    cluster.servers[1].start();
    let answer = write.await.expect("no panic").expect("an answer");
    assert_eq!(answer.status(), 201);
    let stat: Value = answer.json().await.expect("JSON");
    assert_eq!(stat["replicas"].as_array().map(Vec::len), Some(2), "{stat}");
}

/// With one copy a file, one death takes every target of an upload at once: what is small enough begins again elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_whose_only_server_is_dead_begins_again_on_another() {
    let mut cluster = Cluster::set_up(Setup::new(1, 3).with("RINGMASTER__REPLICATION__COPIES", "1")).await;
    cluster.servers[0].kill();
    for file in 0..9 {
        let body = noise(file, 300_000);
        let (status, stat) = cluster.put(&cluster.admin, 0, &format!("/write?path=/{file}"), body, &[]).await;
        assert_eq!(status, 201, "{stat}");
    }
}

/// Reads of a file whose servers are all known to be down are answered at once, also where a server is not gone but silent;
/// and one that is only cut off from the directory's heartbeats gives its bytes as the last resort.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_to_be_gone_is_told_at_once() {
    let mut cluster = Cluster::set_up(quick(3, 2)).await;
    let bytes = noise(16, 50_000);
    assert_eq!(cluster.insist_put(&cluster.admin, 0, "/write?path=/lost", &bytes).await.0, 201);
    cluster.servers[0].kill();
    signal(&cluster.servers[1], "-STOP");
    for server in 0..2 {
        wait_state(&cluster, server, "down").await;
    }
    for node in 0..3 {
        // The quickest of some: a pause of the machine is not what this is about.
        let mut quickest = Duration::MAX;
        for _ in 0..5 {
            let start = Instant::now();
            assert_eq!(cluster.read(&cluster.admin, node, "/lost").await, Err(503));
            quickest = quickest.min(start.elapsed());
        }
        assert!(quickest < Duration::from_millis(900), "{quickest:?} at node {node}");
    }
    signal(&cluster.servers[1], "-CONT");
    wait_state(&cluster, 1, "up").await;
    until("it is read again", async || cluster.read(&cluster.admin, 1, "/lost").await.as_ref() == Ok(&bytes)).await;
}
