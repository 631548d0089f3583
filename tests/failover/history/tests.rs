//! The check is checked: what is wrong is found, and what is right is not found wrong.

use super::{Act, Moment, Op, Outcome, Refusal, SLOTS, Seen, Tag, check};
use crate::dice::Dice;

/// A history under construction; moments in milliseconds.
#[derive(Default)]
struct Story(Vec<Op>);

const fn seen(id: u64, version: u64, tag: Tag) -> Seen {
    Seen { id, version, tag }
}

const fn file(id: u64, version: u64, tag: Tag) -> Outcome {
    Outcome::File(seen(id, version, tag))
}

impl Story {
    fn op(mut self, client: u32, from: Moment, to: Moment, act: Act, outcome: Outcome) -> Self {
        self.0.push(Op { client, place: 1, act, invoked: from * 1000, returned: to * 1000, outcome });
        self
    }

    fn write(self, client: u32, from: Moment, to: Moment, tag: Tag, outcome: Outcome) -> Self {
        self.op(client, from, to, Act::Write { slot: 0, tag }, outcome)
    }

    fn update(self, client: u32, from: Moment, to: Moment, tag: Tag, outcome: Outcome) -> Self {
        self.op(client, from, to, Act::Update { slot: 0, tag, if_match: None, token: None }, outcome)
    }

    fn read(self, client: u32, from: Moment, to: Moment, outcome: Outcome) -> Self {
        self.op(client, from, to, Act::Read { slot: 0 }, outcome)
    }

    fn delete(self, client: u32, from: Moment, to: Moment, outcome: Outcome) -> Self {
        self.op(client, from, to, Act::Delete { slot: 0, token: None }, outcome)
    }

    fn lock(self, client: u32, from: Moment, to: Moment, ttl: Moment, outcome: Outcome) -> Self {
        self.op(client, from, to, Act::Lock { slot: 0, ttl: ttl * 1000 }, outcome)
    }

    /// A file 7 of one version with content 1.
    fn one_file() -> Self {
        Self::default().write(0, 0, 10, 1, file(7, 1, 1))
    }

    #[track_caller]
    fn is_wrong(&self, what: &str) {
        let found = check(&self.0);
        assert!(found.iter().any(|message| message.contains(what)), "expected {what:?}, found {found:#?}");
    }

    #[track_caller]
    fn is_right(&self) {
        assert_eq!(check(&self.0), Vec::<String>::new());
    }
}

const GONE: Outcome = Outcome::Refused(Refusal::NotFound);
const LOCKED: Outcome = Outcome::Refused(Refusal::Locked);
const fn listing(first: Option<Seen>, second: Option<Seen>) -> Outcome {
    Outcome::Listing([with_no_lock(first), with_no_lock(second), None])
}
const fn with_no_lock(seen: Option<Seen>) -> Option<(Seen, Option<u64>)> {
    match seen {
        Some(seen) => Some((seen, None)),
        None => None,
    }
}

#[test]
fn an_acknowledged_write_that_is_lost_is_found() {
    Story::one_file().read(1, 20, 30, GONE).is_wrong("an acknowledged file is gone");
    Story::one_file().write(1, 20, 30, 2, file(8, 1, 2)).is_wrong("its name was given again");
    Story::one_file().op(1, 20, 30, Act::List, listing(None, None)).is_wrong("a listing lacks an acknowledged file");
    Story::one_file().op(1, 20, 30, Act::List, GONE).is_wrong("an acknowledged file is gone");
    let two = Story::one_file().update(0, 20, 30, 2, file(7, 2, 2));
    two.update(1, 40, 50, 3, file(7, 2, 3)).is_wrong("an acknowledged change was lost");
    let two = Story::one_file().update(0, 20, 30, 2, file(7, 2, 2)).update(1, 25, 50, 3, Outcome::Unknown);
    two.read(1, 60, 70, file(7, 2, 3)).is_wrong("two contents for one version");
}

