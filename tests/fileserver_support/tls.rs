//! Ports of the cluster that a test answers at: TLS with certificates of its own, as a directory node's.

use std::sync::Arc;

use axum::{Extension, Router};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use ringmaster::clock::SharedClock;
use ringmaster::domain::{NodeId, TokenId};
use ringmaster::protocol::join::{JoinToken, SignedToken};
use ringmaster::protocol::secret::ClusterSecret;
use ringmaster::protocol::signature::SigningKey;
use ringmaster::trust::{Authority, Credentials, Identity, Proven};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

pub fn authority(secret: &ClusterSecret) -> Authority {
    Authority::new(secret).expect("an authority")
}

/// Those of the directory node 1 of the cluster with this secret.
pub fn node_credentials(secret: &ClusterSecret) -> Credentials {
    credentials(secret, Identity::Directory(NodeId(1)))
}

pub fn credentials(secret: &ClusterSecret, identity: Identity) -> Credentials {
    Credentials::issued(&authority(secret), identity, &SharedClock::system()).expect("a certificate")
}

/// What directory nodes sign capabilities with.
pub fn signer(secret: &ClusterSecret) -> SigningKey {
    SigningKey::from_seed(&secret.derive("capabilities"))
}

pub fn join_token(secret: &ClusterSecret) -> SignedToken {
    let clock = SharedClock::system();
    let ends_ms = clock.wall_ms() + 3_600_000;
    let id = TokenId(clock.random_u128());
    JoinToken { authority: authority(secret).public(), id, ends_ms, replaces: None }.sign(secret)
}

/// Answers for as long as the runtime runs. What a caller has [`Proven`] is an extension of its requests, in an `Option`.
pub fn serve(listener: TcpListener, credentials: &Credentials, router: Router) {
    let acceptor = TlsAcceptor::from(credentials.server(true).expect("a configuration"));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, router) = (acceptor.clone(), router.clone());
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let chain = stream.get_ref().1.peer_certificates();
                let proven = Arc::new(chain.and_then(|chain| Proven::by(&chain[0])));
                let service = TowerToHyperService::new(router.layer(Extension(proven)));
                let _ =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
}
