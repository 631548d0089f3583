//! One client: what it chooses to do, how it asks, and what it writes down.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use ringmaster::client::{
    ClientError, Directory, ErrorKind, Page, ReadOptions, Source, UpdateOptions, WriteOptions, etag,
};
use ringmaster::protocol::api::{Delete, FileName, Locked, Move, Stat};
use ringmaster::protocol::problem::Code;
use ringmaster::protocol::versions::Copy;

use crate::dice::Dice;
use crate::history::{Act, Moment, NAMES, Op, Outcome, Refusal, SLOTS, Seen, Tag};
use crate::support::{noise, sha256};

use super::{CLIENTS_IN_A_GROUP, EXTENT, MOST_PLACES, Shared, lock};

/// Times to live of locks, in milliseconds. Some run out by themselves.
const TTLS: [u64; 4] = [1_000, 1_000, 1_500, 3_000];
/// How often an impatient client repeats a change of unknown outcome under its key, where it does.
const REPEATS: usize = 10;
const BETWEEN_REPEATS: Duration = Duration::from_millis(200);
/// In what the client says of a refusal that came after an attempt of unknown outcome.
const AND_THEN: &str = "may have made the change, and then:";
/// Contents are shorter than this.
const SMALL: usize = 3_000;
/// One in so many is large: its body is streamed through followers, and held back where it is sent again.
const SMALL_TO_LARGE: u64 = 20;
const LEAST_LARGE: usize = 200_000;
const MOST_LARGE: usize = 400_000;
/// And one in so many of these has several extents.
const LARGE_TO_MANY: u64 = 10;

pub(super) struct Client {
    number: usize,
    group: usize,
    shared: Arc<Shared>,
    /// One that knows all nodes; or of an impatient client one for each node.
    directories: Vec<Directory>,
    patient: bool,
    dice: Dice,
    made: u64,
    /// What it saw last of each file.
    seen: HashMap<(u32, usize), Seen>,
    /// The locks that it holds, or held.
    held: HashMap<(u32, usize), Token>,
}

#[derive(Clone)]
struct Token {
    fence: u64,
    text: String,
}

/// What goes with a request beside what the history says of it.
#[derive(Clone, Default)]
pub(super) struct Load {
    bytes: Bytes,
    token: Option<String>,
}

pub(super) struct Answered {
    pub(super) outcome: Outcome,
    /// The token of a lock that was given.
    token: Option<String>,
    /// Why it failed, other than by design.
    pub(super) failure: Option<String>,
}

impl Client {
    pub(super) fn new(number: usize, shared: &Arc<Shared>, directories: Vec<Directory>) -> Self {
        let patient = number < shared.patient.len();
        let group = if patient { number / CLIENTS_IN_A_GROUP } else { number - shared.patient.len() };
        Self {
            number,
            group: group % shared.groups.len(),
            shared: Arc::clone(shared),
            directories,
            patient,
            dice: Dice::new(shared.seed ^ (number as u64) << 40),
            made: 0,
            seen: HashMap::new(),
            held: HashMap::new(),
        }
    }

    pub(super) async fn work(mut self) {
        self.succeeded();
        while !self.shared.stop.load(Ordering::Relaxed) {
            self.one_request().await;
            tokio::time::sleep(Duration::from_micros(self.dice.below(self.shared.pause))).await;
        }
    }

    async fn one_request(&mut self) {
        let place = self.place();
        let (act, load) = self.choose(place);
        let invoked = self.shared.record.now();
        let answered = self.insist(place, &act, &load).await;
        let returned = self.shared.record.now();
        self.note(place, &act, &answered);
        let outcome = answered.outcome;
        let client = u32::try_from(self.number).expect("few clients");
        self.shared.record.add(Op { client, place, act, invoked, returned, outcome });
    }

    /// The group's place; at times one that it has left, where nothing may have been lost either.
    fn place(&mut self) -> u32 {
        let place = self.shared.place(self.group);
        let number = place % MOST_PLACES;
        if number > 0 && self.dice.below(40) == 0 {
            return place - 1 - self.dice.below(u64::from(number.min(5))) as u32;
        }
        place
    }