#[test]
fn a_change_that_was_applied_twice_is_found() {
    Story::one_file().update(0, 20, 30, 2, file(7, 3, 2)).is_wrong("versions were skipped");
    Story::one_file()
        .update(0, 20, 30, 2, file(7, 2, 2))
        .read(1, 40, 50, file(7, 3, 2))
        .is_wrong("versions were skipped");
    // Of unknown outcome, under one Idempotency-Key: once as version 2, and once more as version 3.
    let unknown = Story::one_file().update(0, 20, 30, 2, Outcome::Unknown).read(1, 40, 50, file(7, 2, 2));
    unknown.read(1, 60, 70, file(7, 3, 2)).is_wrong("versions were skipped");
    // Two unknown ones explain two versions and no third.
    let unknown = Story::one_file().update(0, 20, 30, 2, Outcome::Unknown).update(1, 20, 30, 3, Outcome::Unknown);
    unknown.update(2, 40, 50, 4, file(7, 5, 4)).is_wrong("versions were skipped");
}

#[test]
fn a_stale_read_is_found() {
    let two = || Story::one_file().update(0, 20, 30, 2, file(7, 2, 2));
    two().read(1, 40, 50, file(7, 1, 1)).is_wrong("a stale read");
    let stat = Outcome::Stat(seen(7, 1, 1), None);
    two().op(1, 40, 50, Act::Stat { slot: 0 }, stat).is_wrong("a stale read");
    two().op(1, 40, 50, Act::List, listing(Some(seen(7, 1, 1)), None)).is_wrong("a stale read");
    let conflict = Outcome::Refused(Refusal::Conflict);
    let update = Act::Update { slot: 0, tag: 3, if_match: Some((7, 2)), token: None };
    two().op(1, 40, 50, update, conflict).is_wrong("refused for another version");
    let update = Act::Update { slot: 0, tag: 3, if_match: Some((7, 1)), token: None };
    two().op(1, 40, 50, update, file(7, 3, 3)).is_wrong("its condition did not hold");
}

#[test]
fn a_read_that_goes_back_in_time_between_clients_is_found() {
    let seen_once = Story::one_file().update(0, 20, 90, 2, file(7, 2, 2)).read(1, 30, 40, file(7, 2, 2));
    seen_once.read(2, 50, 60, file(7, 1, 1)).is_wrong("a stale read");
    let seen_once = Story::one_file().update(0, 20, 30, 2, Outcome::Unknown).read(1, 40, 50, file(7, 2, 2));
    seen_once.read(2, 60, 70, file(7, 1, 1)).is_wrong("a stale read");
}

#[test]
fn bytes_that_nobody_wrote_are_found() {
    Story::one_file().read(1, 20, 30, file(7, 1, 9)).is_wrong("nobody ever wrote");
    Story::one_file().read(1, 20, 30, file(7, 2, 2)).update(2, 40, 50, 2, file(7, 2, 2)).is_wrong("only later");
    let refused = Story::one_file().update(0, 20, 30, 2, Outcome::NotDone);
    refused.read(1, 40, 50, file(7, 2, 2)).is_wrong("was told that it was not done");
}

#[test]
fn a_change_that_was_not_done_and_took_effect_is_found() {
    let deleted = Story::one_file().delete(0, 20, 30, Outcome::NotDone);
    deleted.read(1, 40, 50, GONE).is_wrong("an acknowledged file is gone");
    let locked = || Story::one_file().lock(0, 20, 30, 1000, Outcome::NotDone);
    locked().update(1, 40, 50, 2, LOCKED).is_wrong("nobody can hold a lock");
    let shown = Outcome::Stat(seen(7, 1, 1), Some(4));
    locked().op(1, 40, 50, Act::Stat { slot: 0 }, shown).is_wrong("a lock is shown that nobody holds");
    let moved = || Story::one_file().op(0, 20, 30, Act::Move { from: 0, to: 1, token: None }, Outcome::NotDone);
    moved().read(1, 40, 50, GONE).is_wrong("an acknowledged file is gone");
    moved().op(1, 40, 50, Act::Read { slot: 1 }, file(7, 1, 1)).is_wrong("a deleted file is still there");
}

