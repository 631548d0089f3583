//! What the client makes of nodes that fail: which attempts it makes, under which key, and what it ends in.

mod scripted;

use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use ringmaster::client::{ClientError, Directory, ErrorKind, Limits, Page};
use ringmaster::protocol::accounts::Signup;
use ringmaster::protocol::api::{Delete, FileName, Mkdir};
use ringmaster::protocol::problem::Code;
use scripted::{Node, Play, made, nobody, stat};
use serde_json::json;
use url::Url;

fn directory(urls: &[&Url]) -> Directory {
    let limits = Limits { retry_for: Duration::from_secs(10), ..Limits::default() };
    with_limits(urls, limits)
}

fn impatient(urls: &[&Url]) -> Directory {
    with_limits(urls, Limits { retry_for: Duration::from_millis(600), ..Limits::default() })
}

fn with_limits(urls: &[&Url], limits: Limits) -> Directory {
    let urls = urls.iter().map(|url| (*url).clone()).collect();
    Directory::with_limits(urls, Some("secret-token".into()), limits).expect("a client")
}

fn mkdir() -> Mkdir {
    Mkdir { path: "/d".into(), owner: None }
}

fn path(path: &str) -> FileName {
    FileName { path: Some(path.into()), ..FileName::default() }
}

#[tokio::test]
async fn a_change_is_repeated_under_its_key_until_it_is_done() {
    let node = Node::start(|number, _| match number {
        0 => Play::problem_after(Code::NoLeader, Some(0)),
        1 => Play::HangUp,
        2 => Play::problem(Code::OutcomeUnknown),
        3 => Play::broken_body(201, &[("content-length", "100".into())], b"{\"file"),
        _ => made(),
    })
    .await;
    let made = directory(&[&node.url]).mkdir(&mkdir()).await.expect("made");
    assert_eq!(made.file_id, 9);
    let seen = node.seen();
    assert_eq!(seen.len(), 5);
    assert!(seen[0].key().len() >= 32, "{}", seen[0].key());
    for attempt in &seen {
        assert_eq!(attempt.key(), seen[0].key());
        assert_eq!(attempt.body, seen[0].body);
        assert_eq!(attempt.header("authorization"), Some("Bearer secret-token"));
    }
}

#[tokio::test]
async fn two_changes_have_two_keys_and_a_given_key_is_used() {
    let node = Node::start(|_, _| made()).await;
    let directory = directory(&[&node.url]);
    directory.mkdir(&mkdir()).await.expect("made");
    directory.mkdir(&mkdir()).await.expect("made");
    directory.with_key("mine").mkdir(&mkdir()).await.expect("made");
    let seen = node.seen();
    assert_ne!(seen[0].key(), seen[1].key());
    assert_eq!(seen[2].key(), "mine");
}

#[tokio::test]
async fn a_refusal_is_final() {
    for code in [Code::AlreadyExists, Code::Locked, Code::Forbidden, Code::StorageFull] {
        let node = Node::start(move |_, _| Play::problem(code)).await;
        let error = directory(&[&node.url]).mkdir(&mkdir()).await.expect_err("refused");
        assert_eq!(error.code(), Some(code));
        assert_eq!(error.to_string(), format!("a scripted {}", code.as_str()));
        assert_eq!(node.seen().len(), 1);
    }
}

/// As the reference says: wait for Retry-After, send it again. Another node need not be as busy.
#[tokio::test]
async fn too_many_requests_are_sent_again() {
    let busy = Node::start(|number, _| match number {
        0 => Play::problem(Code::TooManyRequests),
        _ => made(),
    })
    .await;
    directory(&[&busy.url]).mkdir(&mkdir()).await.expect("made");
    let seen = busy.seen();
    assert_eq!((seen.len(), seen[0].key() == seen[1].key()), (2, true));
    // Where it stays so, the last word is what was said.
    let busy = Node::start(|_, _| Play::problem(Code::TooManyRequests)).await;
    let error = impatient(&[&busy.url]).mkdir(&mkdir()).await.expect_err("refused");
    assert_eq!(error.code(), Some(Code::TooManyRequests), "{error:?}");
}

