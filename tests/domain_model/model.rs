//! The rules once more, in the most naive way: a map from paths to what is there. Written from the design's contract,
//! not from `apply`; it knows nothing of ids, tables, contents or extents.

use std::collections::BTreeMap;

use ringmaster::domain::answer::Access;
use ringmaster::domain::{Permission, RejectionKind};

use crate::acts::{Names, Values};
use crate::parts::InParts;
use crate::uploads::Sent;

/// A place: whose tree, and the names from its root.
pub(crate) type Place = (usize, Names);

#[derive(Clone, Debug)]
pub(crate) struct HeldLock {
    pub(crate) user: usize,
    pub(crate) fence: u64,
    pub(crate) deadline: u64,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    /// Nothing for a directory.
    pub(crate) version: Option<u64>,
    /// The file id, once it was told.
    pub(crate) id: Option<u64>,
    pub(crate) grants: BTreeMap<usize, Permission>,
    pub(crate) lock: Option<HeldLock>,
    /// What is in it: each commit brings something else.
    pub(crate) content: u64,
    /// What was in it by version, and until when that is kept.
    pub(crate) old: BTreeMap<u64, (u64, u64)>,
    /// Of a directory: what it says of how long it keeps.
    pub(crate) retention: Values,
    pub(crate) properties: BTreeMap<String, String>,
}

/// What was deleted, with all that was below it.
#[derive(Clone, Debug)]
pub(crate) struct Trashed {
    pub(crate) place: Place,
    /// The first is the deleted entry itself.
    pub(crate) nodes: Vec<(Place, Node)>,
    pub(crate) ends: u64,
}

/// How many older versions are kept, and for how long; and for how long what was deleted: where no directory says otherwise.
pub(crate) const KEEP: u32 = 2;
pub(crate) const VERSIONS_MS: u64 = 20_000;
pub(crate) const TRASH_MS: u64 = 15_000;

/// A token as it is sent: its fence, and whether the secret part is right.
pub(crate) type Proof = Option<(u64, bool)>;

/// `Some(true)`: a condition that names the version that is there.
pub(crate) type IfMatch = Option<bool>;

type Refused = RejectionKind;

#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub(crate) nodes: BTreeMap<Place, Node>,
    pub(crate) trash: Vec<Trashed>,
    /// All that were ever begun.
    pub(crate) uploads: Vec<Sent>,
    pub(crate) parts: Vec<InParts>,
    pub(crate) fence: u64,
    pub(crate) now: u64,
}

impl Model {
    pub(crate) fn new(users: usize) -> Self {
        let nodes = (0..users).map(|user| ((user, Vec::new()), Node::default())).collect();
        Self { nodes, ..Self::default() }
    }

    /// Ends somebody's lock. Answers nothing but whether there was one.
    pub(crate) fn break_lock(&mut self, user: usize, place: Option<&Place>) -> Result<(), Refused> {
        // The first user is the admin.
        let place = if user == 0 {
            place.filter(|place| self.nodes.contains_key(place)).cloned().ok_or(Refused::NotFound)?
        } else {
            let (place, access) = self.reach(user, place)?;
            if access < Access::Owner {
                return Err(Refused::Forbidden);
            }
            place
        };
        let node = self.nodes.get_mut(&place).expect("it was reached");
        node.lock.take().map(|_| ()).ok_or(Refused::NotFound)
    }

    /// The best that `user` has by grants on the first `lengths` beginnings of a place.
    fn granted(&self, user: usize, place: &Place, lengths: std::ops::Range<usize>) -> Option<Access> {
        if user == place.0 {
            return Some(Access::Owner);
        }
        lengths
            .filter_map(|length| self.nodes.get(&(place.0, place.1[..length].to_vec())))
            .filter_map(|node| node.grants.get(&user))
            .map(|permission| match permission {
                Permission::Read => Access::Read,
                Permission::Write => Access::Write,
            })
            .max()
    }

    pub(crate) fn access(&self, user: usize, place: &Place) -> Option<Access> {
        self.granted(user, place, 0..place.1.len() + 1)
    }

    fn reach(&self, user: usize, place: Option<&Place>) -> Result<(Place, Access), Refused> {
        let place = place.filter(|place| self.nodes.contains_key(place)).ok_or(Refused::NotFound)?;
        Ok((place.clone(), self.access(user, place).ok_or(Refused::NotFound)?))
    }

