//! One `Idempotency-Key`, one effect, one answer: also at another node and under another leader.

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::support::{Cluster, files_below, noise, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_operation_has_one_effect_and_the_same_answer() {
    let mut cluster = Cluster::start(3, 3).await;
    let admin = cluster.admin.clone();
    let write = [("Idempotency-Key", "write-1")];
    let (status, first) = cluster.put(&admin, 0, "/write?path=/once", "bytes", &write).await;
    assert_eq!(status, 201, "{first}");
    let update = [("Idempotency-Key", "update-1")];
    let (status, second) = cluster.put(&admin, 1, "/update?path=/once", "more bytes", &update).await;
    assert_eq!((status, &second["version"]), (200, &json!(2)), "{second}");
    let lock_body = json!({"path": "/once"});
    let (status, held) = keyed(&cluster, 2, "/lock", &lock_body, "lock-1").await;
    assert_eq!(status, 200, "{held}");

    let leader = cluster.leader().await;
    for round in 0..2 {
        if round == 1 {
            cluster.nodes[leader].kill();
            until("another node leads", async || cluster.leader().await != leader).await;
        }
        for node in (0..3).filter(|node| cluster.nodes[*node].is_started()) {
            assert_eq!(cluster.put(&admin, node, "/write?path=/once", "bytes", &write).await, (201, first.clone()));
            assert_eq!(
                cluster.put(&admin, node, "/update?path=/once", "more bytes", &update).await,
                (200, second.clone())
            );
            assert_eq!(
                keyed(&cluster, node, "/lock", &lock_body, "lock-1").await,
                (200, held.clone()),
                "the same token again"
            );
            // The same key for another request.
            for (call, body) in [("/write?path=/once", "other"), ("/write?path=/twice", "bytes")] {
                let (status, answer) = cluster.put(&admin, node, call, body, &write).await;
                assert_eq!((status, answer["code"].as_str()), (422, Some("idempotency_key_reused")), "{answer}");
            }
        }
    }
    let token = held["lock_token"].as_str().expect("a token");
    let stat = cluster.get(cluster.leader().await, "/stat?path=/once").await.1;
    assert_eq!((&stat["version"], &stat["lock"]["fence"]), (&json!(2), &held["fence"]));
    let follower = cluster.leader().await;
    assert_eq!(cluster.put(&admin, follower, "/update?path=/once", "three", &[("Lock-Token", token)]).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_remembered_as_well() {
    let cluster = Cluster::start(3, 2).await;
    let body = json!({"path": "/not-there"});
    let (status, first) = keyed(&cluster, 0, "/delete", &body, "delete-1").await;
    assert_eq!(status, 404, "{first}");
    assert_eq!(cluster.put(&cluster.admin, 0, "/write?path=/not-there", "now it is", &[]).await.0, 201);
    assert_eq!(keyed(&cluster, 1, "/delete", &body, "delete-1").await.0, 404, "the same operation, the same answer");
    assert_eq!(keyed(&cluster, 1, "/delete", &body, "delete-2").await.0, 204);
}

/// An attempt that was held up on its way must not take effect after its client was refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_before_the_bytes_have_come_is_remembered_as_well() {
    let cluster = Cluster::start(3, 2).await;
    let admin = &cluster.admin;
    let (write, update) = ([("Idempotency-Key", "write-1")], [("Idempotency-Key", "update-1")]);
    assert_eq!(cluster.put(admin, 0, "/update?path=/late", "late", &update).await.0, 404);
    assert_eq!(cluster.put(admin, 0, "/write?path=/late", "now it is", &[]).await.0, 201);
    assert_eq!(cluster.put(admin, 1, "/write?path=/late", "late", &write).await.0, 409);
    let large = noise(1, 3 << 20);
    for node in 0..3 {
        assert_eq!(cluster.put(admin, node, "/update?path=/late", "late", &update).await.0, 404);
        assert_eq!(cluster.put(admin, node, "/update?path=/late", large.clone(), &update).await.0, 404);
        let (status, answer) = cluster.put(admin, node, "/update?path=/other", "late", &update).await;
        assert_eq!((status, answer["code"].as_str()), (422, Some("idempotency_key_reused")), "{answer}");
    }
    assert_eq!(cluster.post(admin, 0, "/delete", &json!({"path": "/late"})).await.0, 204);
    assert_eq!(cluster.put(admin, 2, "/write?path=/late", "late", &write).await.0, 409, "the same operation");
    assert_eq!(cluster.put(admin, 2, "/write?path=/late", "late", &[("Idempotency-Key", "write-2")]).await.0, 201);
    // A change that is possible is not refused for the look at it.
    assert_eq!(cluster.put(admin, 1, "/update?path=/late", large, &[("Idempotency-Key", "update-2")]).await.0, 200);
}

/// The first attempt hangs with half of its body at one node; its client goes to another node, is refused, and is told
/// so. The first attempt must not take effect after that.
#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_hangs_does_nothing_after_its_repeat_was_refused() {
    let cluster = Cluster::start(3, 2).await;
    let admin = &cluster.admin;
    assert_eq!(cluster.put(admin, 0, "/write?path=/f", "one", &[]).await.0, 201);
    let key = [("Idempotency-Key", "update-1"), ("Ringmaster-Routing", "forward")];
    let (mut rest, body) = tokio::io::duplex(64);
    let stream = reqwest::Body::wrap_stream(tokio_util::io::ReaderStream::new(body));
    let hanging = cluster.put(admin, 0, "/update?path=/f", stream, &key);
    let meanwhile = async {
        rest.write_all(b"tw").await.expect("it is sent");
        // Its early look at the directory is behind it, so the lock cannot stop it.
        until("the first bytes are on a file server", async || {
            cluster.servers.iter().any(|server| !files_below(&server.data.join("tmp")).is_empty())
        })
        .await;
        let (status, held) = cluster.post(admin, 1, "/lock", &json!({"path": "/f"})).await;
        assert_eq!(status, 200, "{held}");
        let (status, answer) = cluster.put(admin, 1, "/update?path=/f", "two", &key).await;
        assert_eq!(status, 423, "{answer}");
        let unlock = json!({"lock_token": held["lock_token"]});
        assert_eq!(cluster.post(admin, 1, "/unlock", &unlock).await.0, 204);
        rest.write_all(b"o").await.expect("it is sent");
        drop(rest);
    };
    let ((status, answer), ()) = tokio::join!(hanging, meanwhile);
    assert_eq!(status, 423, "the answer that the operation has had: {answer}");
    assert_eq!(cluster.read(admin, 2, "/f").await, Ok(b"one".to_vec()));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_users_may_choose_the_same_key() {
    let cluster = Cluster::start(1, 2).await;
    let bert = cluster.user("bert").await;
    let key = [("Idempotency-Key", "same")];
    assert_eq!(cluster.put(&cluster.admin, 0, "/write?path=/a", "admin's", &key).await.0, 201);
    assert_eq!(cluster.put(&bert, 0, "/write?path=/a", "bert's", &key).await.0, 201);
    assert_eq!(cluster.read(&bert, 0, "/a").await, Ok(b"bert's".to_vec()));
}

pub(crate) async fn keyed(cluster: &Cluster, node: usize, call: &str, body: &Value, key: &str) -> (u16, Value) {
    let request = cluster.http.post(format!("{}{call}", cluster.url(node))).bearer_auth(&cluster.admin.token);
    let answer = request.header("Idempotency-Key", key).json(body).send().await.expect("an answer");
    (answer.status().as_u16(), answer.json().await.unwrap_or(Value::Null))
}

/// Strangers sign up without an account, so nobody owns their keys: each username has its own.
#[tokio::test(flavor = "multi_thread")]
async fn two_strangers_may_sign_up_under_the_same_key() {
    let cluster = Cluster::start(1, 2).await;
    let signup = async |username: &str, password: &str| {
        let request = cluster.http.post(format!("{}/signup", cluster.url(0))).header("Idempotency-Key", "1");
        let answer = request.json(&json!({"username": username, "password": password})).send().await;
        let answer = answer.expect("an answer");
        (answer.status().as_u16(), answer.json::<Value>().await.expect("JSON"))
    };
    let (status, cora) = signup("cora", "correct horse").await;
    assert_eq!(status, 201, "{cora}");
    assert_eq!(signup("dora", "correct horse").await.0, 201);
    assert_eq!(signup("cora", "correct horse").await, (201, cora), "the same request, the same answer");
    let (status, answer) = signup("cora", "another horse").await;
    assert_eq!((status, answer["code"].as_str()), (422, Some("idempotency_key_reused")), "{answer}");
}
