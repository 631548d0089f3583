//! The certificate that a node shows users, exchanged while it serves.
//!
//! The files are looked at every second, and read again when they have changed and stayed so for a second: who renews a
//! certificate writes two files, one after the other. SIGHUP has them read at once. A pair that cannot be used, or that has
//! run out already, changes nothing but the log and a metric. Connections that are there go on with what they began with.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

use crate::clock::SharedClock;
use crate::listener::Handshake;
use crate::telemetry::{Counter, Metrics};
use crate::trust::Pair;

const LOOK: Duration = Duration::from_secs(1);
const DAY_MS: i64 = 24 * 3600 * 1000;

/// What can be told of a file without reading it. It is another one when any of it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Trace {
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

/// The certificate of a node. The looking ends when this is dropped.
pub(super) struct UsersCertificate {
    kept: Arc<Kept>,
    looking: JoinHandle<()>,
}

struct Kept {
    certificate: PathBuf,
    key: PathBuf,
    clock: SharedClock,
    shown: RwLock<Pair>,
    /// The files hold what cannot be used.
    refused: AtomicBool,
    exchanged: Counter,
}

impl UsersCertificate {
    /// # Errors
    /// When the files hold no pair that can be used: with what to do.
    pub(super) fn start(
        certificate: PathBuf,
        key: PathBuf,
        clock: SharedClock,
        metrics: &Metrics,
    ) -> anyhow::Result<Self> {
        let traces = Kept::traces(&certificate, &key);
        let pair = Pair::read(&certificate, &key)?;
        let hang_up = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
        let exchanged = metrics
            .counter("ringmaster_tls_certificate_reloads_total", "Times that another certificate was taken for users");
        let kept =
            Arc::new(Kept { certificate, key, clock, shown: RwLock::new(pair), refused: false.into(), exchanged });
        let days = Arc::clone(&kept);
        metrics.observe_gauge(
            "ringmaster_tls_certificate_days",
            "Whole days until the certificate for users runs out; below 0 once it has",
            move || days.days_left().unwrap_or(i64::MAX),
        );
        let refused = Arc::clone(&kept);
        metrics.observe_gauge(
            "ringmaster_tls_certificate_refused",
            "1 while the files of the certificate hold what cannot be used, and the one before is shown",
            move || i64::from(refused.refused.load(Ordering::Relaxed)),
        );
        if kept.days_left().is_some_and(|days| days < 0) {
            tracing::error!("the certificate for users has run out: renew it, clients refuse it");
        }
        let looking = tokio::spawn(look(Arc::clone(&kept), traces, hang_up));
        Ok(Self { kept, looking })
    }

    /// Each handshake shows what is kept by then.
    pub(super) fn handshake(&self) -> Handshake {
        let kept = Arc::clone(&self.kept);
        Arc::new(move || Arc::clone(&kept.shown().config))
    }
}

impl Drop for UsersCertificate {
    fn drop(&mut self) {
        self.looking.abort();
    }
}

async fn look(kept: Arc<Kept>, mut read: Option<[Trace; 2]>, mut hang_up: tokio::signal::unix::Signal) {
    let mut before = read;
    loop {
        let asked = tokio::select! {
            asked = hang_up.recv() => asked.is_some(),
            () = tokio::time::sleep(LOOK) => false,
        };
        let now = Kept::traces(&kept.certificate, &kept.key);
        let settled = now == before && now != read;
        before = now;
        if asked || settled {
            read = now;
            let reading = Arc::clone(&kept);
            // A disk may be slow.
            if tokio::task::spawn_blocking(move || reading.exchange()).await.is_err() {
                tracing::error!("the reading of the certificate broke: this is a bug");
            }
        }
    }
}

impl Kept {
    /// Nothing where one is not there.
    fn traces(certificate: &PathBuf, key: &PathBuf) -> Option<[Trace; 2]> {
        let trace = |path: &PathBuf| {
            let found = std::fs::metadata(path).ok()?;
            Some(Trace { inode: found.ino(), size: found.size(), changed: (found.ctime(), found.ctime_nsec()) })
        };
        Some([trace(certificate)?, trace(key)?])
    }

    fn shown(&self) -> std::sync::RwLockReadGuard<'_, Pair> {
        self.shown.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn days_left(&self) -> Option<i64> {
        days(self.shown().ends_ms?, self.clock.agreed_ms())
    }

    fn exchange(&self) {
        match self.read() {
            Ok(pair) => {
                let days = pair.ends_ms.and_then(|ends| days(ends, self.clock.agreed_ms()));
                *self.shown.write().unwrap_or_else(PoisonError::into_inner) = pair;
                self.refused.store(false, Ordering::Relaxed);
                self.exchanged.inc();
                tracing::info!(days, "another certificate is shown to users from now on");
            }
            Err(error) => {
                self.refused.store(true, Ordering::Relaxed);
                tracing::error!(
                    error = format!("{error:#}"),
                    "the new certificate for users cannot be used, the one before is still shown: mend the files"
                );
            }
        }
    }

    fn read(&self) -> anyhow::Result<Pair> {
        let pair = Pair::read(&self.certificate, &self.key)?;
        let runs_out = pair.ends_ms.unwrap_or(u64::MAX);
        if runs_out <= self.clock.agreed_ms() && self.shown().ends_ms.unwrap_or(u64::MAX) > runs_out {
            bail!("the certificate in {} has run out already: put one there that has not", self.certificate.display());
        }
        Ok(pair)
    }
}

/// Rounded down, also below 0.
fn days(ends_ms: u64, now_ms: u64) -> Option<i64> {
    Some((i64::try_from(ends_ms).ok()? - i64::try_from(now_ms).ok()?).div_euclid(DAY_MS))
}