    /// Whether something new may come to a place.
    pub(crate) fn free(&self, user: usize, place: &Place) -> Result<(), Refused> {
        let there = |length: &usize| self.nodes.contains_key(&(place.0, place.1[..*length].to_vec()));
        let length = (0..=place.1.len()).rev().find(there).expect("every tree has a root");
        let access = self.granted(user, place, 0..length + 1).ok_or(Refused::NotFound)?;
        let nearest = &self.nodes[&(place.0, place.1[..length].to_vec())];
        if length == place.1.len() || nearest.version.is_some() {
            return Err(Refused::AlreadyExists);
        }
        if access < Access::Write { Err(Refused::Forbidden) } else { Ok(()) }
    }

    fn put(&mut self, place: &Place, node: Node) {
        for length in 1..place.1.len() {
            self.nodes.entry((place.0, place.1[..length].to_vec())).or_default();
        }
        self.nodes.insert(place.clone(), node);
    }

    pub(crate) fn create(&mut self, user: usize, place: &Place, content: Option<u64>) -> Result<Place, Refused> {
        self.free(user, place)?;
        self.put(place, Node { version: content.map(|_| 1), content: content.unwrap_or(0), ..Node::default() });
        Ok(place.clone())
    }

    /// What counts for a file, or for a directory and what is in it.
    fn retained(&self, place: &Place) -> (u32, u64, u64) {
        let (mut keep, mut versions_ms, mut trash_ms) = (KEEP, VERSIONS_MS, TRASH_MS);
        for length in 0..=place.1.len() {
            let own = self.nodes[&(place.0, place.1[..length].to_vec())].retention;
            keep = own.0.unwrap_or(keep);
            versions_ms = own.1.unwrap_or(versions_ms);
            trash_ms = own.2.unwrap_or(trash_ms);
        }
        (keep, versions_ms, trash_ms)
    }

    pub(crate) fn retain(&mut self, user: usize, place: Option<&Place>, values: Values) -> Result<(), Refused> {
        let place = self.owned(user, place)?;
        let node = self.nodes.get_mut(&place).expect("it was reached");
        if node.version.is_some() {
            return Err(Refused::InvalidRequest);
        }
        node.retention = values;
        Ok(())
    }

    /// Gives a file a new version.
    pub(crate) fn supersede(&mut self, place: &Place, content: u64) {
        let (keep, versions_ms, _) = self.retained(place);
        let ends = self.now + versions_ms;
        self.end_void_lock(place);
        let node = self.nodes.get_mut(place).expect("it may be updated");
        let version = node.version.expect("it is a file");
        if versions_ms > 0 {
            node.old.insert(version, (node.content, ends));
        }
        while node.old.len() > keep as usize {
            node.old.pop_first();
        }
        (node.version, node.content) = (Some(version + 1), content);
    }

    /// The content of the version that comes so many before the one that is there.
    pub(crate) fn back(&self, place: &Place, by: u64) -> Result<u64, Refused> {
        let node = &self.nodes[place];
        let version = node.version.expect("it is a file");
        match version.checked_sub(by) {
            Some(wanted) if wanted == version => Err(Refused::InvalidRequest),
            Some(wanted) => node.old.get(&wanted).map(|(content, _)| *content).ok_or(Refused::NotFound),
            None => Err(Refused::NotFound),
        }
    }

    pub(crate) fn copy(&mut self, user: usize, from: Option<&Place>, to: &Place) -> Result<Place, Refused> {
        let (from, _) = self.reach(user, from)?;
        let node = &self.nodes[&from];
        if node.version.is_none() {
            return Err(Refused::InvalidRequest);
        }
        let (content, properties) = (node.content, node.properties.clone());
        let to = self.create(user, to, Some(content))?;
        self.nodes.get_mut(&to).expect("it was made").properties = properties;
        Ok(to)
    }

    /// What a user has in the trash by this id.
    fn trashed(&self, user: usize, id: u64) -> Option<usize> {
        let ours = |trashed: &Trashed| trashed.place.0 == user && trashed.nodes[0].1.id == Some(id);
        self.trash.iter().position(ours)
    }

    pub(crate) fn untrash(&mut self, user: usize, id: u64, names: Option<&Names>) -> Result<Place, Refused> {
        let at = self.trashed(user, id).ok_or(Refused::NotFound)?;
        let to = match names {
            Some(names) => (user, names.clone()),
            None => self.trash[at].place.clone(),
        };
        self.free(user, &to)?;
        let trashed = self.trash.remove(at);
        for (mut place, node) in trashed.nodes {
            place.1.splice(..trashed.place.1.len(), to.1.iter().cloned());
            self.put(&place, node);
        }
        Ok(to)
    }

