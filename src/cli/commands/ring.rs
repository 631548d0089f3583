use super::replication::{at_risk, summary};
use crate::cli::error::CliError;
use crate::cli::output::Output;
use crate::cli::session::Session;
use crate::cli::table::{Table, human_size, or_dash};
use crate::protocol::admin::{Drain, Scrubbing};
use crate::protocol::api::{Ring, ServerInfo, ServerState};

#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum Command {
    /// Show the file servers, who backs up whom, and what lacks copies
    Status,
    /// Empty a file server, so that it can be switched off
    ///
    /// It takes no new files, and its copies are moved to the others. `ring status` says when it is empty.
    Drain {
        server: u64,
        /// Take it back instead
        #[arg(long)]
        cancel: bool,
    },
    /// Forget a file server that was emptied, or is down with nothing left on it
    Remove { server: u64 },
    /// Level the file servers out: counts of files, and each file's backup at its primary's successor
    Rebalance {
        /// Stop that
        #[arg(long)]
        stop: bool,
    },
    /// Have a file server, or all of them, read and check everything that they hold
    Scrub { server: Option<u64> },
}

pub(super) async fn run(command: Command, session: &Session) -> Result<(), CliError> {
    let directory = session.directory()?;
    match command {
        Command::Status => {
            let ring = directory.ring().await?;
            if session.out.json {
                session.out.answer(&ring, |_| String::new());
            } else {
                let replication = directory.replication().await?;
                let shown = describe(&ring) + "\n" + &summary(&replication) + &at_risk(&replication.at_risk);
                session.out.answer(&ring, |_| shown);
            }
        }
        Command::Drain { server, cancel } => {
            let drained = directory.drain(&Drain { server_id: server, cancel }).await;
            session.out.answer(&drained.map_err(|error| about(server, error))?, standing);
        }
        Command::Remove { server } => {
            // The code's own hint is about directories.
            directory.remove_server(server).await.map_err(|error| about(server, error).without_hints())?;
        }
        Command::Rebalance { stop } => directory.rebalance(stop).await?,
        Command::Scrub { server } => {
            let scrubbing = directory.scrub(server).await?;
            session.out.answer(&scrubbing, begun);
            if !session.out.json {
                for failure in &scrubbing.failed {
                    Output::note(format!("file server {}: {}", failure.server_id, failure.reason));
                }
            }
            if !scrubbing.failed.is_empty() {
                let failed = scrubbing.failed.len();
                return Err(CliError::unavailable(format!("{failed} of the file servers could not be asked"))
                    .hint("look at them with: ringmaster ring status; and begin again"));
            }
        }
    }
    Ok(())
}

fn about(server: u64, error: crate::client::ClientError) -> CliError {
    CliError::from(error).about(format!("file server {server}"))
}

fn begun(scrubbing: &Scrubbing) -> String {
    match scrubbing.started.as_slice() {
        [] => "no file server is up\n".to_owned(),
        started => {
            let names: Vec<String> = started.iter().map(ToString::to_string).collect();
            format!("checking everything: file servers {}\n", names.join(", "))
        }
    }
}

fn standing(server: &ServerInfo) -> String {
    let rest = notes(server);
    let rest = if rest.is_empty() { rest } else { format!(": {rest}") };
    format!("file server {} is {}{rest}\n", server.server_id, state(server))
}

fn state(server: &ServerInfo) -> &'static str {
    match server.state {
        ServerState::Up => "up",
        ServerState::Suspect => "suspect",
        ServerState::Down => "down",
        ServerState::Draining => "draining",
    }
}

