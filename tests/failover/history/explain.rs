//! What to tell a person about an answer that cannot be.

use std::fmt::Write as _;

use super::model::{File, State};
use super::{Act, NAMES, Op, Outcome, Refusal, SLOTS, Seen};

/// How many possible states, and how many earlier requests, are told.
const STATES_TOLD: usize = 4;
const EARLIER_TOLD: usize = 8;

/// `states` are all that the place may have been in when the request was answered.
pub(super) fn explain(op: &Op, states: &[&State], ops: &[&Op]) -> String {
    let mut text = format!("place {}: {}\n  it is the answer of {}", op.place, kind(op, states, ops), line(op));
    let _ = write!(text, "\n  where there can only have been");
    for state in states.iter().take(STATES_TOLD) {
        let files: Vec<String> =
            (0..SLOTS).map(|slot| format!("{}: {}", NAMES[slot], file(&state.slots[slot]))).collect();
        let _ = write!(text, "\n    {}", files.join("; "));
    }
    if states.len() > STATES_TOLD {
        let _ = write!(text, "\n    and {} more possibilities", states.len() - STATES_TOLD);
    }
    let mut earlier: Vec<&&Op> = ops
        .iter()
        .filter(|other| other.invoked <= op.returned && other.act.slots() & op.act.slots() != 0)
        .filter(|other| !std::ptr::eq(**other, op))
        .collect();
    earlier.sort_by_key(|other| other.returned);
    let _ = write!(text, "\n  after, among others,");
    for other in &earlier[earlier.len().saturating_sub(EARLIER_TOLD)..] {
        let _ = write!(text, "\n    {}", line(other));
    }
    text
}

fn line(op: &Op) -> String {
    let seconds = |moment: u64| format!("{}.{:06}", moment / 1_000_000, moment % 1_000_000);
    format!("{}–{} s client {}: {:?} → {:?}", seconds(op.invoked), seconds(op.returned), op.client, op.act, op.outcome)
}

fn file(file: &Option<File>) -> String {
    let Some(file) = file else { return "nothing".to_owned() };
    let id = file.id.map_or_else(|| "unknown id".to_owned(), |id| format!("file {id}"));
    let lock = file.lock.as_ref().map(|held| match held.fence {
        Some(fence) => format!(", locked under fence {fence} until {} us or later", held.until),
        None => format!(", locked under an unknown fence until {} us or later", held.until),
    });
    format!("{id} version {} tag {}{}", file.version, file.tag, lock.unwrap_or_default())
}

/// What this kind of wrong answer means.
fn kind(op: &Op, states: &[&State], ops: &[&Op]) -> &'static str {
    let at = |slot: usize| states.iter().map(move |state| state.slots[slot].as_ref());
    match (&op.act, &op.outcome) {
        (_, Outcome::Refused(refusal)) => match refusal {
            Refusal::NotFound => "an acknowledged file is gone, or a change of unknown outcome was taken for not done",
            Refusal::Exists => "a deleted file is still there",
            Refusal::Locked => "refused as locked where nobody can hold a lock, or to its holder",
            Refusal::Conflict => "refused for another version where the named one is there",
        },
        (Act::Read { slot } | Act::Stat { slot }, Outcome::File(seen) | Outcome::Stat(seen, _)) => {
            let told_lock = if let Outcome::Stat(_, lock) = &op.outcome { Some(*lock) } else { None };
            looked(op, *slot, seen, told_lock, states, ops)
        }
        (Act::List, Outcome::Listing(rows)) => {
            let wrong = rows.iter().enumerate().find_map(|(slot, row)| match row {
                None => at(slot).all(|file| file.is_some()).then_some("a listing lacks an acknowledged file"),
                Some((seen, lock)) => {
                    let fits = |file: Option<&File>| file.is_some_and(|file| is(file, seen) && locked(file, *lock));
                    (!at(slot).any(fits)).then(|| looked(op, slot, seen, Some(*lock), states, ops))
                }
            });
            wrong.unwrap_or("a listing of files that were never there at one time")
        }
        (Act::Write { slot, .. }, _) if at(*slot).all(|file| file.is_some()) => {
            "an acknowledged file was lost: its name was given again"
        }
        (Act::Update { slot, .. } | Act::Delete { slot, .. } | Act::Move { from: slot, .. }, _)
            if at(*slot).all(|file| file.is_none()) =>
        {
            "a deleted file is still there: it was changed"
        }
        (Act::Update { slot, token, .. } | Act::Delete { slot, token } | Act::Move { from: slot, token, .. }, _)
            if at(*slot).flatten().all(|file| shut(file, *token)) =>
        {
            "a change was made without the token of the file's lock"
        }
        (Act::Lock { slot, .. }, _) if at(*slot).flatten().all(|file| file.lock.is_some()) => {
            "a lock is held by two at once"
        }
        (Act::Lock { .. }, _) => "a lock was given that cannot be, or its fence did not grow",
        (Act::Update { slot, .. } | Act::Move { from: slot, .. }, Outcome::File(seen)) => {
            match at(*slot).flatten().map(|file| file.version).max() {
                Some(most) if seen.version > most + 1 => {
                    "versions were skipped: a change was applied twice, or one that nobody asked for"
                }
                Some(_) => {
                    "an acknowledged change was lost: its version was given again, or its condition did not hold"
                }
                None => "no order of the changes explains this",
            }
        }
        _ => "no order of the changes explains this",
    }
}

fn is(file: &File, seen: &Seen) -> bool {
    file.version == seen.version && file.tag == seen.tag && file.id.is_none_or(|id| id == seen.id)
}

fn locked(file: &File, told: Option<u64>) -> bool {
    match (&file.lock, told) {
        (None, None) => true,
        (Some(held), Some(fence)) => held.fence.is_none_or(|held| held == fence),
        _ => false,
    }
}

fn shut(file: &File, token: Option<u64>) -> bool {
    file.lock.as_ref().is_some_and(|held| token.is_none() || held.fence != token)
}

/// What is wrong with what was seen of one file.
fn looked(
    op: &Op,
    slot: usize,
    seen: &Seen,
    lock: Option<Option<u64>>,
    states: &[&State],
    ops: &[&Op],
) -> &'static str {
    let files: Vec<&File> = states.iter().filter_map(|state| state.slots[slot].as_ref()).collect();
    let Some(writer) = ops.iter().find(|other| other.act.tag() == Some(seen.tag)) else {
        return "bytes that nobody ever wrote here";
    };
    if writer.invoked > op.returned {
        return "bytes that were written only later";
    }
    if matches!(writer.outcome, Outcome::NotDone | Outcome::Refused(_)) {
        return "a change took effect whose client was told that it was not done";
    }
    if files.is_empty() {
        return "a deleted file is still there";
    }
    let same = || files.iter().filter(|file| file.id.is_none_or(|id| id == seen.id));
    if same().any(|file| is(file, seen)) {
        return match lock {
            Some(None) => "a lock that holds is not shown: it ended before its time",
            Some(Some(_)) => "a lock is shown that nobody holds",
            None => "no order of the changes explains this",
        };
    }
    match (same().map(|file| file.version).min(), same().map(|file| file.version).max()) {
        (Some(least), _) if seen.version < least => "a stale read: it goes back in time",
        (_, Some(most)) if seen.version > most => {
            "versions were skipped: a change was applied twice, or one that nobody asked for"
        }
        (Some(_), _) => "two contents for one version: an acknowledged change was lost, or applied twice",
        _ => "another file than the one that is there: one that was deleted, or not made yet",
    }
}
