//! The command line as a script sees it: exit codes, what stands on which output, and what is left on the disk.

mod scripted;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use ringmaster::protocol::problem::Code;
use scripted::{Node, Play, made, nobody, stat};
use serde_json::json;
use tempfile::TempDir;
use url::Url;

const TOKEN: &str = "token-that-nobody-may-see";

/// A user with a home of their own.
struct User {
    home: TempDir,
    url: Url,
}

impl User {
    fn of(url: &Url) -> Self {
        Self { home: tempfile::tempdir().expect("a directory"), url: url.clone() }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringmaster"));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.home.path())
            .env("TMPDIR", self.home.path())
            .env("RINGMASTER_URL", self.url.as_str())
            .current_dir(self.home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs a command to its end, while the scripted node answers on this thread's runtime.
    async fn run(&self, arguments: &[&str]) -> Output {
        finish(self.command(arguments)).await
    }

    /// As [`Self::run`], with a token.
    async fn run_in(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        command.env("RINGMASTER_TOKEN", TOKEN);
        finish(command).await
    }

    fn file(&self, name: &str, content: &[u8]) -> String {
        let path = self.home.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        std::fs::write(&path, content).expect("written");
        path.to_str().expect("UTF-8").to_owned()
    }

    fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.home.path()).expect("a directory");
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect()
    }
}

async fn finish(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().expect("the binary runs")).await.expect("no panic")
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("it was not killed")
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

#[tokio::test]
async fn nobody_there_is_3() {
    let user = User::of(&nobody().await);
    let output = user.run_in(&["--timeout", "300ms", "ls"]).await;
    assert_eq!(code(&output), 3);
    assert!(err(&output).starts_with("error: no directory node could do it within 0."), "{}", err(&output));
    assert!(err(&output).contains("\nhint: check that the cluster runs"), "{}", err(&output));
    assert!(output.stdout.is_empty());
}

#[tokio::test]
async fn a_change_that_may_have_been_made_is_3_and_says_so() {
    let node = Node::start(|_, _| Play::HangUp).await;
    let output = User::of(&node.url).run_in(&["--timeout", "300ms", "mkdir", "/d"]).await;
    assert_eq!(code(&output), 3);
    assert!(err(&output).contains("may or may not have been made"), "{}", err(&output));
}

#[tokio::test]
async fn wrong_usage_is_2_and_help_is_0() {
    let user = User::of(&nobody().await);
    for arguments in [&["put", "a"][..], &["frobnicate"], &["get", "/a/../b"], &["--url", "ftp://a", "ls"], &[]] {
        assert_eq!(code(&user.run(arguments).await), 2, "{arguments:?}");
    }
    // Found out by the command itself.
    let config = user.run(&["directory", "--config", "missing.toml"]).await;
    assert_eq!(code(&config), 2, "{}", err(&config));
    assert!(err(&config).contains("missing.toml"), "{}", err(&config));
    for arguments in [&["--help"][..], &["put", "--help"], &["ls", "--help"], &["--version"]] {
        let output = user.run(arguments).await;
        assert_eq!((code(&output), output.stderr.is_empty()), (0, true), "{arguments:?}");
    }
    let help = out(&user.run(&["put", "--help"]).await);
    assert!(help.contains("never overwritten") && help.contains("--update"), "{help}");
}

#[tokio::test]
async fn a_refusal_is_1_with_the_reason_and_the_next_step() {
    let node = Node::start(|_, _| Play::problem(Code::Locked)).await;
    let user = User::of(&node.url);
    let output = user.run_in(&["rm", "/a"]).await;
    assert_eq!(code(&output), 1);
    assert!(err(&output).starts_with("error: /a: a scripted locked\nhint: give the lock's token"), "{}", err(&output));
    let output = user.run(&["ls"]).await;
    assert_eq!((code(&output), node.seen().len()), (1, 1), "nothing is sent where nobody is logged in");
    assert!(err(&output).contains("ringmaster login"), "{}", err(&output));
}

fn login() -> Play {
    Play::json(200, &json!({ "token": TOKEN, "user_id": 7, "expires_at": "2027-01-01T00:00:00Z" }))
}

