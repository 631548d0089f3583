//! How many files and connections this process may have open.

use anyhow::Context;

/// What a login shell has: taken where nobody can say.
const USUAL: u64 = 1024;

/// Raises the limit as far as the machine allows, and says in the log what it is worth. To be called once, at the start,
/// before anything is opened that goes by it.
pub fn raise() -> u64 {
    let raised = rlimit::getrlimit(rlimit::Resource::NOFILE).context("cannot be read").and_then(|(soft, hard)| {
        if soft < hard {
            rlimit::setrlimit(rlimit::Resource::NOFILE, hard, hard).context("cannot be raised")?;
        }
        Ok((soft, hard))
    });
    match raised {
        Ok((before, allowed)) => tracing::info!(allowed, before, "files and connections that may be open at once"),
        Err(error) => tracing::warn!(error = format!("{error:#}"), "the limit of open files stays as it is"),
    }
    allowed()
}

/// What the limit is now.
pub fn allowed() -> u64 {
    rlimit::getrlimit(rlimit::Resource::NOFILE).map_or(USUAL, |(soft, _)| soft)
}