#[tokio::test]
async fn nobody_there_is_unavailable_and_ends_by_the_deadline() {
    let (a, b) = (nobody().await, nobody().await);
    let began = Instant::now();
    let error = impatient(&[&a, &b]).mkdir(&mkdir()).await.expect_err("nobody");
    assert!(matches!(error.kind(), ErrorKind::Unavailable), "{error:?}");
    assert!(began.elapsed() < Duration::from_secs(5));
    assert!(!error.to_string().contains("secret-token"));
}

#[tokio::test]
async fn a_change_that_may_have_been_made_is_never_called_undone() {
    // The first attempt may have been done, and the later ones, which were not, cannot tell.
    let node = Node::start(|number, _| match number {
        0 => Play::HangUp,
        _ => Play::problem(Code::NoLeader),
    })
    .await;
    let error = impatient(&[&node.url]).with_key("mine").mkdir(&mkdir()).await.expect_err("unknown");
    assert!(matches!(error.kind(), ErrorKind::OutcomeUnknown { key } if key == "mine"), "{error:?}");
    assert!(node.seen().len() > 1);
}

#[tokio::test]
async fn a_read_has_no_key_and_is_repeated_elsewhere() {
    let bad = Node::start(|_, _| Play::HangUp).await;
    let good = Node::start(|_, _| Play::json(200, &stat("/a", 1, b""))).await;
    let directory = directory(&[&bad.url, &good.url]);
    for _ in 0..3 {
        directory.stat(&path("/a")).await.expect("found");
    }
    assert!(bad.seen().iter().chain(&good.seen()).all(|seen| seen.header("idempotency-key").is_none()));
    assert_eq!(good.seen().len(), 3);
    assert!(bad.seen().len() <= 1, "the node that failed was asked again at once");

    let error = impatient(&[&bad.url]).stat(&path("/a")).await.expect_err("broken");
    assert!(matches!(error.kind(), ErrorKind::Unavailable), "a read changes nothing: {error:?}");
}

