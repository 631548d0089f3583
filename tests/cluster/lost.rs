//! Backups that lack files, and restores that break off: what can be had is had, and nobody has to guess what is lost.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::backup::{back_up, cli, login, quick, read_all, restore, run, text, unused, verify, write};
use ringmaster::trust::Identity;

use crate::support::{Cluster, PASSWORD, Process, files_below, noise, sha256, until, write_secret};

/// Where a backup has the bytes with this digest.
fn blob_of(dir: &Path, bytes: &[u8]) -> PathBuf {
    let wanted = sha256(bytes);
    let of_file = |path: &PathBuf| sha256(&fs::read(path).expect("it is there")) == wanted;
    files_below(&dir.join("blobs")).into_iter().find(of_file).expect("it was backed up")
}

/// The command line as a person has it, without --json: what stands on standard output and on standard error.
async fn words(cluster: &Cluster, args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringmaster"));
    command
        .args(args)
        .env("RINGMASTER_URL", cluster.url(0))
        .env("RINGMASTER_TOKEN", &cluster.admin.token)
        .env("XDG_CONFIG_HOME", cluster.dir.path().join("config"));
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("it runs").expect("it starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_broke_off_needs_only_the_bytes_that_did_not_come() {
    let old = Cluster::set_up(quick(1, 2)).await;
    let bob = old.user("bob").await;
    // Each is of a size of its own, by which its bytes are found: they are sent in no order that could be told before.
    let size = |at: usize| (1 << 20) + at;
    for at in 0..62 {
        write(&old, &format!("/{at}"), noise(at as u64, size(at))).await;
        let share = json!({"path": format!("/{at}"), "username": "bob", "permission": "read"});
        assert_eq!(old.post(&old.admin, 0, "/share", &share).await.0, 200);
    }
    let dir = old.dir.path().join("backup");
    back_up(&old, &dir).await;

    // The cluster is asked before anything is read.
    let new = unused(1, 2).await;
    let config = text(&new.nodes[0].config).to_owned();
    let nowhere = "http://127.0.0.1:1";
    let secret = new.dir.path().join("cluster.secret");
    let args = ["restore", text(&dir), "--secret-file", text(&secret), "--timeout", "1s", "--members", nowhere];
    let gone = run(new.url(0), "none", &args).await;
    assert_eq!(gone.code, Some(3), "{}", gone.err);
    let secret = old.dir.path().join("another.secret");
    write_secret(&secret, &"0123456789abcdef".repeat(4));
    let blobs = files_below(&dir.join("blobs"));
    let moved = dir.join("moved");
    fs::rename(&blobs[0], &moved).expect("it is moved");
    let foreign = run(
        new.url(0),
        "none",
        &["restore", text(&dir), "--timeout", "1s", "--members", &new.member_url(0), "--secret-file", text(&secret)],
    )
    .await;
    assert!(foreign.code == Some(1) && foreign.err.contains("another cluster secret"), "{}", foreign.err);
    fs::rename(&moved, &blobs[0]).expect("it is moved back");

    let mut child = Command::new(env!("CARGO_BIN_EXE_ringmaster"))
        .args(["restore", text(&dir), "--parallel", "1", "--config", &config])
        .stdout(Stdio::null())
        .spawn()
        .expect("it starts");
    // What was stored in one piece has a content with the number of its blob.
    let name = |blob: &Path| blob.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
    let names: Vec<String> = blobs.iter().map(|blob| name(blob)).collect();
    let operator = new.member(Identity::Operator);
    let ask = async || {
        let url = format!("{}/restore/missing", new.member_url(0));
        let asked = json!({"content_ids": names});
        let answer = operator.post(url).json(&asked).send().await.expect("an answer");
        let missing: Value = answer.json().await.expect("JSON");
        missing["content_ids"].as_array().expect("a list").clone()
    };
    until("some files have come", async || ask().await.len() < names.len() - 2).await;
    child.kill().expect("it is killed");
    child.wait().expect("it ends");
    let answer = operator.get(format!("{}/restore", new.member_url(0))).send().await;
    let status: Value = answer.expect("an answer").json().await.expect("JSON");
    assert_eq!(status["state"], "restoring", "it broke off: {status}");

    // What has come is not needed any more; what has not is left out, with the grant on it.
    let missing = ask().await;
    let path_of = |blob: &Path| format!("admin:/{} ", fs::metadata(blob).expect("it is there").len() - (1 << 20));
    let (lacking, come): (Vec<_>, Vec<_>) = blobs.iter().partition(|blob| missing.contains(&json!(name(blob))));
    let (sent, last) = (come[0], lacking[0]);
    let (sent_path, last_path) = (path_of(sent), path_of(last));
    for blob in [sent, last] {
        fs::remove_file(blob).expect("it is lost");
    }
    let refused = restore(&dir, &new).await;
    assert_eq!(refused.code, Some(1), "{}", refused.err);
    assert!(refused.err.contains("1 files of the backup are damaged") && refused.err.contains(&last_path));
    assert!(!refused.err.contains(&sent_path), "{}", refused.err);
    let args = ["restore", text(&dir), "--config", &config, "--without-damaged"];
    let restored = run("http://127.0.0.1:1", "none", &args).await;
    assert_eq!(restored.code, Some(0), "{}", restored.err);
    assert_eq!((&restored.out["contents"], &restored.out["left_out"]), (&json!(61), &json!(1)), "{}", restored.out);
    assert_eq!(restored.out["left_out_files"][0]["path"], last_path.trim_end());

    // Once more: it says that it was done, and what came.
    let again = run("http://127.0.0.1:1", "none", &args).await;
    assert_eq!((again.code, &again.out["restored_before"]), (Some(0), &json!(true)), "{} {}", again.out, again.err);
    for count in ["contents", "entries", "users", "grants", "left_out"] {
        assert_eq!(again.out[count], restored.out[count], "{count} of {}", again.out);
    }
    assert_eq!(again.out["sent"], 0);
    let admin = login(&new, "admin").await;
    assert_eq!(read_all(&new, &admin).await, 61);
    let bob_now = login(&new, "bob").await;
    assert_eq!((bob_now.id, read_all(&new, &bob_now).await), (bob.id, 61));
    let mut new = new;
    new.nodes[0].kill();
    let sound = verify(&new.nodes[0].data).await;
    assert_eq!(sound.code, Some(0), "{} {}", sound.out, sound.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_file_that_is_lost_is_counted_and_named() {
    let mut cluster = Cluster::set_up(quick(1, 2)).await;
    for at in 0..105 {
        write(&cluster, &format!("/docs/{at}"), noise(at, 500)).await;
    }
    let dir = cluster.dir.path().join("backup");
    back_up(&cluster, &dir).await;
    for blob in files_below(&dir.join("blobs")) {
        fs::remove_file(blob).expect("it is lost");
    }
    let report = verify(&dir).await;
    assert!(report.code == Some(1) && report.err.contains("105 faults"), "{}", report.err);
    let faults = report.out["backups"][0]["faults"].as_array().expect("a list").clone();
    assert_eq!((faults.len(), faults[104]["path"].as_str()), (105, Some("admin:/docs/104")));
    let (_, told, _) = words(&cluster, &["verify", text(&dir)]).await;
    assert!(told.contains("admin:/docs/99 ") && told.contains("… and 5 more"), "{told}");

    let poor = unused(1, 2).await;
    let args = ["restore", text(&dir), "--without-damaged", "--config", text(&poor.nodes[0].config)];
    let restored = run("http://127.0.0.1:1", "none", &args).await;
    assert_eq!((restored.code, &restored.out["left_out"]), (Some(0), &json!(105)), "{} {}", restored.out, restored.err);
    assert_eq!(restored.out["left_out_files"].as_array().map(Vec::len), Some(105));
    assert!(restored.err.contains("left out: admin:/docs/0 ") && restored.err.contains("… and 5 more"));

    // The same of a running cluster. A backup that lacks files is kept, but not in place of one that lacks none.
    let dir = cluster.dir.path().join("another");
    back_up(&cluster, &dir).await;
    for at in 0..105 {
        write(&cluster, &format!("/new/{at}"), noise(1_000 + at, 500)).await;
    }
    cluster.servers.iter_mut().for_each(Process::kill);
    let indexes = || files_below(&dir.join("indexes")).len();
    let args = ["--timeout", "2s", "backup", text(&dir), "--allow-missing", "--prune", "1"];
    for swept in [0, 1] {
        let partly = cli(&cluster, &args).await;
        assert_eq!(
            (partly.code, &partly.out["missing_files"]),
            (Some(0), &json!(105)),
            "{} {}",
            partly.out,
            partly.err
        );
        assert_eq!(partly.out["missing"].as_array().map(Vec::len), Some(105));
        assert!(partly.err.contains("missing: admin:/new/") && partly.err.contains("… and 5 more"), "{}", partly.err);
        assert_eq!((&partly.out["swept"]["indexes"], indexes()), (&json!(swept), 2), "{}", partly.out);
    }
    let (code, told, _) = words(&cluster, &args).await;
    assert!(code == Some(0) && told.contains("missing:   105 files") && told.contains("1 lack files"), "{told}");
    cluster.servers.iter_mut().for_each(Process::start);
    cluster.wait_for_servers(2).await;
    let whole = cli(&cluster, &["backup", text(&dir), "--prune", "1"]).await;
    assert_eq!((&whole.out["swept"]["kept"], indexes()), (&json!(1), 1), "{} {}", whole.out, whole.err);
    assert_eq!(verify(&dir).await.code, Some(0));
}

/// Gives a copy other bytes, in one chunk, and sums that fit them: what a file server cannot tell from what was written.
fn forge(data: &Path, bytes: &[u8]) {
    let path = data.with_extension("sum");
    let header = fs::read(&path).expect("a sidecar")[..96].to_vec();
    let (copy_id, entry) = (&header[28..44], crc32c::crc32c(bytes).to_be_bytes());
    let page = crc32c::crc32c(&[copy_id, &0_u64.to_be_bytes(), &entry].concat()).to_be_bytes();
    fs::write(&path, [&header[..], &entry, &page].concat()).expect("it is written");
    fs::write(data, bytes).expect("it is written");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_file_of_other_bytes_keeps_no_other_out_of_a_backup() {
    let cluster = Cluster::set_up(quick(1, 2)).await;
    let right = noise(1, 5_000);
    for (path, bytes) in [("/a", noise(2, 4_000)), ("/forged", right.clone()), ("/z", noise(3, 6_000))] {
        write(&cluster, path, bytes).await;
    }
    for server in &cluster.servers {
        forge(&blob_of(&server.data, &right), &noise(4, 5_000));
    }
    let dir = cluster.dir.path().join("backup");
    let refused = cli(&cluster, &["backup", text(&dir)]).await;
    assert_eq!(refused.code, Some(3), "{}", refused.err);
    assert!(refused.err.contains("missing: admin:/forged") && refused.err.contains("ring scrub"), "{}", refused.err);
    let partly = cli(&cluster, &["backup", text(&dir), "--allow-missing"]).await;
    assert_eq!((partly.code, &partly.out["missing_files"]), (Some(0), &json!(1)), "{} {}", partly.out, partly.err);
    assert_eq!(files_below(&dir.join("blobs")).len(), 2);
    assert!(files_below(&dir.join("tmp")).is_empty(), "wrong bytes are not kept");
    // Removing it for good is the way out of it: an update would keep what is lost as an old version.
    let gone = json!({"path": "/forged", "permanently": true});
    assert_eq!(cluster.post(&cluster.admin, 0, "/delete", &gone).await.0, 204);
    write(&cluster, "/forged", noise(5, 5_000)).await;
    back_up(&cluster, &dir).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_backup_lets_the_cluster_delete_again() {
    let mut cluster = Cluster::set_up(quick(1, 2)).await;
    write(&cluster, "/a", noise(1, 10_000)).await;
    cluster.servers.iter_mut().for_each(Process::kill);
    let dir = cluster.dir.path().join("backup");
    let mut child = Command::new(env!("CARGO_BIN_EXE_ringmaster"))
        .args(["backup", text(&dir), "--hold", "1h", "--timeout", "60s"])
        .env("RINGMASTER_URL", cluster.url(0))
        .env("RINGMASTER_TOKEN", &cluster.admin.token)
        .spawn()
        .expect("it starts");
    until("it waits for bytes", async || dir.join("backup.json").exists()).await;
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs");
    assert!(sent.success());
    let ended = tokio::task::spawn_blocking(move || child.wait()).await.expect("it runs").expect("it ends");
    assert_eq!(ended.code(), Some(130));
    cluster.servers.iter_mut().for_each(Process::start);
    cluster.wait_for_servers(2).await;
    assert_eq!(cluster.post(&cluster.admin, 0, "/delete", &json!({"path": "/a", "permanently": true})).await.0, 204);
    until("the bytes are gone", async || cluster.blobs_on_disks().is_empty()).await;

    // Whoever logs in with the variable set is told what commands go by.
    let (code, _, told) = words(&cluster, &["login", "admin", "--password", PASSWORD]).await;
    assert!(code == Some(0) && told.contains("unset it"), "{told}");
    let (code, _, told) = words(&cluster, &["logout"]).await;
    assert!(code == Some(0) && told.contains("RINGMASTER_TOKEN"), "{told}");
}
