//! Uploads in parts: sent by several clients at several nodes, put together whatever happens meanwhile.
//! `RINGMASTER_TEST_PARTS` says how many parts the large one has.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use serde_json::{Value, json};

use crate::backup::{self, back_up, cli, quick, text, unused};

use crate::extents::small_extents;
use crate::support::{Cluster, User, noise, sha256, until, within};
use crate::upheaval::expect_clean;

/// Parts may be as small as this, so that ten thousand of them are no 50 GB.
async fn small_parts(cluster: &Cluster) {
    let policy = json!({"part_min_bytes": 1});
    assert_eq!(cluster.insist(&cluster.admin, 0, "/admin/policy", &policy).await.0, 200);
}

async fn set_up(nodes: usize, servers: usize) -> Cluster {
    let cluster = Cluster::set_up(quick(nodes, servers)).await;
    small_extents(&cluster).await;
    small_parts(&cluster).await;
    cluster
}

async fn begin(cluster: &Cluster, node: usize, path: &str) -> String {
    let (status, begun) = cluster.insist(&cluster.admin, node, "/uploads/parts", &json!({"path": path})).await;
    assert_eq!(status, 201, "{begun}");
    begun["upload_id"].as_str().expect("an id").to_owned()
}

/// Sends a part, and answers with how a list names it.
async fn put(cluster: &Cluster, node: usize, id: &str, part: u32, bytes: &[u8]) -> Value {
    let call = format!("/uploads/parts/{id}?part={part}");
    let (status, stored) = cluster.insist_put(&cluster.admin, node, &call, bytes).await;
    assert_eq!(status, 200, "part {part}: {stored}");
    assert_eq!((&stored["size"], &stored["sha256"]), (&json!(bytes.len()), &json!(sha256(bytes))), "{stored}");
    json!({"part": part, "sha256": stored["sha256"]})
}

fn complete(id: &str) -> String {
    format!("/uploads/parts/{id}/complete")
}

fn list(parts: &[Value]) -> Value {
    let mut parts = parts.to_vec();
    parts.sort_by_key(|part| part["part"].as_u64());
    json!({"parts": parts})
}

async fn delete(cluster: &Cluster, path: &str) {
    let body = json!({"path": path, "permanently": true, "recursive": true});
    let (status, answer) = cluster.insist(&cluster.admin, 0, "/delete", &body).await;
    assert_eq!(status, 204, "{answer}");
}

/// The disks hold nothing, the counts say so, and the rows of a node that was stopped fit together.
async fn nothing_is_left(mut cluster: Cluster) {
    // Ten thousand copies go in batches.
    within(Duration::from_secs(300), "no byte is left on any disk", async || cluster.blobs_on_disks().is_empty()).await;
    let usage = cluster.get(0, "/usage").await.1;
    assert_eq!((&usage["bytes"], &usage["files"]), (&json!(0), &json!(0)), "{usage}");
    expect_clean(&mut cluster).await;
}

