//! Standard input kept in a temporary file, so that an upload that breaks off can be sent again from its start.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::error::CliError;
use crate::clock::SharedClock;

/// A temporary file that goes when this does.
#[derive(Debug)]
pub(super) struct Spool {
    path: PathBuf,
}

impl Spool {
    /// Reads standard input to its end.
    pub(super) async fn stdin() -> Result<Self, CliError> {
        let name = format!("ringmaster-stdin-{:032x}", SharedClock::system().random_u128());
        let path = std::env::temp_dir().join(name);
        let error = |error: std::io::Error| {
            CliError::local(format_args!("cannot keep standard input in {}", path.display()), &error)
                .hint("set TMPDIR to a directory with enough room")
        };
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(error)?;
        let spool = Self { path: path.clone() };
        let copying = tokio::task::spawn_blocking(move || std::io::copy(&mut std::io::stdin().lock(), &mut file));
        copying.await.expect("copying does not panic, and nobody aborts it").map_err(error)?;
        Ok(spool)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        // It lies in the directory for temporary files, which is cleaned by others.
        let _ = std::fs::remove_file(&self.path);
    }
}
