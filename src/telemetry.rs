//! Log lines on standard error and metrics in Prometheus' text format.

use std::collections::BTreeSet;
use std::fmt;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::{Context, anyhow};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use tracing_subscriber::EnvFilter;

pub use prometheus_client::encoding::EncodeLabelSet;
pub use prometheus_client::metrics::counter::Counter;
pub use prometheus_client::metrics::family::Family;
pub use prometheus_client::metrics::gauge::Gauge;
pub use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

/// Overrides the configured filter of log lines.
pub const LOG_VARIABLE: &str = "RINGMASTER_LOG";

/// The media type of [`Metrics::encode`].
pub const METRICS_MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLines {
    /// For people; coloured on a terminal.
    Text,
    /// One JSON object a line, the fields of an event beside its message.
    Json,
}

/// Sends log lines that pass `filter` to standard error; [`LOG_VARIABLE`] takes the place of `filter` where it is set.
///
/// # Errors
/// When the filter is not valid, or logging was started before in this process.
pub fn start_logging(lines: LogLines, filter: &str) -> anyhow::Result<()> {
    let from_environment = std::env::var(LOG_VARIABLE).ok().filter(|text| !text.is_empty());
    let (text, from) = match &from_environment {
        Some(text) => (text.as_str(), LOG_VARIABLE),
        None => (filter, "log.level"),
    };
    let filter = EnvFilter::builder().parse(quieted(text)).with_context(|| {
        format!(
            "{from} is \"{text}\": use error, warn, info, debug or trace, or a filter such as info,ringmaster=debug"
        )
    })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match lines {
        LogLines::Text => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogLines::Json => builder.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init(),
    }
    .map_err(|error| anyhow!("cannot start logging: {error}"))
}

/// Openraft tells of each step at `info`, which would bury everything else. A filter that names it itself is kept.
fn quieted(filter: &str) -> String {
    if filter.contains("openraft") { filter.to_owned() } else { format!("openraft=warn,{filter}") }
}

/// The metrics of this process. Cheap to clone; every clone registers into the same set.
///
/// Names are given in full, as they are scraped: a counter's ends in `_total`, which the encoder would otherwise
/// append a second time.
#[derive(Clone)]
pub struct Metrics(Arc<Mutex<Registered>>);

struct Registered {
    registry: Registry,
    names: BTreeSet<String>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Metrics").field(&self.lock().names).finish()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// A set that holds the memory and the uptime of this process.
    pub fn new() -> Self {
        let metrics = Self(Arc::new(Mutex::new(Registered { registry: Registry::default(), names: BTreeSet::new() })));
        let started = Instant::now();
        metrics.observe_gauge("ringmaster_uptime_seconds", "Seconds since the process started", move || {
            i64::try_from(started.elapsed().as_secs()).unwrap_or(i64::MAX)
        });
        metrics.observe_gauge("process_resident_memory_bytes", "Resident memory", || status_bytes("VmRSS:"));
        metrics.observe_gauge("process_resident_memory_max_bytes", "Largest resident memory so far", || {
            status_bytes("VmHWM:")
        });
        metrics
    }

    /// # Panics
    /// When the name does not end in `_total` or is registered already, as do the others below: a metric has one owner.
    pub fn counter(&self, name: &str, help: &str) -> Counter {
        let counter = Counter::default();
        let mut registered = self.claim(name);
        registered.registry.register(without_total(name), help_text(help), counter.clone());
        counter
    }

    /// Counters of one name, told apart by labels. Labels with values that clients choose would grow without bound.
    pub fn counters<L>(&self, name: &str, help: &str) -> Family<L, Counter>
    where
        L: EncodeLabelSet + Clone + Eq + std::hash::Hash + fmt::Debug + Send + Sync + 'static,
    {
        let family = Family::<L, Counter>::default();
        self.keep_counters(name, help, &family);
        family
    }