/// Sizes differ, some parts are sent twice, and none in order.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_parts_become_one_file_though_the_leader_dies() {
    let count: u32 = std::env::var("RINGMASTER_TEST_PARTS").ok().and_then(|text| text.parse().ok()).unwrap_or(10_000);
    let cluster = Arc::new(set_up(3, 3).await);
    let id = Arc::new(begin(&cluster, 1, "/large").await);
    let bytes_of = |number: u32| noise(u64::from(number), 100 + number as usize % 900);
    let mut numbers: Vec<u32> = (1..=count).collect();
    numbers.sort_by_key(|number| u64::from(*number).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let began = Instant::now();
    // Three clients, each at a node of its own.
    let senders = (0..3_usize).map(|sender| {
        let (cluster, id) = (cluster.clone(), id.clone());
        let own: Vec<u32> = numbers.iter().copied().skip(sender).step_by(3).collect();
        tokio::spawn(async move {
            let send = |number: u32| {
                let (cluster, id) = (cluster.clone(), id.clone());
                async move {
                    if number.is_multiple_of(50) {
                        // What is replaced goes.
                        put(&cluster, sender, &id, number, &noise(u64::from(number) + 1, 77)).await;
                    }
                    put(&cluster, sender, &id, number, &bytes_of(number)).await
                }
            };
            futures_util::stream::iter(own).map(send).buffer_unordered(4).collect::<Vec<_>>().await
        })
    });
    let mut parts = Vec::new();
    for sender in senders.collect::<Vec<_>>() {
        parts.extend(sender.await.expect("it ends well"));
    }
    println!("{count} parts in {:?}", began.elapsed());
    let listed = cluster.get(2, &format!("/uploads/parts/{id}?limit=1000")).await.1;
    assert_eq!((&listed["upload"]["parts"], &listed["upload"]["completing"]), (&json!(count), &json!(false)));
    assert_eq!(listed["parts"].as_array().map(Vec::len), Some(1000.min(count as usize)));

    // Every tenth is left out. The leader goes as soon as pieces are being made of parts.
    parts.retain(|part| part["part"].as_u64().expect("a number") % 10 != 0);
    let wanted: Vec<u8> = (1..=count).filter(|number| number % 10 != 0).flat_map(bytes_of).collect();
    let body = list(&parts);
    let mut cluster = Arc::into_inner(cluster).expect("nobody else has it");
    let leader = cluster.leader().await;
    let other = (leader + 1) % 3;
    let request = cluster.http.post(format!("{}{}", cluster.url(other), complete(&id)));
    let completing = tokio::spawn(request.bearer_auth(&cluster.admin.token).json(&body).send());
    until("pieces are made", async || {
        let now = cluster.get(other, &format!("/uploads/parts/{id}?limit=1")).await.1;
        now["upload"]["completing"] == json!(true) || now["code"] == json!("not_found")
    })
    .await;
    cluster.nodes[leader].kill();
    let began = Instant::now();
    let first = completing.await.expect("a task").expect("an answer");
    println!("the completion under the dying leader: {} after {:?}", first.status(), began.elapsed());
    let first = if first.status() == 200 { first.json().await.ok() } else { None::<Value> };
    cluster.nodes[leader].start();
    let (status, stat) = cluster.insist(&cluster.admin, other, &complete(&id), &body).await;
    assert_eq!((status, &stat["size"], &stat["sha256"]), (200, &json!(wanted.len()), &Value::Null), "{stat}");
    if let Some(first) = first {
        assert_eq!(first["file_id"], stat["file_id"], "{first} and {stat}");
    }
    cluster.wait_ready().await;
    for node in 0..3 {
        let read = cluster.read(&cluster.admin, node, "/large").await.expect("it is there");
        assert!(read == wanted, "{} of {} bytes, and they are the parts'", read.len(), wanted.len());
    }
    // Whoever completes again hears the same, also when the file has become another.
    assert_eq!(cluster.put(&cluster.admin, 0, "/update?path=/large", "short", &[]).await.0, 200);
    let again = cluster.insist(&cluster.admin, leader, &complete(&id), &body).await;
    for field in ["file_id", "version", "size", "path", "modified_at"] {
        assert_eq!((again.0, &again.1[field]), (200, &stat[field]), "{field}");
    }
    let (status, other_list) = cluster.insist(&cluster.admin, other, &complete(&id), &list(&parts[1..])).await;
    assert_eq!((status, &other_list["code"]), (409, &json!("already_exists")), "{other_list}");
    delete(&cluster, "/large").await;
    nothing_is_left(cluster).await;
}

