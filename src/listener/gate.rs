//! Who has a place at a listener, and who loses it.
//!
//! Each connection stands in line with others of its kind: strangers among strangers, and among those of its address; a
//! user's among that user's. A line is ordered by who keeps us waiting longest, those who are worked for behind all who are
//! waited for. Whoever is to go is the first of a line.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::hash::Hash;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::counts::{At, Counts, Of};
use super::limits::Limits;
use super::origin::Proxies;
use crate::domain::UserId;

/// How many strangers are cut where the process has no descriptor left for the next connection.
const ROOM: usize = 16;

/// Whose a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// Nobody's that we know of.
    Stranger,
    User(UserId),
    /// A directory node's or a file server's.
    Member,
}

impl Who {
    const fn name(self) -> &'static str {
        match self {
            Self::Stranger => "stranger",
            Self::User(_) => "user",
            Self::Member => "member",
        }
    }
}

/// Why a caller who has authenticated gets no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crowded {
    /// This user has all that one user may have.
    User,
    /// All users together have.
    Users,
}

/// Where strangers are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Block {
    V4(u32),
    /// A /64.
    V6(u64),
}

impl Block {
    pub(crate) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.to_bits()),
            IpAddr::V6(address) => Self::V6((address.to_bits() >> 64) as u64),
        }
    }
}

/// A place in a line: whether it is worked for, since when, and whose it is.
type Place = (bool, u64, u64);
type Line = BTreeSet<Place>;

struct Open {
    who: Who,
    /// Nothing while a proxy has it that has not told yet for whom.
    block: Option<Block>,
    working: bool,
    turn: u64,
    cut: CancellationToken,
}

impl Open {
    const fn place(&self, id: u64) -> Place {
        (self.working, self.turn, id)
    }
}

#[derive(Default)]
struct Book {
    open: HashMap<u64, Open>,
    next: u64,
    strangers: Line,
    blocks: HashMap<Block, Line>,
    users: Line,
    each: HashMap<UserId, Line>,
}

impl Book {
    fn next(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Into its lines, or out of them.
    fn line_up(&mut self, id: u64, enters: bool) {
        fn change<K: Copy + Eq + Hash>(lines: &mut HashMap<K, Line>, key: K, place: Place, enters: bool) {
            let line = lines.entry(key).or_default();
            if enters {
                line.insert(place);
                return;
            }
            line.remove(&place);
            // A map of all addresses that ever called would only grow.
            if line.is_empty() {
                lines.remove(&key);
            }
        }
        let Some(open) = self.open.get(&id) else { return };
        let (place, who, block) = (open.place(id), open.who, open.block);
        let line = match who {
            Who::Member => return,
            Who::Stranger => {
                if let Some(block) = block {
                    change(&mut self.blocks, block, place, enters);
                }
                &mut self.strangers
            }
            Who::User(user) => {
                change(&mut self.each, user, place, enters);
                &mut self.users
            }
        };
        if enters {
            line.insert(place);
        } else {
            line.remove(&place);
        }
    }

    fn change(&mut self, id: u64, how: impl FnOnce(&mut Open)) {
        self.line_up(id, false);
        if let Some(open) = self.open.get_mut(&id) {
            how(open);
        }
        self.line_up(id, true);
    }

    fn leave(&mut self, id: u64) -> Option<Open> {
        self.line_up(id, false);
        self.open.remove(&id)
    }
}

/// The connections of one listener. A clone is the same gate.
#[derive(Clone)]
pub struct Gate(Arc<Inner>);

struct Inner {
    name: &'static str,
    limits: Limits,
    counts: Counts,
    proxies: Proxies,
    book: Mutex<Book>,
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("name", &self.0.name).field("limits", &self.0.limits).finish_non_exhaustive()
    }
}

impl Gate {
    /// `name` is what metrics and log lines call it.
    pub fn new(name: &'static str, limits: Limits, counts: Counts) -> Self {
        Self::behind(Proxies::default(), name, limits, counts)
    }

    /// The same where these proxies tell for whom their connections are.
    pub(crate) fn behind(proxies: Proxies, name: &'static str, limits: Limits, counts: Counts) -> Self {
        let gate = Self(Arc::new(Inner { name, limits, counts, proxies, book: Mutex::default() }));
        for who in [Who::Stranger, Who::User(UserId(0)), Who::Member] {
            gate.count(who, 0);
        }
        gate
    }

