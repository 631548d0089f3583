//! Bugs for the tests to catch.
//!
//! A suite that finds nothing says little unless it is known what it would have found. Each [`Plant`] is a mistake that
//! somebody could have made, at the place where it would have been made: `planted` guards the line that prevents it. A
//! test plants one, by the hidden key `test.plant`, and the tests that are there for it have to fail;
//! `docs/TESTING.md` says which do. A process has one bug at most, from its start to its end. Only a build with the feature
//! `plants` can have one: in any other `planted` is false when it is compiled, and nothing is left of what it guards.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU8, Ordering};

/// A bug. Its name is the variant's in snake case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// The log says that it is on the disk before it is.
    NoLogSync,
    /// A copy counts, and a receipt is taken, whatever epoch of its server it comes from.
    NoEpochCheck,
    /// A change of a file's copies takes effect on copies that it was not made for.
    NoPlacementRevCheck,
    /// A deletion takes whichever copy of the blob it finds.
    DeleteWithoutCopyId,
    /// Nobody remembers that an operation took effect.
    LostOperationRecord,
    /// Each node enters the time of its own clock.
    WallClockInApply,
    /// A file is off the list of repairs before its repair is known to hold.
    EarlyDequeue,
    /// A node answers with whatever it has applied.
    ReadWithoutReadIndex,
    /// A snapshot's mark is installed, and its rows are not.
    TornSnapshotInstall,
    /// A query sees one state when it looks at the first rows and another at the next.
    QueryOverTwoSnapshots,
    /// A capability is good for any call.
    CapabilityNotChecked,
    /// A lock is open when its time is over, though no entry of the log has ended it.
    LockExpiredByTheClock,
}

impl Plant {
    pub const ALL: [Self; 12] = [
        Self::NoLogSync,
        Self::NoEpochCheck,
        Self::NoPlacementRevCheck,
        Self::DeleteWithoutCopyId,
        Self::LostOperationRecord,
        Self::WallClockInApply,
        Self::EarlyDequeue,
        Self::ReadWithoutReadIndex,
        Self::TornSnapshotInstall,
        Self::QueryOverTwoSnapshots,
        Self::CapabilityNotChecked,
        Self::LockExpiredByTheClock,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::NoLogSync => "no_log_sync",
            Self::NoEpochCheck => "no_epoch_check",
            Self::NoPlacementRevCheck => "no_placement_rev_check",
            Self::DeleteWithoutCopyId => "delete_without_copy_id",
            Self::LostOperationRecord => "lost_operation_record",
            Self::WallClockInApply => "wall_clock_in_apply",
            Self::EarlyDequeue => "early_dequeue",
            Self::ReadWithoutReadIndex => "read_without_read_index",
            Self::TornSnapshotInstall => "torn_snapshot_install",
            Self::QueryOverTwoSnapshots => "query_over_two_snapshots",
            Self::CapabilityNotChecked => "capability_not_checked",
            Self::LockExpiredByTheClock => "lock_expired_by_the_clock",
        }
    }

    const fn number(self) -> u8 {
        self as u8 + 1
    }
}

impl fmt::Display for Plant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Plant {
    type Err = String;

    /// # Errors
    /// When no bug has that name; the message lists them.
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|plant| plant.name() == text).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.into_iter().map(Self::name).collect();
            format!("no bug to plant is called \"{text}\": there are {}", names.join(", "))
        })
    }
}

/// The number of the bug, 0 where there is none.
static PLANTED: AtomicU8 = AtomicU8::new(0);

/// Plants a bug in this process, before anything else runs.
pub fn set(plant: Plant) {
    PLANTED.store(plant.number(), Ordering::Relaxed);
}

/// Whether a process of this build can have a bug.
pub const fn is_possible() -> bool {
    cfg!(feature = "plants")
}

/// Whether this process has the bug.
#[inline]
pub fn planted(plant: Plant) -> bool {
    is_possible() && PLANTED.load(Ordering::Relaxed) == plant.number()
}
