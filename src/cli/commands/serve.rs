//! `directory` and `fileserver`: the servers, from their configuration to their end.

use std::path::{Path, PathBuf};

use futures_util::future::BoxFuture;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::error::CliError;
use crate::config::{self, ConfigError, DirectoryConfig, FileServerConfig, Log, LogFormat};
use crate::telemetry::{LogLines, start_logging};

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
    stop: Box<dyn FnOnce() -> BoxFuture<'static, anyhow::Result<()>> + Send>,
}

pub(super) async fn directory(args: Args) -> Result<(), CliError> {
    let config = DirectoryConfig::load(&args.config, config::environment(), &args.flags)
        .map_err(|error| wrong(&args.config, &error))?;
    logging(&config.log)?;
    serve(start_directory(config).await).await
}

pub(super) async fn file_server(args: Args) -> Result<(), CliError> {
    let config = FileServerConfig::load(&args.config, config::environment(), &args.flags)
        .map_err(|error| wrong(&args.config, &error))?;
    logging(&config.log)?;
    serve(start_file_server(config).await).await
}

async fn start_directory(config: DirectoryConfig) -> anyhow::Result<Running> {
    anyhow::bail!("this build has no directory node yet, node {} was not started", config.node.node_id())
}

async fn start_file_server(config: FileServerConfig) -> anyhow::Result<Running> {
    anyhow::bail!("this build has no file server yet, {} was not started", config.server.advertise())
}

/// Runs a server until a signal ends it, or it ends by itself.
async fn serve(started: anyhow::Result<Running>) -> Result<(), CliError> {
    let running = started.map_err(|error| failed(&error))?;
    let listen = |kind| signal(kind).map_err(|error| CliError::local("cannot listen for signals", &error));
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    tokio::select! {
        reason = running.stopped => return Err(failed(&reason)),
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tokio::select! {
        result = (running.stop)() => result.map_err(|error| failed(&error)),
        // A second signal is from somebody who does not want to wait.
        _ = terminate.recv() => Err(CliError::refused("stopped at the second signal, without finishing what was in hand")),
        _ = interrupt.recv() => Err(CliError::refused("stopped at the second signal, without finishing what was in hand")),
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
