//! Stock clients, as they are, at a node that does not lead.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::{Cluster, noise};

/// Sizes on both sides of what curl sends `Expect` for (1 MiB).
const SIZES: [usize; 5] = [0, 1, 60_000, 300_000, 5_000_000];

#[tokio::test(flavor = "multi_thread")]
async fn curl_put_at_a_follower() {
    let cluster = Cluster::start(3, 3).await;
    let follower = cluster.follower().await;
    for size in SIZES {
        let (file, bytes) = file_of(&cluster, size);
        let url = format!("{}/write?path=/curl/{size}", cluster.url(follower));
        let output = run("curl", &["-sS", "-fL", "-H", &bearer(&cluster), "-T", &file, &url]);
        assert!(output.status.success(), "{size}: {}", String::from_utf8_lossy(&output.stderr));
        same_everywhere(&cluster, &format!("/curl/{size}"), &bytes).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_form_and_chunked_at_a_follower() {
    let cluster = Cluster::start(3, 3).await;
    let follower = cluster.follower().await;
    for size in SIZES {
        let (file, bytes) = file_of(&cluster, size);
        let url = format!("{}/write?path=/form/{size}", cluster.url(follower));
        let output = run(
            "curl",
            &["-sS", "-fL", "-H", &bearer(&cluster), "-F", &format!("file=@{file};type=text/x-test"), &url],
        );
        assert!(output.status.success(), "{size}: {}", String::from_utf8_lossy(&output.stderr));
        same_everywhere(&cluster, &format!("/form/{size}"), &bytes).await;
        let stat = cluster.get(0, &format!("/stat?path=/form/{size}")).await.1;
        assert_eq!(stat["content_type"], "text/x-test");

        let url = format!("{}/write?path=/chunked/{size}", cluster.url(follower));
        let command =
            format!("curl -sS -fL -H '{}' -H 'Transfer-Encoding: chunked' -T - '{url}' < '{file}'", bearer(&cluster));
        let output = run("sh", &["-c", &command]);
        assert!(output.status.success(), "{size}: {}", String::from_utf8_lossy(&output.stderr));
        same_everywhere(&cluster, &format!("/chunked/{size}"), &bytes).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wget_at_a_follower() {
    let cluster = Cluster::start(3, 3).await;
    let follower = cluster.follower().await;
    for size in SIZES {
        let (file, bytes) = file_of(&cluster, size);
        let url = format!("{}/write?path=/wget/{size}", cluster.url(follower));
        let header = format!("--header={}", bearer(&cluster));
        let output =
            run("wget", &["-q", "-O", "/dev/null", "--method=PUT", &header, &format!("--body-file={file}"), &url]);
        assert!(output.status.success(), "{size}: {}", String::from_utf8_lossy(&output.stderr));
        same_everywhere(&cluster, &format!("/wget/{size}"), &bytes).await;
        let back = format!("{file}.back");
        let url = format!("{}/read?path=/wget/{size}", cluster.url(follower));
        assert!(run("wget", &["-q", "-O", &back, &header, &url]).status.success());
        assert!(fs::read(&back).expect("wget wrote it") == bytes);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn python_requests_at_a_follower() {
    let python = ["/usr/bin/python3", "python3"]
        .into_iter()
        .find(|python| run(python, &["-c", "import requests"]).status.success())
        .expect("python3 with requests is there: run scripts/prerequisites");
    let cluster = Cluster::start(3, 3).await;
    let follower = cluster.follower().await;
    let script = r#"
import sys, requests
kind, token, url, file = sys.argv[1:]
data = open(file, "rb").read()
def pieces():
    for at in range(0, len(data), 7000):
        yield data[at:at + 7000]
answer = requests.put(url, data=data if kind == "bytes" else pieces(), headers={"Authorization": "Bearer " + token})
print(answer.status_code, answer.text)
sys.exit(0 if answer.status_code == 201 else 1)
"#;
    for size in SIZES {
        let (file, bytes) = file_of(&cluster, size);
        for kind in ["bytes", "generator"] {
            let url = format!("{}/write?path=/python/{kind}/{size}", cluster.url(follower));
            let output = run(python, &["-c", script, kind, &cluster.admin.token, &url, &file]);
            assert!(output.status.success(), "{kind} {size}: {}", String::from_utf8_lossy(&output.stdout));
            same_everywhere(&cluster, &format!("/python/{kind}/{size}"), &bytes).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_upload_is_told_why() {
    let cluster = Cluster::start(3, 3).await;
    let follower = cluster.follower().await;
    let (file, _) = file_of(&cluster, 5_000_000);
    let url = format!("{}/write?path=/here", cluster.url(follower));
    assert!(run("curl", &["-sS", "-fL", "-H", &bearer(&cluster), "-T", &file, &url]).status.success());
    // The second time it exists: the client has sent all or nothing, and gets to read the reason either way.
    for expect in ["Expect: 100-continue", "Expect:"] {
        let output = run("curl", &["-sS", "-L", "-H", &bearer(&cluster), "-H", expect, "-T", &file, &url]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains("already_exists"), "{expect}: {text} {}", String::from_utf8_lossy(&output.stderr));
    }
    let output = run("curl", &["-sS", "-L", "-H", "Authorization: Bearer nonsense", "-T", &file, &url]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("unauthenticated"));
}

async fn same_everywhere(cluster: &Cluster, path: &str, bytes: &[u8]) {
    for node in 0..cluster.nodes.len() {
        let read = cluster.read(&cluster.admin, node, path).await;
        assert!(read.as_deref() == Ok(bytes), "{path} at node {node}: {:?}", read.map(|read| read.len()));
    }
}

fn file_of(cluster: &Cluster, size: usize) -> (String, Vec<u8>) {
    let bytes = noise(size as u64, size);
    let file = cluster.dir.path().join(format!("input-{size}"));
    fs::write(&file, &bytes).expect("the input is written");
    (text(&file), bytes)
}

fn text(path: &Path) -> String {
    path.to_str().expect("a plain path").to_owned()
}

fn bearer(cluster: &Cluster) -> String {
    format!("Authorization: Bearer {}", cluster.admin.token)
}

fn run(program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(arguments).env("no_proxy", "*").output();
    output.unwrap_or_else(|error| panic!("{program} does not run ({error}): run scripts/prerequisites"))
}
