//! The tokens that `login` saved: one file, readable by its owner alone, with one entry a cluster.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use url::Url;

use super::error::CliError;

/// Which clusters the user is logged in to, by the urls that were given at the login.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Saved(BTreeMap<String, Credential>);

/// One login.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Credential {
    pub(super) username: String,
    pub(super) token: String,
    pub(super) expires_at: String,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential").field("username", &self.username).finish_non_exhaustive()
    }
}

/// The file of the credentials.
#[derive(Debug)]
pub(super) struct CredentialsFile {
    path: PathBuf,
}

impl CredentialsFile {
    /// `$XDG_CONFIG_HOME/ringmaster/credentials.json`, below `~/.config` where that is not set.
    ///
    /// # Errors
    /// When neither is known.
    pub(super) fn of_user() -> Result<Self, CliError> {
        let directory = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let config = directory("XDG_CONFIG_HOME")
            .filter(|path| path.is_absolute())
            .or_else(|| directory("HOME").map(|home| home.join(".config")))
            .ok_or_else(|| {
                CliError::refused("there is no home directory to keep the login in")
                    .hint("set HOME or XDG_CONFIG_HOME, or put a token into RINGMASTER_TOKEN")
            })?;
        Ok(Self::at(config.join("ringmaster").join("credentials.json")))
    }

    const fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// The login for these urls: the one under the same list, else one whose list holds all of them. A token never
    /// goes to a url that was not named when it was given.
    pub(super) fn find(&self, urls: &[Url]) -> Result<Option<Credential>, CliError> {
        let saved = self.read()?;
        let exact = saved.0.get(&key_of(urls));
        let within = || {
            saved.0.iter().find_map(|(key, credential)| {
                let known: Vec<&str> = key.split(',').collect();
                urls.iter().all(|url| known.contains(&text_of(url))).then_some(credential)
            })
        };
        Ok(exact.or_else(within).cloned())
    }

    pub(super) fn save(&self, urls: &[Url], credential: Credential) -> Result<(), CliError> {
        let mut saved = self.read()?;
        saved.0.insert(key_of(urls), credential);
        self.write(&saved)
    }

    /// Forgets a token wherever it stands.
    pub(super) fn forget(&self, token: &str) -> Result<(), CliError> {
        let mut saved = self.read()?;
        saved.0.retain(|_, credential| credential.token != token);
        self.write(&saved)
    }

    fn read(&self) -> Result<Saved, CliError> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Saved::default()),
            Err(error) => return Err(self.error("cannot read", &error)),
        };
        serde_json::from_str(&text).map_err(|error| {
            CliError::refused(format!("{} is damaged ({error})", self.path.display()))
                .hint("delete it, then log in again with: ringmaster login USERNAME")
        })
    }

    /// Writes the whole file anew and renames it into place, so that no reader sees half of it.
    fn write(&self, saved: &Saved) -> Result<(), CliError> {
        let directory = self.path.parent().expect("the path ends in two names of our own");
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|error| self.error("cannot make the directory of", &error))?;
        let temporary = self.path.with_extension(format!("json.{}", std::process::id()));
        let written = write_private(&temporary, saved).and_then(|()| fs::rename(&temporary, &self.path));
        written.map_err(|error| {
            // It may not be there at all.
            let _ = fs::remove_file(&temporary);
            self.error("cannot write", &error)
        })
    }

    fn error(&self, what: &str, error: &io::Error) -> CliError {
        CliError::local(format_args!("{what} {}", self.path.display()), error)
    }
}

fn write_private(path: &Path, saved: &Saved) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    serde_json::to_writer_pretty(&mut file, saved)?;
    file.write_all(b"\n")?;
    file.sync_all()
}

/// The same nodes in another order are the same cluster.
fn key_of(urls: &[Url]) -> String {
    let mut texts: Vec<&str> = urls.iter().map(text_of).collect();
    texts.sort_unstable();
    texts.dedup();
    texts.join(",")
}

fn text_of(url: &Url) -> &str {
    url.as_str().trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn urls(list: &[&str]) -> Vec<Url> {
        list.iter().map(|text| text.parse().expect("a url")).collect()
    }

    fn credential(token: &str) -> Credential {
        Credential { username: "ann".into(), token: token.into(), expires_at: "2027-01-01T00:00:00Z".into() }
    }

    #[test]
    fn a_login_is_kept_for_its_owner_alone() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("ringmaster").join("credentials.json");
        let file = CredentialsFile::at(path.clone());
        file.save(&urls(&["http://a:1"]), credential("one")).expect("saved");
        file.save(&urls(&["http://b:1"]), credential("two")).expect("saved");
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().expect("a parent")), 0o700);
        let found = file.find(&urls(&["http://a:1/"])).expect("read").expect("found");
        assert_eq!(found.token, "one");
        assert!(!format!("{found:?}").contains("one"));
        file.forget("one").expect("forgotten");
        assert!(file.find(&urls(&["http://a:1"])).expect("read").is_none());
        assert!(file.find(&urls(&["http://b:1"])).expect("read").is_some());
    }

    #[test]
    fn a_token_goes_only_where_the_login_named() {
        let home = tempfile::tempdir().expect("a directory");
        let file = CredentialsFile::at(home.path().join("ringmaster").join("credentials.json"));
        file.save(&urls(&["http://a:1", "http://b:1"]), credential("one")).expect("saved");
        let found = |list: &[&str]| file.find(&urls(list)).expect("read").is_some();
        assert!(found(&["http://b:1", "http://a:1"]));
        assert!(found(&["http://b:1"]));
        assert!(!found(&["http://b:1", "http://c:1"]));
    }

    #[test]
    fn a_damaged_file_is_an_error_that_says_what_to_do() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("credentials.json");
        fs::write(&path, "{").expect("written");
        let error = CredentialsFile::at(path).find(&urls(&["http://a:1"])).expect_err("damaged");
        assert!(error.to_string().contains("hint: delete it"), "{error}");
    }
}
