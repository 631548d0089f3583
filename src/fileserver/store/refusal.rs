//! Whether the disk takes writes.
//!
//! A disk may refuse every write while all that is on it can be read: it was mounted read-only after an error, it hangs,
//! somebody took a right away. Its server lives and serves reads, and would fail each upload that is sent to it. So the
//! first write that the disk refuses, or holds up for too long, is remembered with its reason; new copies are refused at
//! once from then on, the directory is told, and the disk is tried again with a small write, at longer and longer
//! intervals. Trying at longer intervals is also for a disk that takes the small write and refuses the next copy.
//!
//! A disk that is full is none that refuses: that has an answer of its own, and ends by itself.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use tokio::sync::watch;

use super::{Store, StoreError, disk};
use crate::clock::SharedClock;
use crate::local;

/// A disk that refuses is tried again after this time, and twice as long each time that it refuses again.
const FIRST_WAIT: Duration = Duration::from_secs(2);
const LONGEST_WAIT: Duration = Duration::from_secs(120);
/// A disk that has taken everything for so long has recovered: the next refusal waits for `FIRST_WAIT` again.
const STEADY: Duration = Duration::from_secs(600);
/// A disk is also tried while nobody writes, so that it is known before somebody does.
const IDLE: Duration = Duration::from_secs(15);
/// A write that takes so long is one that the disk does not take. No sender waits longer for its receipt.
const HANGS: Duration = Duration::from_secs(10);
/// More is free than any file system keeps for itself: one that says that it is full all the same is not to be believed,
/// or it is the quota of a user.
const CERTAINLY_FREE: u64 = 16 * 1024 * 1024;
const PROBE: &str = "probe";

/// Why the disk takes no writes, in words for people that name no path. Nothing where it takes them.
pub(in crate::fileserver) type Refusal = Option<Arc<str>>;

/// What the last writes showed. Times are by the monotonic clock.
#[derive(Debug)]
pub(super) struct Refusals {
    clock: SharedClock,
    told: watch::Sender<Refusal>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    wait: Duration,
    /// When the disk is to be tried next.
    due: Duration,
    refused_at: Option<Duration>,
    /// Writes under way, by when they began.
    running: BTreeMap<(Duration, u64), ()>,
    last_number: u64,
}

/// Stands for a write that is under way.
struct Running<'a>(&'a Refusals, (Duration, u64));

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.state().running.remove(&self.1);
    }
}

impl Refusals {
    pub(super) fn new(clock: SharedClock) -> Self {
        let due = clock.monotonic();
        let state = State { wait: FIRST_WAIT, due, refused_at: None, running: BTreeMap::new(), last_number: 0 };
        Self { clock, told: watch::Sender::new(None), state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is one step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self) -> Running<'_> {
        let now = self.clock.monotonic();
        let mut state = self.state();
        state.last_number += 1;
        let key = (now, state.last_number);
        state.running.insert(key, ());
        Running(self, key)
    }

    fn refuse(&self, why: &str) {
        let now = self.clock.monotonic();
        let mut state = self.state();
        let again = state.refused_at.is_some_and(|at| now.saturating_sub(at) < STEADY);
        // Writes that were under way together fail together, and count once.
        if !again || now >= state.due {
            state.wait = if again { (state.wait * 2).min(LONGEST_WAIT) } else { FIRST_WAIT };
            state.due = now + state.wait;
        }
        state.refused_at = Some(now);
        let tried_again_in_ms = u64::try_from(state.wait.as_millis()).unwrap_or(u64::MAX);
        drop(state);
        self.told.send_if_modified(|told| {
            if told.as_deref() == Some(why) {
                return false;
            }
            tracing::error!(
                reason = why,
                tried_again_in_ms,
                "the disk takes no writes: no new copies are taken, what is there is served; check the disk (`dmesg`, `mount`)"
            );
            *told = Some(Arc::from(why));
            true
        });
    }

    fn accept(&self) {
        let mut state = self.state();
        state.due = self.clock.monotonic() + IDLE;
        drop(state);
        self.told.send_if_modified(|told| {
            let refused = told.take().is_some();
            if refused {
                tracing::info!("the disk takes writes again");
            }
            refused
        });
    }
}

impl Store {
    /// Why new copies are refused.
    pub(in crate::fileserver) fn refusal(&self) -> Refusal {
        self.refusals.told.borrow().clone()
    }

    /// Tells of each change.
    pub(in crate::fileserver) fn watch_refusal(&self) -> watch::Receiver<Refusal> {
        self.refusals.told.subscribe()
    }

    /// Runs something that writes, and remembers what it shows of the disk.
    pub(super) fn writing<T>(&self, write: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        let running = self.refusals.begin();
        let result = write();
        drop(running);
        match result {
            Err(StoreError::Io { doing, error }) if is_disks(&error) => {
                tracing::warn!(doing, %error, "a write failed");
                self.refusals.refuse(&error.to_string());
                Err(StoreError::Refused(Arc::from(error.to_string())))
            }
            result => result,
        }
    }

    /// As [`Self::writing`], for a new copy: while the disk refuses, it is not even tried.
    pub(super) fn writing_anew<T>(&self, write: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        match self.refusal() {
            Some(why) => Err(StoreError::Refused(why)),
            None => self.writing(write),
        }
    }

    /// Whether a write has been under way for too long; then the disk is one that refuses.
    pub(in crate::fileserver) fn notice_a_hang(&self) {
        self.notice_a_hang_at(self.refusals.clock.monotonic());
    }