/// What is to be known of a server that is not simply in use.
fn notes(server: &ServerInfo) -> String {
    let mut notes = Vec::new();
    if let Some(since) = &server.down_since {
        notes.push(format!("down since {since}"));
    }
    if server.drained {
        notes.push("empty: safe to stop".to_owned());
    } else if server.moving > 0 && server.state == ServerState::Down {
        notes.push(format!("{} copies to make elsewhere", server.moving));
    } else if server.moving > 0 {
        notes.push(format!("{} copies to move", server.moving));
    }
    if let Some(why) = &server.held_up {
        notes.push(format!("held up: {why}"));
    }
    if let Some(checking) = &server.checking {
        let damaged = if checking.damaged > 0 { format!(", {} damaged", checking.damaged) } else { String::new() };
        notes.push(format!("checking everything: {} of {} copies{damaged}", checking.copies, checking.of));
    }
    if server.stale > 0 && server.state != ServerState::Down {
        notes.push(format!("{} copies to verify", server.stale));
    }
    if let Some(why) = &server.cannot_write {
        notes.push(format!("takes no new files: its disk takes no writes ({why})"));
    } else if server.full && server.state != ServerState::Down {
        notes.push("takes no new files: full".to_owned());
    }
    if server.leaving && server.state == ServerState::Down {
        notes.push("was being emptied".to_owned());
    }
    notes.join(", ")
}

/// In the order of the ring; servers that are not in it come last.
fn describe(ring: &Ring) -> String {
    let mut servers: Vec<_> = ring.servers.iter().collect();
    servers.sort_by_key(|server| {
        let place = ring.order.iter().position(|server_id| *server_id == server.server_id);
        (place.unwrap_or(usize::MAX), server.server_id)
    });
    let mut table = Table::with_titles(
        &[true, false, true, true, true, true, true, true],
        &["SERVER", "STATE", "EPOCH", "BACKED BY", "PRIMARIES", "BACKUPS", "USED", "CAPACITY", "ZONE", "URL", "NOTES"],
    );
    for server in servers {
        table.row(vec![
            server.server_id.to_string(),
            state(server).to_owned(),
            server.epoch.to_string(),
            or_dash(server.successor),
            server.primaries.to_string(),
            server.backups.to_string(),
            human_size(server.bytes),
            human_size(server.capacity),
            server.zone.clone(),
            server.url.clone(),
            notes(server),
        ]);
    }
    let order: Vec<String> = ring.order.iter().map(ToString::to_string).collect();
    format!("{} copies of each file; ring {}\n{}", ring.copies, order.join(" > "), table.render())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(state: ServerState, moving: u64) -> ServerInfo {
        ServerInfo {
            server_id: 3,
            url: "http://a".to_owned(),
            state,
            epoch: 1,
            successor: None,
            primaries: 0,
            backups: 0,
            bytes: 0,
            capacity: 0,
            zone: String::new(),
            down_since: None,
            stale: 0,
            leaving: state == ServerState::Draining,
            drained: state == ServerState::Draining && moving == 0,
            moving,
            held_up: None,
            checking: None,
            full: false,
            cannot_write: None,
        }
    }

    #[test]
    fn a_server_that_takes_no_files_says_why() {
        let full = ServerInfo { full: true, ..server(ServerState::Up, 0) };
        assert_eq!(notes(&full), "takes no new files: full");
        let broken = ServerInfo { cannot_write: Some("Read-only file system".to_owned()), ..full };
        assert_eq!(notes(&broken), "takes no new files: its disk takes no writes (Read-only file system)");
    }

    #[test]
    fn a_server_that_is_being_emptied_says_when_it_may_be_stopped() {
        assert_eq!(standing(&server(ServerState::Draining, 5)), "file server 3 is draining: 5 copies to move\n");
        assert_eq!(standing(&server(ServerState::Draining, 0)), "file server 3 is draining: empty: safe to stop\n");
        assert_eq!(standing(&server(ServerState::Up, 0)), "file server 3 is up\n");
    }

    #[test]
    fn a_server_that_is_down_says_since_when_and_what_is_left() {
        let down = ServerInfo { down_since: Some("2026-11-22T10:00:00.000Z".into()), ..server(ServerState::Down, 7) };
        assert_eq!(notes(&down), "down since 2026-11-22T10:00:00.000Z, 7 copies to make elsewhere");
        let back = ServerInfo { stale: 2, ..server(ServerState::Up, 0) };
        assert_eq!(notes(&back), "2 copies to verify");
    }
}
