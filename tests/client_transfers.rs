//! Uploads that are sent again from their start, and downloads that go on where they broke off.

mod scripted;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine;
use ringmaster::client::{
    Directory, ErrorKind, Limits, Progress, ReadOptions, Source, UpdateOptions, WriteOptions, etag,
};
use ringmaster::protocol::api::FileName;
use ringmaster::protocol::problem::Code;
use scripted::{Node, Play, Seen, stat};
use sha2::Digest;
use url::Url;

fn directory(urls: &[&Url]) -> Directory {
    let limits = Limits { retry_for: Duration::from_secs(10), stall: Duration::from_secs(1), ..Limits::default() };
    let urls = urls.iter().map(|url| (*url).clone()).collect();
    Directory::with_limits(urls, Some("secret-token".into()), limits).expect("a client")
}

fn path(path: &str) -> FileName {
    FileName { path: Some(path.into()), ..FileName::default() }
}

/// Bytes that differ at every offset that matters.
fn content(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8 ^ (at / 251 % 256) as u8).collect()
}

fn repr_digest(content: &[u8]) -> String {
    format!("sha-256=:{}:", base64::prelude::BASE64_STANDARD.encode(sha2::Sha256::digest(content)))
}

fn stored(seen: &Seen) -> Play {
    Play::json(201, &stat("/a", 1, &seen.body))
}

#[tokio::test]
async fn an_upload_that_broke_off_is_sent_again_from_its_start() {
    let content = content(3 << 20);
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), &content).expect("written");
    let node = Node::start_reading(Some(100_000), |_, _| Play::HangUp).await;
    let good = Node::start(|_, seen| stored(seen)).await;
    let most = Arc::new(AtomicU64::new(0));
    let progress: Progress = {
        let most = most.clone();
        Arc::new(move |sent| {
            most.fetch_max(sent, Ordering::Relaxed);
        })
    };
    let directory = directory(&[&node.url, &good.url]);
    let mut attempts = 0;
    for _ in 0..4 {
        let source = Source::file(file.path()).await.expect("readable");
        let options = WriteOptions { content_type: Some("text/plain".into()), progress: Some(progress.clone()) };
        let answer = directory.write(&path("/a b"), source, options).await.expect("stored");
        assert_eq!(answer.size, Some(content.len() as u64));
        attempts += 1;
    }
    assert_eq!(most.load(Ordering::Relaxed), content.len() as u64);
    let (broken, good) = (node.seen(), good.seen());
    assert_eq!(good.len(), attempts);
    assert!(broken.len() <= 4);
    for whole in &good {
        assert_eq!(whole.body, content);
        assert_eq!(whole.header("content-length"), Some("3145728"));
        assert_eq!(whole.header("content-type"), Some("text/plain"));
        assert_eq!(whole.header("ringmaster-routing"), Some("forward"), "nobody said that it leads");
        assert_eq!(whole.uri.to_string(), "/write?path=%2Fa+b");
    }
    for part in &broken {
        assert_eq!(good.iter().filter(|whole| whole.key() == part.key()).count(), 1);
    }
}

#[tokio::test]
async fn an_upload_goes_straight_to_the_leader() {
    let leader = Node::start(|_, seen| stored(seen)).await;
    leader.knows(&[(1, &leader.url)], Some(1));
    let source = Source::bytes(&b"hello"[..]);
    directory(&[&leader.url]).write(&path("/a"), source, WriteOptions::default()).await.expect("stored");
    let seen = leader.seen();
    assert_eq!(seen[0].header("ringmaster-routing"), None);
    assert_eq!(seen[0].body, &b"hello"[..]);
}

#[tokio::test]
async fn a_redirect_gets_the_whole_body_and_the_ticket_in_place_of_the_token() {
    let content = content(500_000);
    let leader = Node::start(|_, seen| stored(seen)).await;
    let location = format!("{}update?path=%2Fa&ticket=abc", leader.url);
    let follower = Node::start(move |_, _| Play::with(307, &[("location", location.clone())], "")).await;
    let options =
        UpdateOptions { lock_token: Some("5.mac".into()), if_match: Some(etag(1, 2)), ..UpdateOptions::default() };
    let directory = directory(&[&follower.url]);
    directory.update(&path("/a"), Source::bytes(content.clone()), options).await.expect("stored");
    let (first, second) = (&follower.seen()[0], &leader.seen()[0]);
    assert_eq!(second.body, content);
    assert_eq!(second.uri.to_string(), "/update?path=%2Fa&ticket=abc");
    assert_eq!(second.header("authorization"), None);
    for name in ["idempotency-key", "lock-token", "if-match", "content-length"] {
        assert_eq!(first.header(name), second.header(name), "{name}");
    }
    assert_eq!(second.header("if-match"), Some("\"1-2\""));
}