    pub(crate) fn name(&self) -> &'static str {
        self.0.name
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.0.limits
    }

    #[cfg(test)]
    pub(super) fn counts(&self) -> &Counts {
        &self.0.counts
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, who: Who, by: i64) {
        self.0.counts.open.get_or_create(&Of { listener: self.0.name, what: who.name() }).inc_by(by);
    }

    /// Gives a new connection its place, which may be the one of a stranger who keeps us waiting. Nothing where all places
    /// are those of users and members.
    pub(super) fn admit(&self, from: SocketAddr) -> Option<Held> {
        let (block, limits) = (Some(Block::of(from.ip())), self.limits());
        let block = block.filter(|_| !self.0.proxies.trusts(from.ip()));
        let mut book = self.book();
        if let Some(block) = block {
            self.thin_out(&mut book, block, limits.per_address.saturating_sub(1));
        }
        while book.strangers.len() >= limits.strangers
            && self.cut_first(&mut book, |book| Some(&book.strangers), "full")
        {}
        while book.open.len() >= limits.total {
            if !self.cut_first(&mut book, |book| Some(&book.strangers), "full") {
                self.0.counts.refused.get_or_create(&At { listener: self.0.name }).inc();
                return None;
            }
        }
        let (id, turn, cut) = (book.next(), book.next(), CancellationToken::new());
        let open = Open { who: Who::Stranger, block, working: false, turn, cut: cut.clone() };
        book.open.insert(id, open);
        book.line_up(id, true);
        drop(book);
        self.count(Who::Stranger, 1);
        let phase = Mutex::new(Phase::Idle { since: Instant::now(), first: true });
        Some(Held(Lease(Arc::new(Leased { gate: self.clone(), id, from, cut, phase }))))
    }

    /// Leaves so many strangers of an address.
    fn thin_out(&self, book: &mut Book, block: Block, most: usize) {
        while book.blocks.get(&block).is_some_and(|line| line.len() > most)
            && self.cut_first(book, |book| book.blocks.get(&block), "address")
        {}
    }

    /// Cuts strangers, because the process has no descriptor left.
    pub(super) fn make_room(&self) {
        let mut book = self.book();
        for _ in 0..ROOM {
            if !self.cut_first(&mut book, |book| Some(&book.strangers), "full") {
                return;
            }
        }
    }

    fn cut_first(&self, book: &mut Book, line: impl Fn(&Book) -> Option<&Line>, why: &'static str) -> bool {
        let Some((_, _, id)) = line(book).and_then(|line| line.first().copied()) else { return false };
        let Some(open) = book.leave(id) else { return false };
        open.cut.cancel();
        self.count(open.who, -1);
        self.tell(why);
        true
    }

    /// Counts a connection that is cut.
    fn tell(&self, why: &'static str) {
        self.0.counts.cut.get_or_create(&Of { listener: self.0.name, what: why }).inc();
    }

    fn leave(&self, id: u64) {
        let left = self.book().leave(id);
        if let Some(open) = left {
            self.count(open.who, -1);
        }
    }

    /// A proxy's connection is for a caller of this address now. Where there is no other request on it, nothing is known of
    /// him yet.
    fn carries(&self, id: u64, block: Block, alone: bool) {
        let mut book = self.book();
        let Some(before) = book.open.get(&id).map(|open| open.who) else { return };
        let who = if alone { Who::Stranger } else { before };
        book.change(id, |open| (open.who, open.block) = (who, Some(block)));
        self.count(before, -1);
        self.count(who, 1);
        if who == Who::Stranger {
            self.thin_out(&mut book, block, self.limits().per_address);
        }
    }

    fn is_working(&self, id: u64, working: bool) {
        let mut book = self.book();
        let turn = book.next();
        book.change(id, |open| (open.working, open.turn) = (working, turn));
    }

    /// A user who pauses keeps his place, so that only strangers change theirs.
    fn waits(&self, id: u64, waits: bool) {
        if self.who(id) == Who::Stranger {
            self.is_working(id, !waits);
        }
    }

    fn who(&self, id: u64) -> Who {
        self.book().open.get(&id).map_or(Who::Stranger, |open| open.who)
    }

    /// # Errors
    /// When users have all the places that they may have. Nothing changes then.
    fn become_known(&self, id: u64, who: Who) -> Result<(), Crowded> {
        let limits = self.limits();
        let mut book = self.book();
        let Some(before) = book.open.get(&id).map(|open| open.who) else { return Ok(()) };
        if before == who {
            return Ok(());
        }
        if let Who::User(user) = who {
            // One that waits for its next request costs its owner nothing but a new connection.
            let idle = |line: Option<&Line>| line.and_then(|line| line.first()).is_some_and(|place| !place.0);
            if book.each.get(&user).is_some_and(|line| line.len() >= limits.per_user) {
                let is_idle = idle(book.each.get(&user));
                if !(is_idle && self.cut_first(&mut book, |book| book.each.get(&user), "user")) {
                    return Err(Crowded::User);
                }
            }
            if !matches!(before, Who::User(_)) && book.users.len() >= limits.total.saturating_sub(limits.reserved) {
                let is_idle = idle(Some(&book.users));
                if !(is_idle && self.cut_first(&mut book, |book| Some(&book.users), "users")) {
                    return Err(Crowded::Users);
                }
            }
        }
        // Whoever says so is at work on a request.
        book.change(id, |open| (open.who, open.working) = (who, true));
        drop(book);
        self.count(before, -1);
        self.count(who, 1);
        Ok(())
    }
}

