//! Accepting connections, and letting them go.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::STALL;
use super::stall::WriteStall;

/// Further ones wait in the kernel's queue. Each may hold about three mebibytes while it moves a blob.
const MAX_CONNECTIONS: usize = 1024;
/// For the head of a request, and between two requests. Longer than the clients keep a connection that they do not use,
/// so that they, not this side, close it.
const IDLE: Duration = Duration::from_secs(60);
/// What is under way at a shutdown may take that long to finish.
const GRACE: Duration = Duration::from_secs(10);
/// After a failed accept, most often for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop`, then lets running requests finish.
pub(in crate::fileserver) async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let connections = TaskTracker::new();
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let abort = CancellationToken::new();
    let _abort_when_dropped = abort.clone().drop_guard();
    loop {
        let accepted = async {
            let permit = Arc::clone(&permits).acquire_owned().await;
            (listener.accept().await, permit)
        };
        let (stream, permit) = tokio::select! {
            () = stop.cancelled() => break,
            (accepted, permit) = accepted => match (accepted, permit) {
                (Ok((stream, _)), Ok(permit)) => (stream, permit),
                (Err(error), _) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
                (_, Err(_)) => break,
            },
        };
        let (router, stop, abort) = (router.clone(), stop.clone(), abort.clone());
        connections.spawn(async move {
            connection(stream, router, stop, abort).await;
            drop(permit);
        });
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(GRACE, connections.wait()).await.is_err() {
        tracing::warn!("requests that were not done in time are cut off");
        abort.cancel();
        connections.wait().await;
    }
}

async fn connection(stream: TcpStream, router: Router, stop: CancellationToken, abort: CancellationToken) {
    // Without it a small answer waits up to 40 ms for the acknowledgement of the one before.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection was gone at once");
        return;
    }
    let io = TokioIo::new(WriteStall::new(stream, STALL));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(IDLE);
    let mut connection = std::pin::pin!(builder.serve_connection(io, TowerToHyperService::new(router)));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = abort.cancelled() => return,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection.as_mut() => ended,
                () = abort.cancelled() => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
}