#[tokio::test]
async fn a_refusal_before_the_body_is_read_arrives() {
    let node = Node::start_reading(Some(0), |_, _| Play::problem(Code::AlreadyExists)).await;
    let source = Source::bytes(content(16 << 20));
    let error = directory(&[&node.url]).write(&path("/a"), source, WriteOptions::default()).await.expect_err("refused");
    assert_eq!(error.code(), Some(Code::AlreadyExists), "{error:?}");
}

#[tokio::test]
async fn an_empty_file_has_a_length_of_zero() {
    let node = Node::start(|_, seen| stored(seen)).await;
    let source = Source::bytes(Vec::new());
    directory(&[&node.url]).write(&path("/a"), source, WriteOptions::default()).await.expect("stored");
    assert_eq!(node.seen()[0].header("content-length"), Some("0"));
}

#[tokio::test]
async fn a_file_that_is_cut_short_is_an_error_and_not_half_a_file() {
    let node = Node::start(|_, seen| stored(seen)).await;
    let directory = directory(&[&node.url]);
    let short = Source::reader("a short reader", 100, || {
        let reader: ringmaster::client::SourceReader = Box::new(&b"only this"[..]);
        Box::pin(std::future::ready(Ok(reader)))
    });
    let error = directory.write(&path("/a"), short, WriteOptions::default()).await.expect_err("short");
    assert!(matches!(error.kind(), ErrorKind::Local(_)), "{error:?}");

    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), b"before").expect("written");
    let source = Source::file(file.path()).await.expect("readable");
    std::fs::write(file.path(), b"something else").expect("written");
    let error = directory.write(&path("/a"), source, WriteOptions::default()).await.expect_err("changed");
    assert!(error.to_string().contains("was changed"), "{error}");
    assert!(Source::file(std::env::temp_dir()).await.is_err(), "a directory is no source");
}

/// A node that takes a small file in one request, and a large one by an upload of which nothing has come.
fn resumable(seen: &Seen) -> Play {
    let id = format!("/uploads/{}", "0a".repeat(16));
    match (seen.method.as_str(), seen.path()) {
        ("GET", "/uploads") => Play::json(200, &serde_json::json!({"uploads": [], "next_cursor": null})),
        ("POST", "/uploads") => Play::with(201, &[("location", id)], ""),
        ("HEAD", _) => Play::with(200, &[("upload-offset", "0".to_owned())], ""),
        _ => stored(seen),
    }
}

#[tokio::test]
async fn a_file_that_is_changed_while_it_is_sent_is_not_stored() {
    // One that is read before it is sent, and one that is too large for that.
    for length in [1_u64 << 20, (64 << 20) + 1] {
        let node = Node::start(|_, seen| resumable(seen)).await;
        let file = tempfile::NamedTempFile::new().expect("a file");
        file.as_file().set_len(length).expect("set");
        let progress: Progress = {
            let changed = file.reopen().expect("open");
            Arc::new(move |_| changed.set_len(length + 1).expect("set"))
        };
        let source = Source::file(file.path()).await.expect("readable");
        let options = WriteOptions { progress: Some(progress), ..WriteOptions::default() };
        let error = directory(&[&node.url]).write(&path("/a"), source, options).await.expect_err("changed");
        assert!(error.to_string().contains("it was changed while it was sent"), "{error}");
        assert!(node.seen().iter().all(|seen| (seen.body.len() as u64) < length), "no node has the whole of it");
    }
}

