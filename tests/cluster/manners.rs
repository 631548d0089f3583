//! HTTP as people expect it: other methods, and bodies that are coded for the way.

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use ringmaster::domain::NodeId;
use ringmaster::trust::Identity;

use crate::support::{Cluster, Setup};

#[tokio::test(flavor = "multi_thread")]
async fn a_method_that_a_call_does_not_take_is_told_which_it_does() {
    let cluster = Cluster::start(1, 1).await;
    for (path, wrong, allowed) in [
        ("/all", Method::DELETE, "GET, HEAD"),
        ("/mkdir", Method::GET, "POST"),
        ("/write?path=/a", Method::PATCH, "PUT, POST"),
        ("/admin/policy", Method::PUT, "GET, HEAD, POST"),
        ("/healthz", Method::POST, "GET, HEAD"),
    ] {
        let url = format!("{}{path}", cluster.url(0));
        let answer = cluster.http.request(wrong.clone(), &url).send().await.expect("an answer");
        assert_eq!((answer.status().as_u16(), &answer.headers()["allow"]), (405, &allowed.parse().expect("a value")));
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        let problem: Value = answer.json().await.expect("a problem");
        assert_eq!(problem["code"], json!("method_not_allowed"), "{wrong} {path}");
        let answer = cluster.http.request(Method::OPTIONS, &url).send().await.expect("an answer");
        assert_eq!((answer.status().as_u16(), &answer.headers()["allow"]), (204, &allowed.parse().expect("a value")));
    }
    let answer = cluster.http.request(Method::OPTIONS, format!("{}/nowhere", cluster.url(0))).send().await;
    assert_eq!(answer.expect("an answer").status().as_u16(), 404);
}

/// Sends a head and a body as they stand, and reads until the other end closes.
async fn raw(cluster: &Cluster, head: &str, body: &[u8]) -> String {
    let url: reqwest::Url = cluster.url(0).parse().expect("a url");
    let address = (url.host_str().expect("a host"), url.port().expect("a port"));
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let head = format!(
        "{head}\r\nHost: {}:{}\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
        address.0, address.1, cluster.admin.token
    );
    let _ = stream.write_all(&[head.as_bytes(), body].concat()).await;
    let mut answer = Vec::new();
    // What is refused before it was read to its end may be answered, and then reset.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_coded_for_the_way_is_never_stored_as_it_came() {
    let cluster = Cluster::start(1, 1).await;
    let chunked = b"5\r\nbytes\r\n0\r\n\r\n";
    let spellings = [
        "Transfer-Encoding: gzip, chunked",
        "transfer-encoding: GZIP,chunked",
        "Transfer-Encoding: x-gzip\r\nTransfer-Encoding: chunked",
        "TRANSFER-ENCODING: deflate , Chunked",
    ];
    for (at, coding) in spellings.into_iter().enumerate() {
        let answer = raw(&cluster, &format!("PUT /write?path=/{at} HTTP/1.1\r\n{coding}"), chunked).await;
        assert!(answer.starts_with("HTTP/1.1 501 ") && answer.contains("\"not_implemented\""), "{coding}: {answer}");
    }
    for coding in [
        "Content-Encoding: gzip",
        "content-encoding: identity, GZip",
        "Content-Encoding: identity\r\nContent-Encoding: br",
    ] {
        let head = format!("PUT /write?path=/coded HTTP/1.1\r\nContent-Length: 5\r\n{coding}");
        let answer = raw(&cluster, &head, b"bytes").await;
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("Content-Encoding"), "{coding}: {answer}");
    }
    let answer = raw(&cluster, "PUT /write?path=/plain HTTP/1.1\r\nTransfer-Encoding: CHUNKED", chunked).await;
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    assert_eq!(cluster.get(0, "/all").await.1["files"].as_array().map(Vec::len), Some(1), "nothing else is there");
    let (status, headers) = {
        let url = format!("{}/read?path=/plain", cluster.url(0));
        let answer = cluster.http.get(url).bearer_auth(&cluster.admin.token).send().await.expect("an answer");
        (answer.status().as_u16(), answer.headers().clone())
    };
    assert!(status == 200 && headers["cache-control"].to_str().is_ok_and(|value| value.contains("no-transform")));
}

