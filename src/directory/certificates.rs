//! What this node shows the other members of the cluster: it signs its own certificate, at each start with a new key, and
//! again long before it ends.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::SharedClock;
use crate::domain::NodeId;
use crate::protocol::secret::ClusterSecret;
use crate::protocol::signature::SigningKey;
use crate::trust::{Authority, Credentials, Identity, LIFETIME_MS};

/// The cluster's authority, and this node's own certificate by it.
#[derive(Debug)]
pub(crate) struct Certificates {
    pub(crate) authority: Authority,
    pub(crate) credentials: Credentials,
    /// Signs what file servers come with to other file servers.
    pub(crate) capabilities: SigningKey,
    identity: Identity,
}

impl Certificates {
    /// # Errors
    /// When the cryptography fails.
    pub(crate) fn new(secret: &ClusterSecret, node: NodeId, clock: SharedClock) -> anyhow::Result<Self> {
        let authority = Authority::new(secret)?;
        let identity = Identity::Directory(node);
        let credentials = Credentials::issued(&authority, identity, &clock)?;
        let capabilities = SigningKey::from_seed(&secret.derive("capabilities"));
        Ok(Self { authority, credentials, capabilities, identity })
    }
}

/// Renews the certificate for as long as the node runs. A machine that slept does so when it wakes up, since it looks often.
pub(crate) async fn run(own: Arc<Certificates>, clock: SharedClock) {
    const LOOK: Duration = Duration::from_secs(600);
    let mut made = clock.agreed_ms();
    loop {
        tokio::time::sleep(LOOK).await;
        let now = clock.agreed_ms();
        // Also where the agreed time went back.
        if now.abs_diff(made) < LIFETIME_MS / 2 {
            continue;
        }
        match own.credentials.renew(&own.authority, own.identity) {
            Ok(()) => made = now,
            Err(error) => tracing::error!(error = format!("{error:#}"), "the node's certificate could not be renewed"),
        }
    }
}
