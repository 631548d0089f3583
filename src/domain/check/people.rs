//! Accounts, grants and locks.

use super::Report;
use crate::domain::record::Record;
use crate::domain::rows::{Invite, Lock, Number, Removal, Token, Usage, User};
use crate::domain::tables::{self, Counter, Ending, keys};
use crate::domain::{Fault, Fence, FileId, Sha256, Table, UserId};

pub(super) fn check(report: &mut Report<'_>) -> Result<(), Fault> {
    accounts(report)?;
    invites(report)?;
    removals(report)?;
    grants(report)?;
    locks(report)
}

fn accounts(report: &mut Report<'_>) -> Result<(), Fault> {
    let next = Counter::User.peek(report.store)?;
    report.each(Table::Users, |report, store, key, value| {
        let user = User::from_bytes(value)?;
        let id = user.user_id;
        report.expect("user_has_its_id", key == keys::user(id), || format!("user {id} is stored as {key:?}"));
        report.expect("user_ids_are_below_the_next", (1..next).contains(&id.0), || format!("user {id}, next {next}"));
        let named = tables::user_id(store, &user.username)? == Some(id);
        report.expect("users_have_their_usernames", named, || format!("user {id}"));
        let removed = tables::removal(store, id)?.is_some();
        let rooted =
            removed || tables::entry(store, user.root)?.is_some_and(|root| root.is_directory() && root.owner == id);
        report.expect("users_have_roots", rooted, || format!("user {id}, root {}", user.root));
        Ok(())
    })?;
    report.each(Table::Usernames, |report, store, key, value| {
        let id = UserId(Number::from_bytes(value)?.0);
        let holds = tables::user(store, id)?.is_some_and(|user| user.username.as_bytes() == key);
        report.expect("usernames_lead_to_their_users", holds, || format!("a username leads to {id}"));
        Ok(())
    })?;
    report.each(Table::Tokens, |report, store, key, value| {
        let hash = Sha256(key.try_into().map_err(|_| Fault("a token's key is damaged".to_owned()))?);
        let token = Token::from_bytes(value)?;
        let known = tables::user(store, token.user)?.is_some();
        report.expect("sessions_belong_to_users", known, || format!("a session of user {}", token.user));
        let ends = store.get(Table::Expiries, &keys::expiry(token.expires_at, &Ending::Session(hash)))?.is_some();
        report.expect("sessions_end", ends, || format!("a session of user {}", token.user));
        let listed = store.get(Table::Sessions, &keys::session(token.user, &hash))?.is_some();
        report.expect("sessions_are_known_by_user", listed, || format!("a session of user {}", token.user));
        Ok(())
    })?;
    report.each(Table::Sessions, |report, store, key, _| {
        let (user, hash) = keys::read_session(key)?;
        let open = tables::token(store, &hash)?.is_some_and(|token| token.user == user);
        report.expect("sessions_by_user_are_open", open, || format!("a session of user {user}"));
        Ok(())
    })
}

fn removals(report: &mut Report<'_>) -> Result<(), Fault> {
    report.each(Table::Removals, |report, store, key, value| {
        let (id, removal) = (UserId(keys::read_u64(key, Table::Removals)?), Removal::from_bytes(value)?);
        let disabled = tables::user(store, id)?.is_some_and(|user| user.disabled && user.root == removal.root);
        report.expect("who_is_removed_does_nothing", disabled, || format!("user {id}: {removal:?}"));
        let heir = tables::user(store, removal.heir)?.is_some() && tables::removal(store, removal.heir)?.is_none();
        report.expect("heirs_are_users", heir, || format!("user {id}: {removal:?}"));
        let paid = tables::usage(store, id)? == Usage::default();
        report.expect("heirs_pay_for_what_they_get", paid, || format!("user {id}: {removal:?}"));
        Ok(())
    })
}

