//! A listener with real connections on loopback. Times are short, and what must not happen in them is waited for with a
//! request that comes through.

use std::net::SocketAddr;

use http_body_util::{BodyExt, Full};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::domain::UserId;

const SOON: Duration = Duration::from_secs(20);

fn limits() -> Limits {
    let long = Duration::from_secs(60);
    Limits {
        total: 8,
        strangers: 6,
        per_address: 4,
        per_user: 2,
        reserved: 4,
        head: long,
        idle: long,
        slowest: 1024,
        slack: long,
        stall: long,
        pause: long,
    }
}

async fn start(limits: Limits) -> (SocketAddr, Gate, tokio::task::JoinHandle<()>) {
    let gate = Gate::new("test", limits, Counts::default());
    let (address, served) = start_at(gate.clone()).await;
    (address, gate, served)
}

/// Answers with what was sent. `/user/N` and `/member` say whose the connection is, `/much` is a large answer.
async fn start_at(gate: Gate) -> (SocketAddr, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    let service = service_fn(|request: Request<Arriving>| async move {
        let lease = request.extensions().get::<Lease>().expect("each request has its connection's").clone();
        let path = request.uri().path().to_owned();
        let who = match path.strip_prefix("/user/") {
            Some(user) => Who::User(UserId(user.parse().expect("a number"))),
            None if path == "/member" => Who::Member,
            None => Who::Stranger,
        };
        let status = if who == Who::Stranger || lease.is_of(who).is_ok() { 200 } else { 429 };
        let (status, body) = match request.into_body().collect().await {
            Ok(_) if path == "/much" => (200, Bytes::from(vec![0; 64 << 20])),
            Ok(body) => (status, body.to_bytes()),
            Err(error) => (408, Bytes::from(error.to_string())),
        };
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = http::StatusCode::from_u16(status).expect("a status");
        Ok::<_, Infallible>(response)
    });
    let served = tokio::spawn(serve(Port { listener, gate, handshake: None }, service, CancellationToken::new(), SOON));
    (address, served)
}

async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.expect("it listens")
}

async fn connect_from(address: SocketAddr, from: &str) -> TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind(format!("{from}:0").parse().expect("an address")).expect("all of 127/8 is this machine");
    socket.connect(address).await.expect("it listens")
}

/// The status, or nothing where the connection ends without an answer.
async fn status(stream: &mut TcpStream) -> Option<u16> {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        match tokio::time::timeout(SOON, stream.read(&mut byte)).await.expect("in time") {
            Ok(1) => text.push(byte[0]),
            _ => return None,
        }
    }
    let text = String::from_utf8(text).expect("a head is text").to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0_usize);
    if length < 1 << 20 {
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
    }
    text.get(9..12).and_then(|status| status.parse().ok())
}

async fn ask(stream: &mut TcpStream, path: &str) -> Option<u16> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    status(stream).await
}

async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut byte = [0];
    !matches!(tokio::time::timeout(SOON, stream.read(&mut byte)).await, Ok(Ok(1..)) | Err(_))
}

#[tokio::test]
async fn the_newest_stranger_gets_the_place_of_the_one_who_is_silent_for_longest() {
    let (address, _, _served) = start(limits()).await;
    let mut silent = Vec::new();
    for at in 0..6 {
        silent.push(connect_from(address, ["127.0.0.2", "127.0.0.3"][at % 2]).await);
    }
    let mut own = connect(address).await;
    assert_eq!(ask(&mut own, "/").await, Some(200));
    assert!(is_closed(&mut silent[0]).await);
    // Whoever has just asked for something is behind all who have not.
    let mut other = connect(address).await;
    assert!(is_closed(&mut silent[1]).await);
    assert_eq!(ask(&mut own, "/").await, Some(200));
    assert_eq!(ask(&mut other, "/").await, Some(200));
}

#[tokio::test]
async fn an_address_takes_places_from_itself() {
    let (address, _, _served) = start(limits()).await;
    let mut own = connect(address).await;
    assert_eq!(ask(&mut own, "/").await, Some(200));
    let mut flood = Vec::new();
    for _ in 0..20 {
        flood.push(connect_from(address, "127.0.0.2").await);
    }
    for silent in &mut flood[..16] {
        assert!(is_closed(silent).await);
    }
    assert_eq!(ask(&mut own, "/").await, Some(200));
}

#[tokio::test]
async fn who_has_authenticated_keeps_his_place_and_members_find_one() {
    let (address, _, _served) = start(limits()).await;
    let mut users = Vec::new();
    for user in 1..=4 {
        let mut stream = connect(address).await;
        assert_eq!(ask(&mut stream, &format!("/user/{user}")).await, Some(200));
        users.push(stream);
    }
    let mut flood = Vec::new();
    for at in 0..20 {
        flood.push(connect_from(address, &format!("127.0.0.{}", 2 + at % 8)).await);
    }
    let mut members = Vec::new();
    for _ in 0..4 {
        let mut member = connect(address).await;
        assert_eq!(ask(&mut member, "/member").await, Some(200));
        members.push(member);
    }
    for (user, stream) in (1..).zip(&mut users) {
        assert_eq!(ask(stream, &format!("/user/{user}")).await, Some(200), "user {user}");
    }
    // All places are those of users and members now: who comes next finds none.
    assert!(is_closed(&mut connect(address).await).await);
}

