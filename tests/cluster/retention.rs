//! For how long a directory keeps what is below it, through every node and on the command line.

use serde_json::{Value, json};

use crate::admin::out;
use crate::backup::{back_up, login, quick, restore, unused};
use crate::support::{Cluster, until};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// For how many days something is kept, from the two times that an answer has.
fn days(from: &Value, until: &Value) -> u64 {
    let ms = |time: &Value| {
        let text = time.as_str().unwrap_or_else(|| panic!("a time: {time}"));
        let time = humantime_serde::re::humantime::parse_rfc3339(text).expect("it is RFC 3339");
        time.duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis()
    };
    u64::try_from((ms(until) - ms(from)) / u128::from(DAY_MS)).expect("small")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nearest_directory_that_says_counts_through_every_node() {
    let cluster = Cluster::start(3, 2).await;
    let admin = &cluster.admin;
    let bob = cluster.user("bob").await;
    for path in ["/d/e/a", "/b"] {
        assert_eq!(cluster.put(admin, 0, &format!("/write?path={path}"), "one", &[]).await.0, 201);
    }
    let grant = json!({"path": "/d/e", "username": "bob", "permission": "write"});
    assert_eq!(cluster.post(admin, 0, "/share", &grant).await.0, 200);

    for node in 0..3 {
        let other = (node + 1) % 3;
        let outer = json!({"path": "/d", "versions_keep": 1, "trash_ms": (90 + node as u64) * DAY_MS});
        assert_eq!(cluster.post(admin, node, "/retention", &outer).await.0, 204);
        let inner = json!({"path": "/d/e", "versions_ms": 60 * DAY_MS});
        assert_eq!(cluster.post(admin, node, "/retention", &inner).await.0, 204);
        let found = cluster.get(other, "/retention?path=/d/e/a").await.1;
        let effective =
            json!({"versions_keep": 1, "versions_ms": 60 * DAY_MS, "trash_ms": (90 + node as u64) * DAY_MS});
        assert_eq!(found["effective"], effective, "{found}");
        assert_eq!(found["own"], json!({"versions_keep": null, "versions_ms": null, "trash_ms": null}));
        let found = cluster.get_as(&bob, other, "/retention?owner=admin&path=/d/e").await.1;
        assert_eq!(found["own"], json!({"versions_keep": null, "versions_ms": 60 * DAY_MS, "trash_ms": null}));
        assert_eq!(cluster.get_as(&bob, other, "/retention?owner=admin&path=/d").await.0, 404, "he sees nothing of it");
        let listed = cluster.get(other, "/retention/all").await.1;
        let listed: Vec<_> = listed["directories"].as_array().expect("a list").iter().map(|one| &one["path"]).collect();
        assert_eq!(listed, ["/d", "/d/e"]);
        assert_eq!(cluster.get_as(&bob, other, "/retention/all").await.1, json!({"directories": []}));

        // What is not right changes nothing.
        for (body, status) in [
            (json!({"path": "/d", "versions_keep": 100_001}), 400),
            (json!({"path": "/d", "versions_keep": -1}), 400),
            (json!({"path": "/d", "versions_keep": 5_000_000_000_u64}), 400),
            (json!({"path": "/d", "trash_ms": 11 * 365 * DAY_MS}), 400),
            (json!({"path": "/d", "versions_ms": "30days"}), 400),
            (json!({"path": "/d", "version_keep": 3}), 400),
            (json!({"versions_keep": 3}), 400),
            (json!({"path": "/d/e/a", "versions_keep": 3}), 400),
            (json!({"path": "/none", "versions_keep": 3}), 404),
        ] {
            let (answered, problem) = cluster.post(admin, node, "/retention", &body).await;
            assert_eq!(answered, status, "{body}: {problem}");
            assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(':')), "{problem}");
        }
        let of_others = json!({"owner": "admin", "path": "/d/e", "versions_keep": 3});
        assert_eq!(cluster.post(&bob, node, "/retention", &of_others).await.0, 403);
        assert_eq!(cluster.get(other, "/retention?path=/d/e/a").await.1["effective"], effective);
    }

    for (node, text) in [(0, "two"), (1, "three"), (2, "four")] {
        assert_eq!(cluster.put(&bob, node, "/update?owner=admin&path=/d/e/a", text, &[]).await.0, 200);
        assert_eq!(cluster.put(admin, node, "/update?path=/b", text, &[]).await.0, 200);
    }
    let versions = cluster.get(1, "/versions?path=/d/e/a").await.1;
    let versions = versions["versions"].as_array().expect("a list");
    assert_eq!(versions.iter().map(|one| &one["version"]).collect::<Vec<_>>(), [4, 3]);
    assert_eq!(days(&versions[0]["made_at"], &versions[1]["kept_until"]), 60);
    assert_eq!(cluster.get(1, "/versions?path=/b").await.1["versions"].as_array().map(Vec::len), Some(4));
    assert_eq!(cluster.post(&bob, 2, "/delete", &json!({"owner": "admin", "path": "/d/e/a"})).await.0, 204);
    assert_eq!(cluster.post(admin, 1, "/delete", &json!({"path": "/b"})).await.0, 204);
    let trash = cluster.get(0, "/trash").await.1;
    let kept: Vec<u64> = trash["entries"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| days(&one["deleted_at"], &one["kept_until"]))
        .collect();
    assert_eq!(kept, [92, 7]);
}

