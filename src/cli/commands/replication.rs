use crate::cli::error::CliError;
use crate::cli::session::Session;
use crate::cli::table::{Table, human_seconds, human_size, or_dash};
use crate::protocol::api::{FileAtRisk, Replication, SweepName, SweepState, ToDelete};

#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum Command {
    /// Show what is being copied and what waits for it
    Status,
}

pub(super) async fn run(command: Command, session: &Session) -> Result<(), CliError> {
    match command {
        Command::Status => {
            let replication = session.directory()?.replication().await?;
            session.out.answer(&replication, describe);
        }
    }
    Ok(())
}

fn describe(replication: &Replication) -> String {
    let mut table = Table::new(&[]);
    let mut line = |name: &str, value: String| table.row(vec![format!("{name}:"), value]);
    line("files that lack copies", replication.pending.to_string());
    line("of these, by copies left", by_copies(&replication.by_copies));
    line("servers down", replication.servers_down.to_string());
    line("copies to verify", replication.to_verify.to_string());
    line("copies to move", replication.to_move.to_string());
    line("being copied", replication.in_flight.to_string());
    line("rate", format!("{} per second", human_size(replication.bytes_per_second)));
    line("time left", or_dash(replication.seconds_left.map(human_seconds)));
    line("oldest waits for", or_dash(replication.oldest_age_ms.map(|ms| human_seconds(ms / 1000))));
    line("last round", or_dash(replication.last_run_at.as_ref()));
    for sweep in &replication.sweeps {
        let name = match sweep.kind {
            SweepName::Copies => "change of copies",
            SweepName::Balance => "rebalance",
        };
        let state = match sweep.state {
            SweepState::Running => "running",
            SweepState::Resting => "resting",
        };
        let place = sweep.through.as_ref().map_or_else(String::new, |at| format!(", up to {at}"));
        line(name, format!("{state}{place}"));
    }
    line("copies to delete", replication.garbage.to_string());
    for listed in &replication.to_delete {
        line(&format!("on file server {}", listed.server_id), waiting(listed));
    }
    if let Some(why) = &replication.held_up {
        line("held up", why.clone());
    }
    table.render() + &at_risk(&replication.at_risk)
}

fn by_copies(counts: &[u64]) -> String {
    let some = counts.iter().enumerate().filter(|(_, files)| **files > 0);
    let parts: Vec<String> = some.map(|(copies, files)| format!("{copies} left: {files}")).collect();
    if parts.is_empty() { "-".to_owned() } else { parts.join(", ") }
}

/// What waits to be deleted on a server, and until when.
fn waiting(listed: &ToDelete) -> String {
    let ToDelete { copies, bytes, first_at, last_at, held_until, .. } = listed;
    let size = bytes.map_or_else(String::new, |bytes| format!(" (about {})", human_size(bytes)));
    let when = match held_until {
        Some(until) => format!("kept by a backup, until {until} at the latest"),
        None if first_at == last_at => format!("from {first_at} on"),
        None => format!("from {first_at} to {last_at}"),
    };
    format!("{copies} copies wait to be deleted{size}, {when}")
}

/// How far everything is from having its copies, and what waits to be deleted.
pub(super) fn summary(replication: &Replication) -> String {
    let mut text = lacking(replication);
    if let Some(until) = &replication.backup_until {
        text += &format!("a backup runs: what is deleted meanwhile stays until it is done, or {until} at the latest\n");
    }
    for listed in &replication.to_delete {
        text += &format!("file server {}: {}\n", listed.server_id, waiting(listed));
    }
    text
}

/// One line on what lacks copies.
fn lacking(replication: &Replication) -> String {
    let Replication { pending, to_move, in_flight, bytes_per_second, .. } = replication;
    let held_up = replication.held_up.as_ref().map_or_else(String::new, |why| format!("held up: {why}\n"));
    if *pending == 0 && *to_move == 0 {
        return if held_up.is_empty() { "every file has its copies\n".to_owned() } else { held_up };
    }
    let mut parts = Vec::new();
    if *pending > 0 {
        parts.push(format!("{pending} files lack copies"));
    }
    if *to_move > 0 {
        parts.push(format!("{to_move} copies are to be moved"));
    }
    parts.push(format!("{in_flight} in the works at {} per second", human_size(*bytes_per_second)));
    if let Some(seconds) = replication.seconds_left {
        parts.push(format!("about {} left", human_seconds(seconds)));
    }
    if let Some(ms) = replication.oldest_age_ms {
        parts.push(format!("the oldest waits for {}", human_seconds(ms / 1000)));
    }
    parts.join(", ") + "\n" + &held_up
}

/// The files that are nearest to being lost.
pub(super) fn at_risk(files: &[FileAtRisk]) -> String {
    if files.is_empty() {
        return String::new();
    }
    let mut table = Table::with_titles(&[true, true], &["FILE", "COPIES", "PATH"]);
    for file in files {
        let path = match (&file.owner, &file.path) {
            (Some(owner), Some(path)) => format!("{owner}:{path}"),
            _ => "-".to_owned(),
        };
        table.row(vec![file.file_id.to_string(), file.copies.to_string(), path]);
    }
    format!("\nsome of the files with the fewest copies:\n{}", table.render())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_says_how_far_it_is() {
        assert_eq!(summary(&Replication::default()), "every file has its copies\n");
        let busy = Replication {
            pending: 3,
            in_flight: 2,
            bytes_per_second: 2048,
            seconds_left: Some(150),
            oldest_age_ms: Some(9_000),
            ..Replication::default()
        };
        assert_eq!(
            summary(&busy),
            "3 files lack copies, 2 in the works at 2.0K per second, about 2 min 30 s left, the oldest waits for 9 s\n"
        );
    }

    #[test]
    fn a_file_that_may_not_be_read_has_no_path() {
        let file = FileAtRisk { file_id: 7, copies: 0, owner: None, path: None };
        let named = FileAtRisk { file_id: 8, copies: 1, owner: Some("ann".into()), path: Some("/a".into()) };
        let text = at_risk(&[file, named]);
        assert!(text.ends_with("FILE  COPIES  PATH\n   7       0  -\n   8       1  ann:/a\n"), "{text}");
    }
}
