//! Accounts, logins and remembered operations.

use super::cursor::{Cursor, Paged};
use super::{Asked, MAX_PAGE, Session, UsageStat};
use crate::domain::record::Record;
use crate::domain::rows::{Done, Invite, Token, User};
use crate::domain::stop::{Stop, settle};
use crate::domain::tables::keys;
use crate::domain::terms::{Admission, Policy};
use crate::domain::{
    Answer, ClusterTime, Command, Fault, ReadStore, Sha256, Table, UserId, WallTime, remembered, rules, tables,
};

/// An account as its admin sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserStat {
    pub user_id: UserId,
    pub username: String,
    pub admin: bool,
    pub created_at: WallTime,
    pub usage: UsageStat,
    /// The user's own bounds; nothing where the policy's hold.
    pub max_bytes: Option<u64>,
    pub max_files: Option<u64>,
    pub disabled: bool,
    /// Who gets what it had, where it is being removed: a username.
    pub heir: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserPage {
    /// In the order in which they signed up.
    pub users: Vec<UserStat>,
    pub next: Option<String>,
}

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
    Ok(tables::user(store, token.user)?.filter(|user| !user.disabled).map(|user| Session {
        user: user.user_id,
        username: user.username,
        admin: user.admin,
        expires_at: token.expires_at,
        wall_expires_at: token.wall_expires_at,
        seen_at: token.seen_at,
        mark: mark_of(token_hash),
    }))
}

/// The part of a token's hash that names its session: in lists, and where another node vouches for it.
fn mark_of(token_hash: &Sha256) -> [u8; 16] {
    std::array::from_fn(|at| token_hash.0[at])
}

/// The token's hash of a user's session that is called so, while it holds.
///
/// # Errors
/// When the storage fails.
pub fn session_called(
    store: &dyn ReadStore,
    user: UserId,
    mark: &[u8; 16],
    floor: ClusterTime,
) -> Result<Option<Sha256>, Fault> {
    for hash in tables::sessions_of(store, user, mark, 1)? {
        if session(store, &hash, floor)?.is_some() {
            return Ok(Some(hash));
        }
    }
    Ok(None)
}

/// A session as its user sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionStat {
    pub mark: [u8; 16],
    pub token: Token,
}

/// The sessions of a user that hold, those that were used last before others.
///
/// # Errors
/// When the storage fails.
pub fn sessions(store: &dyn ReadStore, user: UserId, floor: ClusterTime) -> Result<Vec<SessionStat>, Fault> {
    let now = floor.max(tables::cluster_time(store)?);
    let mut found = Vec::new();
    for hash in tables::sessions_of(store, user, &[], MAX_PAGE)? {
        if let Some(token) = tables::token(store, &hash)?.filter(|token| token.expires_at > now) {
            found.push(SessionStat { mark: mark_of(&hash), token });
        }
    }
    found.sort_by_key(|session| std::cmp::Reverse((session.token.seen_at, session.token.wall_created_at.0)));
    Ok(found)
}

/// Whether somebody may make an account by such a right now: what `apply` will say, but for the name.
///
/// # Errors
/// When the storage fails.
pub fn may_sign_up(store: &dyn ReadStore, by: &Admission, floor: ClusterTime) -> Asked<()> {
    let now = floor.max(tables::cluster_time(store)?);
    let admitted = rules::admit(store, &tables::policy(store)?, by).and_then(|()| match by {
        Admission::Invite(hash) => rules::standing_invite(store, hash, now).map(drop),
        Admission::Setup | Admission::Open => Ok(()),
    });
    settle(admitted)
}

/// The invitations that stand, with who made each, those that end first before others.
///
/// # Errors
/// When the storage fails.
pub fn invites(store: &dyn ReadStore) -> Result<Vec<(Sha256, Invite, String)>, Fault> {
    let mut found = Vec::new();
    for (hash, invite) in tables::invites(store, MAX_PAGE)? {
        let by = tables::user(store, invite.made_by)?.map(|user| user.username).unwrap_or_default();
        found.push((hash, invite, by));
    }
    found.sort_by_key(|(_, invite, _)| invite.expires_at);
    Ok(found)
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

/// All accounts, with what each has.
///
/// # Errors
/// When the storage fails.
pub fn users(store: &dyn ReadStore, cursor: Option<&str>, limit: usize) -> Asked<UserPage> {
    settle(user_page(store, cursor, limit.clamp(1, MAX_PAGE)))
}

fn user_page(store: &dyn ReadStore, cursor: Option<&str>, limit: usize) -> Result<UserPage, Stop> {
    let after = Cursor::read(Paged::Users, cursor)?.from;
    let policy = tables::policy(store)?;
    let from = keys::user(UserId(after.saturating_add(1)));
    let rows = store.scan(Table::Users, &from, None, limit + 1)?;
    let mut page = UserPage::default();
    for (_, row) in &rows {
        if page.users.len() == limit {
            let last = page.users.last().map_or(0, |last| last.user_id.0);
            page.next = Some(Cursor::new(Paged::Users, last, Vec::new()).write());
            break;
        }
        page.users.push(shown(store, User::from_bytes(row)?, &policy)?);
    }
    Ok(page)
}

/// One account, by its name.
///
/// # Errors
/// When the storage fails.
pub fn user_stat(store: &dyn ReadStore, username: &str) -> Result<Option<UserStat>, Fault> {
    let Some(user) = user_by_name(store, username)? else { return Ok(None) };
    shown(store, user, &tables::policy(store)?).map(Some)
}

fn shown(store: &dyn ReadStore, user: User, policy: &Policy) -> Result<UserStat, Fault> {
    let usage = tables::usage(store, user.user_id)?;
    let heir = match tables::removal(store, user.user_id)? {
        Some(removal) => Some(tables::user(store, removal.heir)?.map_or_else(String::new, |heir| heir.username)),
        None => None,
    };
    Ok(UserStat {
        user_id: user.user_id,
        username: user.username,
        admin: user.admin,
        created_at: user.created_at,
        usage: UsageStat::of(&usage, policy),
        max_bytes: usage.max_bytes,
        max_files: usage.max_files,
        disabled: user.disabled,
        heir,
    })
}
