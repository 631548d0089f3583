//! What an admin changes of a running cluster, over HTTP and with the program's own client.

use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::{Cluster, until};

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_is_set_by_an_admin_alone_and_within_bounds() {
    let cluster = Cluster::start(3, 2).await;
    let bob = cluster.user("bob").await;
    let node = cluster.follower().await;
    let (status, before) = cluster.get(node, "/admin/policy").await;
    assert_eq!((status, &before["copies"]), (200, &json!(2)), "{before}");

    for call in ["policy", "drain", "remove", "rebalance", "scrub"] {
        let body = if matches!(call, "drain" | "remove") { json!({"server_id": 1}) } else { json!({}) };
        let (status, answer) = cluster.post(&bob, node, &format!("/admin/{call}"), &body).await;
        assert_eq!((status, &answer["code"]), (403, &json!("forbidden")), "{call}");
    }
    let (status, answer) = cluster.get_as(&bob, node, "/admin/policy").await;
    assert_eq!((status, &answer["code"]), (403, &json!("forbidden")));

    for body in [json!({"copies": 0}), json!({"copies": 6}), json!({"copy": 2}), json!({"session_ttl_ms": 1})] {
        let (status, answer) = cluster.post(&cluster.admin, node, "/admin/policy", &body).await;
        assert_eq!((status, &answer["code"]), (400, &json!("invalid_request")), "{body}");
    }
    assert_eq!(cluster.get(node, "/admin/policy").await.1, before, "what was refused changed nothing");

    let change = json!({"garbage_grace_ms": 60_000, "rebalance_percent": 0});
    let (status, after) = cluster.post(&cluster.admin, node, "/admin/policy", &change).await;
    assert_eq!(status, 200, "{after}");
    let mut expected = before;
    expected["garbage_grace_ms"] = json!(60_000);
    expected["rebalance_percent"] = json!(0);
    for at in 0..3 {
        assert_eq!(cluster.get(at, "/admin/policy").await.1, expected, "at node {at}");
    }

    assert_eq!(out(&cluster, &["policy", "set", "garbage_grace=2h"], 0), out(&cluster, &["policy", "show"], 0));
    assert!(out(&cluster, &["policy", "show"], 0).contains("garbage_grace=2h "));
    assert!(out(&cluster, &["policy", "set", "copies=9"], 1).contains("copies is 1 to 5"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_drained_taken_back_and_removed() {
    let cluster = Cluster::start(3, 3).await;
    let node = cluster.follower().await;
    let server = async |id: u64| -> Value {
        let ring = cluster.get(node, "/ring").await.1;
        let servers = ring["servers"].as_array().expect("servers").clone();
        servers.into_iter().find(|server| server["server_id"] == id).unwrap_or(Value::Null)
    };

    let told = out(&cluster, &["ring", "drain", "3"], 0);
    assert_eq!(told, "file server 3 is draining: empty: safe to stop\n");
    let drained = server(3).await;
    let state = ["state", "leaving", "drained", "moving"].map(|field| drained[field].clone());
    assert_eq!(state, [json!("draining"), json!(true), json!(true), json!(0)]);
    assert_eq!(cluster.get(node, "/ring").await.1["order"], json!([1, 2]));
    let shown = out(&cluster, &["ring", "status"], 0);
    assert!(shown.contains("ring 1 > 2\n") && shown.contains("empty: safe to stop"), "{shown}");
    assert!(shown.contains("\nevery file has its copies\n"), "{shown}");

    assert_eq!(out(&cluster, &["ring", "drain", "3", "--cancel"], 0), "file server 3 is up\n");
    assert_eq!(cluster.get(node, "/ring").await.1["order"], json!([1, 2, 3]));
    assert!(out(&cluster, &["ring", "remove", "3"], 1).contains("drain it first"));
    assert!(out(&cluster, &["ring", "drain", "9"], 1).contains("there is no file server 9"));

    let (status, scrubbing) = cluster.post(&cluster.admin, node, "/admin/scrub", &json!({"server_id": 9})).await;
    assert_eq!((status, &scrubbing["code"]), (404, &json!("not_found")));
    let scrubbing = out(&cluster, &["ring", "scrub"], 0);
    assert!(scrubbing.starts_with("checking everything: file servers "), "{scrubbing}");
    out(&cluster, &["ring", "rebalance", "--stop"], 0);
    let replication = cluster.get(node, "/replication").await.1;
    assert_eq!(replication["sweeps"], json!([{"kind": "balance", "state": "resting", "through": null}]));
    assert!(out(&cluster, &["replication", "status"], 0).contains("resting"));

    let (status, written) =
        cluster.put(&cluster.admin, node, "/write?path=/a", "bytes", &[("ringmaster-routing", "forward")]).await;
    assert_eq!(status, 201, "{written}");
    let holder = written["replicas"][0]["server_id"].as_u64().expect("a server").to_string();
    // Once its files are moved it may be removed; before, it may not.
    out(&cluster, &["ring", "drain", &holder], 0);
    let removal = cluster_command(&cluster, &["ring", "remove", &holder]);
    assert!(matches!(removal.status.code(), Some(0 | 1)), "{removal:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_server_is_seen() {
    let mut cluster = Cluster::start(3, 2).await;
    let node = cluster.follower().await;
    let (status, written) =
        cluster.put(&cluster.admin, node, "/write?path=/a", "bytes", &[("ringmaster-routing", "forward")]).await;
    assert_eq!(status, 201, "{written}");
    let ring = cluster.get(node, "/ring").await.1;
    let url = cluster.servers[1].url.as_str();
    let rows = ring["servers"].as_array().expect("servers");
    let dead = rows.iter().find(|row| row["url"] == url).expect("it is there")["server_id"].clone();
    let is_down = format!("file server {dead} is down");
    cluster.servers[1].kill();
    until("the server is declared down", async || {
        cluster.get(node, "/replication").await.1["servers_down"] == json!(1)
    })
    .await;
    let replication = cluster.get(node, "/replication").await.1;
    assert_eq!(replication["pending"], 1, "{replication}");
    // An order that cannot be carried out is told so at once, and what holds up the rest stands in the status.
    let refused = out(&cluster, &["ring", "rebalance"], 1);
    assert!(refused.contains(&is_down) && refused.contains("add a file server"), "{refused}");
    assert!(replication["held_up"].as_str().is_some_and(|why| why.contains(&is_down)), "{replication}");
    for status in [["ring", "status"], ["replication", "status"]] {
        let shown = out(&cluster, &status, 0);
        assert!(shown.contains("held up") && shown.contains(&is_down), "{shown}");
    }
    let risk = &replication["at_risk"];
    assert_eq!(*risk, json!([{"file_id": written["file_id"], "copies": 1, "owner": "admin", "path": "/a"}]));
    let bob = cluster.user("bob").await;
    let hidden = cluster.get_as(&bob, node, "/replication").await.1["at_risk"][0].clone();
    assert_eq!((&hidden["copies"], &hidden["path"], &hidden["owner"]), (&json!(1), &Value::Null, &Value::Null));
    assert_eq!(cluster.metric(node, "ringmaster_under_replicated_files").await, 1);
    let shown = out(&cluster, &["ring", "status"], 0);
    assert!(shown.contains("down since ") && shown.contains("1 copies to make elsewhere"), "{shown}");
    assert!(shown.contains("1 files lack copies") && shown.contains("admin:/a"), "{shown}");
}

pub(crate) fn cluster_command(cluster: &Cluster, arguments: &[&str]) -> Output {
    let urls: Vec<&str> = cluster.nodes.iter().map(|node| node.url.as_str()).collect();
    Command::new(env!("CARGO_BIN_EXE_ringmaster"))
        .args(arguments)
        .env("RINGMASTER_URL", urls.join(","))
        .env("RINGMASTER_TOKEN", &cluster.admin.token)
        .env("HOME", cluster.dir.path())
        .output()
        .expect("the binary runs")
}

/// Standard output of a command that is done, standard error of one that is refused.
pub(crate) fn out(cluster: &Cluster, arguments: &[&str], code: i32) -> String {
    let output = cluster_command(cluster, arguments);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", text(&output.stderr));
    if code == 0 { text(&output.stdout) } else { text(&output.stderr) }
}