#[tokio::test]
async fn a_user_gets_no_more_than_his_part_and_loses_what_is_idle_first() {
    let (address, _, _served) = start(limits()).await;
    let begun = |length: usize| format!("PUT /user/1 HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n");
    let mut idle = connect(address).await;
    assert_eq!(ask(&mut idle, "/user/1").await, Some(200));
    let mut busy = Vec::new();
    for _ in 0..2 {
        let mut stream = connect(address).await;
        stream.write_all(begun(4).as_bytes()).await.expect("it is sent");
        busy.push(stream);
    }
    assert!(is_closed(&mut idle).await);
    let mut more = connect(address).await;
    assert_eq!(ask(&mut more, "/user/1").await, Some(429));
    for stream in &mut busy {
        stream.write_all(b"rest").await.expect("it is sent");
        assert_eq!(status(stream).await, Some(200));
    }
}

#[tokio::test]
async fn heads_and_bodies_of_strangers_must_come_in_time_and_who_is_known_may_pause() {
    let short = Duration::from_millis(300);
    let limits = Limits { head: short, slack: short, stall: short, per_user: 8, ..limits() };
    let (address, _, _served) = start(limits).await;
    let (mut silent, mut half) = (connect(address).await, connect(address).await);
    half.write_all(b"GET / HTTP/1.1\r\nhost:").await.expect("it is sent");
    assert!(is_closed(&mut silent).await && is_closed(&mut half).await);

    let body = |path: &str| format!("PUT {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\n");
    let (mut slow, mut known) = (connect(address).await, connect(address).await);
    known.write_all(body("/user/1").as_bytes()).await.expect("it is sent");
    slow.write_all(body("/").as_bytes()).await.expect("it is sent");
    assert_eq!(status(&mut slow).await, Some(408));

    let mut unread = connect(address).await;
    unread.write_all(b"GET /much HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("it is sent");
    // Nothing is read until the server has given it up. What its kernel took is all that comes.
    tokio::time::sleep(4 * short).await;
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(SOON, unread.read_to_end(&mut rest)).await.expect("it ends");
    assert!(rest.len() < 64 << 20, "{} bytes came", rest.len());

    known.write_all(b"rest").await.expect("it is sent");
    assert_eq!(status(&mut known).await, Some(200), "by now it has paused for longer than a stranger may");
}

#[tokio::test]
async fn a_head_that_cannot_be_read_gets_a_problem() {
    let (address, _, _served) = start(limits()).await;
    let long = format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "y".repeat(MOST_AT_ONCE));
    for (head, start, code) in [
        ("GET /?name=\"quoted\" HTTP/1.1\r\nhost: x\r\n\r\n", "HTTP/1.1 400 ", "\"invalid_request\""),
        (long.as_str(), "HTTP/1.1 431 ", "\"head_too_large\""),
    ] {
        let mut stream = connect(address).await;
        assert_eq!(ask(&mut stream, "/").await, Some(200));
        stream.write_all(head.as_bytes()).await.expect("it is sent");
        let mut answer = Vec::new();
        let ended = tokio::time::timeout(SOON, stream.read_to_end(&mut answer)).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(ended.is_ok(), "the connection stays: {answer}");
        assert!(
            answer.starts_with(start) && answer.contains("\r\ncontent-type: application/problem+json\r\n"),
            "{answer}"
        );
        let (_, body) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(body.contains(code) && serde_json::from_str::<serde_json::Value>(body).is_ok(), "{answer}");
    }
}

#[tokio::test]
async fn a_proxys_connection_is_whoevers_request_it_carries() {
    let proxies = Proxies::new(&["127.0.0.1/32".parse().expect("a net")]);
    let gate = Gate::behind(proxies, "test", Limits { total: 20, strangers: 16, ..limits() }, Counts::default());
    let (address, _served) = start_at(gate.clone()).await;
    let ask = async |stream: &mut TcpStream, path: &str, from: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nx-forwarded-for: {from}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        status(stream).await
    };
    // As many connections as the proxy likes, before they carry anything.
    let mut all = Vec::new();
    for _ in 0..8 {
        all.push(connect(address).await);
    }
    for (at, stream) in all.iter_mut().enumerate() {
        let from = format!("203.0.113.{}", at % 2);
        assert_eq!(ask(stream, "/", &from).await, Some(200), "of each address as many as it may have");
    }
    let mut more = connect(address).await;
    assert_eq!(ask(&mut more, "/", "9.9.9.9, 203.0.113.0").await, Some(200));
    assert!(is_closed(&mut all[0]).await, "an address takes places from itself, also behind a proxy");
    assert_eq!(ask(&mut all[1], "/", "203.0.113.1").await, Some(200));
    // Nobody but a proxy is believed.
    let mut direct = connect_from(address, "127.0.0.2").await;
    assert_eq!(ask(&mut direct, "/", "203.0.113.1").await, Some(200));
    assert_eq!(ask(&mut all[3], "/", "203.0.113.1").await, Some(200));

    // A user's request makes it the user's, the next one of somebody unknown a stranger's again.
    let count = |what| gate.counts().open.get_or_create(&counts::Of { listener: "test", what }).get();
    let strangers = count("stranger");
    assert_eq!(ask(&mut all[1], "/user/1", "203.0.113.1").await, Some(200));
    assert_eq!((count("user"), count("stranger")), (1, strangers - 1));
    assert_eq!(ask(&mut all[1], "/", "203.0.113.1").await, Some(200));
    assert_eq!((count("user"), count("stranger")), (0, strangers));
}
