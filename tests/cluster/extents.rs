//! Files of several extents: whole and in ranges, sent in one request or in many, while servers die.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::backup::quick;
use crate::support::{Cluster, noise, sha256, until, within};

pub(crate) const EXTENT: usize = 4 << 20;

/// Small extents, so that a few megabytes are several.
pub(crate) async fn small_extents(cluster: &Cluster) {
    let policy = json!({"extent_bytes": EXTENT});
    assert_eq!(cluster.insist(&cluster.admin, 0, "/admin/policy", &policy).await.0, 200);
}

async fn set_up(nodes: usize, servers: usize) -> Cluster {
    let cluster = Cluster::set_up(quick(nodes, servers)).await;
    small_extents(&cluster).await;
    cluster
}

fn frames(bytes: &[u8], size: usize) -> Vec<Result<Bytes, std::io::Error>> {
    bytes.chunks(size).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect()
}

fn streamed(bytes: &[u8]) -> reqwest::Body {
    reqwest::Body::wrap_stream(futures_util::stream::iter(frames(bytes, 100_000)))
}

/// A body that breaks off behind `bytes`.
fn broken(bytes: &[u8]) -> reqwest::Body {
    let mut frames = frames(bytes, 100_000);
    frames.push(Err(std::io::Error::other("the client goes away")));
    // What was sent before gets through.
    let slow = futures_util::stream::iter(frames).then(|frame| async {
        if frame.is_err() {
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        frame
    });
    reqwest::Body::wrap_stream(slow)
}

async fn part(cluster: &Cluster, node: usize, path: &str, range: (usize, usize)) -> Vec<u8> {
    let call = format!("{}/read?path={path}", cluster.url(node));
    let range = format!("bytes={}-{}", range.0, range.1 - 1);
    let answer = cluster.http.get(call).bearer_auth(&cluster.admin.token).header("Range", range).send().await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.status(), 206);
    answer.bytes().await.expect("bytes").to_vec()
}

/// All extents of a file, page by page.
async fn extents(cluster: &Cluster, node: usize, path: &str) -> Vec<(u64, u64)> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = cluster.get(node, &format!("/extents?path={path}&limit=2{cursor}")).await.1;
        let rows = page["extents"].as_array().unwrap_or_else(|| panic!("extents: {page}"));
        found.extend(
            rows.iter().map(|row| (row["offset"].as_u64().expect("where"), row["size"].as_u64().expect("size"))),
        );
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

/// What is left when all is deleted: nothing.
async fn nothing_is_left(cluster: &Cluster) {
    until("no byte is left on any disk", async || cluster.blobs_on_disks().is_empty()).await;
    let usage = cluster.get(0, "/usage").await.1;
    assert_eq!((&usage["bytes"], &usage["files"]), (&json!(0), &json!(0)), "{usage}");
}

