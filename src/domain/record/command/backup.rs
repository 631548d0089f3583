//! The commands of backup and restore.

use super::NewContentWire;
use super::convert::read_content;
use crate::domain::command::RestoredRow;
use crate::domain::record::scalar::*;
use crate::domain::{Command, Fault, HoldId, Sha256, Table};

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct HoldWire {
    #[prost(bytes = "vec", tag = "1")]
    hold_id: Vec<u8>,
    #[prost(uint64, tag = "2")]
    ttl_ms: u64,
    #[prost(bool, tag = "3")]
    renew: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ReleaseWire {
    #[prost(bytes = "vec", tag = "1")]
    hold_id: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RestoreWire {
    #[prost(bytes = "vec", tag = "1")]
    backup: Vec<u8>,
    #[prost(message, repeated, tag = "2")]
    rows: Vec<RestoredRowWire>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RestoredRowWire {
    /// The table by its name on disk.
    #[prost(string, tag = "1")]
    table: String,
    #[prost(bytes = "vec", tag = "2")]
    key: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RestoreFileWire {
    #[prost(bytes = "vec", tag = "1")]
    backup: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    row: Vec<u8>,
    #[prost(message, optional, tag = "3")]
    content: Option<NewContentWire>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RestoreDoneWire {
    #[prost(bytes = "vec", tag = "1")]
    backup: Vec<u8>,
    #[prost(uint64, tag = "2")]
    entries: u64,
    #[prost(uint64, tag = "3")]
    users: u64,
    #[prost(uint64, tag = "4")]
    grants: u64,
}

pub(super) fn hold(hold_id: HoldId, ttl_ms: u64, renew: bool) -> HoldWire {
    HoldWire { hold_id: wide(hold_id.0), ttl_ms, renew }
}

pub(super) fn read_hold(wire: &HoldWire) -> Result<Command, Fault> {
    let hold_id = HoldId(read_wide(&wire.hold_id, "hold id")?);
    Ok(Command::Hold { hold_id, ttl_ms: wire.ttl_ms, renew: wire.renew })
}

pub(super) fn release(hold_id: HoldId) -> ReleaseWire {
    ReleaseWire { hold_id: wide(hold_id.0) }
}

pub(super) fn read_release(wire: &ReleaseWire) -> Result<Command, Fault> {
    Ok(Command::Release { hold_id: HoldId(read_wide(&wire.hold_id, "hold id")?) })
}

pub(super) fn restore(backup: &Sha256, rows: &[RestoredRow]) -> RestoreWire {
    let row = |row: &RestoredRow| RestoredRowWire {
        table: row.table.name().to_owned(),
        key: row.key.clone(),
        value: row.value.clone(),
    };
    RestoreWire { backup: digest(backup), rows: rows.iter().map(row).collect() }
}

pub(super) fn read_restore(wire: RestoreWire) -> Result<Command, Fault> {
    let row = |wire: RestoredRowWire| {
        let table = need(Table::named(&wire.table), "table")?;
        Ok(RestoredRow { table, key: wire.key, value: wire.value })
    };
    let rows = wire.rows.into_iter().map(row).collect::<Result<_, Fault>>()?;
    Ok(Command::Restore { backup: read_digest(&wire.backup, "backup")?, rows })
}

pub(super) fn restore_file(backup: &Sha256, row: &[u8], content: Option<NewContentWire>) -> RestoreFileWire {
    RestoreFileWire { backup: digest(backup), row: row.to_vec(), content }
}

pub(super) fn read_restore_file(wire: RestoreFileWire) -> Result<Command, Fault> {
    let backup = read_digest(&wire.backup, "backup")?;
    Ok(Command::RestoreFile { backup, row: wire.row, content: read_content(wire.content)? })
}

pub(super) fn done(backup: &Sha256, entries: u64, users: u64, grants: u64) -> RestoreDoneWire {
    RestoreDoneWire { backup: digest(backup), entries, users, grants }
}

pub(super) fn read_done(wire: &RestoreDoneWire) -> Result<Command, Fault> {
    let (entries, users, grants) = (wire.entries, wire.users, wire.grants);
    Ok(Command::RestoreDone { backup: read_digest(&wire.backup, "backup")?, entries, users, grants })
}
