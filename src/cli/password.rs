//! Where a password comes from: an option, standard input, the environment, or the terminal.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;

use super::error::CliError;

const PASSWORD_VARIABLE: &str = "RINGMASTER_PASSWORD";
const OLD_PASSWORD_VARIABLE: &str = "RINGMASTER_OLD_PASSWORD";
/// More than any password; a longer standard input is a mistake.
const MAX_PASSWORD_BYTES: u64 = 4096;

#[derive(Debug, Args)]
pub(super) struct PasswordArgs {
    /// Read the password from the first line of standard input
    #[arg(long, conflicts_with = "password")]
    password_stdin: bool,

    /// The password itself; others on this machine may see it in the list of processes.
    ///
    /// Without this, it is taken from --password-stdin, from RINGMASTER_PASSWORD, or asked for at the terminal.
    #[arg(long, value_name = "PASSWORD")]
    password: Option<String>,
}

impl PasswordArgs {
    /// `twice` asks at the terminal a second time, for a password that is new.
    pub(super) async fn password(self, twice: bool) -> Result<String, CliError> {
        if let Some(password) = self.password {
            return Ok(password);
        }
        if !self.password_stdin
            && let Ok(password) = std::env::var(PASSWORD_VARIABLE)
        {
            return Ok(password);
        }
        let reading =
            tokio::task::spawn_blocking(
                move || {
                    if self.password_stdin { first_line(io::stdin().lock()) } else { ask(twice) }
                },
            );
        reading.await.expect("reading a password does not panic, and nobody aborts it")
    }

    /// The password that holds until now.
    pub(super) async fn old() -> Result<String, CliError> {
        if let Ok(password) = std::env::var(OLD_PASSWORD_VARIABLE) {
            return Ok(password);
        }
        let reading = tokio::task::spawn_blocking(|| ask_as("The old password", false));
        reading.await.expect("reading a password does not panic, and nobody aborts it")
    }
}

fn first_line(reader: impl Read) -> Result<String, CliError> {
    let mut line = String::new();
    BufReader::new(reader.take(MAX_PASSWORD_BYTES))
        .read_line(&mut line)
        .map_err(|error| CliError::local("cannot read the password", &error))?;
    let password = line.strip_suffix('\n').unwrap_or(&line);
    let password = password.strip_suffix('\r').unwrap_or(password);
    if password.is_empty() { Err(CliError::usage("the password is empty")) } else { Ok(password.to_owned()) }
}

fn ask(twice: bool) -> Result<String, CliError> {
    ask_as("Password", twice)
}

fn ask_as(what: &str, twice: bool) -> Result<String, CliError> {
    let no_terminal = |_| {
        CliError::usage("there is no terminal to ask for the password at")
            .hint("use --password-stdin, or put it into RINGMASTER_PASSWORD")
    };
    let mut terminal = File::options().read(true).write(true).open("/dev/tty").map_err(no_terminal)?;
    let silence = Silence::new();
    let mut prompt = |text: &str| -> Result<String, CliError> {
        let warning = if silence.is_some() { "" } else { " (it will be shown)" };
        write!(terminal, "{text}{warning}: ").map_err(|error| CliError::local("cannot ask", &error))?;
        let password = first_line(&terminal);
        if silence.is_some() {
            // The user's own line break was not shown either.
            let _ = writeln!(terminal);
        }
        password
    };
    let password = prompt(what)?;
    if twice && prompt("Once more")? != password {
        return Err(CliError::usage("the two passwords differ"));
    }
    Ok(password)
}

/// While it lives, the terminal does not show what is typed. `stty` does it, so that no code here has to.
struct Silence;

/// Whether one lives: an interrupt leaves the prompt waiting in its own thread, where it is never dropped.
static SILENT: AtomicBool = AtomicBool::new(false);

impl Silence {
    /// Nothing where `stty` cannot do it.
    fn new() -> Option<Self> {
        SILENT.store(true, Ordering::SeqCst);
        let silent = stty("-echo");
        SILENT.store(silent, Ordering::SeqCst);
        silent.then_some(Self)
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        restore_terminal();
    }
}

/// Shows again what is typed, where a prompt had hidden it.
pub(super) fn restore_terminal() {
    if SILENT.swap(false, Ordering::SeqCst) {
        stty("echo");
    }
}

fn stty(argument: &str) -> bool {
    let Ok(terminal) = File::open("/dev/tty") else { return false };
    let status =
        Command::new("stty").arg(argument).stdin(terminal).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
