//! What all commands share: the options that come before or after any verb, and the client made from them.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use clap::Args;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use url::Url;

use super::credentials::CredentialsFile;
use super::error::CliError;
use super::output::Output;
use crate::client::{Directory, Limits};
use crate::clock::SharedClock;
use crate::protocol::secret::ClusterSecret;
use crate::trust::{Authority, Credentials, Identity};

/// The local cluster of `scripts/cluster`.
const DEFAULT_URLS: &str = "http://127.0.0.1:3041,http://127.0.0.1:3042,http://127.0.0.1:3043";
/// How a url is given.
const WRITE_IT: &str = "write it as http://host:port or https://host:port";
/// A token that takes the place of a saved login.
const TOKEN_VARIABLE: &str = "RINGMASTER_TOKEN";

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "For every command")]
pub(super) struct Global {
    /// Directory nodes, separated by commas; one is enough to find the others
    #[arg(
        long = "url",
        global = true,
        env = "RINGMASTER_URL",
        hide_env_values = true,
        value_name = "URL,…",
        value_delimiter = ',',
        default_value = DEFAULT_URLS,
        value_parser = parse_url
    )]
    pub(super) urls: Vec<Url>,

    /// Certificate of an authority, in PEM, that is believed besides those of this machine; `login` keeps it
    #[arg(long, global = true, env = "RINGMASTER_CA_FILE", hide_env_values = true, value_name = "FILE")]
    pub(super) ca_file: Option<PathBuf>,

    /// Print the nodes' answers as JSON, one a line
    #[arg(long, global = true)]
    pub(super) json: bool,

    /// How long to try, while nothing moves
    #[arg(long, global = true, value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    pub(super) timeout: Duration,

    /// Whether `--url` itself was given, rather than the variable or nothing.
    #[arg(skip)]
    pub(super) urls_named: bool,
}

/// How long an interrupted command may take to undo what would be left behind: somebody waits to be gone.
pub(super) const LEAVE_TIMEOUT: Duration = Duration::from_secs(3);

/// One run of a command.
pub(super) struct Session {
    global: Global,
    pub(super) out: Output,
    leave: Mutex<Option<BoxFuture<'static, ()>>>,
}

impl Session {
    pub(super) const fn new(global: Global) -> Self {
        let out = Output::new(global.json);
        Self { global, out, leave: Mutex::new(None) }
    }

    /// What is to be done should the command be interrupted from here on. It bounds itself to [`LEAVE_TIMEOUT`], so that it
    /// can say what it leaves behind.
    pub(super) fn on_interrupt(&self, leave: impl Future<Output = ()> + Send + 'static) {
        *self.leave.lock().unwrap_or_else(PoisonError::into_inner) = Some(leave.boxed());
    }

    pub(super) async fn take_leave(&self) {
        let leave = self.leave.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(leave) = leave {
            leave.await;
        }
    }

    pub(super) fn urls(&self) -> &[Url] {
        &self.global.urls
    }

    /// A client for whoever is logged in.
    ///
    /// # Errors
    /// When nobody is.
    pub(super) fn directory(&self) -> Result<Directory, CliError> {
        let token = self.token()?.ok_or_else(|| {
            CliError::refused("not logged in to this cluster")
                .hint("log in with: ringmaster login USERNAME; or put a token into RINGMASTER_TOKEN")
        })?;
        self.client(Some(token))
    }

    /// A client for nobody yet.
    pub(super) fn anonymous(&self) -> Result<Directory, CliError> {
        self.client(None)
    }

    /// The token of `RINGMASTER_TOKEN`, else the one that `login` saved.
    pub(super) fn token(&self) -> Result<Option<String>, CliError> {
        match token_of_environment() {
            Some(token) => Ok(Some(token)),
            None => Ok(CredentialsFile::of_user()?.find(self.urls())?.map(|credential| credential.token)),
        }
    }

    /// A client for an operator, at the directory nodes' addresses for members.
    pub(super) fn operator(&self, members: Vec<Url>, secret: &ClusterSecret) -> Result<Directory, CliError> {
        let limits = Limits { retry_for: self.global.timeout, ..Limits::default() };
        let clock = SharedClock::system();
        let credentials = Credentials::issued(&Authority::new(secret)?, Identity::Operator, &clock)?;
        Ok(Directory::of_member(members, credentials, limits)?)
    }

    fn client(&self, token: Option<String>) -> Result<Directory, CliError> {
        let limits = Limits { retry_for: self.global.timeout, ..Limits::default() };
        Ok(Directory::with_authority(self.global.urls.clone(), token, limits, self.ca_file()?.as_deref())?)
    }

    /// The authority that is believed besides those of this machine: the one that is given, else the one of the last login.
    /// With its whole path, so that it can be kept.
    ///
    /// # Errors
    /// When the file of the logins is damaged.
    pub(super) fn ca_file(&self) -> Result<Option<PathBuf>, CliError> {
        if let Some(file) = self.global.ca_file.as_ref().filter(|file| !file.as_os_str().is_empty()) {
            let whole = std::path::absolute(file);
            return whole
                .map(Some)
                .map_err(|error| CliError::local(format_args!("cannot use {}", file.display()), &error));
        }
        if self.urls().iter().all(|url| url.scheme() != "https") {
            return Ok(None);
        }
        // Without a home there is no login, and a token may do without.
        let Ok(file) = CredentialsFile::of_user() else { return Ok(None) };
        Ok(file.find(self.urls())?.and_then(|credential| credential.ca_file))
    }
}

/// The token that takes the place of a saved login, where there is one.
pub(super) fn token_of_environment() -> Option<String> {
    let token = std::env::var(TOKEN_VARIABLE).ok()?;
    Some(token.trim().to_owned()).filter(|token| !token.is_empty())
}

fn parse_url(text: &str) -> Result<Url, String> {
    let url: Url = text.trim().parse().map_err(|error| format!("{error}; {WRITE_IT}"))?;
    let plain =
        matches!(url.scheme(), "http" | "https") && url.has_host() && url.path() == "/" && url.query().is_none();
    if plain && url.username().is_empty() { Ok(url) } else { Err(WRITE_IT.to_owned()) }
}

pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let duration = humantime_serde::re::humantime::parse_duration(text)
        .map_err(|error| format!("{error}; write for example 500ms, 30s or 5m"))?;
    if duration.is_zero() { Err("it must be more than nothing".to_owned()) } else { Ok(duration) }
}
