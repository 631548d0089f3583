//! How a file server becomes known, stays it, and is let go.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::Command;

use ringmaster::clock::SharedClock;
use ringmaster::domain::{ServerUuid, TokenId};
use ringmaster::protocol::join::JoinToken;
use ringmaster::protocol::secret::ClusterSecret;
use ringmaster::trust::{Authority, Identity};
use serde_json::{Value, json};

use crate::support::{Cluster, Port, Process, join_token, until, write_secret};

/// A file server that nobody knows yet, with this text as its join token.
fn newcomer(cluster: &Cluster, name: &str, token: &str) -> Process {
    let (port, metrics) = (Port::take(), Port::take());
    write_secret(&cluster.dir.path().join(format!("{name}.token")), token);
    let text = format!(
        "[server]\ndata_dir = \"{name}\"\nlisten = \"{}\"\nadvertise = \"{}\"\n[metrics]\nlisten = \"{}\"\n\
         [cluster]\ndirectory = [\"{}\"]\njoin_token_file = \"{name}.token\"\n",
        port.address(),
        port.member_url(),
        metrics.address(),
        cluster.member_url(0),
    );
    let url = port.member_url();
    Process::new(cluster.dir.path(), "fileserver", name.to_owned(), url, &text, vec![port, metrics], Vec::new())
}

fn secret(cluster: &Cluster) -> ClusterSecret {
    ClusterSecret::parse(&cluster.secret).expect("a secret")
}

fn uuid(server: &Process) -> ServerUuid {
    let kept = fs::read(server.data.join("server.json")).expect("it has an identity");
    let kept: Value = serde_json::from_slice(&kept).expect("JSON");
    ServerUuid::parse(kept["uuid"].as_str().expect("a UUID")).expect("hexadecimal")
}

