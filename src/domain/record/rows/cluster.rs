//! The rows about the cluster: its servers, what is owed and what is to go, and its policy.

use crate::domain::command::Policy;
use crate::domain::record::Record;
use crate::domain::record::scalar::*;
use crate::domain::rows::{ClusterInfo, Garbage, Hold, Repair, Restore, Server, Sweep};
use crate::domain::{ClusterId, ClusterTime, Epoch, Fault, FileId, Incarnation, ServerId, ServerUuid, WallTime};

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ServerWire {
    #[prost(uint64, tag = "1")]
    server_id: u64,
    #[prost(bytes = "vec", tag = "2")]
    uuid: Vec<u8>,
    #[prost(string, tag = "3")]
    url: String,
    #[prost(string, tag = "4")]
    zone: String,
    #[prost(uint64, tag = "5")]
    epoch: u64,
    #[prost(uint32, tag = "6")]
    state: u32,
    #[prost(bool, tag = "7")]
    full: bool,
    #[prost(uint64, tag = "8")]
    capacity: u64,
    #[prost(uint64, tag = "9")]
    primaries: u64,
    #[prost(uint64, tag = "10")]
    backups: u64,
    #[prost(uint64, tag = "11")]
    bytes: u64,
    #[prost(uint64, optional, tag = "12")]
    down_since: Option<u64>,
    #[prost(uint64, tag = "13")]
    stale: u64,
    #[prost(uint64, tag = "14")]
    changed_at: u64,
    #[prost(uint32, tag = "15")]
    flaps: u32,
    #[prost(bytes = "vec", optional, tag = "16")]
    incarnation: Option<Vec<u8>>,
    #[prost(bool, tag = "17")]
    leaving: bool,
    #[prost(bytes = "vec", optional, tag = "18")]
    previous: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct GarbageWire {
    #[prost(uint64, tag = "1")]
    since: u64,
    #[prost(uint64, optional, tag = "2")]
    deleted_at: Option<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RepairWire {
    #[prost(uint32, tag = "1")]
    reason: u32,
    #[prost(uint64, tag = "2")]
    since: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SweepWire {
    #[prost(uint64, tag = "1")]
    since: u64,
    #[prost(uint64, optional, tag = "2")]
    through: Option<u64>,
    #[prost(bool, tag = "3")]
    short: bool,
    #[prost(bool, tag = "4")]
    resting: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct PolicyWire {
    #[prost(uint32, tag = "1")]
    copies: u32,
    #[prost(uint64, tag = "2")]
    garbage_linger_ms: u64,
    #[prost(uint64, tag = "3")]
    garbage_grace_ms: u64,
    #[prost(uint64, tag = "4")]
    operation_ttl_ms: u64,
    #[prost(uint64, tag = "5")]
    session_ttl_ms: u64,
    #[prost(uint64, tag = "6")]
    receipt_ttl_ms: u64,
    #[prost(uint32, tag = "7")]
    rebalance_percent: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ClusterInfoWire {
    #[prost(bytes = "vec", tag = "1")]
    cluster_id: Vec<u8>,
    #[prost(string, tag = "2")]
    name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct HoldWire {
    #[prost(uint64, tag = "1")]
    since: u64,
    #[prost(uint64, tag = "2")]
    expires_at: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RestoreWire {
    #[prost(bytes = "vec", tag = "1")]
    backup: Vec<u8>,
    #[prost(uint64, tag = "2")]
    entries: u64,
    #[prost(uint64, tag = "3")]
    users: u64,
    #[prost(uint64, tag = "4")]
    grants: u64,
    #[prost(bool, tag = "5")]
    done: bool,
}

record!(Hold as HoldWire, "hold":
    |h| HoldWire { since: h.since.0, expires_at: h.expires_at.0 },
    |w| Self { since: ClusterTime(w.since), expires_at: ClusterTime(w.expires_at) });

record!(Restore as RestoreWire, "restore":
|r| RestoreWire {
    backup: digest(&r.backup),
    entries: r.entries,
    users: r.users,
    grants: r.grants,
    done: r.done,
},
|w| Self {
    backup: read_digest(&w.backup, "backup")?,
    entries: w.entries,
    users: w.users,
    grants: w.grants,
    done: w.done,
});

record!(Server as ServerWire, "file server":
|s| ServerWire {
    server_id: s.server_id.0,
    uuid: wide(s.uuid.0),
    url: s.url.clone(),
    zone: s.zone.clone(),
    epoch: s.epoch.0,
    state: server_state(s.state),
    full: s.full,
    capacity: s.capacity,
    primaries: s.primaries,
    backups: s.backups,
    bytes: s.bytes,
    down_since: s.down_since.map(|time| time.0),
    stale: s.stale,
    changed_at: s.changed_at.0,
    flaps: s.flaps,
    incarnation: s.incarnation.map(|incarnation| wide(incarnation.0)),
    leaving: s.leaving,
    previous: s.previous.map(|incarnation| wide(incarnation.0)),
},
|w| Self {
    server_id: ServerId(w.server_id),
    uuid: ServerUuid(read_wide(&w.uuid, "server UUID")?),
    url: w.url,
    zone: w.zone,
    epoch: Epoch(w.epoch),
    state: read_server_state(w.state)?,
    full: w.full,
    capacity: w.capacity,
    primaries: w.primaries,
    backups: w.backups,
    bytes: w.bytes,
    down_since: w.down_since.map(WallTime),
    stale: w.stale,
    changed_at: ClusterTime(w.changed_at),
    flaps: w.flaps,
    incarnation: w.incarnation.map(|bytes| read_wide(&bytes, "incarnation").map(Incarnation)).transpose()?,
    leaving: w.leaving,
    previous: w.previous.map(|bytes| read_wide(&bytes, "incarnation").map(Incarnation)).transpose()?,
});

record!(Garbage as GarbageWire, "garbage row":
    |g| GarbageWire { since: g.since.0, deleted_at: g.deleted_at.map(|time| time.0) },
    |w| Self { since: ClusterTime(w.since), deleted_at: w.deleted_at.map(ClusterTime) });

record!(Repair as RepairWire, "repair":
    |r| RepairWire { reason: repair_reason(r.reason), since: r.since.0 },
    |w| Self { reason: read_repair_reason(w.reason)?, since: ClusterTime(w.since) });

record!(Sweep as SweepWire, "sweep":
|s| SweepWire {
    since: s.since.0,
    through: s.through.map(|file| file.0),
    short: s.short,
    resting: s.resting,
},
|w| Self {
    since: ClusterTime(w.since),
    through: w.through.map(FileId),
    short: w.short,
    resting: w.resting,
});

record!(ClusterInfo as ClusterInfoWire, "cluster":
    |c| ClusterInfoWire { cluster_id: wide(c.cluster_id.0), name: c.name.clone() },
    |w| Self { cluster_id: ClusterId(read_wide(&w.cluster_id, "cluster id")?), name: w.name });

record!(Policy as PolicyWire, "policy":
|p| PolicyWire {
    copies: p.copies,
    garbage_linger_ms: p.garbage_linger_ms,
    garbage_grace_ms: p.garbage_grace_ms,
    operation_ttl_ms: p.operation_ttl_ms,
    session_ttl_ms: p.session_ttl_ms,
    receipt_ttl_ms: p.receipt_ttl_ms,
    rebalance_percent: p.rebalance_percent,
},
|w| Self {
    copies: w.copies,
    garbage_linger_ms: w.garbage_linger_ms,
    garbage_grace_ms: w.garbage_grace_ms,
    operation_ttl_ms: w.operation_ttl_ms,
    session_ttl_ms: w.session_ttl_ms,
    receipt_ttl_ms: w.receipt_ttl_ms,
    rebalance_percent: w.rebalance_percent,
});
