//! A large file through the command line, while everything dies in turn: file servers again and again, the leader twice, the
//! program itself twice. `RINGMASTER_TEST_LARGE_MIB` says how large, `RINGMASTER_TEST_ACCIDENT_MS` how often a file server dies.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::admin::out;
use crate::backup::quick;
use crate::extents::small_extents;
use crate::support::{Cluster, noise};

const MIB: u64 = 1 << 20;
/// Of each process, at any moment.
const MEMORY: u64 = 200 << 20;

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Writes a file of that many mebibytes, each different, and answers with its digest.
fn make(path: &Path, mib: u64) -> String {
    let mut base = noise(17, MIB as usize);
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path).expect("a file"));
    let mut hash = Sha256::new();
    for at in 0..mib {
        base[..8].copy_from_slice(&at.to_be_bytes());
        hash.update(&base);
        file.write_all(&base).expect("there is room");
    }
    file.flush().expect("there is room");
    hex::encode(hash.finalize())
}

fn digest(path: &Path) -> String {
    let mut file = BufReader::with_capacity(1 << 20, File::open(path).expect("a file"));
    let (mut hash, mut chunk) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut chunk).expect("it is read") {
            0 => return hex::encode(hash.finalize()),
            read => hash.update(&chunk[..read]),
        }
    }
}

fn put(cluster: &Cluster, local: &Path) -> Child {
    let urls: Vec<&str> = cluster.nodes.iter().map(|node| node.url.as_str()).collect();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringmaster"));
    command.arg("put").arg(local).arg("/large").env("RINGMASTER_URL", urls.join(","));
    command.env("RINGMASTER_TOKEN", &cluster.admin.token).stdin(Stdio::null()).stdout(Stdio::piped());
    command.stderr(Stdio::piped()).spawn().expect("it starts")
}