/// Parts of one extent and of several; each border of a piece and of an extent is read over.
#[tokio::test(flavor = "multi_thread")]
async fn ranges_copies_and_versions_are_right_at_every_border() {
    const EXTENT: usize = crate::extents::EXTENT;
    let cluster = set_up(3, 3).await;
    let admin = &cluster.admin;
    let id = begin(&cluster, 0, "/a").await;
    let sizes = [(4, 100), (1, EXTENT), (7, 2 * EXTENT + 5), (2, 1), (9, 3)];
    let mut parts = Vec::new();
    for (at, (number, size)) in sizes.into_iter().enumerate() {
        parts.push(put(&cluster, at % 3, &id, number, &noise(u64::from(number), size)).await);
    }
    // A large one is replaced by a small one, and a small one by a large one.
    parts.retain(|part| part["part"] != json!(4) && part["part"] != json!(7));
    parts.push(put(&cluster, 1, &id, 4, &noise(44, EXTENT + 64)).await);
    parts.push(put(&cluster, 2, &id, 7, &noise(77, 9)).await);
    let sorted = [(1, 1, EXTENT), (2, 2, 1), (4, 44, EXTENT + 64), (7, 77, 9), (9, 9, 3)];
    let wanted: Vec<u8> = sorted.iter().flat_map(|(_, seed, size)| noise(*seed, *size)).collect();
    let (status, stat) = cluster.insist(admin, 1, &complete(&id), &list(&parts)).await;
    assert_eq!((status, &stat["size"]), (200, &json!(wanted.len())), "{stat}");
    let extents = cluster.get(2, "/extents?path=/a").await.1;
    let extents: Vec<(usize, usize)> = extents["extents"]
        .as_array()
        .expect("extents")
        .iter()
        .map(|row| (row["offset"].as_u64().expect("where") as usize, row["size"].as_u64().expect("size") as usize))
        .collect();
    let mut borders = vec![0, EXTENT, EXTENT + 1, 2 * EXTENT + 1];
    borders.extend([2 * EXTENT + 65, 2 * EXTENT + 74]);
    assert_eq!(extents.iter().map(|(at, _)| *at).collect::<Vec<_>>(), borders);
    let range = async |node: usize, from: usize, to: usize| {
        let call = format!("{}/read?path=/a", cluster.url(node));
        let request = cluster.http.get(call).bearer_auth(&admin.token);
        let answer = request.header("Range", format!("bytes={from}-{}", to - 1)).send().await.expect("an answer");
        assert_eq!(answer.status(), 206);
        answer.bytes().await.expect("bytes").to_vec()
    };
    for (turn, border) in borders.iter().copied().chain([wanted.len()]).enumerate() {
        for (from, to) in
            [(border.saturating_sub(2), border + 2), (border.saturating_sub(1), border), (border, border + 1)]
        {
            let to = to.min(wanted.len());
            if from < to {
                assert_eq!(range(turn % 3, from, to).await, wanted[from..to], "{from}..{to}");
            }
        }
    }
    assert_eq!(range(0, 1, wanted.len() - 1).await, wanted[1..wanted.len() - 1]);
    // A copy moves no byte; an old version and the trash keep all.
    let stored = cluster.blobs_on_disks().len();
    assert_eq!(cluster.post(admin, 1, "/copy", &json!({"path": "/a", "to": "/copy"})).await.0, 201);
    assert_eq!(cluster.blobs_on_disks().len(), stored);
    assert_eq!(cluster.put(admin, 2, "/update?path=/a", "short", &[]).await.0, 200);
    let call = format!("{}/read?path=/a&version=1", cluster.url(0));
    let old = cluster.http.get(call).bearer_auth(&admin.token).send().await.expect("an answer");
    assert!(old.bytes().await.expect("bytes") == wanted, "the old version is right");
    delete(&cluster, "/a").await;
    assert!(cluster.read(admin, 2, "/copy").await == Ok(wanted), "the copy is whole without the original");
    delete(&cluster, "/copy").await;
    nothing_is_left(cluster).await;
}

/// Two clients complete one upload at two nodes; one gives up what another completes.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_end_an_upload_at_once_one_decides() {
    let cluster = set_up(3, 2).await;
    let admin = &cluster.admin;
    for turn in 0..6_u64 {
        let path = format!("/same-{turn}");
        let id = begin(&cluster, 0, &path).await;
        let mut parts = Vec::new();
        for number in 1..=300 {
            // Most have the bytes of another: what counts is their number.
            if number % 60 == 0 || number <= 3 {
                parts.push(put(&cluster, number as usize % 3, &id, number, &noise(turn, 50)).await);
            }
        }
        let (body, call) = (list(&parts), complete(&id));
        let (one, two) = tokio::join!(
            cluster.insist(admin, 0, &call, &body),
            cluster.insist(admin, 1 + turn as usize % 2, &call, &body)
        );
        assert_eq!((one.0, two.0), (200, 200), "{} {}", one.1, two.1);
        assert_eq!((&one.1["file_id"], &one.1["version"]), (&two.1["file_id"], &two.1["version"]));
        assert_eq!(cluster.read(admin, 2, &path).await.expect("it is there"), noise(turn, 50).repeat(parts.len()));
        delete(&cluster, &path).await;
    }
    for turn in 0..24_u64 {
        let path = format!("/either-{turn}");
        let id = begin(&cluster, 0, &path).await;
        let mut parts = Vec::new();
        for number in 1..=4 {
            parts.push(put(&cluster, 1, &id, number, &noise(turn, 50)).await);
        }
        let (body, call) = (list(&parts), complete(&id));
        let gives_up = async {
            tokio::time::sleep(Duration::from_millis(turn)).await;
            let url = format!("{}/uploads/parts/{id}", cluster.url(2));
            cluster.http.delete(url).bearer_auth(&admin.token).send().await.expect("an answer").status().as_u16()
        };
        let (completed, ended) = tokio::join!(cluster.insist(admin, 0, &call, &body), gives_up);
        println!("turn {turn}: completed {}, given up {ended}", completed.0);
        match completed.0 {
            200 => assert!([404, 409].contains(&ended), "{ended}"),
            404 => assert_eq!(ended, 204),
            other => panic!("{other} {}", completed.1),
        }
        let there = cluster.read(admin, 1, &path).await;
        assert_eq!(there.is_ok(), completed.0 == 200);
        if there.is_ok() {
            delete(&cluster, &path).await;
        }
    }
    nothing_is_left(cluster).await;
}

