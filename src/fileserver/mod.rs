//! A file server: a store of blobs behind HTTP, and a member of a cluster.
//!
//! Nothing here knows about users, files or their names: a blob is an id and bytes, and every call is allowed by a
//! capability that a directory node signed.

mod calls;
mod check;
mod damage;
mod disk_watch;
mod http;
mod identity;
mod inventory;
mod joining;
mod membership;
mod metrics;
mod pace;
mod report;
mod scrub;
mod store;
mod transfer;
mod view;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use futures_util::future::BoxFuture;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use self::calls::Calls;
use self::damage::report_damage;
use self::identity::Identity;
use self::inventory::Inventory;
use self::joining::Joining;
use self::membership::Membership;
use self::metrics::Metrics;
use self::report::Reporter;
use self::scrub::Scrubber;
pub use self::scrub::Scrubbing;
use self::store::Store;
use self::view::View;
use crate::client::blobs::http::HttpBlobs;
use crate::clock::SharedClock;
use crate::domain::{Epoch, ServerId};
use crate::listener::{self, Counts, Gate, Limits, Port};
use crate::monitoring::{Monitoring, Page};
use crate::protocol::join::SignedToken;

/// What is under way at a shutdown may take that long to finish.
const GRACE: Duration = Duration::from_secs(10);

/// What a file server is started with.
pub struct Options {
    /// Where it listens, bound already.
    pub listener: TcpListener,
    pub data_dir: PathBuf,
    /// Its URL as directory nodes and other file servers reach it.
    pub advertise: String,
    pub zone: String,
    /// The URLs of directory nodes; it learns of further ones from them.
    pub directory: Vec<String>,
    /// For a server whose key the cluster does not know yet.
    pub join_token: Option<SignedToken>,
    pub clock: SharedClock,
    /// The most bytes that it is to hold; the size of the file system where it is not given.
    pub capacity: Option<u64>,
    pub scrub: Scrubbing,
    /// How many connections it holds, and for how long.
    pub limits: Limits,
    pub monitoring: Monitoring,
}

/// A running file server. Dropping it stops it, without waiting for the end.
#[derive(Debug)]
pub struct FileServer {
    view: watch::Receiver<View>,
    stop: CancellationToken,
    outcome: watch::Receiver<Option<Result<(), Arc<anyhow::Error>>>>,
    monitored_at: SocketAddr,
}

/// Starts a file server. It serves at once what it holds, and asks in the background to be admitted.
///
/// # Errors
/// When the data directory is in use, belongs to somebody else, or cannot be read or written; when the options name
/// no directory node.
pub async fn start(options: Options) -> anyhow::Result<FileServer> {
    let Options {
        listener,
        data_dir,
        advertise,
        zone,
        directory,
        join_token,
        clock,
        capacity,
        scrub,
        limits,
        monitoring,
    } = options;
    if directory.is_empty() {
        bail!("no directory node is named: set `cluster.directory` to the URLs of at least one");
    }
    let advertise = advertise.trim_end_matches('/').to_owned();
    let metrics = Arc::new(Metrics::default());
    let opening = {
        let clock = clock.clone();
        let metrics = Arc::clone(&metrics);
        move || -> anyhow::Result<(Identity, Joining, Arc<Store>, Scrubber)> {
            let identity = Identity::open(&data_dir, &clock)?;
            let joining = Joining::open(&data_dir, identity.uuid(), identity.bound().is_some(), join_token, &clock)?;
            let store = Store::open(&data_dir, capacity, clock.clone())
                .with_context(|| format!("cannot open the blob store in {}", data_dir.display()))?;
            let scrubber = Scrubber::open(&data_dir, Arc::clone(&store), metrics, clock, scrub);
            Ok((identity, joining, store, scrubber))
        }
    };
    let (identity, joining, store, scrubber) = tokio::task::spawn_blocking(opening).await??;
    let uuid = identity.uuid();
    let joining = Arc::new(joining);
    let calls = Calls::new(joining.credentials.clone());
    let known = (calls.clone(), clock.clone());
    let member = (advertise.clone(), zone);
    let (membership, view) =
        Membership::new(identity, Arc::clone(&store), Arc::clone(&metrics), known, member, &directory)?;
    let cluster_id = {
        let view = view.clone();
        move || view.borrow().bound.map(|(cluster_id, _)| cluster_id)
    };
    let inventory = Inventory::new(
        Arc::clone(&store),
        Arc::clone(&metrics),
        clock.clone(),
        Reporter::new("the inventory", calls.clone(), view.clone()),
    );
    let damage = report_damage(
        Arc::clone(&store),
        Arc::clone(&metrics),
        clock.clone(),
        Reporter::new("a report of damage", calls.clone(), view.clone()),
    );
    let watching = disk_watch::run(Arc::clone(&store));
    let reporting = async move {
        tokio::join!(inventory.run(), damage, watching);
    };
    let connections = Counts::default();
    let context = Arc::new(http::Context {
        store: Arc::clone(&store),
        view: view.clone(),
        peers: HttpBlobs::new(joining.credentials.clone(), None, cluster_id, clock.clone()),
        joining: joining.clone(),
        clock,
        scrub: scrubber.demand(),
        checks: Semaphore::new(http::MAX_CHECKS),
        advertise,
        pause: limits.pause,
        registry: metrics.registry(&connections),
        metrics,
    });
    let gate = Gate::new("blobs", limits, connections.clone());
    let stop = CancellationToken::new();
    let monitored_at = monitoring.address()?;
    let page: Page = {
        let context = Arc::clone(&context);
        Box::new(move || {
            let context = Arc::clone(&context);
            Box::pin(async move { http::metrics_page(&context).await })
        })
    };
    tokio::spawn(monitoring.serve(connections, page, stop.clone()));
    let (report, outcome) = watch::channel(None);
    let certified = Arc::clone(&joining).run(uuid, calls, view.clone());
    let background =
        Background { joining, certified: Box::pin(certified), membership, scrubber, reporting: Box::pin(reporting) };
    tokio::spawn(supervise((listener, gate), context, background, store, stop.clone(), report));
    Ok(FileServer { view, stop, outcome, monitored_at })
}

