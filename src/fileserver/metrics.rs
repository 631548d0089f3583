//! What a file server tells Prometheus.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::store::Usage;
use crate::listener::Counts;
use crate::protocol::registration::ScrubPass;

type Level = Gauge<u64, AtomicU64>;

#[derive(Debug, Default)]
pub(super) struct Metrics {
    pub(super) stored: Counter,
    pub(super) stored_bytes: Counter,
    pub(super) served_bytes: Counter,
    pub(super) deleted: Counter,
    pub(super) registrations: Counter,
    pub(super) heartbeats_failed: Counter,
    pub(super) inventories: Counter,
    pub(super) damage_reported: Counter,
    pub(super) scrubbed_blobs: Counter,
    pub(super) scrubbed_bytes: Counter,
    pub(super) scrub_damaged: Counter,
    /// Seconds since the Unix epoch; 0 before the first.
    pub(super) scrub_last_completed: Level,
    /// What a pass that somebody asked for has seen.
    pub(super) asked_scrub: Mutex<Option<ScrubPass>>,
    damaged: Level,
    writable: Level,
    blobs: Level,
    used: Level,
    free: Level,
    capacity: Level,
    epoch: Level,
}

impl Metrics {
    pub(super) fn registry(&self, connections: &Counts) -> Registry {
        let mut all = Registry::default();
        let (open, cut, refused) = (Counts::OPEN, Counts::CUT, Counts::REFUSED);
        // The encoder adds the ending of a counter's name by itself, and the full stop of what it says.
        let plain = |name: &'static str| name.trim_end_matches("_total");
        all.register(open.0, open.1, connections.open());
        all.register(plain(cut.0), cut.1, connections.cut());
        all.register(plain(refused.0), refused.1, connections.refused());
        let registry = all.sub_registry_with_prefix("ringmaster_fileserver");
        registry.register("stored", "Copies stored", self.stored.clone());
        registry.register("stored_bytes", "Bytes of copies stored", self.stored_bytes.clone());
        registry.register("served_bytes", "Bytes of copies read", self.served_bytes.clone());
        registry.register("deleted", "Copies deleted", self.deleted.clone());
        registry.register("registrations", "Times admitted by the directory", self.registrations.clone());
        registry.register("heartbeats_failed", "Heartbeats without an answer", self.heartbeats_failed.clone());
        registry.register("inventories", "Times the directory was told of everything held", self.inventories.clone());
        registry.register(
            "damage_reported",
            "Damaged copies that the directory was told of",
            self.damage_reported.clone(),
        );
        registry.register("scrubbed_blobs", "Copies that the scrubber looked at", self.scrubbed_blobs.clone());
        registry.register("scrubbed_bytes", "Bytes that the scrubber found good", self.scrubbed_bytes.clone());
        registry.register("scrub_damaged", "Damaged copies that the scrubber found", self.scrub_damaged.clone());
        registry.register(
            "scrub_last_completed",
            "When everything was last scrubbed, in seconds since 1970, 0 for never",
            self.scrub_last_completed.clone(),
        );
        registry.register("damaged", "Times a damaged copy was met since the start", self.damaged.clone());
        registry.register("writable", "1 while the disk takes writes, 0 while it refuses them", self.writable.clone());
        registry.register("blobs", "Blobs held", self.blobs.clone());
        registry.register("used_bytes", "Bytes of the blobs held", self.used.clone());
        registry.register("free_bytes", "Bytes that can still be stored", self.free.clone());
        registry.register("capacity_bytes", "Bytes that can be held in all", self.capacity.clone());
        registry.register("epoch", "Current epoch, 0 before admission", self.epoch.clone());
        all
    }

    pub(super) fn asked_scrub(&self) -> Option<ScrubPass> {
        *self.asked_scrub.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set(&self, usage: &Usage, damaged: u64, writable: bool, epoch: u64) {
        self.damaged.set(damaged);
        self.writable.set(u64::from(writable));
        self.blobs.set(usage.blobs);
        self.used.set(usage.used);
        self.free.set(usage.free);
        self.capacity.set(usage.capacity);
        self.epoch.set(epoch);
    }
}

/// The text format.
///
/// # Errors
/// Never, as a `String` takes whatever it is given.
pub(super) fn render(registry: &Registry) -> Result<String, fmt::Error> {
    let mut text = String::new();
    encode(&mut text, registry)?;
    Ok(text)
}
