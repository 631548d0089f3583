//! What the audit tells: a row for each change of accounts, rights, locks of others, deletions and operators' calls.
//!
//! `apply` writes the row with the change that it tells of, so that neither is there without the other. Reads and refusals
//! are not in it: whoever is refused would fill it. Each row has the hash of the one before, so that whoever has kept the
//! newest hash can tell whether anything before it was changed. What is too old or too much is dropped from the front.
//!
//! The words of a row are part of what all replicas must agree on: a word that is here never changes.

use sha2::Digest as _;

use super::change::Change;
use super::record::Record as _;
use super::rows::AuditRow;
use super::terms::{FileRef, Operation};
use super::{Command, Fault, Outcome, Permission, Sha256, UserId, tables};

/// Rows that one new row lets go of at most: more than it takes to come down in the end.
const DROPPED_AT_ONCE: usize = 4;
const MAX_FROM_BYTES: usize = 64;

/// What is told of a command.
struct Told {
    by: UserId,
    what: &'static str,
    on: String,
    detail: String,
}

/// Writes the row of a change that was made.
pub(super) fn note(
    change: &mut Change<'_>,
    operation: Option<&Operation>,
    command: &Command,
    outcome: &Outcome,
) -> Result<(), Fault> {
    let Some(told) = told(command, operation, outcome) else { return Ok(()) };
    let mut state = tables::audit_state(change.store)?;
    let from = operation.map(|operation| operation.from.as_str()).filter(|from| from.len() <= MAX_FROM_BYTES);
    let row = AuditRow {
        at: change.now,
        wall: change.wall,
        actor: told.by,
        what: told.what.to_owned(),
        on: told.on,
        detail: told.detail,
        from: from.unwrap_or_default().to_owned(),
        before: state.head,
    };
    let bytes = tables::put_audit(change.store, state.next, &row)?;
    state.head = hash(&bytes);
    state.bytes = state.bytes.saturating_add(bytes.len() as u64);
    state.next = state.next.saturating_add(1);
    for _ in 0..DROPPED_AT_ONCE {
        let Some(oldest) = tables::audit_bytes(change.store, state.first)? else { break };
        let over = state.bytes > change.policy.kept_audit_bytes();
        let old = AuditRow::from_bytes(&oldest)?.at.plus_ms(change.policy.kept_audit_ms()) < change.now;
        if !over && !old {
            break;
        }
        tables::delete_audit(change.store, state.first)?;
        state.bytes = state.bytes.saturating_sub(oldest.len() as u64);
        state.first = state.first.saturating_add(1);
    }
    tables::put_audit_state(change.store, &state)
}

/// What the next row has as the hash of this one.
pub fn hash(row: &[u8]) -> Sha256 {
    Sha256(sha2::Sha256::digest(row).into())
}

fn told(command: &Command, operation: Option<&Operation>, outcome: &Outcome) -> Option<Told> {
    let by = operation.map_or(UserId(0), |operation| operation.user);
    let of = |by: UserId, what, on: String, detail: String| Some(Told { by, what, on, detail });
    let none = String::new;
    match command {
        Command::Enroll(enroll) => {
            let Outcome::User { user_id, .. } = outcome else { return None };
            of(*user_id, "account.signup", enroll.username.clone(), none())
        }
        Command::AddAccount(add) => of(add.user, "account.add", add.username.clone(), none()),
        Command::SetAccount(set) => {
            let said = |name: &str, value: Option<bool>| match value {
                Some(true) => format!("{name}=true "),
                Some(false) => format!("{name}=false "),
                None => String::new(),
            };
            let detail = said("disabled", set.disabled) + &said("admin", set.admin);
            of(set.user, "account.set", set.username.clone(), detail.trim_end().to_owned())
        }
        Command::ResetPassword(reset) => of(reset.user, "account.reset", reset.username.clone(), none()),
        Command::RemoveAccount(remove) => {
            of(remove.user, "account.remove", remove.username.clone(), remove.heir.clone().unwrap_or_default())
        }
        Command::ResetAdmin(reset) => of(UserId(0), "account.admin_reset", reset.username.clone(), none()),
        Command::SetPassword(set) => of(set.user, "account.password", none(), none()),
        Command::MakeInvite(invite) => of(invite.user, "invite.make", invite.hash.to_string(), none()),
        Command::RevokeInvite(invite) => of(invite.user, "invite.revoke", invite.hash.to_string(), none()),
        Command::Share(share) => {
            let may = match share.permission {
                Permission::Read => "read",
                Permission::Write => "write",
            };
            of(share.user, "share", named(&share.file), format!("{may} {}", share.with))
        }
        Command::Unshare(unshare) => of(unshare.user, "unshare", named(&unshare.file), unshare.with.clone()),
        Command::LeaveShare(leave) => of(leave.user, "share.leave", named(&leave.file), none()),
        Command::BreakLock(lock) => of(lock.user, "lock.break", named(&lock.file), none()),
        Command::Move(moved) if moved.break_locks => {
            of(moved.user, "lock.break", named(&moved.from), "move".to_owned())
        }
        Command::Delete(delete) => {
            let mut detail = Vec::new();
            for (said, word) in [
                (delete.recursive, "recursive"),
                (delete.permanently, "permanently"),
                (delete.break_locks, "break_locks"),
            ] {
                if said {
                    detail.push(word);
                }
            }
            of(delete.user, "delete", named(&delete.file), detail.join(" "))
        }
        Command::EmptyTrash(empty) => {
            of(empty.user, "trash.empty", empty.file_id.map(|id| format!("id:{id}")).unwrap_or_default(), none())
        }
        Command::SetQuota(quota) => of(by, "quota.set", format!("account {}", quota.user), none()),
        // Of what the leader does by itself, nothing.
        _ if operation.is_none() => match command {
            Command::RemoveServer(remove) => of(by, "server.remove", remove.server_id.to_string(), none()),
            _ => None,
        },
        Command::SetPolicy(_) => of(by, "policy.set", none(), none()),
        Command::Drain(drain) => of(by, "server.drain", drain.server_id.to_string(), none()),
        Command::Undrain(drain) => of(by, "server.undrain", drain.server_id.to_string(), none()),
        Command::RemoveServer(remove) => of(by, "server.remove", remove.server_id.to_string(), none()),
        Command::StartSweep(_) => of(by, "rebalance", none(), none()),
        Command::StopSweep(_) => of(by, "rebalance.stop", none(), none()),
        _ => None,
    }
}

fn named(file: &FileRef) -> String {
    match file {
        FileRef::Id(id) => format!("id:{id}"),
        FileRef::Path(at) => match &at.owner {
            Some(owner) => format!("{owner}:{}", at.path),
            None => at.path.to_string(),
        },
    }
}