/// Each bad input is told what to do, and costs nothing.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_parts_is_said() {
    let cluster = Cluster::set_up(quick(3, 2)).await;
    let admin = &cluster.admin;
    let bob = cluster.user("bob").await;
    let id = begin(&cluster, 0, "/a").await;
    let at = |number: &str| format!("/uploads/parts/{id}?part={number}");
    let refused = |(status, answer): (u16, Value), wanted: u16, code: &str, says: &str| {
        let detail = answer["detail"].as_str().unwrap_or_default();
        assert_eq!((status, &answer["code"]), (wanted, &json!(code)), "{answer}");
        assert!(detail.contains(says), "{detail:?} does not say {says:?}");
    };
    for (number, says) in [("0", "1 to 10000"), ("10001", "1 to 10000"), ("x", "1 to 10000"), ("-1", "1 to 10000")] {
        refused(cluster.put(admin, 1, &at(number), "abc", &[]).await, 400, "invalid_request", says);
    }
    refused(cluster.put(admin, 1, &format!("/uploads/parts/{id}"), "abc", &[]).await, 400, "invalid_request", "part=");
    let wrong = ("Repr-Digest", "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:");
    refused(cluster.put(admin, 1, &at("1"), "abc", &[wrong]).await, 422, "checksum_mismatch", "digest");
    refused(
        cluster.put(admin, 1, &at("1"), "abc", &[("Content-Encoding", "gzip")]).await,
        400,
        "invalid_request",
        "compressed",
    );
    refused(cluster.put(&bob, 1, &at("1"), "abc", &[]).await, 404, "not_found", "begin a new one");
    let nobody = User { id: 0, token: "0".repeat(64) };
    assert_eq!(cluster.put(&nobody, 1, &at("1"), "abc", &[]).await.0, 401);
    refused(
        cluster.put(admin, 1, "/uploads/parts/xyz?part=1", "abc", &[]).await,
        404,
        "not_found",
        "32 hexadecimal digits",
    );

    let small = put(&cluster, 0, &id, 1, b"abc").await;
    let last = put(&cluster, 1, &id, 2, b"def").await;
    let call = complete(&id);
    let ask = async |user: &User, parts: Value| cluster.post(user, 2, &call, &json!({"parts": parts})).await;
    refused(ask(admin, json!([])).await, 400, "invalid_request", "empty");
    refused(ask(admin, json!([small, last])).await, 400, "invalid_request", "5242880");
    refused(ask(admin, json!([last, small])).await, 400, "invalid_request", "sort it");
    refused(ask(admin, json!([last, last])).await, 400, "invalid_request", "twice");
    refused(ask(admin, json!([{"part": 2, "sha256": small["sha256"]}])).await, 400, "invalid_request", "part 2");
    refused(ask(admin, json!([{"part": 3, "sha256": small["sha256"]}])).await, 400, "invalid_request", "no part 3");
    refused(ask(admin, json!([{"part": 2, "sha256": "abc"}])).await, 400, "invalid_request", "64 hexadecimal digits");
    refused(
        ask(admin, json!([{"part": 10_001, "sha256": last["sha256"]}])).await,
        400,
        "invalid_request",
        "1 to 10000",
    );
    let many: Vec<Value> = (1..=10_001).map(|part| json!({"part": part, "sha256": last["sha256"]})).collect();
    refused(ask(admin, json!(many)).await, 400, "invalid_request", "10000");
    refused(ask(&bob, json!([last])).await, 404, "not_found", "begin a new one");
    let unknown = cluster.post(admin, 0, &call, &json!({"parts": [last], "etag": 1})).await;
    assert_eq!(unknown.0, 400, "{}", unknown.1);
    // An upload in parts is none of the others.
    let finish = cluster.post(admin, 0, "/uploads/finish", &json!({"upload_id": id})).await;
    refused(finish, 400, "invalid_request", "in parts");
    let listed = cluster.get(1, "/uploads").await.1;
    assert_eq!((&listed["uploads"][0]["parts"], &listed["uploads"][0]["path"]), (&json!(2), &json!("/a")), "{listed}");
    let shown = cli(&cluster, &["uploads"]).await;
    assert_eq!((shown.code, &shown.out["uploads"][0]["upload_id"]), (Some(0), &json!(id)));
    // A name that is taken when it is completed: nobody is bound, and it becomes another file.
    assert_eq!(cluster.put(admin, 0, "/write?path=/a", "other", &[]).await.0, 201);
    refused(ask(admin, json!([last])).await, 409, "already_exists", "");
    let elsewhere = json!({"parts": [last], "path": "/b"});
    let (status, stat) = cluster.post(admin, 1, &call, &elsewhere).await;
    assert_eq!((status, &stat["path"]), (200, &json!("/b")), "{stat}");
    refused(cluster.put(admin, 1, &at("1"), "abc", &[]).await, 404, "not_found", "come to its end");
    refused(ask(admin, json!([small])).await, 409, "already_exists", "another list");
    assert_eq!(ask(admin, json!([last])).await.1["path"], json!("/b"), "the same list hears the same");

    // Under one key it is one upload; the command line shows and ends it.
    let begin = json!({"path": "/c", "content_type": "text/plain"});
    let key = [("Idempotency-Key", "parts")];
    let keyed = async || {
        let request = cluster.http.post(format!("{}/uploads/parts", cluster.url(1))).bearer_auth(&admin.token);
        let request = key.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        request.json(&begin).send().await.expect("an answer").json::<Value>().await.expect("JSON")
    };
    let (first, second) = (keyed().await, keyed().await);
    assert_eq!(first["upload_id"], second["upload_id"]);
    let id = first["upload_id"].as_str().expect("an id");
    put(&cluster, 0, id, 5, b"abc").await;
    assert_eq!(cli(&cluster, &["uploads", "rm", id]).await.code, Some(0));
    assert_eq!(cluster.get(0, &format!("/uploads/parts/{id}")).await.0, 404);
    delete(&cluster, "/a").await;
    delete(&cluster, "/b").await;
    nothing_is_left(cluster).await;
}

