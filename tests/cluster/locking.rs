//! Locks, fences and preconditions.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use ringmaster::trust::Identity;

use crate::support::{Cluster, User, until};

async fn lock(cluster: &Cluster, user: &User, node: usize, body: Value) -> (u16, Value) {
    cluster.post(user, node, "/lock", &body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_file_opens_to_its_token_alone() {
    let cluster = Cluster::start(3, 2).await;
    let admin = &cluster.admin;
    assert_eq!(cluster.put(admin, 0, "/write?path=/f", "one", &[]).await.0, 201);
    let (status, held) = lock(&cluster, admin, 1, json!({"path": "/f"})).await;
    assert_eq!(status, 200, "{held}");
    let token = held["lock_token"].as_str().expect("a token").to_owned();

    for node in 0..3 {
        for headers in [&[][..], &[("Lock-Token", "7.00ff")][..], &[("Lock-Token", "nonsense")][..]] {
            let (status, answer) = cluster.put(admin, node, "/update?path=/f", "two", headers).await;
            assert_eq!((status, answer["code"].as_str()), (423, Some("locked")), "{answer}");
        }
        let (status, answer) = cluster.post(admin, node, "/delete", &json!({"path": "/f"})).await;
        assert_eq!((status, answer["code"].as_str()), (423, Some("locked")), "{answer}");
        assert_eq!(cluster.post(admin, node, "/move", &json!({"from": "/f", "to": "/g"})).await.0, 423);
        assert_eq!(lock(&cluster, admin, node, json!({"path": "/f"})).await.0, 423, "a second lock, by the holder too");
        assert_eq!(cluster.read(admin, node, "/f").await, Ok(b"one".to_vec()), "unchanged");
        let stat = cluster.get(node, "/stat?path=/f").await.1;
        assert_eq!(
            (&stat["version"], &stat["lock"]["owner"], &stat["lock"]["fence"]),
            (&json!(1), &json!("admin"), &held["fence"])
        );
    }
    let (status, answer) = cluster.put(admin, 2, "/update?path=/f", "two", &[("Lock-Token", &token)]).await;
    assert_eq!((status, &answer["version"]), (200, &json!(2)), "{answer}");

    let locks = cluster.get(0, "/locks").await.1;
    assert_eq!((&locks["locks"][0]["path"], locks["locks"][0].get("lock_token")), (&json!("/f"), None), "{locks}");
    assert_eq!(
        cluster.post(admin, 0, "/renew", &json!({"lock_token": token, "ttl_ms": 5000})).await.1["fence"],
        held["fence"]
    );
    assert_eq!(cluster.post(admin, 1, "/unlock", &json!({"lock_token": token})).await.0, 204);
    assert_eq!(cluster.put(admin, 0, "/update?path=/f", "three", &[]).await.0, 200);
    assert_eq!(cluster.post(admin, 0, "/unlock", &json!({"lock_token": token})).await.0, 423, "it is unlocked already");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_of_an_expired_lock_is_refused_once_somebody_else_has_locked() {
    let cluster = Cluster::start(3, 2).await;
    let (admin, bert) = (&cluster.admin, cluster.user("bert").await);
    assert_eq!(cluster.put(admin, 0, "/write?path=/f", "one", &[]).await.0, 201);
    assert_eq!(
        cluster.post(admin, 0, "/share", &json!({"path": "/f", "username": "bert", "permission": "write"})).await.0,
        200
    );
    let (status, old) = lock(&cluster, admin, 0, json!({"path": "/f", "ttl_ms": 1000})).await;
    assert_eq!(status, 200, "{old}");
    let old_token = old["lock_token"].as_str().expect("a token").to_owned();
    let theirs = json!({"owner": "admin", "path": "/f"});
    let mut new = Value::Null;
    until("the lock has run out", async || {
        let (status, held) = lock(&cluster, &bert, 1, theirs.clone()).await;
        new = held;
        status == 200
    })
    .await;
    assert!(new["fence"].as_u64() > old["fence"].as_u64(), "fences only grow");

    let late = [("Lock-Token", old_token.as_str())];
    let (status, answer) = cluster.put(admin, 2, "/update?path=/f", "late", &late).await;
    assert_eq!((status, answer["code"].as_str()), (423, Some("locked")), "{answer}");
    assert_eq!(cluster.post(admin, 2, "/renew", &json!({"lock_token": old_token})).await.0, 423);
    // Also when the second holder is done: the old fence is behind the file's last.
    assert_eq!(cluster.post(&bert, 0, "/unlock", &json!({"lock_token": new["lock_token"]})).await.0, 204);
    assert_eq!(cluster.put(admin, 2, "/update?path=/f", "late", &late).await.0, 423);
    assert_eq!(cluster.read(admin, 0, "/f").await, Ok(b"one".to_vec()));
    assert_eq!(
        cluster.put(admin, 2, "/update?path=/f", "fresh", &[]).await.0,
        200,
        "without a token it is simply not locked"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_updates_with_one_etag_one_wins() {
    let cluster = Cluster::start(3, 3).await;
    let admin = &cluster.admin;
    for round in 0..10 {
        let path = format!("/race/{round}");
        let (_, stat) = cluster.put(admin, 0, &format!("/write?path={path}"), "base", &[]).await;
        let etag = format!("\"{}-1\"", stat["file_id"]);
        let update = async |node: usize, body: &'static str| {
            let call = format!("/update?path={path}");
            cluster.put(admin, node, &call, body, &[("If-Match", &etag)]).await
        };
        let (left, right) = tokio::join!(update(1, "left"), update(2, "right"));
        let mut statuses = [left.0, right.0];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 412], "{left:?} {right:?}");
        let winner: &[u8] = if left.0 == 200 { b"left" } else { b"right" };
        assert_eq!(cluster.read(admin, 0, &path).await, Ok(winner.to_vec()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lock_service_asks_what_a_user_may_do() {
    let cluster = Cluster::start(3, 2).await;
    let bert = cluster.user("bert").await;
    let (_, stat) = cluster.put(&cluster.admin, 0, "/write?path=/f", "one", &[]).await;
    let file = stat["file_id"].clone();
    let service = cluster.member(Identity::LockService);
    let ask = async |user: u64, mode: &str, token: Option<&str>| {
        let mut body = json!({"user_id": user, "file_id": file, "mode": mode});
        if let Some(token) = token {
            body["lock_token"] = json!(token);
        }
        let request = service.post(format!("{}/access", cluster.member_url(1))).json(&body);
        request.send().await.expect("an answer").json::<Value>().await.expect("JSON")
    };
    assert_eq!(ask(cluster.admin.id, "write", None).await["allowed"], true);
    assert_eq!(ask(bert.id, "read", None).await["allowed"], false);
    let (_, held) = lock(&cluster, &cluster.admin, 0, json!({"file_id": file})).await;
    let refused = ask(cluster.admin.id, "write", None).await;
    assert_eq!((&refused["allowed"], &refused["fence"]), (&json!(false), &held["fence"]), "{refused}");
    assert_eq!(ask(cluster.admin.id, "write", held["lock_token"].as_str()).await["allowed"], true);
    let body = json!({"user_id": 1, "file_id": 1, "mode": "read"});
    let (status, _) = cluster.post(&bert, 0, "/access", &body).await;
    assert_eq!(status, 404, "it is not users' to ask");
    let operator = cluster.member(Identity::Operator).post(format!("{}/access", cluster.member_url(0))).json(&body);
    assert_eq!(operator.send().await.expect("an answer").status().as_u16(), 403, "nor an operator's");
}

/// What has run out before a lock does not keep it: hundreds of remembered operations end in the same second. (That it is
/// so with a million of them is counted in `src/domain/plan/endings.rs`.)
#[tokio::test(flavor = "multi_thread")]
async fn a_lock_ends_within_a_second_of_its_time_while_much_else_ends() {
    const TTL: Duration = Duration::from_secs(4);
    let cluster = Cluster::start(1, 2).await;
    let admin = &cluster.admin;
    let policy = json!({"operation_ttl_ms": 2000});
    assert_eq!(cluster.post(admin, 0, "/admin/policy", &policy).await.0, 200);
    assert_eq!(cluster.put(admin, 0, "/write?path=/f", "one", &[]).await.0, 201);
    let (status, held) = lock(&cluster, admin, 0, json!({"path": "/f", "ttl_ms": TTL.as_millis() as u64})).await;
    assert_eq!(status, 200, "{held}");
    let locked = Instant::now();
    let mut made = 0;
    while locked.elapsed() < TTL - Duration::from_millis(1200) {
        let directories: Vec<_> = (made..made + 32).map(|number| json!({"path": format!("/d{number}")})).collect();
        let calls = directories.iter().map(|body| cluster.post(admin, 0, "/mkdir", body));
        futures_util::future::join_all(calls).await.iter().for_each(|(status, _)| assert_eq!(*status, 201));
        made += 32;
    }
    until("the lock has ended", async || cluster.get(0, "/stat?path=/f").await.1["lock"].is_null()).await;
    let late = locked.elapsed().saturating_sub(TTL);
    assert!(
        late < Duration::from_millis(1500),
        "it ended {late:?} late (the question takes its time, too), {made} changes"
    );
    assert!(locked.elapsed() >= TTL - Duration::from_millis(100), "it ended before its time");
}