/// A directory for what is not worth the trash, and what becomes of its bytes; under leaders that die.
#[tokio::test(flavor = "multi_thread")]
async fn a_directory_without_a_trash_leaves_no_byte_and_a_repeat_changes_nothing() {
    let mut cluster = Cluster::set_up(quick(3, 2)).await;
    let admin = cluster.admin.clone();
    assert_eq!(cluster.post(&admin, 0, "/admin/policy", &json!({"garbage_linger_ms": 0})).await.0, 200);
    assert_eq!(cluster.put(&admin, 0, "/write?path=/tmp/a", "one", &[]).await.0, 201);
    let none = json!({"path": "/tmp", "versions_keep": 0, "trash_ms": 0});
    let send = async |cluster: &Cluster, node: usize, body: &Value| {
        let request = cluster.http.post(format!("{}/retention", cluster.url(node))).bearer_auth(&admin.token);
        request.header("Idempotency-Key", "k").json(body).send().await.expect("an answer").status().as_u16()
    };
    assert_eq!(send(&cluster, 0, &none).await, 204);
    assert_eq!(cluster.post(&admin, 1, "/retention", &json!({"path": "/tmp", "trash_ms": 0})).await.0, 204);
    let leader = cluster.leader().await;
    cluster.nodes[leader].kill();
    until("another node leads", async || cluster.leader().await != leader).await;
    let node = cluster.leader().await;
    assert_eq!(send(&cluster, node, &none).await, 204, "it is remembered");
    let own = cluster.get(node, "/retention?path=/tmp").await.1["own"].clone();
    assert_eq!(own, json!({"versions_keep": null, "versions_ms": null, "trash_ms": 0}), "and done once");
    assert_eq!(send(&cluster, node, &json!({"path": "/tmp", "trash_ms": 1})).await, 422);
    cluster.nodes[leader].start();
    cluster.wait_ready_after("its end").await;

    assert_eq!(cluster.insist(&admin, leader, "/delete", &json!({"path": "/tmp", "recursive": true})).await.0, 204);
    assert_eq!(cluster.get(leader, "/trash").await.1["entries"], json!([]));
    until("no byte is left on any disk", async || cluster.blobs_on_disks().is_empty()).await;
    assert_eq!(cluster.get(leader, "/retention/all").await.1, json!({"directories": []}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_has_it_also_of_what_is_in_the_trash() {
    let old = Cluster::set_up(quick(1, 2)).await;
    for path in ["/d/a", "/gone/a"] {
        assert_eq!(old.put(&old.admin, 0, &format!("/write?path={path}"), "one", &[]).await.0, 201);
    }
    for (path, keep) in [("/d", 3), ("/gone", 4)] {
        let own = json!({"path": path, "versions_keep": keep, "trash_ms": 400 * DAY_MS});
        assert_eq!(old.post(&old.admin, 0, "/retention", &own).await.0, 204);
    }
    assert_eq!(old.post(&old.admin, 0, "/delete", &json!({"path": "/gone", "recursive": true})).await.0, 204);
    let dir = old.dir.path().join("backup");
    back_up(&old, &dir).await;
    let new = unused(1, 2).await;
    let restored = restore(&dir, &new).await;
    assert_eq!((restored.code, &restored.out["retentions"]), (Some(0), &json!(2)), "{}", restored.err);
    let admin = login(&new, "admin").await;
    for path in ["/d", "/d/a"] {
        let call = format!("/retention?path={path}");
        assert_eq!(new.get_as(&admin, 0, &call).await.1, old.get(0, &call).await.1);
    }
    let trash = new.get_as(&admin, 0, "/trash").await.1;
    let gone = json!({"file_id": trash["entries"][0]["file_id"]});
    assert_eq!(new.post(&admin, 0, "/trash/restore", &gone).await.0, 200);
    assert_eq!(new.get_as(&admin, 0, "/retention?path=/gone").await.1["own"]["versions_keep"], 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_shows_and_sets_it() {
    let cluster = Cluster::start(1, 2).await;
    assert_eq!(cluster.put(&cluster.admin, 0, "/write?path=/d/a", "one", &[]).await.0, 201);
    assert_eq!(out(&cluster, &["retention"], 0), "");
    let shown = out(&cluster, &["retention", "/d/a"], 0);
    assert!(shown.contains("versions_keep=5  from above") && shown.contains("trash=7days"), "{shown}");
    let set = out(&cluster, &["retention", "/d", "--versions-keep", "9", "--trash", "90days"], 0);
    assert!(set.contains("versions_keep=9  of its own") && set.contains("trash=90days"), "{set}");
    // What is not given stays.
    let set = out(&cluster, &["retention", "/d", "--versions-keep", "inherit", "--versions", "0s"], 0);
    let lines: Vec<Vec<&str>> = set.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines.iter().map(|line| line[1]).collect::<Vec<_>>(), ["from", "of", "of"], "{set}");
    let listed = out(&cluster, &["retention"], 0);
    assert!(listed.starts_with("VERSIONS  FOR  TRASH") && listed.ends_with("/d\n"), "{listed}");
    let json: Value = serde_json::from_str(&out(&cluster, &["--json", "retention", "/d"], 0)).expect("JSON");
    assert_eq!(json["own"], json!({"versions_keep": null, "versions_ms": 0, "trash_ms": 90 * DAY_MS}));
    assert!(out(&cluster, &["retention", "/d", "--clear"], 0).matches("from above").count() == 3);
    assert_eq!(out(&cluster, &["retention"], 0), "");
    assert!(out(&cluster, &["retention", "/d/a", "--trash", "1h"], 1).contains("name the directory"));
    assert!(out(&cluster, &["retention", "/none"], 1).contains("/none: "));
    assert!(out(&cluster, &["retention", "/d", "--versions-keep", "100001"], 1).contains("to 100000"));
    for wrong in [
        &["retention", "--trash", "1h"][..],
        &["retention", "/d", "--trash", "90"],
        &["retention", "/d", "--clear", "--trash", "1h"],
    ] {
        out(&cluster, wrong, 2);
    }
}
