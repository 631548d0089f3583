//! Paths in a user's tree.

use std::fmt;

use super::Fault;
use super::record::{Payload, Value, Wire, Writer, bad};

/// The longest component, in bytes.
pub const MAX_COMPONENT_BYTES: usize = 255;
/// The longest path, in bytes, with its leading slash.
pub const MAX_PATH_BYTES: usize = 4096;
/// The deepest path.
pub const MAX_COMPONENTS: usize = 128;

/// A path from the root of a user's tree: UTF-8 components, none of them empty, `.` or `..`, none with a control
/// character. The root itself has no components.
///
/// The log holds paths as texts, and reads them by `parse`: its rules may be loosened, but never made stricter.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilePath {
    components: Vec<String>,
}

/// Why a text is no path. The sentence says what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathError(pub &'static str);

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for PathError {}

impl FilePath {
    /// Reads a path with or without a leading slash; `/` is the root.
    ///
    /// # Errors
    /// When a component is not allowed, or the whole is too long or too deep.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        if text.is_empty() {
            return Err(PathError("the path is empty: name a file, or / for the root"));
        }
        let relative = text.strip_prefix('/').unwrap_or(text);
        if relative.is_empty() {
            return Ok(Self::default());
        }
        if relative.len() + 1 > MAX_PATH_BYTES {
            return Err(PathError("the path is too long: use at most 4,096 bytes"));
        }
        let components: Vec<String> = relative.split('/').map(str::to_owned).collect();
        if components.len() > MAX_COMPONENTS {
            return Err(PathError("the path is too deep: use at most 128 components"));
        }
        for component in &components {
            check_component(component)?;
        }
        Ok(Self { components })
    }

    pub fn components(&self) -> &[String] {
        &self.components
    }

    pub fn is_root(&self) -> bool {
        self.components.is_empty()
    }

    /// The parent and the last component; nothing for the root.
    pub fn split_last(&self) -> Option<(&[String], &str)> {
        self.components.split_last().map(|(last, parents)| (parents, last.as_str()))
    }

    /// Builds a path from components that were checked before, as those are that the store names. Nothing where they are
    /// too many or too long together: a path that does not read back as itself would stop every node that reads the log.
    pub(in crate::domain) fn from_components(components: Vec<String>) -> Option<Self> {
        let bytes: usize = components.iter().map(|component| component.len() + 1).sum();
        (components.len() <= MAX_COMPONENTS && bytes <= MAX_PATH_BYTES).then_some(Self { components })
    }
}

/// Whether it can be one component of a path.
pub(crate) fn is_component(name: &str) -> bool {
    !name.contains('/') && check_component(name).is_ok()
}

/// In the one spelling that it is written in.
impl Value for FilePath {
    const WIRE: Wire = Wire::Bytes;

    fn put(&self, out: &mut Writer) {
        out.bytes(self.to_string().as_bytes());
    }

    fn take(payload: Payload<'_>) -> Result<Self, Fault> {
        let text = std::str::from_utf8(payload.bytes()?).map_err(|_| bad("path"))?;
        let path = Self::parse(text).map_err(|_| bad("path"))?;
        if path.to_string() == text { Ok(path) } else { Err(bad("path")) }
    }
}

fn check_component(component: &str) -> Result<(), PathError> {
    if component.is_empty() {
        Err(PathError("the path has an empty component: write one slash between names and none at the end"))
    } else if component == "." || component == ".." {
        Err(PathError("the path has a . or .. component: write the path out from the root"))
    } else if component.len() > MAX_COMPONENT_BYTES {
        Err(PathError("a name in the path is too long: use at most 255 bytes a name"))
    } else if component.chars().any(char::is_control) {
        Err(PathError("the path has a NUL or another control character: remove it"))
    } else {
        Ok(())
    }
}

impl fmt::Display for FilePath {
    /// Always with a leading slash.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return f.write_str("/");
        }
        self.components.iter().try_for_each(|component| write!(f, "/{component}"))
    }
}
