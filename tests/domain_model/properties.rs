//! What users say of an entry, by names of their own.

use ringmaster::domain::rows::Property;
use ringmaster::domain::terms::{FileRef, PathRef};
use ringmaster::domain::{Command, RejectionKind, command, query};

use crate::acts::{Said, Step};
use crate::model::{IfMatch, Model, Place, Proof};
use crate::stage::{Stage, Verdict, path, user_id, username};

/// Names and values of one entry.
const MAX_BYTES: usize = 64 * 1024;

impl Said {
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (String, String)> {
        self.set.iter().map(|(name, length)| (name.to_string(), "v".repeat(*length)))
    }
}

impl Model {
    fn say(
        &mut self,
        user: usize,
        place: Option<&Place>,
        said: &Said,
        proof: Proof,
        condition: IfMatch,
    ) -> Result<(), RejectionKind> {
        let place = place.filter(|place| self.nodes.contains_key(place)).ok_or(RejectionKind::NotFound)?.clone();
        let access = self.access(user, &place).ok_or(RejectionKind::NotFound)?;
        if access < ringmaster::domain::answer::Access::Write {
            return Err(RejectionKind::Forbidden);
        }
        let mut names: Vec<char> = said.set.iter().map(|(name, _)| *name).chain(said.remove.iter().copied()).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        let bytes: usize = said.pairs().map(|(name, value)| name.len() + value.len()).sum();
        if all == 0 || names.len() < all || bytes > MAX_BYTES {
            return Err(RejectionKind::InvalidRequest);
        }
        if self.nodes[&place].version.is_some() {
            self.unlocked(&place, user, proof)?;
        } else if proof.is_some() {
            return Err(RejectionKind::Locked);
        }
        if condition == Some(false) {
            return Err(RejectionKind::VersionConflict);
        }
        let mut properties = self.nodes[&place].properties.clone();
        for name in &said.remove {
            properties.remove(&name.to_string());
        }
        properties.extend(said.pairs());
        if properties.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > MAX_BYTES {
            return Err(RejectionKind::InvalidRequest);
        }
        self.end_void_lock(&place);
        self.nodes.get_mut(&place).expect("it is there").properties = properties;
        Ok(())
    }
}

impl Stage {
    pub(crate) fn cue_properties(
        &mut self,
        step: &Step,
        (file, place): (FileRef, Option<Place>),
        said: &Said,
    ) -> (Command, Verdict) {
        let (lock, proof) = self.token(&said.token);
        let (precondition, matches) = self.condition(said.condition, place.as_ref());
        let verdict = self.model.say(step.user, place.as_ref(), said, proof, matches);
        let set = said.pairs().map(|(name, value)| Property { name, value }).collect();
        let remove = said.remove.iter().map(char::to_string).collect();
        let command = command::SetProperties { user: user_id(step.user), file, set, remove, precondition, lock };
        (command.into(), verdict.map(|()| (None, None)))
    }

    /// Every entry has what the model says.
    pub(crate) fn assert_properties_as_modelled(&self) {
        for (place, node) in &self.model.nodes {
            let file = FileRef::Path(PathRef { owner: Some(username(place.0)), path: path(&place.1) });
            let found = query::properties(&self.store, user_id(place.0), &file).expect("no fault in memory");
            let found = found.expect("it is there").properties.into_iter();
            assert!(found.map(|one| (one.name, one.value)).eq(node.properties.clone()), "{place:?}");
        }
    }
}
