use crate::cli::error::CliError;
use crate::cli::session::Session;
use crate::cli::table::{Table, human_size, or_dash};
use crate::protocol::api::{Ring, ServerState};

#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum Command {
    /// Show the file servers and who backs up whom
    Status,
}

pub(super) async fn run(command: Command, session: &Session) -> Result<(), CliError> {
    match command {
        Command::Status => {
            let ring = session.directory()?.ring().await?;
            session.out.answer(&ring, describe);
        }
    }
    Ok(())
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
        &[
            "SERVER",
            "STATE",
            "EPOCH",
            "BACKED BY",
            "PRIMARIES",
            "BACKUPS",
            "USED",
            "CAPACITY",
            "ZONE",
            "URL",
            "DOWN SINCE",
        ],
    );
    for server in servers {
        let state = match server.state {
            ServerState::Up => "up",
            ServerState::Suspect => "suspect",
            ServerState::Down => "down",
            ServerState::Draining => "draining",
        };
        table.row(vec![
            server.server_id.to_string(),
            state.to_owned(),
            server.epoch.to_string(),
            or_dash(server.successor),
            server.primaries.to_string(),
            server.backups.to_string(),
            human_size(server.bytes),
            human_size(server.capacity),
            server.zone.clone(),
            server.url.clone(),
            server.down_since.clone().unwrap_or_default(),
        ]);
    }
    let order: Vec<String> = ring.order.iter().map(ToString::to_string).collect();
    format!("{} copies of each file; ring {}\n{}", ring.copies, order.join(" > "), table.render())
}
