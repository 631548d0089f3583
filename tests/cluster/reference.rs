//! `docs/API.md` and `docs/openapi.json` at a real cluster: the examples work as they are written, and who may make a
//! call, and how it is answered, is as the document says. `tests/api_reference` compares them with the source.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use ringmaster::trust::Identity;

use crate::support::{Cluster, PASSWORD, Setup};

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_of_the_page_work_as_they_are_written() {
    let mut cluster = Cluster::prepare(&Setup::new(3, 2));
    cluster.start_all();
    cluster.wait_ready().await;
    cluster.admin = cluster.user("ann").await;
    cluster.wait_for_servers(2).await;

    let page = page("API.md");
    let mut script: String = page.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    // What was done above, and where this cluster is: a follower answers, and sends uploads on.
    let first = script.lines().find(|line| line.contains("/signup")).expect("the page signs up").to_owned();
    assert!(first.contains("\"ann\"") && script.contains(PASSWORD), "ann signs up first: {first}");
    script = script.replace(&first, "").replace("http://127.0.0.1:3041", cluster.url(cluster.follower().await));
    script = script.replace("127.0.0.1:4041", &cluster.nodes[0].ports[1].address());
    assert!(script.matches("curl").count() > 10, "the examples were not found: {script}");
    let here = tempfile::TempDir::new().expect("a directory");
    let mut bash = Command::new("bash");
    bash.args(["-euxo", "pipefail", "-c", &script]).current_dir(here.path());
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_ringmaster")).parent().expect("a folder").display();
    bash.env("PATH", format!("{binary}:{}", std::env::var("PATH").unwrap_or_default()));
    bash.env("RINGMASTER_CLUSTER_DIR", cluster.dir.path()).env("no_proxy", "*");
    let output = bash.output().expect("bash runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(cluster.read(&cluster.admin, 0, "/notes/a.txt").await, Ok(b"second\n".to_vec()));
}

/// One operation of the document.
struct Operation {
    method: reqwest::Method,
    path: String,
    told: Value,
}

fn operations(document: &Value) -> Vec<Operation> {
    let paths = document["paths"].as_object().expect("paths").iter();
    let each = paths.flat_map(|(path, item)| {
        let operations = item.as_object().expect("operations").iter();
        operations.map(|(method, told)| Operation {
            method: method.to_uppercase().parse().expect("a method"),
            path: path.clone(),
            told: told.clone(),
        })
    });
    each.collect()
}

/// Who sends an operation.
#[derive(Clone, Copy)]
enum Caller<'a> {
    Nobody,
    User(&'a str),
    Member(Identity),
}

impl Operation {
    /// Sends it with the example of its body and with what its query must have, and looks whether the answer is one
    /// that the document tells.
    async fn send(&self, cluster: &Cluster, caller: Caller<'_>) -> u16 {
        let parameters = self.told["parameters"].as_array().cloned().unwrap_or_default();
        let mut query = Vec::new();
        for parameter in parameters.iter().filter(|parameter| parameter["required"] == true) {
            let length = if parameter["name"] == "blob_id" { 32 } else { 64 };
            query.push((parameter["name"].as_str().expect("a name").to_owned(), "0".repeat(length)));
        }
        if self.path == "/write" {
            query.push(("path".to_owned(), format!("/{}", self.method)));
        } else if parameters.iter().any(|parameter| parameter["$ref"] == "#/components/parameters/Path") {
            query.push(("path".to_owned(), "/nothing".to_owned()));
        }
        let content = &self.told["requestBody"]["content"];
        let example = &content["application/json"]["example"];
        let body = if content.is_null() || example.is_null() { String::new() } else { example.to_string() };
        let base = if self.is_for_members() { cluster.member_url(0) } else { cluster.url(0).to_owned() };
        let client = match caller {
            Caller::Member(identity) => cluster.member(identity),
            Caller::Nobody | Caller::User(_) if self.is_for_members() => cluster.stranger(),
            Caller::Nobody | Caller::User(_) => cluster.http.clone(),
        };
        let mut request = client.request(self.method.clone(), format!("{base}{}", self.path)).query(&query).body(body);
        if !example.is_null() {
            request = request.header("Content-Type", "application/json");
        }
        if let Caller::User(token) = caller {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.expect("an answer");
        let status = answer.status().as_u16();
        assert!(self.told["responses"].get(status.to_string()).is_some(), "{}: {status} is not told", self.name());
        if status >= 400 {
            assert_eq!(answer.headers()["content-type"], "application/problem+json", "{}: {status}", self.name());
        }
        assert!(answer.headers().contains_key("x-request-id"), "{}: {status}", self.name());
        status
    }

    /// At the other port.
    fn is_for_members(&self) -> bool {
        self.told.get("servers").is_some()
    }

    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_call_and_how_it_is_answered_is_as_the_document_says() {
    let cluster = Cluster::start(1, 1).await;
    let user = cluster.user("bob").await;
    let document: Value = serde_json::from_str(&page("openapi.json")).expect("JSON");
    let operations = operations(&document);
    assert!(operations.len() > 40, "the operations were not found");
    for operation in operations.iter().filter(|operation| operation.path != "/logout") {
        let name = operation.name();
        let without = operation.send(&cluster, Caller::Nobody).await;
        let security = &operation.told["security"][0];
        if security.is_null() {
            assert!(without < 400 || operation.path == "/login", "{name} is open to anyone: {without}");
            continue;
        }
        assert_eq!(without, 401, "{name} without a token");
        let by_user = operation.send(&cluster, Caller::User(&user.token)).await;
        if operation.is_for_members() {
            assert_eq!(by_user, 401, "{name} by a user");
            let roles = [("operator", Identity::Operator), ("lockService", Identity::LockService)];
            for (role, identity) in roles {
                let answered = operation.send(&cluster, Caller::Member(identity)).await;
                assert_eq!(answered == 403, security.get(role).is_none(), "{name} by the {role}: {answered}");
                assert_ne!(answered, 401, "{name} by the {role}");
            }
            continue;
        }
        assert_eq!(by_user == 403, operation.path.starts_with("/admin/"), "{name} by a user: {by_user}");
    }

    // A method that the document does not have is refused, with those that it has.
    for path in document["paths"].as_object().expect("paths").keys() {
        let members = operations.iter().any(|operation| operation.path == *path && operation.is_for_members());
        let (client, base) = match members {
            true => (cluster.member(Identity::Operator), cluster.member_url(0)),
            false => (cluster.http.clone(), cluster.url(0).to_owned()),
        };
        let url = format!("{base}{path}");
        let patched = operations.iter().any(|operation| operation.path == *path && operation.method == "PATCH");
        let other = if patched { reqwest::Method::PUT } else { reqwest::Method::PATCH };
        let answer = client.request(other, url).send().await.expect("an answer");
        assert_eq!(answer.status(), 405, "{path}");
        let allow = answer.headers()["allow"].to_str().expect("a list").to_owned();
        let told = operations.iter().filter(|operation| operation.path == *path && operation.method != "HEAD");
        let mut told: Vec<&str> = told.map(|operation| operation.method.as_str()).collect();
        let mut allowed: Vec<&str> = allow.split(", ").filter(|method| *method != "HEAD").collect();
        told.sort_unstable();
        allowed.sort_unstable();
        assert_eq!(told, allowed, "{path}");
    }
    let (status, answer) = cluster.get(0, "/no-such-call").await;
    assert_eq!((status, answer["code"].as_str()), (404, Some("not_found")));
    assert!(answer["detail"].as_str().is_some_and(|detail| detail.contains("docs/API.md")), "{answer}");
}
