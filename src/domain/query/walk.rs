//! The files of a subtree in path order, from any place in it. Goes by `Names` alone, so that it meets no directory without
//! a file in it: what it reads is what it shows, and the directories on the way.

use std::collections::VecDeque;

use crate::domain::answer::Access;
use crate::domain::rows::Entry;
use crate::domain::tables::keys;
use crate::domain::{Fault, FileId, FilePath, ReadStore, UserId, rules, tables};

/// Names that one look into a directory reads at most.
const LOOK: usize = 256;

/// What a walk comes to next.
pub(super) enum Step {
    /// A file, and what the user may do with it.
    File(Box<Entry>, FilePath, Access),
    /// A directory on the way.
    Other,
    End,
}

/// A directory on the way, and what is left to be seen in it.
struct Level {
    directory: FileId,
    access: Access,
    from: Vec<u8>,
    to: Option<Vec<u8>>,
    seen: VecDeque<(String, FileId)>,
}

impl Level {
    /// What comes after `name` in a directory, or all of it.
    fn new(directory: FileId, access: Access, after: Option<&String>) -> Self {
        let from = match after {
            Some(name) => keys::after(&keys::name(directory, name)),
            None => keys::entry(directory).to_vec(),
        };
        Self { directory, access, from, to: keys::end_of(&keys::entry(directory)), seen: VecDeque::new() }
    }

    fn next(&mut self, store: &dyn ReadStore) -> Result<Option<(String, FileId)>, Fault> {
        if self.seen.is_empty() {
            self.seen = tables::filled_between(store, &self.from, self.to.as_deref(), LOOK)?.into();
        }
        let next = self.seen.pop_front();
        if let Some((name, _)) = &next {
            self.from = keys::after(&keys::name(self.directory, name));
        }
        Ok(next)
    }
}

/// A walk below one directory, depth first: what is in a directory comes before what follows the directory. Paths are
/// in order when they are compared component by component.
pub(super) struct Walk<'a> {
    store: &'a dyn ReadStore,
    user: UserId,
    /// The path of the directory that the walk started in.
    base: Vec<String>,
    levels: Vec<Level>,
    /// The way from `base` to what was seen last: as many components as there are levels, or one less before a level
    /// has been looked into.
    place: Vec<String>,
}

impl<'a> Walk<'a> {
    /// Walks what is below `directory`, at the path `base`, comes after the relative path `after` and starts with
    /// `prefix` in its first component. `after` need not be there any more.
    pub(super) fn new(
        store: &'a dyn ReadStore,
        user: UserId,
        directory: &Entry,
        base: Vec<String>,
        access: Access,
        prefix: &str,
        after: &[String],
    ) -> Result<Self, Fault> {
        // A place outside of what the prefix admits comes from another search.
        let after = if after.first().is_some_and(|name| name.starts_with(prefix)) { after } else { &[] };
        let mut walk = Self { store, user, base, levels: Vec::new(), place: Vec::new() };
        let mut level = Level::new(directory.file_id, access, after.first());
        let start = keys::name(directory.file_id, prefix);
        level.to = keys::end_of(&start);
        level.from = level.from.max(start);
        walk.levels.push(level);
        for (position, name) in after.iter().enumerate() {
            walk.place.push(name.clone());
            let Some(above) = walk.levels.last() else { break };
            let Some(id) = tables::child(store, above.directory, name)? else { break };
            let Some(entry) = tables::entry(store, id)? else { break };
            if !entry.is_directory() {
                break;
            }
            let access = walk.access(above.access, &entry)?;
            walk.levels.push(Level::new(id, access, after.get(position + 1)));
        }
        Ok(walk)
    }

    /// The way from the walk's directory to what was seen last.
    pub(super) fn place(&self) -> &[String] {
        &self.place
    }

    pub(super) fn step(&mut self) -> Result<Step, Fault> {
        loop {
            let depth = self.levels.len();
            let Some(level) = self.levels.last_mut() else { return Ok(Step::End) };
            let Some((name, id)) = level.next(self.store)? else {
                self.levels.pop();
                continue;
            };
            let access = level.access;
            self.place.truncate(depth - 1);
            self.place.push(name);
            let Some(entry) = tables::entry(self.store, id)? else { return Ok(Step::Other) };
            let access = self.access(access, &entry)?;
            if entry.is_directory() {
                self.levels.push(Level::new(id, access, None));
                return Ok(Step::Other);
            }
            let path = self.base.iter().chain(&self.place).cloned().collect();
            // What no path can name is shown by no list.
            let Some(path) = FilePath::from_components(path) else { return Ok(Step::Other) };
            return Ok(Step::File(Box::new(entry), path, access));
        }
    }

    fn access(&self, above: Access, entry: &Entry) -> Result<Access, Fault> {
        let own = rules::access_through(self.store, self.user, entry.owner, &[entry.file_id])?;
        Ok(own.map_or(above, |own| own.max(above)))
    }
}
