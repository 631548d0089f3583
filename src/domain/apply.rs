//! The one way in which the state changes.
//!
//! `apply` is total and deterministic: every member of the cluster runs it over the same log and must come to the same
//! bytes, also on replay after a crash. Nobody sees its errors but `consensus`: a `Rejection` is a replicated answer
//! like any other and travels back to the user, a `Fault` stops the process, because a replica that went on without
//! a change that the others made would have parted from them.
//!
//! A fault is for storage that cannot be read, and for that alone: what all members read alike they must all live with.
//! Rows that lead nowhere are a rejection (`stop::astray`), a counter that does not add up is counted again.
//!
//! A command runs over an overlay of its own, which is thrown away when it is refused. So a rule may check something
//! after it has begun to change rows, and a rejection still changes nothing but the clock and the operation's own row.

use super::change::Change;
use super::overlay::Overlay;
use super::plant::{Plant, planted};
use super::proposal::Stamped;
use super::rows::Done;
use super::seen::Seen;
use super::stop::{Stop, reject, settle};
use super::tables::{self, Ending};
use super::terms::Operation;
use super::{
    Answer, ClusterTime, Command, Fault, Outcome, ReadStore, Rejection, RejectionKind, Store, audit, remembered,
    restored,
};

/// Applies one entry of the log.
///
/// `index` is its place in the log, for messages only. Cluster time becomes the later of what it was and of the entry's
/// stamp: a new leader's clock may be a little behind what the old one's last entry said.
///
/// # Errors
/// A fault stops the process.
pub fn apply(store: &mut dyn Store, index: u64, stamped: &Stamped) -> Result<Answer, Fault> {
    apply_entry(store, stamped).map_err(|fault| Fault(format!("log entry {index}: {}", fault.0)))
}

fn apply_entry(store: &mut dyn Store, stamped: &Stamped) -> Result<Answer, Fault> {
    let before = tables::cluster_time(store)?;
    let now = before.max(stamped.at);
    if now != before {
        tables::put_cluster_time(store, now)?;
    }
    let operation = stamped.proposal.operation.as_ref();
    if let Some(operation) = operation
        && let Some(answer) = known_answer(store, operation, &stamped.proposal.command)?
    {
        return Ok(answer);
    }

    let policy = tables::known_policy(store)?;
    // The row of the policy comes with the cluster's own, and is read in any case.
    let set_up = policy.is_some() || tables::cluster(store)?.is_some();
    let policy = policy.unwrap_or_default();
    let operation_ttl_ms = policy.operation_ttl_ms;
    let base: &dyn ReadStore = store;
    let seen = Seen::new(base);
    let mut overlay = Overlay::new(&seen);
    let change = Change { store: &mut overlay, now, wall: stamped.wall, policy };
    let answer = settle(run(change, set_up, &stamped.proposal.command, operation))?;
    if answer.is_ok() {
        for (table, key, value) in overlay.into_changes() {
            match value {
                Some(value) => store.put(table, &key, &value)?,
                None => store.delete(table, &key)?,
            }
        }
    }
    if let Some(operation) = operation {
        let ttl_ms = match operation.ttl_ms {
            0 => operation_ttl_ms,
            shorter => shorter.min(operation_ttl_ms),
        };
        remember(store, operation, &stamped.proposal.command, &answer, now.plus_ms(ttl_ms))?;
    }
    Ok(answer)
}

/// The answer to an operation that needs not be run: because it was before, or because its name is not valid.
fn known_answer(store: &dyn ReadStore, operation: &Operation, command: &Command) -> Result<Option<Answer>, Fault> {
    if operation.id.is_empty() || operation.id.len() > 255 {
        let detail = "the Idempotency-Key is empty or too long: use 1 to 255 bytes";
        return Ok(Some(Err(Rejection { kind: RejectionKind::InvalidRequest, detail: detail.to_owned() })));
    }
    Ok(match tables::operation(store, operation.user, &operation.id)? {
        None => None,
        Some(done) if done.fingerprint == operation.fingerprint => {
            Some(remembered::answer(store, operation.user, &done, command)?)
        }
        Some(_) => Some(Err(remembered::reused())),
    })
}

/// Keeps an effect or a final rejection, so that the operation never takes effect twice.
///
/// The sentence of a rejection is kept as it was told. Members of different versions may so keep different words for a
/// day; nothing decides by them.
fn remember(
    store: &mut dyn Store,
    operation: &Operation,
    command: &Command,
    answer: &Answer,
    expires_at: ClusterTime,
) -> Result<(), Fault> {
    let passes = answer.as_ref().is_err_and(|rejection| !rejection.kind.is_final());
    if passes || planted(Plant::LostOperationRecord) {
        return Ok(());
    }
    let kept = remembered::keep(answer, operation.user, command);
    let done = Done { fingerprint: operation.fingerprint, expires_at, kept };
    tables::put_operation(store, operation.user, &operation.id, &done)?;
    tables::put_expiry(store, expires_at, &Ending::Operation(operation.user, operation.id.clone()))
}

fn run(
    mut change: Change<'_>,
    set_up: bool,
    command: &Command,
    operation: Option<&Operation>,
) -> Result<Outcome, Stop> {
    let first = matches!(command, Command::Bootstrap(_));
    if !first && !set_up {
        return Err(reject(RejectionKind::StaleState, "the cluster is not set up yet: try again in a moment"));
    }
    let restoring = || Ok::<_, Fault>(tables::restore(change.store)?.is_some_and(|restore| !restore.done));
    if !command.is_taken_while_restoring() && restoring()? {
        return Err(reject(RejectionKind::Restoring, restored::RESTORING));
    }
    let outcome = command.act(&mut change)?;
    audit::note(&mut change, operation, command, &outcome)?;
    Ok(outcome)
}