    /// Asks until there is an answer, as this kind of client does.
    async fn insist(&mut self, place: u32, act: &Act, load: &Load) -> Answered {
        if self.patient {
            return ask(&self.shared, &self.directories[0], place, act, Some(load)).await;
        }
        let key = format!("{}-{}-{}", self.shared.root, self.number, self.made);
        let mut answered = self.ask_somebody(place, act, load, &key).await;
        if answered.outcome == Outcome::Unknown && act.changes() && self.dice.below(2) == 0 {
            for _ in 0..REPEATS {
                tokio::time::sleep(BETWEEN_REPEATS).await;
                let again = self.ask_somebody(place, act, load, &key).await;
                // That this attempt did nothing does not say that the first one did nothing.
                if !matches!(again.outcome, Outcome::Unknown | Outcome::NotDone) {
                    answered = again;
                    break;
                }
            }
        } else if matches!(answered.outcome, Outcome::File(_)) && act.changes() && self.dice.below(10) == 0 {
            let again = self.ask_somebody(place, act, load, &key).await;
            if !matches!(again.outcome, Outcome::Unknown | Outcome::NotDone) && again.outcome != answered.outcome {
                lock(&self.shared.wrong).push(format!(
                    "the same Idempotency-Key {key} got another answer: {act:?} in place {place} had {:?} and then {:?}",
                    answered.outcome, again.outcome
                ));
            }
        }
        answered
    }

    async fn ask_somebody(&mut self, place: u32, act: &Act, load: &Load, key: &str) -> Answered {
        let node = self.dice.pick(self.directories.len());
        let directory = self.directories[node].clone().with_key(key);
        ask(&self.shared, &directory, place, act, Some(load)).await
    }

    /// Writes down what came of it, but for the history.
    fn note(&mut self, place: u32, act: &Act, answered: &Answered) {
        let shared = Arc::clone(&self.shared);
        match &answered.outcome {
            Outcome::Unknown if act.changes() => {
                shared.groups[self.group].unknown.fetch_add(1, Ordering::Relaxed);
            }
            Outcome::Unknown | Outcome::NotDone => {}
            _ => self.succeeded(),
        }
        if let Some(failure) = &answered.failure
            && self.patient
        {
            lock(&shared.failed).push(format!("client {}: {act:?} in place {place}: {failure}", self.number));
        }
        match (act, &answered.outcome) {
            (
                Act::Write { slot, .. } | Act::Update { slot, .. } | Act::Read { slot } | Act::Stat { slot },
                Outcome::File(seen) | Outcome::Stat(seen, _),
            ) => {
                self.seen.insert((place, *slot), *seen);
            }
            (Act::Write { slot, .. }, Outcome::Refused(Refusal::Exists)) => {
                // Something is there; it is not known what.
                self.seen.entry((place, *slot)).or_insert(Seen { id: 0, version: 0, tag: 0 });
            }
            (
                Act::Update { slot, .. } | Act::Read { slot } | Act::Stat { slot } | Act::Delete { slot, .. },
                Outcome::Refused(Refusal::NotFound) | Outcome::Done,
            ) => {
                self.seen.remove(&(place, *slot));
            }
            (Act::Lock { slot, .. }, Outcome::Fence(fence)) => {
                let text = answered.token.clone().expect("a lock has a token");
                self.held.insert((place, *slot), Token { fence: *fence, text });
            }
            _ => {}
        }
        let spent = |token: &Token| match act {
            Act::Unlock { token: fence } => *fence == token.fence,
            Act::Renew { token: fence, .. } => *fence == token.fence && !answered.outcome.is_success(),
            _ => false,
        };
        self.held.retain(|_, token| !spent(token));
        // Of places that were left long ago nothing needs to be known.
        if self.seen.len() > 200 {
            self.seen.clear();
            self.held.clear();
        }
    }

    fn succeeded(&self) {
        if let Some(patient) = self.shared.patient.get(self.number) {
            patient.successes.fetch_add(1, Ordering::Relaxed);
            lock(&patient.moments).push(self.shared.record.now());
        }
    }