#[tokio::test]
async fn a_login_is_kept_and_used_and_its_token_not_shown() {
    let node = Node::start(|_, seen| match seen.path() {
        "/login" => login(),
        "/logout" => Play::with(204, &[], ""),
        _ => Play::json(200, &json!({ "locks": [] })),
    })
    .await;
    let user = User::of(&node.url);
    let mut command = user.command(&["login", "ann", "--password-stdin"]);
    let output = tokio::task::spawn_blocking(move || {
        let mut child = command.stdin(Stdio::piped()).spawn().expect("it starts");
        child.stdin.take().expect("piped").write_all(b"pass word\n").expect("taken");
        child.wait_with_output().expect("it ends")
    });
    let output = output.await.expect("no panic");
    assert_eq!(code(&output), 0, "{}", err(&output));
    assert!(!out(&output).contains(TOKEN) && !err(&output).contains(TOKEN));
    assert_eq!(node.seen()[0].body, r#"{"username":"ann","password":"pass word"}"#);
    assert!(node.seen()[0].header("authorization").is_none());

    let file = user.home.path().join(".config/ringmaster/credentials.json");
    let mode = |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!((mode(&file), mode(file.parent().expect("a parent"))), (0o600, 0o700));

    let output = user.run(&["locks"]).await;
    assert_eq!(code(&output), 0, "{}", err(&output));
    assert_eq!(node.seen()[1].header("authorization"), Some(format!("Bearer {TOKEN}").as_str()));

    let mut command = user.command(&["--json", "login", "ann"]);
    command.env("RINGMASTER_PASSWORD", "secret");
    assert!(!out(&finish(command).await).contains(TOKEN));
    let printed = user.run(&["login", "ann", "--password", "secret", "--print-token"]).await;
    assert_eq!(out(&printed), format!("{TOKEN}\n"));

    assert_eq!(code(&user.run(&["logout"]).await), 0);
    assert_eq!(code(&user.run(&["locks"]).await), 1, "the login was forgotten");
}

#[tokio::test]
async fn a_lock_prints_its_token_alone_and_json_is_the_answer() {
    let node = Node::start(|_, _| {
        Play::json(200, &json!({ "lock_token": "5.mac", "fence": 5, "expires_at": "2026-01-01T00:00:00Z" }))
    })
    .await;
    let user = User::of(&node.url);
    assert_eq!(out(&user.run_in(&["lock", "/a", "--ttl", "90s"]).await), "5.mac\n");
    assert_eq!(node.seen()[0].body, r#"{"path":"/a","ttl_ms":90000}"#);
    let answer: serde_json::Value =
        serde_json::from_str(&out(&user.run_in(&["lock", "/a", "--json"]).await)).expect("JSON");
    assert_eq!(answer["fence"], 5);
}

#[tokio::test]
async fn a_file_that_is_there_is_replaced_on_demand_only() {
    let node = Node::start(|_, seen| match seen.path() {
        "/stat" => Play::json(200, &stat("/a", 7, b"old")),
        "/write" => Play::problem(Code::AlreadyExists),
        _ => Play::json(200, &stat("/a", 7, &seen.body)),
    })
    .await;
    let user = User::of(&node.url);
    let local = user.file("local", b"new");
    let output = user.run_in(&["put", &local, "/a"]).await;
    assert_eq!(code(&output), 1);
    assert!(err(&output).contains("hint: use --update"), "{}", err(&output));
    assert!(node.seen().iter().all(|seen| seen.path() != "/update"));

    let output = user.run_in(&["put", &local, "/a", "--if-version", "3", "--lock-token", "5.mac"]).await;
    assert_eq!(code(&output), 0, "{}", err(&output));
    let update = node.seen().pop().expect("an update");
    assert_eq!((update.path(), update.header("if-match")), ("/update", Some("\"7-3\"")));
    assert_eq!((update.header("lock-token"), &update.body[..]), (Some("5.mac"), &b"new"[..]));
}

#[tokio::test]
async fn standard_input_is_stored_and_leaves_nothing_behind() {
    let node = Node::start(|_, seen| match seen.path() {
        "/stat" => Play::problem(Code::NotFound),
        _ => Play::json(201, &stat("/a", 7, &seen.body)),
    })
    .await;
    let user = User::of(&node.url);
    let mut command = user.command(&["put", "-", "/a"]);
    command.env("RINGMASTER_TOKEN", TOKEN).stdin(Stdio::piped());
    let output = tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().expect("it starts");
        child.stdin.take().expect("piped").write_all(&[7; 100_000]).expect("taken");
        child.wait_with_output().expect("it ends")
    });
    let output = output.await.expect("no panic");
    assert_eq!(code(&output), 0, "{}", err(&output));
    assert_eq!(node.seen().pop().expect("an upload").body, vec![7; 100_000]);
    assert!(user.files().is_empty(), "{:?}", user.files());
}