#[test]
fn a_deleted_file_that_is_still_there_is_found() {
    let deleted = || Story::one_file().delete(0, 20, 30, Outcome::Done);
    deleted().read(1, 40, 50, file(7, 1, 1)).is_wrong("a deleted file is still there");
    deleted().write(1, 40, 50, 2, Outcome::Refused(Refusal::Exists)).is_wrong("a deleted file is still there");
    deleted().update(1, 40, 50, 2, file(7, 2, 2)).is_wrong("a deleted file is still there");
    deleted().op(1, 40, 50, Act::List, listing(Some(seen(7, 1, 1)), None)).is_wrong("a deleted file is still there");
    let again = deleted().write(1, 40, 50, 2, file(8, 1, 2));
    again.read(2, 60, 70, file(7, 1, 1)).is_wrong("another file than the one that is there");
    let moved = Story::one_file().op(0, 20, 30, Act::Move { from: 0, to: 1, token: None }, file(7, 1, 1));
    moved.read(1, 40, 50, file(7, 1, 1)).is_wrong("a deleted file is still there");
}

#[test]
fn a_change_of_unknown_outcome_that_is_taken_for_absent_is_found() {
    let unknown = || Story::default().write(0, 0, 10, 1, Outcome::Unknown).read(1, 20, 30, file(7, 1, 1));
    unknown().read(2, 40, 50, GONE).is_wrong("an acknowledged file is gone");
    let unknown = Story::one_file().delete(0, 20, 30, Outcome::Unknown).read(1, 40, 50, GONE);
    unknown.read(2, 60, 70, file(7, 1, 1)).is_wrong("a deleted file is still there");
}

#[test]
fn a_lock_that_is_held_by_two_is_found() {
    let locked = || Story::one_file().lock(0, 20, 30, 1000, Outcome::Fence(4));
    locked().lock(1, 40, 50, 1000, Outcome::Fence(5)).is_wrong("held by two");
    // It ends a second after it was asked for, and not before.
    locked().lock(1, 1000, 1010, 1000, Outcome::Fence(5)).is_wrong("held by two");
    locked().lock(1, 1010, 1021, 1000, Outcome::Fence(5)).is_right();
    let renew = Act::Renew { token: 4, ttl: 2_000_000 };
    locked()
        .op(0, 100, 110, renew, Outcome::Fence(4))
        .lock(1, 2000, 2050, 9, Outcome::Fence(5))
        .is_wrong("held by two");
    locked().op(1, 40, 50, Act::Stat { slot: 0 }, Outcome::Stat(seen(7, 1, 1), None)).is_wrong("ended before its time");
    let unlocked = locked().op(0, 40, 50, Act::Unlock { token: 4 }, Outcome::Done);
    unlocked.op(1, 60, 70, Act::Stat { slot: 0 }, Outcome::Stat(seen(7, 1, 1), Some(4))).is_wrong("nobody holds");
}

#[test]
fn a_change_of_a_locked_file_without_its_token_is_found() {
    let locked = || Story::one_file().lock(0, 20, 30, 1000, Outcome::Fence(4));
    locked().update(1, 40, 50, 2, file(7, 2, 2)).is_wrong("without the token");
    locked().delete(1, 40, 50, Outcome::Done).is_wrong("without the token");
    locked().op(1, 40, 50, Act::Move { from: 0, to: 1, token: None }, file(7, 1, 1)).is_wrong("without the token");
    let with = |token| Act::Update { slot: 0, tag: 2, if_match: None, token: Some(token) };
    locked().op(1, 40, 50, with(3), file(7, 2, 2)).is_wrong("without the token");
    locked().op(1, 40, 50, with(4), LOCKED).is_wrong("or to its holder");
    Story::one_file().update(1, 40, 50, 2, LOCKED).is_wrong("nobody can hold a lock");
    // An old token, after somebody else's lock has ended.
    let ended = || {
        let other = locked().lock(1, 1100, 1110, 1000, Outcome::Fence(5));
        other.op(1, 1120, 1130, Act::Unlock { token: 5 }, Outcome::Done)
    };
    ended().op(0, 1140, 1150, with(4), file(7, 2, 2)).is_wrong("");
    ended().op(0, 1140, 1150, with(4), LOCKED).is_right();
    // Nor is the newest one of use once its lock has ended.
    ended().op(1, 1140, 1150, with(5), file(7, 2, 2)).is_wrong("");
    ended().op(1, 1140, 1150, with(5), LOCKED).is_right();
}