#[tokio::test]
async fn a_file_that_is_changed_after_an_attempt_that_may_have_stored_it_is_an_unknown_outcome() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    file.as_file().set_len(100).expect("set");
    let changed = file.reopen().expect("open");
    let node = Node::start(move |_, _| {
        changed.set_len(50).expect("set");
        Play::HangUp
    })
    .await;
    let source = Source::file(file.path()).await.expect("readable");
    let error = directory(&[&node.url]).write(&path("/a"), source, WriteOptions::default()).await.expect_err("changed");
    assert!(matches!(error.kind(), ErrorKind::OutcomeUnknown { .. }), "{error:?}");
    assert!(error.to_string().contains("it was changed while it was sent"), "{error}");
}

#[tokio::test]
async fn the_digest_is_announced_and_the_answer_compared() {
    let digest = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    let node = Node::start(move |_, seen| {
        let mut stat = stat("/a", 7, &seen.body);
        stat["sha256"] =
            if seen.uri.to_string().contains("good") { digest.into() } else { digest.replace('2', "3").into() };
        Play::json(201, &stat)
    })
    .await;
    let directory = directory(&[&node.url]);
    let hello = || Source::bytes(&b"hello"[..]);
    directory.write(&path("/good"), hello(), WriteOptions::default()).await.expect("stored");
    assert_eq!(node.seen()[0].header("repr-digest"), Some("sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:"));
    let unknown = || {
        let reader =
            || Box::pin(std::future::ready(Ok(Box::new(&b"hello"[..]) as ringmaster::client::SourceReader))) as _;
        Source::reader("a reader", 5, reader)
    };
    directory.write(&path("/good"), unknown(), WriteOptions::default()).await.expect("stored");
    assert_eq!(node.seen()[1].header("repr-digest"), None, "it was not read before");
    for source in [hello(), unknown()] {
        let error = directory.update(&path("/bad"), source, UpdateOptions::default()).await.expect_err("other bytes");
        assert!(error.to_string().contains("other bytes are stored than were sent"), "{error}");
    }
}

#[tokio::test]
async fn an_upload_that_nobody_takes_ends() {
    // The body is more than what the sockets between the two hold.
    let deaf = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url: Url = format!("http://{}", deaf.local_addr().expect("an address")).parse().expect("a url");
    let limits =
        Limits { retry_for: Duration::from_millis(500), stall: Duration::from_millis(500), ..Limits::default() };
    let directory = Directory::with_limits(vec![url], None, limits).expect("a client");
    let file = path("/a");
    let write = directory.write(&file, Source::bytes(content(32 << 20)), WriteOptions::default());
    let error = tokio::time::timeout(Duration::from_secs(60), write).await.expect("it ends").expect_err("stalled");
    assert!(matches!(error.kind(), ErrorKind::Unavailable), "none can have the whole of it: {error:?}");
}

/// Serves `content` from wherever a range asks, and at most `most` bytes at a time.
fn serve_parts(content: Vec<u8>, most: usize, stalls: bool) -> impl Fn(usize, &Seen) -> Play + Send + Sync {
    move |_, seen| {
        let from = seen.header("range").map_or(0, |range| {
            let from = range.strip_prefix("bytes=").and_then(|range| range.strip_suffix('-'));
            from.expect("an open range").parse().expect("a number")
        });
        let end = content.len().min(from + most);
        let mut headers = vec![
            ("etag", etag(1, 1)),
            ("content-type", "text/plain".to_owned()),
            ("repr-digest", repr_digest(&content)),
            ("content-length", (content.len() - from).to_string()),
        ];
        let status = if from == 0 { 200 } else { 206 };
        if from > 0 {
            headers.push(("content-range", format!("bytes {from}-{}/{}", content.len() - 1, content.len())));
        }
        match (end == content.len(), stalls) {
            (true, _) => Play::with(status, &headers, content[from..].to_vec()),
            (false, true) => Play::stalled_body(status, &headers, &content[from..end]),
            (false, false) => Play::broken_body(status, &headers, &content[from..end]),
        }
    }
}

