//! Room on file servers that are full: what was deleted gives it back in seconds, and says when.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use serde_json::{Value, json};

use crate::support::{Cluster, Process, Setup, noise, until};

const MIB: usize = 1 << 20;

/// Each server may hold so much; the defaults of garbage are what operators have.
async fn small_servers(nodes: usize, capacities: &[&str]) -> Cluster {
    let mut cluster = Cluster::prepare(&Setup::new(nodes, capacities.len()));
    for (server, capacity) in cluster.servers.iter().zip(capacities) {
        let config = fs::read_to_string(&server.config).expect("its configuration");
        let config = config.replace("zone = \"a\"\n", &format!("zone = \"a\"\ncapacity = \"{capacity}\"\n"));
        fs::write(&server.config, config).expect("written");
    }
    cluster.nodes.iter_mut().for_each(Process::start);
    cluster.wait_ready().await;
    cluster.admin = cluster.user("admin").await;
    // One after the other, so that their ids are in this order.
    for at in 0..capacities.len() {
        cluster.servers[at].start();
        cluster.wait_for_servers(at + 1).await;
    }
    cluster
}

async fn delete(cluster: &Cluster, path: &str) {
    let body = json!({"path": path, "permanently": true, "recursive": true});
    assert_eq!(cluster.insist(&cluster.admin, 0, "/delete", &body).await.0, 204);
}

async fn waits(cluster: &Cluster, node: usize) -> Vec<Value> {
    let replication = cluster.get(node, "/replication").await.1;
    replication["to_delete"].as_array().cloned().expect("a list")
}

