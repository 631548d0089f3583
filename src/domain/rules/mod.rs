//! Who may do what, and what must hold for it. Reads only. `apply` and the queries judge by the same functions, so that
//! what was checked before a body was moved is what will be checked when it commits.

mod accounts;
mod describe;
mod hold;
mod limits;
mod parts;
mod properties;
mod reach;
mod retention;
mod room;
mod share;
mod spot;
mod uploads;

pub(crate) use accounts::{admin, admit, check_handed_over, named, standing_invite};
pub(crate) use describe::Describer;
pub(crate) use hold::{
    check_lock, check_lock_ttl, check_locks_below, check_may_lock, check_precondition, held_lock, standing_lock,
};
pub(crate) use limits::{
    MAX_GRANTS, MAX_LOCKS, MAX_SESSIONS, check_code_ttl, check_content, check_content_type, check_copies, check_extent,
    check_hash_state, check_origin, check_password_hash, check_policy, check_size, check_username,
};
pub(crate) use parts::{check_list, check_listed, check_open_for, check_part_number, gone, known_parts, other_list};
pub(crate) use properties::{check_properties, check_property_name, check_property_sum};
pub(crate) use reach::{Reached, access_through, account, find, reach, reach_id};
pub(crate) use retention::{Retained, check_more_retention, check_retention, retained, retaining};
pub(crate) use room::{check_room, room};
pub(crate) use share::shareable;
pub(crate) use spot::{Spot, check_depth, spot, spot_in};
pub(crate) use uploads::{known_stream, known_upload};

use super::rows::FIRST_FILE_ID;
use super::stop::{Stop, reject, require};
use super::tables::Counter;
use super::terms::{FileRef, LockProof, Precondition};
use super::{Fault, ReadStore, RejectionKind, UserId};

/// Whether nobody ever had an account.
pub(crate) fn is_unused(store: &dyn ReadStore) -> Result<bool, Fault> {
    Ok(Counter::User.peek(store)? == 1 && Counter::File.peek(store)? == FIRST_FILE_ID)
}

/// What an update needs but for its new content.
pub(crate) fn allow_update(
    store: &dyn ReadStore,
    user: UserId,
    file: &FileRef,
    precondition: Option<&Precondition>,
    lock: Option<&LockProof>,
) -> Result<Reached, Stop> {
    let reached = reach(store, user, file)?;
    if reached.entry.is_directory() {
        return Err(reject(RejectionKind::InvalidRequest, "this is a directory: name a file below it"));
    }
    require(
        reached.may_write(),
        RejectionKind::Forbidden,
        "you may only read this file: ask its owner for a write grant",
    )?;
    check_lock(store, user, &reached.entry, lock)?;
    check_precondition(&reached.entry, precondition)?;
    Ok(reached)
}