/// The upload and how far it has come, by the first node that answers; nothing where none is under way.
async fn come(cluster: &Cluster) -> Option<(String, u64)> {
    for node in cluster.nodes.iter().filter(|node| node.is_started()) {
        let request = cluster.http.get(format!("{}/uploads", node.url)).bearer_auth(&cluster.admin.token);
        let Ok(answer) = request.timeout(Duration::from_secs(5)).send().await else { continue };
        let Ok(page) = answer.json::<serde_json::Value>().await else { continue };
        let upload = &page["uploads"][0];
        if let (Some(id), Some(offset)) = (upload["upload_id"].as_str(), upload["offset"].as_u64()) {
            return Some((id.to_owned(), offset));
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_gets_through_whatever_dies() {
    let mib = from_environment("RINGMASTER_TEST_LARGE_MIB", 160);
    let pause = Duration::from_millis(from_environment("RINGMASTER_TEST_ACCIDENT_MS", 2_500));
    let mut cluster = Cluster::set_up(quick(3, 4)).await;
    if mib < 4096 {
        small_extents(&cluster).await;
    }
    let local = cluster.dir.path().join("large");
    let wanted = make(&local, mib);
    let size = mib * MIB;

    let (mut client, mut clients_killed, mut leaders_killed, mut servers_killed) = (put(&cluster, &local), 0, 0, 0);
    let (mut first_id, mut farthest, mut down) = (None, 0, None);
    let (mut last_accident, mut node_down) = (Instant::now(), None);
    let limit = Instant::now() + Duration::from_secs(120 + mib);
    let output = loop {
        assert!(Instant::now() < limit, "it does not get through: {farthest} of {size} bytes");
        if let Some(status) = client.try_wait().expect("its status") {
            let output = client.wait_with_output().expect("its output");
            assert!(status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            break output;
        }
        if let Some((id, offset)) = come(&cluster).await {
            assert_eq!(
                *first_id.get_or_insert_with(|| id.clone()),
                id,
                "it is one upload from the first byte to the last"
            );
            assert!(offset >= farthest, "{offset} after {farthest}: what has come is never sent again");
            farthest = offset;
        }
        if clients_killed < 2 && farthest > size / 5 * (1 + 2 * clients_killed) {
            client.kill().expect("it runs");
            client.wait().expect("it ends");
            clients_killed += 1;
            client = put(&cluster, &local);
        }
        if let Some(node) = node_down.take_if(|_| last_accident.elapsed() > pause / 2) {
            let node: usize = node;
            cluster.nodes[node].start();
        } else if leaders_killed < 2 && node_down.is_none() && farthest > size / 4 * (1 + leaders_killed) {
            let leader = cluster.leader().await;
            cluster.nodes[leader].kill();
            leaders_killed += 1;
            node_down = Some(leader);
        }
        if last_accident.elapsed() > pause {
            match down.take() {
                Some(server) => {
                    let server: usize = server;
                    cluster.servers[server].start();
                }
                None => {
                    let server = servers_killed % cluster.servers.len();
                    cluster.servers[server].kill();
                    servers_killed += 1;
                    down = Some(server);
                }
            }
            last_accident = Instant::now();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    println!(
        "{mib} MiB; killed: {servers_killed} file servers, {leaders_killed} leaders, {clients_killed} clients\n{}",
        String::from_utf8_lossy(&output.stdout)
    );
    assert_eq!((clients_killed, leaders_killed), (2, 2), "there was time for all of it");
    assert!(servers_killed > 0);
    if let Some(node) = node_down {
        cluster.nodes[node].start();
    }
    if let Some(server) = down {
        cluster.servers[server].start();
    }
    cluster.wait_ready().await;
    let stat = cluster.get(0, "/stat?path=/large").await.1;
    assert_eq!((&stat["size"], &stat["sha256"]), (&json!(size), &json!(wanted)), "{stat}");

    std::fs::remove_file(&local).expect("it is not needed any more");
    let back = cluster.dir.path().join("back");
    let urls: Vec<&str> = cluster.nodes.iter().map(|node| node.url.as_str()).collect();
    let mut get = Command::new(env!("CARGO_BIN_EXE_ringmaster"));
    get.arg("get").arg("/large").arg(&back).env("RINGMASTER_URL", urls.join(","));
    let got = tokio::task::spawn_blocking({
        let token = cluster.admin.token.clone();
        move || get.env("RINGMASTER_TOKEN", token).output().expect("it starts")
    });
    let got = got.await.expect("it runs");
    assert!(got.status.success(), "{}", String::from_utf8_lossy(&got.stderr));
    assert_eq!(digest(&back), wanted);
    for process in cluster.nodes.iter().chain(&cluster.servers) {
        let peak = process.peak_memory();
        println!("{}: {} MiB at most", process.name, peak >> 20);
        assert!(peak < MEMORY, "{} took {} MiB", process.name, peak >> 20);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_are_listed_finished_and_given_up() {
    let cluster = Cluster::set_up(quick(3, 2)).await;
    let admin = &cluster.admin;
    let begin = async |path: &str| {
        let request = cluster.http.post(format!("{}/uploads?path={path}", cluster.url(1))).bearer_auth(&admin.token);
        let answer = request.header("Tus-Resumable", "1.0.0").header("Upload-Length", "5").send().await;
        let location = answer.expect("an answer").headers()["location"].to_str().expect("text").to_owned();
        location.rsplit('/').next().expect("an id").to_owned()
    };
    let (first, second) = (begin("/a/first").await, begin("/second").await);
    let listed = out(&cluster, &["uploads"], 0);
    let line = |id: &str| listed.lines().find(|line| line.starts_with(id)).unwrap_or_else(|| panic!("{id}: {listed}"));
    assert!(line(&first).ends_with("/a/first") && line(&second).contains(" 0   5 "), "{listed}");
    assert!(out(&cluster, &["uploads", "finish", &first], 1).contains("not whole"));

    let url = format!("{}/uploads/{first}", cluster.url(2));
    assert_eq!(cluster.put(admin, 0, "/write?path=/a/first", "other", &[]).await.0, 201);
    let request = cluster.http.patch(url).bearer_auth(&admin.token).header("Tus-Resumable", "1.0.0");
    let request = request.header("Upload-Offset", "0").header("Content-Type", "application/offset+octet-stream");
    assert_eq!(request.body("whole").send().await.expect("an answer").status(), 409, "the path was taken");
    assert_eq!(out(&cluster, &["uploads", "finish", &first, "/a/second"], 0), "/a/second\n");
    assert_eq!(cluster.read(admin, 0, "/a/second").await, Ok(b"whole".to_vec()));
    assert_eq!(out(&cluster, &["uploads", "rm", &second], 0), "");
    assert_eq!(out(&cluster, &["uploads"], 0), "");
    assert!(out(&cluster, &["uploads", "rm", &second], 1).contains("no such upload"));
    assert!(out(&cluster, &["uploads", "rm", "x"], 1).contains("no such upload"));
}
