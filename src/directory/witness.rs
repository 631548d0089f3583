//! The head of the audit goes into the leader's log each hour: whoever keeps logs elsewhere can tell from it whether the
//! audit was changed.

use std::time::{Duration, Instant};

use super::node::App;
use crate::domain::query;

const TICK: Duration = Duration::from_secs(20);
const EACH: Duration = Duration::from_secs(3600);

/// Runs until the node is dropped.
pub(crate) async fn run(node: App) {
    let mut told: Option<Instant> = None;
    while !node.is_stopping() {
        let status = node.handle().status();
        // A new leader says at once where it has begun.
        told = told.filter(|_| status.leader == Some(status.node_id));
        if status.leader == Some(status.node_id) && told.is_none_or(|told| told.elapsed() >= EACH) {
            match node.handle().read_local(|store| query::audit_head(store)).await {
                Ok(state) => {
                    let (rows, head) = (state.next.saturating_sub(1), state.head.to_string());
                    tracing::info!(rows, head, "the head of the audit");
                    told = Some(Instant::now());
                }
                Err(error) => tracing::debug!(%error, "the head of the audit is not known"),
            }
        }
        tokio::time::sleep(TICK).await;
    }
}
