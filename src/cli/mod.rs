//! The command line: one verb a file in `commands`, what they share in `session`. Standard output holds what was
//! asked for and nothing else; what went wrong goes to standard error as `error:` and `hint:`.

mod commands;
mod credentials;
mod destination;
mod error;
mod lost;
mod output;
mod password;
mod progress;
mod range;
mod remote;
mod replacement;
mod session;
mod table;
mod walk;

use std::process::ExitCode;
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches, Parser};
use tokio::signal::unix::{Signal, SignalKind, signal};

use commands::Command;
use error::{CliError, Exit};
use output::Output;
use session::{Global, Session};

/// How long a server's last tasks may take to end.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// A distributed file system whose directory has no single point of failure.
///
/// A file in the cluster is written PATH for your own tree, OWNER:/PATH for somebody else's, or id:N by its number.
#[derive(Debug, Parser)]
#[command(
    name = "ringmaster",
    version,
    propagate_version = false,
    after_help = "Exit codes: 0 done, 1 refused, 2 wrong usage, 3 no answer, or none that tells whether it was done."
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Runs the command of this process's arguments.
pub fn main() -> ExitCode {
    // Wrong usage and --help end the process here, with 2 and 0.
    let matches = Cli::command().get_matches();
    let mut cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    cli.global.urls_named = matches.value_source("urls") == Some(ValueSource::CommandLine);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&CliError::local("cannot start", &error)),
    };
    let is_server = cli.command.is_server();
    let result = runtime.block_on(run(cli));
    if is_server {
        // Tasks that are still there hold the databases open, and RocksDB must not be closing while the process exits: it
        // locks a mutex that C++ has destroyed by then, and aborts.
        runtime.shutdown_timeout(END_TIMEOUT);
    } else {
        // A read of standard input cannot be called off, and is not waited for.
        runtime.shutdown_background();
    }
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

async fn run(cli: Cli) -> Result<(), CliError> {
    let session = Session::new(cli.global);
    if cli.command.is_server() {
        return cli.command.run(&session).await;
    }
    // Heard from here on, before anything is begun that would be left behind.
    let mut signals = Signals::hear();
    tokio::select! {
        result = cli.command.run(&session) => result.and_then(|()| session.out.finish()),
        // Whatever was begun is dropped, and so removes its temporary files.
        exit = signals.next() => {
            password::restore_terminal();
            session.take_leave().await;
            Err(CliError::new(exit, "interrupted: what was sent last may have been done"))
        }
    }
}

/// What somebody, or what runs this command, wants it to end by. Nothing of a signal that cannot be heard.
struct Signals {
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
}

impl Signals {
    fn hear() -> Self {
        Self { interrupt: signal(SignalKind::interrupt()).ok(), terminate: signal(SignalKind::terminate()).ok() }
    }

    async fn next(&mut self) -> Exit {
        tokio::select! {
            () = one(&mut self.interrupt) => Exit::Interrupted,
            () = one(&mut self.terminate) => Exit::Terminated,
        }
    }
}

async fn one(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

fn failed(error: &CliError) -> ExitCode {
    Output::note(error);
    ExitCode::from(error.exit.code())
}

#[cfg(test)]
mod tests;
