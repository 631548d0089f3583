//! The check itself: is there an order of the requests, each somewhere between its sending and its answer, in which one
//! copy of the files would have given these answers?
//!
//! The search goes through the record in the order of time and keeps every configuration that is possible so far: a
//! state, and which of the requests under way have had their effect in it. Requests take effect just in time: when
//! one returns, each configuration in which it has not happened yet is carried on by orders of those under way that end
//! in it (Lowe, "Testing for linearizability", Concurrency and Computation 2017, section 5, after Wing & Gong 1993). When
//! none is left, this answer is wrong. A request of unknown outcome is under way for ever, and may be left out.
//!
//! Three things keep this small. Every content is unique and every answer names a version, so nearly all orders die at
//! once. Requests that share no file with the one that returns, not by others under way either, need not happen before
//! it. And of two configurations in one state, that in which fewer unknown requests were made use of can do whatever the
//! other one can.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::explain::explain;
use super::model::State;
use super::{Act, Op, Outcome, SLOTS};

/// More configurations than this at one time are given up on, loudly.
const MOST_CONFIGURATIONS: usize = 300_000;
/// As many requests can be under way at once in one place, those of unknown outcome among them.
const MOST_UNDER_WAY: usize = 128;

#[derive(Clone, PartialEq, Eq, Hash)]
struct Configuration {
    state: State,
    /// Which of those under way have had their effect, by their seats.
    done: u128,
}

/// What is wrong with a history, at most one thing for each place, and what holds across places.
pub(crate) fn check(ops: &[Op]) -> Vec<String> {
    let mut places: BTreeMap<u32, Vec<&Op>> = BTreeMap::new();
    for op in ops {
        places.entry(op.place).or_default().push(op);
    }
    let mut found: Vec<String> = places.values().filter_map(|ops| Search::new(ops).run().err()).collect();
    found.extend(fences(ops));
    found.extend(ids(ops));
    found
}

struct Search<'a> {
    ops: &'a [&'a Op],
    /// The requests under way.
    seats: Vec<Option<&'a Op>>,
    /// Seats of those that never return.
    unknown: u128,
    configurations: Vec<Configuration>,
}