#[tokio::test]
async fn a_download_goes_on_where_it_broke_off() {
    for stalls in [false, true] {
        let content = content(1_000_000);
        let a = Node::start(serve_parts(content.clone(), 300_000, stalls)).await;
        let b = Node::start(serve_parts(content.clone(), 300_000, stalls)).await;
        let mut got = Vec::new();
        let read =
            directory(&[&a.url, &b.url]).read(&path("/a"), &ReadOptions::default(), &mut got).await.expect("read");
        assert!(got == content, "the bytes differ");
        assert!(read.verified);
        assert_eq!((read.bytes, read.head.size), (1_000_000, Some(1_000_000)));
        let (a, b) = (a.seen(), b.seen());
        assert_eq!(a.len() + b.len(), 4);
        assert!(a.len() == 2 && b.len() == 2, "the other node goes on");
        let later: Vec<&Seen> = a.iter().chain(&b).filter(|seen| seen.header("range").is_some()).collect();
        assert_eq!(later.len(), 3);
        assert!(later.iter().all(|seen| seen.header("if-match") == Some("\"1-1\"")));
    }
}

#[tokio::test]
async fn a_node_that_knows_no_ranges_is_read_from_its_start() {
    let content = content(50_000);
    let whole = content.clone();
    let node = Node::start(move |number, _| {
        let headers = [("etag", etag(1, 1)), ("content-length", whole.len().to_string())];
        match number {
            0 => Play::broken_body(200, &headers, &whole[..20_000]),
            _ => Play::with(200, &headers, whole.clone()),
        }
    })
    .await;
    let mut got = Vec::new();
    let read = directory(&[&node.url]).read(&path("/a"), &ReadOptions::default(), &mut got).await.expect("read");
    assert!(got == content && !read.verified);
}

#[tokio::test]
async fn other_bytes_than_the_digest_says_are_an_error() {
    let node =
        Node::start(|_, _| Play::with(200, &[("etag", etag(1, 1)), ("repr-digest", repr_digest(b"right"))], "wrong"))
            .await;
    let error = directory(&[&node.url])
        .read(&path("/a"), &ReadOptions::default(), &mut Vec::new())
        .await
        .expect_err("other bytes");
    assert!(matches!(error.kind(), ErrorKind::Local(std::io::ErrorKind::InvalidData)), "{error:?}");
}

#[tokio::test]
async fn a_file_that_is_replaced_in_mid_download_is_not_put_together_from_two() {
    let node = Node::start(|number, _| match number {
        0 => Play::broken_body(200, &[("etag", etag(1, 1)), ("content-length", "10".into())], b"12345"),
        _ => Play::problem(Code::VersionConflict),
    })
    .await;
    let error = directory(&[&node.url])
        .read(&path("/a"), &ReadOptions::default(), &mut Vec::new())
        .await
        .expect_err("replaced");
    assert_eq!(error.code(), Some(Code::VersionConflict));
}

#[tokio::test]
async fn a_part_is_asked_for_as_a_range() {
    let node = Node::start(|_, _| {
        let headers = [("etag", etag(1, 1)), ("content-range", "bytes 3-6/100".into()), ("content-length", "4".into())];
        Play::with(206, &headers, "part")
    })
    .await;
    let mut got = Vec::new();
    let options = ReadOptions { from: 3, to: Some(7), if_match: None, version: None };
    let read = directory(&[&node.url]).read(&path("/a"), &options, &mut got).await.expect("read");
    assert_eq!((got.as_slice(), read.bytes, read.verified), (&b"part"[..], 4, false));
    assert_eq!(node.seen()[0].header("range"), Some("bytes=3-6"));
}

#[tokio::test]
async fn what_cannot_be_written_here_ends_the_download() {
    struct Full;
    impl tokio::io::AsyncWrite for Full {
        fn poll_write(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            _: &[u8],
        ) -> std::task::Poll<std::io::Result<usize>> {
            std::task::Poll::Ready(Err(std::io::ErrorKind::StorageFull.into()))
        }
        fn poll_flush(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            std::task::Poll::Ready(Ok(()))
        }
        fn poll_shutdown(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            std::task::Poll::Ready(Ok(()))
        }
    }
    let node = Node::start(serve_parts(content(1000), 1000, false)).await;
    let error = directory(&[&node.url]).read(&path("/a"), &ReadOptions::default(), &mut Full).await.expect_err("full");
    assert!(matches!(error.kind(), ErrorKind::Local(std::io::ErrorKind::StorageFull)), "{error:?}");
    assert_eq!(node.seen().len(), 1);
}
