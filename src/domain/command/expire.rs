use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::stop::Stop;
use crate::domain::tables::{self, Class, Ending};
use crate::domain::{Fault, Outcome, Table};

/// The most endings of one command…
pub(crate) const MAX_ENDINGS: u32 = 500;
/// …and the most rows that they touch.
const MAX_ROWS: usize = 1000;

record! {
    /// Ends what has run out (locks, holds, sessions, invitations, operations, garbage rows) by this entry's own time stamp, class by
    /// class: whatever else is due, it ends the locks that are.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Expire as "expiry" {
        /// The most endings; no more than 500 in any case, and no more than a thousand rows.
        pub limit: u32 = 1,
    }
}

impl Act for Expire {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = true;
    const WHILE_RESTORING: bool = true;
    const WHILE_FULL: bool = true;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        let limit = self.limit.clamp(1, MAX_ENDINGS) as usize;
        let (mut ended, mut room) = (0, MAX_ROWS);
        let mut more = false;
        let restoring = change.is_restoring()?;
        for class in Class::ALL {
            // What they are about may not have come yet.
            if restoring && matches!(class, Class::Versions | Class::Trash | Class::Uploads) {
                continue;
            }
            let most = (limit - ended).min(room / rows_of(class));
            let mut due = tables::due_expiries(change.store, class, change.now, most + 1)?;
            more = due.len() > most;
            due.truncate(most);
            for key in &due {
                end(change, &tables::keys::read_expiry(key)?.1)?;
                change.store.delete(Table::Expiries, key)?;
            }
            ended += due.len();
            room -= due.len() * rows_of(class);
            if let Some(last) = due.pop() {
                tables::put_expired_through(change.store, class, last)?;
            }
            if more {
                break;
            }
        }
        Ok(Outcome::Progress { rows: u32::try_from(ended).unwrap_or(MAX_ENDINGS), more })
    }
}

/// The rows of one ending.
const fn rows_of(class: Class) -> usize {
    match class {
        Class::Locks | Class::Sessions => 3,
        Class::Holds | Class::Operations | Class::Garbage | Class::Pins | Class::Invites => 2,
        // Its content goes with it.
        Class::Versions => 24,
        Class::Trash => 8,
        Class::Uploads => 5,
    }
}

fn end(change: &mut Change<'_>, ending: &Ending) -> Result<(), Fault> {
    match ending {
        Ending::Lock(file) => {
            if let Some(lock) = tables::lock(change.store, *file)? {
                tables::delete_lock(change.store, *file, &lock)?;
            }
        }
        Ending::Session(token_hash) => {
            if let Some(token) = tables::token(change.store, token_hash)? {
                tables::delete_token(change.store, token_hash, &token)?;
            }
        }
        Ending::Operation(user, id) => {
            change.store.delete(Table::Operations, &tables::keys::operation(*user, id))?;
        }
        Ending::Hold(id) => {
            if let Some(hold) = tables::hold(change.store, *id)? {
                tables::delete_hold(change.store, *id, &hold)?;
            }
        }
        Ending::Garbage(server, blob, copy) => tables::delete_garbage(change.store, *server, *blob, *copy)?,
        Ending::Version(file, version) => change.end_version(*file, *version)?,
        Ending::Trash(owner, deleted_at, file) => {
            change.unbin(*owner, *deleted_at, *file)?;
        }
        Ending::Upload(user, id) => {
            change.end_upload(*user, *id)?;
        }
        Ending::Invite(hash) => {
            if let Some(invite) = tables::invite(change.store, hash)? {
                tables::delete_invite(change.store, hash, &invite)?;
            }
        }
        Ending::Pin(id, user) => {
            if let Some(pin) = tables::pin(change.store, *id, *user)? {
                tables::delete_pin(change.store, *id, &pin)?;
            }
        }
    }
    Ok(())
}
