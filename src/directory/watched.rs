//! What a directory node tells those who watch it.

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::node::{App, Node};
use crate::consensus::QueryKind;
use crate::domain::query;
use crate::listener::{self, Counts};
use crate::monitoring::{Monitoring, Page};
use crate::telemetry::Metrics;

/// The listener for them. It ends when this is dropped.
pub(super) struct Watch {
    stop: CancellationToken,
    _served: JoinHandle<()>,
}

impl Watch {
    pub(super) fn start(monitoring: Monitoring, counts: Counts, node: &App) -> Self {
        let (stop, node) = (CancellationToken::new(), node.clone());
        let page: Page = Box::new(move || {
            let node = node.clone();
            Box::pin(async move { Ok(page(&node).await.into()) })
        });
        let served = tokio::spawn(monitoring.serve(counts, page, stop.clone()));
        Self { stop, _served: served }
    }

    pub(super) fn end(&self) {
        self.stop.cancel();
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.end();
    }
}

async fn page(node: &Node) -> String {
    if let Ok(upkeep) = node.handle().read_local_as(QueryKind::Listing, |store| query::upkeep(store)).await {
        node.counters.upkeep.set(&upkeep, node.handle().cluster_time());
    }
    node.counters.refusals.set(&node.servers.refusals());
    node.counters.step_downs.set(&node.handle().metrics());
    node.metrics.encode()
}

/// Registers what the listeners count.
pub(super) fn connection_counts(metrics: &Metrics) -> Counts {
    let counts = Counts::default();
    metrics.keep_gauges(Counts::OPEN.0, Counts::OPEN.1, &counts.open());
    metrics.keep_counters(Counts::CUT.0, Counts::CUT.1, &counts.cut());
    metrics.keep_counters(Counts::REFUSED.0, Counts::REFUSED.1, &counts.refused());
    let allowed = i64::try_from(listener::descriptors::allowed()).unwrap_or(i64::MAX);
    metrics.observe_gauge("process_max_fds", "Files and connections that may be open", move || allowed);
    counts
}
