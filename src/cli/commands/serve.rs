//! `directory` and `fileserver`: the servers, from their configuration to their end.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use futures_util::future::BoxFuture;
use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::error::CliError;
use crate::clock::SharedClock;
use crate::config::{self, ConfigError, DirectoryConfig, FileServerConfig, Log, LogFormat, Test};
use crate::domain::plant;
use crate::listener::{Limits, descriptors};
use crate::monitoring::Monitoring;
use crate::protocol::join::SignedToken;
use crate::protocol::secret::ClusterSecret;
use crate::telemetry::{LogLines, start_logging};
use crate::{directory, fileserver};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The configuration file
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
    /// Set a key in place of the file and the environment, for example replication.interval=5s
    #[arg(long = "set", value_name = "KEY=VALUE")]
    flags: Vec<String>,
}

/// A server that runs.
struct Running {
    /// Ends when the server has stopped by itself, with the reason.
    stopped: BoxFuture<'static, anyhow::Error>,
    /// Lets it finish what it has in hand, and stops it.
    stop: BoxFuture<'static, anyhow::Result<()>>,
}

pub(super) async fn directory(args: Args) -> Result<(), CliError> {
    let config = DirectoryConfig::load(&args.config, config::environment(), &args.flags)
        .map_err(|error| wrong(&args.config, &error))?;
    logging(&config.log)?;
    plant(&config.test);
    descriptors::raise();
    end_on_panic_in_consensus();
    serve(start_directory(config).await).await
}

pub(super) async fn file_server(args: Args) -> Result<(), CliError> {
    let config = FileServerConfig::load(&args.config, config::environment(), &args.flags)
        .map_err(|error| wrong(&args.config, &error))?;
    logging(&config.log)?;
    plant(&config.test);
    descriptors::raise();
    serve(start_file_server(config).await).await
}

async fn start_directory(config: DirectoryConfig) -> anyhow::Result<Running> {
    let secret = ClusterSecret::read(&config.cluster.secret_file)?;
    let socket = reserve(config.node.listen, "node.listen")?;
    let peer_listener = bind(config.node.peer_listen, "node.peer_listen").await?.into_std()?;
    let monitoring = watched(config.metrics_listen(), config.metrics_token_file()).await?;
    let clock = SharedClock::system();
    let options = directory::Options { config, secret, clock, socket, peer_listener, monitoring };
    let node = directory::start(options).await?;
    let mut stopped = node.stopped();
    Ok(Running {
        stopped: Box::pin(async move {
            let message = stopped.wait_for(Option::is_some).await.ok().and_then(|message| message.clone());
            anyhow::anyhow!(message.unwrap_or_else(|| "the node ended by itself: look into its log".to_owned()))
        }),
        stop: Box::pin(async move {
            node.shutdown().await;
            Ok(())
        }),
    })
}

async fn start_file_server(config: FileServerConfig) -> anyhow::Result<Running> {
    let join_token = config.cluster.join_token_file.as_deref().map(read_token).transpose()?.flatten();
    let options = fileserver::Options {
        listener: bind(config.server.listen, "server.listen").await?,
        data_dir: config.server.data_dir.clone(),
        advertise: config.server.advertise().as_str().to_owned(),
        zone: config.server.zone.clone(),
        directory: config.cluster.directory.iter().map(|url| url.as_str().to_owned()).collect(),
        join_token,
        clock: SharedClock::system(),
        capacity: config.server.capacity,
        limits: Limits::of_file_server(&config),
        scrub: fileserver::Scrubbing { interval: config.scrub.interval, max_rate: config.scrub.max_rate },
        monitoring: watched(config.metrics_listen(), config.metrics_token_file()).await?,
    };
    let server = std::sync::Arc::new(fileserver::start(options).await?);
    let watched = server.clone();
    Ok(Running {
        stopped: Box::pin(async move {
            let outcome = watched.stopped().await;
            outcome.err().unwrap_or_else(|| anyhow::anyhow!("the file server ended by itself: look into its log"))
        }),
        stop: Box::pin(async move { server.shutdown().await }),
    })
}

/// A token that is used up may be deleted: the file server is known then.
fn read_token(file: &Path) -> anyhow::Result<Option<SignedToken>> {
    let text = match crate::local::read_secret(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read the join token {}", file.display())),
    };
    text.parse().map(Some).with_context(|| format!("{} holds no join token", file.display()))
}

/// Before anything is touched on the disk.
async fn bind(address: SocketAddr, key: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| in_use(address, key))
}

async fn watched(listen: SocketAddr, token_file: Option<&Path>) -> anyhow::Result<Monitoring> {
    Monitoring::new(bind(listen, "metrics.listen").await?, token_file)
}

/// The same for a socket that listens only later.
fn reserve(address: SocketAddr, key: &str) -> anyhow::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Connections of the process before this one may linger on the port.
    socket.set_reuseaddr(true)?;
    socket.bind(address).with_context(|| in_use(address, key))?;
    Ok(socket)
}

fn in_use(address: SocketAddr, key: &str) -> String {
    format!(
        "cannot listen on {address}: if another process has it in use, stop that one, or set {key} to another address"
    )
}

/// Runs a server until a signal ends it, or it ends by itself.
async fn serve(started: anyhow::Result<Running>) -> Result<(), CliError> {
    let running = started.map_err(|error| failed(&error))?;
    let listen = |kind| signal(kind).map_err(|error| CliError::local("cannot listen for signals", &error));
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    tokio::select! {
        reason = running.stopped => return Err(failed(&reason)),
        name = either(&mut terminate, &mut interrupt) => tracing::info!(signal = name, "stopping"),
    }
    tokio::select! {
        result = running.stop => result.map_err(|error| failed(&error)),
        // A second signal is from somebody who does not want to wait.
        _ = either(&mut terminate, &mut interrupt) => {
            Err(CliError::refused("stopped at the second signal, without finishing what was in hand"))
        }
    }
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}

/// A panic in a request ends that request. One on a thread of consensus would leave a node that answers and no longer
/// takes part: it ends the process, and the others go on.
fn end_on_panic_in_consensus() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        if std::thread::current().name().is_some_and(|name| name.starts_with("raft")) {
            std::process::abort();
        }
    }));
}

fn plant(test: &Test) {
    if let Some(bug) = test.plant {
        tracing::error!(%bug, "this process was told by `test.plant` to have a bug, for tests alone: it loses data");
        plant::set(bug);
    }
}

fn logging(log: &Log) -> Result<(), CliError> {
    let lines = match log.format {
        LogFormat::Text => LogLines::Text,
        LogFormat::Json => LogLines::Json,
    };
    start_logging(lines, &log.level).map_err(|error| CliError::usage(format!("{error:#}")))
}

fn wrong(path: &Path, error: &ConfigError) -> CliError {
    CliError::usage(format!("{} is not right:\n  {}", path.display(), error.lines().join("\n  ")))
}

/// The whole chain of causes: this is where a server's last error is told.
fn failed(error: &anyhow::Error) -> CliError {
    CliError::refused(format!("{error:#}"))
}
