//! What was deleted, how much there is of whom, and how much there may be.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::backup::quick;
use crate::support::{Cluster, User, files_below, noise, until};

fn paths(trash: &Value) -> Vec<&str> {
    let entries = trash["entries"].as_array().unwrap_or_else(|| panic!("entries: {trash}"));
    entries.iter().map(|entry| entry["path"].as_str().expect("a path")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_deleted_comes_back_with_its_grants() {
    let cluster = Cluster::start(3, 2).await;
    let admin = &cluster.admin;
    let bob = cluster.user("bob").await;
    let stat = cluster.put(admin, 0, "/write?path=/d/e/a", "shared", &[]).await.1;
    let file = format!("file_id={}", stat["file_id"]);
    let grant = json!({"path": "/d/e/a", "username": "bob", "permission": "read"});
    assert_eq!(cluster.post(admin, 0, "/share", &grant).await.0, 200);
    assert_eq!(cluster.put(admin, 0, "/write?path=/single", "alone", &[]).await.0, 201);

    for node in 0..3 {
        let other = (node + 1) % 3;
        assert_eq!(cluster.post(admin, node, "/delete", &json!({"path": "/d", "recursive": true})).await.0, 204);
        assert_eq!(cluster.get_as(&bob, other, &format!("/stat?{file}")).await.0, 404);
        assert_eq!(cluster.get(other, "/stat?path=/d").await.0, 404);
        let trash = cluster.get(other, "/trash").await.1;
        let entry = &trash["entries"][0];
        assert_eq!((paths(&trash), &trash["next_cursor"]), (vec!["/d"], &Value::Null));
        assert_eq!(
            (&entry["kind"], &entry["size"], &entry["deleted_by"]),
            (&json!("directory"), &Value::Null, &json!("admin"))
        );
        assert!(entry["deleted_at"].as_str() < entry["kept_until"].as_str(), "{entry}");
        // It is its owner's alone.
        assert_eq!(cluster.get_as(&bob, other, "/trash").await.1["entries"], json!([]));
        let body = json!({"file_id": entry["file_id"]});
        assert_eq!(cluster.post(&bob, other, "/trash/restore", &body).await.0, 404);
        assert_eq!(cluster.post(&bob, other, "/trash/empty", &body).await.0, 404);
        let (status, stat) = cluster.post(admin, other, "/trash/restore", &body).await;
        assert_eq!((status, &stat["path"]), (200, &json!("/d")), "{stat}");
        assert_eq!(cluster.post(admin, other, "/trash/restore", &body).await.0, 404, "it is not there twice");
        let url = format!("{}/read?{file}", cluster.url(node));
        let read = cluster.http.get(url).bearer_auth(&bob.token).send().await.expect("an answer");
        assert_eq!(read.text().await.expect("bytes"), "shared", "the grant came back");
    }

    // A misspelt field does not empty the trash, and a taken name is left alone.
    assert_eq!(cluster.post(admin, 0, "/delete", &json!({"path": "/single"})).await.0, 204);
    let id = cluster.get(0, "/trash").await.1["entries"][0]["file_id"].clone();
    assert_eq!(cluster.post(admin, 0, "/trash/empty", &json!({"fileid": 1})).await.0, 400);
    assert_eq!(cluster.put(admin, 0, "/write?path=/single", "another", &[]).await.0, 201);
    let (status, answer) = cluster.post(admin, 1, "/trash/restore", &json!({"file_id": id})).await;
    assert_eq!((status, &answer["code"]), (409, &json!("already_exists")), "{answer}");
    assert_eq!(cluster.post(admin, 1, "/trash/restore", &json!({"file_id": id, "to": "a//b"})).await.0, 400);
    let (status, stat) = cluster.post(admin, 1, "/trash/restore", &json!({"file_id": id, "to": "/new/place"})).await;
    assert_eq!((status, &stat["path"]), (200, &json!("/new/place")), "{stat}");
    assert_eq!(cluster.read(admin, 2, "/new/place").await, Ok(b"alone".to_vec()));
    assert_eq!(cluster.read(admin, 2, "/single").await, Ok(b"another".to_vec()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_trash_leaves_no_byte() {
    let cluster = Cluster::set_up(quick(3, 3)).await;
    let admin = &cluster.admin;
    assert_eq!(cluster.post(admin, 0, "/admin/policy", &json!({"garbage_linger_ms": 0})).await.0, 200);
    for at in 0..5 {
        let (write, update) = (format!("/write?path=/{at}"), format!("/update?path=/{at}"));
        assert_eq!(cluster.put(admin, 0, &write, noise(at, 3000), &[]).await.0, 201);
        assert_eq!(cluster.put(admin, 1, &update, noise(at + 9, 300_000), &[]).await.0, 200);
        assert_eq!(cluster.post(admin, 2, "/delete", &json!({"path": format!("/{at}")})).await.0, 204);
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    for node in [0, 1, 2] {
        let page = cluster.get(node, &format!("/trash?limit=2{cursor}")).await.1;
        seen.extend(paths(&page).into_iter().map(str::to_owned));
        cursor = page["next_cursor"].as_str().map_or_else(String::new, |cursor| format!("&cursor={cursor}"));
    }
    assert_eq!((seen, cursor.as_str()), (["/0", "/1", "/2", "/3", "/4"].map(str::to_owned).to_vec(), ""));
    assert_eq!(cluster.blobs_on_disks().len(), 20, "two copies of each of ten versions");
    assert_eq!(cluster.get(1, "/usage").await.1["bytes"], 5 * 303_000);

    let id = cluster.get(0, "/trash").await.1["entries"][0]["file_id"].clone();
    let (status, emptied) = cluster.post(admin, 1, "/trash/empty", &json!({"file_id": id})).await;
    assert_eq!((status, emptied), (200, json!({"removed": 1, "more": false})));
    assert_eq!(paths(&cluster.get(2, "/trash").await.1), ["/1", "/2", "/3", "/4"]);
    let (status, emptied) = cluster.post(admin, 2, "/trash/empty", &json!({})).await;
    assert_eq!((status, emptied), (200, json!({"removed": 4, "more": false})));
    assert_eq!(cluster.get(0, "/trash").await.1["entries"], json!([]));
    until("no byte is left on any disk", async || cluster.blobs_on_disks().is_empty()).await;
    assert_eq!(cluster.get(1, "/usage").await.1, json!({"bytes": 0, "files": 0, "max_bytes": 0, "max_files": 0}));

    // Past the trash.
    assert_eq!(cluster.put(admin, 0, "/write?path=/a", "a", &[]).await.0, 201);
    assert_eq!(cluster.post(admin, 0, "/delete", &json!({"path": "/a", "permanently": true})).await.0, 204);
    assert_eq!(cluster.get(0, "/trash").await.1["entries"], json!([]));
    until("no byte is left on any disk", async || cluster.blobs_on_disks().is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_refuses_before_the_body_has_come() {
    let cluster = Cluster::start(3, 2).await;
    let admin = &cluster.admin;
    let bob = cluster.user("bob").await;
    let quota = |bytes: Value, files: Value| json!({"username": "bob", "max_bytes": bytes, "max_files": files});
    assert_eq!(cluster.post(&bob, 0, "/admin/quota", &quota(json!(0), json!(0))).await.0, 403);
    assert_eq!(cluster.post(admin, 0, "/admin/quota", &json!({"username": "nobody"})).await.0, 404);
    assert_eq!(cluster.post(admin, 0, "/admin/quota", &json!({"username": "bob", "bytes": 5})).await.0, 400);
    let (status, user) = cluster.post(admin, 1, "/admin/quota", &quota(json!(1000), Value::Null)).await;
    assert_eq!((status, &user["max_bytes"], &user["max_files"]), (200, &json!(1000), &Value::Null), "{user}");
    let ten = noise(1, 10);
    assert_eq!(cluster.put(&bob, 0, "/write?path=/a", ten.clone(), &[]).await.0, 201);
    for node in 0..3 {
        let usage = cluster.get_as(&bob, node, "/usage").await.1;
        assert_eq!(usage, json!({"bytes": 10, "files": 1, "max_bytes": 1000, "max_files": 0}));
        // No byte of the body is sent: it is refused all the same, and no file server has heard of it.
        for call in ["/write?path=/big", "/update?path=/a"] {
            let said = announce(&cluster, &bob, node, call, 100 << 20).await;
            assert!(said.starts_with("HTTP/1.1 507") && said.contains("quota_exceeded"), "{call} at {node}: {said}");
        }
        // One that does not say how long it is is broken off where the room ends.
        let pieces =
            noise(2, 3 << 20).chunks(1 << 16).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect::<Vec<_>>();
        let body = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
        let forward = [("Ringmaster-Routing", "forward")];
        let (status, answer) = cluster.put(&bob, node, "/write?path=/long", body, &forward).await;
        assert_eq!((status, &answer["code"]), (507, &json!("quota_exceeded")), "{answer}");
    }
    until("what was broken off is gone", async || {
        cluster.blobs_on_disks().len() == 2
            && cluster.servers.iter().all(|server| files_below(&server.data.join("tmp")).is_empty())
    })
    .await;
    // What the bound allows goes on, the old version counts, and so does a copy.
    assert_eq!(cluster.put(&bob, 1, "/update?path=/a", noise(3, 900), &[]).await.0, 200);
    assert_eq!(cluster.post(&bob, 1, "/copy", &json!({"path": "/a", "to": "/b"})).await.0, 507);
    assert_eq!(cluster.put(&bob, 1, "/update?path=/a", noise(4, 91), &[]).await.0, 507);
    assert_eq!(cluster.post(&bob, 1, "/versions/restore", &json!({"path": "/a", "version": 1})).await.0, 200);
    // A bound below what there is takes nothing away and lets everything out.
    assert_eq!(cluster.post(admin, 1, "/admin/quota", &quota(json!(1), json!(1))).await.0, 200);
    assert_eq!(cluster.put(&bob, 0, "/write?path=/c", "", &[]).await.0, 507, "one file more");
    assert_eq!(cluster.post(&bob, 0, "/delete", &json!({"path": "/a"})).await.0, 204);
    assert_eq!(cluster.put(&bob, 0, "/write?path=/c", "", &[]).await.0, 507, "what is in the trash counts");
    assert_eq!(cluster.post(&bob, 0, "/trash/empty", &json!({})).await.1, json!({"removed": 1, "more": false}));
    until("there is room again", async || cluster.put(&bob, 0, "/write?path=/c", "c", &[]).await.0 == 201).await;

    // The policy's bound is everybody's who has no own.
    assert_eq!(cluster.post(admin, 0, "/admin/policy", &json!({"quota_files": 1})).await.0, 200);
    assert_eq!(cluster.put(admin, 0, "/write?path=/1", "1", &[]).await.0, 201);
    let (status, answer) = cluster.put(admin, 2, "/write?path=/2", "2", &[]).await;
    assert_eq!((status, &answer["code"]), (507, &json!("quota_exceeded")), "{answer}");

    assert_eq!(cluster.get_as(&bob, 0, "/admin/users").await.0, 403);
    let users = cluster.get(2, "/admin/users?limit=1").await.1;
    let first = &users["users"][0];
    assert_eq!(
        (&first["username"], &first["admin"], &first["usage"]["max_files"]),
        (&json!("admin"), &json!(true), &json!(1))
    );
    let cursor = users["next_cursor"].as_str().expect("there is more");
    let rest = cluster.get(1, &format!("/admin/users?cursor={cursor}")).await.1;
    assert_eq!((&rest["users"][0]["username"], &rest["next_cursor"]), (&json!("bob"), &Value::Null));
    assert_eq!(cluster.get(1, "/admin/users?username=bob").await.1["users"], rest["users"]);
    assert_eq!(cluster.get(1, "/admin/users?username=nobody").await.0, 404);
}

/// What a node says to the head of an upload alone.
async fn announce(cluster: &Cluster, user: &User, node: usize, call: &str, length: u64) -> String {
    let address = cluster.url(node).strip_prefix("http://").expect("a url").to_owned();
    let mut stream = tokio::net::TcpStream::connect(&address).await.expect("it listens");
    let head = format!(
        "PUT {call} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\nContent-Length: {length}\r\n\
         Expect: 100-continue\r\nRingmaster-Routing: forward\r\n\r\n",
        user.token
    );
    stream.write_all(head.as_bytes()).await.expect("it is sent");
    let (mut said, mut piece) = (String::new(), [0; 4096]);
    let answered = tokio::time::timeout(Duration::from_secs(30), async {
        while !said.contains("\"request_id\"") {
            match stream.read(&mut piece).await {
                Ok(0) | Err(_) => break,
                Ok(length) => said.push_str(&String::from_utf8_lossy(&piece[..length])),
            }
        }
    });
    answered.await.unwrap_or_else(|_| panic!("no answer"));
    said
}