fn invites(report: &mut Report<'_>) -> Result<(), Fault> {
    report.each(Table::Invites, |report, store, key, value| {
        let (hash, invite) = (keys::read_digest(key, Table::Invites)?, Invite::from_bytes(value)?);
        let known = tables::user(store, invite.made_by)?.is_some();
        report.expect("invitations_are_of_users", known, || format!("an invitation of user {}", invite.made_by));
        let ends = store.get(Table::Expiries, &keys::expiry(invite.expires_at, &Ending::Invite(hash)))?.is_some();
        report.expect("invitations_end", ends, || format!("an invitation of user {}", invite.made_by));
        Ok(())
    })
}

fn grants(report: &mut Report<'_>) -> Result<(), Fault> {
    report.each(Table::Grants, |report, store, key, _| {
        let (user, file) = keys::read_pair(key, Table::Grants)?;
        let (user, file) = (UserId(user), FileId(file));
        let reverse = store.get(Table::GrantsByFile, &keys::grant_by_file(file, user))?.is_some();
        report.expect("grants_have_their_reverse", reverse, || format!("grant on {file} to {user}"));
        let holds = tables::user(store, user)?.is_some()
            && tables::entry(store, file)?.is_some_and(|entry| entry.owner != user);
        report.expect("grants_join_others_with_entries", holds, || format!("grant on {file} to {user}"));
        Ok(())
    })?;
    report.each(Table::GrantsByFile, |report, store, key, _| {
        let (file, user) = keys::read_pair(key, Table::GrantsByFile)?;
        let forward = tables::grant(store, UserId(user), FileId(file))?.is_some();
        report.expect("grants_have_their_reverse", forward, || format!("reverse grant on {file} to {user}"));
        Ok(())
    })
}

fn locks(report: &mut Report<'_>) -> Result<(), Fault> {
    let last = tables::last_fence(report.store)?;
    report.each(Table::Locks, |report, store, key, value| {
        let file = FileId(keys::read_u64(key, Table::Locks)?);
        let lock = Lock::from_bytes(value)?;
        let by_owner = tables::locked_file(store, lock.owner, lock.fence)? == Some(file);
        report.expect("locks_are_known_by_owner", by_owner, || format!("lock on {file}: {lock:?}"));
        let listed = store.get(Table::LocksByTree, &keys::lock_by_tree(lock.tree, file))?.is_some();
        report.expect("locks_are_known_by_tree", listed, || format!("lock on {file}: {lock:?}"));
        let ends = store.get(Table::Expiries, &keys::expiry(lock.expires_at, &Ending::Lock(file)))?.is_some();
        report.expect("locks_end", ends, || format!("lock on {file}: {lock:?}"));
        report.expect("fences_are_below_the_counter", lock.fence <= last, || format!("lock on {file}, last {last}"));
        let entry = tables::entry(store, file)?;
        let remembered =
            entry.as_ref().and_then(|entry| entry.file()).is_some_and(|file| file.last_fence == lock.fence);
        report.expect("locks_are_on_files_that_know_the_fence", remembered, || format!("lock on {file}: {lock:?}"));
        Ok(())
    })?;
    report.each(Table::LocksByTree, |report, store, key, _| {
        let (tree, file) = keys::read_pair(key, Table::LocksByTree)?;
        let file = FileId(file);
        let entry = tables::entry(store, file)?;
        let holds = tables::lock(store, file)?.is_some_and(|lock| lock.tree == UserId(tree))
            && entry.is_some_and(|entry| entry.owner == UserId(tree));
        report.expect("locks_of_a_tree_are_held", holds, || format!("lock on {file} in the tree of {tree}"));
        Ok(())
    })?;
    report.each(Table::LocksByOwner, |report, store, key, value| {
        let (owner, fence) = keys::read_pair(key, Table::LocksByOwner)?;
        let file = FileId(Number::from_bytes(value)?.0);
        let holds =
            tables::lock(store, file)?.is_some_and(|lock| lock.owner == UserId(owner) && lock.fence == Fence(fence));
        report.expect("locks_by_owner_are_held", holds, || format!("fence {fence} of user {owner} on {file}"));
        Ok(())
    })
}
