//! The commands of the leader's own jobs, and of operators.

use super::ReceiptWire;
use super::convert::{read_receipt, receipt};
use crate::domain::command::{Rehome, Slot};
use crate::domain::record::scalar::*;
use crate::domain::rows::SweepKind;
use crate::domain::{BlobId, ClusterTime, Command, CopyAt, CopyId, Fault, FileId, ServerId};

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RehomeWire {
    #[prost(message, repeated, tag = "1")]
    changes: Vec<ChangeWire>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ChangeWire {
    #[prost(uint64, tag = "1")]
    file_id: u64,
    #[prost(bytes = "vec", tag = "2")]
    blob_id: Vec<u8>,
    #[prost(uint64, tag = "3")]
    placement_rev: u64,
    #[prost(message, repeated, tag = "4")]
    slots: Vec<SlotWire>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SlotWire {
    #[prost(oneof = "SlotKind", tags = "1, 2")]
    kind: Option<SlotKind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum SlotKind {
    #[prost(uint64, tag = "1")]
    Kept(u64),
    #[prost(message, tag = "2")]
    Made(ReceiptWire),
}

/// `Condemn`, `Deleted` and `Report`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct CopiesWire {
    #[prost(message, repeated, tag = "1")]
    copies: Vec<CopyAtWire>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct CopyAtWire {
    #[prost(uint64, tag = "1")]
    server_id: u64,
    #[prost(bytes = "vec", tag = "2")]
    blob_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    copy_id: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ServerIdWire {
    #[prost(uint64, tag = "1")]
    server_id: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SweepKindWire {
    #[prost(uint32, tag = "1")]
    kind: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct AdvanceSweepWire {
    #[prost(uint32, tag = "1")]
    kind: u32,
    #[prost(uint64, tag = "2")]
    since: u64,
    #[prost(uint64, optional, tag = "3")]
    through: Option<u64>,
    #[prost(bool, tag = "4")]
    done: bool,
    #[prost(bool, tag = "5")]
    short: bool,
    #[prost(uint64, repeated, tag = "6")]
    owed: Vec<u64>,
}

pub(super) fn rehome(changes: &[Rehome]) -> RehomeWire {
    let slot = |slot: &Slot| SlotWire {
        kind: Some(match slot {
            Slot::Kept(server) => SlotKind::Kept(server.0),
            Slot::Made(made) => SlotKind::Made(receipt(made)),
        }),
    };
    let change = |change: &Rehome| ChangeWire {
        file_id: change.file_id.0,
        blob_id: wide(change.blob_id.0),
        placement_rev: change.placement_rev,
        slots: change.slots.iter().map(slot).collect(),
    };
    RehomeWire { changes: changes.iter().map(change).collect() }
}

pub(super) fn read_rehome(wire: RehomeWire) -> Result<Command, Fault> {
    let slot = |wire: SlotWire| {
        Ok(match need(wire.kind, "slot")? {
            SlotKind::Kept(server) => Slot::Kept(ServerId(server)),
            SlotKind::Made(made) => Slot::Made(read_receipt(&made)?),
        })
    };
    let change = |wire: ChangeWire| {
        Ok(Rehome {
            file_id: FileId(wire.file_id),
            blob_id: BlobId(read_wide(&wire.blob_id, "blob id")?),
            placement_rev: wire.placement_rev,
            slots: wire.slots.into_iter().map(slot).collect::<Result<_, Fault>>()?,
        })
    };
    Ok(Command::Rehome { changes: wire.changes.into_iter().map(change).collect::<Result<_, Fault>>()? })
}

pub(super) fn copies(copies: &[CopyAt]) -> CopiesWire {
    let copy = |copy: &CopyAt| CopyAtWire {
        server_id: copy.server_id.0,
        blob_id: wide(copy.blob_id.0),
        copy_id: wide(copy.copy_id.0),
    };
    CopiesWire { copies: copies.iter().map(copy).collect() }
}

pub(super) fn read_copies(wire: CopiesWire) -> Result<Vec<CopyAt>, Fault> {
    let copy = |wire: CopyAtWire| {
        Ok(CopyAt {
            server_id: ServerId(wire.server_id),
            blob_id: BlobId(read_wide(&wire.blob_id, "blob id")?),
            copy_id: CopyId(read_wide(&wire.copy_id, "copy id")?),
        })
    };
    wire.copies.into_iter().map(copy).collect()
}

pub(super) const fn server_id(id: ServerId) -> ServerIdWire {
    ServerIdWire { server_id: id.0 }
}

pub(super) const fn read_server_id(wire: &ServerIdWire) -> ServerId {
    ServerId(wire.server_id)
}

pub(super) const fn kind(kind: SweepKind) -> SweepKindWire {
    SweepKindWire { kind: sweep_kind(kind) }
}

pub(super) fn read_kind(wire: &SweepKindWire) -> Result<SweepKind, Fault> {
    read_sweep_kind(wire.kind)
}

pub(super) fn advance(
    kind: SweepKind,
    since: ClusterTime,
    through: Option<FileId>,
    done: bool,
    short: bool,
    owed: &[FileId],
) -> AdvanceSweepWire {
    AdvanceSweepWire {
        kind: sweep_kind(kind),
        since: since.0,
        through: through.map(|file| file.0),
        done,
        short,
        owed: owed.iter().map(|file| file.0).collect(),
    }
}

pub(super) fn read_advance(wire: AdvanceSweepWire) -> Result<Command, Fault> {
    Ok(Command::AdvanceSweep {
        kind: read_sweep_kind(wire.kind)?,
        since: ClusterTime(wire.since),
        through: wire.through.map(FileId),
        done: wire.done,
        short: wire.short,
        owed: wire.owed.into_iter().map(FileId).collect(),
    })
}