async fn delete(cluster: &Cluster, path: &str) {
    let body = json!({"path": path, "permanently": true, "recursive": true});
    let (status, answer) = cluster.insist(&cluster.admin, 0, "/delete", &body).await;
    assert_eq!(status, 204, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_goes_and_comes_in_extents() {
    let cluster = set_up(3, 3).await;
    let admin = &cluster.admin;
    for (node, size) in [(0, 5 * EXTENT + 13), (1, 2 * EXTENT), (2, EXTENT), (0, EXTENT + 1), (1, 0)] {
        let bytes = noise(size as u64, size);
        for (how, body) in [("whole", reqwest::Body::from(bytes.clone())), ("streamed", streamed(&bytes))] {
            let path = format!("/{how}-{size}");
            let (status, stat) = cluster.put(admin, node, &format!("/write?path={path}"), body, &[]).await;
            assert_eq!((status, &stat["size"], &stat["sha256"]), (201, &json!(size), &json!(sha256(&bytes))), "{stat}");
            let other = (node + 1) % 3;
            let wanted: Vec<(u64, u64)> =
                (0..size.max(1)).step_by(EXTENT).map(|at| (at as u64, (size - at).min(EXTENT) as u64)).collect();
            assert_eq!(extents(&cluster, other, &path).await, wanted);
            assert_eq!(cluster.read(admin, other, &path).await.expect("it is there"), bytes);
            for border in (EXTENT..size).step_by(EXTENT) {
                for range in [(border - 1, border), (border, border + 1), (border - 1, border + 1)] {
                    assert_eq!(part(&cluster, node, &path, range).await, bytes[range.0..range.1], "{range:?}");
                }
            }
            if size > EXTENT {
                let range = (1, size - 1);
                assert_eq!(part(&cluster, other, &path, range).await, bytes[range.0..range.1]);
            }
        }
    }
    // A copy, an older version and the trash name the same extents.
    let large = format!("/whole-{}", 5 * EXTENT + 13);
    let stored = cluster.blobs_on_disks().len();
    let copied = cluster.post(admin, 1, "/copy", &json!({"path": large, "to": "/copy"})).await;
    assert_eq!(copied.0, 201, "{copied:?}");
    assert_eq!(cluster.put(admin, 2, &format!("/update?path={large}"), "short", &[]).await.0, 200);
    delete(&cluster, &large).await;
    assert_eq!(
        cluster.read(admin, 0, "/copy").await.expect("it is there"),
        noise(5 * EXTENT as u64 + 13, 5 * EXTENT + 13)
    );
    assert!(cluster.blobs_on_disks().len() <= stored + 2, "no byte was moved");
    for file in cluster.get(0, "/list").await.1["files"].as_array().expect("files") {
        delete(&cluster, file["path"].as_str().expect("a path")).await;
    }
    nothing_is_left(&cluster).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_change_takes_effect_once() {
    let cluster = set_up(3, 2).await;
    let admin = &cluster.admin;
    let bytes = noise(21, 2 * EXTENT + 5);
    let key = [("Idempotency-Key", "large")];
    let (status, first) = cluster.put(admin, 0, "/write?path=/once", streamed(&bytes), &key).await;
    assert_eq!(status, 201, "{first}");
    delete(&cluster, "/once").await;
    for node in 0..3 {
        let again = cluster.put(admin, node, "/write?path=/once", bytes.clone(), &key).await;
        let same = |name: &str| assert_eq!(again.1[name], first[name], "{name}");
        ["file_id", "version", "size", "sha256", "path", "created_at"].into_iter().for_each(same);
        assert_eq!(again.0, 201);
        let other = cluster.put(admin, node, "/write?path=/once", noise(22, 2 * EXTENT + 5), &key).await;
        assert_eq!((other.0, &other.1["code"]), (422, &json!("idempotency_key_reused")), "{}", other.1);
    }
    assert_eq!(cluster.get(0, "/stat?path=/once").await.0, 404, "it was done once, and undone since");
    // A refusal is for good, too.
    let key = [("Idempotency-Key", "refused")];
    assert_eq!(cluster.put(admin, 0, "/write?path=/taken", "small", &[]).await.0, 201);
    assert_eq!(cluster.put(admin, 1, "/write?path=/taken", bytes.clone(), &key).await.0, 409);
    delete(&cluster, "/taken").await;
    assert_eq!(cluster.put(admin, 2, "/write?path=/taken", bytes, &key).await.0, 409);
    nothing_is_left(&cluster).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let cluster = set_up(3, 2).await;
    let bytes = noise(1, 3 * EXTENT);
    let call = format!("{}/write?path=/gone", cluster.url(1));
    let sent = cluster.http.put(call).bearer_auth(&cluster.admin.token).body(broken(&bytes)).send().await;
    assert!(sent.is_err() || sent.is_ok_and(|answer| !answer.status().is_success()));
    nothing_is_left(&cluster).await;
    assert_eq!(cluster.get(0, "/uploads").await.1["uploads"], json!([]));
    // Nor does what is not what was announced.
    let wrong = format!("sha-256=:{}:", "A".repeat(43) + "=");
    let (status, answer) = cluster.put(&cluster.admin, 0, "/write?path=/gone", bytes, &[("Repr-Digest", &wrong)]).await;
    assert_eq!((status, &answer["code"]), (422, &json!("checksum_mismatch")), "{answer}");
    nothing_is_left(&cluster).await;
}

struct Tus<'a> {
    cluster: &'a Cluster,
    location: String,
}

fn header(answer: &Response, name: &str) -> Option<String> {
    Some(answer.headers().get(name)?.to_str().ok()?.to_owned())
}

fn offset(answer: &Response) -> usize {
    let offset = header(answer, "upload-offset").and_then(|text| text.parse().ok());
    offset.unwrap_or_else(|| panic!("no offset: {answer:?}"))
}

impl<'a> Tus<'a> {
    async fn create(cluster: &'a Cluster, node: usize, query: &str, headers: &[(&str, &str)]) -> Result<Self, Value> {
        let request = cluster.http.post(format!("{}/uploads{query}", cluster.url(node)));
        let request = request.bearer_auth(&cluster.admin.token).header("Tus-Resumable", "1.0.0");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let answer = request.send().await.expect("an answer");
        match header(&answer, "location") {
            Some(location) => {
                assert_eq!(answer.status(), 201);
                Ok(Self { cluster, location })
            }
            None => Err(answer.json().await.expect("a problem")),
        }
    }

    fn request(&self, method: Method, node: usize) -> reqwest::RequestBuilder {
        let url = format!("{}{}", self.cluster.url(node), self.location);
        let request = self.cluster.http.request(method, url).bearer_auth(&self.cluster.admin.token);
        request.header("Tus-Resumable", "1.0.0")
    }

    async fn head(&self, node: usize) -> Response {
        self.request(Method::HEAD, node).send().await.expect("an answer")
    }

    fn patch(&self, node: usize, at: usize, body: impl Into<reqwest::Body>) -> reqwest::RequestBuilder {
        let request = self.request(Method::PATCH, node).header("Upload-Offset", at);
        request.header("Content-Type", "application/offset+octet-stream").body(body)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_goes_on_at_another_node() {
    let mut cluster = set_up(3, 3).await;
    let size = 4 * EXTENT + 1001;
    let bytes = noise(3, size);
    let options = cluster.http.request(Method::OPTIONS, format!("{}/uploads", cluster.url(0))).send().await;
    assert_eq!(header(&options.expect("an answer"), "tus-version").as_deref(), Some("1.0.0"));

    let length = size.to_string();
    let tus = Tus::create(&cluster, 0, "?path=/a/large", &[("Upload-Length", &length)]).await.expect("it begins");
    let location = tus.location.clone();
    // It breaks off in the second extent, and what came is kept.
    let sent = tus.patch(0, 0, broken(&bytes[..EXTENT + EXTENT / 2 + 7])).send().await;
    assert!(sent.is_err() || sent.is_ok_and(|answer| !answer.status().is_success()));
    let mut at = 0;
    within(Duration::from_secs(60), "what came is kept", async || {
        at = offset(&tus.head(1).await);
        at > EXTENT
    })
    .await;
    assert!(at <= EXTENT + EXTENT / 2 + 7, "{at}");
    let listed = cluster.get(2, "/uploads").await.1["uploads"][0].clone();
    assert_eq!((&listed["path"], &listed["length"]), (&json!("/a/large"), &json!(size)), "{listed}");
    let stored = listed["stored"].as_u64().expect("bytes") as usize;
    assert_eq!(listed["sha256"], json!(sha256(&bytes[..stored])), "{listed}");
    assert_eq!(cluster.get(0, "/stat?path=/a/large").await.0, 404, "nothing is named yet");

    // From there on in pieces of odd sizes, at one node after the other, over the leader's end.
    let mut node = 1;
    let leader = cluster.leader().await;
    for (step, piece) in [1, 62, 70, 3, 1000, EXTENT + 5, 63].into_iter().enumerate() {
        let tus = Tus { cluster: &cluster, location: location.clone() };
        let answer = tus.patch(node, at, bytes[at..at + piece].to_vec()).send().await.expect("an answer");
        assert_eq!((answer.status().as_u16(), offset(&answer)), (204, at + piece), "{piece}");
        let stale = tus.patch(node, at, bytes[at..at + piece].to_vec()).send().await.expect("an answer");
        assert_eq!(stale.status(), 409, "it was sent before");
        at += piece;
        node = (node + 1) % 3;
        if step == 3 {
            cluster.nodes[leader].kill();
        }
        if step >= 3 && node == leader {
            node = (node + 1) % 3;
        }
        if step == 3 {
            let tus = Tus { cluster: &cluster, location: location.clone() };
            until("there is another leader", async || tus.head(node).await.status() == 200).await;
        }
    }
    cluster.nodes[leader].start();
    cluster.wait_ready().await;
    let tus = Tus { cluster: &cluster, location };
    let last = tus.patch(node, at, bytes[at..].to_vec()).send().await.expect("an answer");
    assert_eq!((last.status().as_u16(), offset(&last)), (204, size));
    let id = header(&last, "ringmaster-file-id").expect("a file");
    assert_eq!(header(&last, "etag"), Some(format!("\"{id}-1\"")));
    // Whoever lost that answer learns of it.
    for node in 0..3 {
        let again = tus.head(node).await;
        assert_eq!((offset(&again), header(&again, "ringmaster-file-id")), (size, Some(id.clone())));
        assert_eq!(cluster.read(&cluster.admin, node, "/a/large").await.expect("it is there"), bytes);
    }
    let stat = cluster.get(0, "/stat?path=/a/large").await.1;
    assert_eq!(stat["sha256"], json!(sha256(&bytes)));
    assert_eq!(cluster.get(0, "/uploads").await.1["uploads"], json!([]));
    delete(&cluster, "/a").await;
    nothing_is_left(&cluster).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_of_all_kinds_begin_and_end() {
    let cluster = set_up(3, 2).await;
    let admin = &cluster.admin;
    let code = |problem: Value| problem["code"].as_str().unwrap_or_default().to_owned();
    let create = async |query: &str, headers: &[(&str, &str)]| Tus::create(&cluster, 1, query, headers).await;

    // Bad input gets a clear error.
    for (query, headers, expected) in [
        ("", &[("Upload-Length", "1")][..], "invalid_request"),
        ("?path=/x", &[], "invalid_request"),
        ("?path=/x", &[("Upload-Length", "-1")], "invalid_request"),
        ("?path=x//y", &[("Upload-Length", "1")], "invalid_path"),
        ("?file_id=1", &[("Upload-Length", "1")], "invalid_request"),
        ("?path=/none&update=true", &[("Upload-Length", "1")], "not_found"),
        ("?path=/x", &[("Upload-Length", "1"), ("Upload-Metadata", "path !!")], "invalid_request"),
        ("?path=/x", &[("Upload-Length", "99999999999999999")], "too_large"),
    ] {
        let refused = create(query, headers).await.err().map(code);
        assert_eq!(refused.as_deref(), Some(expected), "{query} {headers:?}");
    }

    // No bytes at all; as other makers' clients say it; with the first bytes at once; with a length that comes late.
    let empty = create("?path=/empty", &[("Upload-Length", "0")]).await.expect("it begins");
    assert_eq!(offset(&empty.head(2).await), 0);
    assert_eq!(cluster.read(admin, 0, "/empty").await, Ok(Vec::new()));
    // "filename name.bin, filetype text/x-some"
    let metadata = "filename bmFtZS5iaW4=,filetype dGV4dC94LXNvbWU=";
    let named = create("", &[("Upload-Length", "5"), ("Upload-Metadata", metadata)]).await.expect("it begins");
    assert_eq!(named.patch(0, 0, "hello").send().await.expect("an answer").status(), 204);
    assert_eq!(cluster.get(1, "/stat?path=/name.bin").await.1["content_type"], json!("text/x-some"));
    let late = create("?path=/late", &[("Upload-Defer-Length", "1")]).await.expect("it begins");
    let bytes = noise(5, EXTENT + 100);
    assert_eq!(late.patch(2, 0, bytes[..EXTENT].to_vec()).send().await.expect("an answer").status(), 204);
    assert_eq!(header(&late.head(0).await, "upload-defer-length").as_deref(), Some("1"));
    let rest = late.patch(0, EXTENT, bytes[EXTENT..].to_vec()).header("Upload-Length", bytes.len());
    assert_eq!(rest.send().await.expect("an answer").status(), 204);
    assert_eq!(cluster.read(admin, 1, "/late").await, Ok(bytes.clone()));

    // The next version of a file, under a condition.
    let tag = |stat: &Value| format!("\"{}-{}\"", stat["file_id"], stat["version"]);
    let stat = cluster.get(0, "/stat?path=/late").await.1;
    let wrong = create("?path=/late&update=true", &[("Upload-Length", "3"), ("If-Match", "\"1-77\"")]).await;
    assert_eq!(wrong.err().map(code).as_deref(), Some("version_conflict"));
    let right = [("Upload-Length", "3"), ("If-Match", &tag(&stat))];
    let update = create("?path=/late&update=true", &right).await.expect("it begins");
    assert_eq!(update.patch(0, 0, "two").send().await.expect("an answer").status(), 204);
    assert_eq!(cluster.read(admin, 1, "/late").await, Ok(b"two".to_vec()));

    // A name that was taken meanwhile: the upload stays, and becomes another file.
    let taken = create("?path=/taken", &[("Upload-Length", "5")]).await.expect("it begins");
    assert_eq!(cluster.put(admin, 0, "/write?path=/taken", "other", &[]).await.0, 201);
    assert_eq!(taken.patch(0, 0, "large").send().await.expect("an answer").status(), 409);
    let id = taken.location.rsplit('/').next().expect("an id").to_owned();
    assert_eq!(offset(&taken.head(1).await), 5);
    let (status, stat) = cluster.post(admin, 2, "/uploads/finish", &json!({"upload_id": id, "path": "/free"})).await;
    assert_eq!((status, &stat["path"]), (200, &json!("/free")), "{stat}");
    let again = cluster.post(admin, 0, "/uploads/finish", &json!({"upload_id": id, "path": "/free"})).await;
    assert_eq!((again.0, &again.1["file_id"]), (200, &stat["file_id"]));
    assert_eq!(cluster.read(admin, 1, "/free").await, Ok(b"large".to_vec()));

    // Under one key it is one upload; others do not see it; it is given up.
    let keyed = [("Upload-Length", "9"), ("Idempotency-Key", "one")];
    let first = create("?path=/keyed", &keyed).await.expect("it begins");
    let second = create("?path=/keyed", &keyed).await.expect("it begins");
    assert_eq!(first.location, second.location);
    assert_eq!(first.patch(0, 0, "12345").send().await.expect("an answer").status(), 204);
    let bob = cluster.user("bob").await;
    let url = format!("{}{}", cluster.url(0), first.location);
    let foreign = cluster.http.head(url).bearer_auth(&bob.token).header("Tus-Resumable", "1.0.0").send().await;
    assert_eq!(foreign.expect("an answer").status(), 404);
    assert_eq!(first.patch(0, 5, "too much").send().await.expect("an answer").status(), 400);
    let (status, answer) = cluster.post(admin, 0, "/uploads/finish", &json!({"upload_id": first.location[9..]})).await;
    assert_eq!((status, &answer["code"]), (409, &json!("offset_conflict")), "{answer}");
    assert_eq!(first.request(Method::DELETE, 1).send().await.expect("an answer").status(), 204);
    assert_eq!(first.head(2).await.status(), 404);

    for file in cluster.get(0, "/list").await.1["files"].as_array().expect("files") {
        delete(&cluster, file["path"].as_str().expect("a path")).await;
    }
    nothing_is_left(&cluster).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_server_that_dies_in_the_middle_costs_nothing() {
    let mut cluster = set_up(3, 3).await;
    let size = 6 * EXTENT;
    let bytes = noise(9, size);
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Bytes, std::io::Error>>(1);
    let receiving =
        futures_util::stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)));
    let call = format!("{}/write?path=/through", cluster.url(1));
    let request = cluster.http.put(call).bearer_auth(&cluster.admin.token);
    let request = request.header("Content-Length", size).body(reqwest::Body::wrap_stream(Box::pin(receiving)));
    let sending = tokio::spawn(request.send());
    for (at, extent) in bytes.chunks(EXTENT).enumerate() {
        for frame in extent.chunks(1 << 18) {
            sender.send(Ok(Bytes::copy_from_slice(frame))).await.expect("it is taken");
        }
        if at == 2 {
            cluster.servers[0].kill();
        }
    }
    drop(sender);
    let answer = sending.await.expect("a task").expect("an answer");
    assert_eq!(answer.status(), 201, "{}", answer.text().await.unwrap_or_default());
    assert_eq!(cluster.read(&cluster.admin, 2, "/through").await.expect("it is there"), bytes);
    until("each extent has two copies that count", async || {
        let page = cluster.get(0, "/extents?path=/through").await.1;
        page["extents"].as_array().expect("extents").iter().all(|extent| {
            let counted =
                extent["replicas"].as_array().expect("replicas").iter().filter(|row| row["counts"] == json!(true));
            counted.count() == 2
        })
    })
    .await;
}

/// Both servers of an early extent end before the last byte has come: what is acknowledged is whole, and what cannot be had is
/// not acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn an_extent_that_is_lost_is_never_acknowledged() {
    let mut cluster = set_up(3, 2).await;
    let bytes = noise(11, 2 * EXTENT);
    let length = bytes.len().to_string();
    let location = {
        let tus = Tus::create(&cluster, 0, "?path=/lost", &[("Upload-Length", &length)]).await.expect("it begins");
        assert_eq!(tus.patch(0, 0, bytes[..EXTENT].to_vec()).send().await.expect("an answer").status(), 204);
        tus.location
    };
    cluster.servers.iter_mut().for_each(|server| server.kill());
    until("both are known to be down", async || {
        let ring = cluster.get(0, "/ring").await.1;
        ring["servers"].as_array().expect("servers").iter().all(|server| server["state"] == json!("down"))
    })
    .await;
    // A third one takes what still comes, and has nothing of what came before.
    let away = cluster.servers[0].data.with_extension("away");
    std::fs::rename(&cluster.servers[0].data, &away).expect("the disk goes");
    std::fs::create_dir(&cluster.servers[0].data).expect("an empty one comes");
    cluster.renew_token(0);
    cluster.servers[0].start();
    until("an empty server is up", async || {
        let ring = cluster.get(0, "/ring").await.1;
        ring["servers"].as_array().expect("servers").iter().any(|server| server["state"] == json!("up"))
    })
    .await;
    let tus = Tus { cluster: &cluster, location: location.clone() };
    let answer = tus.patch(1, EXTENT, bytes[EXTENT..].to_vec()).send().await.expect("an answer");
    let status = answer.status();
    let problem: Value = answer.json().await.expect("a problem");
    assert_eq!((status.as_u16(), &problem["code"]), (503, &json!("no_replica_available")), "{problem}");
    assert_eq!(cluster.get(0, "/stat?path=/lost").await.0, 404);
    assert_eq!(offset(&tus.head(2).await), bytes.len(), "it is kept");

    // The disk comes back, and the upload with it.
    cluster.servers[1].start();
    let id = location.rsplit('/').next().expect("an id").to_owned();
    within(Duration::from_secs(120), "the upload is whole", async || {
        cluster.post(&cluster.admin, 1, "/uploads/finish", &json!({"upload_id": id})).await.0 == 200
    })
    .await;
    assert_eq!(cluster.read(&cluster.admin, 2, "/lost").await.expect("it is there"), bytes);
}

/// A read that is slower than what is deleted lingers goes on to its last byte, whatever becomes of the file.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_read_outlives_its_file() {
    let cluster = set_up(3, 3).await;
    let admin = &cluster.admin;
    let bytes = noise(13, 24 * EXTENT);
    assert_eq!(cluster.put(admin, 0, "/write?path=/read", bytes.clone(), &[]).await.0, 201);
    let call = format!("{}/read?path=/read", cluster.url(1));
    let answer = cluster.http.get(call).bearer_auth(&admin.token).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let (mut stream, mut read) = (answer.bytes_stream(), Vec::new());
    // The pin comes in half of the second for which bytes linger; the end of all names comes after it.
    while read.len() < EXTENT {
        read.extend_from_slice(&stream.next().await.expect("more").expect("no break"));
    }
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(cluster.put(admin, 2, "/update?path=/read", "short", &[]).await.0, 200);
    delete(&cluster, "/read").await;
    // So long that all would be gone many times over.
    let many = cluster.blobs_on_disks().len();
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert!(cluster.blobs_on_disks().len() + 2 >= many, "nothing goes that is being read");
    while let Some(frame) = stream.next().await {
        read.extend_from_slice(&frame.expect("no break"));
    }
    assert!(read == bytes, "{} of {} bytes, and they are the file's", read.len(), bytes.len());
    nothing_is_left(&cluster).await;
}