fn shown(cluster: &Cluster, command: [&str; 2]) -> String {
    let shown = Command::new(env!("CARGO_BIN_EXE_ringmaster"))
        .args(command)
        .args(["--url", cluster.url(0)])
        .env("RINGMASTER_TOKEN", &cluster.admin.token)
        .output()
        .expect("the command runs");
    String::from_utf8_lossy(&shown.stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_gives_back_what_was_deleted_and_says_when() {
    let cluster = small_servers(3, &["24MiB", "24MiB"]).await;
    for number in 0..6 {
        let path = format!("/write?path=/d/{number}");
        assert_eq!(
            cluster.insist_put(&cluster.admin, number % 3, &path, &noise(number as u64, 4 * MIB - 64)).await.0,
            201
        );
    }
    until("both servers are full", async || {
        let ring = cluster.get(1, "/ring").await.1;
        ring["servers"].as_array().is_some_and(|rows| rows.iter().all(|row| row["full"] == true))
    })
    .await;
    assert!(shown(&cluster, ["ring", "status"]).contains("takes no new files: full"));
    let started = Instant::now();
    delete(&cluster, "/d").await;

    // In the meantime the refusal says what is going on, and so does the status.
    let body = noise(9, 8 * MIB);
    until("the refusal says that it is about to end", async || {
        let (status, said) = cluster.put(&cluster.admin, 1, "/write?path=/new", body.clone(), &[]).await;
        assert_eq!((status, &said["code"]), (507, &json!("storage_full")), "{said}");
        let detail = said["detail"].as_str().expect("a detail");
        assert!(detail.contains("file server 1 is full"), "{detail}");
        detail.contains("12 copies of what was deleted")
    })
    .await;
    for node in 0..3 {
        until("each node says what waits, and when it goes", async || {
            let waits = waits(&cluster, node).await;
            waits.len() == 2
                && waits.iter().all(|row| {
                    row["copies"] == 6 && row["bytes"].as_u64() > Some(20 << 20) && row["held_until"].is_null()
                })
        })
        .await;
    }
    for command in [["ring", "status"], ["replication", "status"]] {
        let text = shown(&cluster, command);
        assert!(text.contains("6 copies wait to be deleted (about 2"), "{text}");
    }
    until("the file is taken", async || {
        let (status, said) = cluster.put(&cluster.admin, 1, "/write?path=/new", body.clone(), &[]).await;
        assert!(status == 201 || status == 507, "{said}");
        status == 201
    })
    .await;
    println!("room was there {:?} after the deletion, of 15 minutes", started.elapsed());
    assert_eq!(cluster.read(&cluster.admin, 2, "/new").await, Ok(body));
    until("nothing waits any more", async || waits(&cluster, 0).await.is_empty()).await;
}

/// A read that began before the deletion may have to open its file again. It is at another node than the leader.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_running_read_needs_stays_and_what_it_does_not_need_goes() {
    let cluster = small_servers(3, &["48MiB", "48MiB"]).await;
    let (slow, other) = (noise(1, 20 * MIB), noise(2, 20 * MIB));
    for (path, bytes) in [("/slow", &slow), ("/earlier", &other)] {
        let call = format!("/write?path={path}");
        assert_eq!(cluster.insist_put(&cluster.admin, 0, &call, bytes).await.0, 201);
    }
    delete(&cluster, "/earlier").await;
    // A read of the very state in which it went could be one from just before.
    assert_eq!(cluster.insist_put(&cluster.admin, 0, "/write?path=/between", b"bytes").await.0, 201);
    let follower = cluster.follower().await;
    let call = format!("{}/read?path=/slow", cluster.url(follower));
    let answer = cluster.http.get(call).bearer_auth(&cluster.admin.token).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let mut stream = answer.bytes_stream();
    let mut got = stream.next().await.expect("a piece").expect("whole").to_vec();
    delete(&cluster, "/slow").await;

    // Room for one of the two files is wanted, and comes from the one that nobody reads.
    let wanted = noise(3, 20 * MIB);
    until("the room of the file that was deleted before is had", async || {
        cluster.put(&cluster.admin, 0, "/write?path=/a", wanted.clone(), &[]).await.0 == 201
    })
    .await;
    // Room for a third file is not had while the read runs, though it is wanted all the time.
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(20) {
        let (status, said) = cluster.put(&cluster.admin, 0, "/write?path=/b", noise(4, 20 * MIB), &[]).await;
        assert_eq!(status, 507, "{said}");
        assert_eq!(cluster.blobs_on_disks().len(), 6, "both copies of what is read, and of what was written twice");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    while let Some(piece) = stream.next().await {
        got.extend_from_slice(&piece.expect("whole"));
    }
    assert!(got == slow);
    until("with the end of the read its room is had", async || {
        cluster.put(&cluster.admin, 0, "/write?path=/b", noise(4, 20 * MIB), &[]).await.0 == 201
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_keeps_what_was_deleted_is_named() {
    let cluster = small_servers(1, &["12MiB", "12MiB"]).await;
    let bytes = noise(1, 12 * MIB - 64);
    assert_eq!(cluster.insist_put(&cluster.admin, 0, "/write?path=/a", &bytes).await.0, 201);
    let hold = json!({"hold_id": "0".repeat(32), "ttl_ms": 600_000});
    assert_eq!(cluster.post(&cluster.admin, 0, "/admin/backup/hold", &hold).await.0, 204);
    delete(&cluster, "/a").await;
    until("the refusal names the backup", async || {
        let (status, said) = cluster.put(&cluster.admin, 0, "/write?path=/b", noise(2, 4 * MIB), &[]).await;
        assert_eq!(status, 507, "{said}");
        said["detail"].as_str().is_some_and(|detail| detail.contains("a backup keeps them"))
    })
    .await;
    assert!(waits(&cluster, 0).await.iter().all(|row| row["held_until"].is_string()));
    assert!(shown(&cluster, ["ring", "status"]).contains("kept by a backup, until"));
    let release = json!({"hold_id": "0".repeat(32)});
    assert_eq!(cluster.post(&cluster.admin, 0, "/admin/backup/release", &release).await.0, 204);
    until("the file is taken", async || {
        cluster.put(&cluster.admin, 0, "/write?path=/b", noise(2, 4 * MIB), &[]).await.0 == 201
    })
    .await;
}

fn replicas(stat: &Value) -> Vec<u64> {
    let replicas = stat["replicas"].as_array().cloned().unwrap_or_default();
    let mut ids: Vec<u64> = replicas.iter().filter_map(|replica| replica["server_id"].as_u64()).collect();
    ids.sort_unstable();
    ids
}

/// A body without a length.
fn streamed(bytes: &[u8]) -> reqwest::Body {
    let pieces: Vec<Result<Vec<u8>, std::io::Error>> =
        bytes.chunks(256 << 10).map(|piece| Ok(piece.to_vec())).collect();
    reqwest::Body::wrap_stream(futures_util::stream::iter(pieces))
}

#[tokio::test(flavor = "multi_thread")]
async fn of_servers_of_different_size_those_with_room_take_a_large_file_however_it_comes() {
    let cluster = small_servers(3, &["40MiB", "300MiB", "40MiB", "300MiB"]).await;
    let bytes = noise(1, 60 * MIB);
    let boundary = "----form";
    let mut form =
        format!("--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n").into_bytes();
    form.extend_from_slice(&bytes);
    form.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    let kind = format!("multipart/form-data; boundary={boundary}");
    // The small ones have the fewest files each time.
    for turn in 0..3 {
        let call = |how: &str| format!("/write?path=/{how}");
        let stat = match turn {
            0 => cluster.put(&cluster.admin, 0, &call("streamed"), streamed(&bytes), &[]).await,
            1 => cluster.put(&cluster.admin, 1, &call("form"), form.clone(), &[("content-type", &kind)]).await,
            _ => cluster.put(&cluster.admin, 2, &call("known"), bytes.clone(), &[]).await,
        };
        assert_eq!((stat.0, replicas(&stat.1)), (201, vec![2, 4]), "{turn}: {}", stat.1);
    }
    for path in ["/streamed", "/form", "/known"] {
        assert!(cluster.read(&cluster.admin, 0, path).await.as_ref() == Ok(&bytes), "{path}");
    }
    // What fits nowhere twice is refused before its bytes have come.
    let start = Instant::now();
    let (status, said) = cluster.put(&cluster.admin, 0, "/write?path=/huge", noise(2, 250 * MIB), &[]).await;
    assert_eq!((status, &said["code"]), (507, &json!("storage_full")), "{said}");
    println!("refused after {:?}", start.elapsed());
}

/// The one lane goes on, and the copy that was lost is made from it on a server with room.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_runs_full_in_the_middle_of_an_upload_costs_its_client_nothing() {
    let cluster = small_servers(1, &["60MiB", "60MiB", "200MiB"]).await;
    let bytes = noise(1, 30 * MIB);
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Vec<u8>, std::io::Error>>(1);
    let body = futures_util::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|piece| (piece, receiver))
    });
    let body = reqwest::Body::wrap_stream(body);
    let call = format!("{}/write?path=/slow", cluster.url(0));
    let upload = tokio::spawn(cluster.http.put(call).bearer_auth(&cluster.admin.token).body(body).send());
    let mut pieces = bytes.chunks(MIB).map(<[u8]>::to_vec);
    for piece in pieces.by_ref().take(10) {
        sender.send(Ok(piece)).await.expect("it is taken");
    }
    // The servers with the lowest ids have the upload; this one has its primary elsewhere, its backup at the first.
    let (status, stat) = cluster.put(&cluster.admin, 0, "/write?path=/between", noise(2, 45 * MIB), &[]).await;
    assert_eq!((status, replicas(&stat)), (201, vec![1, 3]), "{stat}");
    for piece in pieces {
        sender.send(Ok(piece)).await.expect("it is taken");
    }
    drop(sender);
    let answer = upload.await.expect("no panic").expect("an answer");
    assert_eq!(answer.status(), 201);
    let stat: Value = answer.json().await.expect("JSON");
    assert_eq!(replicas(&stat), [2, 3], "{stat}");
    let log = cluster.nodes[0].log_text();
    assert!(log.contains("file server 1 has no room for the blob"), "the first server ran full in the middle");
    assert_eq!(cluster.read(&cluster.admin, 0, "/slow").await, Ok(bytes));
}
