//! Copies, old versions, the trash and quotas as the command line has them.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::admin::{cluster_command, out};
use crate::support::Cluster;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_is_copied_and_what_cannot_be_is_passed_over() {
    let cluster = Cluster::start(3, 2).await;
    let admin = &cluster.admin;
    for path in ["/a/1", "/a/b/2", "/a/b/c/3", "/top"] {
        assert_eq!(cluster.put(admin, 0, &format!("/write?path={path}"), path, &[]).await.0, 201);
    }
    assert_eq!(cluster.post(admin, 0, "/mkdir", &json!({"path": "/a/empty"})).await.0, 201);
    let disks = cluster.blobs_on_disks();

    // One file: under a new name, and into a directory under its own.
    assert_eq!(out(&cluster, &["cp", "/top", "/again"], 0), "");
    assert_eq!(out(&cluster, &["cp", "/top", "/a"], 0), "");
    assert_eq!(out(&cluster, &["cp", "/top", "/new/"], 0), "");
    for path in ["/again", "/a/top", "/new/top"] {
        assert_eq!(cluster.read(admin, 1, path).await, Ok(b"/top".to_vec()), "{path}");
    }
    assert!(out(&cluster, &["cp", "/top", "/again"], 1).contains("/again: "));
    assert!(out(&cluster, &["cp", "/none", "/b"], 1).contains("/none: "));
    assert!(out(&cluster, &["cp", "/a", "/b"], 2).contains("use -r"));
    assert!(out(&cluster, &["cp", "-r", "/a", "/a/b/below"], 2).contains("below itself"));
    assert!(out(&cluster, &["cp", "-r", "/a", "/a"], 2).contains("below itself"), "into itself, under its own name");

    let mut copied: Vec<String> = out(&cluster, &["cp", "-r", "/a", "/b"], 0).lines().map(str::to_owned).collect();
    copied.sort();
    assert_eq!(copied, ["/b/1", "/b/b/2", "/b/b/c/3", "/b/top"]);
    assert_eq!(cluster.read(admin, 2, "/b/b/c/3").await, Ok(b"/a/b/c/3".to_vec()));
    assert_eq!(cluster.get(0, "/stat?path=/b/empty").await.1["kind"], "directory");
    assert_eq!(cluster.blobs_on_disks(), disks, "no byte was moved");

    // Once more, into the same place: what is there is left alone and named, and the rest is copied.
    assert_eq!(cluster.put(admin, 0, "/update?path=/b/1", "mine", &[]).await.0, 200);
    assert_eq!(cluster.put(admin, 0, "/write?path=/a/b/c/4", "four", &[]).await.0, 201);
    assert_eq!(cluster.put(admin, 0, "/write?path=/place/a/1", "mine", &[]).await.0, 201);
    let output = cluster_command(&cluster, &["cp", "-r", "/a", "/place"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("admin:/a/1: ") && said.contains("1 of them was not done"), "{said}");
    assert_eq!(cluster.read(admin, 0, "/place/a/1").await, Ok(b"mine".to_vec()));
    assert_eq!(cluster.read(admin, 0, "/place/a/b/c/4").await, Ok(b"four".to_vec()));

    let json = out(&cluster, &["--json", "cp", "/top", "/json"], 0);
    assert_eq!(serde_json::from_str::<Value>(&json).expect("JSON")["path"], "/json");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_version_is_listed_fetched_and_brought_back() {
    let cluster = Cluster::start(1, 2).await;
    let admin = &cluster.admin;
    assert_eq!(cluster.put(admin, 0, "/write?path=/a", "one", &[]).await.0, 201);
    assert_eq!(cluster.put(admin, 0, "/update?path=/a", "second", &[]).await.0, 200);
    let listed = out(&cluster, &["history", "/a"], 0);
    let lines: Vec<&str> = listed.lines().collect();
    assert!(lines[0].starts_with("VERSION  SIZE  MADE"), "{listed}");
    assert!(lines[1].starts_with("      2     6") && lines[1].ends_with("it is there now"), "{listed}");
    assert!(lines[2].starts_with("      1     3") && lines[2].contains("admin"), "{listed}");
    let versions: Value = serde_json::from_str(&out(&cluster, &["--json", "history", "/a"], 0)).expect("JSON");
    assert_eq!(versions["versions"][1]["version"], 1);

    let here = cluster.dir.path().join("fetched");
    let local = here.to_str().expect("UTF-8");
    out(&cluster, &["get", "/a", "--version", "1", local], 0);
    assert_eq!(fs::read(&here).expect("fetched"), b"one");
    assert!(out(&cluster, &["get", "-f", "/a", "--version", "7", local], 1).contains("not kept"));
    assert_eq!(fs::read(&here).expect("left alone"), b"one");

    assert_eq!(out(&cluster, &["history", "/a", "--restore", "1"], 0), "/a  version 3  3 bytes\n");
    assert_eq!(out(&cluster, &["cat", "/a"], 0), "one");
    assert!(out(&cluster, &["history", "/a", "--restore", "3"], 1).contains("current version"));
    assert!(out(&cluster, &["history", "/"], 1).contains("only files have versions"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trash_is_listed_searched_and_emptied() {
    let cluster = Cluster::start(1, 2).await;
    let admin = &cluster.admin;
    assert_eq!(out(&cluster, &["trash"], 0), "");
    for round in ["first", "second"] {
        assert_eq!(cluster.put(admin, 0, "/write?path=/a", round, &[]).await.0, 201);
        out(&cluster, &["rm", "/a"], 0);
    }
    assert_eq!(cluster.put(admin, 0, "/write?path=/d/b", "below", &[]).await.0, 201);
    out(&cluster, &["rm", "-r", "/d"], 0);
    let listed = out(&cluster, &["trash"], 0);
    assert!(listed.starts_with("ID") && listed.lines().count() == 4 && listed.contains("/d"), "{listed}");

    // Of two that had this path the one that was deleted last comes back.
    assert_eq!(out(&cluster, &["trash", "restore", "/a"], 0), "/a\n");
    assert_eq!(out(&cluster, &["cat", "/a"], 0), "second");
    let refused = out(&cluster, &["trash", "restore", "/a"], 1);
    assert!(refused.contains("taken"), "{refused}");
    assert_eq!(out(&cluster, &["trash", "restore", "/a", "--to", "/older"], 0), "/older\n");
    assert_eq!(out(&cluster, &["cat", "/older"], 0), "first");
    assert!(out(&cluster, &["trash", "restore", "/d/b"], 1).contains("`ringmaster trash` lists"));

    let trash: Value = serde_json::from_str(&out(&cluster, &["--json", "trash"], 0)).expect("JSON");
    let id = trash["entries"][0]["file_id"].to_string();
    assert!(out(&cluster, &["trash", "empty"], 2).contains("--yes"), "nobody is there to be asked");
    for (answer, code) in [("n", 1), ("", 1)] {
        let (ended, said) = at_a_terminal(&cluster, &["trash", "empty", &id], answer);
        assert!(ended == code && said.contains(&format!("Give up id:{id}? Nothing brings it back. [y/N]")), "{said}");
    }
    assert!(out(&cluster, &["trash", "restore", "99999"], 1).contains("in your trash"));
    assert_eq!(out(&cluster, &["trash", "restore", &format!("id:{id}")], 0), "/d\n");
    out(&cluster, &["rm", "-r", "/d"], 0);
    out(&cluster, &["rm", "/a"], 0);
    assert_eq!(out(&cluster, &["trash", "empty", &id, "--yes"], 0), "1 entry is gone for good\n");
    let (ended, said) = at_a_terminal(&cluster, &["trash", "empty"], "y");
    assert!(
        ended == 0 && said.contains("Give up all that is in the trash?") && said.contains("1 entry is gone"),
        "{said}"
    );
    out(&cluster, &["rm", "--permanently", "/older"], 0);
    assert_eq!(out(&cluster, &["trash"], 0), "");
    // More than one call takes.
    for at in 0..130 {
        let call = format!("/write?path=/many/{at}");
        assert_eq!(cluster.put(admin, 0, &call, "x", &[]).await.0, 201);
        assert_eq!(cluster.post(admin, 0, "/delete", &json!({"path": format!("/many/{at}")})).await.0, 204);
    }
    assert_eq!(out(&cluster, &["trash"], 0).lines().count(), 131, "from several pages, under one line of titles");
    assert_eq!(out(&cluster, &["--json", "trash", "empty", "--yes"], 0), "{\"removed\":130,\"more\":false}\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_are_written_locks_renewed_and_json_tells_of_each_file() {
    let cluster = Cluster::start(1, 2).await;
    let admin = &cluster.admin;
    for path in ["/d/a", "/d/b"] {
        assert_eq!(cluster.put(admin, 0, &format!("/write?path={path}"), "0123456789", &[]).await.0, 201);
    }
    for (range, bytes) in [("0-3", "0123"), ("7-", "789"), ("-2", "89"), ("-20", "0123456789"), ("9-100", "9")] {
        assert_eq!(out(&cluster, &["cat", "--range", range, "/d/a"], 0), bytes, "{range}");
    }
    assert_eq!(out(&cluster, &["cat", "--range=-1", "/d/a", "/d/b"], 0), "99");
    assert!(out(&cluster, &["cat", "--range", "10-", "/d/a"], 1).contains("/d/a: "));
    assert!(out(&cluster, &["cat", "--range", "5", "/d/a"], 2).contains("write it as 0-499"));

    let json = |arguments: &[&str]| -> Vec<Value> {
        let text = out(&cluster, &[&["--json"], arguments].concat(), 0);
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    };
    let here = cluster.dir.path().join("here");
    let mut fetched = json(&["get", "-r", "/d", here.to_str().expect("UTF-8")]);
    fetched.sort_by_key(|file| file["local"].to_string());
    assert_eq!((fetched.len(), &fetched[1]["bytes"]), (2, &json!(10)));
    assert_eq!(fetched[0]["local"], here.join("a").to_str().expect("UTF-8"));
    let stat = cluster.get(0, "/stat?path=/d/a").await.1;
    assert_eq!(fetched[0]["sha256"], stat["sha256"]);
    let alone = here.join("alone");
    let one = json(&["get", "/d/a", alone.to_str().expect("UTF-8")]);
    assert_eq!(one[0]["etag"], format!("\"{}-1\"", stat["file_id"]));
    assert_eq!(json(&["rm", "/d/a", "/d/b"]), [json!({"removed": "/d/a"}), json!({"removed": "/d/b"})]);

    assert_eq!(out(&cluster, &["whoami"], 0), "admin\n");
    assert_eq!(json(&["whoami"]), [json!({"username": "admin", "user_id": admin.id})]);
    assert_eq!(cluster.put(admin, 0, "/write?path=/l", "x", &[]).await.0, 201);
    let token = out(&cluster, &["lock", "/l", "--ttl", "30s"], 0);
    let until = |locked: &Value| locked["expires_at"].as_str().expect("a time").to_owned();
    let before = until(&cluster.get(0, "/locks").await.1["locks"][0]);
    let renewed = json(&["renew", token.trim(), "--ttl", "10m"]);
    assert_eq!(renewed[0]["lock_token"], token.trim());
    assert!(until(&renewed[0]) > before, "{renewed:?}");
    assert!(out(&cluster, &["renew", token.trim()], 0).starts_with("holds until "));
    out(&cluster, &["unlock", token.trim()], 0);
    assert!(out(&cluster, &["renew", token.trim()], 1).contains("hint: "));
}

/// The exit code of a command whose standard input and outputs are a terminal, and what it has shown there.
fn at_a_terminal(cluster: &Cluster, arguments: &[&str], answer: &str) -> (i32, String) {
    const SCRIPT: &str = r#"
import os, pty, sys
child, terminal = pty.fork()
if child == 0:
    os.execv(sys.argv[2], sys.argv[2:])
said, answered = b"", False
while True:
    try:
        piece = os.read(terminal, 4096)
    except OSError:
        break
    if not piece:
        break
    said += piece
    if b"[y/N]" in said and not answered:
        answered = True
        os.write(terminal, sys.argv[1].encode() + b"\n")
sys.stdout.buffer.write(said)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"#;
    let output = Command::new("python3")
        .args(["-c", SCRIPT, answer, env!("CARGO_BIN_EXE_ringmaster")])
        .args(arguments)
        .env("RINGMASTER_URL", cluster.url(0))
        .env("RINGMASTER_TOKEN", &cluster.admin.token)
        .env("HOME", cluster.dir.path())
        .output();
    let output = output.unwrap_or_else(|error| panic!("python3 does not run ({error}): run scripts/prerequisites"));
    (output.status.code().expect("it was not killed"), text(&output.stdout) + &text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_there_is_and_may_be_is_shown_and_set() {
    let cluster = Cluster::start(1, 2).await;
    cluster.user("bob").await;
    assert_eq!(cluster.put(&cluster.admin, 0, "/write?path=/a", "bytes", &[]).await.0, 201);
    assert_eq!(out(&cluster, &["du"], 0), "bytes:  5  of any number\nfiles:  1  of any number\n");
    let set = out(&cluster, &["quota", "admin", "--bytes", "10G"], 0);
    assert_eq!(set, "bytes:  5  of 10737418240 (5 of 10G)\nfiles:  1  of any number\n");
    // The other bound stays as it is.
    let set = out(&cluster, &["quota", "admin", "--files", "1"], 0);
    assert_eq!(set, "bytes:  5  of 10737418240 (5 of 10G)\nfiles:  1  of 1\n");
    assert_eq!((out(&cluster, &["du"], 0), out(&cluster, &["quota", "admin"], 0)), (set.clone(), set));
    let refused = out(&cluster, &["cp", "/a", "/b"], 1);
    assert!(refused.contains("quota") && refused.contains("ringmaster du"), "{refused}");
    out(&cluster, &["policy", "set", "quota_files=7"], 0);
    assert!(out(&cluster, &["quota", "admin", "--bytes", "any", "--files", "policy"], 0).contains("1  of 7\n"));
    assert!(out(&cluster, &["quota", "nobody"], 1).contains("no user of that name"));
    let users = out(&cluster, &["users"], 0);
    let lines: Vec<&str> = users.lines().collect();
    assert!(lines[0].starts_with("ID  NAME ") && lines[1].contains("admin") && lines[2].contains("bob"), "{users}");
    let users: Value = serde_json::from_str(&out(&cluster, &["--json", "users"], 0)).expect("JSON");
    assert_eq!(users["users"][0]["usage"]["bytes"], 5);
}
