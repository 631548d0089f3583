//! Machines whose clocks are wrong: by seconds, minutes, and an hour, either way.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::json;

use crate::support::{Cluster, Setup, noise, until};

#[tokio::test(flavor = "multi_thread")]
async fn forty_five_seconds_ahead() {
    off_by(45).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forty_five_seconds_behind() {
    off_by(-45).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn four_minutes_ahead() {
    off_by(240).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn four_minutes_behind() {
    off_by(-240).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_hour_ahead() {
    off_by(3600).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_hour_behind() {
    off_by(-3600).await;
}

/// The first directory node's clock is off by so many seconds, and a file server's by as many the other way. Every node in
/// turn leads; through every node everything works, redirects as well.
async fn off_by(seconds: i64) {
    let mut cluster = Cluster::prepare(&Setup::new(3, 2));
    let library = faketime().display().to_string();
    for (process, seconds) in [(&mut cluster.nodes[0], seconds), (&mut cluster.servers[0], -seconds)] {
        process.set_environment("LD_PRELOAD", library.clone());
        process.set_environment("FAKETIME", format!("{seconds:+}s"));
        process.set_environment("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned());
    }
    cluster.start_all();
    cluster.wait_ready().await;
    cluster.admin = cluster.user("admin").await;
    cluster.wait_for_servers(2).await;

    // Soon everybody says whose clock is wrong, and by how much.
    for at in 0..3 {
        until("the status has the clocks", async || {
            let (_, status) = cluster.get(at, "/cluster").await;
            let off = |node: usize| status["nodes"][node]["clock_off_ms"].as_i64();
            off(0).is_some_and(|off| (off - seconds * 1000).abs() < 10_000)
                && [1, 2].iter().all(|node| off(*node).is_some_and(|off| off.abs() < 10_000))
        })
        .await;
    }
    let way = if seconds > 0 { ["ahead of", "behind"] } else { ["behind", "ahead of"] };
    for (process, way) in [&cluster.nodes[0], &cluster.servers[0]].into_iter().zip(way) {
        until("the log names the clock", async || {
            process.log_text().lines().any(|line| line.contains("this machine's clock is") && line.contains(way))
        })
        .await;
    }

    let bytes = noise(3, 2_000_000);
    let file = cluster.dir.path().join("input");
    fs::write(&file, &bytes).expect("written");
    for leader in 0..3 {
        until("the node leads", async || {
            if cluster.leader().await != leader {
                cluster.insist(&cluster.admin, 0, "/admin/transfer", &json!({"node_id": leader + 1})).await;
            }
            cluster.leader().await == leader
        })
        .await;
        // A session from this leader holds everywhere, and so does one from before.
        let user = cluster.log_in("admin").await;
        for at in 0..3 {
            for (name, headers) in [("redirected", vec!["Expect: 100-continue"]), ("taken", vec!["Expect:"])] {
                let path = format!("/{leader}/{at}/{name}");
                let token = if at == 1 { &cluster.admin.token } else { &user.token };
                let said = curl(&format!("{}/write?path={path}", cluster.url(at)), token, &file, &headers);
                assert!(said.ends_with(" 201"), "{seconds} s, {path}: {said}");
                for reader in 0..3 {
                    let read = cluster.read(&user, reader, &path).await;
                    assert!(read.as_deref() == Ok(&bytes[..]), "{seconds} s, {path} at node {reader}");
                }
            }
            let path = format!("/{leader}/{at}/taken");
            let (status, lock) = cluster.post(&user, at, "/lock", &json!({"path": path, "ttl_ms": 30_000})).await;
            assert_eq!(status, 200, "{lock}");
            let lock_token = lock["lock_token"].as_str().expect("a token").to_owned();
            let next = (at + 1) % 3;
            let (call, held) = (format!("/update?path={path}"), [("Lock-Token", lock_token.as_str())]);
            assert_eq!(cluster.put(&user, next, &call, "with", &held).await.0, 200);
            assert_eq!(cluster.put(&user, next, &call, "without", &[]).await.0, 423, "it is locked");
            let unlock = json!({"path": path, "lock_token": lock_token});
            assert_eq!(cluster.post(&user, next, "/unlock", &unlock).await.0, 204);
        }
    }

    assert!(!cluster.nodes[1].log_text().contains("this machine's clock is"), "it is right");
}

/// What was answered, and at the end the status.
fn curl(url: &str, token: &str, file: &std::path::Path, headers: &[&str]) -> String {
    let mut curl = Command::new("curl");
    curl.args(["-sSL", "--noproxy", "*", "--max-time", "60", "-w", " %{http_code}", "-T"]).arg(file);
    curl.arg("-H").arg(format!("Authorization: Bearer {token}"));
    curl.args(headers.iter().flat_map(|header| ["-H", header]));
    let output = curl.arg(url).output().expect("curl runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn faketime() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").expect("it is there").filter_map(|entry| Some(entry.ok()?.path()));
    let libraries = folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1"));
    libraries.into_iter().find(|library| library.exists()).expect("libfaketime is there: run scripts/prerequisites")
}
