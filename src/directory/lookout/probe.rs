//! Looking whether a file server is there: itself, not something at its address.

use std::time::Duration;

use reqwest::Response;

use crate::client::blobs::ServerAddress;
use crate::domain::{ClusterId, ServerUuid};
use crate::protocol::health::{Health, MAX_HEALTH_BYTES};
use crate::trust::{self, Credentials, Identity, Members};

/// Connecting and the whole answer. A file server is on the same network, and `/healthz` touches no disk.
const DEADLINE: Duration = Duration::from_secs(1);

/// Makes probes. A clone shares nothing that matters.
#[derive(Debug)]
pub(crate) struct Prober(Members);

impl Prober {
    pub(crate) fn new(credentials: Credentials) -> Self {
        // Each probe has a connection of its own: that it can be made is half of what is asked.
        Self(Members::new(credentials, |client| {
            client.retry(reqwest::retry::never()).connect_timeout(DEADLINE).pool_max_idle_per_host(0)
        }))
    }

    /// What the file server that is expected at the address says of itself; another one is not believed. Takes `patience` at
    /// the most.
    ///
    /// # Errors
    /// Why there is no answer of that server.
    pub(crate) async fn ask(&self, uuid: ServerUuid, url: &str, patience: Duration) -> Result<Health, String> {
        let client = self.0.member(Identity::FileServer(uuid)).map_err(|error| format!("{error:#}"))?;
        let asking = async {
            let url = format!("{}/healthz", url.trim_end_matches('/'));
            health(client.get(url).send().await.map_err(|error| trust::why(&error))?).await
        };
        let answered = tokio::time::timeout(patience, asking).await;
        answered.map_err(|_| format!("no answer in {} s", patience.as_secs()))?
    }

    /// Asks who is at the address. Takes a second at the most.
    ///
    /// # Errors
    /// Why the server was not reached, which is also the case if another one, or the same in another epoch, answers.
    pub(crate) async fn probe(&self, cluster_id: ClusterId, at: &ServerAddress) -> Result<(), String> {
        let health = self.ask(at.uuid, &at.url, DEADLINE).await?;
        if (health.cluster_id, health.server_id) != (Some(cluster_id), Some(at.server_id)) {
            return Err("another server answers at its address".to_owned());
        }
        if health.epoch != Some(at.epoch) {
            let epoch = health.epoch.map_or("none".to_owned(), |epoch| epoch.to_string());
            return Err(format!("it answers with epoch {epoch}, {} is the one expected", at.epoch));
        }
        Ok(())
    }
}

async fn health(mut answer: Response) -> Result<Health, String> {
    if !answer.status().is_success() {
        return Err(format!("it answers {}", answer.status()));
    }
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(|error| trust::why(&error))? {
        body.extend_from_slice(&piece);
        if body.len() > MAX_HEALTH_BYTES {
            return Err("what answers at its address is no file server".to_owned());
        }
    }
    serde_json::from_slice(&body).map_err(|_| "what answers at its address is no file server".to_owned())
}