#[tokio::test]
async fn retry_after_is_honoured_up_to_a_limit() {
    let patient = Node::start(|number, _| match number {
        0 => Play::problem_after(Code::NoLeader, Some(1)),
        1 => Play::problem_after(Code::NoLeader, Some(86_400)),
        _ => made(),
    })
    .await;
    let began = Instant::now();
    directory(&[&patient.url]).mkdir(&mkdir()).await.expect("made");
    assert!(began.elapsed() >= Duration::from_secs(3), "{:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(9), "{:?}", began.elapsed());
}

#[tokio::test]
async fn changes_go_to_the_leader_and_follow_it() {
    let follower = Node::start(|_, _| made()).await;
    let leader = Node::start(|_, _| made()).await;
    follower.knows(&[(1, &follower.url), (2, &leader.url)], Some(2));
    // Only one url is given; the other is learnt.
    let directory = directory(&[&follower.url]);
    directory.mkdir(&mkdir()).await.expect("made");
    directory.mkdir(&mkdir()).await.expect("made");
    assert_eq!((follower.seen().len(), leader.seen().len()), (0, 2));

    let gone = leader.url.clone();
    drop(leader);
    follower.knows(&[(1, &follower.url), (2, &gone)], Some(1));
    directory.mkdir(&mkdir()).await.expect("made by the new leader");
    assert_eq!(follower.seen().len(), 1);
}

#[tokio::test]
async fn a_node_that_names_a_dead_leader_does_the_work_itself() {
    let gone = nobody().await;
    let follower = Node::start(|_, _| made()).await;
    follower.knows(&[(1, &follower.url), (2, &gone)], Some(2));
    directory(&[&follower.url]).mkdir(&mkdir()).await.expect("made");
    assert_eq!(follower.seen().len(), 1);
}

#[tokio::test]
async fn a_client_of_one_node_stays_with_it() {
    let follower = Node::start(|_, _| made()).await;
    let leader = Node::start(|_, _| made()).await;
    follower.knows(&[(1, &follower.url), (2, &leader.url)], Some(2));
    let directory = directory(&[&leader.url]).at(follower.url.clone()).expect("a client");
    directory.mkdir(&mkdir()).await.expect("made");
    assert_eq!((follower.seen().len(), leader.seen().len()), (1, 0));
    directory.readyz().await.expect("ready");
    assert_eq!(follower.seen()[1].header("authorization"), None, "probes are anyone's");
}

#[tokio::test]
async fn a_node_that_is_not_ready_is_left_for_one_that_is() {
    // As a node that is cut off from its fellows, and holds on to what it was asked.
    let cut_off = Node::start(|_, seen| match seen.path() {
        "/readyz" => Play::problem(Code::NoLeader),
        _ => Play::Hang,
    })
    .await;
    let ready = Node::start(|_, seen| match seen.path() {
        "/readyz" => Play::with(200, &[], "ready"),
        _ => Play::json(200, &stat("/a", 1, b"")),
    })
    .await;
    let patient = Limits { answer: Duration::from_secs(600), retry_for: Duration::from_secs(600), ..Limits::default() };
    // Clients begin at a random node.
    while cut_off.seen().is_empty() {
        let directory = with_limits(&[&cut_off.url, &ready.url], patient.clone());
        for _ in 0..3 {
            directory.stat(&path("/a")).await.expect("found at the other one");
        }
    }
    let asked = cut_off.seen().iter().filter(|seen| seen.path() == "/stat").count();
    assert_eq!(asked, 1, "it is asked no more");
}

#[tokio::test]
async fn a_slow_node_is_waited_for_while_no_other_is_ready() {
    let script = |_, seen: &scripted::Seen| match seen.path() {
        "/readyz" => Play::problem(Code::NoLeader),
        _ => Play::Hang,
    };
    let (first, second) = (Node::start(script).await, Node::start(script).await);
    let limits =
        Limits { answer: Duration::from_millis(2_500), retry_for: Duration::from_millis(2_500), ..Limits::default() };
    with_limits(&[&first.url, &second.url], limits).stat(&path("/a")).await.expect_err("nobody answers");
    let asked = |node: &Node| node.seen().iter().filter(|seen| seen.path() == "/stat").count();
    assert_eq!(asked(&first) + asked(&second), 1, "an election is waited for where the request is");
}

#[tokio::test]
async fn one_node_s_retry_after_does_not_keep_a_client_from_the_others() {
    let mut fastest = Duration::MAX;
    for _ in 0..4 {
        let busy = Node::start(|_, _| Play::problem_after(Code::NoLeader, Some(86_400))).await;
        let other = Node::start(|_, _| Play::json(200, &stat("/a", 1, b""))).await;
        let mut begun = Instant::now();
        while busy.seen().is_empty() {
            begun = Instant::now();
            directory(&[&busy.url, &other.url]).stat(&path("/a")).await.expect("found at the other one");
        }
        fastest = fastest.min(begun.elapsed());
    }
    assert!(fastest < Duration::from_secs(2), "{fastest:?}");
}

#[tokio::test]
async fn a_node_that_knows_no_leader_is_not_the_last_one_to_be_asked_for_it() {
    let cut_off = Node::start(|_, _| made()).await;
    let leader = Node::start(|_, _| made()).await;
    cut_off.knows(&[(1, &cut_off.url), (2, &leader.url)], None);
    leader.knows(&[(2, &leader.url), (1, &cut_off.url)], Some(2));
    for _ in 0..6 {
        directory(&[&cut_off.url, &leader.url]).mkdir(&mkdir()).await.expect("made");
    }
    assert_eq!((cut_off.seen().len(), leader.seen().len()), (0, 6));
}

#[tokio::test]
async fn listings_are_fetched_page_by_page() {
    let node = Node::start(|_, seen| {
        let cursor = seen.uri.query().unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("cursor="));
        let page: u64 = cursor.map_or(0, |cursor| cursor.parse().expect("a number"));
        let next = (page < 2).then(|| (page + 1).to_string());
        Play::json(200, &json!({ "files": [stat("/a", page, b""), stat("/b", page, b"")], "next_cursor": next }))
    })
    .await;
    let directory = directory(&[&node.url]);
    let all: Vec<_> = directory.all_entries(Some("/x y".into())).try_collect().await.expect("listed");
    assert_eq!(all.iter().map(|stat| stat.file_id).collect::<Vec<_>>(), [0, 0, 1, 1, 2, 2]);
    assert_eq!(node.seen()[1].uri.to_string(), "/all?prefix=%2Fx+y&cursor=1");
    let page = Page { cursor: Some("2".into()), limit: Some(10) };
    assert_eq!(directory.list(&path("/"), &page).await.expect("listed").next_cursor, None);
    assert_eq!(node.seen()[3].uri.to_string(), "/list?path=%2F&cursor=2&limit=10");
}

