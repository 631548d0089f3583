//! What is told to those who watch a process, where, and to whom.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use reqwest::StatusCode;

use ringmaster::domain::NodeId;
use ringmaster::trust::Identity;

use crate::support::{Cluster, METRICS_TOKEN, Process, Setup, until, write_secret};

async fn get(cluster: &Cluster, url: &str, token: Option<&str>) -> (StatusCode, String) {
    let request = cluster.http.get(url);
    let request = token.into_iter().fold(request, |request, token| request.bearer_auth(token));
    let answer = request.send().await.expect("an answer");
    (answer.status(), answer.text().await.expect("text"))
}

fn all(cluster: &Cluster) -> impl Iterator<Item = &Process> {
    cluster.nodes.iter().chain(&cluster.servers)
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_told_on_their_own_listener_and_on_no_other() {
    let cluster = Cluster::start(1, 1).await;
    for process in all(&cluster) {
        let at = process.metrics();
        assert_eq!(
            get(&cluster, &format!("{at}/healthz"), None).await,
            (StatusCode::OK, "{\"status\":\"ok\"}\n".to_owned()),
            "alive, and nothing else"
        );
        let (status, text) = get(&cluster, &format!("{at}/metrics"), None).await;
        assert!(status == StatusCode::OK && text.contains("ringmaster_connections{listener=\"metrics\""), "{text}");
        assert_eq!(get(&cluster, &format!("{at}/cluster"), None).await.0, StatusCode::NOT_FOUND);
    }
    let (users, node) = (cluster.http.clone(), cluster.to_server(Identity::Directory(NodeId(1)), 0));
    let operator = cluster.member(Identity::Operator);
    let ports = [
        (&users, cluster.url(0).to_owned()),
        (&operator, cluster.member_url(0)),
        (&node, cluster.servers[0].url.clone()),
    ];
    for (client, url) in ports {
        for call in ["/metrics", "/metrics/", "/metrics?x=1"] {
            let answer = client.get(format!("{url}{call}")).send().await.expect("an answer");
            let (status, text) = (answer.status(), answer.text().await.expect("text"));
            assert!(status == StatusCode::NOT_FOUND && !text.contains("ringmaster_"), "{url}: {text}");
        }
    }
    let (status, text) = get(&cluster, &format!("{}/healthz", cluster.url(0)), None).await;
    assert_eq!((status, text.as_str()), (StatusCode::OK, "ok\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_token_reads_no_metrics_where_there_is_one() {
    let mut cluster = Cluster::prepare(&Setup::new(1, 1));
    let token = cluster.dir.path().join("metrics.token");
    write_secret(&token, METRICS_TOKEN);
    for process in cluster.nodes.iter_mut().chain(&mut cluster.servers) {
        process.set_environment("RINGMASTER__METRICS__TOKEN_FILE", token.display().to_string());
        // Every address of this machine, the loopback ones among them.
        let port = process.ports.last().expect("a port").address().replace("127.0.0.1", "0.0.0.0");
        process.set_environment("RINGMASTER__METRICS__LISTEN", port);
    }
    cluster.start_all();
    cluster.wait_ready().await;
    for process in all(&cluster) {
        let at = process.metrics();
        let url = format!("{at}/metrics");
        until("it is there", async || cluster.http.get(&at).send().await.is_ok()).await;
        for wrong in [None, Some(""), Some("of-the-tests-012345678"), Some(cluster.secret.as_str())] {
            let (status, text) = get(&cluster, &url, wrong).await;
            assert!(status == StatusCode::UNAUTHORIZED && !text.contains("ringmaster_"), "{wrong:?}: {text}");
            assert!(text.contains("metrics.token_file"), "it says what to send: {text}");
        }
        let (status, text) = get(&cluster, &url, Some(METRICS_TOKEN)).await;
        assert!(status == StatusCode::OK && text.contains("ringmaster_"), "{text}");
        let mine = "ringmaster_connections{listener=\"metrics\",what=\"member\"} 1";
        assert!(text.contains(mine), "who has the token keeps his place: {text}");
        assert_eq!(
            get(&cluster, &format!("{at}/healthz"), None).await.0,
            StatusCode::OK,
            "for whoever starts it again"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_would_show_them_to_everybody_is_refused_with_what_to_do() {
    let cluster = Cluster::prepare(&Setup::new(1, 1));
    let token = cluster.dir.path().join("metrics.token");
    for (process, verb) in [(&cluster.nodes[0], "directory"), (&cluster.servers[0], "fileserver")] {
        let refused = |settings: &[(&str, &str)]| {
            let mut command = Command::new("timeout");
            command.args(["-s", "KILL", "30", env!("CARGO_BIN_EXE_ringmaster"), verb, "--config"]).arg(&process.config);
            for (key, value) in settings {
                command.args(["--set", &format!("{key}={value}")]);
            }
            let ended = command.output().expect("it runs");
            assert!(ended.status.code().is_some_and(|code| code != 0 && code != 137), "{verb}: {ended:?}");
            String::from_utf8_lossy(&ended.stderr).into_owned()
        };
        let port = process.ports.last().expect("a port").address().replace("127.0.0.1", "0.0.0.0");
        let said = refused(&[("metrics.listen", &port)]);
        assert!(said.contains("set `metrics.token_file`") && said.contains("127.0.0.1:"), "{said}");
        let file = token.display().to_string();
        let with_token = [("metrics.listen", port.as_str()), ("metrics.token_file", file.as_str())];
        let said = refused(&with_token);
        assert!(said.contains("openssl rand -hex 32"), "there is no such file: {said}");
        write_secret(&token, METRICS_TOKEN);
        std::fs::set_permissions(&token, Permissions::from_mode(0o644)).expect("set");
        let said = refused(&with_token);
        assert!(said.contains(&format!("chmod 600 {file}")), "{said}");
        assert!(!process.data.exists(), "nothing is touched before");
        std::fs::remove_file(&token).expect("gone");
    }
}
