//! What an admin does with other accounts, at all nodes at once and whoever leads.

use serde_json::{Value, json};

use crate::accounts::out;
use crate::support::{Cluster, PASSWORD, User, until};

async fn login(cluster: &Cluster, node: usize, body: &Value) -> (u16, Value) {
    let answer = cluster.http.post(format!("{}/login", cluster.url(node))).json(body).send().await.expect("an answer");
    (answer.status().as_u16(), answer.json().await.expect("JSON"))
}

fn user(login: &Value) -> User {
    User { id: login["user_id"].as_u64().expect("an id"), token: login["token"].as_str().expect("a token").to_owned() }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_added_user_sets_a_password_by_the_code_and_so_does_one_who_forgot_it() {
    let cluster = Cluster::start(3, 0).await;
    out(&cluster, Some(&cluster.admin), &["policy", "set", "signup_mode=closed"], 0);
    let code = out(&cluster, Some(&cluster.admin), &["users", "add", "eve"], 0).trim().to_owned();
    let (status, refused) = login(&cluster, 1, &json!({"username": "eve", "password": code})).await;
    assert_eq!((status, refused["code"].as_str()), (403, Some("forbidden")), "{refused}");
    assert!(refused["detail"].as_str().is_some_and(|detail| detail.contains("new_password")), "{refused}");
    for wrong in ["AAAAA-AAAAA-AAAAA-AAAAA", "*", PASSWORD] {
        let body = json!({"username": "eve", "password": wrong, "new_password": PASSWORD});
        assert_eq!(login(&cluster, 2, &body).await.0, 401, "{wrong}");
    }
    let short = json!({"username": "eve", "password": code, "new_password": "short"});
    assert_eq!(login(&cluster, 0, &short).await.0, 400);
    let by_code = json!({"username": "eve", "password": code.to_lowercase(), "new_password": PASSWORD});
    let (status, first) = login(&cluster, 1, &by_code).await;
    assert_eq!(status, 200, "{first}");
    // The answer was lost: the same again is a login.
    assert_eq!(login(&cluster, 2, &by_code).await.0, 200);
    let other = json!({"username": "eve", "password": code, "new_password": "another password"});
    assert_eq!(login(&cluster, 2, &other).await.0, 401, "the code is used up");
    let eve = user(&login(&cluster, 0, &json!({"username": "eve", "password": PASSWORD})).await.1);

    let code = out(&cluster, Some(&cluster.admin), &["users", "reset", "eve"], 0).trim().to_owned();
    for node in 0..3 {
        assert_eq!(cluster.get_as(&eve, node, "/usage").await.0, 401, "sessions ended");
        assert_eq!(login(&cluster, node, &json!({"username": "eve", "password": PASSWORD})).await.0, 401);
    }
    let told = out(&cluster, None, &["login", "eve", "--code", &code, "--password", "yet another one"], 0);
    assert!(told.starts_with("logged in as eve"), "{told}");
    assert_eq!(login(&cluster, 0, &json!({"username": "eve", "password": "yet another one"})).await.0, 200);
    assert_eq!(cluster.post(&eve, 0, "/admin/users", &json!({"username": "mallory"})).await.0, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sessions_of_who_is_disabled_end_at_once_at_every_node() {
    let cluster = Cluster::start(3, 2).await;
    let bob = cluster.user("bob").await;
    assert_eq!(cluster.put(&bob, 0, "/write?path=/a", "bytes", &[]).await.0, 201);
    let share = json!({"path": "/a", "username": "admin", "permission": "read"});
    assert_eq!(cluster.post(&bob, 0, "/share", &share).await.0, 200);
    assert_eq!(cluster.post(&bob, 0, "/admin/users/set", &json!({"username": "admin", "disabled": true})).await.0, 403);
    let own = json!({"username": "admin", "disabled": true});
    assert_eq!(cluster.post(&cluster.admin, 1, "/admin/users/set", &own).await.0, 403);
    assert_eq!(out(&cluster, Some(&cluster.admin), &["users", "disable", "bob"], 0), "bob disabled\n");
    for node in 0..3 {
        assert_eq!(cluster.get_as(&bob, node, "/usage").await.0, 401, "at node {node}");
        let (status, answer) = login(&cluster, node, &json!({"username": "bob", "password": PASSWORD})).await;
        assert_eq!((status, answer["code"].as_str()), (403, Some("forbidden")), "{answer}");
        let wrong = json!({"username": "bob", "password": "wrong password"});
        assert_eq!(login(&cluster, node, &wrong).await.0, 401, "who does not know the password learns nothing");
    }
    let read = cluster.http.get(format!("{}/read?owner=bob&path=/a", cluster.url(2))).bearer_auth(&cluster.admin.token);
    assert_eq!(read.send().await.expect("an answer").status(), 200, "what was shared stays shared");
    out(&cluster, Some(&cluster.admin), &["users", "enable", "bob"], 0);
    let (status, again) = login(&cluster, 1, &json!({"username": "bob", "password": PASSWORD})).await;
    assert_eq!(status, 200, "{again}");
    assert_eq!(cluster.read(&user(&again), 0, "/a").await, Ok(b"bytes".to_vec()));
    assert_eq!(out(&cluster, Some(&cluster.admin), &["users", "promote", "bob"], 0), "bob admin\n");
    assert_eq!(cluster.get_as(&user(&again), 2, "/admin/policy").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_removed_user_had_is_handed_over_though_leaders_die() {
    let mut cluster = Cluster::start(3, 2).await;
    let (bob, eve) = (cluster.user("bob").await, cluster.user("eve").await);
    for number in 0..300 {
        let mkdir = json!({"path": format!("/d{}/{number}/x/y/z", number % 5)});
        assert_eq!(cluster.insist(&bob, number % 3, "/mkdir", &mkdir).await.0, 201);
    }
    for number in 0..20 {
        let call = format!("/write?path=/d{}/file-{number}", number % 5);
        assert_eq!(cluster.insist_put(&bob, 0, &call, format!("bytes {number}").as_bytes()).await.0, 201);
    }
    let remove = json!({"username": "bob", "heir": "eve"});
    assert_eq!(cluster.post(&eve, 0, "/admin/users/remove", &remove).await.0, 403);
    let (status, told) = cluster.insist(&cluster.admin, 0, "/admin/users/remove", &remove).await;
    assert_eq!((status, told["heir"].as_str()), (202, Some("eve")), "{told}");
    let leader = cluster.leader().await;
    cluster.nodes[leader].kill();
    let node = (leader + 1) % 3;
    // Hers at once, and his no more.
    assert_eq!(cluster.get_as(&bob, node, "/usage").await.0, 401);
    until("the heir reads a file", async || {
        cluster.read(&eve, node, "/bob/d3/file-3").await == Ok(b"bytes 3".to_vec())
    })
    .await;
    until("the account is gone", async || {
        let (status, users) = cluster.get(node, "/admin/users").await;
        status == 200
            && users["users"].as_array().is_some_and(|users| users.iter().all(|user| user["username"] != "bob"))
    })
    .await;
    cluster.nodes[leader].start();
    cluster.wait_ready().await;
    for number in 0..20 {
        let path = format!("/bob/d{}/file-{number}", number % 5);
        let read = cluster.read(&eve, leader, &path).await;
        assert_eq!(read, Ok(format!("bytes {number}").into_bytes()), "{path}");
    }
    let usage = cluster.get_as(&eve, leader, "/usage").await.1;
    assert_eq!(usage["files"], 20, "{usage}");
    let delete = json!({"path": "/bob", "recursive": true, "permanently": true});
    assert_eq!(cluster.insist(&eve, node, "/delete", &delete).await.0, 204, "it is all hers to remove");

    // By hand, and to the admin's trash.
    out(&cluster, Some(&cluster.admin), &["users", "add", "carl"], 0);
    let gone = async || out(&cluster, Some(&cluster.admin), &["users"], 0);
    assert!(gone().await.contains("carl"));
    out(&cluster, Some(&cluster.admin), &["users", "remove", "carl"], 0);
    until("carl is gone", async || !gone().await.contains("carl")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_leaves_a_share_and_the_lock_goes_with_it() {
    let cluster = Cluster::start(3, 2).await;
    let receiver = cluster.user("bob").await;
    assert_eq!(cluster.put(&cluster.admin, 0, "/write?path=/d/a", "bytes", &[]).await.0, 201);
    let share = json!({"path": "/d", "username": "bob", "permission": "write"});
    assert_eq!(cluster.post(&cluster.admin, 0, "/share", &share).await.0, 200);
    let all = async || cluster.get_as(&receiver, 1, "/all").await.1["files"].as_array().map_or(0, Vec::len);
    assert_eq!(all().await, 1);
    let (status, lock) = cluster.post(&receiver, 1, "/lock", &json!({"owner": "admin", "path": "/d/a"})).await;
    assert_eq!(status, 200, "{lock}");
    out(&cluster, Some(&receiver), &["leave", "admin:/d/a"], 1);
    out(&cluster, Some(&receiver), &["leave", "admin:/d"], 0);
    assert_eq!(all().await, 0);
    assert_eq!(
        cluster.post(&cluster.admin, 2, "/lock", &json!({"path": "/d/a"})).await.0,
        200,
        "the lock went with the right"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_tells_who_did_what() {
    let cluster = Cluster::start(3, 2).await;
    let bob = cluster.user("bob").await;
    assert_eq!(cluster.put(&bob, 0, "/write?path=/a", "bytes", &[]).await.0, 201);
    let share = json!({"path": "/a", "username": "admin", "permission": "read"});
    assert_eq!(cluster.post(&bob, 1, "/share", &share).await.0, 200);
    assert_eq!(cluster.post(&bob, 2, "/delete", &json!({"path": "/nothing"})).await.0, 404);
    out(&cluster, Some(&cluster.admin), &["users", "disable", "bob"], 0);
    let (status, told) = cluster.get(2, "/admin/audit").await;
    assert_eq!(status, 200, "{told}");
    let entries = told["entries"].as_array().expect("entries");
    let seen: Vec<_> =
        entries.iter().map(|entry| (&entry["by"], &entry["what"], &entry["on"], &entry["from"])).collect();
    let here = json!("127.0.0.1");
    let words = ["admin", "bob", "account.signup", "share", "/a", "account.set"].map(|word| json!(word));
    let [admin, bob_name, signup, shared, path, set] = &words;
    assert_eq!(
        seen,
        [
            (admin, signup, admin, &here),
            (bob_name, signup, bob_name, &here),
            (bob_name, shared, path, &here),
            (admin, set, bob_name, &here),
        ]
    );
    let shown = out(&cluster, Some(&cluster.admin), &["audit", "--from", "4"], 0);
    assert!(shown.contains("account.set") && shown.contains("disabled=true"), "{shown}");
    let carl = cluster.user("carl").await;
    assert_eq!(cluster.get_as(&carl, 0, "/admin/audit").await.0, 403);
    // Whichever leads by then.
    let told = |node: &crate::support::Process| node.log_text().contains("the head of the audit");
    until("a leader logs the head", async || cluster.nodes.iter().any(told)).await;
}
