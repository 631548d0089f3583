//! Entity tags and the conditional headers (RFC 9110, sections 8.8.3 and 13).
//!
//! A file's tag is `"file_id-version"`: a version alone comes again after a file was deleted and made anew. It is always
//! strong, since a version's bytes never change.

use std::fmt;

use http::HeaderMap;
use http::header::{HeaderName, IF_MATCH, IF_NONE_MATCH, IF_RANGE};

use crate::domain::terms::{Etag, Precondition};
use crate::domain::{FileId, Version};

/// More tags in one list than any client has reason to send.
const MAX_TAGS: usize = 64;

/// The tag of one version of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ETag {
    pub file_id: FileId,
    pub version: Version,
}

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}-{}\"", self.file_id, self.version)
    }
}

/// A tag as a client sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    pub weak: bool,
    /// What stands between the quotes.
    pub opaque: String,
}

impl Tag {
    /// Whether it is this file's, by the weak comparison: `W/"1"` and `"1"` are equal.
    fn names(&self, current: ETag) -> bool {
        self.parsed() == Some(current)
    }

    fn parsed(&self) -> Option<ETag> {
        let (file, version) = self.opaque.split_once('-')?;
        let tag = ETag { file_id: FileId(file.parse().ok()?), version: Version(version.parse().ok()?) };
        // Only the spelling that `Display` writes: no plus sign, no leading zero.
        (tag.to_string().trim_matches('"') == self.opaque).then_some(tag)
    }
}

/// The value of `If-Match` or `If-None-Match`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tags {
    /// `*`
    Any,
    List(Vec<Tag>),
}

/// A conditional header that cannot be understood. It is refused rather than passed over: a client that sends one wants
/// to be stopped in some case.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {0} header is not valid: send * or a list of entity tags in double quotes")]
pub struct BadCondition(pub &'static str);

/// The conditions of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    pub if_match: Option<Tags>,
    pub if_none_match: Option<Tags>,
}

/// What the conditions come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Proceed,
    /// 304, for `GET` and `HEAD`.
    NotModified,
    /// 412.
    Failed,
}

impl Conditions {
    /// Those by tag. Conditions by date are `dates`', and for reads alone.
    ///
    /// # Errors
    /// When a header is not valid.
    pub fn of(headers: &HeaderMap) -> Result<Self, BadCondition> {
        Ok(Self {
            if_match: tags(headers, &IF_MATCH, "If-Match")?,
            if_none_match: tags(headers, &IF_NONE_MATCH, "If-None-Match")?,
        })
    }

    /// Decides in the order of RFC 9110, section 13.2.2. `current` is nothing where there is no file; `reads` says that
    /// the method is `GET` or `HEAD`.
    pub fn verdict(&self, current: Option<ETag>, reads: bool) -> Verdict {
        let strong = |tag: &Tag| !tag.weak && current.is_some_and(|current| tag.names(current));
        let weak = |tag: &Tag| current.is_some_and(|current| tag.names(current));
        let matches = match &self.if_match {
            None => true,
            Some(Tags::Any) => current.is_some(),
            Some(Tags::List(list)) => list.iter().any(strong),
        };
        if !matches {
            return Verdict::Failed;
        }
        let excluded = match &self.if_none_match {
            None => false,
            Some(Tags::Any) => current.is_some(),
            Some(Tags::List(list)) => list.iter().any(weak),
        };
        match (excluded, reads) {
            (false, _) => Verdict::Proceed,
            (true, true) => Verdict::NotModified,
            (true, false) => Verdict::Failed,
        }
    }

    /// `If-Match` in the form that a command carries, so that `apply` decides it. A tag that no file of ours can have is
    /// left out: a list without tags matches nothing.
    pub fn precondition(&self) -> Option<Precondition> {
        self.if_match.as_ref().map(|tags| match tags {
            Tags::Any => Precondition { exists: true, one_of: Vec::new() },
            Tags::List(list) => Precondition {
                exists: false,
                one_of: list
                    .iter()
                    .filter(|tag| !tag.weak)
                    .filter_map(Tag::parsed)
                    .map(|tag| Etag { file_id: tag.file_id, version: tag.version })
                    .collect(),
            },
        })
    }
}

/// Whether a `Range` header is to be obeyed as far as `If-Range` goes: without one it is, with one it takes the
/// file's present tag. A date never matches: two versions of one second have the same.
pub fn range_applies(headers: &HeaderMap, current: ETag) -> bool {
    let mut values = headers.get_all(IF_RANGE).iter();
    match (values.next(), values.next()) {
        (None, _) => true,
        (Some(value), None) => value.to_str().is_ok_and(|value| value.trim() == current.to_string()),
        (Some(_), Some(_)) => false,
    }
}

fn tags(headers: &HeaderMap, name: &HeaderName, spelled: &'static str) -> Result<Option<Tags>, BadCondition> {
    let mut lines = headers.get_all(name).iter().peekable();
    if lines.peek().is_none() {
        return Ok(None);
    }
    let mut found = Vec::new();
    let mut any = false;
    for line in lines {
        let line = line.to_str().map_err(|_| BadCondition(spelled))?.trim();
        if line == "*" {
            any = true;
        } else {
            list(line, &mut found).ok_or(BadCondition(spelled))?;
        }
    }
    match (any, found.is_empty()) {
        (true, true) => Ok(Some(Tags::Any)),
        (false, false) => Ok(Some(Tags::List(found))),
        _ => Err(BadCondition(spelled)),
    }
}

/// Reads `#entity-tag`. A comma may stand inside the quotes, so the list cannot just be split.
fn list(mut rest: &str, into: &mut Vec<Tag>) -> Option<()> {
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return Some(());
        }
        let (weak, quoted) = rest.strip_prefix("W/").map_or((false, rest), |rest| (true, rest));
        let (opaque, after) = quoted.strip_prefix('"')?.split_once('"')?;
        let valid = opaque.bytes().all(|byte| byte == 0x21 || (0x23..=0x7e).contains(&byte) || byte >= 0x80);
        rest = after.trim_start_matches([' ', '\t']);
        if !valid || into.len() >= MAX_TAGS || !(rest.is_empty() || rest.starts_with(',')) {
            return None;
        }
        into.push(Tag { weak, opaque: opaque.to_owned() });
    }
}

#[cfg(test)]
mod tests;
