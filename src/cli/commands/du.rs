use crate::cli::error::CliError;
use crate::cli::session::Session;
use crate::cli::table::{Table, human_size};
use crate::protocol::versions::Usage;

/// Show how much you have, and may have
///
/// Older versions of files and what is in the trash count, each with its full size.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {}

pub(super) async fn run(_: Args, session: &Session) -> Result<(), CliError> {
    let usage = session.directory()?.usage().await?;
    session.out.answer(&usage, describe);
    Ok(())
}

pub(super) fn describe(usage: &Usage) -> String {
    let mut table = Table::new(&[false, true]);
    table.row(vec!["bytes:".to_owned(), usage.bytes.to_string(), of_bytes(usage)]);
    table.row(vec!["files:".to_owned(), usage.files.to_string(), of(usage.max_files, |most| most.to_string())]);
    table.render()
}

fn of_bytes(usage: &Usage) -> String {
    of(usage.max_bytes, |most| format!("{most} ({} of {})", human_size(usage.bytes), human_size(most)))
}

fn of(most: u64, shown: impl FnOnce(u64) -> String) -> String {
    if most == 0 { "of any number".to_owned() } else { format!("of {}", shown(most)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_is_stands_beside_what_there_may_be() {
        let usage = Usage { bytes: 1536, files: 2, max_bytes: 10 << 30, max_files: 0 };
        assert_eq!(describe(&usage), "bytes:  1536  of 10737418240 (1.5K of 10G)\nfiles:     2  of any number\n");
    }
}
