//! An operator's order is answered at once: whether it can be done, and what holds it up. The status says so until it is.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::repair::brisk;
use crate::support::{Cluster, noise, until};

/// What a command prints, and its exit code.
fn run(cluster: &Cluster, command: &[&str]) -> (Option<i32>, String) {
    let shown = Command::new(env!("CARGO_BIN_EXE_ringmaster"))
        .args(command)
        .args(["--url", cluster.url(0)])
        .env("RINGMASTER_TOKEN", &cluster.admin.token)
        .output()
        .expect("the command runs");
    let text = [shown.stdout, shown.stderr].concat();
    (shown.status.code(), String::from_utf8_lossy(&text).into_owned())
}

async fn server(cluster: &Cluster, id: u64) -> Value {
    let ring = cluster.get(0, "/ring").await.1;
    let rows = ring["servers"].as_array().cloned().unwrap_or_default();
    rows.into_iter().find(|row| row["server_id"] == id).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_says_what_holds_it_up_and_the_status_does_until_it_is_done() {
    let mut cluster = Cluster::prepare(&brisk(1, 3));
    cluster.nodes[0].start();
    cluster.wait_ready().await;
    cluster.admin = cluster.user("admin").await;
    for at in 0..2 {
        cluster.servers[at].start();
        cluster.wait_for_servers(at + 1).await;
    }
    assert_eq!(cluster.insist_put(&cluster.admin, 0, "/write?path=/a", &noise(1, 100_000)).await.0, 201);

    let (code, text) = run(&cluster, &["ring", "drain", "1"]);
    let why = "held up: 1 other file servers take files, and files are to have 2 copies";
    assert!(code == Some(0) && text.contains(why) && text.contains("add a file server"), "{text}");
    assert!(run(&cluster, &["ring", "status"]).1.contains(why));
    assert!(server(&cluster, 1).await["held_up"].is_string());
    let (code, text) = run(&cluster, &["ring", "remove", "1"]);
    assert!(code == Some(1) && text.contains("held up: 1 other file servers"), "{text}");
    let (code, text) = run(&cluster, &["ring", "drain", "1", "--cancel"]);
    assert!(code == Some(0) && !text.contains("held up"), "{text}");
    assert!(server(&cluster, 1).await["held_up"].is_null());

    let (code, text) = run(&cluster, &["policy", "set", "copies=3"]);
    assert!(code == Some(0) && text.contains("held up: 2 file servers take files, and files are to have 3"), "{text}");
    assert!(run(&cluster, &["policy", "show"]).1.contains("held up: 2 file servers take files"));
    assert!(run(&cluster, &["ring", "status"]).1.contains("held up"));

    // With one more server all of it can be done.
    cluster.servers[2].start();
    cluster.wait_for_servers(3).await;
    cluster.wait_whole(&cluster.admin, 3).await;
    assert!(cluster.get(0, "/admin/policy").await.1["held_up"].is_null());
    assert!(!run(&cluster, &["ring", "status"]).1.contains("held up"));
    assert_eq!(run(&cluster, &["policy", "set", "copies=2"]).0, Some(0));
    assert!(!run(&cluster, &["ring", "drain", "1"]).1.contains("held up"));
    until("it is empty", async || server(&cluster, 1).await["drained"] == true).await;
    assert_eq!(run(&cluster, &["ring", "remove", "1"]).0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_for_which_there_is_no_room_says_so() {
    let mut cluster = Cluster::prepare(&brisk(1, 3));
    for (server, capacity) in cluster.servers.iter().zip(["60MiB", "60MiB", "20MiB"]) {
        let config = fs::read_to_string(&server.config).expect("its configuration");
        let config = config.replace("zone = \"a\"\n", &format!("zone = \"a\"\ncapacity = \"{capacity}\"\n"));
        fs::write(&server.config, config).expect("written");
    }
    cluster.nodes[0].start();
    cluster.wait_ready().await;
    cluster.admin = cluster.user("admin").await;
    for at in 0..3 {
        cluster.servers[at].start();
        cluster.wait_for_servers(at + 1).await;
    }
    for number in 0..2 {
        let call = format!("/write?path=/{number}");
        let (status, stat) = cluster.put(&cluster.admin, 0, &call, noise(number, 25 << 20), &[]).await;
        assert_eq!(status, 201, "{stat}");
    }
    // The other large server holds the same files and has room for less than half of them, the small one for none.
    until("what holds it up is told", async || {
        let text = run(&cluster, &["ring", "drain", "1"]).1;
        assert!(text.contains("draining"), "{text}");
        text.contains("held up: the other file servers have room for")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scrub_and_a_backup_are_in_the_status_while_they_run() {
    let mut cluster = Cluster::prepare(&brisk(1, 1));
    let server_config = &cluster.servers[0].config;
    let config = fs::read_to_string(server_config).expect("its configuration");
    fs::write(server_config, format!("{config}[scrub]\nmax_rate = \"1MiB\"\n")).expect("written");
    cluster.start_all();
    cluster.wait_ready().await;
    cluster.admin = cluster.user("admin").await;
    cluster.wait_for_servers(1).await;
    for number in 0..8 {
        let call = format!("/write?path=/{number}");
        assert_eq!(cluster.insist_put(&cluster.admin, 0, &call, &noise(number, 1 << 20)).await.0, 201);
    }
    assert_eq!(run(&cluster, &["ring", "scrub"]).0, Some(0));
    until("it is seen to go on", async || {
        let checking = server(&cluster, 1).await["checking"].clone();
        checking["of"] == 8 && checking["copies"].as_u64().is_some_and(|copies| copies > 0 && copies < 8)
    })
    .await;
    assert!(run(&cluster, &["ring", "status"]).1.contains("checking everything: "));
    until("it is seen to be done", async || server(&cluster, 1).await["checking"].is_null()).await;

    let hold = json!({"hold_id": "0".repeat(32), "ttl_ms": 600_000});
    assert_eq!(cluster.post(&cluster.admin, 0, "/admin/backup/hold", &hold).await.0, 204);
    assert!(cluster.get(0, "/replication").await.1["backup_until"].is_string());
    assert!(run(&cluster, &["ring", "status"]).1.contains("a backup runs"));
    let release = json!({"hold_id": "0".repeat(32)});
    assert_eq!(cluster.post(&cluster.admin, 0, "/admin/backup/release", &release).await.0, 204);
    assert!(cluster.get(0, "/replication").await.1["backup_until"].is_null());
}
