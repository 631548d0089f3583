//! Accounts, logins and remembered operations.

use super::Session;
use crate::domain::rows::{Done, User};
use crate::domain::{Answer, ClusterTime, Command, Fault, ReadStore, Sha256, UserId, remembered, tables};

/// The session of a token, while it holds. `floor` is the asking node's own reckoning of cluster time: a node that
/// hears nothing from the others must not go on honouring what has run out, so the later of it and the applied time
/// decides.
///
/// # Errors
/// When the storage fails.
pub fn session(store: &dyn ReadStore, token_hash: &Sha256, floor: ClusterTime) -> Result<Option<Session>, Fault> {
    let Some(token) = tables::token(store, token_hash)? else { return Ok(None) };
    if token.expires_at <= floor.max(tables::cluster_time(store)?) {
        return Ok(None);
    }
    Ok(tables::user(store, token.user)?.map(|user| Session {
        user: user.user_id,
        username: user.username,
        admin: user.admin,
        expires_at: token.expires_at,
        wall_expires_at: token.wall_expires_at,
    }))
}

/// # Errors
/// When the storage fails.
pub fn user_by_name(store: &dyn ReadStore, username: &str) -> Result<Option<User>, Fault> {
    match tables::user_id(store, username)? {
        Some(id) => tables::user(store, id),
        None => Ok(None),
    }
}

/// # Errors
/// When the storage fails.
pub fn user_by_id(store: &dyn ReadStore, user: UserId) -> Result<Option<User>, Fault> {
    tables::user(store, user)
}

/// An operation that is still remembered.
///
/// # Errors
/// When the storage fails.
pub fn operation(store: &dyn ReadStore, user: UserId, id: &str) -> Result<Option<Done>, Fault> {
    tables::operation(store, user, id)
}

/// What a repeat of a remembered operation is answered, which asks for `command` and has the same fingerprint.
///
/// # Errors
/// When the storage fails.
pub fn answer_again(store: &dyn ReadStore, user: UserId, done: &Done, command: &Command) -> Result<Answer, Fault> {
    remembered::answer(store, user, done, command)
}
