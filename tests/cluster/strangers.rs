//! What callers who are not known cost, by their bodies and their guesses; and what those who are known cost one another.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Cluster, DEADLINE, PASSWORD, Setup};

/// What strangers may make a process larger by.
const MEMORY: u64 = 128 << 20;
const ANNOUNCED: usize = 900_000;

fn address(cluster: &Cluster, node: usize) -> SocketAddr {
    cluster.nodes[node].ports[0].address().parse().expect("an address")
}

/// Sends a head that announces much, and so many bytes of it.
async fn begin(to: SocketAddr, call: &str, bearer: Option<&str>, bytes: usize) -> TcpStream {
    let mut stream = TcpStream::connect(to).await.expect("it listens");
    let bearer = bearer.map_or(String::new(), |bearer| format!("Authorization: Bearer {bearer}\r\n"));
    let head = format!("POST {call} HTTP/1.1\r\nHost: {to}\r\n{bearer}Content-Length: {ANNOUNCED}\r\n\r\n");
    let body = format!("{{\"path\": \"/{}", "a".repeat(bytes.saturating_sub(11)));
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(body.as_bytes()).await;
    stream
}

/// The status and the code of the answer.
async fn answer(stream: &mut TcpStream) -> (u16, Value) {
    let mut told = Vec::new();
    let reading = async {
        loop {
            let mut piece = [0; 4096];
            match stream.read(&mut piece).await {
                Ok(read @ 1..) => told.extend_from_slice(&piece[..read]),
                _ => break,
            }
            let text = String::from_utf8_lossy(&told);
            if text.split_once("\r\n\r\n").is_some_and(|(_, body)| body.ends_with('}')) {
                break;
            }
        }
    };
    tokio::time::timeout(DEADLINE, reading).await.expect("it is answered");
    let text = String::from_utf8_lossy(&told).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text}"));
    let problem: Value = serde_json::from_str(body).unwrap_or(Value::Null);
    (head[9..12].parse().expect("a status"), problem["code"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_of_a_body_is_read_than_a_login_has_before_its_sender_is_known() {
    let cluster = Cluster::start(1, 1).await;
    let to = address(&cluster, 0);
    for (call, bearer, status, code) in [
        ("/login", None, 413, "too_large"),
        ("/signup", None, 413, "too_large"),
        // Not even of who is known: these calls have little to say.
        ("/login", Some(cluster.admin.token.as_str()), 413, "too_large"),
        ("/mkdir", Some("0123456789abcdef"), 401, "unauthenticated"),
        ("/admin/policy", Some("0123456789abcdef"), 401, "unauthenticated"),
        ("/share", Some("0123456789abcdef"), 401, "unauthenticated"),
    ] {
        let mut stream = begin(to, call, bearer, 20_000).await;
        assert_eq!(answer(&mut stream).await, (status, json!(code)), "{call} as {bearer:?}");
    }
    // Nobody waits for a body whose sender has nothing to show.
    for call in ["/mkdir", "/share", "/admin/members", "/admin/join-token"] {
        let mut stream = begin(to, call, None, 0).await;
        assert_eq!(answer(&mut stream).await, (401, json!("unauthenticated")), "{call}");
    }
    // Who is known is heard to the end.
    let mut stream = begin(to, "/mkdir", Some(&cluster.admin.token), 20_000).await;
    stream.write_all("a".repeat(ANNOUNCED - 20_002).as_bytes()).await.expect("it is taken");
    stream.write_all(b"\"}").await.expect("it is taken");
    assert_eq!(answer(&mut stream).await, (400, json!("invalid_path")));
}

#[tokio::test(flavor = "multi_thread")]
async fn half_bodies_of_strangers_take_no_memory() {
    let cluster = Cluster::start(1, 1).await;
    let (to, before) = (address(&cluster, 0), cluster.nodes[0].peak_memory());
    let sending = (0..600).map(|at| async move {
        let bearer = "0".repeat(32 + at % 2);
        let (call, bearer) = [("/mkdir", Some(bearer.as_str())), ("/login", None)][at % 2];
        begin(to, call, bearer, 500_000).await
    });
    let held = tokio::time::timeout(DEADLINE, futures_util::future::join_all(sending)).await.expect("all are sent");
    let grown = cluster.nodes[0].peak_memory() - before;
    println!("600 half bodies of 500 kB: {} MiB more", grown >> 20);
    assert!(grown < MEMORY, "{grown} bytes");
    assert_eq!(cluster.get(0, "/all").await.0, 200);
    drop(held);
}

#[tokio::test(flavor = "multi_thread")]
async fn unfinished_requests_share_a_budget_and_the_rest_is_told_to_come_back() {
    let setup = Setup::new(1, 1).with("RINGMASTER__CONNECTIONS__UNFINISHED", "4MiB");
    let cluster = Cluster::set_up(setup).await;
    let (to, token) = (address(&cluster, 0), cluster.admin.token.as_str());
    let sending = (0..6).map(|_| begin(to, "/mkdir", Some(token), 890_000));
    let mut held = futures_util::future::join_all(sending).await;
    let answers = held.iter_mut().map(answer);
    // Four of them fit; the others are told at once, and those four when they have kept us waiting for too long.
    let answers = futures_util::future::join_all(answers).await;
    assert!(answers.contains(&(503, json!("overloaded"))), "{answers:?}");
    assert_eq!(cluster.metric(0, "ringmaster_unfinished_bytes").await, 0);
    let (status, said) = cluster.post(&cluster.admin, 0, "/mkdir", &json!({"path": "/after"})).await;
    assert_eq!(status, 201, "{said}");
}

/// A caller from one of this machine's many addresses.
fn from(address: [u8; 4]) -> reqwest::Client {
    let client = ringmaster::trust::http().local_address(IpAddr::from(address)).timeout(DEADLINE);
    client.build().expect("a client")
}

async fn log_in(http: &reqwest::Client, url: &str, name: &str, password: &str) -> (StatusCode, Option<u64>) {
    let body = json!({"username": name, "password": password});
    let answer = http.post(format!("{url}/login")).json(&body).send().await.expect("an answer");
    let after = answer.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
    (answer.status(), after)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_guesses_waits_longer_each_time_and_the_owner_never() {
    let cluster = Cluster::start(1, 1).await;
    let url = cluster.url(0);
    // From here she has logged in before.
    cluster.user("anna").await;
    let (guesser, other) = (from([127, 0, 0, 9]), from([127, 0, 0, 10]));
    let mut wrong = 0;
    let first = loop {
        match log_in(&guesser, url, "anna", "a wrong password").await {
            (StatusCode::UNAUTHORIZED, _) => wrong += 1,
            (StatusCode::TOO_MANY_REQUESTS, Some(after)) => break after,
            told => panic!("{told:?}"),
        }
        assert!(wrong <= 11, "nobody slows the guesser down");
    };
    // The account waits, wherever the next guess comes from, and whether the password is right.
    assert_eq!(log_in(&other, url, "anna", PASSWORD).await.0, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(log_in(&cluster.http, url, "anna", PASSWORD).await.0, StatusCode::OK);
    // Her success has ended the wait of the account. What follows is of another one, whom nobody knows.
    let mut waits = vec![first];
    let mut tries = 0;
    while waits.len() < 3 {
        match log_in(&other, url, "nobody", "a wrong password").await {
            (StatusCode::TOO_MANY_REQUESTS, Some(after)) => {
                waits.push(after);
                tokio::time::sleep(Duration::from_secs(after)).await;
            }
            (StatusCode::UNAUTHORIZED, _) => tries += 1,
            told => panic!("{told:?}"),
        }
        assert!(tries < 20, "{waits:?}");
    }
    assert!(waits[2] > waits[1], "{waits:?}");
    let refused = cluster.metric(0, "ringmaster_logins_refused_total{by=\"account\"}").await;
    assert!(refused >= 3, "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn guessers_take_no_memory_and_a_right_login_comes_through() {
    let cluster = Cluster::start(1, 1).await;
    let url = cluster.url(0).to_owned();
    cluster.user("anna").await;
    let before = cluster.nodes[0].peak_memory();
    let guessers: Vec<_> = (0..32_u8)
        .map(|at| {
            let (http, url) = (from([127, 0, 1, 1 + at]), url.clone());
            tokio::spawn(async move {
                let mut seen = Vec::new();
                for guess in 0..15 {
                    seen.push(log_in(&http, &url, &format!("name-{at}-{guess}"), "a wrong password").await.0);
                }
                seen
            })
        })
        .collect();
    for _ in 0..5 {
        assert_eq!(log_in(&cluster.http, &url, "anna", PASSWORD).await.0, StatusCode::OK);
    }
    for guesser in guessers {
        for status in guesser.await.expect("no panic") {
            assert!(matches!(status, StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS), "{status}");
        }
    }
    let grown = cluster.nodes[0].peak_memory() - before;
    println!("480 wrong logins of 32 addresses: {} MiB more", grown >> 20);
    assert!(grown < MEMORY, "{grown} bytes");
}

/// Ten writers and readers of one user against a thousand listings of another, who has much to list.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_listings_is_shed_and_the_rest_goes_on() {
    let cluster = Cluster::set_up(Setup::new(1, 1).with("RINGMASTER__SHEDDING__LISTINGS", "4")).await;
    let anna = cluster.user("anna").await;
    for at in 0..200 {
        let (status, said) = cluster.post(&anna, 0, "/mkdir", &json!({"path": format!("/{at}")})).await;
        assert_eq!(status, 201, "{said}");
    }
    let url = format!("{}/list?path=/&limit=1000", cluster.url(0));
    let listing = |_| async { cluster.http.get(&url).bearer_auth(&anna.token).send().await.expect("an answer") };
    let floods = async {
        let mut shed = 0;
        for _ in 0..5 {
            for answer in futures_util::future::join_all((0..200).map(listing)).await {
                if answer.status() == StatusCode::OK {
                    continue;
                }
                assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
                assert_eq!(answer.headers()["retry-after"], "1");
                assert_eq!(answer.json::<Value>().await.expect("a problem")["code"], json!("overloaded"));
                shed += 1;
            }
        }
        shed
    };
    let others = async {
        for at in 0..20 {
            let path = format!("/mine-{at}");
            let (status, said) = cluster.post(&cluster.admin, 0, "/mkdir", &json!({"path": path})).await;
            assert_eq!(status, 201, "{said}");
            assert_eq!(cluster.get(0, &format!("/stat?path={path}")).await.0, 200);
        }
    };
    let (shed, ()) = tokio::join!(floods, others);
    assert!(shed > 0, "four are in hand at once at the most");
    let counted = cluster.metric(0, r#"ringmaster_requests_shed_total{class="listings"}"#).await;
    assert_eq!(counted, shed);
    for class in ["reads", "writes", "uploads", "logins"] {
        let name = format!("ringmaster_requests_shed_total{{class=\"{class}\"}}");
        assert_eq!(cluster.metric(0, &name).await, 0, "{class}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_many_fields_is_refused_before_it_costs_much() {
    let cluster = Cluster::start(1, 1).await;
    let field = "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n";
    let form =
        format!("{}--x\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nbytes\r\n--x--\r\n", field.repeat(200));
    let content_type = ("content-type", "multipart/form-data; boundary=x");
    let (status, said) = cluster.put(&cluster.admin, 0, "/write?path=/form", form.clone(), &[content_type]).await;
    assert!(status == 400 && said["detail"].as_str().is_some_and(|told| told.contains("too many fields")), "{said}");
    let few = form.replacen(&field.repeat(150), "", 1);
    let (status, said) = cluster.put(&cluster.admin, 0, "/write?path=/form", few, &[content_type]).await;
    assert_eq!(status, 201, "{said}");
}