    fn choose(&mut self, place: u32) -> (Act, Load) {
        self.made += 1;
        let mut slot = self.dice.pick(SLOTS);
        if self.dice.below(2) == 0
            && let Some((_, locked)) = self.held.keys().find(|(at, _)| *at == place)
        {
            slot = *locked;
        }
        let seen = self.seen.get(&(place, slot)).copied();
        let held = self.held.get(&(place, slot)).cloned();
        let kind = self.dice.below(100);
        let act = match (kind, &held) {
            (0..22, _) => Act::Read { slot },
            (22..34, _) => Act::Stat { slot },
            (34..42, _) => Act::List,
            (42..80, _) => return self.store(slot, seen, held),
            (80..85, _) => Act::Delete { slot, token: held.as_ref().map(|token| token.fence) },
            (85 | 86, _) => Act::Copy { from: slot, to: (slot + 1) % SLOTS },
            (87..89, _) => {
                let to = (slot + 1) % SLOTS;
                Act::Move { from: slot, to, token: held.as_ref().map(|token| token.fence) }
            }
            (89..91, Some(token)) => Act::Renew { token: token.fence, ttl: self.ttl() },
            // Some are left to run out.
            (91..98, Some(token)) => Act::Unlock { token: token.fence },
            (89..93, None) => Act::Lock { slot, ttl: self.ttl() },
            _ => Act::Read { slot },
        };
        (act, Load { bytes: Bytes::new(), token: held.map(|token| token.text) })
    }

    fn ttl(&mut self) -> Moment {
        TTLS[self.dice.pick(TTLS.len())] * 1_000
    }

    /// A file where none is believed to be, a new version where one is; and at times the other way round.
    fn store(&mut self, slot: usize, seen: Option<Seen>, held: Option<Token>) -> (Act, Load) {
        let (bytes, tag) = self.content();
        let surprise = self.dice.below(8) == 0;
        if seen.is_none() != surprise {
            return (Act::Write { slot, tag }, Load { bytes, token: None });
        }
        let named = seen.filter(|seen| seen.id > 0 && self.dice.below(3) == 0);
        let held = held.filter(|_| self.dice.below(10) > 0);
        let if_match = named.map(|seen| (seen.id, seen.version));
        let token = held.as_ref().map(|token| token.fence);
        (Act::Update { slot, tag, if_match, token }, Load { bytes, token: held.map(|token| token.text) })
    }

    /// Bytes that no other change stores. They are kept for as long as the request takes.
    fn content(&mut self) -> (Bytes, Tag) {
        let mut bytes = format!("{} {} {}\n", self.shared.root, self.number, self.made).into_bytes();
        let length = match self.dice.below(SMALL_TO_LARGE) {
            0 if self.dice.below(LARGE_TO_MANY) == 0 => EXTENT + self.dice.pick(EXTENT + EXTENT / 2),
            0 => LEAST_LARGE + self.dice.pick(MOST_LARGE - LEAST_LARGE),
            _ => self.dice.pick(SMALL),
        };
        bytes.extend(noise(self.made, length));
        let tag = tag_of(&sha256(&bytes));
        (bytes.into(), tag)
    }
}

/// One request with the client that the command line has.
pub(super) async fn ask(
    shared: &Shared,
    directory: &Directory,
    place: u32,
    act: &Act,
    load: Option<&Load>,
) -> Answered {
    let load = load.cloned().unwrap_or_default();
    let mut token = None;
    let result = perform(shared, directory, place, act, load, &mut token).await;
    let (outcome, failure) = match result {
        Ok(outcome) => (outcome, None),
        Err(error) => failed(shared, place, act, &error),
    };
    Answered { outcome, token, failure }
}

