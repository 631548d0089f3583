//! Everything that a user can reach.

use super::budget::Budget;
use super::cursor::{Cursor, Paged};
use super::walk::{Step, Walk};
use super::{Asked, MAX_PAGE, Page};
use crate::domain::answer::Access;
use crate::domain::rows::Entry;
use crate::domain::rules::{self, Describer};
use crate::domain::stop::{Stop, settle};
use crate::domain::{Fault, FileId, FilePath, ReadStore, UserId, tables};

/// Grants that one look reads.
const LOOK: usize = 64;

/// Every *file* that a user can reach: own ones in path order, then those in what was shared with the user, by the id
/// of what was shared, with their path in the owner's tree. What was shared twice, in itself and by a directory above
/// it, comes once, with the directory. `prefix` is a text that the paths start with.
///
/// # Errors
/// When the storage fails.
pub fn all(
    store: &dyn ReadStore,
    user: UserId,
    prefix: Option<&str>,
    cursor: Option<&str>,
    limit: usize,
) -> Asked<Page> {
    settle(Search::run(&Budget::new(store), user, prefix, cursor, limit.clamp(1, MAX_PAGE)))
}

/// Where a search has come to. `top` is the file id of what was shared, or 0 in the user's own tree; `after` is the
/// way from there to what was seen last, and empty before anything was.
#[derive(Clone)]
struct Place {
    top: u64,
    after: Vec<String>,
}

struct Search<'a> {
    store: &'a Budget<'a>,
    user: UserId,
    prefix: Prefix,
    describer: Describer<'a>,
    limit: usize,
    page: Page,
    /// Behind the last file of the page.
    last: Place,
}

/// Whether a search goes on.
enum Flow {
    On,
    /// The next page starts there.
    Stop(Place),
}

impl<'a> Search<'a> {
    fn run(
        store: &'a Budget<'a>,
        user: UserId,
        prefix: Option<&str>,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page, Stop> {
        let cursor = Cursor::read(Paged::Everything, cursor)?;
        let account = rules::account(store, user)?;
        let mut search = Self {
            store,
            user,
            prefix: Prefix::parse(prefix.unwrap_or_default()),
            describer: Describer::new(store),
            limit,
            page: Page::default(),
            last: Place { top: cursor.from, after: cursor.after.clone() },
        };
        let mut flow = Flow::On;
        if cursor.from == 0 {
            let root = tables::known_entry(store, account.root)?;
            flow = search.below(0, root, Vec::new(), Access::Owner, &cursor.after)?;
        }
        if let Flow::On = flow {
            flow = search.shared(cursor)?;
        }
        if let Flow::Stop(place) = flow {
            search.page.next = Some(Cursor::new(Paged::Everything, place.top, place.after).write());
        }
        Ok(search.page)
    }

    fn shared(&mut self, cursor: Cursor) -> Result<Flow, Stop> {
        let mut from = FileId(cursor.from.max(1));
        loop {
            let grants = tables::grants_of(self.store, self.user, from, LOOK)?;
            let Some(last) = grants.last() else { return Ok(Flow::On) };
            from = FileId(last.file_id.0.saturating_add(1));
            let full = grants.len() == LOOK;
            for grant in grants {
                let top = grant.file_id;
                if self.store.is_spent() {
                    return Ok(Flow::Stop(Place { top: top.0, after: Vec::new() }));
                }
                let Ok(reached) = settle(rules::reach_id(self.store, self.user, top))? else { continue };
                if reached.inherited.is_some() {
                    continue;
                }
                let after = if cursor.from == top.0 { &cursor.after[..] } else { &[] };
                let flow = if reached.entry.is_directory() {
                    let base = reached.path.components().to_vec();
                    self.below(top.0, reached.entry, base, reached.access, after)?
                } else if self.prefix.admits(&reached.path) {
                    let behind = Place { top: top.0.saturating_add(1), after: Vec::new() };
                    self.found(&reached.entry, reached.path, reached.access, behind)?
                } else {
                    Flow::On
                };
                if let Flow::Stop(_) = flow {
                    return Ok(flow);
                }
            }
            if !full {
                return Ok(Flow::On);
            }
        }
    }

    /// The files below a directory.
    fn below(
        &mut self,
        top: u64,
        directory: Entry,
        base: Vec<String>,
        access: Access,
        after: &[String],
    ) -> Result<Flow, Stop> {
        let Some((way, name)) = self.prefix.below(&base) else { return Ok(Flow::On) };
        let (way, name) = (way.to_vec(), name.to_owned());
        let depth = base.len();
        let Some((start, path, access)) = self.descend(directory, base, access, &way)? else { return Ok(Flow::On) };
        let after = after.strip_prefix(&way[..]).unwrap_or_default();
        let skipped = path[depth..].to_vec();
        let mut walk = Walk::new(self.store, self.user, &start, path, access, &name, after)?;
        let place = |walk: &Walk<'_>| Place { top, after: [&skipped[..], walk.place()].concat() };
        loop {
            if self.store.is_spent() {
                return Ok(Flow::Stop(place(&walk)));
            }
            match walk.step()? {
                Step::End => return Ok(Flow::On),
                Step::Other => {}
                Step::File(entry, path, access) => {
                    let flow = self.found(&entry, path, access, place(&walk))?;
                    if let Flow::Stop(_) = flow {
                        return Ok(flow);
                    }
                }
            }
        }
    }

    /// Goes down the way that the prefix prescribes.
    fn descend(
        &mut self,
        mut directory: Entry,
        mut path: Vec<String>,
        mut access: Access,
        way: &[String],
    ) -> Result<Option<(Entry, Vec<String>, Access)>, Fault> {
        for name in way {
            let Some(id) = tables::child(self.store, directory.file_id, name)? else { return Ok(None) };
            let Some(entry) = tables::entry(self.store, id)? else { return Ok(None) };
            directory = entry;
            let own = rules::access_through(self.store, self.user, directory.owner, &[id])?;
            access = own.map_or(access, |own| own.max(access));
            path.push(name.clone());
        }
        Ok(Some((directory, path, access)))
    }

    /// Takes a file into the page; one more than fit in says that there is a next page.
    fn found(&mut self, entry: &Entry, path: FilePath, access: Access, behind: Place) -> Result<Flow, Stop> {
        if self.page.stats.len() == self.limit {
            return Ok(Flow::Stop(self.last.clone()));
        }
        self.page.stats.push(self.describer.stat(entry, path, access)?);
        self.last = behind;
        Ok(Flow::On)
    }
}

/// A text that paths start with: whole components, and the beginning of the next one.
struct Prefix {
    whole: Vec<String>,
    begun: String,
}

impl Prefix {
    /// With or without a leading slash, as paths are.
    fn parse(text: &str) -> Self {
        let mut whole: Vec<String> = text.strip_prefix('/').unwrap_or(text).split('/').map(str::to_owned).collect();
        let begun = whole.pop().unwrap_or_default();
        Self { whole, begun }
    }

    fn admits(&self, path: &FilePath) -> bool {
        let components = path.components();
        components.len() > self.whole.len()
            && components.starts_with(&self.whole)
            && components[self.whole.len()].starts_with(&self.begun)
    }

    /// What must follow below a directory at `base`: components, and how the next one begins. Nothing when no path
    /// below it is admitted.
    fn below(&self, base: &[String]) -> Option<(&[String], &str)> {
        match self.whole.strip_prefix(base) {
            Some(way) => Some((way, &self.begun)),
            None => {
                let below = base.strip_prefix(&self.whole[..])?;
                below.first()?.starts_with(&self.begun).then_some((&[], ""))
            }
        }
    }
}
