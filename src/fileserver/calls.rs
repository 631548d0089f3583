//! The calls that a file server makes to directory nodes.

use std::time::Duration;

use reqwest::{Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::protocol::inventory::{InventoryAnswer, InventoryReport};
use crate::protocol::join::{JoinAnswer, JoinRequest};
use crate::protocol::problem::Problem;
use crate::protocol::registration::{HeartbeatAnswer, HeartbeatRequest, RegisterAnswer, RegisterRequest};
use crate::trust::{self, Credentials, Expected, Members};

/// An answer that comes later is of no use: the next heartbeat is on its way.
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(1);
/// The directory calls back before it answers, and then waits for its majority.
const REGISTER_TIMEOUT: Duration = Duration::from_secs(10);
/// The directory may have to commit something for each item.
const INVENTORY_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Room for the addresses of ten thousand file servers.
const MAX_ANSWER_BYTES: usize = 2 * 1024 * 1024;

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    #[error("it refuses ({status}): {detail}")]
    Refused { status: StatusCode, detail: String },
    #[error("its answer is not understood: {0}")]
    Nonsense(String),
}

#[derive(Clone)]
pub(super) struct Calls {
    members: Members,
}

impl Calls {
    pub(super) fn new(credentials: Credentials) -> Self {
        Self { members: Members::new(credentials, |client| client.tcp_nodelay(true).connect_timeout(CONNECT_TIMEOUT)) }
    }

    pub(super) async fn register(&self, node: &str, about: &RegisterRequest) -> Result<RegisterAnswer, CallError> {
        self.post(format!("{node}/register"), about, REGISTER_TIMEOUT).await
    }

    /// The one call that needs no certificate of this side.
    pub(super) async fn join(&self, node: &str, request: &JoinRequest) -> Result<JoinAnswer, CallError> {
        self.post(format!("{node}/join"), request, REGISTER_TIMEOUT).await
    }

    pub(super) async fn heartbeat(&self, node: &str, beat: &HeartbeatRequest) -> Result<HeartbeatAnswer, CallError> {
        self.post(format!("{node}/heartbeat"), beat, HEARTBEAT_TIMEOUT).await
    }

    pub(super) async fn inventory(&self, node: &str, report: &InventoryReport) -> Result<InventoryAnswer, CallError> {
        self.post(format!("{node}/inventory"), report, INVENTORY_TIMEOUT).await
    }

    async fn post<T: DeserializeOwned>(
        &self,
        url: String,
        body: &impl Serialize,
        timeout: Duration,
    ) -> Result<T, CallError> {
        let client = self.members.of(Expected::AnyDirectory);
        let client = client.map_err(|error| CallError::Unreachable(format!("{error:#}")))?;
        let request = client.post(url).json(body).timeout(timeout);
        let response = request.send().await.map_err(|error| CallError::Unreachable(chain(&error)))?;
        let status = response.status();
        let body = read(response).await?;
        if status != StatusCode::OK {
            let detail = serde_json::from_slice::<Problem>(&body).map_or_else(|_| String::new(), |it| it.detail);
            return Err(CallError::Refused { status, detail });
        }
        serde_json::from_slice(&body).map_err(|error| CallError::Nonsense(error.to_string()))
    }
}

async fn read(mut response: Response) -> Result<Vec<u8>, CallError> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| CallError::Unreachable(chain(&error)))? {
        if body.len() + piece.len() > MAX_ANSWER_BYTES {
            return Err(CallError::Nonsense("it is too large".to_owned()));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

fn chain(error: &reqwest::Error) -> String {
    if error.is_timeout() { "no answer in time".to_owned() } else { trust::why(error) }
}
