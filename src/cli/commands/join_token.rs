use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::secret::SecretArgs;
use crate::cli::error::CliError;
use crate::cli::session::{Session, parse_duration};
use crate::clock::SharedClock;
use crate::domain::{ServerUuid, TokenId};
use crate::protocol::admin::JoinTokenAsked;
use crate::protocol::api;
use crate::protocol::join::{JoinToken, SignedToken};
use crate::trust::Authority;

/// Make a token with which one new file server joins the cluster
///
/// An admin gets one from the cluster. On a directory node it is made without any, with --config or --secret-file. Put it
/// into a file that only the file server's user can read, and name that file in its `cluster.join_token_file`; once the
/// server has joined, the file may be deleted.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    secret: SecretArgs,
    /// How long the token holds, up to 30 days
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = parse_duration)]
    ttl: Duration,
    /// Let the file server with this UUID have a new key, because its own was lost
    #[arg(long, value_name = "UUID", value_parser = parse_uuid)]
    replace: Option<ServerUuid>,
    /// Write the token to this new file rather than print it
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Serialize)]
struct Report<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a SignedToken>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a Path>,
    expires_at: &'a str,
}

const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

pub(super) async fn run(args: Args, session: &Session) -> Result<(), CliError> {
    if !(Duration::from_secs(1)..=LONGEST).contains(&args.ttl) {
        return Err(CliError::usage("a join token holds for a second to 30 days: give --ttl within that"));
    }
    let ttl_ms = u64::try_from(args.ttl.as_millis()).unwrap_or(u64::MAX);
    let (token, expires_at) = match args.secret.read()? {
        Some(secret) => {
            let clock = SharedClock::system();
            let ends_ms = clock.wall_ms().saturating_add(ttl_ms);
            let authority = Authority::new(&secret)?.public();
            let token = JoinToken { authority, id: TokenId(clock.random_u128()), ends_ms, replaces: args.replace };
            (token.sign(&secret), api::time(crate::domain::WallTime(ends_ms)))
        }
        None => {
            let asked = JoinTokenAsked { ttl_ms: Some(ttl_ms), replace: args.replace };
            let made = session.directory()?.join_token(&asked).await?;
            (made.token, made.expires_at)
        }
    };
    if let Some(file) = &args.out {
        super::secret::write(file, token.as_str().as_bytes())?;
    }
    let shown = args.out.is_none().then_some(&token);
    let report = Report { token: shown, file: args.out.as_deref(), expires_at: &expires_at };
    session.out.answer(&report, |_| match &args.out {
        Some(file) => format!("{}: a join token, good for one file server until {expires_at}\n", file.display()),
        None => format!("{}\n", token.as_str()),
    });
    Ok(())
}

fn parse_uuid(text: &str) -> Result<ServerUuid, String> {
    ServerUuid::parse(text).ok_or_else(|| "write the 32 hexadecimal digits that `ringmaster ring` shows".to_owned())
}