#[tokio::test]
async fn a_signup_whose_answer_was_lost_is_told_from_a_name_that_is_taken() {
    let script = |password_fits: bool| {
        move |number: usize, seen: &scripted::Seen| match (number, seen.path()) {
            (0, "/signup") => Play::HangUp,
            (_, "/signup") => Play::problem(Code::AlreadyExists),
            (_, "/login") if password_fits => {
                Play::json(200, &json!({ "token": "t", "user_id": 7, "expires_at": "2027-01-01T00:00:00Z" }))
            }
            (_, "/login") => Play::problem(Code::Unauthenticated),
            _ => Play::with(204, &[], ""),
        }
    };
    let (username, password) = ("ann".to_owned(), "password".to_owned());
    let signup = Signup { username, password, setup_code: None, invite: None };
    let mine = Node::start(script(true)).await;
    let account = directory(&[&mine.url]).signup(&signup).await.expect("it was ours");
    assert_eq!((account.user_id, account.username.as_str()), (7, "ann"));
    assert_eq!(mine.seen().last().map(|seen| seen.path().to_owned()), Some("/logout".into()));
    let other = Node::start(script(false)).await;
    let error = directory(&[&other.url]).signup(&signup).await.expect_err("taken");
    assert_eq!(error.code(), Some(Code::AlreadyExists));
}

#[tokio::test]
async fn an_answer_of_something_else_is_no_success() {
    let page = Node::start(|_, _| Play::with(200, &[], "<html>")).await;
    let error = directory(&[&page.url]).stat(&path("/a")).await.expect_err("no JSON");
    assert!(matches!(error.kind(), ErrorKind::Local(_)), "{error:?}");
    let moved = Node::start(|_, _| Play::with(302, &[("location", "http://example.invalid/".into())], "")).await;
    let error = directory(&[&moved.url]).stat(&path("/a")).await.expect_err("no answer");
    assert!(error.problem().is_some_and(|problem| problem.status == 302), "{error:?}");
}

#[tokio::test]
async fn the_token_follows_no_redirect_out_of_the_cluster() {
    let thief = Node::start(|_, _| made()).await;
    let location = format!("{}mkdir", thief.url);
    let node = Node::start(move |_, _| Play::with(307, &[("location", location.clone())], "")).await;
    let error = directory(&[&node.url]).mkdir(&mkdir()).await.expect_err("not followed");
    assert!(error.to_string().contains("not known here"), "{error}");
    assert!(thief.seen().is_empty());
}

#[tokio::test]
async fn arguments_that_cannot_be_sent_are_usage_errors() {
    let url = nobody().await;
    let is_usage = |error: ClientError| assert!(matches!(error.kind(), ErrorKind::Usage), "{error:?}");
    is_usage(Directory::new(vec![], None).expect_err("no url"));
    is_usage(Directory::new(vec!["ftp://a:1".parse().expect("a url")], None).expect_err("no such scheme"));
    is_usage(Directory::new(vec![url.clone()], Some("a\nb".into())).expect_err("no header"));
    let directory = directory(&[&url]);
    let delete = Delete {
        file: path(&"x".repeat(2 << 20)),
        recursive: false,
        permanently: false,
        break_locks: false,
        lock_token: None,
    };
    is_usage(directory.delete(&delete).await.expect_err("too large"));
    is_usage(directory.with_key("k".repeat(256)).mkdir(&mkdir()).await.expect_err("no key"));
}
