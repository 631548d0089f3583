//! What users say of files and directories by names of their own, through every node and on the command line.

use serde_json::{Value, json};

use crate::admin::{cluster_command, out};
use crate::backup::{back_up, login, quick, restore, run, text, unused};
use crate::support::{Cluster, User, files_below, noise, until};

fn set(path: &str, pairs: &[(&str, &str)], remove: &[&str]) -> Value {
    let set: Vec<Value> = pairs.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    json!({"path": path, "set": set, "remove": remove})
}

/// What an entry has, as pairs.
async fn of(cluster: &Cluster, user: &User, node: usize, file: &str) -> Vec<(String, String)> {
    let (status, found) = cluster.get_as(user, node, &format!("/properties?{file}")).await;
    assert_eq!(status, 200, "{found}");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let list = found["properties"].as_array().expect("a list").iter();
    list.map(|property| (text(&property["name"]), text(&property["value"]))).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn they_are_set_at_one_node_and_read_at_the_next() {
    let cluster = Cluster::start(3, 2).await;
    let admin = &cluster.admin;
    let bob = cluster.user("bob").await;
    let stat = cluster.put(admin, 0, "/write?path=/d/a", "one", &[]).await.1;
    let by_id = format!("file_id={}", stat["file_id"]);
    let etag = format!("\"{}-1\"", stat["file_id"]);
    let grant = json!({"path": "/d/a", "username": "bob", "permission": "read"});
    assert_eq!(cluster.post(admin, 0, "/share", &grant).await.0, 200);

    for node in 0..3 {
        let (other, round) = ((node + 1) % 3, format!("{node}"));
        let change = set("/d/a", &[("{DAV:}author", "Ädä\n<x/>"), ("round", &round)], &["gone"]);
        assert_eq!(cluster.post(admin, node, "/properties", &change).await.0, 204);
        assert_eq!(cluster.post(admin, node, "/properties", &set("/d", &[("of", "d")], &[])).await.0, 204);
        let expected = pairs(&[("round", &round), ("{DAV:}author", "Ädä\n<x/>")]);
        assert_eq!(of(&cluster, admin, other, "path=/d/a").await, expected);
        assert_eq!(of(&cluster, &bob, other, &by_id).await, expected, "who may read it sees them");
        assert_eq!(of(&cluster, admin, other, "path=/d").await, pairs(&[("of", "d")]));
        assert_eq!(cluster.get_as(&bob, other, "/properties?owner=admin&path=/d").await.0, 404);
        let by_bob = json!({"file_id": stat["file_id"], "remove": ["round"]});
        assert_eq!(cluster.post(&bob, node, "/properties", &by_bob).await.0, 403);

        let large = "x".repeat(70_000);
        let many: Vec<String> = (0..65).map(|number| format!("n{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        for (body, status) in [
            (set("/d/a", &[], &[]), 400),
            (set("/d/a", &[("", "1")], &[]), 400),
            (set("/d/a", &[("a\u{7}", "1")], &[]), 400),
            (set("/d/a", &[("round", "9")], &["round"]), 400),
            (set("/d/a", &[("large", &large)], &[]), 400),
            (set("/d/a", &[], &many), 400),
            (json!({"path": "/d/a", "set": {"a": "b"}}), 400),
            (json!({"path": "/d/a", "set": [{"name": "a"}]}), 400),
            (set("/none", &[("a", "1")], &[]), 404),
        ] {
            let (answered, problem) = cluster.post(admin, node, "/properties", &body).await;
            assert_eq!(answered, status, "{problem}");
            assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(':')), "{problem}");
        }
        assert_eq!(of(&cluster, admin, other, "path=/d/a").await, expected);

        // Under a condition, and while it is locked.
        let conditional = async |etag: &str| {
            let request = cluster.http.post(format!("{}/properties", cluster.url(node))).bearer_auth(&admin.token);
            let body = set("/d/a", &[("by etag", &round)], &[]);
            request.header("If-Match", etag).json(&body).send().await.expect("an answer").status().as_u16()
        };
        assert_eq!((conditional("\"1-1\"").await, conditional(&etag).await), (412, 204));
        let held = cluster.post(admin, node, "/lock", &json!({"path": "/d/a"})).await.1;
        let mut change = set("/d/a", &[], &["by etag"]);
        assert_eq!(cluster.post(admin, other, "/properties", &change).await.0, 423);
        change["lock_token"] = held["lock_token"].clone();
        assert_eq!(cluster.post(admin, other, "/properties", &change).await.0, 204);
        let token = json!({"lock_token": held["lock_token"]});
        assert_eq!(cluster.post(admin, other, "/unlock", &token).await.0, 204);
    }
    let now = cluster.get(0, "/stat?path=/d/a").await.1;
    for field in ["version", "modified_at", "sha256"] {
        assert_eq!(now[field], stat[field], "the file itself is what it was");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn they_follow_their_entry_and_end_with_it_whoever_leads() {
    let mut cluster = Cluster::set_up(quick(3, 2)).await;
    let admin = cluster.admin.clone();
    for path in ["/d/a", "/d/e/b"] {
        assert_eq!(cluster.put(&admin, 0, &format!("/write?path={path}"), "one", &[]).await.0, 201);
        assert_eq!(cluster.post(&admin, 1, "/properties", &set(path, &[("of", path)], &[])).await.0, 204);
    }
    let change = set("/d", &[("of", "/d")], &[]);
    let send = async |cluster: &Cluster, node: usize| {
        let request = cluster.http.post(format!("{}/properties", cluster.url(node))).bearer_auth(&admin.token);
        request.header("Idempotency-Key", "k").json(&change).send().await.expect("an answer").status().as_u16()
    };
    assert_eq!(send(&cluster, 0).await, 204);
    assert_eq!(cluster.post(&admin, 2, "/properties", &set("/d", &[("of", "another")], &[])).await.0, 204);
    let leader = cluster.leader().await;
    cluster.nodes[leader].kill();
    until("another node leads", async || cluster.leader().await != leader).await;
    let node = cluster.leader().await;
    assert_eq!(send(&cluster, node).await, 204, "it is remembered");
    assert_eq!(of(&cluster, &admin, node, "path=/d").await, pairs(&[("of", "another")]), "and done once");
    cluster.nodes[leader].start();
    cluster.wait_ready_after("its end").await;

    assert_eq!(cluster.insist(&admin, leader, "/move", &json!({"from": "/d", "to": "/m"})).await.0, 200);
    assert_eq!(cluster.put(&admin, 0, "/update?path=/m/a", "two", &[]).await.0, 200);
    assert_eq!(cluster.insist(&admin, 1, "/copy", &json!({"path": "/m/a", "to": "/copy"})).await.0, 201);
    assert_eq!(cluster.insist(&admin, 1, "/delete", &json!({"path": "/m", "recursive": true})).await.0, 204);
    assert_eq!(cluster.get(0, "/properties?path=/m").await.0, 404);
    let trash = cluster.get(0, "/trash").await.1;
    let back = json!({"file_id": trash["entries"][0]["file_id"], "to": "/back"});
    assert_eq!(cluster.insist(&admin, 2, "/trash/restore", &back).await.0, 200);
    for node in 0..3 {
        for (path, value) in [("/back", "another"), ("/back/a", "/d/a"), ("/back/e/b", "/d/e/b"), ("/copy", "/d/a")] {
            assert_eq!(of(&cluster, &admin, node, &format!("path={path}")).await, pairs(&[("of", value)]), "{path}");
        }
    }

    // A cluster that is made from a backup of it has them, also in the trash.
    assert_eq!(cluster.insist(&admin, 0, "/delete", &json!({"path": "/copy"})).await.0, 204);
    let dir = cluster.dir.path().join("backup");
    back_up(&cluster, &dir).await;
    let new = unused(1, 2).await;
    let restored = restore(&dir, &new).await;
    assert_eq!((restored.code, &restored.out["properties"]), (Some(0), &json!(4)), "{}", restored.err);
    let again = login(&new, "admin").await;
    let trash = new.get_as(&again, 0, "/trash").await.1;
    let copy = json!({"file_id": trash["entries"][0]["file_id"]});
    assert_eq!(new.post(&again, 0, "/trash/restore", &copy).await.0, 200);
    for (path, value) in [("/back", "another"), ("/back/a", "/d/a"), ("/back/e/b", "/d/e/b"), ("/copy", "/d/a")] {
        assert_eq!(of(&new, &again, 0, &format!("path={path}")).await, pairs(&[("of", value)]), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_sets_lists_and_copies_them() {
    let cluster = Cluster::start(1, 2).await;
    assert_eq!(cluster.put(&cluster.admin, 0, "/write?path=/d/e/a", "one", &[]).await.0, 201);
    for (path, name, value) in [("/d/e/a", "colour", "red"), ("/d/e/a", "b", "two\nlines"), ("/d", "of", "d")] {
        assert_eq!(out(&cluster, &["prop", "set", path, name, value], 0), "");
    }
    assert_eq!(out(&cluster, &["prop", "get", "/d/e/a"], 0), "b       two\\nlines\ncolour  red\n");
    assert_eq!(out(&cluster, &["prop", "get", "/d/e/a", "b"], 0), "two\nlines\n");
    let json: Value =
        serde_json::from_str(&out(&cluster, &["--json", "prop", "get", "/d/e/a", "colour"], 0)).expect("JSON");
    assert_eq!(json, json!({"name": "colour", "value": "red"}));
    assert!(out(&cluster, &["prop", "get", "/d/e/a", "none"], 1).contains("no property \"none\""));
    assert!(out(&cluster, &["prop", "get", "/none"], 1).contains("/none: "));
    assert!(out(&cluster, &["prop", "set", "/d", "large", &"x".repeat(70_000)], 1).contains("64 KiB"));
    out(&cluster, &["prop", "rm", "/d"], 2);
    // A tree is copied with those of its directories; what is there keeps its own.
    assert_eq!(cluster.post(&cluster.admin, 0, "/mkdir", &json!({"path": "/place/d/e"})).await.0, 201);
    for to in ["/new", "/place"] {
        let output = cluster_command(&cluster, &["cp", "-r", "/d", to]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let shown = |path: &str| out(&cluster, &["prop", "get", path], 0);
    assert_eq!((shown("/new"), shown("/new/e")), ("of  d\n".to_owned(), String::new()));
    assert_eq!((shown("/new/e/a"), shown("/place/d")), (shown("/d/e/a"), String::new()));
    assert_eq!(shown("/place/d/e/a"), shown("/d/e/a"));
    assert_eq!(out(&cluster, &["prop", "rm", "/d/e/a", "b", "colour", "none"], 0), "");
    assert_eq!((shown("/d/e/a"), shown("/new/e/a").lines().count()), (String::new(), 2));
    let token = out(&cluster, &["lock", "/d/e/a"], 0).trim().to_owned();
    assert!(out(&cluster, &["prop", "set", "/d/e/a", "a", "1"], 1).contains("locked"));
    assert_eq!(out(&cluster, &["prop", "set", "/d/e/a", "a", "1", "--lock-token", &token], 0), "");
}

/// What is left out with damaged bytes is not waited for.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_backup_is_restored_without_those_of_what_is_left_out() {
    let old = Cluster::set_up(quick(1, 2)).await;
    for path in ["/kept", "/lost"] {
        assert_eq!(
            old.put(&old.admin, 0, &format!("/write?path={path}"), noise(1, 5000 + path.len()), &[]).await.0,
            201
        );
        assert_eq!(old.post(&old.admin, 0, "/properties", &set(path, &[("of", path), ("b", "")], &[])).await.0, 204);
        assert_eq!(old.put(&old.admin, 0, &format!("/update?path={path}"), path, &[]).await.0, 200);
    }
    let dir = old.dir.path().join("backup");
    back_up(&old, &dir).await;
    let blob =
        files_below(&dir.join("blobs")).into_iter().find(|path| std::fs::read(path).expect("it is there") == b"/lost");
    std::fs::remove_file(blob.expect("it was backed up")).expect("it is removed");
    let new = unused(1, 2).await;
    let config = new.nodes[0].config.clone();
    let args = ["restore", text(&dir), "--config", text(&config), "--without-damaged"];
    let restored = run("http://127.0.0.1:1", "none", &args).await;
    assert_eq!((restored.code, &restored.out["properties"]), (Some(0), &json!(2)), "{}", restored.err);
    let admin = login(&new, "admin").await;
    assert_eq!(of(&new, &admin, 0, "path=/kept").await, pairs(&[("b", ""), ("of", "/kept")]));
    assert_eq!(new.get_as(&admin, 0, "/properties?path=/lost").await.0, 404);
}
