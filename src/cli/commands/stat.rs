use crate::cli::error::CliError;
use crate::cli::remote::Remote;
use crate::cli::session::Session;
use crate::cli::table::Table;
use crate::protocol::api::{Kind, PermissionName, ReplicaRole, Stat};

/// Show all that is known about a file or a directory
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[arg(required = true, value_name = "REMOTE")]
    files: Vec<Remote>,
}

pub(super) async fn run(args: Args, session: &Session) -> Result<(), CliError> {
    let directory = session.directory()?;
    for file in &args.files {
        let stat = directory.stat(&file.name()).await.map_err(|error| CliError::from(error).about(file))?;
        session.out.answer(&stat, describe);
    }
    Ok(())
}

fn describe(stat: &Stat) -> String {
    let mut table = Table::new(&[]);
    let mut line = |name: &str, value: String| table.row(vec![format!("{name}:"), value]);
    line("path", format!("{}:{}", stat.owner, stat.path));
    line("kind", if stat.kind == Kind::File { "file" } else { "directory" }.to_owned());
    line("file id", stat.file_id.to_string());
    line("you may", permission(stat.permission).to_owned());
    let content = [
        ("version", stat.version.map(|version| version.to_string())),
        ("size", stat.size.map(|size| format!("{size} bytes"))),
        ("sha256", stat.sha256.clone()),
        ("type", stat.content_type.clone()),
    ];
    for (name, value) in content {
        if let Some(value) = value {
            line(name, value);
        }
    }
    line("created", stat.created_at.clone());
    line("modified", stat.modified_at.clone());
    for replica in stat.replicas.iter().flatten() {
        let role = if replica.role == ReplicaRole::Primary { "primary" } else { "backup" };
        let counts = if replica.counts { "" } else { ", does not count" };
        line("copy", format!("on file server {} ({role}{counts})", replica.server_id));
    }
    if let Some(lock) = &stat.lock {
        line("locked", format!("by {} until {} (fence {})", lock.owner, lock.expires_at, lock.fence));
    }
    table.render()
}

pub(super) const fn permission(permission: PermissionName) -> &'static str {
    match permission {
        PermissionName::Owner => "owner",
        PermissionName::Read => "read",
        PermissionName::Write => "write",
    }
}
