//! A disk that refuses every write while its server lives.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::detection::quick;
use crate::support::{Cluster, noise, until};

/// Has the disk of a server refuse new copies: where they begin is a plain file. No right of root's passes that by.
fn refuse(cluster: &Cluster, server: usize) {
    let tmp = cluster.servers[server].data.join("tmp");
    // An upload that has just ended may leave its files a moment longer.
    let start = Instant::now();
    while fs::remove_dir(&tmp).is_err() {
        assert!(start.elapsed() < Duration::from_secs(20), "{} does not become empty", tmp.display());
        std::thread::sleep(Duration::from_millis(20));
    }
    fs::write(&tmp, "").expect("a plain file is there");
}

fn mend(cluster: &Cluster, server: usize) {
    let tmp = cluster.servers[server].data.join("tmp");
    fs::remove_file(&tmp).expect("the file goes");
    fs::create_dir(&tmp).expect("the directory is back");
}

/// What a node's `/ring` says of a server.
async fn row(cluster: &Cluster, node: usize, server: usize) -> Value {
    let ring = cluster.get(node, "/ring").await.1;
    let url = cluster.servers[server].url.as_str();
    ring["servers"].as_array().and_then(|rows| rows.iter().find(|row| row["url"] == url).cloned()).unwrap_or_default()
}

fn ring_status(cluster: &Cluster) -> String {
    let shown = Command::new(env!("CARGO_BIN_EXE_ringmaster"))
        .args(["ring", "status", "--url", cluster.url(0)])
        .env("RINGMASTER_TOKEN", &cluster.admin.token)
        .output()
        .expect("the command runs");
    String::from_utf8_lossy(&shown.stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_go_on_past_a_disk_that_refuses_and_it_is_taken_back_by_itself() {
    let cluster = Cluster::set_up(quick(3, 2)).await;
    let old = noise(1, 100_000);
    assert_eq!(cluster.insist_put(&cluster.admin, 0, "/write?path=/old", &old).await.0, 201);
    let id = row(&cluster, 0, 1).await["server_id"].as_u64().expect("an id");
    refuse(&cluster, 1);

    // Whoever comes first finds out, and waits until the directory knows.
    let follower = cluster.follower().await;
    let start = Instant::now();
    let (status, stat) = cluster.put(&cluster.admin, follower, "/write?path=/first", noise(2, 100_000), &[]).await;
    let first = start.elapsed();
    assert_eq!((status, stat["replicas"].as_array().map(Vec::len)), (201, Some(1)), "{stat}");
    assert!(first < Duration::from_secs(8), "the first upload took {first:?}");
    // Nobody else waits: the quickest of some, since a pause of the machine is not what this is about.
    let mut quickest = Duration::MAX;
    for turn in 0..9 {
        let start = Instant::now();
        let call = format!("/write?path=/next/{turn}");
        let (status, stat) = cluster.put(&cluster.admin, turn % 3, &call, noise(3, 100_000), &[]).await;
        assert_eq!((status, stat["replicas"].as_array().map(Vec::len)), (201, Some(1)), "{stat}");
        quickest = quickest.min(start.elapsed());
    }
    println!("the first upload took {first:?}, the quickest of the next {quickest:?}");
    assert!(quickest < Duration::from_secs(1), "{quickest:?}");

    for node in 0..3 {
        until("each node says why, and that the server lives", async || {
            let row = row(&cluster, node, 1).await;
            let why = row["cannot_write"].as_str().unwrap_or_default();
            row["state"] == "up" && row["full"] == true && why.contains("Not a directory")
        })
        .await;
        let text = cluster.metrics(&cluster.nodes[node]).await;
        let line = format!("ringmaster_fileserver_cannot_write{{server_id=\"{id}\",reason=\"Not a directory");
        assert!(text.contains(&line), "{text}");
    }
    assert!(cluster.metrics(&cluster.servers[1]).await.contains("\nringmaster_fileserver_writable 0\n"));
    let shown = ring_status(&cluster);
    assert!(shown.contains("its disk takes no writes (Not a directory") && shown.contains("held up"), "{shown}");
    let (status, said) = cluster.post(&cluster.admin, 0, "/admin/rebalance", &json!({})).await;
    assert_eq!(status, 507, "{said}");
    let why = format!("file server {id} cannot write");
    assert!(said["detail"].as_str().is_some_and(|detail| detail.contains(&why)), "{said}");
    // What is on it is served, with its own bytes, where the other one is not there.
    assert_eq!(cluster.read(&cluster.admin, follower, "/old").await.as_ref(), Ok(&old));

    mend(&cluster, 1);
    for node in 0..3 {
        until("it is taken back", async || {
            let row = row(&cluster, node, 1).await;
            row["cannot_write"].is_null() && row["full"] == false
        })
        .await;
    }
    cluster.wait_whole(&cluster.admin, 2).await;
    let log = cluster.nodes[0].log_text();
    for change in ["change=\"refuses\"", "change=\"writes\""] {
        assert!(log.contains(change), "{change}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_every_disk_refuses_it_is_said_so_and_reads_go_on() {
    let cluster = Cluster::set_up(quick(1, 2)).await;
    let old = noise(1, 100_000);
    assert_eq!(cluster.insist_put(&cluster.admin, 0, "/write?path=/old", &old).await.0, 201);
    for server in 0..2 {
        refuse(&cluster, server);
    }
    until("it is refused with the reason", async || {
        let (status, said) = cluster.put(&cluster.admin, 0, "/write?path=/new", "bytes", &[]).await;
        let detail = said["detail"].as_str().unwrap_or_default();
        assert!(status == 503 || status == 507, "{status} {said}");
        assert!(status == 507 || detail.contains("takes no writes"), "{said}");
        status == 507
            && detail.contains("file server 1 cannot write (Not a directory")
            && detail.contains("file server 2 cannot write")
    })
    .await;
    assert_eq!(cluster.read(&cluster.admin, 0, "/old").await.as_ref(), Ok(&old));
    for server in 0..2 {
        mend(&cluster, server);
    }
    until("it is taken again", async || {
        cluster.put(&cluster.admin, 0, "/write?path=/new", "bytes", &[]).await.0 == 201
    })
    .await;
}