/// It ends by itself, and says why.
async fn is_refused(mut server: Process, why: &str) {
    server.start();
    let code = server.wait_exit().await;
    let said = server.log_text();
    assert!(code.is_some_and(|code| code != 0) && said.contains(why), "{why}: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_lets_one_server_in_and_no_other() {
    let mut cluster = Cluster::start(3, 1).await;
    let token = join_token(&secret(&cluster), None);
    let mut second = newcomer(&cluster, "second", token.as_str());
    second.start();
    cluster.servers.push(second);
    cluster.wait_for_servers(2).await;
    is_refused(newcomer(&cluster, "third", token.as_str()), "used up by another file server").await;
    // The one that it let in comes again with it, and without it, also after all nodes have started anew.
    cluster.servers[1].kill();
    fs::remove_file(cluster.dir.path().join("second.token")).expect("it was there");
    cluster.nodes.iter_mut().for_each(Process::kill);
    cluster.nodes.iter_mut().for_each(Process::start);
    cluster.wait_ready().await;
    cluster.servers[1].start();
    cluster.wait_for_servers(2).await;
    assert_eq!(fs::metadata(cluster.servers[1].data.join("credentials.json")).expect("kept").mode() & 0o777, 0o600);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_are_none_are_refused_with_what_to_do() {
    let cluster = Cluster::start(1, 1).await;
    let clock = SharedClock::system();
    let ours = Authority::new(&secret(&cluster)).expect("an authority").public();
    let token = |ends_ms| JoinToken { authority: ours, id: TokenId(clock.random_u128()), ends_ms, replaces: None };
    let ended = token(clock.wall_ms() - 1).sign(&secret(&cluster));
    is_refused(newcomer(&cluster, "late", ended.as_str()), "the join token has ended: make another one").await;
    // Of who knows the authority, which is no secret, and not the secret.
    let forged = token(clock.wall_ms() + 60_000).sign(&ClusterSecret::from_bytes([1; 32]));
    is_refused(newcomer(&cluster, "forger", forged.as_str()), "the join token is not this cluster's").await;
    is_refused(newcomer(&cluster, "careless", "a token"), "this is no join token").await;
    // Whoever has another cluster's token believes that cluster alone, so nobody here is heard.
    let foreign = join_token(&ClusterSecret::from_bytes([1; 32]), None);
    let mut lost = newcomer(&cluster, "lost", foreign.as_str());
    lost.start();
    until("it says whom it does not believe", async || lost.log_text().contains("another cluster secret")).await;
    lost.kill();
    let open = newcomer(&cluster, "open", join_token(&secret(&cluster), None).as_str());
    let file = cluster.dir.path().join("open.token");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("its mode is set");
    is_refused(open, "chmod 600").await;
    let server = newcomer(&cluster, "nameless", "x");
    fs::remove_file(cluster.dir.path().join("nameless.token")).expect("it was there");
    is_refused(server, "make a join token with `ringmaster join-token`").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_key_is_replaced_by_a_token_for_that_server_alone() {
    let mut cluster = Cluster::start(1, 2).await;
    let (status, said) = cluster.put(&cluster.admin, 0, "/write?path=/f", "bytes", &[]).await;
    assert_eq!(status, 201, "{said}");
    let own = uuid(&cluster.servers[1]);
    let old = cluster.as_server(1);
    cluster.servers[1].kill();
    fs::remove_file(cluster.servers[1].data.join("credentials.json")).expect("it was there");
    let token = cluster.dir.path().join("fileserver-2.token");
    write_secret(&token, join_token(&secret(&cluster), None).as_str());
    cluster.servers[1].start();
    let code = cluster.servers[1].wait_exit().await;
    assert!(code.is_some_and(|code| code != 0), "{}", cluster.servers[1].log_tail());
    assert!(
        cluster.servers[1].log_text().contains("make a join token with --replace"),
        "{}",
        cluster.servers[1].log_tail()
    );
    // Made by the command, online, for this very server.
    let out = cluster.dir.path().join("replacing.token");
    let made = Command::new(env!("CARGO_BIN_EXE_ringmaster"))
        .args(["--url", cluster.url(0), "join-token", "--replace", &own.to_string(), "--out"])
        .arg(&out)
        .env("RINGMASTER_TOKEN", &cluster.admin.token)
        .output()
        .expect("the binary runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let text = fs::read_to_string(&out).expect("a token");
    is_refused(newcomer(&cluster, "another", &text), "for another file server").await;
    fs::rename(&out, &token).expect("moved");
    cluster.servers[1].start();
    cluster.wait_for_servers(2).await;
    // The old key is nobody's any more, though its certificate has not ended.
    let body =
        json!({"uuid": own, "server_id": 2, "epoch": 1, "capacity": 1, "free": 1, "used": 0, "blobs": 0, "errors": 0});
    until("the old key is refused", async || {
        let sent = old.post(format!("{}/heartbeat", cluster.member_url(0))).json(&body).send().await;
        sent.is_ok_and(|answer| answer.status().as_u16() == 403)
    })
    .await;
    until("the new one is heard", async || cluster.get(0, "/ring").await.1["servers"][1]["state"] == "up").await;
    assert_eq!(cluster.read(&cluster.admin, 0, "/f").await, Ok(b"bytes".to_vec()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_removed_is_heard_no_more() {
    let mut cluster = Cluster::start(3, 3).await;
    let server = cluster.as_server(2);
    let ring = cluster.get(0, "/ring").await.1;
    let row = ring["servers"].as_array().expect("rows").iter().find(|row| row["url"] == cluster.servers[2].url);
    let id = row.expect("its row")["server_id"].as_u64().expect("an id");
    let own = uuid(&cluster.servers[2]);
    let beat =
        json!({"uuid": own, "server_id": id, "epoch": 1, "capacity": 1, "free": 1, "used": 0, "blobs": 0, "errors": 0});
    let beats = async |node: usize| {
        let sent = server.post(format!("{}/heartbeat", cluster.member_url(node))).json(&beat).send().await;
        sent.expect("an answer").status().as_u16()
    };
    assert_eq!(beats(0).await, 200);
    let (status, said) = cluster.insist(&cluster.admin, 0, "/admin/drain", &json!({"server_id": id})).await;
    assert_eq!(status, 200, "{said}");
    until("it can be removed", async || {
        cluster.post(&cluster.admin, 0, "/admin/remove", &json!({"server_id": id})).await.0 == 204
    })
    .await;
    for node in 0..3 {
        until("each node refuses it", async || beats(node).await == 403).await;
    }
    let at = cluster.member_url(0);
    let joining = server.post(format!("{at}/join")).json(&json!({"uuid": own, "key": "00".repeat(32)})).send().await;
    assert_eq!(joining.expect("an answer").status().as_u16(), 403, "it gets no certificate");
    cluster.servers[2].kill();
    cluster.servers[2].start();
    let code = cluster.servers[2].wait_exit().await;
    assert!(code.is_some_and(|code| code != 0), "{}", cluster.servers[2].log_tail());
}

/// What each role may call at the port for members.
#[tokio::test(flavor = "multi_thread")]
async fn no_role_acts_in_another() {
    let cluster = Cluster::start(1, 1).await;
    let beat = json!({"uuid": uuid(&cluster.servers[0]), "server_id": 1, "epoch": 1, "capacity": 1, "free": 1, "used": 0, "blobs": 0, "errors": 0});
    let access = json!({"user_id": 1, "file_id": 2, "mode": "read"});
    let server = cluster.as_server(0);
    // A certificate of the authority for a server that has never joined.
    let unknown = cluster.member(Identity::FileServer(ServerUuid(77)));
    let service = cluster.member(Identity::LockService);
    let operator = cluster.member(Identity::Operator);
    let nobody = cluster.stranger();
    let node = cluster.member(Identity::Directory(ringmaster::domain::NodeId(1)));
    for (call, body, allowed) in [
        ("/heartbeat", &beat, [200, 403, 403, 403, 401, 403]),
        ("/access", &access, [200, 200, 200, 403, 401, 403]),
        ("/restore/missing", &json!({"content_ids": []}), [403, 403, 403, 200, 401, 403]),
        ("/peer/1/status", &json!({}), [403, 403, 403, 403, 403, 400]),
    ] {
        for (client, expected) in [&server, &unknown, &service, &operator, &nobody, &node].into_iter().zip(allowed) {
            let answer = client.post(format!("{}{call}", cluster.member_url(0))).json(body).send().await;
            assert_eq!(answer.expect("an answer").status().as_u16(), expected, "{call}");
        }
    }
    // Neither the members' calls at the users' port, nor the users' at theirs.
    for call in ["/heartbeat", "/register", "/inventory", "/access", "/join", "/restore/rows", "/peer/1/status"] {
        let answer = cluster.http.post(format!("{}{call}", cluster.url(0))).json(&json!({})).send().await;
        assert_eq!(answer.expect("an answer").status().as_u16(), 404, "{call}");
    }
    for call in ["/login", "/signup", "/mkdir", "/admin/policy"] {
        let answer = operator.post(format!("{}{call}", cluster.member_url(0))).json(&json!({})).send().await;
        assert_eq!(answer.expect("an answer").status().as_u16(), 404, "{call}");
    }
}

/// After a directory node was stolen: all others get another secret, by hand.
#[tokio::test(flavor = "multi_thread")]
async fn the_secret_is_changed_with_all_nodes_stopped() {
    let mut cluster = Cluster::start(3, 2).await;
    let (status, said) = cluster.put(&cluster.admin, 0, "/write?path=/f", "bytes", &[]).await;
    assert_eq!(status, 201, "{said}");
    let old = cluster.member(Identity::Operator);
    cluster.kill_all();
    cluster.secret = "5a".repeat(32);
    write_secret(&cluster.dir.path().join("cluster.secret"), &cluster.secret);
    cluster.nodes.iter_mut().for_each(Process::start);
    cluster.wait_ready().await;
    // Without a token of the new secret a file server believes the old one, and nobody.
    cluster.servers[0].start();
    until("it believes nobody", async || cluster.servers[0].log_text().contains("another cluster secret")).await;
    cluster.servers[0].kill();
    for at in [0, 1] {
        let token = join_token(&secret(&cluster), Some(uuid(&cluster.servers[at])));
        write_secret(&cluster.dir.path().join(format!("fileserver-{}.token", at + 1)), token.as_str());
        cluster.servers[at].start();
    }
    let admin = cluster.log_in("admin").await;
    cluster.admin = admin;
    cluster.wait_for_servers(2).await;
    assert_eq!(cluster.read(&cluster.admin, 1, "/f").await, Ok(b"bytes".to_vec()));
    old.get(format!("{}/restore", cluster.member_url(0))).send().await.expect_err("the old secret opens nothing");
}
