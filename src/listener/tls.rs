//! The handshake of a connection, between its acceptance and its first request.

use std::io;
use std::sync::Arc;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::gate::Lease;
use crate::trust::Identity;

/// What a listener shows and asks for, as of now: each handshake asks anew, so that certificates are exchanged without
/// anybody noticing.
pub(crate) type Handshake = Arc<dyn Fn() -> Arc<ServerConfig> + Send + Sync>;

/// Takes the place of the plain connection. It has the time of a first head, and its caller waits for it under the lease of
/// the connection, so that it can be cut like any other that keeps us waiting.
pub(super) async fn accept<T>(
    stream: T,
    lease: &Lease,
    handshake: &Handshake,
) -> Option<(TlsStream<T>, Option<Identity>)>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let accepting = TlsAcceptor::from(handshake()).accept(stream);
    let accepted = tokio::time::timeout(lease.limits().head, accepting).await;
    match accepted.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
        Ok(stream) => {
            let chain = stream.get_ref().1.peer_certificates();
            let identity = chain.and_then(|chain| chain.first()).and_then(Identity::of);
            Some((stream, identity))
        }
        Err(error) => {
            lease.gives_up("handshake");
            tracing::debug!(listener = lease.listener(), from = %lease.from(), %error, "a handshake failed");
            None
        }
    }
}
