//! Looking whether a file server is there: itself, not something at its address.

use std::time::Duration;

use reqwest::Response;

use crate::client::blobs::ServerAddress;
use crate::domain::ClusterId;
use crate::protocol::health::{Health, MAX_HEALTH_BYTES};

/// Connecting and the whole answer. A file server is on the same network, and `/healthz` touches no disk.
const DEADLINE: Duration = Duration::from_secs(1);

/// Makes probes. A clone shares nothing that matters.
#[derive(Clone, Debug)]
pub(crate) struct Prober(reqwest::Client);

impl Prober {
    /// # Errors
    /// When the HTTP client cannot be set up.
    pub(crate) fn new() -> anyhow::Result<Self> {
        // Each probe has a connection of its own: that it can be made is half of what is asked.
        let client = crate::trust::http()
            .retry(reqwest::retry::never())
            .connect_timeout(DEADLINE)
            .timeout(DEADLINE)
            .pool_max_idle_per_host(0)
            .build()?;
        Ok(Self(client))
    }

    /// Asks who is at the address. Takes a second at the most.
    ///
    /// # Errors
    /// Why the server was not reached, which is also the case if another one, or the same in another epoch, answers.
    pub(crate) async fn probe(&self, cluster_id: ClusterId, at: &ServerAddress) -> Result<(), String> {
        let asking = async {
            let url = format!("{}/healthz", at.url.trim_end_matches('/'));
            let answer = self.0.get(url).send().await.map_err(|error| why(&error))?;
            health(answer).await
        };
        let health = tokio::time::timeout(DEADLINE, asking)
            .await
            .map_err(|_| format!("no answer in {} s", DEADLINE.as_secs()))??;
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
    while let Some(piece) = answer.chunk().await.map_err(|error| why(&error))? {
        body.extend_from_slice(&piece);
        if body.len() > MAX_HEALTH_BYTES {
            return Err("what answers at its address is no file server".to_owned());
        }
    }
    serde_json::from_slice(&body).map_err(|_| "what answers at its address is no file server".to_owned())
}

/// The innermost cause: the outer ones say that sending a request failed, and repeat the url.
fn why(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