/// A change that passed by a condition which it cannot carry would be made against the client's will.
#[tokio::test(flavor = "multi_thread")]
async fn a_condition_that_a_change_cannot_carry_is_refused() {
    let cluster = Cluster::start(1, 1).await;
    let (status, stat) = cluster.put(&cluster.admin, 0, "/write?path=/a", "one", &[]).await;
    assert_eq!(status, 201, "{stat}");
    for condition in
        [("if-none-match", "*"), ("if-none-match", "\"4-1\""), ("if-unmodified-since", "Sat, 01 Jan 2022 00:00:00 GMT")]
    {
        let (status, answer) = cluster.put(&cluster.admin, 0, "/update?path=/a", "two", &[condition]).await;
        assert!(status == 400 && answer["detail"].as_str().is_some_and(|told| told.contains("If-Match")), "{answer}");
    }
    let weak = format!("W/\"{}-1\"", stat["file_id"]);
    let (status, answer) = cluster.put(&cluster.admin, 0, "/update?path=/a", "two", &[("if-match", &weak)]).await;
    assert_eq!((status, &answer["code"]), (412, &json!("version_conflict")));
}

/// Hyper answers what it cannot read by itself, and says nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_cannot_be_read_is_told_what_to_mend() {
    let cluster = Cluster::start(1, 1).await;
    let long = format!("GET /all HTTP/1.1\r\nX-Long: {}", "x".repeat(100_000));
    for (head, status, code) in [
        ("GET /stat?path=/\"quoted\" HTTP/1.1", "HTTP/1.1 400 ", "invalid_request"),
        ("GET /all HTTP/1.1\r\nno header", "HTTP/1.1 400 ", "invalid_request"),
        (long.as_str(), "HTTP/1.1 431 ", "head_too_large"),
    ] {
        let answer = raw(&cluster, head, b"").await;
        let (told, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        assert!(told.starts_with(status) && told.contains("application/problem+json"), "{answer}");
        let problem: Value = serde_json::from_str(body).expect("a problem");
        assert_eq!(problem["code"], json!(code));
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("send")), "{problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_server_tells_which_methods_a_call_takes() {
    let cluster = Cluster::start(1, 1).await;
    let node = cluster.to_server(Identity::Directory(NodeId(1)), 0);
    for (path, wrong, allowed) in [
        ("/scrub", Method::GET, "POST"),
        ("/blobs/00000000000000000000000000000000", Method::POST, "GET,HEAD,PUT,DELETE"),
    ] {
        let url = format!("{}{path}", cluster.servers[0].url);
        let answer = node.request(wrong.clone(), &url).send().await.expect("an answer");
        let told = |answer: &reqwest::Response| answer.headers()["allow"].to_str().expect("text").replace(' ', "");
        assert_eq!((answer.status().as_u16(), told(&answer).as_str()), (405, allowed), "{wrong} {path}");
        let problem: Value = answer.json().await.expect("a problem");
        assert_eq!(problem["code"], json!("method_not_allowed"), "{wrong} {path}");
        let answer = node.request(Method::OPTIONS, &url).send().await.expect("an answer");
        assert_eq!((answer.status().as_u16(), told(&answer).as_str()), (204, allowed));
    }
}