/// What goes on beside the serving of requests.
struct Background {
    joining: Arc<Joining>,
    /// Ends only by a refusal.
    certified: BoxFuture<'static, anyhow::Result<()>>,
    membership: Membership,
    scrubber: Scrubber,
    /// Ends only by being dropped.
    reporting: BoxFuture<'static, ()>,
}

/// Runs the parts until one fails or all are stopped. The data directory stays locked until the last request is done.
async fn supervise(
    (listener, gate): (TcpListener, Gate),
    context: Arc<http::Context>,
    background: Background,
    store: Arc<Store>,
    stop: CancellationToken,
    report: watch::Sender<Option<Result<(), Arc<anyhow::Error>>>>,
) {
    let _stop_when_dropped = stop.clone().drop_guard();
    let Background { joining, certified, membership, scrubber, reporting } = background;
    let identity = membership.identity();
    let counting = {
        let stop = stop.clone();
        tokio::task::spawn_blocking(move || store.count(|| stop.is_cancelled()))
    };
    let counting = async {
        match counting.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the blobs could not be counted: the totals stay too low"),
            Err(error) => tracing::error!(%error, "the blobs could not be counted: the totals stay too low"),
        }
    };
    let service = TowerToHyperService::new(http::router(context));
    let handshake = joining.handshake();
    let serving = async {
        match handshake {
            Ok(handshake) => {
                listener::serve(Port { listener, gate, handshake: Some(handshake) }, service, stop.clone(), GRACE)
                    .await;
            }
            Err(error) => tracing::error!(error = format!("{error:#}"), "this file server cannot serve"),
        }
    };
    let joining = async {
        let member = async {
            tokio::select! {
                () = joining.joined() => membership.run(stop.clone()).await,
                () = stop.cancelled() => Ok(()),
            }
        };
        let joined = tokio::select! {
            joined = member => joined,
            refused = certified => refused,
        };
        stop.cancel();
        joined
    };
    let reporting = async {
        tokio::select! {
            () = reporting => {}
            () = stop.cancelled() => {}
        }
    };
    let scrubbing = scrubber.run(stop.clone());
    let ((), (), (), (), joined) = tokio::join!(counting, serving, reporting, scrubbing, joining);
    drop(identity);
    // Nobody may be left to hear it.
    let _ = report.send(Some(joined.map_err(Arc::new)));
}

impl FileServer {
    /// Nothing before the first admission of this data directory.
    pub fn server_id(&self) -> Option<ServerId> {
        self.view.borrow().bound.map(|(_, server_id)| server_id)
    }

    /// Where it tells its metrics.
    pub const fn monitored_at(&self) -> SocketAddr {
        self.monitored_at
    }

    /// Nothing until this process was admitted.
    pub fn epoch(&self) -> Option<Epoch> {
        self.view.borrow().epoch
    }

    /// Waits until it is admitted.
    ///
    /// # Errors
    /// When it stops before that.
    pub async fn admitted(&self) -> anyhow::Result<(ServerId, Epoch)> {
        let mut view = self.view.clone();
        let seen = view.wait_for(|view| view.bound.is_some() && view.epoch.is_some()).await;
        let own = seen.ok().and_then(|view| Some((view.bound?.1, view.epoch?)));
        match own {
            Some(own) => Ok(own),
            None => {
                self.stopped().await?;
                bail!("the file server was stopped before it was admitted")
            }
        }
    }

    /// Waits until it has stopped: by [`Self::shutdown`], or by itself, with the reason as an error.
    ///
    /// # Errors
    /// Why it cannot go on.
    pub async fn stopped(&self) -> anyhow::Result<()> {
        let mut outcome = self.outcome.clone();
        let ended = outcome.wait_for(Option::is_some).await.map_err(|_| anyhow!("the file server was cut off"))?;
        match ended.as_ref() {
            Some(Err(error)) => Err(anyhow!("{error:#}")),
            _ => Ok(()),
        }
    }

    /// Takes no new requests, lets the running ones finish for a few seconds, and frees the data directory.
    ///
    /// # Errors
    /// As [`Self::stopped`].
    pub async fn shutdown(&self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.stopped().await
    }
}

impl Drop for FileServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
