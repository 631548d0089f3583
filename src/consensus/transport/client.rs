//! The peer transport over HTTP/1.1 and TLS: the calling side.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use reqwest::{ClientBuilder, Response};

use super::{Call, CallError, KnownCluster, Lane, MAX_BODY_BYTES, PROTOCOL, Peers, Target};
use crate::domain::NodeId;
use crate::trust::{self, Credentials, Identity, Members};

pub(super) const FROM: &str = "ringmaster-from";
pub(super) const TO: &str = "ringmaster-to";
/// The version of the calls that the sender speaks.
pub(super) const SPOKEN: &str = "ringmaster-protocol";
pub(super) const CLUSTER: &str = "ringmaster-cluster";

const CONNECT_TIMEOUT: Duration = Duration::from_millis(1000);
/// Shorter than what the server allows a connection to be idle, so that it is this side that closes.
const IDLE: Duration = Duration::from_secs(30);

/// One pool of connections for each lane and member.
pub(crate) struct HttpPeers {
    node: NodeId,
    cluster: KnownCluster,
    append: Members,
    vital: Members,
    snapshot: Members,
    work: Members,
}

impl HttpPeers {
    pub(crate) fn new(node: NodeId, credentials: &Credentials, cluster: KnownCluster) -> Self {
        let lane = |idle_connections| {
            Members::new(credentials.clone(), move |client: ClientBuilder| {
                client
                    .tcp_nodelay(true)
                    .connect_timeout(CONNECT_TIMEOUT)
                    .pool_idle_timeout(IDLE)
                    .pool_max_idle_per_host(idle_connections)
            })
        };
        Self { node, cluster, append: lane(2), vital: lane(4), snapshot: lane(1), work: lane(32) }
    }
}

impl Peers for HttpPeers {
    fn call(
        &self,
        target: &Target,
        call: Call,
        body: Bytes,
        timeout: Duration,
    ) -> BoxFuture<'static, Result<Bytes, CallError>> {
        let lane = match call.lane() {
            Lane::Append => &self.append,
            Lane::Vital => &self.vital,
            Lane::Snapshot => &self.snapshot,
            Lane::Work => &self.work,
        };
        let client = match lane.member(Identity::Directory(target.id)) {
            Ok(client) => client,
            Err(error) => return Box::pin(async move { Err(CallError::Unreachable(format!("{error:#}"))) }),
        };
        let mut request = client
            .post(format!("{}{}", target.address.trim_end_matches('/'), call.path()))
            .header(FROM, self.node.0)
            .header(TO, target.id.0)
            .header(SPOKEN, PROTOCOL)
            .timeout(timeout)
            .body(body);
        if let Some(cluster) = self.cluster.get() {
            request = request.header(CLUSTER, cluster.to_string());
        }
        Box::pin(async move {
            let response = request.send().await.map_err(|error| broken(&error))?;
            let status = response.status();
            let body = collect(response).await?;
            if status.is_success() {
                Ok(body)
            } else if status == http::StatusCode::MISDIRECTED_REQUEST {
                // Somebody else is at this address: the call did not arrive.
                Err(CallError::Unreachable(String::from_utf8_lossy(&body).into_owned()))
            } else {
                Err(CallError::Refused(String::from_utf8_lossy(&body).into_owned()))
            }
        })
    }
}

async fn collect(mut response: Response) -> Result<Bytes, CallError> {
    let mut pieces: Vec<Bytes> = Vec::new();
    let mut size = 0;
    while let Some(piece) = response.chunk().await.map_err(|error| broken(&error))? {
        size += piece.len();
        if size > MAX_BODY_BYTES {
            return Err(CallError::Broken("its answer is too large".into()));
        }
        pieces.push(piece);
    }
    Ok(if pieces.len() == 1 { pieces.remove(0) } else { pieces.concat().into() })
}

/// Only a connection that was never made is sure not to have carried the call.
fn broken(error: &reqwest::Error) -> CallError {
    let text = trust::why(error);
    if error.is_connect() { CallError::Unreachable(text) } else { CallError::Broken(text) }
}
