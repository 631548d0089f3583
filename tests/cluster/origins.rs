//! Where requests come from, behind the proxies that `docs/OPERATIONS.md` shows: one who guesses passwords through them
//! uses up the budget of his own address and of no other.

use std::net::IpAddr;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::proxies::{Proxy, caddy, documented, haproxy, nginx, start};
use crate::support::{Cluster, DEADLINE, PASSWORD, Setup, until};

/// So many of one address, and no more.
const FAILURES: u32 = 3;

fn client(from: [u8; 4]) -> reqwest::Client {
    let client = ringmaster::trust::http().local_address(IpAddr::from(from)).timeout(DEADLINE);
    client.build().expect("a client")
}

/// The status of a login.
async fn login(client: &reqwest::Client, at: &str, name: &str, password: &str, headers: &[(&str, &str)]) -> u16 {
    let body = json!({"username": name, "password": password});
    let request = client.post(format!("{at}/login")).json(&body);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.send().await.expect("an answer").status().as_u16()
}

async fn cluster(trusted: &str) -> Cluster {
    let setup = Setup::new(1, 0)
        .with("RINGMASTER__LOGINS__ADDRESS_FAILURES", FAILURES)
        .with("RINGMASTER__LOGINS__ACCOUNT_FAILURES", 10_000)
        .with("RINGMASTER__LOGINS__LONGEST_WAIT", "1h")
        .with("RINGMASTER__TRUSTED_PROXIES", trusted)
        .with("RINGMASTER__LOG__LEVEL", "info,ringmaster::directory::http=debug");
    Cluster::set_up(setup).await
}

/// Until the address is refused unseen, whatever it says of itself.
async fn guess(client: &reqwest::Client, at: &str, lies: &[&str]) {
    let mut tries = 0;
    until("the budget is used up", async || {
        tries += 1;
        let lie = format!("198.51.100.{tries}");
        let headers: Vec<(&str, &str)> = lies.iter().map(|name| (*name, lie.as_str())).collect();
        let status = login(client, at, &format!("nobody-{tries}"), "a wrong password", &headers).await;
        assert!(matches!(status, 401 | 429) && tries <= 2 * FAILURES, "{status} after {tries}");
        status == 429
    })
    .await;
}

async fn behind(language: &str, command: impl Fn(&Path, &str) -> Command) {
    let cluster = cluster("127.0.0.1").await;
    let proxy: Proxy = start(&cluster, documented(language), command).await;
    guess(&client([127, 0, 0, 5]), &proxy.url, &["X-Forwarded-For"]).await;
    guess(&client([127, 0, 0, 6]), &proxy.url, &[]).await;
    for (last, expected) in [(5, 429), (6, 429), (7, 200)] {
        let status = login(&client([127, 0, 0, last]), &proxy.url, "admin", PASSWORD, &[]).await;
        assert_eq!(status, expected, "127.0.0.{last}");
    }
    let log = cluster.nodes[0].log_text();
    assert!(log.contains("from=127.0.0.5"), "{log}");
    assert!(!log.contains("from=198.51.100."), "nobody is believed to be who he says");
    // Not by the proxy: what it says is worth nothing.
    guess(&client([127, 0, 0, 8]), cluster.url(0), &["X-Forwarded-For", "X-Real-Ip"]).await;
    guess(&client([127, 0, 0, 9]), cluster.url(0), &["X-Forwarded-For"]).await;
    assert_eq!(login(&client([127, 0, 0, 10]), cluster.url(0), "admin", PASSWORD, &[]).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guesser_behind_nginx_uses_up_its_own_budget() {
    behind("nginx", nginx).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guesser_behind_caddy_uses_up_its_own_budget() {
    behind("caddyfile", caddy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guesser_behind_haproxy_uses_up_its_own_budget() {
    behind("haproxy", haproxy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_is_not_named_is_one_address() {
    let cluster = cluster("192.0.2.1").await;
    guess(&client([127, 0, 0, 1]), cluster.url(0), &["X-Forwarded-For", "Forwarded"]).await;
    let other = [("X-Forwarded-For", "203.0.113.7")];
    assert_eq!(login(&client([127, 0, 0, 1]), cluster.url(0), "someone-else", PASSWORD, &other).await, 429);
}