async fn perform(
    shared: &Shared,
    directory: &Directory,
    place: u32,
    act: &Act,
    load: Load,
    given: &mut Option<String>,
) -> Result<Outcome, ClientError> {
    let path = |slot: &usize| shared.path(place, *slot);
    let file = |slot: &usize| name(path(slot));
    let milliseconds = |ttl: &Moment| Some(Duration::from_micros(*ttl));
    let mut fence = |locked: Locked| {
        *given = Some(locked.lock_token);
        Outcome::Fence(locked.fence)
    };
    let token = load.token;
    Ok(match act {
        Act::Write { slot, .. } => {
            let stat = directory.write(&file(slot), Source::bytes(load.bytes), WriteOptions::default()).await?;
            Outcome::File(seen(&stat))
        }
        Act::Update { slot, if_match, .. } => {
            let if_match = if_match.map(|(id, version)| etag(id, version));
            let options = UpdateOptions { lock_token: token, if_match, ..UpdateOptions::default() };
            Outcome::File(seen(&directory.update(&file(slot), Source::bytes(load.bytes), options).await?))
        }
        Act::Delete { slot, .. } => {
            directory
                .delete(&Delete {
                    file: file(slot),
                    recursive: false,
                    permanently: false,
                    break_locks: false,
                    lock_token: token,
                })
                .await?;
            Outcome::Done
        }
        Act::Move { from, to, .. } => {
            let (from, to) = (path(from), path(to));
            Outcome::File(seen(
                &directory.rename(&Move { from, to, owner: None, lock_token: token, break_locks: false }).await?,
            ))
        }
        Act::Copy { from, to } => {
            let copy = Copy { file: file(from), to: path(to), to_owner: None };
            Outcome::File(seen(&directory.copy(&copy).await?))
        }
        Act::Lock { slot, ttl } => fence(directory.lock(&file(slot), milliseconds(ttl)).await?),
        Act::Renew { ttl, .. } => fence(directory.renew(&token.unwrap_or_default(), milliseconds(ttl)).await?),
        Act::Unlock { .. } => {
            directory.unlock(&token.unwrap_or_default()).await?;
            Outcome::Done
        }
        Act::Read { slot } => {
            let mut bytes = Vec::new();
            let read = directory.read(&file(slot), &ReadOptions::default(), &mut bytes).await?;
            let etag = read.head.etag.unwrap_or_default();
            let parts = etag.trim_matches('"').split_once('-');
            let number = |text: &str| text.parse().unwrap_or_else(|_| panic!("{etag} is no etag"));
            let (id, version) = parts.map(|(id, version)| (number(id), number(version))).expect("an etag");
            Outcome::File(Seen { id, version, tag: tag_of(&sha256(&bytes)) })
        }
        Act::Stat { slot } => {
            let stat = directory.stat(&file(slot)).await?;
            Outcome::Stat(seen(&stat), stat.lock.map(|lock| lock.fence))
        }
        Act::List => {
            let page = directory.list(&name(shared.directory(place)), &Page::default()).await?;
            let mut rows = [None; SLOTS];
            for stat in page.files {
                let slot = NAMES.iter().position(|name| stat.path.ends_with(&format!("/{name}")));
                match slot.and_then(|slot| rows.get_mut(slot)) {
                    Some(row @ None) => *row = Some((seen(&stat), stat.lock.as_ref().map(|lock| lock.fence))),
                    _ => lock(&shared.wrong).push(format!("a listing of place {place} has {} in it", stat.path)),
                }
            }
            Outcome::Listing(rows)
        }
    })
}

/// What a failure says of the change, and whether it was none by design.
fn failed(shared: &Shared, place: u32, act: &Act, error: &ClientError) -> (Outcome, Option<String>) {
    let told = Some(error.to_string());
    let not_foreseen = |why: &str| lock(&shared.wrong).push(format!("{act:?} in place {place} got {why}"));
    match error.kind() {
        ErrorKind::Refused(problem) => match error.code() {
            Some(Code::NotFound) => (Outcome::Refused(Refusal::NotFound), None),
            Some(Code::AlreadyExists) => (Outcome::Refused(Refusal::Exists), None),
            Some(Code::Locked) => (Outcome::Refused(Refusal::Locked), None),
            // Of a read: the file was replaced while it was read.
            Some(Code::VersionConflict) if act.changes() => (Outcome::Refused(Refusal::Conflict), None),
            Some(Code::VersionConflict) => (Outcome::NotDone, None),
            // No request of ours is to be refused in another way, whatever dies meanwhile.
            _ => {
                not_foreseen(&format!("{} {}: {error}", problem.status, problem.code));
                (if problem.status >= 500 { Outcome::Unknown } else { Outcome::NotDone }, told)
            }
        },
        ErrorKind::Unavailable => (Outcome::NotDone, told),
        ErrorKind::OutcomeUnknown { .. } => {
            // Such a refusal after an attempt of unknown outcome.
            if error.to_string().contains(AND_THEN) {
                not_foreseen(&error.to_string());
            }
            (Outcome::Unknown, told)
        }
        ErrorKind::Local(_) if error.to_string().contains("replaced while it was read") => (Outcome::NotDone, None),
        ErrorKind::Usage | ErrorKind::Local(_) => {
            not_foreseen(&error.to_string());
            (Outcome::Unknown, told)
        }
    }
}

fn name(path: String) -> FileName {
    FileName { path: Some(path), ..FileName::default() }
}

fn seen(stat: &Stat) -> Seen {
    let tag = stat.sha256.as_deref().map(tag_of).expect("a file has a digest");
    Seen { id: stat.file_id, version: stat.version.expect("a file has a version"), tag }
}

/// The first eight bytes of a digest in hexadecimal digits.
fn tag_of(sha256: &str) -> Tag {
    sha256.get(..16).and_then(|digits| Tag::from_str_radix(digits, 16).ok()).expect("64 hexadecimal digits")
}