    pub(crate) fn empty(&mut self, user: usize, id: Option<u64>) -> Result<(), Refused> {
        match id {
            Some(id) => drop(self.trash.remove(self.trashed(user, id).ok_or(Refused::NotFound)?)),
            None => self.trash.retain(|trashed| trashed.place.0 != user),
        }
        Ok(())
    }

    /// The lock that keeps others out: it goes with its holder's right to write.
    pub(crate) fn standing(&self, place: &Place) -> Option<&HeldLock> {
        let lock = self.nodes[place].lock.as_ref()?;
        (self.access(lock.user, place) >= Some(Access::Write)).then_some(lock)
    }

    /// What is locked by others may not be changed; of a directory, what is below it.
    pub(crate) fn unlocked(&self, place: &Place, user: usize, proof: Proof) -> Result<(), Refused> {
        let free = if self.nodes[place].version.is_none() {
            let below = self.nodes.keys().filter(|other| other.0 == place.0 && other.1.starts_with(&place.1));
            proof.is_none() && below.filter_map(|other| self.standing(other)).all(|lock| lock.user == user)
        } else {
            match (self.standing(place), proof) {
                (None, None) => true,
                (None, Some(_)) | (Some(_), None) => false,
                (Some(lock), Some((fence, genuine))) => lock.user == user && lock.fence == fence && genuine,
            }
        };
        if free { Ok(()) } else { Err(Refused::Locked) }
    }

    /// A lock that keeps nobody out does not come back after a change.
    pub(crate) fn end_void_lock(&mut self, place: &Place) {
        if self.standing(place).is_none() {
            self.nodes.get_mut(place).expect("it is there").lock = None;
        }
    }

    pub(crate) fn may_update(
        &self,
        user: usize,
        place: Option<&Place>,
        proof: Proof,
        condition: IfMatch,
    ) -> Result<Place, Refused> {
        let (place, access) = self.reach(user, place)?;
        let node = &self.nodes[&place];
        if node.version.is_none() {
            return Err(Refused::InvalidRequest);
        }
        if access < Access::Write {
            return Err(Refused::Forbidden);
        }
        self.unlocked(&place, user, proof)?;
        if condition == Some(false) { Err(Refused::VersionConflict) } else { Ok(place) }
    }

    pub(crate) fn relocate(
        &mut self,
        user: usize,
        from: Option<&Place>,
        to: &Place,
        proof: Proof,
    ) -> Result<Place, Refused> {
        let (from, _) = self.reach(user, from)?;
        if from.1.is_empty() {
            return Err(Refused::InvalidRequest);
        }
        if self.granted(user, &from, 0..from.1.len()) < Some(Access::Write) {
            return Err(Refused::Forbidden);
        }
        self.free(user, to)?;
        if from.0 != to.0 || to.1.starts_with(&from.1) {
            return Err(Refused::InvalidRequest);
        }
        self.unlocked(&from, user, proof)?;
        if self.nodes[&from].version.is_some() {
            self.end_void_lock(&from);
        }
        for (mut place, node) in self.take(&from) {
            place.1.splice(..from.1.len(), to.1.iter().cloned());
            self.put(&place, node);
        }
        Ok(to.clone())
    }

    /// Takes out everything at and below a place.
    fn take(&mut self, place: &Place) -> Vec<(Place, Node)> {
        let gone = |other: &Place| other.0 == place.0 && other.1.starts_with(&place.1);
        let places: Vec<_> = self.nodes.keys().filter(|other| gone(other)).cloned().collect();
        places.into_iter().filter_map(|place| self.nodes.remove_entry(&place)).collect()
    }

    pub(crate) fn delete(
        &mut self,
        user: usize,
        place: Option<&Place>,
        recursive: bool,
        proof: Proof,
        condition: IfMatch,
        permanently: bool,
    ) -> Result<(), Refused> {
        let (place, access) = self.reach(user, place)?;
        if place.1.is_empty() {
            return Err(Refused::InvalidRequest);
        }
        let node = &self.nodes[&place];
        let owner = access == Access::Owner;
        let above = self.granted(user, &place, 0..place.1.len());
        if above < Some(Access::Write) || (!owner && !node.grants.is_empty()) {
            return Err(Refused::Forbidden);
        }
        let below =
            |other: &Place| other.0 == place.0 && other.1.len() > place.1.len() && other.1.starts_with(&place.1);
        if self.nodes.keys().any(below) {
            if !recursive {
                return Err(Refused::NotEmpty);
            }
            if !owner {
                return Err(Refused::Forbidden);
            }
        }
        self.unlocked(&place, user, proof)?;
        if condition == Some(false) {
            return Err(Refused::VersionConflict);
        }
        let (_, _, trash_ms) = self.retained(&place);
        let mut nodes = self.take(&place);
        let empty = nodes.len() == 1 && nodes[0].1.version.is_none();
        if !permanently && !empty && trash_ms > 0 {
            // Those below go on, out of reach, and may be held again.
            nodes[0].1.lock = None;
            self.trash.push(Trashed { place, nodes, ends: self.now + trash_ms });
        }
        Ok(())
    }

