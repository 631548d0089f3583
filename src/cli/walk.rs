//! What is below a directory of this machine, one entry after another.

use std::fs::{self, ReadDir};
use std::path::{Path, PathBuf};

use super::error::CliError;
use crate::local::Kind;

/// What a walk comes upon; `names` lead to it from where the walk began.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    File {
        path: PathBuf,
        names: Vec<String>,
    },
    EmptyDirectory {
        names: Vec<String>,
    },
    /// Neither a file nor a directory. Links are not followed: what they point at may lie anywhere.
    Other {
        path: PathBuf,
        kind: Kind,
    },
}

/// A walk in depth. It holds one open directory a level and no list of entries, however many there are.
#[derive(Debug)]
pub(super) struct Walk {
    open: Vec<Level>,
    names: Vec<String>,
}

#[derive(Debug)]
struct Level {
    path: PathBuf,
    entries: ReadDir,
    empty: bool,
}

impl Walk {
    pub(super) fn new(root: &Path) -> Result<Self, CliError> {
        Ok(Self { open: vec![Level::new(root)?], names: Vec::new() })
    }

    /// The next entry of the innermost directory; nothing where it has no more.
    fn next_entry(&mut self) -> Option<Result<Option<Found>, CliError>> {
        let level = self.open.last_mut()?;
        let entry = match level.entries.next() {
            Some(Ok(entry)) => entry,
            Some(Err(error)) => return Some(Err(cannot_read(&level.path, &error))),
            None => {
                let empty = level.empty;
                let names = self.names.clone();
                self.open.pop();
                self.names.pop();
                return Some(Ok(empty.then_some(Found::EmptyDirectory { names })));
            }
        };
        let path = entry.path();
        let kind = match entry.file_type() {
            Ok(kind) => kind,
            Err(error) => return Some(Err(cannot_read(&path, &error))),
        };
        let Ok(name) = entry.file_name().into_string() else {
            return Some(Err(CliError::usage(format!("{} is not in UTF-8", path.display()))));
        };
        if kind.is_dir() {
            level.empty = false;
            let level = match Level::new(&path) {
                Ok(level) => level,
                Err(error) => return Some(Err(error)),
            };
            self.open.push(level);
            self.names.push(name);
            Some(Ok(None))
        } else if kind.is_file() {
            level.empty = false;
            let names = self.names.iter().cloned().chain([name]).collect();
            Some(Ok(Some(Found::File { path, names })))
        } else {
            Some(Ok(Some(Found::Other { path, kind: Kind::of(kind) })))
        }
    }
}

impl Iterator for Walk {
    type Item = Result<Found, CliError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.next_entry()? {
                Ok(Some(found)) => return Some(Ok(found)),
                Ok(None) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl Level {
    fn new(path: &Path) -> Result<Self, CliError> {
        let entries = fs::read_dir(path).map_err(|error| cannot_read(path, &error))?;
        Ok(Self { path: path.to_owned(), entries, empty: true })
    }
}

fn cannot_read(path: &Path, error: &std::io::Error) -> CliError {
    CliError::local(format_args!("cannot read {}", path.display()), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_with_an_empty_directory_and_a_link() {
        let root = tempfile::tempdir().expect("a directory");
        let at = |name: &str| root.path().join(name);
        fs::create_dir_all(at("a/b")).expect("made");
        fs::create_dir_all(at("empty/inner")).expect("made");
        fs::write(at("a/b/file"), "x").expect("written");
        fs::write(at("top"), "x").expect("written");
        std::os::unix::fs::symlink(at("top"), at("a/link")).expect("linked");
        let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let found: Vec<Found> = Walk::new(root.path()).expect("read").collect::<Result<_, _>>().expect("walked");
        assert_eq!(found.len(), 4, "{found:?}");
        assert!(found.contains(&Found::File { path: at("a/b/file"), names: names(&["a", "b", "file"]) }));
        assert!(found.contains(&Found::File { path: at("top"), names: names(&["top"]) }));
        assert!(found.contains(&Found::Other { path: at("a/link"), kind: Kind::Link }));
        assert!(found.contains(&Found::EmptyDirectory { names: names(&["empty", "inner"]) }));
    }
}
