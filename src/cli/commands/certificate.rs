use std::path::PathBuf;

use serde::Serialize;

use super::secret::{self, SecretArgs};
use crate::cli::error::CliError;
use crate::cli::session::Session;
use crate::clock::SharedClock;
use crate::protocol::signature::SigningKey;
use crate::trust::{Authority, Identity, pem};

/// Make a certificate for the lock service, or for an operator's own calls
///
/// The folder gets `key.pem`, `certificate.pem` and `authority.pem`, as curl and others take them. The certificate holds for
/// 30 days; make another one before that. It can be made wherever the cluster secret is.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Whose it is
    #[arg(long, value_enum)]
    role: Role,
    #[command(flatten)]
    secret: SecretArgs,
    /// The folder, which is made where it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Role {
    LockService,
    Operator,
}

#[derive(Serialize)]
struct Report {
    folder: PathBuf,
    name: String,
}

pub(super) fn run(args: Args, session: &Session) -> Result<(), CliError> {
    let secret = args.secret.read()?.ok_or_else(|| CliError::usage("give --config or --secret-file"))?;
    let (authority, clock) = (Authority::new(&secret)?, SharedClock::system());
    let identity = match args.role {
        Role::LockService => Identity::LockService,
        Role::Operator => Identity::Operator,
    };
    let seed = clock.random();
    let certificate = authority.issue(identity, SigningKey::from_seed(&seed).public(), clock.wall_ms())?;
    std::fs::create_dir_all(&args.out)
        .map_err(|error| CliError::local(format!("cannot make {}", args.out.display()), &error))?;
    let all = [
        ("key.pem", pem::key(&seed)),
        ("certificate.pem", pem::certificate(&certificate)),
        ("authority.pem", pem::certificate(&authority.certificate())),
    ];
    for (name, text) in all {
        secret::write(&args.out.join(name), text.as_bytes())?;
    }
    let report = Report { folder: args.out, name: identity.to_string() };
    session
        .out
        .answer(&report, |report| format!("{}: a certificate of {}\n", report.folder.display(), identity.describe()));
    Ok(())
}
