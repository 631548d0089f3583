//! The peer transport over HTTP/1.1: the answering side.

use std::convert::Infallible;
use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::service::service_fn;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::client::{CLUSTER, FROM, SPOKEN, TO};
use super::{Arrived, Call, Inbound, MAX_BODY_BYTES, check_protocol};
use crate::domain::{ClusterId, NodeId};
use crate::listener::{self, Arriving, Gate, Lease, Port, Who};
use crate::protocol::secret::ClusterSecret;

const BODY_TIMEOUT: Duration = Duration::from_secs(30);

struct Server {
    node: NodeId,
    secret: ClusterSecret,
    inbound: Arc<dyn Inbound>,
}

/// Answers peers until the runtime ends.
///
/// # Errors
/// When the listener cannot be used.
pub(crate) fn start(
    listener: StdListener,
    gate: Gate,
    node: NodeId,
    secret: ClusterSecret,
    inbound: Arc<dyn Inbound>,
) -> anyhow::Result<()> {
    listener.set_nonblocking(true).context("cannot use the peer listener")?;
    let listener = TcpListener::from_std(listener).context("cannot use the peer listener")?;
    let server = Arc::new(Server { node, secret, inbound });
    let service = service_fn(move |request| {
        let server = Arc::clone(&server);
        async move { Ok::<_, Infallible>(server.answer(request).await) }
    });
    // It ends with the runtime, and nothing in hand is waited for.
    let never = CancellationToken::new();
    tokio::spawn(listener::serve(Port { listener, gate, handshake: None }, service, never, Duration::ZERO));
    Ok(())
}

impl Server {
    async fn answer(&self, request: Request<Arriving>) -> Response<Full<Bytes>> {
        match self.try_answer(request).await {
            Ok(body) => Response::new(Full::new(body)),
            Err((status, text)) => {
                let mut response = Response::new(Full::new(Bytes::from(text)));
                *response.status_mut() = status;
                response
            }
        }
    }

    async fn try_answer(&self, request: Request<Arriving>) -> Result<Bytes, (StatusCode, String)> {
        let bad = |text: &str| (StatusCode::BAD_REQUEST, text.to_owned());
        let headers = request.headers();
        let bearer = header(headers, "authorization").and_then(|value| value.strip_prefix("Bearer "));
        if !bearer.is_some_and(|token| self.secret.is_bearer(token)) {
            let text = format!("node {} has another cluster secret: give all nodes the same secret_file", self.node);
            return Err((StatusCode::UNAUTHORIZED, text));
        }
        if let Some(lease) = request.extensions().get::<Lease>() {
            lease.is_of(Who::Member).map_err(|_| bad("this node has no place for another connection"))?;
        }
        let spoken = number(headers, SPOKEN).ok_or_else(|| bad("the call names no version of the protocol"))?;
        check_protocol(spoken).map_err(|text| (StatusCode::HTTP_VERSION_NOT_SUPPORTED, text))?;
        let path = request.uri().path();
        let call = Call::ALL.into_iter().find(|call| call.path() == path && request.method() == Method::POST);
        let call = call.ok_or_else(|| {
            (StatusCode::NOT_FOUND, format!("node {} knows no call {path}: it may be of another version", self.node))
        })?;
        let from = number(headers, FROM).ok_or_else(|| bad("the call names no sender"))?;
        let to = number(headers, TO).ok_or_else(|| bad("the call names no receiver"))?;
        if to != self.node.0 {
            let text = format!("this is node {}, not node {to}: correct its peer address", self.node);
            return Err((StatusCode::MISDIRECTED_REQUEST, text));
        }
        let cluster = match header(headers, CLUSTER) {
            Some(text) => Some(ClusterId::parse(text).ok_or_else(|| bad("the call's cluster id is none"))?),
            None => None,
        };
        let body = Limited::new(request.into_body(), MAX_BODY_BYTES).collect();
        let body = tokio::time::timeout(BODY_TIMEOUT, body)
            .await
            .map_err(|_| (StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time".to_owned()))?
            .map_err(|error| bad(&format!("the body did not arrive: {error}")))?
            .to_bytes();
        let served = self.inbound.serve(Arrived { from: NodeId(from), cluster, call, body }).await;
        served.map_err(|text| (StatusCode::CONFLICT, text))
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    header(headers, name).and_then(|text| text.parse().ok())
}
