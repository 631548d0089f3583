//! Clients that cannot send a body twice, at every node: pipes, open files, generators, forms.

use std::fs;
use std::process::{Command, Output};

use reqwest::StatusCode;

use crate::support::{Cluster, noise};

/// Less and more than 64 KiB, which some servers read before they answer, and more than 1 MiB, from which curl waits for
/// a word first.
const SIZES: [usize; 4] = [0, 60_000, 70_000, 5_000_000];

const HTTPX: &str = r#"
import sys, httpx
token, url, file = sys.argv[1:]
def pieces():
    with open(file, "rb") as source:
        while piece := source.read(7000):
            yield piece
authorization = {"Authorization": "Bearer " + token}
with httpx.Client(trust_env=False, follow_redirects=True, timeout=60, headers=authorization) as client:
    for name, sent in [
        ("file", dict(content=open(file, "rb"))),
        ("generator", dict(content=pieces())),
        ("form", dict(files={"file": open(file, "rb")})),
    ]:
        answer = client.request("PUT", url + name, **sent)
        assert answer.status_code == 201 and not answer.history, (name, answer.status_code, answer.text)
"#;

const REQUESTS: &str = r#"
import sys, requests
token, url, file = sys.argv[1:]
def pieces():
    with open(file, "rb") as source:
        while piece := source.read(7000):
            yield piece
session = requests.Session()
session.trust_env = False
session.headers["Authorization"] = "Bearer " + token
for name, sent in [
    ("file", dict(data=open(file, "rb"))),
    ("generator", dict(data=pieces())),
    ("form", dict(files={"file": open(file, "rb")})),
]:
    answer = session.put(url + name, **sent)
    assert answer.status_code == 201 and not answer.history, (name, answer.status_code, answer.text)
"#;

const NODE: &str = r#"
const [token, url, file] = process.argv.slice(1);
const fs = require("fs");
const bytes = fs.readFileSync(file);
const form = new FormData();
form.append("file", new Blob([bytes]), "name");
const bodies = {
    file: [bytes],
    generator: [fs.createReadStream(file, {highWaterMark: 7000}), {duplex: "half"}],
    form: [form],
};
(async () => {
    for (const [name, [body, more]] of Object.entries(bodies)) {
        const headers = {Authorization: "Bearer " + token};
        const answer = await fetch(url + name, {method: "PUT", headers, body, ...more});
        if (answer.status !== 201 || answer.redirected) throw new Error(name + " " + answer.status + await answer.text());
    }
})().catch(error => { console.error(error); process.exit(1); });
"#;

#[tokio::test(flavor = "multi_thread")]
async fn curl_with_a_pipe() {
    let script = r#"
set -e
put() { name=$1; shift; test "$(curl -sSL --noproxy '*' -H "Authorization: Bearer $1" -o /dev/stderr -w '%{http_code}' "${@:4}" "$2$name")" = 201; }
cat "$3" | put file "$@" -T -
cat "$3" | put generator "$@" -T - -H Expect:
cat "$3" | put form "$@" -F 'file=@-'
"#;
    everywhere("curl", &["bash", "-c", script, "bash"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn httpx_with_an_open_file() {
    everywhere("httpx", &[&python("httpx"), "-c", HTTPX]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_with_an_open_file() {
    everywhere("requests", &[&python("requests"), "-c", REQUESTS]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fetch_with_a_buffer() {
    everywhere("fetch", &["node", "-e", NODE]).await;
}

/// Name, headers, and whether a follower redirects it.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], bool);

/// A redirect is for who waits with the body and called the node itself, or asks for it.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_redirected() {
    let cluster = Cluster::start(3, 2).await;
    let (waits, asks, declines) =
        (("Expect", "100-continue"), ("Ringmaster-Routing", "redirect"), ("Ringmaster-Routing", "forward"));
    let cases: [Case<'_>; 8] = [
        ("plain", &[], false),
        ("waits", &[waits], true),
        ("asks", &[asks], true),
        ("declines", &[waits, declines], false),
        ("proxied", &[waits, ("X-Forwarded-For", "192.0.2.1")], false),
        ("renamed", &[waits, ("Host", "files.example")], false),
        ("both", &[asks, ("Host", "files.example"), ("Via", "1.1 proxy")], true),
        ("length", &[("Expect", "100-Continue")], true),
    ];
    let http = ringmaster::trust::http().build();
    let http = http.expect("a client");
    for at in 0..3 {
        for size in SIZES {
            let bytes = noise(9, size);
            for (name, headers, redirected) in cases {
                let mut tries = 0;
                // Again where another node came to lead meanwhile.
                let (leader, answer) = loop {
                    let leader = cluster.leader().await;
                    tries += 1;
                    let request = http.put(format!("{}/write?path=/{name}/{at}-{size}-{tries}", cluster.url(at)));
                    let request = request.bearer_auth(&cluster.admin.token).body(bytes.clone());
                    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
                    let answer = request.send().await.expect("an answer");
                    if cluster.leader().await == leader {
                        break (leader, answer);
                    }
                    assert!(tries < 10, "the leader goes on changing");
                };
                let expected =
                    if redirected && at != leader { StatusCode::TEMPORARY_REDIRECT } else { StatusCode::CREATED };
                assert_eq!(answer.status(), expected, "{name} at node {at}, {size} bytes");
                if expected == StatusCode::TEMPORARY_REDIRECT {
                    let location = answer.headers()["location"].to_str().expect("text");
                    assert!(location.starts_with(cluster.url(leader)), "{location}");
                }
            }
        }
    }
}

/// Runs a client at every node with files of all sizes, and reads back what it stored.
async fn everywhere(client: &str, command: &[&str]) {
    let cluster = Cluster::start(3, 2).await;
    for size in SIZES {
        let bytes = noise(size as u64, size);
        let file = cluster.dir.path().join(format!("input-{size}"));
        fs::write(&file, &bytes).expect("the input is written");
        for at in 0..3 {
            let url = format!("{}/write?path=/{size}/{at}/", cluster.url(at));
            let output = run(command, &[&cluster.admin.token, &url, file.to_str().expect("a plain path")]);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{client}, {size} bytes at node {at}: {said}");
            for name in ["file", "generator", "form"] {
                let read = cluster.read(&cluster.admin, (at + 1) % 3, &format!("/{size}/{at}/{name}")).await;
                assert!(read.as_deref() == Ok(&bytes[..]), "{client}, {name}, {size} bytes at node {at}");
            }
        }
    }
}

fn python(module: &str) -> String {
    let pythons = ["/usr/bin/python3", "python3"];
    let found =
        pythons.into_iter().find(|python| run(&[python, "-c", &format!("import {module}")], &[]).status.success());
    found.unwrap_or_else(|| panic!("python3 with {module} is missing: run scripts/prerequisites")).to_owned()
}

fn run(command: &[&str], arguments: &[&str]) -> Output {
    let output = Command::new(command[0]).args(&command[1..]).args(arguments).env("NO_PROXY", "*").output();
    output.unwrap_or_else(|error| panic!("{} does not run ({error}): run scripts/prerequisites", command[0]))
}
