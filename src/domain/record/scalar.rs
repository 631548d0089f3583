//! Small values on the wire, and the fault for one that is not what it must be.

use crate::domain::answer::{Access, RejectionKind};
use crate::domain::rows::{RepairReason, ServerState, SweepKind};
use crate::domain::{Fault, FilePath, Permission, Sha256};

pub(super) fn bad(what: &str) -> Fault {
    Fault(format!("a record holds no valid {what}: it was written by a newer program, or is damaged"))
}

pub(super) fn need<T>(value: Option<T>, what: &str) -> Result<T, Fault> {
    value.ok_or_else(|| bad(what))
}

/// 128-bit ids are 16 big-endian bytes.
pub(super) fn wide(value: u128) -> Vec<u8> {
    value.to_be_bytes().to_vec()
}

pub(super) fn read_wide(bytes: &[u8], what: &str) -> Result<u128, Fault> {
    bytes.try_into().map(u128::from_be_bytes).map_err(|_| bad(what))
}

pub(super) fn digest(value: &Sha256) -> Vec<u8> {
    value.0.to_vec()
}

pub(super) fn read_digest(bytes: &[u8], what: &str) -> Result<Sha256, Fault> {
    bytes.try_into().map(Sha256).map_err(|_| bad(what))
}

pub(super) fn read_path(text: &str) -> Result<FilePath, Fault> {
    FilePath::parse(text).map_err(|_| bad("path"))
}

/// Enumerations that are numbers on the wire; 0 is what an absent field reads as, and never a value.
macro_rules! numbered {
    ($write:ident, $read:ident, $type:ident, $what:literal: $($variant:ident = $number:literal),* $(,)?) => {
        pub(super) const fn $write(value: $type) -> u32 {
            match value { $($type::$variant => $number),* }
        }

        pub(super) fn $read(number: u32) -> Result<$type, Fault> {
            match number { $($number => Ok($type::$variant),)* _ => Err(bad($what)) }
        }
    };
}

numbered!(permission, read_permission, Permission, "permission": Read = 1, Write = 2);
numbered!(access, read_access, Access, "access": Read = 1, Write = 2, Owner = 3);
numbered!(server_state, read_server_state, ServerState, "server state": Up = 1, Down = 2, Draining = 3);
numbered!(sweep_kind, read_sweep_kind, SweepKind, "sweep": Copies = 1, Balance = 2);
numbered!(repair_reason, read_repair_reason, RepairReason, "repair reason": ShortWrite = 1, BadCopy = 2);
numbered!(rejection_kind, read_rejection_kind, RejectionKind, "rejection":
    InvalidRequest = 1,
    InvalidPath = 2,
    Unauthenticated = 3,
    Forbidden = 4,
    NotFound = 5,
    AlreadyExists = 6,
    NotEmpty = 7,
    VersionConflict = 8,
    IdempotencyKeyReused = 9,
    Locked = 10,
    TooManyRequests = 11,
    NoFileServer = 12,
    StorageFull = 13,
    StaleReceipt = 14,
    StaleState = 15,
    Restoring = 20,
);