#[test]
fn a_fence_that_does_not_grow_and_an_id_that_comes_again_are_found() {
    let mut other = Story::one_file().lock(0, 20, 30, 1000, Outcome::Fence(4)).0;
    other.extend(Story::default().write(0, 40, 50, 2, file(8, 1, 2)).lock(1, 60, 70, 1000, Outcome::Fence(3)).0);
    other.iter_mut().skip(2).for_each(|op| op.place = 2);
    Story(other).is_wrong("a fence did not grow");
    let again = Story::one_file().delete(0, 20, 30, Outcome::Done);
    again.write(1, 40, 50, 2, file(7, 1, 2)).is_wrong("given twice");
}

#[test]
fn a_listing_over_two_states_is_found() {
    let first = |tag, from| Story::one_file().update(0, from, from + 5, tag, file(7, 2, tag));
    let both = first(2, 20).op(1, 12, 15, Act::Write { slot: 1, tag: 3 }, file(8, 1, 3)).op(
        1,
        30,
        35,
        Act::Update { slot: 1, tag: 4, if_match: None, token: None },
        file(8, 2, 4),
    );
    // The second file's new version came after the first one's.
    both.op(2, 16, 40, Act::List, listing(Some(seen(7, 1, 1)), Some(seen(8, 2, 4)))).is_wrong("a stale read");
}

#[test]
fn unknown_outcomes_may_have_happened_or_not_at_any_later_time() {
    let unknown = || Story::one_file().update(0, 20, 30, 2, Outcome::Unknown);
    unknown().read(1, 40, 50, file(7, 1, 1)).read(1, 60, 70, file(7, 2, 2)).is_right();
    unknown().read(1, 40, 50, file(7, 1, 1)).update(1, 60, 70, 3, file(7, 2, 3)).is_right();
    unknown().update(1, 60, 70, 3, file(7, 3, 3)).is_right();
    unknown().read(1, 25, 26, file(7, 1, 1)).delete(1, 60, 70, Outcome::Done).read(1, 80, 90, GONE).is_right();
    let unknown = || Story::one_file().delete(0, 20, 30, Outcome::Unknown);
    unknown().read(1, 40, 50, file(7, 1, 1)).read(1, 60, 70, GONE).is_right();
    unknown().write(1, 60, 70, 2, file(8, 1, 2)).read(1, 80, 90, file(8, 1, 2)).is_right();
    unknown().write(1, 60, 70, 2, file(8, 1, 2)).read(1, 80, 90, GONE).is_wrong("is gone");
    let unknown = || Story::default().write(0, 0, 10, 1, Outcome::Unknown);
    unknown().read(1, 20, 30, GONE).update(1, 40, 50, 2, file(7, 2, 2)).is_right();
    unknown().read(1, 20, 30, GONE).write(1, 40, 50, 2, file(7, 1, 2)).is_right();
    let unknown = || Story::one_file().lock(0, 20, 30, 1000, Outcome::Unknown);
    unknown().update(1, 40, 50, 2, LOCKED).update(1, 2000, 2010, 2, file(7, 2, 2)).is_right();
    unknown()
        .update(1, 40, 50, 2, file(7, 2, 2))
        .op(1, 60, 70, Act::Stat { slot: 0 }, Outcome::Stat(seen(7, 2, 2), Some(4)))
        .is_right();
    unknown().update(1, 40, 50, 2, LOCKED).update(1, 60, 70, 2, file(7, 2, 2)).is_wrong("without the token");
    let unlocked = Story::one_file().lock(0, 20, 30, 9000, Outcome::Fence(4));
    let unlocked = unlocked.op(0, 40, 50, Act::Unlock { token: 4 }, Outcome::Unknown);
    unlocked.update(1, 60, 70, 2, LOCKED).update(1, 80, 90, 3, file(7, 2, 3)).is_right();
    let moved = Story::one_file().op(0, 20, 30, Act::Move { from: 0, to: 2, token: None }, Outcome::Unknown);
    moved.read(1, 40, 50, file(7, 1, 1)).op(1, 60, 70, Act::Read { slot: 2 }, file(7, 1, 1)).is_right();
}