#[tokio::test]
async fn a_tree_is_stored_whole_and_what_fails_is_told() {
    let node = Node::start(|_, seen| match (seen.path(), seen.uri.query().unwrap_or_default()) {
        ("/stat", _) => Play::problem(Code::NotFound),
        ("/mkdir", _) => made(),
        (_, query) if query.contains("bad") => Play::problem(Code::Forbidden),
        (_, query) => Play::json(201, &stat(query, 7, &seen.body)),
    })
    .await;
    let user = User::of(&node.url);
    for name in ["tree/a", "tree/b/c", "tree/b/bad"] {
        user.file(name, name.as_bytes());
    }
    std::fs::create_dir_all(user.home.path().join("tree/empty")).expect("made");
    std::os::unix::fs::symlink("a", user.home.path().join("tree/link")).expect("linked");
    let output = user.run_in(&["put", "-r", "tree", "/t"]).await;
    assert_eq!(code(&output), 1);
    assert!(err(&output).contains("error: /t/b/bad: a scripted forbidden"), "{}", err(&output));
    assert!(err(&output).contains("passed over tree/link"), "{}", err(&output));
    let seen = node.seen();
    let mut calls: Vec<String> = seen.iter().skip(1).map(|seen| seen.uri.to_string()).collect();
    calls.sort();
    let expected = ["/mkdir", "/write?path=%2Ft%2Fa", "/write?path=%2Ft%2Fb%2Fbad", "/write?path=%2Ft%2Fb%2Fc"];
    assert_eq!(calls, expected);
    let without = user.run_in(&["put", "tree", "/t"]).await;
    assert_eq!(code(&without), 2);
    assert!(err(&without).contains("hint: use -r"), "{}", err(&without));
}

#[tokio::test]
async fn a_download_is_whole_or_not_there() {
    let node = Node::start(|_, seen| match seen.uri.query() {
        Some("path=%2Fgood") => Play::with(200, &[("etag", "\"1-1\"".into())], "content"),
        Some("path=%2Fwrong") => {
            let digest = "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:".to_owned();
            Play::with(200, &[("etag", "\"1-1\"".into()), ("repr-digest", digest)], "content")
        }
        _ => Play::problem(Code::NotFound),
    })
    .await;
    let user = User::of(&node.url);
    assert_eq!(code(&user.run_in(&["get", "/wrong", "x"]).await), 1);
    assert_eq!(code(&user.run_in(&["get", "/missing", "x"]).await), 1);
    assert!(user.files().is_empty(), "{:?}", user.files());
    assert_eq!(code(&user.run_in(&["get", "/good", "x"]).await), 0);
    assert_eq!(std::fs::read(user.home.path().join("x")).expect("there"), b"content");
    std::fs::write(user.home.path().join("x"), "mine").expect("written");
    let output = user.run_in(&["get", "/good", "x"]).await;
    assert_eq!(code(&output), 1);
    assert!(err(&output).contains("hint: use -f"), "{}", err(&output));
    assert_eq!(std::fs::read(user.home.path().join("x")).expect("there"), b"mine");
    assert_eq!(code(&user.run_in(&["get", "-f", "/good", "x"]).await), 0);
    assert_eq!(std::fs::read(user.home.path().join("x")).expect("there"), b"content");
    assert_eq!(user.files(), ["x"]);
    assert_eq!(out(&user.run_in(&["cat", "/good"]).await), "content");
}

