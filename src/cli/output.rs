//! Standard output and standard error.
//!
//! A reader that goes away (`| head`) is no error: the rest of the output is dropped, and what the command changes is
//! changed all the same. `println!` would panic instead.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use super::error::CliError;

#[derive(Debug)]
pub(super) struct Output {
    /// Whether answers are printed as the node's JSON, one a line.
    pub(super) json: bool,
    failed: Mutex<Option<io::Error>>,
}

impl Output {
    pub(super) const fn new(json: bool) -> Self {
        Self { json, failed: Mutex::new(None) }
    }

    pub(super) fn line(&self, text: impl fmt::Display) {
        self.write(&format!("{text}\n"));
    }

    /// Prints an answer: its JSON where the user asked for that, else what `human` makes of it.
    pub(super) fn answer<T: Serialize>(&self, answer: &T, human: impl FnOnce(&T) -> String) {
        if self.json {
            let json = serde_json::to_string(answer).expect("the wire types have string keys only");
            self.line(json);
        } else {
            self.write(&human(answer));
        }
    }

    /// Nobody reads any more: a command that only shows something may end.
    pub(super) fn is_closed(&self) -> bool {
        self.failed().is_some()
    }

    /// A line for the person at the terminal, on standard error.
    pub(super) fn note(text: impl fmt::Display) {
        // There is nowhere left to report that standard error is gone.
        let _ = writeln!(io::stderr(), "{text}");
    }

    /// # Errors
    /// When output was lost for another reason than that nobody wanted it.
    pub(super) fn finish(&self) -> Result<(), CliError> {
        match self.failed().take() {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(CliError::local("cannot write the output", &error))
            }
            _ => Ok(()),
        }
    }

    fn write(&self, text: &str) {
        let mut failed = self.failed();
        if failed.is_some() {
            return;
        }
        let mut stdout = io::stdout().lock();
        if let Err(error) = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            *failed = Some(error);
        }
    }

    fn failed(&self) -> std::sync::MutexGuard<'_, Option<io::Error>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