/// A history that is right: each request has its effect at one moment between its sending and its answer, in a world of
/// one copy; those whose answer is lost at any moment after their sending, or never.
fn right_history(seed: u64, count: usize) -> Vec<Op> {
    const CLIENTS: u32 = 4;
    let mut dice = Dice::new(seed);
    let mut world = World::default();
    let mut free_at = [0; CLIENTS as usize];
    let mut planned: Vec<(Moment, Op)> = Vec::new();
    for number in 0..count as u64 {
        let client = dice.pick(CLIENTS as usize);
        let invoked = free_at[client] + 1 + dice.below(2_000);
        let effect = invoked + dice.below(3_000);
        let returned = effect + dice.below(3_000);
        let lost = dice.below(12) == 0;
        let effect = if lost { invoked + dice.below(60_000) } else { effect };
        free_at[client] = returned;
        let act = random_act(&mut dice, number + 1, &world);
        let outcome = if lost { Outcome::Unknown } else { Outcome::Done };
        planned.push((effect, Op { client: client as u32, place: 1, act, invoked, returned, outcome }));
    }
    planned.sort_by_key(|(effect, _)| *effect);
    let mut ops = Vec::new();
    for (effect, mut op) in planned {
        let lost = op.outcome == Outcome::Unknown;
        // Some never happen.
        if !(lost && op.returned.is_multiple_of(3)) {
            let outcome = world.serve(&op, effect);
            if !lost {
                op.outcome = outcome;
            }
        }
        ops.push(op);
    }
    ops
}

fn random_act(dice: &mut Dice, tag: Tag, world: &World) -> Act {
    let slot = dice.pick(SLOTS);
    // What a client may know from the past, some of it outdated.
    let token = (dice.below(3) == 0 && world.fences > 0).then(|| 1 + dice.below(world.fences));
    let if_match = (dice.below(3) == 0 && world.ids > 0).then(|| (1 + dice.below(world.ids), 1 + dice.below(4)));
    match dice.below(21) {
        20 => Act::Copy { from: slot, to: (slot + 1) % SLOTS },
        0..=3 => Act::Read { slot },
        4 | 5 => Act::Stat { slot },
        6 | 7 => Act::List,
        8..=10 => Act::Write { slot, tag },
        11..=14 => Act::Update { slot, tag, if_match, token },
        15 => Act::Delete { slot, token },
        16 => Act::Move { from: slot, to: (slot + 1) % SLOTS, token },
        17 => Act::Lock { slot, ttl: 1 + dice.below(20_000) },
        _ => match token {
            Some(token) if dice.below(2) == 0 => Act::Renew { token, ttl: 1 + dice.below(20_000) },
            Some(token) => Act::Unlock { token },
            None => Act::Read { slot },
        },
    }
}

/// The one copy: written apart from the model, as plainly as can be.
#[derive(Default)]
struct World {
    files: [Option<Plain>; SLOTS],
    ids: u64,
    fences: u64,
}

#[derive(Clone)]
struct Plain {
    seen: Seen,
    /// Fence and end.
    lock: Option<(u64, Moment)>,
}

impl World {
    fn serve(&mut self, op: &Op, now: Moment) -> Outcome {
        for file in self.files.iter_mut().flatten() {
            // Locks end late at times.
            file.lock = file.lock.filter(|(fence, until)| *until + (fence % 3) * 1_500 > now);
        }
        self.answer(op, now).unwrap_or_else(Outcome::Refused)
    }