/// A server that dies between the first part and the last costs nothing, and a backup has the whole.
#[tokio::test(flavor = "multi_thread")]
async fn pieces_survive_a_server_and_come_back_from_a_backup() {
    let mut old = set_up(3, 3).await;
    let id = begin(&old, 0, "/kept").await;
    let mut parts = Vec::new();
    let mut wanted = Vec::new();
    for number in 1..=12_u32 {
        let size = if number == 5 { 2 * crate::extents::EXTENT + 11 } else { 1000 + number as usize };
        let bytes = noise(u64::from(number), size);
        parts.push(put(&old, number as usize % 3, &id, number, &bytes).await);
        wanted.extend(bytes);
        if number == 6 {
            old.servers[0].kill();
        }
    }
    let (status, stat) = old.insist(&old.admin, 1, &complete(&id), &list(&parts)).await;
    assert_eq!((status, &stat["size"]), (200, &json!(wanted.len())), "{stat}");
    assert!(old.read(&old.admin, 2, "/kept").await == Ok(wanted.clone()), "it is whole");
    until("each extent has two copies that count", async || {
        let page = old.get(0, "/extents?path=/kept&limit=100").await.1;
        page["extents"].as_array().expect("extents").iter().all(|extent| {
            let replicas = extent["replicas"].as_array().expect("replicas");
            replicas.iter().filter(|row| row["counts"] == json!(true)).count() == 2
        })
    })
    .await;
    // Under way when the backup is made: it is not in it.
    let open = begin(&old, 0, "/open").await;
    put(&old, 1, &open, 1, b"abc").await;
    let dir = old.dir.path().join("backup");
    back_up(&old, &dir).await;
    let checked = backup::verify(&dir).await;
    assert_eq!(checked.code, Some(0), "{}", checked.err);
    let new = unused(3, 2).await;
    let restored = backup::restore(&dir, &new).await;
    assert_eq!(restored.code, Some(0), "{} {}", restored.err, text(&dir));
    let admin = backup::login(&new, "admin").await;
    assert!(new.read(&admin, 1, "/kept").await == Ok(wanted.clone()), "it comes back right to its byte");
    let stat = new.get_as(&admin, 0, "/stat?path=/kept").await.1;
    assert_eq!(stat["sha256"], json!(sha256(&wanted)), "a restore sends it in order");
    let uploads = new.get_as(&admin, 0, "/uploads").await.1;
    assert_eq!(uploads["uploads"], json!([]));
}
