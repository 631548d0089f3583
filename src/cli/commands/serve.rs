//! `ringmaster directory` and `ringmaster fileserver`: the two kinds of process.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use crate::clock::SharedClock;
use crate::config::{DirectoryConfig, FileServerConfig, Log, LogFormat, environment};
use crate::protocol::secret::ClusterSecret;
use crate::telemetry::{LogLines, start_logging};
use crate::{directory, fileserver};

/// Runs a directory node until a signal ends it, or until it must end by itself.
///
/// # Errors
/// When it cannot start, or had to end by itself. The message says what to do.
pub fn directory(config: &Path, flags: &[String]) -> anyhow::Result<ExitCode> {
    let config = DirectoryConfig::load(config, environment(), flags)?;
    log(&config.log)?;
    end_on_panic_in_consensus();
    let secret = ClusterSecret::read(&config.cluster.secret_file)?;
    let listener = bind(config.node.listen, "node.listen")?;
    let peer_listener = bind(config.node.peer_listen, "node.peer_listen")?;
    runtime()?.block_on(async {
        let clock = SharedClock::system();
        let node = directory::start(directory::Options { config, secret, clock, listener, peer_listener }).await?;
        let mut stopped = node.stopped();
        tokio::select! {
            signal = ended_by_signal() => {
                tracing::info!(signal = signal?, "stopping");
                node.shutdown().await;
                Ok(ExitCode::SUCCESS)
            }
            message = async {
                match stopped.wait_for(Option::is_some).await {
                    Ok(message) => message.clone().unwrap_or_default(),
                    Err(_) => "the node ended".to_owned(),
                }
            } => anyhow::bail!(message),
        }
    })
}

/// Runs a file server until a signal ends it, or until it must end by itself.
///
/// # Errors
/// When it cannot start, or had to end by itself. The message says what to do.
pub fn fileserver(config: &Path, flags: &[String]) -> anyhow::Result<ExitCode> {
    let config = FileServerConfig::load(config, environment(), flags)?;
    log(&config.log)?;
    let secret = ClusterSecret::read(&config.cluster.secret_file)?;
    let listener = bind(config.server.listen, "server.listen")?;
    runtime()?.block_on(async {
        listener.set_nonblocking(true)?;
        let options = fileserver::Options {
            listener: tokio::net::TcpListener::from_std(listener)?,
            data_dir: config.server.data_dir.clone(),
            advertise: config.server.advertise().as_str().to_owned(),
            zone: config.server.zone.clone(),
            directory: config.cluster.directory.iter().map(|url| url.as_str().to_owned()).collect(),
            secret,
            clock: SharedClock::system(),
            capacity: config.server.capacity,
        };
        let server = fileserver::start(options).await?;
        tokio::select! {
            signal = ended_by_signal() => {
                tracing::info!(signal = signal?, "stopping");
                server.shutdown().await?;
                Ok(ExitCode::SUCCESS)
            }
            outcome = server.stopped() => {
                outcome?;
                anyhow::bail!("the file server ended by itself: look into its log and start it again")
            }
        }
    })
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

fn log(settings: &Log) -> anyhow::Result<()> {
    let lines = match settings.format {
        LogFormat::Text => LogLines::Text,
        LogFormat::Json => LogLines::Json,
    };
    start_logging(lines, &settings.level)
}

/// Before anything is touched on the disk.
fn bind(address: SocketAddr, key: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).with_context(|| {
        format!("cannot listen on {address}: if another process has it in use, stop that one or set {key} to another address")
    })
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")
}

async fn ended_by_signal() -> anyhow::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}