/// What a connection is at.
#[derive(Clone, Copy, Debug)]
enum Phase {
    /// No byte of the next request has come.
    Idle { since: Instant, first: bool },
    /// A part of its head has.
    Head { since: Instant },
    /// Requests are in hand: so many bodies, theirs and ours, are not at their end.
    Busy { bodies: u32 },
}

/// A connection's place. It travels with each request, in its extensions, so that who finds out whose it is can say so.
#[derive(Clone)]
pub(crate) struct Lease(Arc<Leased>);

struct Leased {
    gate: Gate,
    id: u64,
    from: SocketAddr,
    cut: CancellationToken,
    phase: Mutex<Phase>,
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("id", &self.0.id).field("from", &self.0.from).finish_non_exhaustive()
    }
}

impl Lease {
    /// Says whose the connection is, from now on and until somebody says otherwise.
    ///
    /// # Errors
    /// When users have all the places that they may have.
    pub(crate) fn is_of(&self, who: Who) -> Result<(), Crowded> {
        self.0.gate.become_known(self.0.id, who)
    }

    /// The address that the connection comes from.
    pub(crate) fn from(&self) -> SocketAddr {
        self.0.from
    }

    pub(super) fn proxies(&self) -> &Proxies {
        &self.0.gate.0.proxies
    }

    pub(super) fn is_of_proxy(&self) -> bool {
        self.proxies().trusts(self.0.from.ip())
    }

    pub(super) fn carries(&self, block: Block, alone: bool) {
        self.0.gate.carries(self.0.id, block, alone);
    }

    pub(crate) fn listener(&self) -> &'static str {
        self.0.gate.name()
    }

    pub(super) fn number(&self) -> u64 {
        self.0.id
    }

    pub(super) fn limits(&self) -> &Limits {
        self.0.gate.limits()
    }

    pub(super) fn is_strange(&self) -> bool {
        self.0.gate.who(self.0.id) == Who::Stranger
    }

    /// Ends when the connection is to end.
    pub(super) fn cut(&self) -> CancellationToken {
        self.0.cut.clone()
    }

    fn phase(&self) -> MutexGuard<'_, Phase> {
        self.0.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes have come.
    pub(super) fn heard(&self) {
        let mut phase = self.phase();
        if let Phase::Idle { since, first } = *phase {
            // A connection that is new has one time for its whole first head.
            *phase = Phase::Head { since: if first { since } else { Instant::now() } };
        }
    }

    /// Until when the next bytes must have come; nothing while a request is in hand.
    pub(super) fn awaited(&self) -> Option<Instant> {
        let limits = self.limits();
        match *self.phase() {
            Phase::Idle { since, first: true } | Phase::Head { since } => Some(since + limits.head),
            Phase::Idle { since, first: false } => Some(since + limits.idle),
            Phase::Busy { .. } => None,
        }
    }

    /// A head was read: two bodies begin, the request's and the answer's. Whether there was none before.
    pub(super) fn begin(&self) -> (InHand, InHand, bool) {
        let bodies = {
            let mut phase = self.phase();
            let before = if let Phase::Busy { bodies } = *phase { bodies } else { 0 };
            *phase = Phase::Busy { bodies: before + 2 };
            before
        };
        if bodies == 0 {
            self.0.gate.is_working(self.0.id, true);
        }
        (InHand(self.clone()), InHand(self.clone()), bodies == 0)
    }

    /// This side waits for the other in the middle of a request, or does no longer.
    pub(super) fn waits(&self, waits: bool) {
        self.0.gate.waits(self.0.id, waits);
    }

    /// Counts that the connection ends because the other side kept us waiting.
    pub(super) fn gives_up(&self, why: &'static str) {
        self.0.gate.tell(why);
    }
}

/// A body that is not at its end.
pub(super) struct InHand(Lease);

impl Drop for InHand {
    fn drop(&mut self) {
        let lease = &self.0;
        {
            let mut phase = lease.phase();
            let Phase::Busy { bodies } = *phase else { return };
            if bodies > 1 {
                *phase = Phase::Busy { bodies: bodies - 1 };
                return;
            }
            *phase = Phase::Idle { since: Instant::now(), first: false };
        }
        lease.0.gate.is_working(lease.0.id, false);
    }
}

/// The place itself, which is free again when this is dropped.
pub(super) struct Held(Lease);

impl Held {
    pub(super) const fn lease(&self) -> &Lease {
        &self.0
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.0.gate.leave(self.0.0.id);
    }
}
