//! What has run out, and when the next lock does.
//!
//! Apart from the rest of the plan, because somebody waits for a lock's end: it comes within a second of the lock's time,
//! whatever repairs are under way and however many other endings are due. `Expire` takes the locks first.

use crate::domain::command::{Expire, MAX_ENDINGS};
use crate::domain::tables::{self, Class};
use crate::domain::{ClusterTime, Fault, ReadStore};

/// Endings of one command while no more are due. Eyeballed: a few milliseconds of one core, and half of the most.
const BATCH: u32 = MAX_ENDINGS / 2;

/// What the leader should do about endings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endings {
    /// What ends the first of what is due. With a backlog it is as large as one command may be, and more are due after it.
    pub due: Option<Expire>,
    /// When the next lock ends that is not due yet. One that is taken later ends a second later at the least.
    pub next_lock: Option<ClusterTime>,
}

/// # Errors
/// When the storage fails.
pub fn endings(store: &dyn ReadStore, now: ClusterTime) -> Result<Endings, Fault> {
    let (mut due, few) = (0, BATCH as usize);
    for class in Class::ALL {
        due += tables::due_expiries(store, class, now, few + 1 - due)?.len();
        if due > few {
            break;
        }
    }
    let limit = if due > few { MAX_ENDINGS } else { BATCH };
    let next_lock = tables::next_expiry(store, Class::Locks)?.filter(|at| *at > now);
    Ok(Endings { due: (due > 0).then_some(Expire { limit }), next_lock })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::rows::{Done, Hold, Kept, Lock};
    use crate::domain::tables::Ending;
    use crate::domain::{
        ClusterId, Command, Fence, FileId, HoldId, MemoryStore, Outcome, Overlay, Proposal, Sha256, Stamped, UserId,
        WallTime, apply, command,
    };

    const LOCKED: FileId = FileId(7);
    const LOCK_ENDS: ClusterTime = ClusterTime(1_000_000);
    /// Rows that one command touches at most: a thousand, the clock, and the marks.
    const MAX_ROWS: usize = 1_010;

    /// With a lock that ends at `LOCK_ENDS`, and so many remembered operations that end one after the other before it.
    fn store(operations: u64) -> MemoryStore {
        let mut store = MemoryStore::new();
        let (cluster_id, name) = (ClusterId(1), "endings".to_owned());
        let bootstrap = command::Bootstrap { cluster_id, name, policy: Default::default() };
        run(&mut store, ClusterTime(0), bootstrap.into());
        let (owner, mac_hash, wall_expires_at) = (UserId(1), Sha256([0; 32]), WallTime(0));
        let lock = Lock {
            owner,
            mac_hash,
            fence: Fence(1),
            ttl_ms: 1000,
            expires_at: LOCK_ENDS,
            wall_expires_at,
            tree: owner,
        };
        tables::put_lock(&mut store, LOCKED, &lock).expect("no fault in memory");
        for number in 0..operations {
            let expires_at = ClusterTime(1 + number * (LOCK_ENDS.0 - 1) / operations);
            let (user, id) = (UserId(1), format!("{number:x}"));
            let done = Done { fingerprint: Sha256([0; 32]), expires_at, kept: Kept::Whole(Ok(Outcome::Done)) };
            tables::put_operation(&mut store, user, &id, &done).expect("no fault in memory");
            tables::put_expiry(&mut store, expires_at, &Ending::Operation(user, id)).expect("no fault in memory");
        }
        store
    }

    /// Applies a command, and says how many rows it touched.
    fn run(store: &mut MemoryStore, now: ClusterTime, command: Command) -> (Outcome, usize) {
        let stamped = Stamped { at: now, wall: WallTime(0), proposal: Proposal { operation: None, command } };
        let mut overlay = Overlay::new(store);
        let outcome = apply(&mut overlay, 1, &stamped).expect("no fault in memory").expect("it is never refused");
        let touched = overlay.len();
        for (table, key, value) in overlay.into_changes() {
            use crate::domain::Store as _;
            match value {
                Some(value) => store.put(table, &key, &value),
                None => store.delete(table, &key),
            }
            .expect("no fault in memory");
        }
        (outcome, touched)
    }

    fn is_locked(store: &MemoryStore) -> bool {
        tables::lock(store, LOCKED).expect("no fault in memory").is_some()
    }

    fn look(store: &MemoryStore, now: ClusterTime) -> Endings {
        endings(store, now).expect("no fault in memory")
    }

    /// The promise of `directory::endings`, in commands: the first one after its time ends the lock.
    #[test]
    fn a_lock_ends_with_the_first_command_after_its_time_whatever_else_is_due() {
        let mut store = store(1_000_000);
        let early = ClusterTime(LOCK_ENDS.0 - 1);
        let found = look(&store, early);
        assert_eq!(found, Endings { due: Some(Expire { limit: MAX_ENDINGS }), next_lock: Some(LOCK_ENDS) });
        run(&mut store, early, found.due.expect("much is due").into());
        assert!(is_locked(&store), "not before its time");

        let found = look(&store, LOCK_ENDS);
        assert_eq!(found.next_lock, None);
        let (outcome, touched) = run(&mut store, LOCK_ENDS, found.due.expect("much is due").into());
        assert!(!is_locked(&store), "it ends first, though a million operations ran out before it");
        assert_eq!(outcome, Outcome::Progress { rows: MAX_ENDINGS - 1, more: true });
        assert!(touched <= MAX_ROWS, "{touched}");
    }

    #[test]
    fn batches_follow_the_backlog_and_leave_nothing() {
        let mut store = store(3_000);
        let (mut limits, mut ended) = (Vec::new(), 0);
        while let Some(expire) = look(&store, LOCK_ENDS).due {
            limits.push(expire.limit);
            let (Outcome::Progress { rows, .. }, touched) = run(&mut store, LOCK_ENDS, expire.into()) else {
                panic!("no progress")
            };
            assert!(touched <= MAX_ROWS, "{touched}");
            ended += rows;
        }
        assert_eq!((ended, limits), (3_001, vec![500, 500, 500, 500, 500, 500, 250]));
        assert_eq!(look(&store, ClusterTime(u64::MAX)), Endings::default());
    }

    /// Each class has its own mark: what one was worked off to hides nothing of another.
    #[test]
    fn what_ends_earlier_in_another_class_is_still_found() {
        let mut store = store(0);
        run(&mut store, LOCK_ENDS, Expire { limit: 1 }.into());
        let hold = Hold { since: LOCK_ENDS, expires_at: ClusterTime(LOCK_ENDS.0 + 1) };
        tables::put_hold(&mut store, HoldId(1), &hold).expect("no fault in memory");
        assert_eq!(look(&store, LOCK_ENDS), Endings::default());
        assert!(look(&store, hold.expires_at).due.is_some());
        run(&mut store, hold.expires_at, Expire { limit: 1 }.into());
        assert_eq!(tables::hold(&store, HoldId(1)), Ok(None));
    }
}
