use crate::cli::error::CliError;
use crate::cli::remote::Remote;
use crate::cli::session::Session;
use crate::cli::table::{Table, or_dash};
use crate::client::Page;
use crate::protocol::versions::{RestoreVersion, Versions};

/// List the versions of a file, or bring one back
///
/// An older version is fetched with `ringmaster get --version N`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[arg(value_name = "REMOTE")]
    file: Remote,
    /// Make this version the next one; what is there now becomes an older version
    #[arg(long, value_name = "N")]
    restore: Option<u64>,
    /// The token of the lock on the file
    #[arg(long, value_name = "TOKEN", requires = "restore")]
    lock_token: Option<String>,
}

pub(super) async fn run(args: Args, session: &Session) -> Result<(), CliError> {
    let directory = session.directory()?;
    let about = |error| CliError::from(error).about(&args.file);
    if let Some(version) = args.restore {
        let restore = RestoreVersion { file: args.file.name(), version, lock_token: args.lock_token.clone() };
        let stat = directory.restore_version(&restore, None).await.map_err(about)?;
        session.out.answer(&stat, |stat| {
            format!("{}  version {}  {} bytes\n", args.file, or_dash(stat.version), or_dash(stat.size))
        });
        return Ok(());
    }
    let mut page = Page::default();
    loop {
        let is_first = page.cursor.is_none();
        let versions = directory.versions(&args.file.name(), &page).await.map_err(about)?;
        session.out.answer(&versions, |versions| describe(versions, is_first));
        match versions.next_cursor {
            Some(cursor) if !session.out.is_closed() => page.cursor = Some(cursor),
            _ => return Ok(()),
        }
    }
}

fn describe(page: &Versions, is_first: bool) -> String {
    const RIGHT: &[bool] = &[true, true];
    let mut table = if is_first {
        Table::with_titles(RIGHT, &["VERSION", "SIZE", "MADE", "BY", "KEPT UNTIL"])
    } else {
        Table::new(RIGHT)
    };
    for version in &page.versions {
        table.row(vec![
            version.version.to_string(),
            version.size.to_string(),
            version.made_at.clone(),
            version.made_by.clone(),
            version.kept_until.clone().unwrap_or_else(|| "it is there now".to_owned()),
        ]);
    }
    table.render()
}
