//! One place as one copy of it would be: what each request may answer, and what it leaves behind.

use super::{Act, Moment, Op, Outcome, Refusal, SLOTS, Seen, Tag};

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct State {
    pub(super) slots: [Option<File>; SLOTS],
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct File {
    /// Nothing while the answer to its creation was lost and nobody has seen it since.
    pub(super) id: Option<u64>,
    pub(super) version: u64,
    pub(super) tag: Tag,
    pub(super) lock: Option<Held>,
    /// Of the last lock that anybody was told of.
    last_fence: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Held {
    /// Nothing while the answer to the lock was lost and nobody has seen it since.
    pub(super) fence: Option<u64>,
    /// It does not end by itself before this. It may hold for longer: a new leader watches it from the start.
    pub(super) until: Moment,
}

/// Whether a request may be done, and what it may be refused for instead.
#[derive(Default)]
struct Verdict {
    may: bool,
    refusals: Vec<Refusal>,
}

impl Verdict {
    fn may() -> Self {
        Self { may: true, refusals: Vec::new() }
    }

    fn not(refusal: Refusal) -> Self {
        Self { may: false, refusals: vec![refusal] }
    }
}

impl State {
    /// The state after a request that ended as it did, or nothing where it cannot end so here. A request of unknown
    /// outcome has an effect: that it has none is the same as that it never happens.
    pub(super) fn step(&self, op: &Op) -> Option<Self> {
        let verdict = self.verdict(&op.act);
        match &op.outcome {
            Outcome::Refused(refusal) => verdict.refusals.contains(refusal).then(|| self.clone()),
            Outcome::NotDone => None,
            told => {
                if !verdict.may {
                    return None;
                }
                let mut next = self.clone();
                next.run(op, told).then_some(next)
            }
        }
    }

    /// The state after the lock on a slot has run out, where it may have by `now`.
    pub(super) fn expired(&self, slot: usize, now: Moment) -> Option<Self> {
        let held = self.slots[slot].as_ref()?.lock.as_ref()?;
        if held.until > now {
            return None;
        }
        let mut next = self.clone();
        next.slots[slot].as_mut()?.lock = None;
        Some(next)
    }

    fn verdict(&self, act: &Act) -> Verdict {
        let file = |slot: &usize| self.slots[*slot].as_ref();
        match act {
            Act::Write { slot, .. } => match file(slot) {
                Some(_) => Verdict::not(Refusal::Exists),
                None => Verdict::may(),
            },
            Act::Read { slot } | Act::Stat { slot } => match file(slot) {
                Some(_) => Verdict::may(),
                None => Verdict::not(Refusal::NotFound),
            },
            // Of a directory that nobody has written to yet there is none.
            Act::List => {
                let refusals =
                    if self.slots.iter().all(Option::is_none) { vec![Refusal::NotFound] } else { Vec::new() };
                Verdict { may: true, refusals }
            }
            Act::Update { slot, if_match, token, .. } => {
                let Some(file) = file(slot) else { return Verdict::not(Refusal::NotFound) };
                let mut verdict = file.opens_to(*token);
                let differs = if_match.is_some_and(|(id, version)| file.id != Some(id) || file.version != version);
                if verdict.may && differs {
                    verdict.may = false;
                    verdict.refusals.push(Refusal::Conflict);
                }
                verdict
            }
            Act::Delete { slot, token } => match file(slot) {
                Some(file) => file.opens_to(*token),
                None => Verdict::not(Refusal::NotFound),
            },
            Act::Move { from, to, token } => match (file(from), file(to)) {
                (None, _) => Verdict::not(Refusal::NotFound),
                (Some(_), Some(_)) => Verdict::not(Refusal::Exists),
                (Some(file), None) => file.opens_to(*token),
            },
            Act::Copy { from, to } => match (file(from), file(to)) {
                (None, _) => Verdict::not(Refusal::NotFound),
                (Some(_), Some(_)) => Verdict::not(Refusal::Exists),
                (Some(_), None) => Verdict::may(),
            },
            Act::Lock { slot, .. } => match file(slot).map(|file| &file.lock) {
                None => Verdict::not(Refusal::NotFound),
                Some(Some(_)) => Verdict::not(Refusal::Locked),
                Some(None) => Verdict::may(),
            },
            Act::Renew { token, .. } | Act::Unlock { token } => match self.locked_by(*token) {
                Some(_) => Verdict::may(),
                None => Verdict::not(Refusal::Locked),
            },
        }
    }

    /// The effect of a request that may be done. Whether the answer fits.
    fn run(&mut self, op: &Op, told: &Outcome) -> bool {
        let ending = |ttl: Moment| op.invoked.saturating_add(ttl);
        match &op.act {
            Act::Write { slot, tag } => {
                let mut file = File { id: None, version: 1, tag: *tag, lock: None, last_fence: 0 };
                let fits = file.fits_told(told);
                self.slots[*slot] = Some(file);
                fits
            }
            Act::Copy { from, to } => self.slots[*from].as_ref().map(|file| file.tag).is_some_and(|tag| {
                let mut file = File { id: None, version: 1, tag, lock: None, last_fence: 0 };
                let fits = file.fits_told(told);
                self.slots[*to] = Some(file);
                fits
            }),
            Act::Update { slot, tag, .. } => self.slots[*slot].as_mut().is_some_and(|file| {
                (file.version, file.tag) = (file.version + 1, *tag);
                file.fits_told(told)
            }),
            Act::Move { from, to, .. } => {
                self.slots[*to] = self.slots[*from].take();
                self.slots[*to].as_mut().is_some_and(|file| file.fits_told(told))
            }
            Act::Delete { slot, .. } => {
                self.slots[*slot] = None;
                true
            }
            Act::Lock { slot, ttl } => self.slots[*slot].as_mut().is_some_and(|file| {
                let fence = if let Outcome::Fence(fence) = told { Some(*fence) } else { None };
                let grows = fence.is_none_or(|fence| fence > file.last_fence);
                file.lock = Some(Held { fence, until: ending(*ttl) });
                file.last_fence = fence.unwrap_or(file.last_fence);
                grows
            }),
            Act::Renew { token, ttl } => {
                let held = self.locked_by(*token).and_then(|slot| self.slots[slot].as_mut()?.lock.as_mut());
                held.is_some_and(|held| {
                    held.until = ending(*ttl);
                    matches!(told, Outcome::Unknown) || *told == Outcome::Fence(*token)
                })
            }
            Act::Unlock { token } => {
                let file = self.locked_by(*token).and_then(|slot| self.slots[slot].as_mut());
                file.is_some_and(|file| file.lock.take().is_some())
            }
            Act::Read { slot } | Act::Stat { slot } => {
                self.slots[*slot].as_mut().is_some_and(|file| file.fits_told(told))
            }
            Act::List => match told {
                Outcome::Listing(rows) => self.slots.iter_mut().zip(rows).all(|(file, row)| match (file, row) {
                    (None, None) => true,
                    (Some(file), Some((seen, lock))) => file.fits(seen) && file.fits_lock(*lock),
                    _ => false,
                }),
                _ => false,
            },
        }
    }

    fn locked_by(&self, token: u64) -> Option<usize> {
        let holds = |file: &File| file.lock.as_ref().is_some_and(|held| held.fence == Some(token));
        self.slots.iter().position(|file| file.as_ref().is_some_and(holds))
    }
}

impl File {
    /// Whether a change that comes with this token may be made.
    fn opens_to(&self, token: Option<u64>) -> Verdict {
        match (&self.lock, token) {
            (None, None) => Verdict::may(),
            (Some(held), Some(token)) if held.fence == Some(token) => Verdict::may(),
            // Whoever sends a token relies on a lock; where there is none, or another one, that is an error.
            (Some(_), _) | (None, Some(_)) => Verdict::not(Refusal::Locked),
        }
    }

    fn fits_told(&mut self, told: &Outcome) -> bool {
        match told {
            Outcome::Unknown => true,
            Outcome::File(seen) => self.fits(seen),
            Outcome::Stat(seen, lock) => self.fits(seen) && self.fits_lock(*lock),
            _ => false,
        }
    }

    /// Whether this is what was seen. What was not known yet is known now.
    fn fits(&mut self, seen: &Seen) -> bool {
        self.version == seen.version && self.tag == seen.tag && *self.id.get_or_insert(seen.id) == seen.id
    }

    fn fits_lock(&mut self, told: Option<u64>) -> bool {
        match (&mut self.lock, told) {
            (None, None) => true,
            (Some(held), Some(fence)) => {
                if held.fence.is_none() && fence > self.last_fence {
                    held.fence = Some(fence);
                    self.last_fence = fence;
                }
                held.fence == Some(fence)
            }
            _ => false,
        }
    }
}