    fn owned(&self, user: usize, place: Option<&Place>) -> Result<Place, Refused> {
        let (place, access) = self.reach(user, place)?;
        if access == Access::Owner { Ok(place) } else { Err(Refused::Forbidden) }
    }

    pub(crate) fn share(
        &mut self,
        user: usize,
        place: Option<&Place>,
        with: usize,
        permission: Permission,
    ) -> Result<(), Refused> {
        let place = self.owned(user, place)?;
        if with == user {
            return Err(Refused::InvalidRequest);
        }
        self.nodes.get_mut(&place).expect("it was reached").grants.insert(with, permission);
        Ok(())
    }

    pub(crate) fn unshare(&mut self, user: usize, place: Option<&Place>, with: usize) -> Result<(), Refused> {
        let place = self.owned(user, place)?;
        let grants = &mut self.nodes.get_mut(&place).expect("it was reached").grants;
        grants.remove(&with).map(|_| ()).ok_or(Refused::NotFound)
    }

    pub(crate) fn leave(&mut self, user: usize, place: Option<&Place>) -> Result<(), Refused> {
        let (place, _) = self.reach(user, place)?;
        let grants = &mut self.nodes.get_mut(&place).expect("it was reached").grants;
        grants.remove(&user).map(|_| ()).ok_or(Refused::NotFound)
    }

    /// Answers with the fence.
    pub(crate) fn lock(&mut self, user: usize, place: Option<&Place>, ttl_ms: u64) -> Result<u64, Refused> {
        if ttl_ms < 1000 {
            return Err(Refused::InvalidRequest);
        }
        let (place, access) = self.reach(user, place)?;
        if self.nodes[&place].version.is_none() {
            return Err(Refused::InvalidRequest);
        }
        if access < Access::Write {
            return Err(Refused::Forbidden);
        }
        if self.standing(&place).is_some() {
            return Err(Refused::Locked);
        }
        let node = self.nodes.get_mut(&place).expect("it was reached");
        self.fence += 1;
        node.lock = Some(HeldLock { user, fence: self.fence, deadline: self.now + ttl_ms });
        Ok(self.fence)
    }

    fn held(&self, user: usize, proof: Proof) -> Result<Place, Refused> {
        let (fence, genuine) = proof.expect("renew and unlock always bring a token");
        let holds =
            |node: &Node| node.lock.as_ref().is_some_and(|lock| lock.user == user && lock.fence == fence && genuine);
        let held = self.nodes.iter().find(|(_, node)| holds(node));
        held.map(|(place, _)| place.clone()).ok_or(Refused::Locked)
    }

    pub(crate) fn renew(&mut self, user: usize, proof: Proof, ttl_ms: u64) -> Result<u64, Refused> {
        let place = self.held(user, proof)?;
        match self.access(user, &place) {
            None => return Err(Refused::NotFound),
            Some(Access::Read) => return Err(Refused::Forbidden),
            Some(_) => {}
        }
        let deadline = self.now + ttl_ms;
        let lock = self.nodes.get_mut(&place).expect("it was found").lock.as_mut().expect("it is held");
        lock.deadline = deadline;
        Ok(lock.fence)
    }

    pub(crate) fn unlock(&mut self, user: usize, proof: Proof) -> Result<(), Refused> {
        let place = self.held(user, proof)?;
        self.nodes.get_mut(&place).expect("it was found").lock = None;
        Ok(())
    }

    pub(crate) fn expire(&mut self) {
        let now = self.now;
        let trashed = self.trash.iter_mut().flat_map(|trashed| trashed.nodes.iter_mut().map(|(_, node)| node));
        for node in self.nodes.values_mut().chain(trashed) {
            node.lock = node.lock.take().filter(|lock| lock.deadline > now);
            node.old.retain(|_, (_, ends)| *ends > now);
        }
        self.trash.retain(|trashed| trashed.ends > now);
        self.end_uploads();
    }

    pub(crate) fn by_id(&self, id: u64) -> Option<&Place> {
        self.nodes.iter().find(|(_, node)| node.id == Some(id)).map(|(place, _)| place)
    }
}
