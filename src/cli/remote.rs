//! How a command line names a file in the cluster: `PATH`, `OWNER:/PATH` or `id:N`.

use std::fmt;
use std::str::FromStr;

use crate::cli::error::CliError;
use crate::domain::FilePath;
use crate::protocol::api::{FileName, Stat};

/// A path in somebody's tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The tree's owner; the caller where there is none.
    pub(super) owner: Option<String>,
    pub(super) path: FilePath,
}

/// A file or a directory as the user wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Remote {
    Id(u64),
    Place {
        place: Place,
        /// It ended in a slash, so it means a directory.
        slash: bool,
    },
}

impl Remote {
    pub(super) fn name(&self) -> FileName {
        match self {
            Self::Id(file_id) => FileName { file_id: Some(*file_id), ..FileName::default() },
            Self::Place { place, .. } => place.name(),
        }
    }

    pub(super) const fn means_directory(&self) -> bool {
        matches!(self, Self::Place { slash: true, .. })
    }
}

impl FromStr for Remote {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(number) = text.strip_prefix("id:") {
            let number = number
                .parse()
                .map_err(|_| "id: is followed by a file's number; write a path that starts so with a leading slash")?;
            return Ok(Self::Id(number));
        }
        let (owner, path) = match text.split_once(":/") {
            Some((owner, rest)) if !owner.is_empty() && !owner.contains('/') => {
                (Some(owner.to_owned()), &text[text.len() - rest.len() - 1..])
            }
            _ => (None, text),
        };
        let slash = path.ends_with('/');
        let trimmed = if path.len() > 1 { path.strip_suffix('/').unwrap_or(path) } else { path };
        let path = FilePath::parse(trimmed).map_err(|error| error.to_string())?;
        Ok(Self::Place { place: Place { owner, path }, slash })
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(file_id) => write!(f, "id:{file_id}"),
            Self::Place { place, .. } => place.fmt(f),
        }
    }
}

impl Place {
    /// Where a node says that an entry is. Nothing where it names no proper path: such an entry is not to be
    /// written to this machine's disk.
    pub(super) fn of(stat: &Stat) -> Result<Self, CliError> {
        let path = FilePath::parse(&stat.path)
            .map_err(|error| CliError::refused(format!("the node named a path that cannot be one ({error})")))?;
        Ok(Self { owner: Some(stat.owner.clone()), path })
    }

    pub(super) fn name(&self) -> FileName {
        FileName { path: Some(self.path.to_string()), owner: self.owner.clone(), file_id: None }
    }

    /// What is below this place under these names.
    pub(super) fn join<I: IntoIterator<Item = S>, S: AsRef<str>>(&self, names: I) -> Result<Self, CliError> {
        let mut text = if self.path.is_root() { String::new() } else { self.path.to_string() };
        for name in names {
            let name = name.as_ref();
            if name.contains('/') {
                return Err(CliError::usage(format!("{name:?} cannot be the name of a file")));
            }
            text.push('/');
            text.push_str(name);
        }
        let path = FilePath::parse(&text).map_err(|error| CliError::usage(format!("{text:?}: {error}")))?;
        Ok(Self { owner: self.owner.clone(), path })
    }

    /// The last name; nothing for a root.
    pub(super) fn last(&self) -> Option<&str> {
        self.path.split_last().map(|(_, last)| last)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(owner) = &self.owner {
            write!(f, "{owner}:")?;
        }
        self.path.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> (Option<String>, String, bool) {
        match text.parse().expect("a place") {
            Remote::Place { place, slash } => (place.owner, place.path.to_string(), slash),
            Remote::Id(_) => panic!("an id"),
        }
    }

    #[test]
    fn the_three_ways_to_name_a_file() {
        assert_eq!("id:17".parse(), Ok(Remote::Id(17)));
        assert_eq!(place("a/b"), (None, "/a/b".into(), false));
        assert_eq!(place("/a/b/"), (None, "/a/b".into(), true));
        assert_eq!(place("/"), (None, "/".into(), true));
        assert_eq!(place("ann:/a"), (Some("ann".into()), "/a".into(), false));
        assert_eq!(place("ann:/"), (Some("ann".into()), "/".into(), true));
        // A colon in a name is that of a name where no tree can be meant.
        assert_eq!(place("/ann:/a"), (None, "/ann:/a".into(), false));
        assert_eq!(place("a:b"), (None, "/a:b".into(), false));
    }

    #[test]
    fn what_cannot_be_a_path_is_refused_before_anything_is_sent() {
        for text in ["", "a//b", "../a", "/a/./b", "id:x", "a\u{0}b"] {
            assert!(text.parse::<Remote>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn names_below_a_place() {
        let Remote::Place { place, .. } = "ann:/".parse().expect("a place") else { panic!("an id") };
        assert_eq!(place.join(["x", "y"]).expect("a place").to_string(), "ann:/x/y");
        assert!(place.join([".."]).is_err() && place.join(["x/y"]).is_err());
    }
}
