//! Walks over all extents: a window is in the works until each of its extents is done, and then the walk advances.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::plan::Window;
use crate::domain::rows::SweepKind;
use crate::domain::terms::MAX_COPIES_LISTED;
use crate::domain::{Command, ExtentAt, command};

/// The windows that are in the works, at most one for each walk.
#[derive(Debug, Default)]
pub(super) struct Walks {
    windows: BTreeMap<SweepKind, Open>,
}

#[derive(Debug)]
struct Open {
    window: Window,
    left: BTreeSet<ExtentAt>,
    failed: Vec<ExtentAt>,
}

impl Walks {
    pub(super) fn kinds(&self) -> BTreeSet<SweepKind> {
        self.windows.keys().copied().collect()
    }

    pub(super) fn open(&mut self, mut window: Window) {
        let left = window.extents.iter().map(|candidate| candidate.at).collect();
        let failed = std::mem::take(&mut window.owed);
        self.windows.insert(window.kind, Open { window, left, failed });
    }

    /// An extent of some window is done, or could not be.
    pub(super) fn extent_done(&mut self, at: ExtentAt, mended: bool) {
        for open in self.windows.values_mut() {
            if open.left.remove(&at) && !mended {
                open.failed.push(at);
            }
        }
    }

    /// Takes out the windows of which nothing is left, as the commands that enter them.
    pub(super) fn finished(&mut self) -> Vec<Command> {
        let done: Vec<SweepKind> =
            self.windows.iter().filter(|(_, open)| open.left.is_empty()).map(|(kind, _)| *kind).collect();
        done.into_iter().filter_map(|kind| Some(self.windows.remove(&kind)?.advance())).collect()
    }
}

impl Open {
    fn advance(self) -> Command {
        let Window { kind, since, through, done, short, .. } = self.window;
        let mut owed = self.failed;
        // A file that was not moved for the sake of balance is owed nothing; the walk need not begin again at once.
        let short = short || (kind == SweepKind::Balance && !owed.is_empty());
        if kind == SweepKind::Balance {
            owed.clear();
        }
        // A window has no more files than that; if it had, the next walk would find the others.
        owed.truncate(MAX_COPIES_LISTED);
        Command::AdvanceSweep(command::AdvanceSweep { kind, since, through, done, short, owed })
    }
}
