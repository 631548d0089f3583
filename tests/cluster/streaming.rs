//! Large files, and clients and file servers that go away in the middle.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::support::{Cluster, noise, until};

const MIB: usize = 1 << 20;
/// Of each process, at any moment.
const MEMORY: u64 = 200 << 20;

/// `count` blocks of a mebibyte, each different; made as they are sent, so that the test holds no file in memory either.
fn blocks(count: usize) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static {
    let base = noise(7, MIB);
    futures_util::stream::iter(0..count).map(move |at| Ok(block(&base, at)))
}

fn block(base: &[u8], at: usize) -> Bytes {
    let mut bytes = base.to_vec();
    bytes[..8].copy_from_slice(&(at as u64).to_be_bytes());
    Bytes::from(bytes)
}

fn digest(count: usize) -> String {
    let base = noise(7, MIB);
    let mut hasher = Sha256::new();
    (0..count).for_each(|at| hasher.update(block(&base, at)));
    hex::encode(hasher.finalize())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gibibyte_passes_through_in_constant_memory() {
    const BLOCKS: usize = 1024;
    let cluster = Cluster::start(3, 3).await;
    let follower = cluster.follower().await;
    let body = reqwest::Body::wrap_stream(blocks(BLOCKS));
    let (status, stat) = cluster.put(&cluster.admin, follower, "/write?path=/large", body, &[]).await;
    assert_eq!(status, 201, "{stat}");
    let expected = digest(BLOCKS);
    assert_eq!((&stat["size"], &stat["sha256"]), (&json!(BLOCKS * MIB), &json!(expected)));
    for node in 0..3 {
        let call = format!("{}/read?path=/large", cluster.url(node));
        let answer = cluster.http.get(call).bearer_auth(&cluster.admin.token).send().await.expect("an answer");
        let (mut stream, mut hasher) = (answer.bytes_stream(), Sha256::new());
        while let Some(bytes) = stream.next().await {
            hasher.update(bytes.expect("no break"));
        }
        assert_eq!(hex::encode(hasher.finalize()), expected, "from node {node}");
    }
    for process in cluster.nodes.iter().chain(&cluster.servers) {
        let peak = process.peak_memory();
        println!("{}: {} MiB at most", process.name, peak >> 20);
        assert!(peak < MEMORY, "{} took {} MiB", process.name, peak >> 20);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_leaves_nothing() {
    let cluster = Cluster::start(3, 3).await;
    for node in 0..3 {
        let halfway = blocks(40).enumerate().then(|(at, item)| async move {
            if at == 30 { Err(std::io::Error::other("the client hangs up")) } else { item }
        });
        let body = reqwest::Body::wrap_stream(halfway);
        let (status, _) = cluster.put(&cluster.admin, node, "/write?path=/half", body, &[]).await;
        assert_ne!(status, 201);
        // With a length announced and not kept.
        let short = cluster.http.put(format!("{}/write?path=/short", cluster.url(node)));
        let body = reqwest::Body::wrap_stream(blocks(20));
        let sent = short.bearer_auth(&cluster.admin.token).header("Content-Length", 40 * MIB).body(body).send().await;
        assert!(sent.is_err() || sent.is_ok_and(|answer| !answer.status().is_success()));
    }
    for node in 0..3 {
        assert_eq!(cluster.get(node, "/all").await.1["files"], json!([]));
    }
    until("nothing is on the disks", async || cluster.blobs_on_disks().is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_goes_on_from_the_backup_when_the_primary_dies() {
    const BLOCKS: usize = 64;
    let mut cluster = Cluster::start(1, 3).await;
    let (_, stat) =
        cluster.put(&cluster.admin.clone(), 0, "/write?path=/f", reqwest::Body::wrap_stream(blocks(BLOCKS)), &[]).await;
    let expected = stat["sha256"].as_str().expect("a digest").to_owned();
    let primary = cluster.get(0, "/ring").await.1["servers"]
        .as_array()
        .and_then(|servers| {
            servers.iter().find(|server| server["server_id"] == stat["replicas"][0]["server_id"]).cloned()
        })
        .expect("the primary is in the ring");
    let at =
        cluster.servers.iter().position(|server| primary["url"] == server.url.as_str()).expect("it is one of ours");

    let call = format!("{}/read?path=/f", cluster.url(0));
    let answer = cluster.http.get(&call).bearer_auth(&cluster.admin.token).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let (mut stream, mut hasher) = (answer.bytes_stream(), Sha256::new());
    let first = stream.next().await.expect("bytes").expect("no break");
    hasher.update(&first);
    cluster.servers[at].kill();
    while let Some(bytes) = stream.next().await {
        hasher.update(bytes.expect("the client sees nothing but its bytes"));
    }
    assert_eq!(hex::encode(hasher.finalize()), expected);

    // While it is away: whole and partial reads, and new files.
    let part = cluster.http.get(&call).bearer_auth(&cluster.admin.token).header("Range", "bytes=5000000-5999999");
    let answer = part.send().await.expect("an answer");
    assert_eq!(
        (answer.status().as_u16(), text(answer.headers(), "content-range")),
        (206, "bytes 5000000-5999999/67108864")
    );
    let base = noise(7, MIB);
    let whole: Vec<u8> = (4..7).flat_map(|at| block(&base, at).to_vec()).collect();
    let start = 5_000_000 - 4 * MIB;
    assert!(answer.bytes().await.expect("bytes") == whole[start..start + 1_000_000]);
    for file in 0..6 {
        let (status, stat) = cluster.put(&cluster.admin, 0, &format!("/write?path=/new/{file}"), "x", &[]).await;
        assert_eq!(status, 201, "{stat}");
        let named = stat["replicas"].as_array().expect("replicas");
        assert_eq!(named.len(), 2, "{stat}");
        assert!(named.iter().all(|replica| replica["server_id"] != primary["server_id"]), "{stat}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_goes_on_when_a_file_server_dies() {
    let mut cluster = Cluster::start(1, 3).await;
    let (reached, mut halfway) = tokio::sync::mpsc::channel::<()>(1);
    let (resume, resumed) = tokio::sync::watch::channel(false);
    let body = blocks(48).enumerate().then(move |(at, item)| {
        let (reached, mut resumed) = (reached.clone(), resumed.clone());
        async move {
            if at == 24 {
                let _ = reached.send(()).await;
                let _ = resumed.wait_for(|resumed| *resumed).await;
            }
            item
        }
    });
    let request = cluster.http.put(format!("{}/write?path=/f", cluster.url(0))).bearer_auth(&cluster.admin.token);
    let upload = tokio::spawn(request.body(reqwest::Body::wrap_stream(body)).send());
    halfway.recv().await.expect("half of it is sent");
    // Whoever has something in its temporary folder takes part in the upload.
    let mut taking = None;
    until("a file server has begun", async || {
        assert!(!upload.is_finished(), "the upload has ended before its body has");
        taking =
            cluster.servers.iter().position(|server| !crate::support::files_below(&server.data.join("tmp")).is_empty());
        taking.is_some()
    })
    .await;
    cluster.servers[taking.expect("one takes part")].kill();
    resume.send(true).expect("the body goes on");
    let answer = tokio::time::timeout(Duration::from_secs(60), upload)
        .await
        .expect("in time")
        .expect("no panic")
        .expect("an answer");
    assert_eq!(answer.status(), 201);
    let stat: serde_json::Value = answer.json().await.expect("JSON");
    assert_eq!(stat["sha256"], json!(digest(48)));
    let copies = cluster.blobs_on_disks().into_iter().filter(|(_, _, found)| *found == digest(48)).count();
    assert_eq!((stat["replicas"].as_array().map(Vec::len), copies), (Some(2), 2), "two copies, on servers that are up");
}

#[tokio::test(flavor = "multi_thread")]
async fn conditionals_ranges_and_heads_follow_the_standard() {
    let cluster = Cluster::start(1, 2).await;
    let (status, stat) =
        cluster.put(&cluster.admin, 0, "/write?path=/f", "0123456789", &[("Content-Type", "text/plain")]).await;
    assert_eq!(status, 201, "{stat}");
    let etag = format!("\"{}-1\"", stat["file_id"]);
    let get = async |headers: &[(&str, &str)], method: reqwest::Method| {
        let mut request =
            cluster.http.request(method, format!("{}/read?path=/f", cluster.url(0))).bearer_auth(&cluster.admin.token);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.expect("an answer");
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        (status, headers, answer.text().await.expect("text"))
    };
    let (status, headers, body) = get(&[], reqwest::Method::GET).await;
    assert_eq!((status, body.as_str(), text(&headers, "etag")), (200, "0123456789", etag.as_str()));
    assert_eq!(
        (text(&headers, "content-type"), text(&headers, "content-length"), text(&headers, "accept-ranges")),
        ("text/plain", "10", "bytes")
    );
    let (status, headers, body) = get(&[], reqwest::Method::HEAD).await;
    assert_eq!((status, body.as_str(), text(&headers, "content-length")), (200, "", "10"));
    for (range, expected, told) in
        [("bytes=2-4", "234", "bytes 2-4/10"), ("bytes=-3", "789", "bytes 7-9/10"), ("bytes=8-", "89", "bytes 8-9/10")]
    {
        let (status, headers, body) = get(&[("Range", range)], reqwest::Method::GET).await;
        assert_eq!((status, body.as_str(), text(&headers, "content-range")), (206, expected, told));
    }
    let (status, headers, body) = get(&[("Range", "bytes=10-")], reqwest::Method::GET).await;
    assert_eq!((status, text(&headers, "content-range")), (416, "bytes */10"));
    assert!(body.contains("range_not_satisfiable"), "{body}");
    assert_eq!(get(&[("If-None-Match", &etag)], reqwest::Method::GET).await.0, 304);
    assert_eq!(get(&[("If-None-Match", "\"other\"")], reqwest::Method::GET).await.0, 200);
    assert_eq!(get(&[("If-Match", "\"1-99\"")], reqwest::Method::GET).await.0, 412);
    assert_eq!(get(&[("If-Range", &etag), ("Range", "bytes=0-0")], reqwest::Method::GET).await.0, 206);
    assert_eq!(get(&[("If-Range", "\"1-99\""), ("Range", "bytes=0-0")], reqwest::Method::GET).await.0, 200);
}

fn text<'a>(headers: &'a reqwest::header::HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
}
