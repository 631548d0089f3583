use crate::cli::error::CliError;
use crate::cli::session::Session;
use crate::cli::table::{Table, human_size};
use crate::client::Page;
use crate::protocol::versions::Users;

/// List the accounts, with how much each has and may have
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {}

pub(super) async fn run(_: Args, session: &Session) -> Result<(), CliError> {
    let directory = session.directory()?;
    let mut page = Page::default();
    loop {
        let is_first = page.cursor.is_none();
        let users = directory.users(&page).await?;
        session.out.answer(&users, |users| describe(users, is_first));
        match users.next_cursor {
            Some(cursor) if !session.out.is_closed() => page.cursor = Some(cursor),
            _ => return Ok(()),
        }
    }
}

fn describe(page: &Users, is_first: bool) -> String {
    const RIGHT: &[bool] = &[true, false, true, true, true, true];
    let mut table = if is_first {
        Table::with_titles(RIGHT, &["ID", "NAME", "BYTES", "OF", "FILES", "OF", "SINCE"])
    } else {
        Table::new(RIGHT)
    };
    let bound = |most: u64, shown: fn(u64) -> String| if most == 0 { "any".to_owned() } else { shown(most) };
    for user in &page.users {
        let usage = &user.usage;
        table.row(vec![
            user.user_id.to_string(),
            user.username.clone(),
            human_size(usage.bytes),
            bound(usage.max_bytes, human_size),
            usage.files.to_string(),
            bound(usage.max_files, |most| most.to_string()),
            user.created_at.clone(),
            if user.admin { "admin" } else { "" }.to_owned(),
        ]);
    }
    table.render()
}
