//! A node that answers as it is told: for what a real one does only now and then, such as breaking off in
//! mid-answer. It stands in for no part of Ringmaster's behaviour; whole clusters are tested elsewhere.
#![allow(dead_code, reason = "each test file uses its part")]

use std::io;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, Method, Request, Uri};
use http_body_util::BodyExt;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use ringmaster::protocol::problem::{Code, Problem};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use url::Url;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Seen {
    pub(crate) fn path(&self) -> &str {
        self.uri.path()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("text"))
    }

    pub(crate) fn key(&self) -> &str {
        self.header("idempotency-key").expect("every change has a key")
    }
}

/// What the node does with a request.
pub(crate) enum Play {
    Answer(Response<Body>),
    /// Closes the connection without an answer.
    HangUp,
    /// Keeps the connection and never answers.
    Hang,
}

impl Play {
    pub(crate) fn json(status: u16, body: &serde_json::Value) -> Self {
        let body = Body::from(body.to_string());
        Self::Answer(Response::builder().status(status).header("content-type", "application/json").body(body).unwrap())
    }

    pub(crate) fn problem(code: Code) -> Self {
        Self::problem_after(code, None)
    }

    pub(crate) fn problem_after(code: Code, retry_after: Option<u64>) -> Self {
        let problem = Problem::new(code, format!("a scripted {}", code.as_str()), "request-1");
        let mut builder = Response::builder().status(code.status());
        if let Some(seconds) = retry_after {
            builder = builder.header("retry-after", seconds);
        }
        Self::Answer(builder.body(Body::from(serde_json::to_vec(&problem).unwrap())).unwrap())
    }

    /// Headers, some bytes, and then a broken connection.
    pub(crate) fn broken_body(status: u16, headers: &[(&str, String)], bytes: &[u8]) -> Self {
        let bytes = Bytes::copy_from_slice(bytes);
        let broken = stream::iter([Ok(bytes)]).chain(stream::once(async {
            // Lets the bytes leave before the connection goes.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            Err(io::Error::other("scripted"))
        }));
        Self::with(status, headers, Body::from_stream(broken))
    }

    /// Headers, some bytes, and then nothing more.
    pub(crate) fn stalled_body(status: u16, headers: &[(&str, String)], bytes: &[u8]) -> Self {
        let bytes = Bytes::copy_from_slice(bytes);
        let stalled = stream::iter([Ok::<_, io::Error>(bytes)]).chain(stream::pending());
        Self::with(status, headers, Body::from_stream(stalled))
    }

    pub(crate) fn with(status: u16, headers: &[(&str, String)], body: impl Into<Body>) -> Self {
        let mut builder = Response::builder().status(status);
        for (name, value) in headers {
            builder = builder.header(*name, value);
        }
        Self::Answer(builder.body(body.into()).unwrap())
    }
}

type Script = dyn Fn(usize, &Seen) -> Play + Send + Sync;

/// A scripted node on a port of its own. It stops when it is dropped.
pub(crate) struct Node {
    pub(crate) url: Url,
    state: Arc<State>,
    task: JoinHandle<()>,
}

struct State {
    script: Box<Script>,
    /// How much of a body is read before the script is asked; the whole where it is `None`.
    read_at_most: Option<usize>,
    seen: Mutex<Vec<Seen>>,
    cluster: Mutex<Option<serde_json::Value>>,
}

impl Node {
    /// `script` gets the number of the request (from 0; `/cluster` does not count) and the request.
    pub(crate) async fn start(script: impl Fn(usize, &Seen) -> Play + Send + Sync + 'static) -> Self {
        Self::start_reading(None, script).await
    }

    pub(crate) async fn start_reading(
        read_at_most: Option<usize>,
        script: impl Fn(usize, &Seen) -> Play + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address")).parse().expect("a url");
        let state = Arc::new(State {
            script: Box::new(script),
            read_at_most,
            seen: Mutex::default(),
            cluster: Mutex::default(),
        });
        let task = tokio::spawn(serve(listener, state.clone()));
        Self { url, state, task }
    }

    /// What arrived so far, without `/cluster`.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }

    /// From now on `/cluster` names `leader` among `nodes`; the first is this node.
    pub(crate) fn knows(&self, nodes: &[(u64, &Url)], leader: Option<u64>) {
        let infos: Vec<_> = nodes
            .iter()
            .map(|(node_id, url)| {
                json!({
                    "node_id": node_id, "role": if Some(*node_id) == leader { "leader" } else { "follower" },
                    "url": url.as_str(), "peer": "http://127.0.0.1:1", "reachable": true,
                    "last_log_index": 1, "applied_index": 1,
                })
            })
            .collect();
        *self.state.cluster.lock().unwrap() = Some(json!({
            "cluster_id": "0", "name": "test", "node_id": nodes[0].0, "leader_id": leader, "term": 1, "nodes": infos,
        }));
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, state: Arc<State>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let state = state.clone();
        let service = service_fn(move |request| answer(request, state.clone()));
        connections.spawn(async move {
            // An error is what the script asked for.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
        });
    }
}

async fn answer(request: Request<hyper::body::Incoming>, state: Arc<State>) -> Result<Response<Body>, io::Error> {
    let (parts, mut incoming) = request.into_parts();
    if parts.uri.path() == "/cluster" {
        let cluster = state.cluster.lock().unwrap().clone();
        let play = cluster.map_or_else(|| Play::problem(Code::NoLeader), |cluster| Play::json(200, &cluster));
        let Play::Answer(response) = play else { unreachable!("it answers") };
        return Ok(response);
    }
    if parts.uri.path() == "/healthz" {
        // What a slow call has the client ask beside it.
        return Ok(Response::new(Body::from("ok")));
    }
    let mut body = Vec::new();
    while state.read_at_most.is_none_or(|most| body.len() < most) {
        let Some(Ok(frame)) = incoming.frame().await else { break };
        body.extend_from_slice(&frame.into_data().unwrap_or_default());
    }
    let seen = Seen { method: parts.method, uri: parts.uri, headers: parts.headers, body: body.into() };
    let number = {
        let mut all = state.seen.lock().unwrap();
        all.push(seen.clone());
        all.len() - 1
    };
    match (state.script)(number, &seen) {
        Play::Answer(response) => Ok(response),
        Play::HangUp => Err(io::Error::other("scripted")),
        Play::Hang => std::future::pending().await,
    }
}

/// The url of a port at which nobody listens.
pub(crate) async fn nobody() -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    format!("http://{}", listener.local_addr().expect("an address")).parse().expect("a url")
}

/// A stat as a node sends it.
pub(crate) fn stat(path: &str, file_id: u64, content: &[u8]) -> serde_json::Value {
    json!({
        "file_id": file_id, "path": path, "kind": "file", "owner": "ann", "owner_id": 1, "permission": "owner",
        "version": 1, "size": content.len(), "sha256": null, "content_type": "text/plain",
        "created_at": "2026-01-01T00:00:00Z", "modified_at": "2026-01-01T00:00:00Z", "replicas": [], "lock": null,
    })
}

/// The answer of `/mkdir`.
pub(crate) fn made() -> Play {
    Play::json(201, &stat("/d", 9, b""))
}
