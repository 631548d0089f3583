//! `kill -9` of file servers in the middle of large transfers, at random moments.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::dice::Dice;
use crate::support::{Cluster, Setup, files_below, noise, until};

const BLOCK: usize = 1 << 20;
const ROUNDS: usize = 20;
/// `RINGMASTER_TEST_TRANSFER_BYTES=1073741824` is the full size.
const DEFAULT_BYTES: usize = 64 << 20;

fn blocks() -> usize {
    let asked = std::env::var("RINGMASTER_TEST_TRANSFER_BYTES").ok().and_then(|bytes| bytes.parse().ok());
    (asked.unwrap_or(DEFAULT_BYTES) / BLOCK).max(4)
}

fn block(base: &[u8], round: usize, at: usize) -> Bytes {
    let mut bytes = base.to_vec();
    bytes[..8].copy_from_slice(&(at as u64).to_be_bytes());
    bytes[8..16].copy_from_slice(&(round as u64).to_be_bytes());
    Bytes::from(bytes)
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_are_killed_in_twenty_uploads_and_twenty_downloads() {
    // A server that is started again within these 10 s was never down in the ring, as servers that die again and again
    // wait ever longer before they are let back in. What is deleted leaves the disks within a minute, so that twenty files
    // of a gibibyte need no disk for forty.
    let setup = Setup::new(3, 4)
        .with("RINGMASTER__DETECTION__HEARTBEAT", "200ms")
        .with("RINGMASTER__DETECTION__DEAD_AFTER", "10s")
        .with("RINGMASTER__GARBAGE__LINGER", "5s")
        .with("RINGMASTER__REPLICATION__INTERVAL", "5s");
    let mut cluster = Cluster::set_up(setup).await;
    let (status, policy) = cluster.post(&cluster.admin, 0, "/admin/policy", &json!({"receipt_ttl_ms": 60_000})).await;
    assert_eq!(status, 200, "{policy}");
    let (mut dice, count) = (Dice::of_this_run("kills of file servers"), blocks());
    for round in 0..ROUNDS {
        let node = dice.pick(3);
        let (stat, digest) = upload(&mut cluster, &mut dice, (round, node), count).await;
        assert_eq!(stat["sha256"], digest.as_str(), "round {round}: {stat}");
        assert_eq!(
            stat["replicas"].as_array().map(Vec::len),
            Some(2),
            "round {round}: two copies on servers that are up"
        );
        download(&mut cluster, &mut dice, (round, node), &stat, count, &digest).await;
        println!("round {} of {ROUNDS}: {count} MiB up and down under kill -9, every byte right", round + 1);
        let (status, gone) =
            cluster.post(&cluster.admin, node, "/delete", &json!({"path": format!("/kills/{round}")})).await;
        assert!(status < 300, "{gone}");
    }
}

/// A server that was away for less than a second is up all the time in the ring; it takes bytes once it is admitted.
async fn restart(cluster: &mut Cluster, server: usize) {
    cluster.servers[server].start();
    until("the server is admitted", async || {
        let told = cluster.try_metrics(&cluster.servers[server]).await;
        told.is_some_and(|text| !text.contains("\nringmaster_fileserver_epoch 0\n"))
    })
    .await;
    cluster.wait_for_servers(cluster.servers.len()).await;
}

/// One of the two servers that take the bytes is killed, and started again afterwards.
async fn upload(
    cluster: &mut Cluster,
    dice: &mut Dice,
    (round, node): (usize, usize),
    count: usize,
) -> (Value, String) {
    let moment = 2 + dice.pick(count - 2);
    let base = noise(7, BLOCK);
    let mut hasher = Sha256::new();
    (0..count).for_each(|at| hasher.update(block(&base, round, at)));
    let digest = hex::encode(hasher.finalize());
    let (reached, mut halfway) = tokio::sync::mpsc::channel::<()>(1);
    let (resume, resumed) = tokio::sync::watch::channel(false);
    let body = futures_util::stream::iter(0..count).then(move |at| {
        let (reached, mut resumed, piece) = (reached.clone(), resumed.clone(), block(&base, round, at));
        async move {
            if at == moment {
                let _ = reached.send(()).await;
                let _ = resumed.wait_for(|resumed| *resumed).await;
            }
            Ok::<_, std::io::Error>(piece)
        }
    });
    let request = cluster.http.put(format!("{}/write?path=/kills/{round}", cluster.url(node)));
    let request = request.bearer_auth(&cluster.admin.token).body(reqwest::Body::wrap_stream(body));
    let upload = tokio::spawn(request.send());
    halfway.recv().await.expect("the body has come so far");
    let mut taking = Vec::new();
    until("two file servers take the bytes", async || {
        let takes = |at: &usize| !files_below(&cluster.servers[*at].data.join("tmp")).is_empty();
        taking = (0..cluster.servers.len()).filter(takes).collect();
        taking.len() >= 2 || upload.is_finished()
    })
    .await;
    let victim = taking[dice.pick(taking.len())];
    // Half of the time while bytes flow, half of the time while they do not.
    if dice.pick(2) == 0 {
        let _ = resume.send(true);
        tokio::time::sleep(Duration::from_millis(dice.below(40))).await;
    }
    cluster.servers[victim].kill();
    let _ = resume.send(true);
    let answer = tokio::time::timeout(Duration::from_secs(120), upload).await.expect("in time").expect("no panic");
    let answer = answer.expect("an answer");
    let status = answer.status().as_u16();
    let stat: Value = answer.json().await.expect("JSON");
    assert_eq!(status, 201, "round {round}, killed {victim} at block {moment} of {count}: {stat}");
    restart(cluster, victim).await;
    (stat, digest)
}

/// The server that the bytes come from is killed, and started again afterwards.
async fn download(
    cluster: &mut Cluster,
    dice: &mut Dice,
    (round, node): (usize, usize),
    stat: &Value,
    count: usize,
    digest: &str,
) {
    let moment = dice.pick(count * BLOCK);
    let ring = cluster.get(node, "/ring").await.1;
    let rows = ring["servers"].as_array().expect("servers");
    let primary = rows.iter().find(|row| row["server_id"] == stat["replicas"][0]["server_id"]).expect("it is known");
    let victim =
        cluster.servers.iter().position(|server| primary["url"] == server.url.as_str()).expect("it is one of ours");
    let call = format!("{}/read?path=/kills/{round}", cluster.url(node));
    let answer = cluster.http.get(call).bearer_auth(&cluster.admin.token).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let (mut stream, mut hasher, mut given) = (answer.bytes_stream(), Sha256::new(), 0);
    while let Some(piece) = stream.next().await {
        let piece = piece.unwrap_or_else(|error| panic!("round {round}, at {given}, killed at {moment}: {error}"));
        hasher.update(&piece);
        given += piece.len();
        if given > moment && cluster.servers[victim].is_started() {
            cluster.servers[victim].kill();
        }
    }
    assert_eq!((given, hex::encode(hasher.finalize()).as_str()), (count * BLOCK, digest), "round {round}");
    restart(cluster, victim).await;
}
