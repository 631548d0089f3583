//! Who gets an account: the first by the setup code, the next by what the policy asks for, a lost admin by the cluster
//! secret.

use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::{Cluster, PASSWORD, Setup, User, until, write_secret};

async fn signup(cluster: &Cluster, node: usize, name: &str, more: &Value, key: &str) -> (u16, Value) {
    let mut body = json!({"username": name, "password": PASSWORD});
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    let request = cluster.http.post(format!("{}/signup", cluster.url(node))).header("Idempotency-Key", key);
    let answer = request.json(&body).send().await.expect("an answer");
    (answer.status().as_u16(), answer.json().await.expect("JSON"))
}

/// The program's own client, as `user` where one is given.
pub(crate) fn ringmaster(cluster: &Cluster, user: Option<&User>, arguments: &[&str]) -> Output {
    let urls: Vec<&str> = cluster.nodes.iter().map(|node| node.url.as_str()).collect();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringmaster"));
    command.args(arguments).env("RINGMASTER_URL", urls.join(",")).env("XDG_CONFIG_HOME", cluster.dir.path());
    match user {
        Some(user) => command.env("RINGMASTER_TOKEN", &user.token),
        None => command.env_remove("RINGMASTER_TOKEN"),
    };
    command.env("no_proxy", "*").output().expect("the binary runs")
}