/// Sends all of a large body before it looks for an answer, as simple clients do.
async fn stubborn(cluster: &Cluster, call: &str, kind: &str, body: Vec<u8>) -> String {
    let url: reqwest::Url = cluster.url(0).parse().expect("a url");
    let address = (url.host_str().expect("a host"), url.port().expect("a port"));
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let head = format!(
        "POST {call} HTTP/1.1\r\nHost: {}:{}\r\nAuthorization: Bearer {}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
        address.0,
        address.1,
        cluster.admin.token,
        body.len()
    );
    stream.write_all(head.as_bytes()).await.expect("it is sent");
    stream.write_all(&body).await.expect("the connection lasts until all is sent");
    let mut answer = vec![0; 4096];
    let got = stream.read(&mut answer).await.expect("it answers");
    String::from_utf8_lossy(&answer[..got]).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_is_refused_is_read_on_so_that_its_client_learns_why() {
    let limit = Setup::new(1, 1).with("RINGMASTER__LIMITS__MAX_FILE_BYTES", "1MiB");
    let cluster = Cluster::set_up(limit).await;
    let kind = "multipart/form-data; boundary=X";
    let part = |name: &str, bytes: usize| {
        let mut part = format!("--X\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n").into_bytes();
        part.resize(part.len() + bytes, b'x');
        part.extend_from_slice(b"\r\n--X--\r\n");
        part
    };
    const MANY: usize = 48 << 20;
    let no_form = [b"--X\r\nContent-Disposition: nonsense\r\n\r\n".to_vec(), vec![b'x'; MANY]].concat();
    for (body, expected) in [(part("file", MANY), "413"), (part("other", MANY), "400"), (no_form, "400")] {
        let answer = stubborn(&cluster, "/write?path=/f", kind, body).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected} ")), "{expected}: {answer}");
        assert!(answer.contains("application/problem+json"), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_says_when_the_version_was_made_and_takes_conditions_by_date() {
    let cluster = Cluster::start(1, 1).await;
    let (status, stat) = cluster.put(&cluster.admin, 0, "/write?path=/a", "bytes", &[]).await;
    assert_eq!(status, 201, "{stat}");
    let read = async |name: &str, value: &str| {
        let call = format!("{}/read?path=/a", cluster.url(0));
        let request = cluster.http.get(call).bearer_auth(&cluster.admin.token).header(name, value);
        let answer = request.send().await.expect("an answer");
        let date = answer.headers().get("last-modified").and_then(|value| value.to_str().ok()).map(str::to_owned);
        (answer.status().as_u16(), date)
    };
    let (status, date) = read("accept", "*/*").await;
    let date = date.expect("a date");
    assert!(status == 200 && date.ends_with(" GMT"), "{status} {date}");
    let day = &stat["modified_at"].as_str().expect("a time")[8..10];
    assert!(date.contains(&format!(", {day} ")), "{date} {stat}");
    assert_eq!(read("if-modified-since", &date).await, (304, Some(date.clone())));
    assert_eq!(read("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT").await.0, 200);
    assert_eq!(read("if-unmodified-since", "Sun, 06 Nov 1994 08:49:37 GMT").await.0, 412);
    assert_eq!(read("if-unmodified-since", &date).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_is_asked_before_what_he_asks_is_judged() {
    let cluster = Cluster::start(1, 0).await;
    let somebody = cluster.user("somebody").await;
    let send = async |path: &str, token: &str, body: &str| {
        let request = cluster.http.post(format!("{}{path}", cluster.url(0))).bearer_auth(token).body(body.to_owned());
        request.send().await.expect("an answer").status().as_u16()
    };
    let members = ringmaster::directory::members_calls();
    // Whatever takes a body; what strangers may call has its own rules, and members call at another port.
    let takes = |(path, allow): &(&'static str, &'static str)| {
        allow.split(", ").any(|method| method == "POST")
            && !matches!(*path, "/signup" | "/login")
            && !members.contains(path)
    };
    let mut wrong = Vec::new();
    for (path, _) in ringmaster::directory::calls().into_iter().filter(takes) {
        for body in ["{", "{}", "[1]", "{\"nobody_knows\": 1}"] {
            let status = send(path, "nonsense", body).await;
            if status != 401 {
                wrong.push(format!("{path} {body}: {status}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    for path in ["/admin/members", "/admin/members/address"] {
        for body in [
            "{\"node_id\":0,\"url\":\"x\",\"peer\":\"y\"}",
            "{\"node_id\":4,\"url\":\"ftp://a\",\"peer\":\"http://b:1\"}",
        ] {
            assert_eq!(send(path, &somebody.token, body).await, 403, "{path} {body}");
            assert_eq!(send(path, &cluster.admin.token, body).await, 400, "{path} {body}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_is_taken_for_a_page() {
    let cluster = Cluster::start(1, 1).await;
    let nodes = ["/nowhere", "/all", "/healthz", "/readyz", "/", "/write", "/read?path=/nothing"];
    let mut urls: Vec<String> = nodes.iter().map(|path| format!("{}{path}", cluster.url(0))).collect();
    urls.push(format!("{}/nowhere", cluster.servers[0].url));
    urls.push(format!("{}/blobs", cluster.servers[0].url));
    urls.push(format!("{}/nowhere", cluster.servers[0].metrics()));
    for url in urls {
        // The servers' own port may have TLS that this client knows nothing of.
        let Ok(answer) = cluster.http.get(&url).bearer_auth("nonsense").send().await else {
            assert!(url.starts_with(&cluster.servers[0].url), "{url}");
            continue;
        };
        let told = answer.headers().get("x-content-type-options").map(reqwest::header::HeaderValue::as_bytes);
        assert_eq!(told, Some(&b"nosniff"[..]), "{url}");
    }
    let answer = raw(&cluster, "GET /?name=\"quoted\" HTTP/1.1\r\nHost: x\r\n\r\n", b"").await;
    assert!(answer.contains("x-content-type-options: nosniff"), "{answer}");
}
