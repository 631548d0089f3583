//! What one extent needs: which copies to verify, which to make, and what its record is to say then.
//!
//! The same judgement serves repairs, drains, walks and rebalancing. They differ only in how they find it.

use std::collections::BTreeMap;

use super::scene::{ReplicaState, Scene};
use crate::domain::rows::Extent;
use crate::domain::tables::{self, MAX_COPIES};
use crate::domain::terms::{NewHome, Receipt, Slot};
use crate::domain::{BlobId, CopyId, ExtentAt, Fault, ReadStore, Replica, ServerId, Sha256};

/// Copies of one blob on one server that were listed and whose rows are still there; more are not looked at. One disk has
/// one of them at the most.
const LISTED: usize = 16;
/// More places than copies are named, for servers that turn out not to take one.
const SPARE_TARGETS: usize = 2;

/// What is to be done for one extent, as its record was when this was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mend {
    pub at: ExtentAt,
    pub blob_id: BlobId,
    pub placement_rev: u64,
    pub size: u64,
    pub sha256: Sha256,
    /// How many copies count now.
    pub counted: usize,
    /// Copies that may be good, though they do not count: to be verified where they are.
    pub verify: Vec<(ServerId, CopyId)>,
    /// Who may have the bytes, the surest first.
    pub sources: Vec<ServerId>,
    /// Where copies can go, the best first.
    pub targets: Vec<ServerId>,
    /// How many copies have to be made if all that is verified turns out good.
    pub missing: usize,
    /// Copies that are to be deleted from servers named above. They are never taken for the blob's, and give way to a new
    /// one: it has an id of its own, so that a deletion that comes late does not hit it.
    listed: BTreeMap<ServerId, Vec<CopyId>>,
    /// Servers of the record that are being emptied.
    leaving: Vec<ServerId>,
    copies: usize,
    replicas: Vec<(Replica, ReplicaState)>,
    goal: Option<Vec<ServerId>>,
}

/// What an extent needs; nothing where it lacks nothing, or nothing can be done for it now.
///
/// # Errors
/// When the storage fails.
pub fn mend(
    store: &dyn ReadStore,
    scene: &Scene,
    at: ExtentAt,
    extent: &Extent,
    goal: Option<&[ServerId]>,
) -> Result<Option<Mend>, Fault> {
    let replicas: Vec<_> = extent.replicas.iter().map(|replica| (*replica, scene.state_of(replica))).collect();
    let with = |wanted: ReplicaState| replicas.iter().filter(move |(_, standing)| *standing == wanted);
    let counted = with(ReplicaState::Fit).chain(with(ReplicaState::Leaving)).count();
    let mut mend = Mend {
        at,
        blob_id: extent.blob_id,
        placement_rev: extent.placement_rev,
        size: extent.size,
        sha256: extent.sha256,
        counted,
        verify: Vec::new(),
        sources: sources(scene, &replicas),
        targets: Vec::new(),
        missing: 0,
        listed: BTreeMap::new(),
        leaving: extent.replicas.iter().map(|replica| replica.server_id).filter(|id| !scene.is_up(*id)).collect(),
        copies: scene.copies,
        replicas: replicas.clone(),
        goal: goal.map(<[ServerId]>::to_vec),
    };
    let fit = with(ReplicaState::Fit).count();
    // Nothing is dropped in favour of a copy whose server does not answer: it may be about to be declared down.
    let in_doubt = with(ReplicaState::Fit).any(|(replica, _)| !scene.answers(replica.server_id));
    if in_doubt && (goal.is_some() || fit >= scene.copies || with(ReplicaState::Leaving).next().is_some()) {
        return Ok(None);
    }
    if let Some(goal) = goal {
        // What is in danger is not moved about.
        if fit < scene.copies {
            return Ok(None);
        }
        mend.targets = mend.places(scene, goal.iter().copied());
        mend.missing = goal.iter().filter(|id| !mend.has(**id, ReplicaState::Fit)).count();
        mend.list(store)?;
        let possible = mend.targets.len() == mend.missing && (mend.missing == 0 || !mend.sources.is_empty());
        return Ok(Some(mend).filter(|mend| possible && (mend.missing > 0 || mend.settle(&[]).is_some())));
    }
    if fit < scene.copies {
        let there = |replica: &Replica| scene.is_up(replica.server_id) && scene.answers(replica.server_id);
        // A copy on a server that is being emptied is looked at only where no other is left.
        let last_hope = counted == 0;
        mend.verify = with(ReplicaState::Doubtful)
            .map(|(replica, _)| replica)
            .filter(|replica| there(replica) || (last_hope && scene.answers(replica.server_id)))
            .map(|replica| (replica.server_id, replica.copy_id))
            .collect();
        let staying = mend.verify.iter().filter(|(id, _)| scene.is_up(*id)).count();
        mend.missing = scene.copies.saturating_sub(fit + staying);
        let anchor =
            with(ReplicaState::Fit).chain(&replicas).next().map_or(ServerId(0), |(replica, _)| replica.server_id);
        mend.targets = mend.places(scene, scene.after(anchor));
        mend.targets.truncate(mend.missing + mend.verify.len() + SPARE_TARGETS);
        mend.list(store)?;
    }
    let copying = mend.missing > 0 && !mend.targets.is_empty() && !mend.sources.is_empty();
    Ok(Some(mend).filter(|mend| copying || !mend.verify.is_empty() || mend.settle(&[]).is_some()))
}

