use crate::cli::error::CliError;
use crate::cli::remote::Remote;
use crate::cli::session::Session;
use crate::cli::table::{Table, or_dash};
use crate::client::Directory;
use crate::protocol::api::FileName;
use crate::protocol::uploads::{Finish, UploadInfo, Uploads};

/// List the uploads that you have begun, make a file of one, or give it up
///
/// A large file is sent by an upload. One that breaks off is kept for a day after its last byte: the same `put` goes on with
/// it. It counts as yours meanwhile.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(in crate::cli) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Make a file of an upload that has all its bytes, and was refused as what it was begun for
    Finish {
        #[arg(value_name = "ID")]
        upload_id: String,
        /// What it is to be, where that is another file
        remote: Option<Remote>,
        /// The next version of the file that is there
        #[arg(short, long, requires = "remote")]
        update: bool,
    },
    /// Give an upload up, with what it has brought
    Rm {
        #[arg(value_name = "ID")]
        upload_id: String,
    },
}

pub(super) async fn run(args: Args, session: &Session) -> Result<(), CliError> {
    let directory = session.directory()?;
    match args.action {
        None => list(&directory, session).await,
        Some(Action::Finish { upload_id, remote, update }) => {
            let FileName { file_id, path, owner } = remote.map(|remote| remote.name()).unwrap_or_default();
            let finish = Finish { upload_id, file_id, path, owner, update, lock_token: None };
            let stat = directory.finish_upload(&finish).await?;
            session.out.answer(&stat, |stat| format!("{}\n", stat.path));
            Ok(())
        }
        Some(Action::Rm { upload_id }) => Ok(directory.give_up_upload(&upload_id).await?),
    }
}

async fn list(directory: &Directory, session: &Session) -> Result<(), CliError> {
    let mut cursor: Option<String> = None;
    loop {
        let is_first = cursor.is_none();
        let page = directory.uploads(cursor.as_deref()).await?;
        session.out.answer(&page, |page| describe(page, is_first));
        match page.next_cursor {
            Some(next) if !session.out.is_closed() => cursor = Some(next),
            _ => return Ok(()),
        }
    }
}

fn describe(page: &Uploads, is_first: bool) -> String {
    const RIGHT: &[bool] = &[false, true, true];
    if is_first && page.uploads.is_empty() {
        return String::new();
    }
    let mut table = if is_first {
        Table::with_titles(RIGHT, &["ID", "BYTES", "OF", "KEPT UNTIL", "FOR"])
    } else {
        Table::new(RIGHT)
    };
    for upload in &page.uploads {
        table.row(vec![
            upload.upload_id.clone(),
            upload.offset.to_string(),
            upload.parts.map_or_else(|| or_dash(upload.length), |parts| format!("{parts} parts")),
            upload.expires_at.clone(),
            purpose(upload),
        ]);
    }
    table.render()
}

fn purpose(upload: &UploadInfo) -> String {
    let owner = upload.owner.as_ref().map_or_else(String::new, |owner| format!("{owner}:"));
    if let Some(whole) = &upload.part_of {
        return format!("a part of {whole}");
    }
    match (upload.file_id, &upload.path) {
        (Some(id), _) => format!("id:{id}"),
        (None, Some(path)) => format!("{owner}{path}"),
        (None, None) => "-".to_owned(),
    }
}
