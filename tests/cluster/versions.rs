//! What files were, and copies: through every node, and with the leader gone in between.

use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::backup::quick;
use crate::idempotency::keyed;
use crate::support::{Cluster, User, noise, until};

async fn read(cluster: &Cluster, user: &User, node: usize, query: &str, headers: &[(&str, &str)]) -> Response {
    let request = cluster.http.get(format!("{}/read?{query}", cluster.url(node))).bearer_auth(&user.token);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.send().await.expect("an answer")
}

fn header(answer: &Response, name: &str) -> String {
    answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

/// Each version with whether it is kept for a time only.
fn listed(page: &Value) -> Vec<(u64, bool)> {
    let versions = page["versions"].as_array().unwrap_or_else(|| panic!("versions: {page}"));
    let row = |row: &Value| (row["version"].as_u64().expect("a version"), row["kept_until"].is_string());
    versions.iter().map(row).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_version_is_read_and_comes_back_through_every_node() {
    let cluster = Cluster::start(3, 2).await;
    let admin = &cluster.admin;
    let (status, stat) = cluster.put(admin, 0, "/write?path=/a", "the first", &[("Content-Type", "text/x-one")]).await;
    assert_eq!(status, 201, "{stat}");
    let id = stat["file_id"].as_u64().expect("an id");
    for (node, text) in [(1, "the second"), (2, "the third")] {
        assert_eq!(cluster.put(admin, node, "/update?path=/a", text, &[]).await.0, 200);
    }
    let bob = cluster.user("bob").await;
    let grant = json!({"path": "/a", "username": "bob", "permission": "read"});
    assert_eq!(cluster.post(admin, 0, "/share", &grant).await.0, 200);

    for node in 0..3 {
        let page = cluster.get(node, "/versions?path=/a").await.1;
        assert_eq!(listed(&page), [(3, false), (2, true), (1, true)], "{page}");
        let first = &page["versions"][2];
        assert_eq!((&first["made_by"], &first["size"]), (&json!("admin"), &json!(9)), "{first}");
        let page = cluster.get(node, "/versions?path=/a&limit=2").await.1;
        assert_eq!(listed(&page).len(), 2, "{page}");
        let cursor = page["next_cursor"].as_str().expect("there is more");
        let rest = cluster.get(node, &format!("/versions?file_id={id}&limit=2&cursor={cursor}")).await.1;
        assert_eq!((listed(&rest), &rest["next_cursor"]), (vec![(1, true)], &Value::Null));

        let whole = read(&cluster, admin, node, "path=/a&version=1", &[]).await;
        let etag = format!("\"{id}-1\"");
        assert_eq!((whole.status().as_u16(), header(&whole, "etag")), (200, etag.clone()));
        assert_eq!(header(&whole, "content-type"), "text/x-one");
        assert!(header(&whole, "repr-digest").starts_with("sha-256=:"));
        assert_eq!(whole.text().await.expect("bytes"), "the first");
        let part = read(&cluster, admin, node, "path=/a&version=2", &[("Range", "bytes=4-")]).await;
        assert_eq!((part.status().as_u16(), header(&part, "content-range")), (206, "bytes 4-9/10".to_owned()));
        assert_eq!(part.text().await.expect("bytes"), "second");
        let known = read(&cluster, admin, node, "path=/a&version=1", &[("If-None-Match", &etag)]).await;
        assert_eq!(known.status(), 304);
        let other = read(&cluster, admin, node, "path=/a&version=2", &[("If-Match", &etag)]).await;
        assert_eq!(other.status(), 412);
        let url = format!("{}/read?path=/a&version=1", cluster.url(node));
        let head = cluster.http.request(Method::HEAD, url).bearer_auth(&admin.token).send().await.expect("an answer");
        assert_eq!((head.status().as_u16(), header(&head, "content-length")), (200, "9".to_owned()));

        assert_eq!(read(&cluster, admin, node, "path=/a&version=9", &[]).await.status(), 404);
        assert_eq!(read(&cluster, admin, node, "path=/a&version=x", &[]).await.status(), 400);
        // Older versions may hold what a reader was not meant to see.
        assert_eq!(read(&cluster, &bob, node, "owner=admin&path=/a", &[]).await.status(), 200);
        assert_eq!(read(&cluster, &bob, node, "owner=admin&path=/a&version=1", &[]).await.status(), 403);
        assert_eq!(cluster.get_as(&bob, node, "/versions?owner=admin&path=/a").await.0, 403);
    }

    let back = |version: u64| json!({"path": "/a", "version": version});
    for node in 0..3 {
        // What was there before is the fourth version and so on; each time another one comes back.
        let (status, stat) = cluster.post(admin, node, "/versions/restore", &back(1 + node as u64)).await;
        assert_eq!((status, &stat["version"]), (200, &json!(4 + node)), "{stat}");
        let texts = ["the first", "the second", "the third"];
        assert_eq!(cluster.read(admin, (node + 1) % 3, "/a").await, Ok(texts[node].as_bytes().to_vec()));
    }
    let (status, answer) = cluster.post(admin, 1, "/versions/restore", &back(6)).await;
    assert_eq!((status, &answer["code"]), (400, &json!("invalid_request")), "it is there: {answer}");
    assert_eq!(cluster.post(admin, 1, "/versions/restore", &back(99)).await.0, 404);
    assert_eq!(cluster.post(&bob, 1, "/versions/restore", &json!({"file_id": id, "version": 1})).await.0, 403);
    let request = cluster.http.post(format!("{}/versions/restore", cluster.url(2))).bearer_auth(&admin.token);
    let answer = request.json(&back(5)).header("If-Match", format!("\"{id}-5\"")).send().await.expect("an answer");
    assert_eq!(answer.status(), 412, "another version is there");

    let held = cluster.post(admin, 0, "/lock", &json!({"path": "/a"})).await.1;
    assert_eq!(cluster.post(admin, 1, "/versions/restore", &back(5)).await.0, 423);
    let body = json!({"path": "/a", "version": 5, "lock_token": held["lock_token"]});
    assert_eq!(cluster.post(admin, 1, "/versions/restore", &body).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_moves_no_byte_and_outlives_the_original() {
    let cluster = Cluster::set_up(quick(3, 3)).await;
    let admin = &cluster.admin;
    let policy = json!({"garbage_linger_ms": 0});
    assert_eq!(cluster.post(admin, 0, "/admin/policy", &policy).await.0, 200);
    let large = noise(7, 20 << 20);
    assert_eq!(cluster.put(admin, 0, "/write?path=/large", large.clone(), &[]).await.0, 201);
    let disks = cluster.blobs_on_disks();
    assert_eq!(disks.len(), 2);
    let bob = cluster.user("bob").await;
    let (status, answer) =
        cluster.post(&bob, 0, "/copy", &json!({"owner": "admin", "path": "/large", "to": "/b"})).await;
    assert_eq!(status, 404, "bob may not read it: {answer}");
    let grant = json!({"path": "/large", "username": "bob", "permission": "read"});
    assert_eq!(cluster.post(admin, 0, "/share", &grant).await.0, 200);

    for node in 0..3 {
        let (status, stat) =
            cluster.post(admin, node, "/copy", &json!({"path": "/large", "to": format!("/x/{node}")})).await;
        assert_eq!((status, &stat["version"], &stat["size"]), (201, &json!(1), &json!(20 << 20)), "{stat}");
        let body = json!({"owner": "admin", "path": "/large", "to": format!("/mine/{node}")});
        let (status, stat) = cluster.post(&bob, node, "/copy", &body).await;
        assert_eq!((status, &stat["owner"]), (201, &json!("bob")), "{stat}");
        let taken = json!({"path": "/large", "to": format!("/x/{node}")});
        assert_eq!(cluster.post(admin, node, "/copy", &taken).await.0, 409);
        let (status, answer) = cluster.post(admin, node, "/copy", &json!({"path": "/x", "to": "/y"})).await;
        assert_eq!((status, &answer["code"]), (400, &json!("invalid_request")), "a directory: {answer}");
    }
    // Into another's tree only with a grant there.
    let into = json!({"owner": "admin", "path": "/large", "to": "/x/bobs", "to_owner": "admin"});
    assert_eq!(cluster.post(&bob, 1, "/copy", &into).await.0, 404, "bob sees nothing of /x");
    let grant = json!({"path": "/x", "username": "bob", "permission": "write"});
    assert_eq!(cluster.post(admin, 0, "/share", &grant).await.0, 200);
    assert_eq!(cluster.post(&bob, 1, "/copy", &into).await.0, 201);
    assert_eq!(cluster.blobs_on_disks(), disks, "no byte was moved");
    let usage = |user: &User| {
        let user = user.clone();
        let cluster = &cluster;
        async move { cluster.get_as(&user, 2, "/usage").await.1 }
    };
    assert_eq!(usage(&bob).await, json!({"bytes": 60 << 20, "files": 3, "max_bytes": 0, "max_files": 0}));

    let gone = json!({"path": "/large", "permanently": true});
    assert_eq!(cluster.post(admin, 2, "/delete", &gone).await.0, 204);
    assert_eq!(cluster.put(admin, 2, "/update?path=/x/0", "small", &[]).await.0, 200, "each goes its own way");
    for node in 0..3 {
        assert!(cluster.read(admin, node, "/x/1").await.as_deref() == Ok(&large[..]), "at node {node}");
        assert!(cluster.read(&bob, node, "/mine/2").await.as_deref() == Ok(&large[..]), "at node {node}");
    }
    // With the last name the bytes go.
    let all = |path: &str| json!({"path": path, "permanently": true, "recursive": true});
    assert_eq!(cluster.post(&bob, 0, "/delete", &all("/mine")).await.0, 204);
    assert_eq!(cluster.post(admin, 0, "/delete", &all("/x")).await.0, 204);
    until("no byte is left on any disk", async || cluster.blobs_on_disks().is_empty()).await;
    assert_eq!(usage(&bob).await["bytes"], 0);
}

/// One key, one effect and one answer, under whichever leader.
#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_under_the_next_leader_has_the_same_answer() {
    let mut cluster = Cluster::start(3, 2).await;
    let admin = cluster.admin.clone();
    for path in ["/a", "/gone", "/gone too"] {
        let call = format!("/write?path={}", path.replace(' ', "%20"));
        assert_eq!(cluster.put(&admin, 0, &call, "one", &[]).await.0, 201);
    }
    assert_eq!(cluster.put(&admin, 0, "/update?path=/a", "two", &[]).await.0, 200);
    for path in ["/gone", "/gone too"] {
        assert_eq!(cluster.post(&admin, 0, "/delete", &json!({"path": path})).await.0, 204);
    }
    let trash = cluster.get(0, "/trash").await.1;
    let id = trash["entries"][0]["file_id"].clone();
    let calls = [
        ("/copy", json!({"path": "/a", "to": "/copied"}), 201),
        ("/versions/restore", json!({"path": "/a", "version": 1}), 200),
        ("/trash/restore", json!({"file_id": id}), 200),
        ("/trash/empty", json!({}), 200),
        ("/admin/quota", json!({"username": "admin", "max_files": 100}), 200),
    ];
    let mut answers = Vec::new();
    let leader = cluster.leader().await;
    for (at, (call, body, expected)) in calls.iter().enumerate() {
        let (status, answer) = keyed(&cluster, at % 3, call, body, &format!("key-{at}")).await;
        assert_eq!(status, *expected, "{call}: {answer}");
        answers.push(answer);
    }
    assert_eq!(answers[3], json!({"removed": 1, "more": false}));
    cluster.nodes[leader].kill();
    until("another node leads", async || cluster.leader().await != leader).await;
    for node in (0..3).filter(|node| *node != leader) {
        for (at, (call, body, expected)) in calls.iter().enumerate() {
            let again = keyed(&cluster, node, call, body, &format!("key-{at}")).await;
            // Of what an admin set, what holds now is told.
            let fields = if call.starts_with("/admin") { json!({"max_files": 100}) } else { answers[at].clone() };
            assert_eq!(again.0, *expected, "{call} at node {node}");
            for (name, value) in fields.as_object().expect("fields") {
                assert_eq!(again.1[name], *value, "{call} at node {node}: {name}");
            }
        }
        let (status, answer) = keyed(&cluster, node, "/copy", &json!({"path": "/a", "to": "/other"}), "key-0").await;
        assert_eq!((status, &answer["code"]), (422, &json!("idempotency_key_reused")), "{answer}");
    }
    let node = cluster.leader().await;
    assert_eq!(listed(&cluster.get(node, "/versions?path=/a").await.1).len(), 3, "it came back once");
    // What the trash held is counted until the reaper has come past.
    until("/a, /copied and /gone are left", async || cluster.get(node, "/usage").await.1["files"] == 3).await;
    assert_eq!(cluster.get(node, "/trash").await.1["entries"], json!([]));
}

/// Changes go on while the leader is killed; each is repeated under its key until it has an answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_dies_in_between_loses_no_change_and_doubles_none() {
    const ROUNDS: u64 = 30;
    let mut cluster = Cluster::set_up(quick(3, 2)).await;
    let admin = cluster.admin.clone();
    let policy = json!({"garbage_linger_ms": 0, "versions_keep": 2});
    assert_eq!(cluster.post(&admin, 0, "/admin/policy", &policy).await.0, 200);
    assert_eq!(cluster.put(&admin, 0, "/write?path=/a", "first", &[]).await.0, 201);
    assert_eq!(cluster.put(&admin, 0, "/update?path=/a", "second", &[]).await.0, 200);
    let mut id = cluster.put(&admin, 0, "/write?path=/t", "thrown away", &[]).await.1["file_id"].clone();
    for round in 0..ROUNDS {
        let node = usize::try_from(round % 3).expect("small");
        let killed = match round {
            7 | 19 => {
                let leader = cluster.leader().await;
                cluster.nodes[leader].kill();
                Some(leader)
            }
            _ => None,
        };
        // The older of the two comes back, so that they take turns.
        let body = json!({"path": "/a", "version": round + 1});
        let (status, stat) = cluster.insist(&admin, node, "/versions/restore", &body).await;
        assert_eq!((status, &stat["version"]), (200, &json!(round + 3)), "{stat}");
        let body = json!({"path": "/a", "to": format!("/copies/{round}")});
        let (status, stat) = cluster.insist(&admin, node, "/copy", &body).await;
        assert_eq!(status, 201, "{stat}");
        assert_eq!(cluster.insist(&admin, node, "/delete", &json!({"path": "/t"})).await.0, 204);
        let (status, stat) = cluster.insist(&admin, node, "/trash/restore", &json!({"file_id": id})).await;
        assert_eq!((status, &stat["path"]), (200, &json!("/t")), "{stat}");
        id = stat["file_id"].clone();
        if let Some(killed) = killed {
            cluster.nodes[killed].start();
            cluster.wait_ready_after("its end").await;
        }
    }
    for node in 0..3 {
        let usage = cluster.get(node, "/usage").await.1;
        assert_eq!(usage["files"], ROUNDS + 2, "/a, /t and the copies: {usage}");
        let page = cluster.get(node, "/versions?path=/a").await.1;
        assert_eq!(listed(&page), [(ROUNDS + 2, false), (ROUNDS + 1, true), (ROUNDS, true)]);
        for (round, text) in [(0, "first"), (1, "second"), (ROUNDS - 2, "first"), (ROUNDS - 1, "second")] {
            let read = cluster.read(&admin, node, &format!("/copies/{round}")).await;
            assert_eq!(read, Ok(text.as_bytes().to_vec()), "round {round}");
        }
    }
    // Everything goes, and with it each byte.
    for path in ["/a", "/t", "/copies"] {
        let body = json!({"path": path, "recursive": true});
        assert_eq!(cluster.insist(&admin, 0, "/delete", &body).await.0, 204);
    }
    let (status, emptied) = cluster.insist(&admin, 1, "/trash/empty", &json!({})).await;
    assert_eq!((status, emptied), (200, json!({"removed": 3, "more": false})));
    until("no byte is left on any disk", async || cluster.blobs_on_disks().is_empty()).await;
    assert_eq!(cluster.get(2, "/usage").await.1["bytes"], 0);
}
