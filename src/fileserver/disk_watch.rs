//! Looks whether the disk takes writes while nobody else finds out, and again after it refused. See `store::refusal`.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::store::Store;

const TICK: Duration = Duration::from_millis(500);

/// Runs until it is dropped. One probe at a time: where the disk hangs it hangs, too, and shows that by its age.
pub(super) async fn run(store: Arc<Store>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut probe: Option<tokio::task::JoinHandle<()>> = None;
    loop {
        ticks.tick().await;
        store.notice_a_hang();
        if probe.as_ref().is_none_or(tokio::task::JoinHandle::is_finished) && store.is_probe_due() {
            let store = Arc::clone(&store);
            probe = Some(tokio::task::spawn_blocking(move || store.probe()));
        }
    }
}
