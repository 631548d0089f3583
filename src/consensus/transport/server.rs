//! The peer transport over HTTP/1.1 and TLS: the answering side. The port is the cluster's: file servers and other members
//! call at it as well, and what is no call between directory nodes goes on to the floor above.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::service::service_fn;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::client::{CLUSTER, FROM, SPOKEN, TO};
use super::{Arrived, Call, Inbound, MAX_BODY_BYTES, check_protocol};
use crate::domain::{ClusterId, NodeId};
use crate::listener::{self, Arriving, Gate, Handshake, Port};
use crate::trust::{Identity, Proven};

/// What the paths of all calls between directory nodes begin with.
const PREFIX: &str = "/peer/";
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

struct Server {
    node: NodeId,
    inbound: Arc<dyn Inbound>,
    others: Option<Arc<dyn MemberCalls>>,
}

/// The body of an answer.
pub type AnswerBody = UnsyncBoxBody<Bytes, Box<dyn Error + Send + Sync>>;

/// Answers the calls of members that are none between directory nodes. What the caller has [`Proven`] is among
/// the extensions of the request; who has proven none, has none.
pub trait MemberCalls: Send + Sync + 'static {
    fn answer(&self, request: Request<Arriving>) -> BoxFuture<'static, Response<AnswerBody>>;
}

impl fmt::Debug for dyn MemberCalls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemberCalls")
    }
}

/// Answers peers until the runtime ends.
///
/// # Errors
/// When the listener cannot be used.
pub(crate) fn start(
    (listener, gate, handshake): (StdListener, Gate, Handshake),
    node: NodeId,
    inbound: Arc<dyn Inbound>,
    others: Option<Arc<dyn MemberCalls>>,
) -> anyhow::Result<()> {
    listener.set_nonblocking(true).context("cannot use the peer listener")?;
    let listener = TcpListener::from_std(listener).context("cannot use the peer listener")?;
    let server = Arc::new(Server { node, inbound, others });
    let service = service_fn(move |request| {
        let server = Arc::clone(&server);
        async move { Ok::<_, Infallible>(server.answer(request).await) }
    });
    // It ends with the runtime, and nothing in hand is waited for.
    let never = CancellationToken::new();
    tokio::spawn(listener::serve(Port { listener, gate, handshake: Some(handshake) }, service, never, Duration::ZERO));
    Ok(())
}

impl Server {
    async fn answer(&self, request: Request<Arriving>) -> Response<AnswerBody> {
        if let Some(others) = self.others.as_ref().filter(|_| !request.uri().path().starts_with(PREFIX)) {
            return others.answer(request).await;
        }
        let body = |bytes| Full::new(bytes).map_err(|never| match never {}).boxed_unsync();
        match self.try_answer(request).await {
            Ok(bytes) => Response::new(body(bytes)),
            Err((status, text)) => {
                let mut response = Response::new(body(Bytes::from(text)));
                *response.status_mut() = status;
                response
            }
        }
    }

    async fn try_answer(&self, request: Request<Arriving>) -> Result<Bytes, (StatusCode, String)> {
        let bad = |text: &str| (StatusCode::BAD_REQUEST, text.to_owned());
        let headers = request.headers();
        let proven = request.extensions().get::<Proven>().map(|proven| proven.identity);
        let Some(Identity::Directory(caller)) = proven else {
            let text = "this call is for directory nodes: show the certificate of one".to_owned();
            return Err((StatusCode::FORBIDDEN, text));
        };
        let spoken = number(headers, SPOKEN).ok_or_else(|| bad("the call names no version of the protocol"))?;
        check_protocol(spoken).map_err(|text| (StatusCode::HTTP_VERSION_NOT_SUPPORTED, text))?;
        let path = request.uri().path();
        let call = Call::ALL.into_iter().find(|call| call.path() == path && request.method() == Method::POST);
        let call = call.ok_or_else(|| {
            (StatusCode::NOT_FOUND, format!("node {} knows no call {path}: it may be of another version", self.node))
        })?;
        let from = number(headers, FROM).ok_or_else(|| bad("the call names no sender"))?;
        if from != caller.0 {
            let text = format!("the caller says that it is node {from}, and its certificate is that of node {caller}");
            return Err((StatusCode::FORBIDDEN, text));
        }
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
