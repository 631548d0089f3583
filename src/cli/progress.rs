//! How far a command is that takes long: a line on standard error now and then, where there is something new to say.
//! With `--json` there is none.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::output::Output;
use super::table::human_size;
use crate::backup::Seen;

/// Between two lines: some hundreds in an hour, for a log to hold and a person to see that it moves.
const PAUSE: Duration = Duration::from_secs(10);

pub(super) struct Progress {
    silent: bool,
    stage: Mutex<Option<Stage>>,
}

struct Stage {
    what: String,
    /// All that are to be seen; 0 where that is not known.
    files: u64,
    seen: Arc<Seen>,
}

impl Progress {
    pub(super) fn new(out: &Output) -> Arc<Self> {
        Arc::new(Self { silent: out.json, stage: Mutex::new(None) })
    }

    /// Begins a part of the work. Whoever does it counts in what it is given.
    pub(super) fn begin(&self, what: impl Into<String>, files: u64) -> Arc<Seen> {
        let seen = Arc::<Seen>::default();
        let stage = Stage { what: what.into(), files, seen: seen.clone() };
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = Some(stage);
        seen
    }

    /// Does the work, and tells meanwhile how far it is.
    pub(super) async fn beside<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        let mut said = String::new();
        loop {
            if let Ok(done) = tokio::time::timeout(PAUSE, &mut work).await {
                return done;
            }
            let now = self.sentence();
            if !self.silent && now != said {
                Output::note(&now);
                said = now;
            }
        }
    }

    fn sentence(&self) -> String {
        match &*self.stage.lock().unwrap_or_else(PoisonError::into_inner) {
            None => "waiting for the cluster".to_owned(),
            Some(Stage { what, files: 0, .. }) => what.clone(),
            Some(Stage { what, files, seen }) => {
                let (done, bytes) = (seen.files.load(Ordering::Relaxed), seen.bytes.load(Ordering::Relaxed));
                format!("{what}: {done} of {files} files, {} bytes", human_size(bytes))
            }
        }
    }
}