    /// The same, made by somebody else.
    pub fn keep_counters<L>(&self, name: &str, help: &str, family: &Family<L, Counter>)
    where
        L: EncodeLabelSet + Clone + Eq + std::hash::Hash + fmt::Debug + Send + Sync + 'static,
    {
        let mut registered = self.claim(name);
        registered.registry.register(without_total(name), help_text(help), family.clone());
    }

    pub fn gauge(&self, name: &str, help: &str) -> Gauge {
        let gauge = Gauge::default();
        let mut registered = self.claim(name);
        registered.registry.register(name, help_text(help), gauge.clone());
        gauge
    }

    /// Gauges of one name, as [`Self::counters`].
    pub fn gauges<L>(&self, name: &str, help: &str) -> Family<L, Gauge>
    where
        L: EncodeLabelSet + Clone + Eq + std::hash::Hash + fmt::Debug + Send + Sync + 'static,
    {
        let family = Family::<L, Gauge>::default();
        self.keep_gauges(name, help, &family);
        family
    }

    /// The same, made by somebody else.
    pub fn keep_gauges<L>(&self, name: &str, help: &str, family: &Family<L, Gauge>)
    where
        L: EncodeLabelSet + Clone + Eq + std::hash::Hash + fmt::Debug + Send + Sync + 'static,
    {
        let mut registered = self.claim(name);
        registered.registry.register(name, help_text(help), family.clone());
    }

    /// A histogram with the upper bounds `buckets`, in the unit that the name ends in.
    pub fn histogram(&self, name: &str, help: &str, buckets: impl IntoIterator<Item = f64>) -> Histogram {
        let histogram = Histogram::new(buckets);
        self.keep_histogram(name, help, &histogram);
        histogram
    }

    /// A histogram that somebody else fills.
    pub fn keep_histogram(&self, name: &str, help: &str, histogram: &Histogram) {
        self.claim(name).registry.register(name, help_text(help), histogram.clone());
    }

    /// A gauge that is read when it is scraped. `read` must neither block nor touch these metrics.
    pub fn observe_gauge(&self, name: &str, help: &str, read: impl Fn() -> i64 + Send + Sync + 'static) {
        self.observe(name, name, help, Read::Gauge(Box::new(read)));
    }

    /// A counter that somebody else keeps, read when it is scraped. `read` must neither block nor touch these metrics.
    pub fn observe_counter(&self, name: &str, help: &str, read: impl Fn() -> u64 + Send + Sync + 'static) {
        self.observe(name, without_total(name), help, Read::Counter(Box::new(read)));
    }

    /// All metrics in the OpenMetrics text format, which Prometheus reads.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.lock().registry)
            .expect("writing to a string does not fail");
        text
    }

    fn observe(&self, full: &str, encoded: &str, help: &str, read: Read) {
        let observed = Observed { name: encoded.to_owned(), help: format!("{}.", help_text(help)), read };
        self.claim(full).registry.register_collector(Box::new(observed));
    }

    fn claim(&self, name: &str) -> MutexGuard<'_, Registered> {
        let mut registered = self.lock();
        assert!(registered.names.insert(name.to_owned()), "the metric {name} is registered twice");
        registered
    }

    fn lock(&self) -> MutexGuard<'_, Registered> {
        // A panic while registering leaves the set as it was before or after: both are fine to go on with.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn without_total(name: &str) -> &str {
    name.strip_suffix("_total").unwrap_or_else(|| panic!("the counter {name} must end in _total"))
}

/// The encoder adds the full stop.
fn help_text(help: &str) -> &str {
    help.trim_end_matches('.')
}

enum Read {
    Gauge(Box<dyn Fn() -> i64 + Send + Sync>),
    Counter(Box<dyn Fn() -> u64 + Send + Sync>),
}

struct Observed {
    name: String,
    help: String,
    read: Read,
}

impl fmt::Debug for Observed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Observed").field(&self.name).finish()
    }
}

