//! The one way in: every port of this program is served by `serve`, on hyper.
//!
//! The loop, in four lines: accept; let the connection in at the [`Gate`], which may cut another one for it; have hyper
//! read a head; hand the request to the router, with the `Lease` of its connection among its extensions. Who is calling
//! is found out by the router, which says so to the lease.
//!
//! Nobody is refused at the door while there is somebody to cut. A place goes to the newest connection, and who has not
//! authenticated and keeps us waiting longest loses his: a caller with something to say has said who he is within
//! milliseconds, however many silent ones there are. A queue of accepted connections, with a permit for each, was the way
//! before: a thousand silent ones held all permits, and nobody else came in.
//!
//! Time is measured only while this side waits for the other: for a head (`pace`), for a body (`arriving`), for what is
//! written to be read (`pace`). A request that is worked on is nobody's delay.
//!
//! What is served is any stream that reads and writes. A handshake (`tls`) comes between the acceptance and the first head,
//! under the lease that the connection has by then.

mod arriving;
mod counts;
pub mod descriptors;
mod gate;
mod http2;
mod limits;
mod origin;
mod pace;
mod refusal;
mod sign;
mod tls;

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::arriving::Arriving;
use self::arriving::Leaving;
pub use self::counts::Counts;
pub use self::gate::Gate;
use self::gate::Held;
pub(crate) use self::gate::{Block, Crowded, Lease, Who};
pub use self::limits::Limits;
pub(crate) use self::limits::Purpose;
pub(crate) use self::origin::{Origin, Proxies};
use self::pace::Paced;
pub(crate) use self::tls::Handshake;
use crate::trust::Proven;

/// After a failed accept, most often for want of descriptors: those that were cut give theirs back meanwhile.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);
/// The most bytes of a head, and of what hyper reads at once. The longest path, percent-encoded, takes a fifth of it.
const MOST_AT_ONCE: usize = 64 * 1024;

/// A port: its socket, its places, and its TLS, where it has any.
pub(crate) struct Port {
    pub(crate) listener: TcpListener,
    pub(crate) gate: Gate,
    pub(crate) handshake: Option<Handshake>,
}

/// Serves until `stop`, then lets the requests in hand finish for `grace`. When it is dropped, all its connections end.
pub(crate) async fn serve<S, B>(port: Port, service: S, stop: CancellationToken, grace: Duration)
where
    S: Service<Request<Arriving>, Response = Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let Port { listener, gate, handshake } = port;
    let connections = TaskTracker::new();
    let abort = CancellationToken::new();
    let _abort_when_dropped = abort.clone().drop_guard();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let Some((stream, held)) = let_in(&gate, accepted).await else { continue };
        let (service, stop, abort, handshake) = (service.clone(), stop.clone(), abort.clone(), handshake.clone());
        connections.spawn(async move {
            let cut = held.lease().cut();
            tokio::select! {
                biased;
                () = abort.cancelled() => {}
                () = cut.cancelled() => {}
                () = greet(stream, held.lease(), handshake, service, stop) => {}
            }
        });
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(grace, connections.wait()).await.is_err() {
        tracing::warn!(listener = gate.name(), "requests that were not done in time are cut off");
        abort.cancel();
        connections.wait().await;
    }
}

async fn let_in(gate: &Gate, accepted: io::Result<(TcpStream, SocketAddr)>) -> Option<(TcpStream, Held)> {
    let (stream, from) = match accepted {
        Ok(accepted) => accepted,
        Err(error) => {
            gate.make_room();
            tracing::warn!(listener = gate.name(), %error, "a connection could not be accepted");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            return None;
        }
    };
    // Without it a small answer waits up to 40 ms for the acknowledgement of the one before.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(listener = gate.name(), %error, "a connection was gone at once");
        return None;
    }
    Some((stream, gate.admit(from)?))
}

/// Serves one connection, from its handshake on.
async fn greet<S, B>(
    stream: TcpStream,
    lease: &Lease,
    handshake: Option<Handshake>,
    service: S,
    stop: CancellationToken,
) where
    S: Service<Request<Arriving>, Response = Response<B>, Error = Infallible> + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    match handshake {
        None => hold(stream, None, lease, service, stop).await,
        Some(handshake) => {
            let Some(stream) = tls::unless_plain(stream, lease).await else { return };
            let Some((stream, proven)) = tls::accept(stream, lease, &handshake).await else { return };
            // Who has shown a certificate of this cluster is no stranger from here on.
            if proven.is_some()
                && let Err(crowded) = lease.is_of(Who::Member)
            {
                tracing::warn!(?crowded, "a member of the cluster has no place: this is a bug");
            }
            if tls::is_http2(&stream) {
                return http2::hold(stream, lease, service, stop).await;
            }
            hold(stream, proven, lease, service, stop).await;
        }
    }
}

/// Serves the requests of one connection to its end. Each has what was [`Proven`] among its extensions.
async fn hold<T, S, B>(stream: T, proven: Option<Proven>, lease: &Lease, service: S, stop: CancellationToken)
where
    T: AsyncRead + AsyncWrite + Unpin + Send,
    S: Service<Request<Arriving>, Response = Response<B>, Error = Infallible> + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let io = TokioIo::new(Paced::new(stream, lease.clone()));
    let service = service_fn(|request: Request<hyper::body::Incoming>| {
        let (arriving, leaving, alone) = lease.begin();
        let mut request = request.map(|body| Arriving::new(body, lease.clone(), arriving));
        lease.sign(&mut request, alone);
        if let Some(proven) = proven {
            request.extensions_mut().insert(proven);
        }
        let answer = service.call(request);
        async move { answer.await.map(|response| response.map(|body| Leaving::new(body, leaving))) }
    });
    let mut builder = http1::Builder::new();
    // Heads have their time from `Paced`, which tells waiting for one from waiting in the middle of one.
    builder.header_read_timeout(None).max_header_size(MOST_AT_ONCE).max_buf_size(MOST_AT_ONCE);
    let mut connection = std::pin::pin!(builder.serve_connection(io, service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(listener = lease.listener(), from = %lease.from(), %error, "a connection broke");
    }
}

#[cfg(test)]
mod tests;
