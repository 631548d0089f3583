//! What ends, how far the leader's jobs have come, and what bootstrap fixed.

use super::Report;
use crate::domain::record::Record;
use crate::domain::rows::{DOOMED, Done, Hold, Kept};
use crate::domain::tables::{self, Class, Ending, MAX_COPIES, keys};
use crate::domain::{Fault, HoldId, Table, UserId};

pub(super) fn check(report: &mut Report<'_>) -> Result<(), Fault> {
    let store = report.store;
    report.each(Table::Expiries, |report, store, key, _| {
        let (at, ending) = keys::read_expiry(key)?;
        let holds = match &ending {
            Ending::Lock(file) => tables::lock(store, *file)?.is_some_and(|lock| lock.expires_at == at),
            Ending::Session(hash) => tables::token(store, hash)?.is_some_and(|token| token.expires_at == at),
            Ending::Operation(user, id) => {
                tables::operation(store, *user, id)?.is_some_and(|done| done.expires_at == at)
            }
            Ending::Garbage(server, blob, copy) => tables::garbage(store, *server, *blob, *copy)?.is_some(),
            Ending::Version(file, version) => {
                tables::version(store, *file, *version)?.is_some_and(|old| old.until == at)
            }
            Ending::Trash(owner, deleted_at, file) => {
                tables::trashed(store, *owner, *deleted_at, *file)?.is_some_and(|row| row.until == at)
            }
            Ending::Upload(user, id) => {
                tables::upload(store, *user, *id)?.is_some_and(|upload| upload.expires_at == at)
            }
            Ending::Pin(id, user) => tables::pin(store, *id, *user)?.is_some_and(|pin| pin.expires_at == at),
            Ending::Invite(hash) => tables::invite(store, hash)?.is_some_and(|invite| invite.expires_at == at),
            Ending::Hold(id) => tables::hold(store, *id)?.is_some_and(|hold| hold.expires_at == at),
        };
        report.expect("expiries_end_something", holds, || format!("{ending:?} at {at}"));
        let through = tables::expired_through(store, ending.class())?.unwrap_or_default();
        report.expect("no_expiry_is_before_the_mark", key > &through[..], || format!("{ending:?} at {at}"));
        Ok(())
    })?;
    for class in Class::ALL {
        let Some(mark) = tables::expired_through(store, class)? else { continue };
        let own = keys::read_expiry(&mark)?.1.class() == class;
        report.expect("marks_of_endings_are_of_their_class", own, || format!("{class:?} at {mark:?}"));
    }
    report.each(Table::Operations, |report, store, key, value| {
        let (user, id) =
            key.split_first_chunk::<8>().ok_or_else(|| Fault("an operation's key is damaged".to_owned()))?;
        let user = UserId(u64::from_be_bytes(*user));
        let id = String::from_utf8(id.to_vec()).map_err(|_| Fault("an operation's key is damaged".to_owned()))?;
        let done = Done::from_bytes(value)?;
        let expiry = keys::expiry(done.expires_at, &Ending::Operation(user, id.clone()));
        let ends = store.get(Table::Expiries, &expiry)?.is_some();
        report.expect("operations_end", ends, || format!("operation {id:?} of user {user}"));
        let kept = match &done.kept {
            Kept::Whole(Err(rejection)) => rejection.kind.is_final(),
            Kept::Whole(Ok(_)) | Kept::Entry(_) => true,
        };
        report.expect("only_final_answers_are_kept", kept, || format!("operation {id:?} of user {user}"));
        Ok(())
    })?;
    report.each(Table::Holds, |report, store, key, value| {
        let id: [u8; 16] = key.try_into().map_err(|_| Fault("a hold's key is damaged".to_owned()))?;
        let id = HoldId(u128::from_be_bytes(id));
        let hold = Hold::from_bytes(value)?;
        let ends = store.get(Table::Expiries, &keys::expiry(hold.expires_at, &Ending::Hold(id)))?.is_some();
        report.expect("holds_end", ends, || format!("hold {id}: {hold:?}"));
        Ok(())
    })?;

    if let Some(mark) = tables::reaped_through(store)? {
        let directory = keys::read_name(&mark)?.0;
        let before = tables::children_between(store, &keys::entry(directory), Some(&mark), 1)?;
        let known = directory == DOOMED || tables::entry(store, directory)?.is_some();
        report.expect("the_reaper_left_nothing_behind", known && (directory == DOOMED || before.is_empty()), || {
            format!("it stands in {directory} and left {before:?}")
        });
    }
    let bootstrapped = tables::cluster(store)?.is_some();
    let versioned = tables::schema(store)?.is_some();
    report.expect("a_cluster_has_a_schema_version", bootstrapped == versioned, || "one of them is missing".to_owned());
    let copies = tables::policy(store)?.copies;
    report.expect("the_policy_is_within_bounds", (1..=u32::from(MAX_COPIES)).contains(&copies), || {
        format!("copies is {copies}")
    });
    Ok(())
}