/// What it prints, where it ends with that exit code; its standard error, where that is none.
#[track_caller]
pub(crate) fn out(cluster: &Cluster, user: Option<&User>, arguments: &[&str], code: i32) -> String {
    let output = ringmaster(cluster, user, arguments);
    let (said, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}{wrong}");
    if code == 0 { said.into_owned() } else { wrong.into_owned() }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_account_takes_the_setup_code_and_no_other_does() {
    let mut cluster = Cluster::prepare(&Setup::new(3, 0));
    cluster.start_all();
    cluster.wait_ready().await;
    let code = cluster.setup_code();
    for node in &cluster.nodes {
        until("each node shows the code in its log", async || node.log_text().contains(&code)).await;
    }
    let secret_file = cluster.dir.path().join("cluster.secret");
    let secret_file = secret_file.to_str().expect("UTF-8");
    assert_eq!(out(&cluster, None, &["setup-code", "--secret-file", secret_file], 0), format!("{code}\n"));

    // What a page elsewhere can have a browser send, in any form that it does not ask about first.
    let body = json!({"username": "mallory", "password": PASSWORD, "setup_code": code}).to_string();
    for said in
        [None, Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("multipart/form-data; boundary=a")]
    {
        let request = cluster.http.post(format!("{}/signup", cluster.url(0))).body(body.clone());
        let request = said.into_iter().fold(request, |request, said| request.header("Content-Type", said));
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), 400, "{said:?}");
    }
    for (at, more) in
        [json!({}), json!({"setup_code": "AAAAA-AAAAA-AAAAA-AAAAA"}), json!({"invite": "a"})].iter().enumerate()
    {
        let (status, answer) = signup(&cluster, at, "mallory", more, "m").await;
        assert_eq!((status, answer["code"].as_str()), (403, Some("forbidden")), "{more}: {answer}");
        assert!(answer["detail"].as_str().is_some_and(|detail| detail.contains("setup-code")), "{answer}");
    }

    let node = 1;
    let with = json!({"setup_code": code.to_lowercase().replace('-', "")});
    let (status, first) = signup(&cluster, node, "ann", &with, "a").await;
    assert_eq!((status, first["user_id"].as_u64()), (201, Some(1)), "{first}");
    assert_eq!(signup(&cluster, 0, "ann", &with, "a").await, (201, first), "the same request, the same answer");
    for node in 0..3 {
        let (status, answer) = signup(&cluster, node, "ben", &with, &format!("b{node}")).await;
        assert_eq!((status, answer["code"].as_str()), (403, Some("forbidden")), "it has died: {answer}");
    }
    assert_eq!(signup(&cluster, 1, "ben", &json!({}), "b").await.0, 201);
    cluster.admin = cluster.log_in("ann").await;
    assert_eq!(cluster.get(2, "/admin/policy").await.1["signup_mode"], "open");

    // A node that starts again does not show it any more.
    let told = |log: &str| log.matches(&code).count();
    let before = told(&cluster.nodes[0].log_text());
    cluster.nodes[0].kill();
    cluster.nodes[0].start();
    cluster.wait_ready().await;
    assert_eq!(told(&cluster.nodes[0].log_text()), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn later_accounts_take_what_the_policy_asks_for() {
    let cluster = Cluster::start(3, 0).await;
    let bob = cluster.user("bob").await;
    out(&cluster, Some(&cluster.admin), &["policy", "set", "signup_mode=invite"], 0);
    let (status, answer) = signup(&cluster, 1, "eve", &json!({}), "1").await;
    assert_eq!((status, answer["code"].as_str()), (403, Some("forbidden")), "{answer}");
    assert_eq!(cluster.post(&bob, 0, "/admin/invites", &json!({})).await.0, 403);

    // A repeat under the same key is the same invitation.
    let make = async |node: usize| {
        let request = cluster.http.post(format!("{}/admin/invites", cluster.url(node))).header("Idempotency-Key", "i");
        let answer = request.bearer_auth(&cluster.admin.token).json(&json!({})).send().await.expect("an answer");
        (answer.status().as_u16(), answer.json::<Value>().await.expect("JSON"))
    };
    let (status, made) = make(0).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(make(1).await, (201, made.clone()));
    let listed = cluster.get(2, "/admin/invites").await.1;
    let row = json!({"invite_id": made["invite_id"], "made_by": "admin", "expires_at": made["expires_at"]});
    assert_eq!(listed, json!({"invites": [row]}));

    let with = json!({"invite": made["invite"]});
    let (status, answer) = signup(&cluster, 2, "eve", &json!({"invite": "0".repeat(40)}), "2").await;
    assert_eq!(status, 403, "{answer}");
    // A name that is taken uses nothing up.
    assert_eq!(signup(&cluster, 0, "bob", &with, "3").await.0, 409);
    let (status, eve) = signup(&cluster, 0, "eve", &with, "4").await;
    assert_eq!(status, 201, "{eve}");
    assert_eq!(signup(&cluster, 1, "eve", &with, "4").await, (201, eve), "the same request, the same answer");
    assert_eq!(signup(&cluster, 1, "eva", &with, "5").await.0, 403, "it is used up");
    assert_eq!(cluster.get(0, "/admin/invites").await.1, json!({"invites": []}));

    // The same by hand, and one that is taken back.
    let invite = out(&cluster, Some(&cluster.admin), &["invite", "make", "--ttl", "1h"], 0);
    let row = out(&cluster, Some(&cluster.admin), &["invite", "ls"], 0);
    let id = row.lines().nth(1).and_then(|line| line.split_whitespace().next()).expect("an id").to_owned();
    out(&cluster, Some(&cluster.admin), &["invite", "revoke", &id], 0);
    out(&cluster, Some(&cluster.admin), &["invite", "revoke", &id], 1);
    let refused = out(&cluster, None, &["signup", "eva", "--password", PASSWORD, "--invite", invite.trim()], 1);
    assert!(refused.contains("ask for another"), "{refused}");
    let invite = out(&cluster, Some(&cluster.admin), &["invite", "make"], 0);
    out(&cluster, None, &["signup", "eva", "--password", PASSWORD, "--invite", invite.trim()], 0);

    out(&cluster, Some(&cluster.admin), &["policy", "set", "signup_mode=closed"], 0);
    assert!(out(&cluster, Some(&cluster.admin), &["invite", "make"], 1).contains("closed"));
    assert_eq!(signup(&cluster, 0, "eon", &json!({}), "6").await.0, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_the_secret_gives_a_lost_admin_a_new_password() {
    let cluster = Cluster::start(1, 0).await;
    let bob = cluster.user("bob").await;
    let secret_file = cluster.dir.path().join("cluster.secret");
    let secret = ["--secret-file", secret_file.to_str().expect("UTF-8")];
    let wrong = cluster.dir.path().join("wrong.secret");
    write_secret(&wrong, &"ab".repeat(32));
    let members = cluster.member_url(0);
    let reset = |name: &str, secret: [&str; 2], code| {
        out(
            &cluster,
            None,
            &["admin-reset", name, "--password", "another good one", "--members", &members, secret[0], secret[1]],
            code,
        )
    };
    reset("admin", ["--secret-file", wrong.to_str().expect("UTF-8")], 1);
    assert_eq!(cluster.post(&bob, 0, "/admin-reset", &json!({"username": "bob", "password": PASSWORD})).await.0, 404);
    assert!(reset("nobody", secret, 1).contains("there is no such account"));
    assert!(reset("admin", secret, 0).contains("admin is an admin"));
    let login = async |name: &str, password: &str| {
        cluster.post(&bob, 0, "/login", &json!({"username": name, "password": password})).await.0
    };
    assert_eq!((login("admin", PASSWORD).await, login("admin", "another good one").await), (401, 200));
    // Another one becomes an admin.
    assert_eq!(cluster.get_as(&bob, 0, "/admin/policy").await.0, 403);
    reset("bob", secret, 0);
    let (_, bob) = cluster.post(&bob, 0, "/login", &json!({"username": "bob", "password": "another good one"})).await;
    let bob = User { id: 2, token: bob["token"].as_str().expect("a token").to_owned() };
    assert_eq!(cluster.get_as(&bob, 0, "/admin/policy").await.0, 200);
}
