//! The handshake of a connection, between its acceptance and its first request.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::gate::Lease;
use super::refusal::Refusal;
use crate::trust::Proven;

/// For who spoke plain HTTP to read why that is none.
const FAREWELL: Duration = Duration::from_secs(1);

/// What a listener shows and asks for, as of now: each handshake asks anew, so that certificates are exchanged without
/// anybody noticing.
pub(crate) type Handshake = Arc<dyn Fn() -> Arc<ServerConfig> + Send + Sync>;

/// Tells who speaks plain HTTP here to speak TLS, and ends the connection: a handshake would break it off without a word.
/// Of TLS no first byte is a letter.
pub(super) async fn unless_plain(mut stream: TcpStream, lease: &Lease) -> Option<TcpStream> {
    let mut first = [0];
    let came = tokio::time::timeout(lease.limits().head, stream.peek(&mut first)).await;
    match came.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
        Ok(1..) if !first[0].is_ascii_uppercase() => return Some(stream),
        Ok(1..) => {
            // What has come fits into what a kernel holds, and so does this: nobody is waited for.
            let _ = stream.try_write(Refusal::Plain.page(lease).as_ref());
            let _ = tokio::time::timeout(FAREWELL, drain(&mut stream)).await;
        }
        _ => {}
    }
    lease.gives_up("handshake");
    None
}

/// Reads on for a moment: where a connection is closed with bytes unread, its other side loses what was written.
async fn drain(stream: &mut TcpStream) {
    let mut rest = [0; 4096];
    let _ = stream.shutdown().await;
    while let Ok(1..) = stream.read(&mut rest).await {}
}

/// What both sides have agreed on.
pub(super) fn is_http2<T>(stream: &TlsStream<T>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(b"h2")
}

/// Takes the place of the plain connection. It has the time of a first head, and its caller waits for it under the lease of
/// the connection, so that it can be cut like any other that keeps us waiting.
pub(super) async fn accept<T>(stream: T, lease: &Lease, handshake: &Handshake) -> Option<(TlsStream<T>, Option<Proven>)>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let accepting = TlsAcceptor::from(handshake()).accept(stream);
    let accepted = tokio::time::timeout(lease.limits().head, accepting).await;
    match accepted.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
        Ok(stream) => {
            let chain = stream.get_ref().1.peer_certificates();
            let proven = chain.and_then(|chain| chain.first()).and_then(Proven::by);
            Some((stream, proven))
        }
        Err(error) => {
            lease.gives_up("handshake");
            tracing::debug!(listener = lease.listener(), from = %lease.from(), %error, "a handshake failed");
            None
        }
    }
}