impl Collector for Observed {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        fn write<M: EncodeMetric>(encoder: &mut DescriptorEncoder<'_>, of: &Observed, metric: &M) -> fmt::Result {
            metric.encode(encoder.encode_descriptor(&of.name, &of.help, None, metric.metric_type())?)
        }
        match &self.read {
            Read::Gauge(read) => write(&mut encoder, self, &ConstGauge::new(read())),
            Read::Counter(read) => write(&mut encoder, self, &ConstCounter::new(read())),
        }
    }
}

/// What costs something to make, made for many at once: who asks while one is being made waits for the next, and
/// shares it with all others who do. So nobody gets one from before he asked, and a flood of callers costs what one does.
#[derive(Debug)]
pub(crate) struct Shared<T>(tokio::sync::Mutex<Option<(Instant, T)>>);

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self(tokio::sync::Mutex::new(None))
    }
}

impl<T: Clone> Shared<T> {
    pub(crate) async fn get(&self, make: impl Future<Output = T>) -> T {
        let asked = Instant::now();
        let mut last = self.0.lock().await;
        if let Some((begun, text)) = &*last
            && *begun >= asked
        {
            return text.clone();
        }
        let begun = Instant::now();
        let text = make.await;
        *last = Some((begun, text.clone()));
        text
    }
}

/// A line of `/proc/self/status` that gives kibibytes; 0 where there is none.
fn status_bytes(field: &str) -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kibibytes = line.and_then(|rest| rest.split_whitespace().next()?.parse::<i64>().ok());
    kibibytes.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_scraped_as_they_are_given() {
        let metrics = Metrics::new();
        let syncs = metrics.counter("ringmaster_raft_log_syncs_total", "Syncs of the log");
        syncs.inc_by(3);
        metrics.observe_counter("ringmaster_raft_commits_total", "Commits.", || 7);
        metrics.gauge("ringmaster_raft_term", "The term").set(2);
        metrics.observe_gauge("ringmaster_raft_is_leader", "1 on the leader", || 1);
        metrics
            .counters::<Vec<(String, String)>>("ringmaster_requests_total", "Requests")
            .get_or_create(&vec![("code".into(), "200".into())])
            .inc();
        metrics
            .histogram("ringmaster_sync_seconds", "Time of a sync", exponential_buckets(0.001, 2.0, 4))
            .observe(0.003);
        let text = metrics.encode();
        for line in [
            "ringmaster_raft_log_syncs_total 3",
            "ringmaster_raft_commits_total 7",
            "ringmaster_raft_term 2",
            "ringmaster_raft_is_leader 1",
            "ringmaster_requests_total{code=\"200\"} 1",
            "ringmaster_sync_seconds_count 1",
            "ringmaster_uptime_seconds 0",
            "# HELP ringmaster_raft_log_syncs Syncs of the log.",
            "# HELP ringmaster_raft_commits Commits.",
        ] {
            assert!(text.lines().any(|found| found == line), "expected {line} in\n{text}");
        }
        let memory = text.lines().find_map(|line| line.strip_prefix("process_resident_memory_bytes "));
        assert!(memory.is_some_and(|bytes| bytes.parse::<u64>().is_ok_and(|bytes| bytes > 0)), "{text}");
    }

    #[tokio::test]
    async fn who_asks_meanwhile_shares_the_next_one() {
        let (shared, made) = (Shared::default(), std::sync::atomic::AtomicU8::new(0));
        let make = || async {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            made.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
        };
        let ask = || shared.get(make());
        let got = futures_util::future::join_all((0..50).map(|_| ask())).await;
        // The first began before the others had asked.
        assert!(got[0] == 0 && got[1..].iter().all(|text| *text == 1), "{got:?}");
        assert_eq!(ask().await, 2);
    }

    #[test]
    #[should_panic(expected = "registered twice")]
    fn a_metric_has_one_owner() {
        let metrics = Metrics::new();
        metrics.gauge("ringmaster_raft_term", "The term");
        metrics.gauge("ringmaster_raft_term", "The term");
    }
}