    fn notice_a_hang_at(&self, now: Duration) {
        let first = self.refusals.state().running.first_key_value().map(|((began, _), ())| *began);
        if first.is_some_and(|began| now.saturating_sub(began) >= HANGS) {
            self.refusals.refuse(&format!("a write has not come to its end in {} s", HANGS.as_secs()));
        }
    }

    /// Whether it is time for [`Self::probe`].
    pub(in crate::fileserver) fn is_probe_due(&self) -> bool {
        self.refusals.clock.monotonic() >= self.refusals.state().due
    }

    /// The file system is mounted so that it takes none.
    pub(super) fn is_read_only(&self) {
        self.refusals.refuse(&io::Error::from(Errno::ROFS).to_string());
    }

    /// Tries whether the disk takes a small write, in both places where a copy has to go. Blocks for as long as the disk.
    pub(in crate::fileserver) fn probe(&self) {
        let running = self.refusals.begin();
        let result = self.try_to_write();
        drop(running);
        match result {
            Ok(()) => self.refusals.accept(),
            Err(error) if disk::is_full(&error) => match disk::space(&self.layout.blobs) {
                Ok(space) if space.free > CERTAINLY_FREE => {
                    self.refusals.refuse(&format!("it shows free space and says: {error}"));
                }
                // A full disk is told as one.
                _ => self.refusals.accept(),
            },
            Err(error) if is_disks(&error) => self.refusals.refuse(&error.to_string()),
            Err(error) => {
                tracing::warn!(%error, "whether the disk takes writes could not be tried");
                self.refusals.accept();
            }
        }
    }

    /// A sync that fails here loses nothing of anybody's, so the process goes on.
    fn try_to_write(&self) -> io::Result<()> {
        let (written, placed) = (self.layout.tmp.join(PROBE), self.layout.blobs.join(PROBE));
        let mut file = local::private().create(true).truncate(true).open(&written)?;
        file.write_all(PROBE.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&written, &placed)?;
        File::open(&self.layout.blobs)?.sync_all()?;
        std::fs::remove_file(&placed)
    }
}

/// Whether a failed write says something about the disk rather than about this process.
fn is_disks(error: &io::Error) -> bool {
    let own = [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::INTR, Errno::AGAIN];
    !own.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
        && !matches!(error.kind(), ErrorKind::OutOfMemory)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tempfile::TempDir;

    use super::*;
    use crate::domain::{BlobId, CopyId};
    use crate::fileserver::store::NewCopy;

    fn store(dir: &Path) -> Arc<Store> {
        Store::open(dir, None, SharedClock::system()).expect("opens")
    }

    fn begin(store: &Arc<Store>) -> Result<(), StoreError> {
        let new = NewCopy { blob_id: BlobId(7), copy_id: CopyId(1), length: None, replaces: None };
        store.begin(new).and_then(|mut writer| {
            writer.write(b"bytes")?;
            writer.commit().map(|_| ())
        })
    }

    /// `tmp` is a plain file: no right of root's passes that by.
    fn break_it(dir: &Path) {
        std::fs::remove_dir(dir.join("tmp")).expect("empty");
        std::fs::write(dir.join("tmp"), "").expect("written");
    }

    fn mend_it(dir: &Path) {
        std::fs::remove_file(dir.join("tmp")).expect("there");
        std::fs::create_dir(dir.join("tmp")).expect("made");
    }

    #[test]
    fn a_disk_that_refuses_is_remembered_until_it_takes_a_probe() {
        let dir = TempDir::new().expect("a temporary directory");
        let store = store(dir.path());
        store.probe();
        assert_eq!(store.refusal(), None);
        break_it(dir.path());
        assert!(matches!(begin(&store), Err(StoreError::Refused(_))));
        let why = store.refusal().expect("it is remembered");
        assert!(why.contains("Not a directory") && !why.contains("tmp"), "{why}");
        assert!(!store.is_probe_due(), "not at once");
        store.probe();
        assert!(store.refusal().is_some());
        mend_it(dir.path());
        assert!(matches!(begin(&store), Err(StoreError::Refused(_))), "nothing is tried before the probe");
        store.probe();
        assert_eq!(store.refusal(), None);
        begin(&store).expect("it takes copies again");
        assert!(!dir.path().join("blobs/probe").exists() && !dir.path().join("tmp/probe").exists());
    }

    #[test]
    fn a_disk_that_refuses_again_and_again_is_tried_less_and_less_often() {
        let dir = TempDir::new().expect("a temporary directory");
        let store = store(dir.path());
        let mut waits = Vec::new();
        for _ in 0..8 {
            store.refusals.state().due = Duration::ZERO;
            store.refusals.refuse("it does");
            store.refusals.refuse("it does, to another write of the same moment");
            waits.push(store.refusals.state().wait.as_secs());
            store.probe();
            assert_eq!(store.refusal(), None);
        }
        assert_eq!(waits, [2, 4, 8, 16, 32, 64, 120, 120]);
        store.refusals.state().refused_at = None;
        store.refusals.refuse("after a long time");
        assert_eq!(store.refusals.state().wait, FIRST_WAIT);
    }

    #[test]
    fn a_write_that_does_not_end_is_a_refusal() {
        let dir = TempDir::new().expect("a temporary directory");
        let store = store(dir.path());
        let running = store.refusals.begin();
        store.notice_a_hang();
        assert_eq!(store.refusal(), None);
        let late = store.refusals.clock.monotonic() + HANGS;
        store.notice_a_hang_at(late);
        assert!(store.refusal().is_some());
        drop(running);
        store.probe();
        store.notice_a_hang_at(late);
        assert_eq!(store.refusal(), None, "none is under way any more");
    }
}