impl<'a> Search<'a> {
    fn new(ops: &'a [&'a Op]) -> Self {
        let configurations = vec![Configuration { state: State::default(), done: 0 }];
        Self { ops, seats: vec![None; MOST_UNDER_WAY], unknown: 0, configurations }
    }

    fn run(mut self) -> Result<(), String> {
        // What happens at the same microsecond is taken for concurrent: sent first, answered then.
        let mut events = Vec::new();
        for (at, op) in self.ops.iter().enumerate() {
            let nothing_to_say = op.outcome == Outcome::NotDone || op.outcome == Outcome::Unknown && !op.act.changes();
            if nothing_to_say {
                continue;
            }
            events.push((op.invoked, false, at));
            if op.outcome != Outcome::Unknown {
                events.push((op.returned, true, at));
            }
        }
        events.sort_unstable();
        let mut seat_of = vec![0; self.ops.len()];
        for (_, returns, at) in events {
            if returns {
                self.answer(seat_of[at])?;
            } else {
                seat_of[at] = self.sit(self.ops[at])?;
            }
        }
        Ok(())
    }

    fn sit(&mut self, op: &'a Op) -> Result<usize, String> {
        let Some(seat) = self.seats.iter().position(Option::is_none) else {
            return Err(format!(
                "place {}: more than {MOST_UNDER_WAY} requests under way: cannot be checked",
                op.place
            ));
        };
        self.seats[seat] = Some(op);
        if op.outcome == Outcome::Unknown {
            self.unknown |= 1 << seat;
        }
        Ok(seat)
    }

    /// The request on a seat returns: it has happened in every configuration that stays.
    fn answer(&mut self, seat: usize) -> Result<(), String> {
        let op = self.seats[seat].expect("it was sent");
        let bit = 1_u128 << seat;
        let (near, slots) = self.near(op);
        let mut kept: HashSet<Configuration> = HashSet::new();
        let (mut queue, mut seen) = (Vec::new(), HashSet::new());
        for configuration in self.configurations.drain(..) {
            if configuration.done & bit != 0 {
                kept.insert(Configuration { done: configuration.done & !bit, ..configuration });
            } else if seen.insert(configuration.clone()) {
                queue.push(configuration);
            }
        }
        while let Some(configuration) = queue.pop() {
            let Configuration { state, done } = &configuration;
            if let Some(state) = state.step(op) {
                kept.insert(Configuration { state, done: *done });
            }
            let mut carry_on = |state: State, done: u128| {
                let next = Configuration { state, done };
                if !seen.contains(&next) {
                    seen.insert(next.clone());
                    queue.push(next);
                }
            };
            for other in near.iter().filter(|other| done & (1 << **other) == 0) {
                let request = self.seats[*other].expect("it is under way");
                if let Some(state) = state.step(request) {
                    carry_on(state, done | 1 << other);
                }
            }
            for slot in (0..SLOTS).filter(|slot| slots & 1 << slot != 0) {
                if let Some(state) = state.expired(slot, op.returned) {
                    carry_on(state, *done);
                }
            }
            if seen.len() > MOST_CONFIGURATIONS {
                return Err(format!("place {}: too many possibilities at {op:?}: cannot be checked", op.place));
            }
        }
        if kept.is_empty() {
            let states: HashSet<&State> = seen.iter().map(|configuration| &configuration.state).collect();
            return Err(explain(op, &states.into_iter().collect::<Vec<_>>(), self.ops));
        }
        self.seats[seat] = None;
        self.configurations = self.fewest(kept);
        Ok(())
    }

    /// Those under way that share files with a request, or with another one that does; and all these files.
    fn near(&self, op: &Op) -> (Vec<usize>, u32) {
        let mut slots = op.act.slots();
        let under_way = |seat: &usize| self.seats[*seat].map_or(0, |other| other.act.slots());
        loop {
            let near: Vec<usize> = (0..MOST_UNDER_WAY).filter(|seat| under_way(seat) & slots != 0).collect();
            let all = near.iter().fold(slots, |all, seat| all | under_way(seat));
            if all == slots {
                // Itself is no other.
                let others =
                    near.into_iter().filter(|seat| !self.seats[*seat].is_some_and(|one| std::ptr::eq(one, op)));
                return (others.collect(), slots);
            }
            slots = all;
        }
    }

    /// Drops each configuration that another one, which has made use of fewer unknown requests, can stand for.
    fn fewest(&self, kept: HashSet<Configuration>) -> Vec<Configuration> {
        let mut by_rest: HashMap<(State, u128), Vec<u128>> = HashMap::new();
        for Configuration { state, done } in kept {
            let used = done & self.unknown;
            let others = by_rest.entry((state, done & !self.unknown)).or_default();
            if others.iter().any(|fewer| fewer & used == *fewer) {
                continue;
            }
            others.retain(|more| more & used != used);
            others.push(used);
        }
        let all = by_rest.into_iter().flat_map(|((state, rest), used)| {
            used.into_iter().map(move |used| Configuration { state: state.clone(), done: rest | used })
        });
        all.collect()
    }
}

/// Fences only grow: that of a lock that was asked for after another was given is above it, on whatever file.
fn fences(ops: &[Op]) -> Option<String> {
    let given = |op: &&Op| matches!(op.act, Act::Lock { .. });
    let fence = |op: &Op| if let Outcome::Fence(fence) = op.outcome { Some(fence) } else { None };
    let mut asked: Vec<(&Op, u64)> = ops.iter().filter(given).filter_map(|op| Some((op, fence(op)?))).collect();
    let mut answered = asked.clone();
    asked.sort_by_key(|(op, _)| op.invoked);
    answered.sort_by_key(|(op, _)| op.returned);
    let mut answered = answered.into_iter().peekable();
    let mut highest: Option<(&Op, u64)> = None;
    for (op, fence) in asked {
        while let Some(earlier) = answered.next_if(|(earlier, _)| earlier.returned < op.invoked) {
            highest = highest.filter(|(_, fence)| *fence > earlier.1).or(Some(earlier));
        }
        if let Some((earlier, before)) = highest
            && before >= fence
        {
            return Some(format!(
                "a fence did not grow: {before} was given by {earlier:?}, and {fence} later by {op:?}"
            ));
        }
    }
    None
}

/// The id of a file is given once.
fn ids(ops: &[Op]) -> Option<String> {
    let mut made: HashMap<u64, &Op> = HashMap::new();
    for op in ops {
        if let (Act::Write { .. }, Outcome::File(seen)) = (&op.act, &op.outcome)
            && let Some(other) = made.insert(seen.id, op)
        {
            return Some(format!("file id {} was given twice: by {other:?} and by {op:?}", seen.id));
        }
    }
    None
}
