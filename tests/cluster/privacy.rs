//! Two users never see each other's files but through a grant.

use serde_json::json;

use crate::support::Cluster;

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_is_the_only_door() {
    let cluster = Cluster::start(3, 2).await;
    let (anna, bert) = (cluster.user("anna").await, cluster.user("bert").await);
    let (status, stat) = cluster.put(&anna, 0, "/write?path=/diary/monday", "dear diary", &[]).await;
    assert_eq!(status, 201, "{stat}");
    let id = stat["file_id"].as_u64().expect("an id");

    // Every way in is shut, on every node, and looks as if there were nothing.
    for node in 0..3 {
        for name in [format!("file_id={id}"), "owner=anna&path=/diary/monday".to_owned()] {
            for call in ["read", "stat"] {
                let (status, answer) = cluster.get_as(&bert, node, &format!("/{call}?{name}")).await;
                assert_eq!((status, answer["code"].as_str()), (404, Some("not_found")), "{call} {name}: {answer}");
            }
            let (status, answer) = cluster.put(&bert, node, &format!("/update?{name}"), "mine", &[]).await;
            assert_eq!(status, 404, "{answer}");
        }
        for (call, body) in [
            ("/delete", json!({"file_id": id})),
            ("/lock", json!({"file_id": id})),
            ("/share", json!({"file_id": id, "username": "bert", "permission": "write"})),
            ("/move", json!({"owner": "anna", "from": "/diary/monday", "to": "/stolen"})),
            ("/mkdir", json!({"owner": "anna", "path": "/diary/spy"})),
        ] {
            let (status, answer) = cluster.post(&bert, node, call, &body).await;
            assert!(status == 404 || status == 403, "{call}: {status} {answer}");
        }
        assert_eq!(cluster.get_as(&bert, node, "/all").await.1["files"], json!([]));
        assert_eq!(cluster.get_as(&bert, node, "/list?owner=anna&path=/diary").await.0, 404);
    }
    let (status, answer) = cluster.put(&bert, 1, "/write?owner=anna&path=/diary/forged", "x", &[]).await;
    assert!(status == 404 || status == 403, "{status} {answer}");

    // A read grant reads, and does nothing else.
    let grant = json!({"path": "/diary/monday", "username": "bert", "permission": "read"});
    let (status, answer) = cluster.post(&anna, 1, "/share", &grant).await;
    assert_eq!((status, answer), (200, json!({"file_id": id, "username": "bert", "permission": "read"})));
    for node in 0..3 {
        let call = format!("{}/read?file_id={id}", cluster.url(node));
        let answer = cluster.http.get(call).bearer_auth(&bert.token).send().await.expect("an answer");
        assert_eq!(answer.text().await.expect("bytes"), "dear diary");
        let (status, answer) = cluster.put(&bert, node, &format!("/update?file_id={id}"), "changed", &[]).await;
        assert_eq!((status, answer["code"].as_str()), (403, Some("forbidden")), "{answer}");
        assert_eq!(cluster.post(&bert, node, "/lock", &json!({"file_id": id})).await.0, 403);
        let all = cluster.get_as(&bert, node, "/all").await.1;
        assert_eq!(all["files"].as_array().map(Vec::len), Some(1), "{all}");
        let file = &all["files"][0];
        assert_eq!(
            (&file["owner"], &file["path"], &file["permission"]),
            (&json!("anna"), &json!("/diary/monday"), &json!("read"))
        );
        assert!(file.get("replicas").is_none());
    }
    assert_eq!(cluster.read(&anna, 0, "/diary/monday").await, Ok(b"dear diary".to_vec()));

    // A write grant updates; only the owner shares on and removes what was shared.
    let grant = json!({"file_id": id, "username": "bert", "permission": "write"});
    assert_eq!(cluster.post(&anna, 2, "/share", &grant).await.0, 200);
    let (status, answer) = cluster.put(&bert, 0, "/update?owner=anna&path=/diary/monday", "by bert", &[]).await;
    assert_eq!((status, &answer["version"]), (200, &json!(2)), "{answer}");
    assert_eq!(
        cluster.post(&bert, 0, "/share", &json!({"file_id": id, "username": "admin", "permission": "read"})).await.0,
        403
    );
    assert_eq!(cluster.post(&bert, 0, "/delete", &json!({"file_id": id})).await.0, 403);

    // The door shuts again, at once and everywhere.
    assert_eq!(cluster.post(&anna, 1, "/unshare", &json!({"file_id": id, "username": "bert"})).await.0, 204);
    for node in 0..3 {
        assert_eq!(cluster.get_as(&bert, node, &format!("/stat?file_id={id}")).await.0, 404);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_directory_shares_what_is_below_it() {
    let cluster = Cluster::start(1, 2).await;
    let (anna, bert) = (cluster.user("anna").await, cluster.user("bert").await);
    for path in ["/team/plan", "/team/notes/one", "/private"] {
        assert_eq!(cluster.put(&anna, 0, &format!("/write?path={path}"), path.to_owned(), &[]).await.0, 201);
    }
    let grant = json!({"path": "/team", "username": "bert", "permission": "write"});
    assert_eq!(cluster.post(&anna, 0, "/share", &grant).await.0, 200);
    let all = cluster.get_as(&bert, 0, "/all").await.1;
    let paths: Vec<&str> =
        all["files"].as_array().expect("files").iter().filter_map(|file| file["path"].as_str()).collect();
    assert_eq!(paths, ["/team/notes/one", "/team/plan"]);
    assert_eq!(cluster.put(&bert, 0, "/write?owner=anna&path=/team/new", "n", &[]).await.0, 201);
    assert_eq!(
        cluster.post(&bert, 0, "/move", &json!({"owner": "anna", "from": "/team/new", "to": "/team/renamed"})).await.0,
        200
    );
    assert_eq!(cluster.post(&bert, 0, "/delete", &json!({"owner": "anna", "path": "/team/renamed"})).await.0, 204);
    let out = json!({"owner": "anna", "from": "/team/plan", "to": "/private-plan"});
    assert_ne!(
        cluster.post(&bert, 0, "/move", &out).await.0,
        200,
        "a write grant reaches no further than its directory"
    );
    assert_ne!(
        cluster.post(&bert, 0, "/delete", &json!({"owner": "anna", "path": "/team", "recursive": true})).await.0,
        204
    );
}
