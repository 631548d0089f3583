//! The tokens that `login` saved: one file, readable by its owner alone, with one entry a cluster.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use url::Url;

use super::destination::{self, Named, Standing};
use super::error::CliError;
use super::replacement::{Access, Replacement, sync_folder};
use crate::local;

/// Which clusters the user is logged in to, by the urls that were given at the login.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Saved(BTreeMap<String, Credential>);

/// One login.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Credential {
    pub(super) username: String,
    pub(super) token: String,
    pub(super) expires_at: String,
    /// The authority that its nodes' certificates are of, where this machine does not know it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ca_file: Option<PathBuf>,
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
        self.change(|saved| drop(saved.0.insert(key_of(urls), credential)))
    }

    /// Forgets a token wherever it stands.
    pub(super) fn forget(&self, token: &str) -> Result<(), CliError> {
        self.change(|saved| saved.0.retain(|_, credential| credential.token != token))
    }

    /// Whether a login can be kept, before one is asked for that would then be lost.
    pub(super) fn must_be_usable(&self) -> Result<(), CliError> {
        let _lock = self.lock()?;
        self.read()?;
        let (unused, _) = self.replacement()?;
        drop(unused);
        Ok(())
    }

    fn change(&self, change: impl FnOnce(&mut Saved)) -> Result<(), CliError> {
        // Two that read what was there and write what is to be there would lose one of the two logins.
        let _lock = self.lock()?;
        let mut saved = self.read()?;
        change(&mut saved);
        self.write(&saved)
    }

    /// Held for as long as the file is read and written.
    fn lock(&self) -> Result<fs::File, CliError> {
        let directory = self.path.parent().expect("the path ends in two names of our own");
        local::make_folders(directory, 0o700).map_err(|error| self.error("cannot make the directory of", &error))?;
        let path = directory.join("lock");
        let cannot = |error| CliError::local(format_args!("cannot lock {}", path.display()), &error);
        let lock = local::open_private(&path).map_err(cannot)?;
        match lock.lock() {
            // Some file systems of networks know no locks: one login at a time is what most do.
            Err(error) if error.kind() != io::ErrorKind::Unsupported => Err(cannot(error)),
            _ => Ok(lock),
        }
    }

    fn read(&self) -> Result<Saved, CliError> {
        let mut text = String::new();
        match local::open_file(&self.path).and_then(|mut file| file.read_to_string(&mut text)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Saved::default()),
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                return Err(self.error("cannot keep a login in", &error).hint("remove it, then log in again"));
            }
            Err(error) => return Err(self.error("cannot read", &error)),
        }
        serde_json::from_str(&text).map_err(|error| {
            CliError::refused(format!("{} is damaged ({error})", self.path.display()))
                .hint("delete it, then log in again with: ringmaster login USERNAME")
        })
    }

    /// Writes the whole file anew and renames it into place, so that no reader sees half of it.
    fn write(&self, saved: &Saved) -> Result<(), CliError> {
        let (replacement, file) = self.replacement()?;
        let cannot = |error| self.error("cannot write", &error);
        let mut text = serde_json::to_vec_pretty(saved).map_err(|error| cannot(error.into()))?;
        text.push(b'\n');
        (&file).write_all(&text).map_err(cannot)?;
        replacement.dress(&file)?;
        file.sync_all().map_err(cannot)?;
        let folder = replacement.folder();
        replacement.land()?;
        sync_folder(&folder)
    }

    /// Through a link, which stays: some keep their settings elsewhere. Its owner stays, too, and nobody else may read it.
    fn replacement(&self) -> Result<(Replacement, fs::File), CliError> {
        match destination::look(&self.path, Named::ByUser)? {
            Standing::Nothing => Replacement::new(self.path.clone(), None, Access::Private),
            Standing::File(real, old) => Replacement::new(real, Some(&old), Access::Private),
            Standing::Stream(kind) => Err(CliError::refused(format!("{} is {kind}, not a file", self.path.display()))
                .hint("remove it, then log in again")),
        }
    }

    fn error(&self, what: &str, error: &io::Error) -> CliError {
        CliError::local(format_args!("{what} {}", self.path.display()), error)
    }
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
    use std::path::Path;

    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn urls(list: &[&str]) -> Vec<Url> {
        list.iter().map(|text| text.parse().expect("a url")).collect()
    }

    fn credential(token: &str) -> Credential {
        Credential {
            username: "ann".into(),
            token: token.into(),
            expires_at: "2027-01-01T00:00:00Z".into(),
            ca_file: None,
        }
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
