//! The membership change that runs on this node, or ran last: one at a time.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::super::membership::{Attempt, MembershipChange, MembershipProgress, Obstacle, Stage};

/// For so long a result waits for those who were cut off while they asked.
const COLLECTED: Duration = Duration::from_secs(5);

#[derive(Clone, Debug)]
pub(crate) enum ChangeState {
    Runs(MembershipProgress),
    Ended(Attempt, Instant),
}

/// A change that runs here, or that ended and was not asked about since.
struct RunningChange {
    change: MembershipChange,
    state: watch::Receiver<ChangeState>,
}

impl RunningChange {
    fn runs(&self) -> bool {
        matches!(*self.state.borrow(), ChangeState::Runs(_))
    }
}

/// The place for the one change.
#[derive(Default)]
pub(crate) struct MembershipChanges(Mutex<Option<RunningChange>>);

impl MembershipChanges {
    /// Whether one runs at the moment.
    pub(crate) fn is_running(&self) -> bool {
        self.slot().as_ref().is_some_and(RunningChange::runs)
    }

    /// How far the change is, and, where it does not run yet, the way to say so for the task that is to run it.
    ///
    /// # Errors
    /// When another one runs.
    pub(crate) fn begin(
        &self,
        change: &MembershipChange,
    ) -> Result<(watch::Receiver<ChangeState>, Option<watch::Sender<ChangeState>>), Obstacle> {
        let mut slot = self.slot();
        if let Some(running) = slot.as_ref() {
            // What came of it is for those who asked and were cut off, and not for whoever asks for the same much later.
            let fresh = match *running.state.borrow() {
                ChangeState::Runs(_) => true,
                ChangeState::Ended(_, at) => {
                    at.elapsed() < COLLECTED && !matches!(change, MembershipChange::Transfer { .. })
                }
            };
            if running.change == *change && fresh {
                return Ok((running.state.clone(), None));
            }
            if running.runs() {
                return Err(Obstacle::Busy(format!(
                    "the cluster is {} at the moment, and changes one thing at a time: try again when that is done",
                    running.change
                )));
            }
        }
        let first = match change {
            MembershipChange::Add { node, .. } => MembershipProgress::at(*node, Stage::Greeting),
            MembershipChange::SetAddress { node, .. } => MembershipProgress::at(*node, Stage::Moving),
            MembershipChange::Remove { node, .. } => MembershipProgress::at(*node, Stage::Removing),
            MembershipChange::Transfer { to } => MembershipProgress::at(to.unwrap_or_default(), Stage::HandingOver),
            MembershipChange::Rise { .. } => MembershipProgress::at(0, Stage::Rising),
        };
        let (told, state) = watch::channel(ChangeState::Runs(first));
        *slot = Some(RunningChange { change: change.clone(), state: state.clone() });
        Ok((state, Some(told)))
    }

    /// What came of a change was told to somebody: the next request tries again.
    pub(crate) fn collect(&self, state: &watch::Receiver<ChangeState>) {
        self.slot().take_if(|running| running.state.same_channel(state));
    }

    fn slot(&self) -> MutexGuard<'_, Option<RunningChange>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