#[tokio::test]
async fn a_download_that_is_ended_leaves_nothing() {
    let node =
        Node::start(|_, _| Play::stalled_body(200, &[("content-length", "100".into())], b"the first of it")).await;
    let user = User::of(&node.url);
    for (signal, expected) in [("-TERM", 143), ("-INT", 130)] {
        let mut command = user.command(&["get", "/a", "x"]);
        let mut child = command.env("RINGMASTER_TOKEN", TOKEN).spawn().expect("it starts");
        let begun = std::time::Instant::now();
        while !user.files().iter().any(|name| name.ends_with(".part")) {
            assert!(begun.elapsed().as_secs() < 60, "it begins");
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().expect("kill").success());
        let status = tokio::task::spawn_blocking(move || child.wait().expect("it ends")).await.expect("no panic");
        assert_eq!((status.code(), user.files()), (Some(expected), Vec::new()));
    }
}

#[tokio::test]
async fn a_tree_is_fetched_and_no_name_leads_out_of_it() {
    let directory = |path: &str| {
        let mut stat = stat(path, 1, b"");
        stat["kind"] = json!("directory");
        stat
    };
    let node = Node::start(move |_, seen| match (seen.path(), seen.uri.query().unwrap_or_default()) {
        ("/stat", "path=%2Ft") => Play::json(200, &directory("/t")),
        ("/stat", _) => Play::json(200, &directory("/evil")),
        ("/list", "owner=ann&path=%2Ft") => {
            Play::json(200, &json!({ "files": [stat("/t/a", 5, b""), directory("/t/d")], "next_cursor": null }))
        }
        ("/list", "owner=ann&path=%2Ft%2Fd") => {
            Play::json(200, &json!({ "files": [stat("/t/d/b", 6, b"")], "next_cursor": null }))
        }
        ("/list", _) => Play::json(200, &json!({ "files": [stat("/evil/../../x", 6, b"")], "next_cursor": null })),
        (_, query) => Play::with(200, &[("etag", "\"1-1\"".into())], query.to_owned()),
    })
    .await;
    let user = User::of(&node.url);
    let output = user.run_in(&["get", "-r", "/t"]).await;
    assert_eq!(code(&output), 0, "{}", err(&output));
    let read = |name: &str| std::fs::read_to_string(user.home.path().join(name)).expect(name);
    assert_eq!((read("t/a").as_str(), read("t/d/b").as_str()), ("file_id=5", "file_id=6"));
    let output = user.run_in(&["get", "-r", "/evil", "here"]).await;
    assert_eq!(code(&output), 1, "{}", out(&output));
    assert!(std::fs::read_dir(user.home.path().join("here")).expect("there").next().is_none());
    assert_eq!(code(&user.run_in(&["get", "/t", "."]).await), 2, "a directory needs -r");
}

#[tokio::test]
async fn a_reader_that_goes_away_is_no_error() {
    let node = Node::start(|_, _| {
        let files: Vec<_> = (0..2000).map(|number| stat(&format!("/file-{number}"), number, b"")).collect();
        Play::json(200, &json!({ "files": files, "next_cursor": "more" }))
    })
    .await;
    let user = User::of(&node.url);
    let mut command = user.command(&["ls", "-l"]);
    command.env("RINGMASTER_TOKEN", TOKEN);
    let (status, first, error) = tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().expect("it starts");
        let mut reader = BufReader::new(child.stdout.take().expect("piped"));
        let mut first = String::new();
        reader.read_line(&mut first).expect("a line");
        drop(reader);
        let mut error = String::new();
        child.stderr.take().expect("piped").read_to_string(&mut error).expect("UTF-8");
        (child.wait().expect("it ends"), first, error)
    })
    .await
    .expect("no panic");
    assert_eq!((status.code(), error.as_str()), (Some(0), ""));
    assert!(first.starts_with("owner  ann  v1"), "{first}");
}

#[tokio::test]
async fn several_removals_go_on_after_a_refusal() {
    let node = Node::start(|number, _| match number {
        0 => Play::problem(Code::NotFound),
        _ => Play::with(204, &[], ""),
    })
    .await;
    let output = User::of(&node.url).run_in(&["rm", "/a", "/b"]).await;
    assert_eq!((code(&output), node.seen().len()), (1, 2));
    assert!(err(&output).starts_with("error: /a: a scripted not_found\n"), "{}", err(&output));
}