/// Copies that count come first, and servers that answer before those that do not. A doubtful copy can be a source, since
/// whoever takes its bytes compares them with the record's digest.
fn sources(scene: &Scene, replicas: &[(Replica, ReplicaState)]) -> Vec<ServerId> {
    let mut ranked: Vec<(u8, ServerId)> = replicas
        .iter()
        .filter_map(|(replica, standing)| {
            let rank = match standing {
                ReplicaState::Fit => 0,
                ReplicaState::Leaving => 1,
                ReplicaState::Doubtful => 2,
                ReplicaState::Gone => return None,
            };
            Some((rank, replica.server_id))
        })
        .filter(|(_, id)| scene.answers(*id))
        .collect();
    ranked.sort_by_key(|(rank, _)| *rank); // Stable: the record's order holds within a rank.
    ranked.into_iter().map(|(_, id)| id).collect()
}

impl Mend {
    /// Those of `candidates` where a copy can go: servers that are up, answer, have room, and of which the record names none.
    fn places(&self, scene: &Scene, candidates: impl Iterator<Item = ServerId>) -> Vec<ServerId> {
        candidates.filter(|id| !self.names(*id) && scene.answers(*id) && scene.takes(*id, self.size)).collect()
    }

    fn list(&mut self, store: &dyn ReadStore) -> Result<(), Fault> {
        let servers = self.targets.iter().copied().chain(self.verify.iter().map(|(id, _)| *id));
        for id in servers.collect::<Vec<_>>() {
            let listed = tables::garbage_of(store, id, self.blob_id, LISTED)?;
            if !listed.is_empty() {
                self.listed.insert(id, listed);
            }
        }
        Ok(())
    }

    /// The copies on a server that are to be deleted, and give way to a new one.
    pub fn listed_at(&self, id: ServerId) -> &[CopyId] {
        self.listed.get(&id).map_or(&[], Vec::as_slice)
    }

    /// Whether there are too few places, even if all goes well.
    pub(super) fn falls_short(&self) -> bool {
        self.missing > self.targets.len()
    }

    /// What the record is to say, given the copies that were verified or made; nothing where that changes nothing.
    ///
    /// As long as too few copies are fit, all that the record names stays named: whatever came back could then be
    /// verified rather than copied, and may be the last one. Once there are enough, only these stay.
    pub fn settle(&self, made: &[Receipt]) -> Option<NewHome> {
        let receipt = |id: ServerId| made.iter().find(|receipt| receipt.server_id == id).map(|made| Slot::Made(*made));
        let slots = match &self.goal {
            Some(goal) => {
                let kept = |id: ServerId| self.has(id, ReplicaState::Fit).then_some(Slot::Kept(id));
                goal.iter().map(|id| receipt(*id).or_else(|| kept(*id))).collect::<Option<Vec<_>>>()?
            }
            None => {
                let known = self.replicas.iter().filter_map(|(replica, standing)| {
                    let id = replica.server_id;
                    receipt(id).or_else(|| (*standing == ReplicaState::Fit).then_some(Slot::Kept(id)))
                });
                let new = made.iter().filter(|made| !self.names(made.server_id)).map(|made| Slot::Made(*made));
                let mut slots: Vec<Slot> = known.chain(new).collect();
                // One that was verified on a server which is being emptied stays only while it is needed.
                slots.sort_by_key(|slot| matches!(slot, Slot::Made(made) if self.is_leaving(made.server_id)));
                if slots.len() >= self.copies {
                    slots.truncate(self.copies);
                } else {
                    for wanted in [ReplicaState::Leaving, ReplicaState::Doubtful, ReplicaState::Gone] {
                        let others = self.replicas.iter().filter(|(_, standing)| *standing == wanted);
                        let others = others.map(|(replica, _)| replica.server_id);
                        slots.extend(others.filter(|id| receipt(*id).is_none()).map(Slot::Kept));
                    }
                    slots.truncate(usize::from(MAX_COPIES));
                }
                slots
            }
        };
        let changes = slots.iter().any(|slot| matches!(slot, Slot::Made(_))) || slots.len() != self.replicas.len();
        let order = self.replicas.iter().map(|(replica, _)| Slot::Kept(replica.server_id));
        let moved = self.goal.is_some() && !order.eq(slots.iter().copied());
        let (at, blob_id, placement_rev) = (self.at, self.blob_id, self.placement_rev);
        (changes || moved).then_some(NewHome { at, blob_id, placement_rev, slots })
    }

    fn is_leaving(&self, id: ServerId) -> bool {
        self.leaving.contains(&id)
    }

    fn has(&self, id: ServerId, wanted: ReplicaState) -> bool {
        self.replicas.iter().any(|(replica, standing)| replica.server_id == id && *standing == wanted)
    }

    /// How many copies have to be made, given what was verified.
    pub fn still_missing(&self, scene: &Scene, verified: &[Receipt]) -> usize {
        if self.goal.is_some() {
            return self.missing;
        }
        let fit = self.replicas.iter().filter(|(_, standing)| *standing == ReplicaState::Fit).count();
        let staying = verified.iter().filter(|receipt| scene.is_up(receipt.server_id)).count();
        self.copies.saturating_sub(fit + staying)
    }

    /// The copy that the record names there.
    pub fn copy_at(&self, id: ServerId) -> Option<CopyId> {
        self.replicas.iter().find(|(replica, _)| replica.server_id == id).map(|(replica, _)| replica.copy_id)
    }

    /// Whether the record names a copy there.
    fn names(&self, id: ServerId) -> bool {
        self.replicas.iter().any(|(replica, _)| replica.server_id == id)
    }
}