    fn answer(&mut self, op: &Op, now: Moment) -> Result<Outcome, Refusal> {
        match op.act {
            Act::Read { slot } => Ok(Outcome::File(self.file(slot)?.seen)),
            Act::Stat { slot } => {
                let file = self.file(slot)?;
                Ok(Outcome::Stat(file.seen, file.lock.map(|lock| lock.0)))
            }
            Act::List => {
                let row = |file: &Option<Plain>| file.as_ref().map(|file| (file.seen, file.lock.map(|lock| lock.0)));
                Ok(Outcome::Listing([row(&self.files[0]), row(&self.files[1]), row(&self.files[2])]))
            }
            Act::Write { slot, tag } => {
                if self.files[slot].is_some() {
                    return Err(Refusal::Exists);
                }
                self.ids += 1;
                let seen = seen(self.ids, 1, tag);
                self.files[slot] = Some(Plain { seen, lock: None });
                Ok(Outcome::File(seen))
            }
            Act::Update { slot, tag, if_match, token } => {
                let file = self.file(slot)?;
                file.open(token)?;
                if if_match.is_some_and(|named| named != (file.seen.id, file.seen.version)) {
                    return Err(Refusal::Conflict);
                }
                file.seen = seen(file.seen.id, file.seen.version + 1, tag);
                Ok(Outcome::File(file.seen))
            }
            Act::Delete { slot, token } => {
                self.file(slot)?.open(token)?;
                self.files[slot] = None;
                Ok(Outcome::Done)
            }
            Act::Copy { from, to } => {
                let tag = self.file(from)?.seen.tag;
                if self.files[to].is_some() {
                    return Err(Refusal::Exists);
                }
                self.ids += 1;
                let seen = seen(self.ids, 1, tag);
                self.files[to] = Some(Plain { seen, lock: None });
                Ok(Outcome::File(seen))
            }
            Act::Move { from, to, token } => {
                self.file(from)?;
                if self.files[to].is_some() {
                    return Err(Refusal::Exists);
                }
                self.file(from)?.open(token)?;
                self.files[to] = self.files[from].take();
                Ok(Outcome::File(self.file(to)?.seen))
            }
            Act::Lock { slot, ttl } => {
                let fence = self.fences + 1;
                let file = self.file(slot)?;
                if file.lock.is_some() {
                    return Err(Refusal::Locked);
                }
                file.lock = Some((fence, now + ttl));
                self.fences = fence;
                Ok(Outcome::Fence(fence))
            }
            Act::Renew { token, ttl } => {
                let file = self.held(token)?;
                file.lock = Some((token, now + ttl));
                Ok(Outcome::Fence(token))
            }
            Act::Unlock { token } => {
                self.held(token)?.lock = None;
                Ok(Outcome::Done)
            }
        }
    }

    fn file(&mut self, slot: usize) -> Result<&mut Plain, Refusal> {
        self.files[slot].as_mut().ok_or(Refusal::NotFound)
    }

    fn held(&mut self, token: u64) -> Result<&mut Plain, Refusal> {
        let held = self.files.iter_mut().flatten().find(|file| file.lock.is_some_and(|lock| lock.0 == token));
        held.ok_or(Refusal::Locked)
    }
}

impl Plain {
    fn open(&self, token: Option<u64>) -> Result<(), Refusal> {
        let open = match (self.lock, token) {
            (None, None) => true,
            (None, Some(_)) => false,
            (Some((fence, _)), token) => token == Some(fence),
        };
        if open { Ok(()) } else { Err(Refusal::Locked) }
    }
}

#[test]
fn histories_of_one_copy_are_right() {
    for seed in 1..=150 {
        let ops = right_history(seed, 120);
        assert_eq!(check(&ops), Vec::<String>::new(), "seed {seed}");
    }
}

#[test]
fn a_history_that_was_tampered_with_is_mostly_found() {
    let mut swapped_found = 0;
    for seed in 1..=100 {
        let right = right_history(seed, 120);
        let mut dice = Dice::new(seed | 1 << 40);
        let known: Vec<usize> = (0..right.len()).filter(|at| matches!(right[*at].outcome, Outcome::File(_))).collect();
        let one = known[dice.pick(known.len())];
        let change = |edit: fn(&mut Seen)| {
            let mut ops = right.clone();
            if let Outcome::File(seen) = &mut ops[one].outcome {
                edit(seen);
            }
            check(&ops).len()
        };
        assert!(change(|seen| seen.tag += 1_000_000) > 0, "seed {seed}: other bytes");
        assert!(change(|seen| seen.version += 500) > 0, "seed {seed}: a version that is far ahead");
        assert!(change(|seen| seen.version = 0) > 0, "seed {seed}: no version");
        // Two reads of different versions change places.
        let reads: Vec<usize> =
            known.iter().copied().filter(|at| matches!(right[*at].act, Act::Read { slot: 0 })).collect();
        let pair = reads.windows(2).find(|pair| right[pair[0]].outcome != right[pair[1]].outcome);
        if let Some(&[left, right_one]) = pair {
            let mut ops = right.clone();
            let outcome = ops[left].outcome.clone();
            ops[left].outcome = std::mem::replace(&mut ops[right_one].outcome, outcome);
            swapped_found += usize::from(!check(&ops).is_empty());
        }
    }
    assert!(swapped_found > 50, "of at most a hundred exchanged reads only {swapped_found} were found");
}