#[tokio::test]
async fn a_move_into_a_directory_keeps_the_name() {
    let node = Node::start(|_, seen| match (seen.path(), seen.uri.query()) {
        ("/stat", Some("path=%2Fd")) => {
            let mut stat = stat("/d", 3, b"");
            stat["kind"] = json!("directory");
            Play::json(200, &stat)
        }
        ("/stat", Some("path=%2Fa")) => Play::json(200, &stat("/a", 4, b"")),
        ("/stat", _) => Play::problem(Code::NotFound),
        _ => made(),
    })
    .await;
    let user = User::of(&node.url);
    let last = |node: &Node| node.seen().pop().expect("a move").body;
    assert_eq!(code(&user.run_in(&["mv", "/a", "/d"]).await), 0);
    assert_eq!(last(&node), r#"{"from":"/a","to":"/d/a"}"#);
    assert_eq!(code(&user.run_in(&["mv", "/a", "/b"]).await), 0);
    assert_eq!(last(&node), r#"{"from":"/a","to":"/b"}"#);
    assert_eq!(code(&user.run_in(&["mv", "bob:/a", "bob:/b"]).await), 0);
    assert_eq!(last(&node), r#"{"from":"/a","to":"/b","owner":"bob"}"#);
    assert_eq!(code(&user.run_in(&["mv", "bob:/a", "/b"]).await), 2);
}

#[tokio::test]
async fn what_an_admin_asks_for_is_sent_as_it_is_written() {
    let policy = json!({
        "copies": 3, "garbage_linger_ms": 900_000, "garbage_grace_ms": 3_600_000, "operation_ttl_ms": 86_400_000,
        "session_ttl_ms": 2_592_000_000_u64, "receipt_ttl_ms": 600_000, "rebalance_percent": 20,
        "versions_keep": 5, "versions_ms": 2_592_000_000_u64, "trash_ms": 604_800_000, "quota_bytes": 0, "quota_files": 0, "extent_bytes": 67_108_864,
    });
    let node = Node::start(move |_, seen| match seen.path() {
        "/admin/policy" => Play::json(200, &policy),
        "/admin/scrub" => Play::json(200, &json!({ "started": [1], "failed": [{ "server_id": 2, "reason": "gone" }] })),
        "/admin/remove" => Play::problem(Code::NotEmpty),
        _ => Play::problem(Code::Forbidden),
    })
    .await;
    let user = User::of(&node.url);
    let last = |node: &Node| node.seen().pop().expect("a call").body;
    let output = user.run_in(&["policy", "set", "copies=3", "garbage_linger=15m"]).await;
    assert_eq!((code(&output), last(&node)), (0, br#"{"copies":3,"garbage_linger_ms":900000}"#[..].into()));
    assert!(out(&output).contains("session_ttl=30days"), "{}", out(&output));
    for arguments in [&["policy", "set", "copies"][..], &["policy", "set", "a=b"], &["ring", "drain"], &["policy"]] {
        assert_eq!(code(&user.run_in(arguments).await), 2, "{arguments:?}");
    }
    let output = user.run_in(&["ring", "remove", "4"]).await;
    assert_eq!((code(&output), last(&node)), (1, br#"{"server_id":4}"#[..].into()));
    assert_eq!(err(&output), "error: file server 4: a scripted not_empty\n");
    let output = user.run_in(&["ring", "scrub"]).await;
    assert_eq!((code(&output), last(&node)), (3, b"{}"[..].into()), "one of them could not be asked");
    assert!(err(&output).starts_with("file server 2: gone\nerror: "), "{}", err(&output));
    let output = user.run_in(&["ring", "drain", "4", "--cancel"]).await;
    assert_eq!((code(&output), last(&node)), (1, br#"{"server_id":4,"cancel":true}"#[..].into()));
    assert_eq!(code(&user.run_in(&["ring", "rebalance", "--stop"]).await), 1);
    assert_eq!(last(&node), br#"{"stop":true}"#[..]);
}
